//! Names of files that are made from names of other files.

use sha2::{Digest, Sha256};

/// Maximum length of a file name in bytes (`NAME_MAX` of Linux file systems).
pub const LONGEST_FILE_NAME: usize = 255;

/// `name`, shortened to at most `most` bytes, which are at least 32. A shortened name ends in a digest of the whole
/// name, so that two names stay different.
pub fn shortened(name: &str, most: usize) -> String {
    if name.len() <= most {
        return name.to_owned();
    }
    let digest = hex::encode(&Sha256::digest(name)[..8]);
    let left = most.saturating_sub(digest.len() + 1);
    let kept =
        name.char_indices().map(|(at, character)| at + character.len_utf8()).take_while(|end| *end <= left).last();
    format!("{}~{digest}", &name[..kept.unwrap_or(0)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_fit_and_differ() {
        assert_eq!(shortened("BO_7500_Fr", 32), "BO_7500_Fr");
        let [one, other] = ["a", "b"].map(|end| shortened(&format!("{}{end}", "ج".repeat(125)), 249));
        assert!(one.len() <= 249 && other.len() <= 249 && one.len() > 240, "{one}");
        assert!(one.starts_with("جج") && one != other);
    }
}
