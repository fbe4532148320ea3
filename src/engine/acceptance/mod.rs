//! The last check of a complete, parsed answer (`docs/facts/chandra.md`, "Answer").
//!
//! A refused page keeps its best attempt under the class of its failure, but it does not count as read. So a page is
//! refused only for what is wrong in every gazette, and every limit here is wide.
//!
//! **Ink.** The ink of an image is the fraction of its pixels that are dark and belong to marks as large as a letter: 4
//! % to 12 % on a full page of text. On the 315 pages of the corpus whose whole text is known, an A4 page has 14,800 to
//! 56,500 letters and digits per unit of ink (an ink of 1 would be a black page). An answer has too little text if it
//! has fewer than a tenth of the least, on a page that has the ink of a full one and no large picture. It has too much
//! if it has more than six times the most and another 1,000 for pale print; then the model invented text. Smaller paper
//! lowers the first limit in proportion to its area, and larger paper raises the second; larger paper does not raise
//! the first, nor smaller paper lower the second, because scans often declare wrong sheet sizes. The shadow of a book's
//! fold is ink too, so an answer that the page is blank is believed until the page has ink like dense text.
//!
//! **Script.** Arabic issues have French annexes, bilingual tables and pages of Latin names; French issues quote
//! Arabic. Two things are always wrong: another script; and, on a page of an Arabic issue without any Arabic, running
//! text in Latin letters that is not French, English or Spanish. That is a transliteration. A page in one of these
//! languages passes.

mod decoding;
pub(super) mod language;
mod leaks;
pub(super) mod repetition;

use crate::model::{BBox, Block, FailureClass, ImageFacts, Language};

use super::{Reading, text_of};
use decoding::broken_signs;
use language::Letters;
use leaks::{repeated_prompt, special_token, tool_markup};
use repetition::{repeated_blocks, said_twice};

/// What is known of an image before it is read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expectation<'a> {
    edition: Language,
    print: Option<Print>,
    /// The text that is sent with the image.
    prompt: &'a str,
}

/// Measurements of an image.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Print {
    /// Dark pixels of marks as large as a letter, as a fraction of the image: 0.0..=1.0.
    ink: f32,
    /// Area of the paper, in sheets of A4; from the size that the PDF file declares, which may be wrong.
    sheets: f32,
}

/// Area of A4 in square inches.
const A4: f32 = 96.67;

impl<'a> Expectation<'a> {
    /// Nothing is known.
    pub const NONE: Expectation<'static> = Expectation { edition: Language::Unknown, print: None, prompt: "" };

    /// The expectation for an image of an issue in this language, according to the plan.
    pub fn of(edition: Language, image: &ImageFacts) -> Expectation<'static> {
        let sheets = image.size.area() as f32 / (image.dpi * image.dpi * A4);
        Expectation { edition, print: Some(Print { ink: image.ink, sheets }), prompt: "" }
    }

    /// The same, for an engine that is asked with this prompt.
    pub fn asked_with(self, prompt: &'a str) -> Expectation<'a> {
        Expectation { prompt, ..self }
    }
}

/// The verdict on a complete, parsed answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acceptance {
    /// It is the page's text.
    Accepted,
    /// The engine says that there is nothing to read.
    Blank,
    /// The answer is refused, for this class of failure and this reason.
    Refused(FailureClass, String),
}

/// Letters of foreign scripts from which they count: fewer may be misread ornaments.
const FOREIGN: usize = 20;
/// Their share of all letters, in thousandths, from which a page is refused.
const FOREIGN_SHARE: usize = 5;

/// Latin letters of running text from which an Arabic page without Arabic is checked.
const RUNNING_TEXT: usize = 300;
/// Share of Arabic letters, in hundredths, below which a page counts as having none.
const NO_ARABIC: usize = 1;
/// Share of the commonest words of a language, in hundredths of all words, from which a text is in that language. On
/// the French pages of the corpus the share is 8 (coordinates) to 34, mostly 28.
const LANGUAGE_SHARE: usize = 4;
/// The commonest words of French, English and Spanish, without those that are common in transliterated Arabic too
/// (`al`, `el`, `an`, `a`).
const COMMONEST: [&[&str]; 3] = [
    &[
        "de", "la", "le", "les", "et", "des", "du", "en", "à", "au", "aux", "un", "une", "par", "pour", "sur", "est",
        "dans", "que", "qui",
    ],
    &["the", "of", "and", "to", "in", "for", "by", "with", "on", "or", "is", "be", "as", "at", "this", "shall"],
    &["de", "la", "los", "las", "del", "en", "y", "que", "por", "para", "con", "una", "se"],
];

