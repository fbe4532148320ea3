//! An answer as the judge reads it: a run of digits is one symbol with a value, and all coordinates look alike.

/// Longer runs of digits are read as several numbers, so that an endless run is seen as a repetition.
const MOST_DIGITS: u8 = 18;

/// A character, or a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Symbol {
    /// The character; [`Symbol::NUMBER`] for a number.
    pub(super) character: char,
    /// Value of a number in the page's text; 0 for other characters, and for a number in markup.
    pub(super) value: u64,
    /// Whether it is text of the page, and not markup.
    pub(super) is_text: bool,
}

impl Symbol {
    /// The character of every number.
    pub(super) const NUMBER: char = '0';
}

/// The symbols of an answer that is still coming in.
#[derive(Debug, Default)]
pub(super) struct Symbols {
    symbols: Vec<Symbol>,
    /// Start of each symbol, characters from the start of the answer.
    origin: Vec<usize>,
    /// Characters of the answer so far.
    seen: usize,
    place: Place,
    /// Number of digits so far, where the answer ends within a number.
    digits: u8,
    /// Number of characters so far, where the answer ends within a tag.
    of_tag: usize,
    /// Whether the last character was a direction mark. A single mark is ignored; a row of them is not, as it may be
    /// endless.
    behind_mark: bool,
}

/// Longest tag, characters. A longer one was no tag, or has so long a description that it counts as text.
const LONGEST_TAG: usize = 300;

/// Names of an element's box and of its text in JSON, as the engine's parser knows them; a number is `0`.
const BOXES: [&str; 2] = ["bbox", "bbox_0d"];
const TEXTS: [&str; 2] = ["text", "content"];

/// The kind of place in the markup where the answer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Place {
    #[default]
    Text,
    /// After a `<`, which may open a tag or mean "less than".
    Bracket,
    Tag,
    /// Between `<|ref|>` and `<|/ref|>`.
    Label,
    /// DeepSeek's `[[…]]`.
    Coordinates,
    /// The head of an element in JSON, from `{"` to the text: its box and its category.
    Element,
}

impl Symbols {
    /// Takes the next character.
    pub(super) fn push(&mut self, character: char) {
        let behind_mark = std::mem::replace(&mut self.behind_mark, is_mark_of_direction(character));
        if self.behind_mark && !behind_mark {
            self.seen += 1;
            return;
        }
        let previous = self.symbols.last().map(|symbol| symbol.character);
        self.of_tag += 1;
        self.place = match (self.place, character) {
            (_, '<') => {
                self.of_tag = 0;
                Place::Bracket
            }
            (Place::Bracket, 'a'..='z' | 'A'..='Z' | '/' | '!' | '|' | '｜') => Place::Tag,
            (Place::Bracket | Place::Tag | Place::Label, '\n') | (Place::Bracket, _) => Place::Text,
            (Place::Tag, _) if self.of_tag > LONGEST_TAG => Place::Text,
            (Place::Tag, '>') if self.ends_with("<|ref|") => Place::Label,
            (Place::Tag, '>') => Place::Text,
            (Place::Text, '[') if previous == Some('[') => Place::Coordinates,
            (Place::Text, '"') if self.is_open_brace_before() => Place::Element,
            (Place::Text, '[') if BOXES.iter().any(|name| self.ends_with_name(name)) => Place::Element,
            (Place::Element, '"') if TEXTS.iter().any(|name| self.ends_with_name(name)) => Place::Text,
            (Place::Element, '}') => Place::Text,
            (Place::Coordinates, ']') if previous == Some(']') => Place::Text,
            (Place::Coordinates, '\n') => Place::Text,
            (place, _) => place,
        };
        let position = self.seen;
        self.seen += 1;
        let is_text = self.place == Place::Text && character != '>';
        let Some(digit) = digit(character) else {
            self.digits = 0;
            return self.add(Symbol { character, value: 0, is_text }, position);
        };
        if self.digits == 0 || self.digits == MOST_DIGITS {
            self.digits = 0;
            self.add(Symbol { character: Symbol::NUMBER, value: 0, is_text }, position);
        }
        self.digits += 1;
        if let (true, Some(number)) = (is_text, self.symbols.last_mut()) {
            number.value = number.value * 10 + digit;
        }
    }

    fn ends_with(&self, text: &str) -> bool {
        let mut behind = self.symbols.iter().rev();
        text.chars().rev().all(|character| behind.next().is_some_and(|symbol| symbol.character == character))
    }

    /// Whether the answer ends with a name of JSON, its colon, and perhaps a space.
    fn ends_with_name(&self, name: &str) -> bool {
        let named = |colon: &str| self.ends_with(&format!("\"{name}\"{colon}"));
        named(": ") || named(":")
    }

    fn is_open_brace_before(&self) -> bool {
        let mut behind = self.symbols.iter().rev().map(|symbol| symbol.character);
        behind.find(|character| !character.is_whitespace()) == Some('{')
    }

    fn add(&mut self, symbol: Symbol, position: usize) {
        self.symbols.push(symbol);
        self.origin.push(position);
    }

