//! Pages that are shown in parts: columns, turned tables, pages on their side; as real runs read them with Tesseract, and
//! as `bocr page` shows them to people.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::{collections::BTreeMap, fs, path::Path};

use crate::run_support::{Bench, text};
use bulletin_ocr::model::{BBox, Block, ColumnsReason, Language, PageRecord, Part, Rotation, Verdict};

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
        (ColumnsReason::Rule, Language::French, Rotation::None)
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
    let all: String = arabic.parts.iter().map(|part| part.markdown.as_str()).collect();
    assert!(all.contains("المادة"), "{all}");

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
    let records = read(&bench, &["turned_table_fr.pdf", "upside_down_ar.pdf"], &[]);
    let record = &records["turned_table_fr.pdf"];
    let turned = |part: &&Part| record.attempts[usize::from(part.attempt)].shown.turn == Rotation::Right;
    let table = record.parts.iter().find(turned).unwrap_or_else(|| panic!("{:?}", record.layout));
    assert_eq!(record.layout.unwrap().columns.reason, ColumnsReason::Turned);
    assert!(table.markdown.contains("PROT"), "{}", table.markdown);
    assert!(record.parts[0].bbox.bottom < 150, "the head is upright, a part of its own");
    assert_blocks_lie_in_their_parts(record);
    // The title stands beside the table, at the left or at the right of the page.
    let tall = table.blocks.iter().filter_map(|block| block.bbox).filter(|b| b.bottom - b.top > b.right - b.left);
    assert!(tall.count() > 0, "lines of text run down the page");

    let record = &records["upside_down_ar.pdf"];
    assert_eq!(record.layout.unwrap().turn, Rotation::Half, "{:?}", record.layout);
    let all: String = record.parts.iter().map(|part| part.markdown.as_str()).collect();
    assert!(all.contains("المادة"), "{all}");
    assert_blocks_lie_in_their_parts(record);
    // Turned by a half, the page's head lies at its foot.
    let is_head = |part: &&Part| part.blocks.iter().any(Block::is_header_or_footer);
    assert!(record.parts.iter().find(is_head).expect("a head").bbox.top > 850);
}

#[test]
fn a_page_is_shown_whole_where_columns_are_not_asked_for() {
    let bench = Bench::new();
    // The option takes the place of what the file says.
    let invented = fs::read_to_string(bench.half_size_configuration()).unwrap();
    let configuration = bench.write("configuration.toml", &format!("{invented}[imaging]\ncolumns = \"auto\"\n"));
    let records = read(&bench, &["mixed_fr.pdf"], &["--columns", "never", "-c", configuration.to_str().unwrap()]);
    let record = &records["mixed_fr.pdf"];
    assert_eq!(record.parts.len(), 1);
    assert_eq!(record.parts[0].bbox, BBox::PAGE);
    assert_eq!(record.layout.unwrap().columns.reason, ColumnsReason::NotLookedFor);
}

#[test]
fn other_columns_than_before_would_mix_results() {
    let bench = Bench::new();
    let configuration = bench.instant_configuration("");
    let configuration = ["-c", configuration.to_str().unwrap()];
    read(&bench, &["digital_fr.pdf"], &configuration);
    let (input, run) = (bench.path("input"), bench.run_directory());
    let arguments = ["run", "-i", input.to_str().unwrap(), "-o", run.to_str().unwrap(), "--columns", "always"];
    let output = bench.bocr(&[&arguments[..], &configuration].concat()).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("layout.columns"), "{}", text(&output));
}

#[test]
fn what_bocr_page_writes_is_what_the_server_got() {
    let bench = Bench::new();
    let configuration = bench.full_size_configuration();
    let shown = ["--columns", "always"];
    let records = read(&bench, &["mixed_fr.pdf"], &[&["-c", configuration.to_str().unwrap()], &shown[..]].concat());
    let folder = bench.path("images");
    let page = format!("{}:1", bench.path("input").join("mixed_fr.pdf").display());
    let arguments = ["page", &page, "--out", folder.to_str().unwrap()];
    let output = bench.bocr(&[&arguments[..], &shown].concat()).output().unwrap();
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
    assert!(images.len() > 1 && images.len() == attempts.len(), "{} images", images.len());
    for (image, attempt) in images.iter().zip(attempts) {
        // A request's name ends with the checksum of its image.
        let checksum = format!(".i{:08x}", crc32c::crc32c(image));
        assert!(attempt.request_id.ends_with(&checksum), "{}: {checksum}", attempt.request_id);
    }
    assert!(image::load_from_memory(&fs::read(folder.join("mixed_fr.p001.whole.overlay.png")).unwrap()).is_ok());
}

