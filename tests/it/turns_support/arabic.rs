//! Arabic words in the order and in the forms in which they are drawn.

/// Letters in the order of the block "Arabic Presentation Forms-B", which begins at U+FE80, with the number of their
/// forms: alone, final, initial, medial.
const LETTERS: [(char, u32); 36] = [
    ('ء', 1),
    ('آ', 2),
    ('أ', 2),
    ('ؤ', 2),
    ('إ', 2),
    ('ئ', 4),
    ('ا', 2),
    ('ب', 4),
    ('ة', 2),
    ('ت', 4),
    ('ث', 4),
    ('ج', 4),
    ('ح', 4),
    ('خ', 4),
    ('د', 2),
    ('ذ', 2),
    ('ر', 2),
    ('ز', 2),
    ('س', 4),
    ('ش', 4),
    ('ص', 4),
    ('ض', 4),
    ('ط', 4),
    ('ظ', 4),
    ('ع', 4),
    ('غ', 4),
    ('ف', 4),
    ('ق', 4),
    ('ك', 4),
    ('ل', 4),
    ('م', 4),
    ('ن', 4),
    ('ه', 4),
    ('و', 2),
    ('ى', 2),
    ('ي', 4),
];

/// First code of the forms of a letter, and their number.
fn forms(letter: char) -> Option<(u32, u32)> {
    let place = LETTERS.iter().position(|(known, _)| *known == letter)?;
    Some((0xfe80 + LETTERS[..place].iter().map(|(_, forms)| forms).sum::<u32>(), LETTERS[place].1))
}

fn joins_next(letter: Option<&char>) -> bool {
    letter.and_then(|letter| forms(*letter)).is_some_and(|(_, forms)| forms == 4)
}

/// The text as it is drawn from left to right. Figures and marks keep their order.
pub fn drawn(text: &str) -> String {
    let words: Vec<String> = text.split(' ').rev().map(word).collect();
    words.join(" ")
}

fn word(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    if !letters.iter().any(|letter| forms(*letter).is_some()) {
        return text.to_owned();
    }
    let mut shaped = Vec::new();
    let mut at = 0;
    while at < letters.len() {
        let before = at.checked_sub(1).and_then(|before| letters.get(before));
        let joined = u32::from(joins_next(before));
        let next = letters.get(at + 1);
        match (letters[at], next) {
            ('ل', Some('ا')) => {
                shaped.push(char::from_u32(0xfefb + joined).unwrap());
                at += 1;
            }
            (letter, next) => shaped.push(match forms(letter) {
                None => letter,
                Some((first, 1)) => char::from_u32(first).unwrap(),
                Some((first, count)) => {
                    let joins = count == 4 && next.and_then(|next| forms(*next)).is_some_and(|(_, forms)| forms > 1);
                    char::from_u32(first + joined + if joins { 2 } else { 0 }).unwrap()
                }
            }),
        }
        at += 1;
    }
    shaped.iter().rev().collect()
}

/// All that is drawn of words of these letters: what a font must have.
pub fn all_forms() -> String {
    (0xfe80..=0xfef4).chain([0xfefb, 0xfefc]).filter_map(char::from_u32).collect()
}

#[test]
fn letters_take_the_form_that_their_neighbours_ask_for() {
    assert_eq!(drawn("باب"), "\u{fe8f}\u{fe8e}\u{fe91}");
    assert_eq!(drawn("لا 12"), "12 \u{fefb}");
    assert_eq!(drawn("سلام"), "\u{fee1}\u{fefc}\u{feb3}");
}
