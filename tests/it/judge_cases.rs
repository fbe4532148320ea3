//! The judge on real passages that it must let pass, and on loops made of real passages that it must cut soon.
//!
//! `cargo test --test it judge_cases -- --nocapture` prints what each loop costs.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;

use crate::judge_support::{FORMS, cut, div, grounded, pages, rows};

fn real_pages() -> Vec<(String, String)> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    ["judge", "truth"].iter().flat_map(|folder| pages(&data.join(folder))).collect()
}

/// A passage of `tests/data/judge`.
fn passage(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/judge/{name}.txt"))).unwrap()
}

const FRENCH: &str = include_str!("../data/truth/BO_7510_Fr/p004.txt");
const ARABIC: &str = include_str!("../data/truth/BO_7412_Ar/p003.txt");

#[test]
fn every_real_page_passes_in_every_dialect_also_printed_twice() {
    for (name, text) in real_pages() {
        for (form, write) in FORMS {
            let once = write(&text);
            for text in [once.repeat(2), once] {
                assert!(cut(&text).is_none(), "{name}, {form}: {}", cut(&text).unwrap().found);
            }
        }
    }
}

#[test]
fn legitimate_repetition_passes() {
    let row = |cell: &str, cells: usize| format!("<tr>{}</tr>\n", format!("<td>{cell}</td>").repeat(cells));
    let table = |rows: String| div("Table", &format!("<table>{rows}</table>"));
    let numbered = |n: usize| format!("<tr><td>{n}</td><td></td><td></td></tr>\n");
    let cases = [
        ("dot leader", format!("Décret n° 2-24-12 {} 1234", ".".repeat(300))),
        ("spaced dots", format!("Arrêté {} 7", ". ".repeat(300))),
        ("ellipses of a form", "……………<br/>\n".repeat(40)),
        ("dotted lines of an amendment", "« ................................................ »\n".repeat(24)),
        (
            "dotted lines in blocks",
            grounded("text", "« ................................................", 7).repeat(12),
        ),
        ("rules", format!("{}\n{}", "_".repeat(500), "-".repeat(500))),
        ("closing guillemets", "» ".repeat(300)),
        ("ornaments between acts", "*\n* *\n".repeat(40)),
        ("12 empty rows", table(row("", 8).repeat(12))),
        ("40 empty rows", table(row("", 6).repeat(40))),
        ("a ruled table of zeros", table(row("0", 8).repeat(40))),
        ("a table of dashes", table(row("-", 10).repeat(35))),
        ("a table of 0 and 1", table((0..200_usize).map(|n| row(if n * n % 7 > 2 { "0" } else { "1" }, 1)).collect())),
        (
            "rows of oui and non",
            table((0..40_usize).map(|n| row(if n * n % 5 > 2 { "oui" } else { "non" }, 4)).collect()),
        ),
        ("idem", table(row("Idem", 5).repeat(30))),
        ("equal rows", table(row("Technicien de 3e grade", 3).repeat(15))),
        ("numbered empty rows", table((1..=60).map(numbered).collect())),
        ("a column of numbers", (0..400).map(|n| format!("<tr><td>{}</td></tr>", 100_000 + n * n * 37)).collect()),
        ("drawn bonds", (0..400).map(|n| format!("{} ", 1_000 + n * n % 7_919)).collect()),
        ("a refrain", "<p>Le reste sans changement.</p>".repeat(10)),
        ("articles that say the same", (1..25).map(|n| format!("<p>Article {n}. – (abrogé)</p>\n")).collect()),
        (
            "lots in rows, with two more counters",
            table(
                (1..=60)
                    .map(|n| {
                        format!(
                            "<tr><td>{n}</td><td>Lot n° {n}</td><td>Habitation économique</td><td>Titre {}/T</td></tr>",
                            40_000 + n
                        )
                    })
                    .collect(),
            ),
        ),
        (
            "lots in lines",
            (1..=90).map(|n| format!("Lot n° {n} : parcelle {} de 12 ares<br/>\n", 300 + 2 * n)).collect(),
        ),
        (
            "articles without change, in blocks",
            (1..=75).map(|n| div("Text", &format!("<p>Article {n} (sans changement).</p>"))).collect(),
        ),
        (
            "articles without change, in grounded blocks",
            (1..=75).map(|n| grounded("text", &format!("المادة {n} (دون تغيير)."), n)).collect(),
        ),
        (
            "a scale in words",
            (0..60)
                .map(|n| {
                    let (from, to, tax) = (1_001 + 100 * n, 1_100 + 100 * n, 10 + 3 * n);
                    format!("De {from} à {to} dirhams : {tax} dirhams<br/>")
                })
                .collect(),
        ),
        (
            "a scale in Arabic words",
            (0..80)
                .map(|n| format!("<p>من {} إلى {} درهم : {} درهما</p>\n", 1_001 + 100 * n, 1_100 + 100 * n, 10 + 3 * n))
                .collect(),
        ),
        (
            "contents whose numbers rise by steps",
            (0..60)
                .map(|n| {
                    let (number, day, page) = (31 * n, n + 1, 1_000 + n);
                    format!("<p>Arrêté du ministre n° {number}-26 du {day} mai 2026 {} {page}</p>", ". ".repeat(60))
                })
                .collect(),
        ),
        (
            "numbered lines of a form",
            (1..70)
                .map(|n| format!("<p>{n}. Nom et prénom : {} CIN : {}</p>", ".".repeat(80), ".".repeat(40)))
                .collect(),
        ),
        (
            "a scale whose numbers are written out",
            (20..80)
                .map(|n| {
                    format!(
                        "De {} mille à {} mille dirhams : {} dirhams\n",
                        in_words(n),
                        in_words(n + 1),
                        in_words(n - 9)
                    )
                })
                .collect(),
        ),
        ("lots that were sold", (1..30).map(|n| format!("Lot n° {n} : adjugé\n")).collect()),
        (
            "one title for every name",
            names().map(|name| format!("M. {name}, administrateur de 1re classe ;\n")).collect(),
        ),
        ("wide tatweel", format!("ق{}رار", "ـ".repeat(200))),
        ("a page of equal orders", equal_orders().take(32).collect()),
        (
            "equal orders in paragraphs",
            equal_orders().take(32).map(|order| div("Text", &format!("<p>{order}</p>"))).collect(),
        ),
        (
            "equal orders in grounded blocks",
            equal_orders().take(30).enumerate().map(|(n, order)| grounded("text", &order, n)).collect(),
        ),
        ("a form's names", "<p>Nom : ……… Prénom : ……… Signature : ……</p>\n".repeat(20)),
        ("a form's long lines", format!("<p>Nom : {}</p>\n", ".".repeat(60)).repeat(30)),
        ("dotted lines for names", format!("M. {}<br/>\n", "…".repeat(40)).repeat(30)),
        ("an Arabic form", "الاسم العائلي ..................... رقم البطاقة .....................\n".repeat(12)),
        ("boxes to tick", "Oui <input type=\"checkbox\"/> Non <input type=\"checkbox\"/><br/>\n".repeat(25)),
        ("drawn boxes to tick", "□ Oui ☐ Non\n".repeat(45)),
        ("items without change", "<li>Sans changement</li>\n".repeat(40)),
        ("a column of one town", "Rabat<br/>".repeat(45)),
        ("a column of one town in lines", "الرباط\n".repeat(45)),
        ("boundary stones", (1..=300).map(|n| format!("B{n}, ")).collect()),
        ("parcels", (1..=450).map(|n| format!("{n}, ")).collect()),
        ("lots of one estate", (1..=40).map(|n| format!("Lot n° {n} : lotissement Al Amal, Rabat ;\n")).collect()),
        ("articles without change", (1..=60).map(|n| format!("<p>Article {n} : sans changement</p>\n")).collect()),
        (
            "a numbered table of equal rows",
            table(
                (1..=60).map(|n| format!("<tr><td>{n}</td><td>Logement économique</td><td>oui</td></tr>\n")).collect(),
            ),
        ),
        ("a blank table of 40 rows", table(row("", 12).repeat(40))),
        (
            "a matrix",
            format!("<math>\\begin{{pmatrix}} {} \\end{{pmatrix}}</math>", "0 & 0 & 0 \\\\ \\hline ".repeat(30)),
        ),
        ("curly quotes", "“ ’ ” ‘ ‹ › ‥ ⋯ ․\n".repeat(40)),
        ("Arabic marks of numbers", "؛ ٫ ٬\n".repeat(100)),
        ("guillemets with marks of direction", "\u{200F}» \u{200E}\u{2067}«\u{2069} ".repeat(60)),
        ("limits in a column", (1..60_usize).map(|n| format!("lot {n} : < {} cm\n", n * n)).collect()),
        ("coordinates in cells", table(rows(&passage("coordinates-fr").replace(" N ", "   N   ")))),
    ];
    let cuts: Vec<String> = cases
        .iter()
        .filter_map(|(name, text)| Some(format!("{name}: {}, at {}", cut(text)?.found, cut(text)?.seen)))
        .collect();
    assert!(cuts.is_empty(), "{cuts:#?}");
}

