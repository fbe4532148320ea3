//! Counts the tokens of texts and images. For text these are estimates of the real tokenizers' counts; for images the
//! engines' own rules (`docs/facts/chandra.md`, "Page images", and `docs/facts/deepseek.md`, "Tiles and tokens").
//!
//! A text token is one of: a special tag such as `<|ref|>`; a digit; up to six Latin letters or four of another script,
//! with the space before them; up to two punctuation marks; a run of white space. A streamed answer is split by the
//! same rule, so that usage and stream always agree. On six real pages, markup included, a token had 2.4 to 3.1
//! characters.

use crate::{model::PixelSize, standin::dialect::Dialect};

/// Side of the square that Qwen3-VL turns into one token: patch 16 times merge 2.
const CELL: u32 = 32;
/// The same of Qwen2-VL and its kin, which most models of the other dialects are: patch 14 times merge 2.
const SMALL_CELL: u32 = 28;
/// Fewest pixels that Qwen3-VL's processor works on; smaller images are enlarged.
const MIN_PIXELS: u64 = 65_536;
/// Most pixels that Qwen3-VL's processor works on when no cap is set; larger images are shrunk.
const MAX_PIXELS: u64 = 16_777_216;
/// Qwen3-VL's processor refuses an image whose longer side is more than this many times its shorter one.
const MAX_ASPECT: u32 = 200;

/// Length in bytes of the first token of `text`; 0 for an empty text.
fn first_token(text: &str) -> usize {
    if text.starts_with("<|")
        && let Some(end) = text[2..].find("|>")
        && end <= 24
    {
        return end + 4;
    }
    let mut chars = text.char_indices().peekable();
    let Some((_, first)) = chars.next() else { return 0 };
    if first.is_whitespace() && !(first == ' ' && chars.peek().is_some_and(|(_, next)| next.is_alphabetic())) {
        return text.find(|c: char| !c.is_whitespace()).unwrap_or(text.len());
    }
    let lead = if first == ' ' { chars.next().map_or(first, |(_, next)| next) } else { first };
    let (limit, alike): (usize, fn(char) -> bool) = if lead.is_ascii_digit() || lead.is_numeric() {
        (1, char::is_numeric)
    } else if lead.is_alphabetic() {
        (if lead < '\u{0300}' { 6 } else { 4 }, char::is_alphabetic)
    } else {
        (2, |c| !c.is_alphanumeric() && !c.is_whitespace() && c != '<')
    };
    chars.take(limit - 1).take_while(|&(_, c)| alike(c)).last().map_or_else(
        || text.len().min(if first == ' ' { 1 + lead.len_utf8() } else { lead.len_utf8() }),
        |(at, c)| at + c.len_utf8(),
    )
}

/// The tokens of `text`, without the end-of-sequence token.
pub fn of(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (token, after) = rest.split_at(first_token(rest));
        rest = after;
        (!token.is_empty()).then_some(token)
    })
}

/// Number of tokens of `text`, without the end-of-sequence token.
pub fn count(text: &str) -> u32 {
    of(text).count() as u32
}

/// Length in bytes of the first `tokens` tokens of `text`, and how many tokens there were.
pub fn prefix(text: &str, tokens: u32) -> (usize, u32) {
    let mut end = 0;
    let mut taken = 0;
    while taken < tokens && end < text.len() {
        end += first_token(&text[end..]);
        taken += 1;
    }
    (end, taken)
}

/// An image that the engine's own processor refuses, with the processor's message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("absolute aspect ratio must be smaller than {MAX_ASPECT}, got {ratio:.1}", ratio = f64::from(.size.width.max(.size.height)) / f64::from(.size.width.min(.size.height).max(1)))]
pub struct ImageRefused {
    size: PixelSize,
}

/// Prompt tokens of an image. A stand-in knows its dialect, not its model: DeepSeek-OCR-2 is counted like
/// DeepSeek-OCR.
///
/// # Errors
/// Qwen's processor refuses extreme aspect ratios.
pub fn of_image(dialect: Dialect, size: PixelSize) -> Result<u32, ImageRefused> {
    match dialect {
        Dialect::Divs => cells(size, CELL),
        Dialect::Grounding => Ok(gundam(size)),
        Dialect::LayoutJson | Dialect::Markdown => cells(size, SMALL_CELL),
        Dialect::Doctags => Ok(splits(size)),
    }
}

