//! The kind of a repeated unit, and how long a gazette may repeat it.

use super::symbols::{Symbol, is_mark_of_direction};

/// The kind of a repeated unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unit {
    content: Content,
    cells: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Words,
    /// A few words that are a line of their own, in a column or a list.
    Line,
    /// The same as an item of a list, where each item is a block: in layout JSON and in DocTags.
    Item,
    /// Words and a leader: a line of a contents page, or of a form.
    Led,
    /// Few letters between fields to fill in: a line of a form.
    Form,
    /// Only what fills lines and cells in print: leaders, rules, quotes, blanks, numbers.
    Filling,
    /// Signs that no gazette prints in rows, such as `!`.
    Signs,
}

/// How the numbers change from copy to copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counting {
    /// One number runs 1, 2, 3; the others are equal.
    Running,
    /// Numbers change by other steps.
    Stepping,
}

impl Unit {
    /// The smallest allowance of copies, characters.
    const LEAST_OF_COPIES: usize = 400;
    /// Copies with counters are no loop below this number of characters.
    pub(super) const LEAST_OF_COUNTERS: usize = 1_200;
    /// The smallest allowance of repeated n-grams, characters of text.
    pub(super) const LEAST_REPETITION: usize = 2_000;

    /// Determines the kind. A unit may begin anywhere in its cycle, so it is read as a ring.
    pub(super) fn of(unit: &[Symbol]) -> Unit {
        let any_behind = |sign: char, names: &[&str]| {
            let follows = |at: usize, name: &str| {
                (1..).zip(name.chars()).all(|(i, c)| unit[(at + i) % unit.len()].character == c)
            };
            let mut signs = (0..unit.len()).filter(|&at| unit[at].character == sign);
            signs.any(|at| names.iter().any(|name| follows(at, name)))
        };
        let any_of = |names: &[&str]| any_behind('<', names);
        let text =
            without_rules_of_formulas(unit.iter().filter(|symbol| symbol.is_text).map(|symbol| symbol.character));
        // In JSON an end of a line is written `\n`.
        let text = text.replace("\\n", "\n");
        let marks = text.chars().filter(|character| !character.is_whitespace()).count();
        let letters = text.chars().filter(|character| character.is_alphabetic()).count();
        let signs = text.chars().any(|character| !character.is_alphabetic() && !is_filler(character));
        let fields = || any_of(&["input"]) || text.contains(['□', '☐', '☑', '☒']);
        let leader = || ["...", ". . .", "…", "___", "‥", "⋯"].iter().any(|leader| text.contains(leader));
        let ends_line = text.contains('\n');
        let line = || ends_line || any_of(&["br", "li", "p"]);
        let blocks = any_of(&["div", "|", "loc_"]) || any_behind('"', &["bbox"]);
        let item = || any_of(&["list_item"]) || any_behind('"', &["List-item"]);
        // Of HTML, of OTSL, and of Markdown.
        let cells = any_of(&["td", "th", "tr"]) || any_of(&OTSL) || text.contains('|') && ends_line;
        let content = match letters {
            0 if signs => Content::Signs,
            0 => Content::Filling,
            _ if fields() => Content::Form,
            _ if letters * 100 < marks * LEAST_LETTERS && signs => Content::Signs,
            _ if letters * 100 < marks * LEAST_LETTERS => Content::Form,
            _ if leader() => Content::Led,
            // A model that repeats blocks repeats whole ones; the lines of a column are within one block.
            _ if marks <= SHORT_LINE && !blocks && line() => Content::Line,
            _ if marks <= SHORT_ITEM && blocks && item() => Content::Item,
            _ => Content::Words,
        };
        Unit { content, cells }
    }

    /// Number of characters from which equal copies of `period` characters are a loop.
    pub(super) fn allowance_of_copies(self, period: usize) -> usize {
        let floor = match (self.content, self.cells) {
            (Content::Words | Content::Signs, false) => Self::LEAST_OF_COPIES,
            (Content::Line, false) => (COLUMN * period).clamp(Self::LEAST_OF_COPIES, 2_000),
            (Content::Item, false) => (COLUMN * period).clamp(Self::LEAST_OF_COPIES, 4_500),
            (Content::Filling, false) => 1_500,
            (Content::Led, false) => 2_000,
            (Content::Words | Content::Line | Content::Item | Content::Led | Content::Signs, true) => 2_400,
            (Content::Form, _) => 4_000,
            (Content::Filling, true) => 6_000,
        };
        floor.max(least_of_copies(period))
    }