/// Orders of a contents page as in BO 7360, Arabic: numbered one by one, while they share pages as they come.
fn equal_orders() -> impl Iterator<Item = String> {
    let page = |n: usize| 8_845 + n * 2 / 3;
    (0..).map(move |n| {
        format!(
            "قرار لوزير التعليم العالي والبحث العلمي والابتكار رقم {}.24 صادر في 18 من جمادى الأولى 1446 (21 نوفمبر 2024) \
             بتحديد بعض المعادلات بين الشهادات ........................ {}\n",
            2_784 + n,
            page(n)
        )
    })
}

fn names() -> impl Iterator<Item = String> {
    let family = [
        "Alaoui", "Bennani", "Chraïbi", "Idrissi", "Tazi", "El Fassi", "Berrada", "Lahlou", "Sqalli", "Naciri",
        "Ouazzani",
    ];
    let given = ["Ahmed", "Fatima", "Youssef", "Khadija", "Omar", "Zineb", "Driss"];
    (0..60_usize).map(move |n| format!("{} {}", given[n * 5 % given.len()], family[n * 7 % family.len()]))
}

/// A number below 100, near enough to French.
fn in_words(n: usize) -> String {
    const UNITS: [&str; 10] = ["", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf"];
    const TENS: [&str; 10] =
        ["", "dix", "vingt", "trente", "quarante", "cinquante", "soixante", "septante", "octante", "nonante"];
    format!("{} {}", TENS[n / 10], UNITS[n % 10]).trim().to_owned()
}

/// A loop: what stands before it, and what it writes at each round.
struct Case {
    name: &'static str,
    before: String,
    round: Box<dyn Fn(usize) -> String>,
    /// The most characters that may come after its beginning.
    most: usize,
}

fn repeats(name: &'static str, unit: impl Into<String>, most: usize) -> Case {
    let unit = unit.into();
    turns(name, move |_| unit.clone(), most)
}

fn turns(name: &'static str, round: impl Fn(usize) -> String + 'static, most: usize) -> Case {
    Case { name, before: div("Text", FRENCH), round: Box::new(round), most }
}

impl Case {
    fn after(self, before: impl Into<String>) -> Case {
        Case { before: before.into(), ..self }
    }
}

/// Characters of a real text, so many.
fn part_of(text: &str, characters: usize) -> String {
    text.chars().cycle().take(characters).collect()
}

/// The `n`-th pick among several, without order.
fn pick<'a>(choices: &[&'a str], n: usize) -> &'a str {
    choices[(n * n * 7 + n * 3 + ((n * 2_654_435_761) >> 7)) % choices.len()]
}