/// One token for each cell, after Qwen's `smart_resize`.
fn cells(size: PixelSize, side: u32) -> Result<u32, ImageRefused> {
    let (short, long) = (size.width.min(size.height), size.width.max(size.height));
    if short == 0 || f64::from(long) / f64::from(short) > f64::from(MAX_ASPECT) {
        return Err(ImageRefused { size });
    }
    let cell = f64::from(side);
    let sides = [f64::from(size.width), f64::from(size.height)];
    let rounded = sides.map(|side| (side / cell).round_ties_even().max(1.0));
    let area = (rounded[0] * rounded[1] * cell * cell) as u64;
    let cells = if area > MAX_PIXELS {
        let shrink = (size.area() as f64 / MAX_PIXELS as f64).sqrt();
        sides.map(|side| (side / shrink / cell).floor().max(1.0))
    } else if area < MIN_PIXELS {
        let grow = (MIN_PIXELS as f64 / size.area() as f64).sqrt();
        sides.map(|side| (side * grow / cell).ceil())
    } else {
        rounded
    };
    Ok((cells[0] * cells[1]) as u32)
}

/// DeepSeek-OCR's Gundam mode, the only one that vLLM serves: a global view of 1024 x 1024, and two to six
/// tiles of 640 x 640 in the arrangement whose aspect ratio is nearest.
fn gundam(size: PixelSize) -> u32 {
    const GLOBAL: u32 = 16 * 17 + 1;
    if size.width <= 640 && size.height <= 640 {
        return GLOBAL;
    }
    let aspect = f64::from(size.width) / f64::from(size.height.max(1));
    let mut best = (f64::INFINITY, 1, 2);
    for wide in 1..=6_u32 {
        for high in 1..=6_u32 {
            let difference = (aspect - f64::from(wide) / f64::from(high)).abs();
            if (2..=6).contains(&(wide * high)) && difference < best.0 {
                best = (difference, wide, high);
            }
        }
    }
    let (_, wide, high) = best;
    GLOBAL + (10 * high) * (10 * wide + 1)
}

/// Idefics3's rule, as Granite-Docling has it: tiles of 512 pixels of the image brought to 2,048 pixels, and the whole view,
/// each of 64 tokens and two for its name.
fn splits(size: PixelSize) -> u32 {
    let longer = f64::from(size.width.max(size.height).max(1));
    let tiles = |side: u32| (f64::from(side) * 2048.0 / longer / 512.0).ceil().max(1.0) as u32;
    (tiles(size.width) * tiles(size.height) + 1) * 66
}

/// Tokens that the chat template adds to the text and image of one user message.
pub fn of_template(dialect: Dialect) -> u32 {
    match dialect {
        Dialect::Grounding => 1,
        Dialect::Divs | Dialect::LayoutJson | Dialect::Markdown | Dialect::Doctags => 12,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(width: u32, height: u32) -> PixelSize {
        PixelSize { width, height }
    }

    #[test]
    fn chandra_images_cost_what_a_real_server_charged() {
        // Prompt tokens measured on vLLM, less the 27 of text and template.
        assert_eq!(of_image(Dialect::Divs, size(1000, 1400)), Ok(1391 - 27));
        assert_eq!(of_image(Dialect::Divs, size(2480, 3508)), Ok(8607 - 27));
        assert_eq!(of_image(Dialect::Divs, size(1, 1)), Ok(91 - 27));
        assert_eq!(of_image(Dialect::Divs, size(1600, 2240)), Ok(3500));
        assert!(of_image(Dialect::Divs, size(8, 4000)).is_err());
    }

    #[test]
    fn deepseek_images_cost_the_gundam_formula() {
        assert_eq!(of_image(Dialect::Grounding, size(1000, 1400)), Ok(903));
        assert_eq!(of_image(Dialect::Grounding, size(2246, 1588)), Ok(893));
        assert_eq!(of_image(Dialect::Grounding, size(600, 1800)), Ok(603));
        assert_eq!(of_image(Dialect::Grounding, size(320, 448)), Ok(273));
    }

    #[test]
    fn a_text_is_cut_into_tokens_without_loss() {
        let text = "<|ref|>text<|/ref|><|det|>[[12, 7]]<|/det|>\nArticle premier. — الجريدة الرسمية  n° 7500 <b>é</b>";
        let mut pieces = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (end, taken) = prefix(rest, 1);
            assert_eq!(taken, 1);
            pieces.push(&rest[..end]);
            rest = &rest[end..];
        }
        assert_eq!(pieces.concat(), text);
        assert_eq!(pieces.len() as u32, count(text));
        assert_eq!(&pieces[..4], ["<|ref|>", "text", "<|/ref|>", "<|det|>"]);
        assert_eq!(prefix(text, 3), ("<|ref|>text<|/ref|>".len(), 3));
        assert_eq!(count(""), 0);
    }
}
