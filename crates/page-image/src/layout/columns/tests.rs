//! Tests on drawn pages.

use std::borrow::Cow;

use super::*;
use crate::{BBox, PixelSize};

const DPI: f32 = 192.0;
const WIDTH: usize = 1588;
const HEIGHT: usize = 2246;
/// Pixels from the top of one line of text to that of the next.
const LEADING: usize = 32;

/// A page in pixels at 192 dpi.
struct Drawn(Vec<u8>);

impl Drawn {
    /// White, with a running header and its double rule.
    fn with_header() -> Drawn {
        let mut page = Drawn(vec![255; WIDTH * HEIGHT]);
        page.text(90..1500, 140..160);
        page.ink(80..1510, 180..186);
        page.ink(80..1510, 190..192);
        page
    }

    fn ink(&mut self, x: Range<usize>, y: Range<usize>) {
        y.for_each(|y| self.0[y * WIDTH..][x.clone()].fill(30));
    }

    /// Lines of words over a whole area; the last line is short.
    fn text(&mut self, x: Range<usize>, y: Range<usize>) {
        for (line, top) in y.clone().step_by(LEADING).enumerate() {
            let is_last = top + LEADING >= y.end && line > 0;
            let end = if is_last { x.start + x.len() / 3 } else { x.end };
            // Words of 70 pixels, spaces of 12; where a word begins differs from line to line.
            let words = (x.start + line * 37 % 82..end).step_by(82);
            self.ink(x.start..(x.start + line * 37 % 82).saturating_sub(12).clamp(x.start, end), top..top + 16);
            words.for_each(|word| self.ink(word..(word + 70).min(end), top..top + 16));
        }
    }

    fn columns(&mut self, y: Range<usize>) {
        self.text(90..770, y.clone());
        self.text(818..1500, y);
    }

    /// Two columns with a hair rule.
    fn ruled_columns(&mut self, y: Range<usize>) {
        self.ink(793..795, y.clone());
        self.columns(y.start + 10..y.end);
    }

    fn find_columns(&self, when: When, script: Language) -> (Columns, Vec<BBox>) {
        let size = PixelSize { width: WIDTH as u32, height: HEIGHT as u32 };
        let (columns, parts) = columns(&Sheet::new(size, DPI, Cow::Borrowed(&self.0)), when, script);
        (columns, parts.iter().map(|part| part.bbox).collect())
    }

    fn found(&self) -> (Columns, Vec<BBox>) {
        self.find_columns(When::Auto, Language::French)
    }

    /// Whether a row, given in thousandths of the height, is white but for the middle of the page.
    fn is_white(&self, y: u16) -> bool {
        let row = &self.0[usize::from(y) * HEIGHT / 1000 * WIDTH..][..WIDTH];
        row[..750].iter().chain(&row[840..]).all(|&level| level == 255)
    }
}

fn assert_whole((columns, parts): (Columns, Vec<BBox>), reason: ColumnsReason) {
    assert_eq!((columns.reason, columns.divide, parts), (reason, None, vec![BBox::PAGE]), "{columns:?}");
}

#[test]
fn a_page_of_two_columns_is_its_header_and_then_the_columns_in_the_order_of_its_script() {
    let mut page = Drawn::with_header();
    page.ruled_columns(192..2080);
    let (columns, parts) = page.found();
    assert_eq!(columns.reason, ColumnsReason::Rule);
    assert!(columns.confidence.0 >= 95, "{columns:?}");
    let [head, left, right] = parts[..] else { panic!("{parts:?}") };
    assert_eq!((head.top, head.left, head.right), (0, 0, 1000));
    assert!((86..90).contains(&head.bottom) && page.is_white(head.bottom), "below the double rule: {head:?}");
    assert_eq!(left, BBox { left: 0, top: head.bottom, right: 500, bottom: 1000 });
    assert_eq!(right, BBox { left: 500, top: head.bottom, right: 1000, bottom: 1000 });
    let (_, arabic) = page.find_columns(When::Auto, Language::Arabic);
    assert_eq!(arabic, [head, right, left]);
}

#[test]
fn what_stands_over_the_whole_width_is_read_before_and_after_the_columns() {
    let mut page = Drawn::with_header();
    page.text(90..1500, 220..600);
    page.ink(80..1510, 640..644);
    page.ruled_columns(670..1500);
    page.text(90..1500, 1560..2080);
    let (columns, parts) = page.found();
    let divide = columns.divide.unwrap();
    assert!(divide.top.abs_diff(298) <= 2 && divide.bottom.abs_diff(668) <= 2, "{divide:?}");
    let [head, left, right, foot] = parts[..] else { panic!("{parts:?}") };
    assert_eq!((head.bottom, left.bottom, right.bottom), (left.top, foot.top, foot.top));
    assert!(page.is_white(head.bottom) && page.is_white(foot.top));
    assert!((286..299).contains(&head.bottom), "below the line, above the columns: {head:?}");
    assert!((668..694).contains(&foot.top), "{foot:?}");
}