    /// The complete symbols: all but a number whose digits may go on.
    pub(super) fn whole(&self) -> &[Symbol] {
        &self.symbols[..self.symbols.len() - usize::from(self.digits > 0)]
    }

    /// Start of a symbol, characters from the start of the answer; for the index after the last, the number of
    /// characters.
    pub(super) fn position(&self, index: usize) -> usize {
        self.origin.get(index).copied().unwrap_or(self.seen)
    }

    /// Characters of the answer so far.
    pub(super) fn seen(&self) -> usize {
        self.seen
    }

    /// Forgets all but the last `most` symbols, once there are twice as many. Returns the number of symbols forgotten.
    pub(super) fn forget_beyond(&mut self, most: usize) -> usize {
        if self.symbols.len() <= 2 * most {
            return 0;
        }
        let surplus = self.symbols.len() - most;
        self.symbols.drain(..surplus);
        self.origin.drain(..surplus);
        surplus
    }
}

/// Whether the character is an invisible direction mark. They stand between the characters of a number or a leader.
pub(super) fn is_mark_of_direction(character: char) -> bool {
    matches!(character, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// The value of a European, Arabic-Indic or Persian digit.
fn digit(character: char) -> Option<u64> {
    let zero = match character {
        '0'..='9' => '0',
        '\u{0660}'..='\u{0669}' => '\u{0660}',
        '\u{06F0}'..='\u{06F9}' => '\u{06F0}',
        _ => return None,
    };
    Some(u64::from(u32::from(character) - u32::from(zero)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbols(text: &str) -> Symbols {
        let mut symbols = Symbols::default();
        text.chars().for_each(|character| symbols.push(character));
        symbols
    }

    fn values(text: &str) -> Vec<u64> {
        let symbols = symbols(text);
        let numbers = symbols.whole().iter().filter(|symbol| symbol.character == Symbol::NUMBER);
        numbers.map(|symbol| symbol.value).collect()
    }

    #[test]
    fn numbers_of_the_text_have_values_in_every_script_and_those_of_tags_have_none() {
        assert_eq!(values("art. 12, ١٢٣ et ۴۵."), [12, 123, 45]);
        assert_eq!(values("<p x=\"12 34\">5</p>"), [0, 0, 5]);
        assert_eq!(values("<|det|>[[12, 34]]<|/det|> 7 "), [0, 0, 7]);
        assert_eq!(values(&format!("{}.", "9".repeat(20))), [999_999_999_999_999_999, 99]);
    }

    #[test]
    fn markup_is_no_text() {
        let text = |raw: &str| -> String {
            let symbols = symbols(raw);
            symbols.whole().iter().filter(|symbol| symbol.is_text).map(|symbol| symbol.character).collect()
        };
        assert_eq!(text("<p class=\"x\">un <b>deux</b></p>\n"), "un deux\n");
        assert_eq!(text("taille < 10 cm, <5, x <= y\n<b>z</b>"), "taille  0 cm, 0, x = y\nz", "but for the brackets");
        assert_eq!(text("si a <b alors\nla suite"), "si a \nla suite", "to the end of the line");
        assert_eq!(
            text(&format!("<b {} suite", "x".repeat(400))).len(),
            "b ".len() + 400 - LONGEST_TAG + " suite".len()
        );
        assert_eq!(text("\u{200F}٫\u{2067}a\u{2069}"), "٫a");
        assert_eq!(
            text("<|ref|>title<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>\n# un [a] "),
            "[]\n# un [a] ",
            "but for the outer brackets"
        );
        let elements = [
            r#"[{"bbox": [1, 2, 3, 4], "category": "Text", "text": "un"}, "#,
            r#"{ "label":"Text","content":"deux","bbox_2d":[5,6,7,8]},"#,
            "{\n \"bbox\": [\n1\n],\n \"category\": \"Picture\"\n}]",
        ];
        assert_eq!(
            text(&elements.concat()),
            "[{\"un\"}, { \"deux\",\"bbox_0d\":},{\n }]",
            "but for the signs around it"
        );
    }

    #[test]
    fn a_number_is_whole_when_something_stands_behind_it() {
        assert_eq!(values("n° 12"), [0_u64; 0]);
        assert_eq!(values("n° 12 "), [12]);
    }

    #[test]
    fn positions_are_those_of_the_answer() {
        let symbols = symbols("n° 2024, ١٤٤٦ ");
        let positions: Vec<usize> = (0..=symbols.whole().len()).map(|index| symbols.position(index)).collect();
        assert_eq!(positions, [0, 1, 2, 3, 7, 8, 9, 13, 14]);
    }

    #[test]
    fn what_is_forgotten_moves_no_position() {
        let mut symbols = symbols(&"ab".repeat(50));
        assert_eq!(symbols.forget_beyond(10), 90);
        assert_eq!((symbols.whole().len(), symbols.position(0), symbols.seen()), (10, 90, 100));
        assert_eq!(symbols.forget_beyond(10), 0);
    }
}