/// Ink of a full page. With more, the page is a photograph or a dark scan, and its ink says nothing about text.
const FULL_PAGE: std::ops::RangeInclusive<f32> = 0.03..=0.2;
/// Ink of a page that is not blank, even if the engine says so: a scan's shadow has 4 %.
const DENSE_PAGE: std::ops::RangeInclusive<f32> = 0.07..=0.2;
/// Share of an image from which pictures count as large. Beside a large picture little text is plausible.
const LARGE_PICTURE: f64 = 0.4;
/// Fewest letters and digits on a sheet of A4, divided by the page's ink.
const LEAST_FOR_INK: f32 = 1_500.0;
/// Most letters and digits on a sheet of A4, divided by the page's ink.
const MOST_FOR_INK: f32 = 340_000.0;
/// Letters and digits that a page may have in print too pale to count as ink.
const PALE: f32 = 1_000.0;

/// Accepts or refuses the parsed blocks.
pub fn accept(reading: &Reading, expects: Expectation) -> Acceptance {
    let refused = |class, reason: Option<String>| reason.map(|reason| Acceptance::Refused(class, reason));
    if let Some(fault) = &reading.fault {
        return Acceptance::Refused(FailureClass::Unparsable, fault.clone());
    }
    let texts: Vec<String> = reading.blocks.iter().map(|block| text_of(&block.html)).collect();
    if reading.blocks.is_empty() && reading.blank {
        let inked = expects.print.filter(|print| DENSE_PAGE.contains(&print.ink)).map(|print| print.ink * 100.0);
        let reason = inked.map(|ink| format!("the engine says that the page is blank, but {ink:.1} % of it is ink"));
        return refused(FailureClass::Implausible, reason).unwrap_or(Acceptance::Blank);
    }
    refused(FailureClass::Empty, empty(reading, &texts))
        .or_else(|| refused(FailureClass::Unparsable, special_token(&texts)))
        .or_else(|| refused(FailureClass::Unparsable, tool_markup(&texts)))
        .or_else(|| refused(FailureClass::BrokenText, broken_text(&texts)))
        .or_else(|| refused(FailureClass::Loop, repeated_blocks(&texts)))
        .or_else(|| refused(FailureClass::WrongScript, foreign_script(&texts)))
        .or_else(|| refused(FailureClass::WrongScript, not_arabic(reading, &texts, expects)))
        .or_else(|| refused(FailureClass::Implausible, too_little(reading, &texts, expects)))
        .or_else(|| refused(FailureClass::Implausible, too_much(&texts, expects)))
        .or_else(|| refused(FailureClass::Repeated, said_twice(reading)))
        .or_else(|| refused(FailureClass::Unparsable, repeated_prompt(&texts, expects.prompt)))
        .unwrap_or(Acceptance::Accepted)
}

fn empty(reading: &Reading, texts: &[String]) -> Option<String> {
    let has_text = texts.iter().any(|text| text.chars().any(char::is_alphanumeric));
    (!has_text && !reading.blocks.iter().any(is_picture)).then(|| "the answer has no text and no picture".into())
}

/// Signs of broken decoding from which an answer is refused. A single one may be a sign that no model knows.
const BROKEN: usize = 2;

fn broken_text(texts: &[String]) -> Option<String> {
    let signs = signs_in(texts);
    (signs >= BROKEN)
        .then(|| format!("{signs} replacement characters or other signs of broken decoding are in the text"))
}

/// What is odd about an accepted answer; empty if nothing is.
pub(super) fn remark_on(reading: &Reading) -> String {
    let texts: Vec<String> = reading.blocks.iter().map(|block| text_of(&block.html)).collect();
    match signs_in(&texts) {
        0 => String::new(),
        _ => "a replacement character or another sign of broken decoding is in the text".into(),
    }
}

