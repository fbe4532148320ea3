//! Which requests an entry matches.

use sha2::{Digest, Sha256};

/// A number in 0.0..1.0 that depends only on the request id and the entry's index in the script. So the same requests
/// match in every run, whatever their order, and two entries match independently.
pub(super) fn chance(place: usize, request_id: &str) -> f64 {
    let digest = Sha256::new().chain_update(place.to_le_bytes()).chain_update(request_id).finalize();
    let number = digest.iter().take(4).fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
    f64::from(number) / (f64::from(u32::MAX) + 1.0)
}

/// Whether `pattern`, in which `*` matches any text, is found in `text` between word boundaries: the characters before
/// and after must not be letters or digits, unless the pattern itself begins or ends with `*`.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let pieces: Vec<&str> = pattern.split('*').collect();
    text.char_indices().map(|(at, _)| at).chain([text.len()]).any(|start| {
        let bounded = pieces[0].is_empty() || !text[..start].ends_with(char::is_alphanumeric);
        bounded
            && text[start..].starts_with(pieces[0])
            && matches_in_order(&pieces[1..], &text[start + pieces[0].len()..])
    })
}

/// Whether the pieces follow one another in `rest`, and the last of them ends at a word boundary.
fn matches_in_order(pieces: &[&str], rest: &str) -> bool {
    match pieces {
        [] => !rest.starts_with(char::is_alphanumeric),
        [""] => true,
        [piece, later @ ..] => {
            rest.match_indices(piece).any(|(at, found)| matches_in_order(later, &rest[at + found.len()..]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_matched_in_the_request_id_at_word_limits() {
        for (pattern, id, expected) in [
            ("BO_7500_Fr.p3", "BO_7500_Fr.p3.l17.a1", true),
            ("BO_7500_Fr.p3", "BO_7500_Fr.p31.l17.a1", false),
            ("7500", "BO_7500_Fr.p3.l17.a1", true),
            ("500", "BO_7500_Fr.p3.l17.a1", false),
            ("*500", "BO_7500_Fr.p3.l17.a1", true),
            ("BO_*_Fr.p3", "BO_7500_Fr.p3.l17.a1", true),
            ("BO_*.a2", "BO_7500_Fr.p3.l17.a1", false),
            ("BO_7500_Fr.p3*", "BO_7500_Fr.p31.l17.a1", true),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, id), expected, "{pattern} in {id}");
        }
    }
}
