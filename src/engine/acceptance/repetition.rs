//! Text that an answer says several times.

use std::collections::{HashMap, HashSet};

use crate::engine::{
    Reading,
    parse::html::{lines_of, text_of},
};

/// Blocks with fewer letters and digits may repeat without limit: the blocks of a form are mostly leaders.
const LEAST_BLOCK: usize = 20;
/// Fewest blocks of text for which the share of repeated ones means anything.
const ENOUGH_BLOCKS: usize = 10;
/// Fewest different words of a text that is said twice. The rows of a table and the lines of a form have fewer.
const ENOUGH_WORDS: usize = 25;
/// Share of the words, in hundredths, that agree between a text and its copy. A running head is said once.
const AGREEING: usize = 95;
/// The same of the numbers alone: the entries of a list agree but for their numbers.
const AGREEING_NUMBERS: usize = 80;

/// A loop that ended by itself: few of many blocks are different.
pub(super) fn repeated_blocks(texts: &[String]) -> Option<String> {
    let long: Vec<&str> = texts.iter().map(|text| text.trim()).filter(|text| is_long(text)).collect();
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for text in &long {
        *counts.entry(text).or_default() += 1;
    }
    (long.len() >= ENOUGH_BLOCKS && counts.len() * 5 <= long.len() * 2)
        .then(|| format!("{} blocks of text, but only {} different ones", long.len(), counts.len()))
}

/// The reading without the repeated blocks that [`repeated_blocks`] refuses it for: of equal blocks only the first is
/// kept.
pub(in crate::engine) fn without_repeated_blocks(mut reading: Reading) -> Reading {
    let mut said = HashSet::new();
    reading.blocks.retain(|block| {
        let text = text_of(&block.html).trim().to_owned();
        !is_long(&text) || said.insert(text)
    });
    reading
}

fn is_long(text: &str) -> bool {
    text.chars().filter(|character| character.is_alphanumeric()).count() >= LEAST_BLOCK
}

/// The page is said twice, or each of its lines is. Two copies of a form on one page look alike.
pub(super) fn said_twice(reading: &Reading) -> Option<String> {
    let lines: Vec<String> = reading.blocks.iter().flat_map(|block| lines_of(&block.html)).collect();
    let words: Vec<&str> = lines.iter().flat_map(|line| words_of(line)).collect();
    if is_said_again(&words) {
        return Some("the answer says the text of the page twice".into());
    }
    let long: Vec<&str> = lines.iter().map(|line| line.trim()).filter(|line| is_long(line)).collect();
    let twice = pairs(&long);
    let different: HashSet<&str> = long.iter().flat_map(|line| words_of(line)).collect();
    (twice >= 2 && 2 * twice * 100 >= long.len() * AGREEING && different.len() >= ENOUGH_WORDS)
        .then(|| format!("the answer says each of {twice} lines twice"))
}

fn words_of(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

/// Whether the words are a text and the same text again, with a few words that only one of them has.
fn is_said_again(words: &[&str]) -> bool {
    let number = words.len();
    let agrees = |offset: &usize| {
        let (first, second) = (&words[..number - offset], &words[*offset..]);
        let agree = |share: usize, belongs: fn(&str) -> bool| {
            let pairs = first.iter().zip(second).filter(|(word, _)| belongs(word));
            let (all, equal) =
                pairs.fold((0, 0), |(all, equal), (one, other)| (all + 1, equal + usize::from(one == other)));
            equal * 100 >= all * share
        };
        agree(AGREEING, |_| true) && agree(AGREEING_NUMBERS, |word| word.contains(char::is_numeric))
    };
    // The copy may be a little longer or shorter than the text.
    let offsets = number * 2 / 5..=number * 3 / 5;
    let Some(offset) = offsets.filter(|offset| *offset > 0).find(agrees) else { return false };
    let different: HashSet<&&str> = words[offset..].iter().collect();
    different.len() >= ENOUGH_WORDS
}

/// Number of lines that are followed by an equal one; a line counts in one pair.
fn pairs(lines: &[&str]) -> usize {
    let (mut pairs, mut at) = (0, 0);
    while at + 1 < lines.len() {
        let equal = lines[at] == lines[at + 1];
        pairs += usize::from(equal);
        at += if equal { 2 } else { 1 };
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Block;

    const FRENCH: &str = include_str!("../../../tests/data/truth/BO_7510_Fr/p004.txt");
    const ARABIC: &str = include_str!("../../../tests/data/truth/BO_7412_Ar/p003.txt");

    fn reading(htmls: impl IntoIterator<Item = String>) -> Reading {
        let block = |html| Block { label: "Text".into(), bbox: None, html };
        Reading { blocks: htmls.into_iter().map(block).collect(), ..Reading::default() }
    }

    fn paragraphs(text: &str) -> Vec<String> {
        text.lines().filter(|line| !line.trim().is_empty()).map(|line| format!("<p>{}</p>", line.trim())).collect()
    }

    #[test]
    fn a_page_that_is_said_twice_is_seen_however_it_is_divided() {
        for text in [FRENCH, ARABIC] {
            let once = paragraphs(text);
            let head = ["<p>BULLETIN OFFICIEL N° 7510</p>".to_owned()];
            let twice = [once.clone(), once.clone()].concat();
            let with_head = [&head[..], &twice].concat();
            let each = once.iter().flat_map(|html| [html.clone(), html.clone()]);
            assert!(said_twice(&reading(twice.clone())).is_some());
            assert!(said_twice(&reading(with_head)).is_some());
            assert!(said_twice(&reading([twice.concat()])).is_some(), "in one block");
            assert!(said_twice(&reading(each.clone())).is_some());
            assert!(said_twice(&reading([each.collect::<String>()])).is_some(), "in one block");
            assert_eq!(said_twice(&reading(once)), None);
        }
    }

    #[test]
    fn lists_tables_and_forms_are_not_said_twice() {
        let order = |n: usize| {
            let subject = ["la loi de finances", "le budget de l’État", "la cour des comptes"][n % 3];
            format!(
                "<p>Arrêté du ministre de l’économie et des finances n° {} du 5 mars 2024 fixant, pour {subject}, la liste \
                 des diplômes qui sont reconnus équivalents au diplôme national d’architecte</p>",
                n * 37
            )
        };
        let rows = |rows: usize| "<tr><td>Technicien de 3e grade</td><td>Rabat</td></tr>".repeat(rows);
        for html in [
            format!("<table>{}</table>", rows(40)),
            "<p>Nom et prénom : ……… Date et lieu de naissance : ………</p>".repeat(12),
            (1..60).map(|n| format!("<p>Article {n} (sans changement).</p>")).collect(),
            (1..40).map(order).collect(),
            String::new(),
        ] {
            assert_eq!(said_twice(&reading([html.clone()])), None, "{html}");
        }
    }

    #[test]
    fn what_is_refused_for_repeated_blocks_is_kept_without_them() {
        let said = "<p>Vu la loi organique relative aux finances</p>";
        let htmls = ["<p>Article 1</p>", said, said, "<p>Idem</p>", "<p>Idem</p>", said];
        let kept = without_repeated_blocks(reading(htmls.map(str::to_owned)));
        let htmls: Vec<&str> = kept.blocks.iter().map(|block| block.html.as_str()).collect();
        assert_eq!(htmls, ["<p>Article 1</p>", said, "<p>Idem</p>", "<p>Idem</p>"]);
    }
}