fn in_script(n: usize, zero: char) -> String {
    let digit = |digit: char| char::from_u32(u32::from(digit) - u32::from('0') + u32::from(zero)).unwrap();
    n.to_string().chars().map(digit).collect()
}

fn copies() -> Vec<Case> {
    let french_line = "Le présent arrêté sera publié au Bulletin officiel.\n";
    let arabic_line = "ينشر هذا القرار بالجريدة الرسمية.\n";
    let row = "<tr><td>ALMANTIN 10 mg comprimé pelliculé</td><td>140,40</td><td>133,30</td></tr>\n";
    let arabic_row = "<tr><td>المملكة المغربية</td><td>وزارة الداخلية</td></tr>\n";
    let long = || passage("list-ar") + &passage("guillemets-fr");
    vec![
        repeats("a French line", french_line, 600),
        repeats("a French line, from the first character", french_line, 600).after(""),
        repeats("an Arabic line", arabic_line, 600).after(ARABIC),
        repeats("a paragraph", format!("<p>{}</p>\n", french_line.trim()), 600),
        repeats("a list item", "<li>M. Ahmed Alaoui, membre ;</li>\n", 600),
        repeats("a block", div("Text", "<p>Vu la loi n° 5-96 ;</p>"), 600),
        turns(
            "a block whose box moves",
            |n| {
                format!(
                    "<div data-bbox=\"80 {} 920 {}\" data-label=\"Text\"><p>Vu la loi ;</p></div>\n",
                    5 + n * 3,
                    n * 31
                )
            },
            600,
        ),
        turns("a grounded block whose box moves", |n| grounded("text", "Vu la loi ;", n), 600)
            .after(grounded("text", ARABIC, 1)),
        turns(
            "a grounded title whose box is odd",
            |n| format!("<|ref|>title<|/ref|><|det|>[[{}, 7, {}, {}]]<|/det|>\n# قرار\n\n", n * n, 9 * n, n % 13),
            600,
        ),
        repeats("a running head", div("Page-Header", "BULLETIN OFFICIEL"), 600),
        repeats("a word", "المملكة ", 600).after(ARABIC),
        repeats("a word in the middle of a table", "<td>Casablanca </td>", 3_000).after("<table><tr><td>Ville</td>"),
        repeats("a row of words", row, 3_000),
        repeats("an Arabic row, deep in a table", arabic_row, 3_000).after(div("Table", &rows(&passage("prices-ar")))),
        repeats("a grounded table's row", "<tr><td>Dose</td><td>Prix</td></tr>", 3_000)
            .after(grounded("table", "<table>", 1)),
        repeats("empty rows", "<tr><td></td><td></td><td></td></tr>\n", 7_600),
        repeats("empty cells", "<td></td>", 7_600).after("<table><tr>"),
        repeats("rows of zeros", "<tr><td>0</td><td>0</td></tr>\n", 7_600),
        repeats("two lines in turn", format!("{french_line}Fait à Rabat, le 21 mai 2026.\n"), 700),
        repeats("an article of 700 characters", part_of(FRENCH, 700), 3_000),
        repeats("an Arabic article of 1,500 characters", part_of(ARABIC, 1_500), 4_600).after(""),
        repeats("half a page of 2,999 characters", part_of(&long(), 2_999), 8_600),
        repeats("a period of 4,000", part_of(&long(), 4_000), 10_100),
        repeats(
            "letters that count, an alphabet for ever",
            ('a'..='z').map(|letter| format!("{letter}) le dossier complet ;\n")).collect::<String>(),
            3_000,
        ),
        repeats(
            "Arabic letters that count",
            "أبجدهوزحطي".chars().map(|letter| format!("{letter}) نسخة من القرار ؛\n")).collect::<String>(),
            1_200,
        ),
        repeats("tatweel", "ـ", 600).after(ARABIC),
        repeats("a column of one town", "Rabat<br/>\n", 1_100),
        repeats("a column of short lines", "<li>Technicien de 3e grade</li>\n", 2_500),
        repeats("a form's line", "<p>Nom : ……… Prénom : ………</p>\n", 2_700),
        repeats("a form's leaders", format!("M. {}<br/>\n", ".".repeat(60)), 4_700),
        repeats("boxes to tick", "Oui <input type=\"checkbox\"/> Non <input type=\"checkbox\"/><br/>\n", 4_700),
        repeats("marks of direction", "\u{200F}", 1_700),
        repeats("a line behind a bare bracket", "lot de moins < 10 cm, au sens de l’article premier\n", 600),
        repeats("exclamation marks", "!", 600),
        repeats("exclamation marks, from the first character", "!", 600).after(""),
        repeats("newlines", "\n", 1_700),
        repeats("spaces", " ", 1_700),
        repeats("blanks as references", "&nbsp;", 600),
        repeats("line breaks", "<br/>", 1_700),
        repeats("opened divs", "<div>", 1_700),
        repeats("dots", ".", 1_700),
        repeats("dotted lines in grounded blocks", grounded("text", "« ........", 3), 2_100).after(""),
        repeats("one endless number", "0", 1_700),
        repeats("a formula", "\\alpha + ", 600),
        repeats("a picture", "<img alt=\"Armoiries du Royaume\"/>\n", 1_700),
    ]
}