    /// Whether this many copies that differ only in counters are a loop. `characters` is their length, `text` that of
    /// the page's text in them, without leaders.
    pub(super) fn forbids_counters(self, counting: Counting, copies: usize, characters: usize, text: usize) -> bool {
        let many = match (self.content, self.cells) {
            (Content::Filling, false) => characters >= 1_500,
            (Content::Filling, true) => characters >= 4_000,
            _ => copies >= LIST,
        };
        let runs_on = counting == Counting::Stepping || copies >= LIST && characters >= 3_000;
        text >= FULLEST_PAGE || many && runs_on
    }

    /// Number of characters of text from which repeated n-grams are a loop.
    pub(super) fn allowed_repetition(self) -> usize {
        match self.content {
            Content::Words | Content::Line | Content::Item | Content::Led | Content::Signs => Self::LEAST_REPETITION,
            Content::Filling => 3_000,
            Content::Form => 4_000,
        }
    }
}

/// Share of letters in a unit's marks, in hundredths, below which it does not count as words.
const LEAST_LETTERS: usize = 30;
/// Marks of a line that may stand in every row of a column: `Sans changement`, `Technicien de 3e grade`.
const SHORT_LINE: usize = 20;
/// The same with the signs of JSON around it: `"}, {`.
const SHORT_ITEM: usize = SHORT_LINE + 6;
/// Tags of cells and of the end of a row in OTSL.
const OTSL: [&str; 9] = ["fcel", "ecel", "ched", "rhed", "lcel", "ucel", "xcel", "srow", "nl"];
/// Lines of a column, with a margin.
const COLUMN: usize = 50;
/// Entries of a list that counts, with a margin: lots, articles without change, the lines of a scale. A page of two
/// columns has no more.
const LIST: usize = 100;
/// Commands of formulas that draw lines, dots or space.
const RULES: [&str; 9] = ["hline", "quad", "qquad", "dots", "ldots", "cdots", "hfill", "dotfill", "hrulefill"];

/// The text of a ring, rotated to begin at a command if it has one, without the names of the commands in [`RULES`].
fn without_rules_of_formulas(ring: impl Iterator<Item = char>) -> String {
    let ring: String = ring.collect();
    let Some((before, behind)) = ring.split_once('\\') else { return ring };
    let text = format!("\\{behind}{before}");
    let is_rule = |piece: &str| RULES.contains(&piece.split(|c: char| !c.is_alphabetic()).next().unwrap_or_default());
    let pieces = text
        .split('\\')
        .map(|piece| if is_rule(piece) { piece.trim_start_matches(char::is_alphabetic) } else { piece });
    pieces.collect::<Vec<_>>().join("\\")
}

/// More than any page holds, characters of text: the fullest page of the corpus has 6,726.
const FULLEST_PAGE: usize = 7_000;

/// The smallest allowance of any unit of this length.
pub(super) fn least_of_copies(period: usize) -> usize {
    Unit::LEAST_OF_COPIES.max((4 * period).min(1_000 + 2 * period))
}

/// Number of characters of the page's text, without the dots of leaders and the signs between the cells of Markdown, and
/// without the spaces behind these and behind other spaces.
pub(super) fn text_without_leaders(symbols: &[Symbol]) -> usize {
    let is_leader = |symbol: &Symbol| ".․‥…⋯·_|".contains(symbol.character);
    let counts = |at: usize| {
        let symbol = &symbols[at];
        let is_behind = |at: usize| is_leader(&symbols[at]) || symbols[at].character.is_whitespace();
        let in_leader = symbol.character.is_whitespace() && at > 0 && is_behind(at - 1);
        symbol.is_text && !is_leader(symbol) && !in_leader
    };
    (0..symbols.len()).filter(|at| counts(*at)).count()
}

fn is_filler(character: char) -> bool {
    character.is_whitespace()
        || character == Symbol::NUMBER
        || FILLERS.contains(character)
        || is_mark_of_direction(character)
}

const FILLERS: &str = ".․‥…⋯·•*-–—_=|/:;؛,،٫٬'‘’‚\"“”„«»‹›()[]{}+~°%&\\□☐☑☒";