/// Calls `bocr page` for `pages` of an input; its exit code, the lines it wrote, and what it said.
fn page(bench: &Bench, pages: &str, more: &[&str]) -> (Option<i32>, Vec<serde_json::Value>, String) {
    let (asked, folder) = (bench.path("input").join(pages), bench.path("images"));
    let arguments = [&["page", asked.to_str().unwrap(), "--out", folder.to_str().unwrap()], more].concat();
    let output = bench.bocr(&arguments).output().unwrap();
    let told = String::from_utf8(output.stdout.clone()).unwrap();
    if output.status.code() != Some(2) {
        assert_eq!(told, fs::read_to_string(folder.join("pages.jsonl")).unwrap());
    }
    let lines = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (output.status.code(), lines, text(&output))
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn bocr_page_leaves_the_files_of_other_documents_and_views_and_none_of_an_earlier_call() {
    let bench = Bench::new();
    bench.inputs(&["pages/mixed_fr.pdf", "pages/digital_fr.pdf"]);
    let parts = [
        "mixed_fr.p001.whole-1.png",
        "mixed_fr.p001.whole-2.png",
        "mixed_fr.p001.whole-3.png",
        "mixed_fr.p001.whole-4.png",
        "mixed_fr.p001.whole.overlay.png",
        "pages.jsonl",
    ];
    assert_eq!(page(&bench, "mixed_fr.pdf:1", &["--stand-in"]).0, Some(0));
    assert_eq!(names(&bench.path("images")), parts);
    for (document, more) in [
        ("digital_fr.pdf:1", &["--columns", "never"][..]),
        ("mixed_fr.pdf:1", &["--view", "reduced"]),
        ("mixed_fr.pdf:1", &["--overlay", "false"]),
    ] {
        assert_eq!(page(&bench, document, more).0, Some(0));
    }
    let expected = [
        "digital_fr.p001.whole.overlay.png",
        "digital_fr.p001.whole.png",
        "mixed_fr.p001.reduced.overlay.png",
        "mixed_fr.p001.reduced.png",
        "mixed_fr.p001.whole.png",
        "pages.jsonl",
    ];
    assert_eq!(names(&bench.path("images")), expected);
}

/// A document of pages without ink; there is no object for the second.
const HOLED: &str = "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n\
    2 0 obj<</Type/Pages/Kids[3 0 R 9 0 R 4 0 R]/Count 3>>endobj\n\
    3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]>>endobj\n\
    4 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]>>endobj\ntrailer<</Root 1 0 R>>\n";

#[test]
fn bocr_page_tells_a_page_that_cannot_be_drawn_and_which_blank_one_would_be_sent() {
    let bench = Bench::new();
    fs::write(bench.inputs(&[]).join("holed.pdf"), HOLED).unwrap();
    for (more, sent) in [(&[][..], false), (&["--read-blank"], true)] {
        let (code, lines, said) = page(&bench, "holed.pdf", more);
        assert_eq!((code, lines.len()), (Some(3), 3), "{said}");
        for line in [&lines[0], &lines[2]] {
            assert_eq!((&line["blank"], &line["parts"][0]["sent"]), (&true.into(), &sent.into()), "{line}");
        }
        assert_eq!((&lines[1]["page"], &lines[1]["class"]), (&2.into(), &"render-failed".into()), "{}", lines[1]);
        let reason = lines[1]["reason"].as_str().unwrap();
        assert!(reason.contains("page 2") && reason.contains("no such page"), "{reason}");
        assert!(!reason.contains("Error") && !reason.contains('\n'), "a sentence: {reason}");
    }
}

/// Tables of numbers and dot leaders, which look turned to a search of pixels alone. Their glyphs say that they are not.
#[test]
fn upright_pages_of_numbers_and_leaders_are_not_turned() {
    let files = ["contents_dot_leaders.pdf", "decimals.pdf", "small_numbers_gazette_head.pdf", "tariff.pdf"];
    let bench = Bench::new();
    bench.inputs(&files.map(|file| format!("upright/{file}")).each_ref().map(String::as_str));
    let mut pages = 0;
    for file in files {
        let (code, lines, said) = page(&bench, file, &["--overlay", "false", "--upright", "true"]);
        assert_eq!(code, Some(0), "{said}");
        for line in &lines {
            let parts = line["parts"].as_array().unwrap();
            let turns: Vec<_> = parts.iter().map(|part| part["turn"].as_u64()).collect();
            assert!(turns.iter().all(|turn| *turn == Some(0)), "{file}: {line}");
        }
        pages += lines.len();
    }
    assert_eq!(pages, 13);
}

/// Square pages of text that runs along a matrix, each shown with its `/Rotate`.
fn pages_of_text(pages: &[(&str, u16, u16)]) -> String {
    let words = "Vu la loi relative au regime des terres agricoles et le decret pris pour son application";
    let lines: String = (0..40).map(|line| format!("1 0 0 1 60 {} Tm ({words}) Tj\n", 730 - 17 * line)).collect();
    let kids: String = (0..pages.len()).map(|page| format!("{} 0 R ", 3 + 2 * page)).collect();
    let mut pdf = format!(
        "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[{kids}]/Count {}>>endobj\n",
        pages.len()
    );
    for (page, (matrix, rotate, _)) in pages.iter().enumerate() {
        let (object, content) = (3 + 2 * page, format!("q {matrix} cm BT /F 12 Tf {lines} ET Q"));
        pdf += &format!(
            "{object} 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 800 800]/Rotate {rotate}/Contents {} 0 R\
             /Resources<</Font<</F<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>>>endobj\n\
             {} 0 obj<</Length {}>>stream\n{content}\nendstream endobj\n",
            object + 1,
            object + 1,
            content.len()
        );
    }
    pdf + "trailer<</Root 1 0 R>>\n"
}

#[test]
fn digital_pages_that_are_turned_are_brought_upright() {
    let bench = Bench::new();
    let [upright, left, half, right] = ["1 0 0 1 0 0", "0 1 -1 0 800 0", "-1 0 0 -1 800 800", "0 -1 1 0 0 800"];
    let pages = [
        (upright, 0, 0),
        (left, 0, 90),
        (half, 0, 180),
        (right, 0, 270),
        (upright, 90, 270),
        (upright, 180, 180),
        (upright, 270, 90),
        (left, 90, 0),
    ];
    fs::write(bench.inputs(&[]).join("text.pdf"), pages_of_text(&pages)).unwrap();
    let (code, lines, said) = page(&bench, "text.pdf", &["--overlay", "false", "--upright", "true"]);
    assert_eq!((code, lines.len()), (Some(0), pages.len()), "{said}");
    for ((matrix, rotate, turn), line) in pages.iter().zip(&lines) {
        assert_eq!(line["parts"][0]["turn"], *turn, "{matrix}, rotated by {rotate}: {line}");
    }
}

#[test]
fn bocr_page_draws_nothing_where_a_page_or_profile_is_not_there() {
    let bench = Bench::new();
    fs::write(bench.inputs(&[]).join("holed.pdf"), HOLED).unwrap();
    let cases: [(&str, &[&str], &str); 2] =
        [("holed.pdf:1,99,2", &[], "there is no page 99"), ("holed.pdf:1", &["--profile", "chandra-9"], "chandra-9")];
    for (pages, more, reason) in cases {
        let (code, lines, said) = page(&bench, pages, more);
        assert_eq!((code, lines.len()), (Some(2), 0), "{said}");
        assert!(said.contains(reason), "{said}");
        assert!(!bench.path("images").exists());
    }
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