#[test]
fn a_title_between_two_pairs_of_columns_is_read_between_them() {
    let mut page = Drawn::with_header();
    page.ruled_columns(192..1000);
    page.text(500..1100, 1060..1090);
    page.ink(80..1510, 1120..1124);
    page.ruled_columns(1150..2000);
    let (_, parts) = page.found();
    let widths: Vec<u16> = parts.iter().map(|part| part.right - part.left).collect();
    assert_eq!(widths, [1000, 500, 500, 1000, 500, 500]);
}

#[test]
fn a_short_rule_that_ends_the_issue_is_no_part() {
    let mut page = Drawn::with_header();
    page.ruled_columns(192..900);
    page.ink(700..890, 1100..1103);
    assert_eq!(page.found().1.len(), 3);
    page.text(700..890, 1300..1330);
    assert_eq!(page.found().1.len(), 4, "but text is");
}

#[test]
fn a_leaning_and_broken_rule_is_found_and_no_column_loses_a_letter() {
    let mut page = Drawn::with_header();
    for y in (195..2080).filter(|y| y % 90 > 5 && !(900..1000).contains(y)) {
        let x = 780 + y / 80;
        page.ink(x..x + 2, y..y + 1);
    }
    page.text(90..760, 205..2080);
    page.text(830..1500, 205..2080);
    let (columns, parts) = page.found();
    let divide = columns.divide.unwrap();
    assert!(divide.x_top.abs_diff(493) <= 2 && divide.x_bottom.abs_diff(507) <= 2, "{divide:?}");
    let [_, left, right] = parts[..] else { panic!("{parts:?}") };
    assert!(left.right >= divide.x_bottom && right.left <= divide.x_top, "{parts:?}");
}

#[test]
fn black_edges_of_a_scan_do_not_matter() {
    let mut page = Drawn::with_header();
    page.ruled_columns(192..2080);
    let clean = page.found();
    page.ink(0..30, 0..HEIGHT);
    page.ink(0..WIDTH, HEIGHT - 40..HEIGHT);
    assert_eq!(page.found(), clean);
}

#[test]
fn a_small_table_in_a_column_keeps_the_page_divided_and_a_large_one_over_both_does_not() {
    let mut page = Drawn::with_header();
    page.ruled_columns(192..2080);
    (0..4).for_each(|line| page.ink(120 + line * 200..122 + line * 200, 1200..1700));
    (0..6).for_each(|line| page.ink(120..722, 1200 + line * 100..1202 + line * 100));
    assert_eq!(page.found().0.reason, ColumnsReason::Rule);

    let mut page = Drawn::with_header();
    [90, 400, 793, 1200, 1498].iter().for_each(|&x| page.ink(x..x + 2, 250..1900));
    (0..12).for_each(|line| page.ink(90..1500, 250 + line * 150..252 + line * 150));
    (0..11).for_each(|row| page.columns(300 + row * 150..340 + row * 150));
    assert_whole(page.found(), ColumnsReason::Table);
}

#[test]
fn double_rules_beside_the_rule_make_no_table_of_two_columns() {
    // Between two acts: a double rule in a column that almost meets the rule, at its own height in each column.
    let double = |page: &mut Drawn, x: Range<usize>, y: usize| {
        page.0.chunks_mut(WIDTH).skip(y - 26).take(60).for_each(|row| row[x.clone()].fill(255));
        page.ink(x.clone(), y..y + 2);
        page.ink(x, y + 6..y + 8);
    };
    let mut page = Drawn::with_header();
    page.ruled_columns(192..2080);
    [400, 700, 1100, 1500].iter().for_each(|&y| double(&mut page, 800..1500, y));
    assert_eq!(page.found().0.reason, ColumnsReason::Rule);
    [550, 900, 1300, 1800].iter().for_each(|&y| double(&mut page, 90..788, y));
    assert_eq!(page.found().0.reason, ColumnsReason::Rule);

    [0..70, WIDTH - 70..WIDTH].into_iter().for_each(|edge| page.ink(edge, 0..HEIGHT));
    assert_eq!(page.found().0.reason, ColumnsReason::Rule, "with the black edges of a scan");
}

#[test]
fn text_over_the_whole_width_is_left_whole() {
    let mut page = Drawn::with_header();
    page.text(90..1500, 220..2080);
    assert_whole(page.found(), ColumnsReason::NoDivision);
}