fn signs_in(texts: &[String]) -> usize {
    texts.iter().map(|text| broken_signs(text)).sum()
}

fn foreign_script(texts: &[String]) -> Option<String> {
    let letters = letters_of(texts);
    (letters.foreign >= FOREIGN && letters.foreign * 1_000 >= letters.all() * FOREIGN_SHARE)
        .then(|| format!("{} of {} letters are of a foreign script", letters.foreign, letters.all()))
}

fn not_arabic(reading: &Reading, texts: &[String], expects: Expectation) -> Option<String> {
    let letters = letters_of(texts);
    if expects.edition != Language::Arabic || letters.arabic * 100 >= letters.all() * NO_ARABIC {
        return None;
    }
    let running: String = reading
        .blocks
        .iter()
        .zip(texts)
        .filter(|(block, _)| !block.html.contains("<table"))
        .map(|(_, text)| text.to_lowercase() + " ")
        .collect();
    let words: Vec<&str> = running.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let share = |commonest: &&[&str]| words.iter().filter(|word| commonest.contains(word)).count() * 100;
    let known = COMMONEST.iter().map(share).any(|share| share >= words.len() * LANGUAGE_SHARE);
    let latin = Letters::of(&running).latin;
    (latin >= RUNNING_TEXT && !known)
        .then(|| format!("{latin} Latin letters in no language of a gazette, on a page of an Arabic issue"))
}

fn too_little(reading: &Reading, texts: &[String], expects: Expectation) -> Option<String> {
    let print = expects.print.filter(|print| FULL_PAGE.contains(&print.ink))?;
    if picture_area(reading) >= LARGE_PICTURE {
        return None;
    }
    let written = letters_and_digits(texts);
    ((written as f32) < print.ink * print.sheets.min(1.0) * LEAST_FOR_INK).then(|| {
        let ink = print.ink * 100.0;
        format!("only {written} letters and digits, but {ink:.1} % of the page is ink and no large picture is on it")
    })
}

fn too_much(texts: &[String], expects: Expectation) -> Option<String> {
    let print = expects.print?;
    let written = letters_and_digits(texts);
    (written as f32 > print.ink * print.sheets.max(1.0) * MOST_FOR_INK + PALE)
        .then(|| format!("{written} letters and digits, but only {:.2} % of the page is ink", print.ink * 100.0))
}

fn letters_of(texts: &[String]) -> Letters {
    Letters::of(&texts.concat())
}

fn letters_and_digits(texts: &[String]) -> usize {
    texts.iter().map(|text| text.chars().filter(|character| character.is_alphanumeric()).count()).sum()
}

fn is_picture(block: &Block) -> bool {
    matches!(block.label.as_str(), "Image" | "Figure" | "Diagram") || block.html.contains("<img")
}

