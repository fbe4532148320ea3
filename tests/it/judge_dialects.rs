//! The judge on answers in the dialects of the later engines: layout JSON, DocTags and Markdown. Honest pages pass, loops
//! are cut soon.

#![allow(clippy::unwrap_used)]

use crate::judge_support::cut;

const FRENCH: &str = include_str!("../data/truth/BO_7510_Fr/p004.txt");

/// Four coordinates without order, below 2,000.
fn places(n: usize) -> [usize; 4] {
    [3, 5, 7, 11].map(|factor| (n * n * factor + n * 2_654_435_761) % 1_999)
}

fn element(category: &str, text: &str, n: usize) -> String {
    format!("{{\"bbox\": {:?}, \"category\": \"{category}\", \"text\": \"{text}\"}}, ", places(n))
}

/// An element as `json.dumps(…, indent=2)` writes it, with the names of the kin of dots.ocr.
fn indented(label: &str, text: &str, n: usize) -> String {
    let numbers = places(n).map(|place| format!("      {place}")).join(",\n");
    format!(
        "  {{\n    \"bbox_2d\": [\n{numbers}\n    ],\n    \"label\": \"{label}\",\n    \"content\": \"{text}\"\n  }},\n"
    )
}

fn picture(n: usize) -> String {
    format!("{{\"bbox\": {:?}, \"category\": \"Picture\"}}, ", places(n))
}

fn tagged(tag: &str, text: &str, n: usize) -> String {
    let places = places(n).map(|place| format!("<loc_{}>", place % 501)).concat();
    format!("<{tag}>{places}{text}</{tag}>\n")
}

fn otsl(row: impl Fn(usize) -> String, rows: usize) -> String {
    tagged("otsl", &(1..=rows).map(|n| row(n) + "<nl>").collect::<String>(), 7)
}

fn many(rounds: usize, round: impl Fn(usize) -> String) -> String {
    (1..=rounds).map(round).collect()
}

fn html_row(cell: &str, cells: usize) -> String {
    format!("<tr>{}</tr>\\n", format!("<td>{cell}</td>").repeat(cells))
}

fn lines() -> Vec<&'static str> {
    FRENCH.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
}

#[test]
fn honest_pages_pass() {
    let json = |elements: String| format!("[{}]", elements.trim_end_matches([',', ' ', '\n']));
    let table = |rows: String| json(element("Table", &format!("<table>{rows}</table>"), 1));
    let doc = |elements: String| format!("<doctag>{elements}</doctag>");
    let lines = lines();
    let word = |n: usize| lines[n % lines.len()].split(' ').nth(n / lines.len()).unwrap_or("Rabat").to_owned();
    let article = |n: usize| format!("Article {n} (sans changement).");
    let cases = [
        ("json: a real page, an element a line", json(many(lines.len(), |n| element("Text", lines[n - 1], n)))),
        ("json: 200 boxes of one word", json(many(200, |n| element("Text", &word(n), n)))),
        ("json: 200 indented boxes of one word", json(many(200, |n| indented("text", &word(n), n)))),
        ("json: 24 pictures", json(many(24, picture))),
        ("json: articles without change", json(many(75, |n| element("Text", &article(n), n)))),
        ("json: indented articles without change", json(many(75, |n| indented("text", &article(n), n)))),
        ("json: items without change", json(many(40, |n| element("List-item", "Sans changement", n)))),
        ("json: 40 empty rows", table(html_row("", 8).repeat(40))),
        ("json: idem", table(html_row("Idem", 5).repeat(30))),
        ("json: an empty table in Markdown", json(element("Table", &"|  |  |  |  |  |\\n".repeat(40), 1))),
        ("json: dotted lines", json(element("Text", &"« .................................. »\\n".repeat(24), 1))),
        ("json: a column of one town", json(element("Text", &"Rabat\\n".repeat(45), 1))),
        ("doctags: a real page, an element a line", doc(many(lines.len(), |n| tagged("text", lines[n - 1], n)))),
        ("doctags: 200 boxes of one word", doc(many(200, |n| tagged("text", &word(n), n)))),
        ("doctags: 24 pictures", doc(many(24, |n| tagged("picture", "<logo>", n)))),
        ("doctags: articles without change", doc(many(75, |n| tagged("text", &article(n), n)))),
        ("doctags: items without change", doc(many(40, |n| tagged("list_item", "Sans changement", n)))),
        ("doctags: a wide empty table", doc(otsl(|_| "<ecel>".repeat(20), 40))),
        ("doctags: a wide table of merged cells", doc(otsl(|_| "<ucel>".repeat(20), 40))),
        ("doctags: numbered empty rows", doc(otsl(|n| format!("<fcel>{n}{}", "<ecel>".repeat(8)), 60))),
        ("doctags: idem", doc(otsl(|_| "<fcel>Idem".repeat(5), 30))),
        ("doctags: zeros", doc(otsl(|_| "<fcel>0".repeat(12), 40))),
        ("doctags: one wide head", doc(otsl(|_| "<ched>Prix unitaire".repeat(30), 1))),
        ("markdown: a wide empty table", "|  |  |  |  |  |  |  |  |  |  |  |  |\n".repeat(60)),
        ("markdown: the line below a head", format!("| a {}|\n|{}\n", "| b ".repeat(40), "---|".repeat(41))),
        ("markdown: idem", "| Idem | Idem | Idem | Idem |\n".repeat(30)),
        ("markdown: dashes", "| - | - | - | - | - | - | - |\n".repeat(40)),
        (
            "markdown: numbered empty rows, padded",
            many(60, |n| format!("| {n} |{}\n", format!("{}|", " ".repeat(30)).repeat(4))),
        ),
        (
            "markdown: rows of lots",
            many(60, |n| format!("| {n} | Lot n° {n} | Habitation économique | Titre {}/T |\n", 40_000 + n)),
        ),
    ];
    let cuts: Vec<String> = cases
        .iter()
        .filter_map(|(name, text)| Some(format!("{name}: {}, at {}", cut(text)?.found, cut(text)?.seen)))
        .collect();
    assert!(cuts.is_empty(), "{cuts:#?}");
}

