//! The last check on a whole answer, once it is parsed (facts of the engines, E6).

use std::collections::HashMap;

use super::{Reading, text_of};
use crate::model::FailureClass;

/// What a whole answer is worth, once it is parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acceptance {
    /// It is the page's text.
    Accepted,
    /// The engine says that there is nothing to read.
    Blank,
    /// It is not accepted, and why.
    Refused(FailureClass, String),
}

/// Blocks with fewer characters of text may repeat as they like.
const LEAST_BLOCK: usize = 20;
/// Blocks of text from which on the share of repeated ones means something.
const ENOUGH_BLOCKS: usize = 10;

/// Judges the parsed blocks.
pub fn accept(reading: &Reading) -> Acceptance {
    if let Some(fault) = &reading.fault {
        return Acceptance::Refused(FailureClass::Unparsable, fault.clone());
    }
    if reading.blocks.is_empty() && reading.blank {
        return Acceptance::Blank;
    }
    let texts: Vec<String> = reading.blocks.iter().map(|block| text_of(&block.html)).collect();
    let has_text = texts.iter().any(|text| text.chars().any(char::is_alphanumeric));
    let has_picture = reading.blocks.iter().any(|block| is_picture(&block.label));
    if !has_text && !has_picture {
        return Acceptance::Refused(FailureClass::Empty, "the answer has no text and no picture".into());
    }
    let long: Vec<&str> =
        texts.iter().map(|text| text.trim()).filter(|text| text.chars().count() >= LEAST_BLOCK).collect();
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for text in &long {
        *counts.entry(text).or_default() += 1;
    }
    if long.len() >= ENOUGH_BLOCKS && counts.len() * 5 <= long.len() * 2 {
        let reason = format!("{} blocks of text, but only {} different ones", long.len(), counts.len());
        return Acceptance::Refused(FailureClass::Loop, reason);
    }
    Acceptance::Accepted
}

fn is_picture(label: &str) -> bool {
    matches!(label, "Image" | "Figure" | "Diagram")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Block;

    fn reading(htmls: &[&str]) -> Reading {
        let block = |html: &&str| Block { label: "Text".into(), bbox: None, html: (*html).into() };
        Reading { blocks: htmls.iter().map(block).collect(), ..Reading::default() }
    }

    #[test]
    fn the_last_check_sees_empty_blank_and_repeated_pages() {
        assert_eq!(accept(&reading(&["<p>Texte</p>"])), Acceptance::Accepted);
        assert_eq!(accept(&Reading { blank: true, ..Reading::default() }), Acceptance::Blank);
        let class = |reading: &Reading| match accept(reading) {
            Acceptance::Refused(class, _) => Some(class),
            _ => None,
        };
        assert_eq!(class(&reading(&[])), Some(FailureClass::Empty));
        assert_eq!(class(&reading(&["<p> … </p>"])), Some(FailureClass::Empty));
        assert_eq!(class(&reading(&["<p>Vu la loi organique des finances</p>"; 10])), Some(FailureClass::Loop));
        assert_eq!(class(&reading(&["<td>Idem</td>"; 30])), None);
        let broken = Reading { fault: Some("unclosed".into()), ..reading(&["<p>Texte</p>"]) };
        assert_eq!(class(&broken), Some(FailureClass::Unparsable));
        let picture = Block { label: "Image".into(), bbox: None, html: "<img alt=\"\"/>".into() };
        assert_eq!(accept(&Reading { blocks: vec![picture], ..Reading::default() }), Acceptance::Accepted);
    }
}