fn counters() -> Vec<Case> {
    vec![
        turns("articles", |n| format!("Article {n}. – Le reste sans changement.\n"), 4_700),
        turns("articles, from the first character", |n| format!("Article {n}. – Le reste sans changement.\n"), 4_700).after(""),
        turns("articles in paragraphs", |n| format!("<p>Article {n}</p>\n"), 3_800),
        turns("a numbered list", |n| format!("<li>{n}° la carte nationale ;</li>\n"), 4_200),
        turns("a numbered line", |n| format!("{n}. Vu la loi n° 5-96 ;\n"), 3_800),
        turns("Arabic digits", |n| format!("المادة {} : تنسخ\n", in_script(n, '٠')), 3_800).after(ARABIC),
        turns("Persian digits", |n| format!("المادة {} : تنسخ\n", in_script(n, '۰')), 3_800).after(ARABIC),
        turns("counting down by tens", |n| format!("Dahir du {} avril\n", 99_990 - 10 * n), 2_400),
        turns("two counters", |n| format!("N° {n} : lot {} de la parcelle\n", 3 * n + 7), 3_400),
        turns("counters in blocks whose boxes move", |n| grounded("text", &format!("Article {n}"), n * n), 8_000).after(grounded("text", FRENCH, 1)),
        turns("rows with running numbers", |n| format!("<tr><td>{n}</td><td>Technicien</td><td>{}</td></tr>\n", 2 * n), 6_200).after("<table>"),
        turns("rows of nothing but running numbers", |n| format!("<tr><td>{n}</td><td>{}</td></tr>\n", n + 1), 5_100).after("<table>"),
        turns("numbers in a row", |n| format!("{n} "), 3_800),
        turns("an endless contents page", |n| format!("قرار لوزير التعليم العالي والبحث العلمي والابتكار رقم {}.24 صادر في 18 من جمادى الأولى 1446 (21 نوفمبر 2024) بتحديد بعض المعادلات بين الشهادات ......... {}\n", 2_784 + n, 8_845 + n), 8_800).after(passage("contents-ar-equal-orders")),
        turns("numbered lines of a form, for ever", |n| format!("<p>{n}. Nom et prénom : {}</p>\n", ".".repeat(60)), 9_600),
        turns("orders of 500 characters", |n| format!("Article {n}. {}\n", part_of(FRENCH, 500).replace(char::is_numeric, "")), 6_000),
    ]
}