#[test]
fn loops_are_cut_soon() {
    type Round = fn(usize) -> String;
    let json = || format!("[{}", many(20, |n| element("Text", lines()[n], n)));
    let in_json_table = || json() + "{\"bbox\": [1, 2, 3, 4], \"category\": \"Table\", \"text\": \"<table>";
    let in_json_text = || json() + "{\"bbox\": [1, 2, 3, 4], \"category\": \"Text\", \"text\": \"";
    let doc = || format!("<doctag>{}", many(20, |n| tagged("text", lines()[n], n)));
    let in_otsl = || doc() + "<otsl><loc_1><loc_2><loc_3><loc_4>";
    let markdown = || FRENCH.to_owned() + "\n\n";
    let cases: [(&str, String, Round, usize); 25] = [
        ("json: an element whose box moves", json(), |n| element("Text", "Vu la loi ;", n), 700),
        ("json: an indented element whose box moves", json(), |n| indented("text", "Vu la loi ;", n), 1_000),
        ("json: a running head", json(), |n| element("Page-header", "BULLETIN OFFICIEL", n), 700),
        ("json: pictures", json(), picture, 1_900),
        ("json: an item", json(), |n| element("List-item", "Sans changement", n), 5_200),
        ("json: a long item", json(), |n| element("List-item", "M. Ahmed Alaoui, membre de la commission ;", n), 800),
        ("json: elements that count", json(), |n| element("Text", &format!("Article {n}"), n), 11_000),
        ("json: a box without an end", format!("{}{{\"bbox\": [", json()), |n| format!("{}, ", places(n)[0]), 2_000),
        ("json: lines of a text", in_json_text(), |_| "Le présent arrêté sera publié.\\n".into(), 700),
        ("json: a line of one word", in_json_text(), |_| "Rabat\\n".into(), 700),
        ("json: rows of words", in_json_table(), |_| html_row("Casablanca", 3), 3_000),
        ("json: empty rows", in_json_table(), |_| html_row("", 6), 7_600),
        ("doctags: an element whose box moves", doc(), |n| tagged("text", "Vu la loi ;", n), 700),
        ("doctags: pictures", doc(), |n| tagged("picture", "<logo>", n), 1_900),
        ("doctags: places", doc(), |n| format!("<loc_{}>", places(n)[0] % 501), 1_900),
        ("doctags: an item", doc(), |n| tagged("list_item", "Sans changement", n), 5_200),
        ("doctags: elements that count", doc(), |n| tagged("text", &format!("Article {n}"), n), 11_000),
        ("doctags: rows of words", in_otsl(), |_| "<fcel>Casablanca<fcel>Rabat<nl>".into(), 3_000),
        ("doctags: empty rows", in_otsl(), |_| format!("{}<nl>", "<ecel>".repeat(6)), 7_600),
        ("doctags: cells without an end of the row", in_otsl(), |_| "<lcel>".into(), 7_600),
        ("doctags: rows that count", in_otsl(), |n| format!("<fcel>{n}<fcel>Technicien<nl>"), 6_200),
        ("markdown: rows of words", markdown(), |_| "| Casablanca | Rabat |\n".into(), 3_000),
        ("markdown: empty rows", markdown(), |_| "|  |  |  |  |\n".into(), 7_600),
        ("markdown: a row without an end", markdown(), |_| "|  ".into(), 1_700),
        ("markdown: padded rows that count", markdown(), |n| format!("| {n} | {:30} |\n", "Technicien"), 6_200),
    ];
    let mut failures = Vec::new();
    for (name, before, round, most) in cases {
        let start = before.chars().count();
        match cut(&(before + &many(1_500, round))) {
            None => failures.push(format!("{name}: not cut")),
            Some(cut) if cut.seen < start || cut.seen - start > most => {
                failures.push(format!(
                    "{name}: {} characters, not {most}: {}",
                    cut.seen as i64 - start as i64,
                    cut.found
                ));
            }
            Some(_) => {}
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}