#[test]
fn the_columns_below_a_masthead_stay_with_it() {
    let mut page = Drawn::with_header();
    for letter in 0..16 {
        page.ink(120 + letter * 85..140 + letter * 85, 300..370);
    }
    page.text(90..1500, 420..1000);
    page.ruled_columns(1100..2080);
    assert_whole(page.found(), ColumnsReason::Cover);
}

#[test]
fn a_rule_with_text_on_one_side_only_divides_nothing() {
    let mut page = Drawn::with_header();
    page.ink(793..795, 192..2080);
    page.text(90..770, 205..2080);
    assert_whole(page.found(), ColumnsReason::NoDivision);
}

#[test]
fn white_without_a_rule_is_left_whole_for_tables_have_it_too() {
    let mut page = Drawn::with_header();
    page.columns(205..2080);
    assert_whole(page.found(), ColumnsReason::NoDivision);

    let mut list = Drawn::with_header();
    for y in (220..2080).step_by(LEADING) {
        [(90, 160), (260, 400), (820, 990), (1250, 1420)].iter().for_each(|&(from, to)| list.ink(from..to, y..y + 16));
    }
    assert_whole(list.found(), ColumnsReason::NoDivision);
}

#[test]
fn a_page_is_divided_when_it_must_be_unless_there_is_nothing_on_it() {
    let mut page = Drawn::with_header();
    page.text(90..1500, 220..2080);
    let (columns, parts) = page.find_columns(When::Always, Language::French);
    assert_eq!(columns.reason, ColumnsReason::Forced);
    assert_eq!(columns.confidence.0, 50);
    assert_eq!(parts.iter().filter(|part| part.right - part.left < 1000).count(), 2, "{parts:?}");
    assert_whole(Drawn::with_header().find_columns(When::Always, Language::French), ColumnsReason::Sparse);
}

#[test]
fn a_cover_that_must_be_divided_is_so_at_its_rule() {
    let mut page = Drawn::with_header();
    for letter in 0..16 {
        page.ink(120 + letter * 85..140 + letter * 85, 300..370);
    }
    page.text(90..1500, 420..1000);
    page.ink(853..855, 1100..2080);
    page.text(90..833, 1110..2080);
    page.text(878..1500, 1110..2080);
    assert_whole(page.found(), ColumnsReason::Cover);
    let (columns, parts) = page.find_columns(When::Always, Language::French);
    let divide = columns.divide.unwrap();
    assert_eq!((columns.reason, parts.len()), (ColumnsReason::Forced, 3));
    assert!(divide.x_top.abs_diff(538) <= 1 && divide.top.abs_diff(490) <= 3, "{divide:?}");
}

#[test]
fn a_table_that_must_be_divided_is_so_at_its_line() {
    let mut page = Drawn::with_header();
    [90, 400, 853, 1200, 1498].iter().for_each(|&x| page.ink(x..x + 2, 250..1900));
    (0..12).for_each(|line| page.ink(90..1500, 250 + line * 150..252 + line * 150));
    (0..11).for_each(|row| {
        page.text(100..840, 300 + row * 150..340 + row * 150);
        page.text(870..1490, 300 + row * 150..340 + row * 150);
    });
    assert_whole(page.found(), ColumnsReason::Table);
    let (columns, _) = page.find_columns(When::Always, Language::French);
    let divide = columns.divide.unwrap();
    assert_eq!(columns.reason, ColumnsReason::Forced);
    assert!(divide.x_top.abs_diff(538) <= 1 && divide.x_bottom.abs_diff(538) <= 1, "{divide:?}");
}

#[test]
fn columns_are_not_looked_for_where_nobody_asks() {
    let mut page = Drawn::with_header();
    page.ruled_columns(192..2080);
    assert_whole(page.find_columns(When::Never, Language::French), ColumnsReason::NotLookedFor);
}

#[test]
fn odd_pages_are_looked_at_without_a_panic() {
    for (width, height) in [(0, 0), (1, 1), (1, 3000), (3000, 1), (7, 5), (40, 40), (60, 2000), (2000, 60)] {
        for (level, dpi) in [(0, 192.0), (255, 192.0), (0, 0.0), (255, f32::MAX), (0, f32::NAN), (0, 72.0)] {
            let size = PixelSize { width, height };
            let mut levels = vec![level; size.area() as usize];
            levels.iter_mut().step_by(3).for_each(|pixel| *pixel = 255 - level);
            let sheet = Sheet::new(size, dpi, Cow::Owned(levels));
            for when in [When::Auto, When::Always] {
                let (_, parts) = columns(&sheet, when, Language::Arabic);
                assert!(!parts.is_empty());
            }
        }
    }
}