fn worn() -> Vec<Case> {
    let words = ["Casablanca", "Rabat", "Fès", "Marrakech", "Tanger", "Agadir"];
    vec![
        turns(
            "a line with one of six words",
            move |n| format!("le tribunal de première instance de {} ;\n", pick(&words, n)),
            3_800,
        ),
        turns("six words in any order", move |n| format!("{}, ", pick(&words, n)), 4_900),
        turns("rows of oui and non", |n| format!("<tr><td>{}</td></tr>", pick(&["oui", "non"], n)), 12_500)
            .after("<table>"),
        turns("tatweel that grows", |n| format!("ال{}مادة\n", "ـ".repeat(n % 90)), 2_700).after(ARABIC),
        turns("a line that grows by a word", |n| format!("Vu{}\n", " la loi".repeat(n % 40)), 2_700),
        turns(
            "real lines in any order",
            |n| pick(&FRENCH.lines().take(5).collect::<Vec<_>>(), n).to_owned() + "\n",
            6_500,
        ),
        turns("blocks in any order", move |n| div("Text", &format!("<p>Fait à {}.</p>", pick(&words, n))), 12_500),
    ]
}

#[test]
fn every_loop_is_cut_soon() {
    let mut failures = Vec::new();
    println!("{:50} {:>6} {:>6}  proof", "loop", "cost", "most");
    for case in copies().into_iter().chain(counters()).chain(worn()) {
        let start = case.before.chars().count();
        let mut text = case.before.clone();
        let mut n = 1;
        while text.len() < case.before.len() + 60_000 {
            text.push_str(&(case.round)(n));
            n += 1;
        }
        let Some(cut) = cut(&text) else {
            failures.push(format!("{}: not cut", case.name));
            continue;
        };
        let cost = cut.seen - start;
        println!("{:50} {cost:6} {:6}  {}", case.name, case.most, cut.found);
        if cut.seen < start || cost > case.most {
            failures.push(format!("{}: {cost} characters, {}", case.name, cut.found));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}
