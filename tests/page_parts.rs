//! Pages that are shown in parts: columns, turned tables, pages on their side; as real runs read them with Tesseract, and
//! as `bocr page` shows them to people.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod run_support;

use std::{collections::BTreeMap, fs};

use bulletin_ocr::model::{BBox, Block, ColumnsReason, Language, PageRecord, Turn, Verdict};
use run_support::{Bench, text};

/// The records of single pages, by file name.
type Records = BTreeMap<String, PageRecord>;

/// Runs over single pages.
fn read(bench: &Bench, files: &[&str], more: &[&str]) -> Records {
    let paths: Vec<String> = files.iter().map(|file| format!("pages/{file}")).collect();
    let input = bench.inputs(&paths.iter().map(String::as_str).collect::<Vec<_>>());
    let run = bench.run_directory();
    let arguments = [&["run", "-i", input.to_str().unwrap(), "-o", run.to_str().unwrap()], more].concat();
    let output = bench.bocr(&arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    bench.assert_verified();
    bench.assert_nothing_left();
    let mut reader = bench.reader();
    let documents: Vec<_> = reader.documents().iter().map(|document| (document.id, document.name.clone())).collect();
    documents.into_iter().map(|(id, name)| (name, reader.read_document(id).unwrap().remove(0))).collect()
}

fn words(record: &PageRecord, part: usize) -> &str {
    &record.parts[part].markdown
}

/// Whether one box lies in another, give or take what a letter may stick out.
fn lies_in(inner: BBox, outer: BBox) -> bool {
    const SLACK: u16 = 5;
    inner.left + SLACK >= outer.left
        && inner.top + SLACK >= outer.top
        && inner.right <= outer.right + SLACK
        && inner.bottom <= outer.bottom + SLACK
}

fn assert_blocks_lie_in_their_parts(record: &PageRecord) {
    for part in &record.parts {
        for block in &part.blocks {
            let bbox = block.bbox.expect("the stand-in gives boxes");
            assert!(lies_in(bbox, part.bbox), "{bbox:?} of {:?} is outside of {:?}", block.html, part.bbox);
        }
    }
}

#[test]
fn columns_are_read_one_after_the_other_and_joined_in_the_order_of_the_script() {
    let bench = Bench::new();
    let records = read(&bench, &["mixed_fr.pdf", "digital_ar.pdf"], &[]);

    let french = &records["mixed_fr.pdf"];
    let layout = french.layout.unwrap();
    assert_eq!(
        (layout.columns.reason, layout.script, layout.turn),
        (ColumnsReason::Rule, Language::French, Turn::None)
    );
    assert!(layout.columns.confidence.0 > 50, "{layout:?}");
    let [head, left, right, foot] = french.parts.as_slice() else { panic!("{} parts", french.parts.len()) };
    assert!(head.blocks.iter().all(Block::is_header_or_footer), "{}", head.html);
    assert!(left.bbox.right <= 505 && right.bbox.left >= 490 && right.bbox.right == 1000);
    assert!(foot.bbox.left == 0 && foot.bbox.right == 1000 && foot.bbox.top >= 440);
    assert!(words(french, 1).contains("article 33") && words(french, 2).contains("13006"), "{}", words(french, 1));
    assert!(words(french, 3).contains("557-26"), "{}", words(french, 3));
    assert_blocks_lie_in_their_parts(french);

    let arabic = &records["digital_ar.pdf"];
    assert_eq!(arabic.layout.unwrap().script, Language::Arabic);
    let columns: Vec<BBox> =
        arabic.parts.iter().map(|part| part.bbox).filter(|bbox| bbox.right - bbox.left < 600).collect();
    assert_eq!(columns.len(), 2, "{:?}", arabic.layout);
    assert!(columns[0].left >= 490 && columns[1].left == 0, "the right column is read first: {columns:?}");
    assert_blocks_lie_in_their_parts(arabic);

    let run = bench.run_directory();
    let output = bench.bocr(&["export", run.to_str().unwrap()]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let markdown = fs::read_to_string(run.join("export/md/mixed_fr.md")).unwrap();
    let places = ["article 33", "13006", "557-26"].map(|words| markdown.find(words).expect(words));
    assert!(places.is_sorted(), "the page is one text, in order: {markdown}");
    let lines = fs::read_to_string(run.join("export/jsonl/mixed_fr.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4);
    for (number, line) in lines.iter().enumerate() {
        assert_eq!(line["layout"]["columns"]["reason"], "rule");
        assert_eq!(line["attempts"][0]["part"], number, "an attempt stands with the text that it gave");
    }
}

#[test]
fn what_lies_on_its_side_or_upside_down_is_read_upright_and_its_boxes_lie_where_it_stands() {
    let bench = Bench::new();
    let files = ["turned_table_fr.pdf", "turned_table_ar.pdf", "sideways_fr.pdf", "upside_down_ar.pdf"];
    let records = read(&bench, &files, &[]);
    for (file, turn, words) in
        [("turned_table_fr.pdf", Turn::Right, "PROT"), ("turned_table_ar.pdf", Turn::Left, "المختبر")]
    {
        let record = &records[file];
        let turned = |part: &&bulletin_ocr::model::Part| record.attempts[usize::from(part.attempt)].shown.turn == turn;
        let table = record.parts.iter().find(turned).unwrap_or_else(|| panic!("{file}: {:?}", record.layout));
        assert_eq!(record.layout.unwrap().columns.reason, ColumnsReason::Turned, "{file}");
        assert!(table.markdown.contains(words), "{file}: {}", table.markdown);
        assert!(record.parts[0].bbox.bottom < 150, "{file}: the head is upright, a part of its own");
        assert_blocks_lie_in_their_parts(record);
        // The title stands beside the table, at the left or at the right of the page.
        let tall = table.blocks.iter().filter_map(|block| block.bbox).filter(|b| b.bottom - b.top > b.right - b.left);
        assert!(tall.count() > 0, "{file}: lines of text run down the page");
    }
    for (file, turn, words) in
        [("sideways_fr.pdf", Turn::Left, "Chef du gouvernement"), ("upside_down_ar.pdf", Turn::Half, "المادة")]
    {
        let record = &records[file];
        assert_eq!(record.layout.unwrap().turn, turn, "{file}: {:?}", record.layout);
        let all: String = record.parts.iter().map(|part| part.markdown.as_str()).collect();
        assert!(all.to_lowercase().contains(&words.to_lowercase()), "{file}: {all}");
        assert_blocks_lie_in_their_parts(record);
    }
    // Turned by a half, the page's head lies at its foot.
    let head =
        records["upside_down_ar.pdf"].parts.iter().find(|part| part.blocks.iter().all(Block::is_header_or_footer));
    assert!(head.expect("a head").bbox.top > 850);
}

#[test]
fn a_page_is_shown_whole_where_columns_are_not_asked_for() {
    let bench = Bench::new();
    let records = read(&bench, &["mixed_fr.pdf"], &["--columns", "never"]);
    let record = &records["mixed_fr.pdf"];
    assert_eq!(record.parts.len(), 1);
    assert_eq!(record.parts[0].bbox, BBox::PAGE);
    assert_eq!(record.layout.unwrap().columns.reason, ColumnsReason::NotLookedFor);
}

#[test]
fn other_columns_than_before_would_mix_results() {
    let bench = Bench::new();
    read(&bench, &["digital_fr.pdf"], &[]);
    let (input, run) = (bench.path("input"), bench.run_directory());
    let arguments = ["run", "-i", input.to_str().unwrap(), "-o", run.to_str().unwrap(), "--columns", "never"];
    let output = bench.bocr(&arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("layout.columns"), "{}", text(&output));
}

#[test]
fn what_bocr_page_writes_is_what_the_server_got() {
    let bench = Bench::new();
    let records = read(&bench, &["mixed_fr.pdf"], &[]);
    let folder = bench.path("images");
    let page = bench.path("input").join("mixed_fr.pdf");
    let arguments = ["page", &format!("{}:1", page.display()), "--stand-in", "--out", folder.to_str().unwrap()];
    let output = bench.bocr(&arguments).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let described: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(folder.join("pages.jsonl")).unwrap()).unwrap();
    let images: Vec<Vec<u8>> = described["parts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| fs::read(folder.join(part["file"].as_str().unwrap())).unwrap())
        .collect();
    let attempts = &records["mixed_fr.pdf"].attempts;
    assert_eq!(images.len(), attempts.len());
    for (image, attempt) in images.iter().zip(attempts) {
        // A request's name ends with the checksum of its image.
        let checksum = format!(".i{:08x}", crc32c::crc32c(image));
        assert!(attempt.request_id.ends_with(&checksum), "{}: {checksum}", attempt.request_id);
    }
    assert!(image::load_from_memory(&fs::read(folder.join("p001.overlay.png")).unwrap()).is_ok());
}

#[test]
fn a_page_without_ink_is_blank_with_its_measure_or_asked_for_all_the_same() {
    const EMPTY: &str = "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n\
        3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]>>endobj\ntrailer<</Root 1 0 R>>\n";
    for (more, asked) in [(&[][..], 0), (&["--read-blank"][..], 1)] {
        let bench = Bench::new();
        let input = bench.inputs(&[]);
        fs::write(input.join("empty.pdf"), EMPTY).unwrap();
        let record = &read(&bench, &[], more)["empty.pdf"];
        assert_eq!((record.verdict, record.attempts.len()), (Verdict::Blank, asked));
        assert_eq!(record.image.unwrap().ink, 0.0);
    }
}