/// Share of the image that pictures take, from 0. A picture without a box counts as large as the image.
fn picture_area(reading: &Reading) -> f64 {
    let whole = f64::from(BBox::SCALE).powi(2);
    let area = |block: &Block| {
        block.bbox.map_or(1.0, |b| {
            f64::from(b.right.saturating_sub(b.left)) * f64::from(b.bottom.saturating_sub(b.top)) / whole
        })
    };
    reading.blocks.iter().filter(|block| is_picture(block)).map(area).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::{Dialect, Formulas, parse_answer},
        model::PixelSize,
    };

    const IMAGE: PixelSize = PixelSize { width: 1000, height: 1400 };

    fn reading(htmls: &[&str]) -> Reading {
        let block = |html: &&str| Block { label: "Text".into(), bbox: None, html: (*html).into() };
        Reading { blocks: htmls.iter().map(block).collect(), ..Reading::default() }
    }

    fn class(reading: &Reading, expects: Expectation) -> Option<FailureClass> {
        match accept(reading, expects) {
            Acceptance::Refused(class, _) => Some(class),
            Acceptance::Accepted | Acceptance::Blank => None,
        }
    }

    /// A4 at 192 dpi.
    fn a4(ink: f32) -> Expectation<'static> {
        let size = PixelSize { width: 1596, height: 2240 };
        let image =
            ImageFacts { size, dpi: 192.0, grey: true, encoded_bytes: 9, ink, render_micros: 0, encode_micros: 0 };
        Expectation::of(Language::Unknown, &image)
    }

    const FRENCH: &str = include_str!("../../../tests/data/truth/BO_7510_Fr/p004.txt");
    const ARABIC: &str = include_str!("../../../tests/data/truth/BO_7412_Ar/p003.txt");
    const PRICES: &str = include_str!("../../../tests/data/judge/prices-fr-long-names.txt");

    #[test]
    fn the_last_check_sees_empty_blank_and_repeated_pages() {
        assert_eq!(accept(&reading(&["<p>Texte</p>"]), Expectation::NONE), Acceptance::Accepted);
        assert_eq!(accept(&Reading { blank: true, ..Reading::default() }, Expectation::NONE), Acceptance::Blank);
        let class = |reading: &Reading| class(reading, Expectation::NONE);
        assert_eq!(class(&reading(&[])), Some(FailureClass::Empty));
        assert_eq!(class(&reading(&["<p> … </p>"])), Some(FailureClass::Empty));
        assert_eq!(class(&reading(&["<p>Vu la loi organique des finances</p>"; 10])), Some(FailureClass::Loop));
        assert_eq!(class(&reading(&["<td>Idem</td>"; 30])), None);
        let broken = Reading { fault: Some("unclosed".into()), ..reading(&["<p>Texte</p>"]) };
        assert_eq!(class(&broken), Some(FailureClass::Unparsable));
        let picture = Block { label: "Image".into(), bbox: None, html: "<img alt=\"\"/>".into() };
        assert_eq!(
            accept(&Reading { blocks: vec![picture], ..Reading::default() }, Expectation::NONE),
            Acceptance::Accepted
        );
    }

    #[test]
    fn real_pages_are_accepted_in_either_edition_with_the_ink_of_a_page() {
        for (text, edition) in [
            (FRENCH, Language::French),
            (FRENCH, Language::Arabic),
            (ARABIC, Language::Arabic),
            (ARABIC, Language::French),
            (PRICES, Language::Arabic),
        ] {
            for ink in [0.02, 0.07, 0.126, 0.6] {
                let page = reading(&[&format!("<p>{text}</p>")]);
                assert_eq!(accept(&page, Expectation { edition, ..a4(ink) }), Acceptance::Accepted, "{edition} {ink}");
            }
        }
    }

    #[test]
    fn broken_decoding_is_refused_and_a_single_sign_is_kept_and_told() {
        let broken = [FRENCH.replace('é', "\u{FFFD}"), FRENCH.replace('é', "Ã©"), ARABIC.replace('ا', "\u{FFFD}")];
        for text in broken {
            assert_eq!(class(&reading(&[&text]), Expectation::NONE), Some(FailureClass::BrokenText));
        }
        let one = reading(&[&FRENCH.replacen('é', "\u{FFFD}", 1)]);
        assert_eq!(accept(&one, Expectation::NONE), Acceptance::Accepted);
        assert!(!remark_on(&one).is_empty());
        assert_eq!(remark_on(&reading(&[FRENCH, ARABIC])), "");
    }

    #[test]
    fn an_answer_that_repeats_the_prompt_is_refused() {
        let prompt = "Convert the page of this document to plain Markdown text.";
        let expects = Expectation::NONE.asked_with(prompt);
        assert_eq!(class(&reading(&[prompt, FRENCH]), expects), Some(FailureClass::Unparsable));
        assert_eq!(class(&reading(&[FRENCH]), expects), None);
    }

    #[test]
    fn a_page_that_is_said_twice_is_refused() {
        assert_eq!(class(&reading(&[FRENCH, FRENCH]), Expectation::NONE), Some(FailureClass::Repeated));
        assert_eq!(class(&reading(&[FRENCH, ARABIC]), Expectation::NONE), None);
    }

    #[test]
    fn a_foreign_script_is_refused_and_a_misread_ornament_is_not() {
        let page = |html: &str| class(&reading(&[html, FRENCH]), Expectation::NONE);
        assert_eq!(page("摩洛哥王国政府公报第七千五百号二零二六年四月十六日出版"), Some(FailureClass::WrongScript));
        assert_eq!(page("Официальный бюллетень Королевства Марокко"), Some(FailureClass::WrongScript));
        assert_eq!(page("ก ข 王"), None);
    }

    #[test]
    fn a_transliteration_of_an_arabic_page_is_refused_and_its_latin_tables_are_not() {
        let arabic = Expectation { edition: Language::Arabic, ..Expectation::NONE };
        let transliteration = "qarar li wazir al iqtisad wa al maliya raqm sadir fi min jumada al ula ".repeat(8);
        assert_eq!(class(&reading(&[&transliteration]), arabic), Some(FailureClass::WrongScript));
        assert_eq!(class(&reading(&[&transliteration]), Expectation::NONE), None);
        assert_eq!(class(&reading(&[&format!("<table><tr><td>{transliteration}</td></tr></table>")]), arabic), None);
        assert_eq!(class(&reading(&["الجريدة الرسمية", &transliteration]), arabic), None, "a running head in Arabic");
    }

    #[test]
    fn what_the_ink_does_not_bear_out_is_implausible() {
        let head = reading(&["<p>BULLETIN OFFICIEL N° 7500 – 28 chaoual 1447 (16-4-2026)</p>"]);
        let implausible = Some(FailureClass::Implausible);
        assert_eq!(class(&head, a4(0.07)), implausible, "a full page of which only the head was read");
        assert_eq!(class(&head, a4(0.01)), None);
        assert_eq!(class(&head, a4(0.5)), None, "a photograph");
        let map = Block { label: "Image".into(), bbox: None, html: "<img alt=\"carte\"/>".into() };
        assert_eq!(class(&Reading { blocks: vec![map], ..Reading::default() }, a4(0.07)), None);
        let blank = Reading { blank: true, ..Reading::default() };
        assert_eq!(class(&blank, a4(0.08)), implausible, "called blank");
        assert_eq!(accept(&blank, a4(0.002)), Acceptance::Blank);
        assert_eq!(accept(&blank, a4(0.05)), Acceptance::Blank, "the shadow of a fold");
        assert_eq!(class(&reading(&[ARABIC]), a4(0.001)), implausible, "a page of text about a stamp");
        let poster = Expectation { print: Some(Print { ink: 0.01, sheets: 16.0 }), ..Expectation::NONE };
        let long = [FRENCH, ARABIC, PRICES].concat();
        assert_eq!(class(&reading(&[&long]), a4(0.01)), implausible);
        assert_eq!(class(&reading(&[&long]), poster), None);
    }

    #[test]
    fn a_scan_that_declares_a_wrong_paper_size_is_read() {
        let declared = |sheets| Expectation { print: Some(Print { ink: 0.07, sheets }), ..Expectation::NONE };
        for sheets in [0.01, 0.4, 1.0, 69.0] {
            assert_eq!(class(&reading(&[FRENCH]), declared(sheets)), None, "{sheets} sheets");
        }
    }

    #[test]
    fn only_a_large_picture_stands_for_the_ink() {
        let head = "<p>BULLETIN OFFICIEL N° 7500</p>";
        let with = |label: &str, bbox| {
            let picture = Block { label: label.into(), bbox, html: "<img alt=\"\"/>".into() };
            let mut reading = reading(&[head]);
            reading.blocks.push(picture);
            class(&reading, a4(0.07))
        };
        let seal = Some(BBox { left: 450, top: 20, right: 550, bottom: 100 });
        let map = Some(BBox { left: 50, top: 200, right: 950, bottom: 950 });
        assert_eq!(with("Image", seal), Some(FailureClass::Implausible));
        assert_eq!(with("Image", map), None);
        assert_eq!(with("Complex-Block", map), None);
        let alone = Block { label: "Complex-Block".into(), bbox: map, html: "<img alt=\"Plan\"/>".into() };
        assert_eq!(
            accept(&Reading { blocks: vec![alone], ..Reading::default() }, a4(0.07)),
            Acceptance::Accepted,
            "a page that is a plan"
        );
    }

    #[test]
    fn the_blocks_of_a_form_may_repeat() {
        for line in ["<p>Nom : ……………………………………</p>", "<p>Nom : ……… Prénom : ……… Signature : ……</p>"]
        {
            assert_eq!(class(&reading(&[line; 12]), Expectation::NONE), None, "{line}");
        }
    }

    #[test]
    fn an_annex_in_english_or_spanish_of_an_arabic_issue_is_read() {
        let arabic = Expectation { edition: Language::Arabic, ..Expectation::NONE };
        let english = "The contracting parties shall agree on the terms of this convention and its protocols. ";
        let spanish = "Las partes contratantes convienen en los términos del presente convenio y sus protocolos. ";
        for text in [english, spanish] {
            assert_eq!(class(&reading(&[&text.repeat(6)]), arabic), None, "{text}");
        }
    }

    #[test]
    fn every_dialect_shows_tables_pictures_blank_pages_and_tokens_of_the_model_alike() {
        let table = "<table><tr><td>Prix</td><td>12</td></tr></table>";
        let dialects = [
            (
                Dialect::LayoutJson { box_scale: None },
                format!(r#"[{{"bbox": [1, 2, 3, 4], "category": "Table", "text": "{table}"}}]"#),
                r#"[{"bbox": [0, 0, 1000, 1400], "category": "Picture"}]"#,
                "[]",
                r#"[{"bbox": [1, 2, 3, 4], "category": "Text", "text": "Vu la loi<|im_end|> et"}]"#,
            ),
            (
                Dialect::Markdown { front_matter: false, formulas: Formulas::Brackets },
                "| Prix | 12 |\n|---|---|\n| a | b |".into(),
                "![](page_0_0_9_9.png)",
                "",
                "Vu la loi<|im_end|> et",
            ),
            (
                Dialect::Doctags { box_scale: 500 },
                "<doctag><otsl><loc_1><loc_2><loc_3><loc_4><fcel>Prix<fcel>12<nl></otsl></doctag>".into(),
                "<doctag><picture><loc_0><loc_0><loc_500><loc_500></picture></doctag>",
                "<doctag></doctag>",
                "<doctag><text><loc_1><loc_2><loc_3><loc_4>Vu la loi<|im_end|> et</text></doctag>",
            ),
        ];
        for (dialect, table, picture, blank, token) in dialects {
            let read = |answer: &str| parse_answer(answer, dialect, IMAGE);
            assert!(read(&table).blocks[0].html.contains("<table"), "{dialect:?}");
            assert_eq!(accept(&read(&table), Expectation::NONE), Acceptance::Accepted, "{dialect:?}");
            assert_eq!(accept(&read(picture), Expectation::NONE), Acceptance::Accepted, "{dialect:?}");
            match accept(&read(blank), Expectation::NONE) {
                // Markdown has no word for a blank page.
                Acceptance::Refused(FailureClass::Empty, _) => assert!(blank.is_empty()),
                other => assert_eq!(other, Acceptance::Blank, "{dialect:?}"),
            }
            assert_eq!(class(&read(token), Expectation::NONE), Some(FailureClass::Unparsable), "{dialect:?}");
        }
    }

    #[test]
    fn tokens_of_the_model_in_the_text_are_refused_in_both_dialects() {
        let deepseek = |tail: &str| {
            let raw = format!("<|ref|>text<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>\nVu la loi {tail}");
            class(&parse_answer(&raw, Dialect::Grounding { box_scale: 999 }, IMAGE), Expectation::NONE)
        };
        assert_eq!(deepseek(""), None);
        assert_eq!(deepseek("<｜end▁of▁sentence｜>"), None, "at the end it belongs there");
        assert_eq!(deepseek("<｜end▁of▁sentence｜> et la suite"), Some(FailureClass::Unparsable));
        assert_eq!(deepseek("<|/det|> et la suite"), Some(FailureClass::Unparsable));
        let chandra = "<div data-bbox=\"1 2 3 4\" data-label=\"Text\"><p>Vu la loi<|im_end|></p></div>";
        assert_eq!(
            class(&parse_answer(chandra, Dialect::Divs { box_scale: 1000 }, IMAGE), Expectation::NONE),
            Some(FailureClass::Unparsable)
        );
    }
}
