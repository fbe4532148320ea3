//! Pages and files that have lost something: PDFium draws what is left without an error, and the run must say so.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use bulletin_ocr::model::{FailureClass, PageRecord, Verdict};

use crate::{
    damage_support::Pdf,
    run_support::{Bench, text},
};

const FONT: &str = "/Font << /F1 3 0 R >>";
const TEXT: &[u8] = b"BT /F1 24 Tf 60 700 Td (Vu et approuve) Tj ET";
/// A scan that is drawn over the whole page.
const SCAN: &[u8] = b"q 595 0 0 842 0 0 cm /Im1 Do Q";
const IMAGE: &str =
    "/Type /XObject /Subtype /Image /Width 800 /Height 1130 /BitsPerComponent 1 /ColorSpace /DeviceGray";

/// A page whose content is object 5, and whose image is object 6.
fn page(resources: &str) -> Pdf {
    Pdf::new(&[&format!("/Contents 5 0 R /Resources << {FONT} {resources} >>")])
}

fn scan(content: &[u8], filter: &str, data: &[u8]) -> Vec<u8> {
    page("/XObject << /Im1 6 0 R >>").stream("", content).stream(&format!("{IMAGE} {filter}"), data).bytes()
}

/// Bytes that are no valid data of any compression.
fn noise(bytes: usize) -> Vec<u8> {
    [0xDE, 0xAD, 0xBE, 0xEF].into_iter().cycle().take(bytes).collect()
}

/// The beginning of a JPEG: its header is cut off.
const JPEG_HEAD: &[u8] =
    b"\xFF\xD8\xFF\xE0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00\xFF\xDB\x00\x43\x00\x08";
const FAX: &str = "/Filter /CCITTFaxDecode /DecodeParms << /K -1 /Columns 800 /Rows 1130 >>";

fn field(value: &str) -> Vec<u8> {
    let widget = format!(
        "<< /Type /Annot /Subtype /Widget /FT /Tx /T (nom) /Rect [60 600 500 640] /F 4 /DA (/Helv 14 Tf 0 g) /V {value} >>"
    );
    let form = "/AcroForm << /Fields [6 0 R] /DA (/Helv 14 Tf 0 g) /DR << /Font << /Helv 3 0 R >> >> /NeedAppearances true >> /Type";
    Pdf::new(&[&format!("/Contents 5 0 R /Annots [6 0 R] /Resources << {FONT} >>")])
        .replace(1, "/Type", form)
        .stream("", TEXT)
        .object(&widget)
        .bytes()
}

fn arabic_font(meaning: &str) -> Vec<u8> {
    Pdf::new(&["/Contents 5 0 R /Resources << /Font << /F1 6 0 R >> >>"])
        .stream("", b"BT /F1 24 Tf 60 700 Td <000100020003000400050006> Tj ET")
        .object("<< /Type /Font /Subtype /Type0 /BaseFont /TraditionalArabic /Encoding /Identity-H /DescendantFonts [7 0 R] /ToUnicode 9 0 R >>")
        .object("<< /Type /Font /Subtype /CIDFontType2 /BaseFont /TraditionalArabic /CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >> /DW 500 /FontDescriptor 8 0 R >>")
        .object("<< /Type /FontDescriptor /FontName /TraditionalArabic /Flags 4 /FontBBox [-200 -200 1000 900] /Ascent 900 /Descent -200 /CapHeight 700 /ItalicAngle 0 /StemV 80 >>")
        .stream("", meaning.as_bytes())
        .bytes()
}

const MEANING: &str = "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /X def 1 begincodespacerange <0000> <FFFF> \
     endcodespacerange 6 beginbfchar <0001> <FE8D> <0002> <FEDF> <0003> <FED8> <0004> <FE8E> <0005> <FEE7> <0006> <FEEE> endbfchar endcmap end end";

/// What becomes of a page, and a part of the reason.
#[derive(Debug, Clone, Copy)]
enum Becomes {
    Read,
    Blank,
    Incomplete(&'static str),
    Failed(&'static str),
}

use Becomes::{Blank, Failed, Incomplete, Read};

fn cases() -> Vec<(&'static str, Vec<u8>, Becomes)> {
    let stamped = [SCAN, b"\n", TEXT].concat();
    let hole = || {
        let mut content = TEXT.to_vec();
        content.extend([0; 700]);
        content
    };
    let parts = |second: &str| Pdf::new(&[&format!("/Contents [5 0 R {second}] /Resources << {FONT} >>")]);
    let inches =
        || page("").replace(4, "0 0 595 842", "0 0 8.27 11.69").replace(4, "/Contents", "/UserUnit 72 /Contents");
    let small = || page("").replace(4, "0 0 595 842", "0 0 60 85");
    vec![
        (
            "line-at-the-edge",
            page("").stream("", b"BT /F1 5 Tf 60 0.5 Td (Bulletin officiel 7412) Tj ET").bytes(),
            Read,
        ),
        ("pale-line", page("").stream("", b"0.93 g BT /F1 12 Tf 60 700 Td (Bulletin officiel) Tj ET").bytes(), Read),
        ("page-in-inches", inches().stream("", b"BT /F1 0.17 Tf 1 9 Td (Bulletin officiel) Tj ET").bytes(), Read),
        ("small-page", small().stream("", b"BT /F1 2 Tf 5 40 Td (Bulletin officiel) Tj ET").bytes(), Read),
        ("white-text", page("").stream("", b"1 g BT /F1 12 Tf 60 700 Td (Bulletin) Tj ET").bytes(), Blank),
        ("hidden-text", page("").stream("", b"3 Tr BT /F1 12 Tf 60 700 Td (Bulletin) Tj ET").bytes(), Blank),
        ("whole", page("").stream("", TEXT).bytes(), Read),
        ("no-content", Pdf::new(&[""]).bytes(), Blank),
        ("empty-content", page("").stream("", b"q Q").bytes(), Blank),
        ("content-lost", Pdf::new(&["/Contents 9 0 R"]).bytes(), Failed("content stream")),
        ("content-zeros", page("").stream("", &[0; 700]).bytes(), Failed("content stream")),
        ("content-cut", page("").stream("/Filter /FlateDecode", b"x\x9cs\n").bytes(), Failed("content stream")),
        ("content-hole", page("").stream("", &hole()).bytes(), Incomplete("content stream")),
        ("second-part-lost", parts("9 0 R").stream("", TEXT).bytes(), Incomplete("content stream")),
        ("scan-lost", page("/XObject << /Im1 9 0 R >>").stream("", SCAN).bytes(), Failed("Im1")),
        ("fax-damaged", scan(SCAN, FAX, &noise(8000)), Failed("CCITT")),
        ("fax-below-stamp", scan(&stamped, FAX, &noise(8000)), Incomplete("CCITT")),
        ("jbig2-damaged", scan(SCAN, "/Filter /JBIG2Decode", &noise(8000)), Failed("JBIG2")),
        ("jpeg-head-below-stamp", scan(&stamped, "/Filter /DCTDecode", JPEG_HEAD), Incomplete("JPEG")),
        ("flate-scan-cut", scan(SCAN, "/Filter /FlateDecode", b"x\x9c\xed\xc1\x01"), Incomplete("Flate")),
        ("raw-scan-short-below-stamp", scan(&stamped, "", &noise(3000)), Incomplete("uncompressed")),
        ("field-french", field("(Societe anonyme)"), Read),
        ("field-arabic", field("<FEFF06380647064A0631>"), Incomplete("form field nom")),
        ("font-with-meaning", arabic_font(MEANING), Read),
        ("font-without-meaning", arabic_font("begincmap endcmap"), Failed("font traditionalarabic")),
    ]
}

/// Files of a run on one rank with invented answers.
struct Files {
    bench: Bench,
    configuration: PathBuf,
}

impl Files {
    fn new(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        let bench = Bench::new();
        let input = bench.inputs(&[]);
        for (name, file) in files {
            fs::write(input.join(name), file).unwrap();
        }
        let configuration = bench.instant_configuration("");
        Files { bench, configuration }
    }

    fn plan(&self) -> String {
        text(&self.command("plan").output().unwrap())
    }

    fn run(&self) -> Output {
        self.command("run").arg("-o").arg(self.bench.run_directory()).output().unwrap()
    }

    fn command(&self, name: &str) -> Command {
        let input = self.bench.inputs(&[]);
        self.bench.bocr(&[name, "-i", input.to_str().unwrap(), "--config", self.configuration.to_str().unwrap()])
    }
}

#[test]
fn no_page_that_lost_content_counts_as_blank_or_whole() {
    let files = Files::new(cases().into_iter().map(|(name, file, _)| (format!("{name}.pdf"), file)));
    let (bench, ended) = (&files.bench, files.run());
    assert_eq!(ended.status.code(), Some(3), "{}", text(&ended));
    let report = text(&ended);
    assert!(report.contains("incomplete: 7 of the pages read"), "{report}");
    bench.assert_verified();
    let mut reader = bench.reader();
    let documents: Vec<_> = reader.documents().iter().map(|document| (document.id, document.name.clone())).collect();
    let records: BTreeMap<String, PageRecord> =
        documents.into_iter().map(|(id, name)| (name, reader.read_document(id).unwrap().remove(0))).collect();
    for (name, _, becomes) in cases() {
        let PageRecord { verdict, reason, .. } = &records[&format!("{name}.pdf")];
        let (expected, part) = match becomes {
            Read => (Verdict::Read, ""),
            Blank => (Verdict::Blank, ""),
            Incomplete(part) => (Verdict::Incomplete, part),
            Failed(part) => (Verdict::Failed(FailureClass::RenderFailed), part),
        };
        assert_eq!(*verdict, expected, "{name}: {reason}");
        assert!(reason.contains(part) && reason.is_empty() == part.is_empty(), "{name}: {reason:?}");
    }
}

#[test]
fn a_file_that_lacks_pages_is_read_and_said_to_lack_them() {
    let whole = || {
        let page = format!("/Contents 7 0 R /Resources << {FONT} >>");
        Pdf::new(&[&page, &page, &page]).stream("", TEXT)
    };
    let cut = |mut file: Vec<u8>| {
        file.truncate(file.len() - 6);
        file
    };
    let shifted = |file: Vec<u8>| String::from_utf8_lossy(&file).replace("startxref\n", "startxref\n99").into_bytes();
    let files = [
        (
            "count-too-big.pdf",
            whole().replace(2, "/Count 3", "/Count 50").bytes(),
            "3 pages can be read; the file says 50",
        ),
        ("count-too-small.pdf", whole().replace(2, "/Count 3", "/Count 1").bytes(), ""),
        ("no-end.pdf", cut(whole().bytes()), "it has no end"),
        ("repaired.pdf", shifted(whole().bytes()), "its cross-reference is wrong"),
    ];
    let run = Files::new(files.iter().map(|(name, file, _)| ((*name).to_owned(), file.clone())));
    let (bench, plan, ended) = (&run.bench, run.plan(), run.run());
    let said = text(&ended);
    assert_eq!(ended.status.code(), Some(3), "{said}");
    for (name, _, reason) in files.iter().filter(|(_, _, reason)| !reason.is_empty()) {
        assert!(plan.contains(reason), "{name}: {plan}");
        let is_loss = !["no-end.pdf", "repaired.pdf"].contains(name);
        let line = said.lines().find(|line| line.contains("pages are missing:") && line.contains(name));
        assert_eq!(line.is_some_and(|line| line.contains(reason)), is_loss, "{name}: {said}");
    }
    bench.assert_verified();
    let reader = bench.reader();
    let damages: Vec<_> = reader.documents().iter().map(|document| (document.pages(), document.damage())).collect();
    assert_eq!(damages.iter().map(|(pages, _)| *pages).collect::<Vec<_>>(), [3, 3, 3, 3]);
    assert_eq!(damages.iter().filter(|(_, damage)| damage.is_none()).count(), 1, "{damages:?}");
}

#[test]
fn pdfs_inside_a_pdf_are_documents_of_their_own() {
    let page = format!("/Contents 5 0 R /Resources << {FONT} >>");
    let inner = |text: &[u8]| Pdf::new(&[&page]).stream("", text);
    let cover = |files: &[(&str, Vec<u8>)]| {
        let entry = |at: usize| format!("(file{at}) {} 0 R ", 6 + 2 * at);
        let entries: String = (0..files.len()).map(entry).collect();
        let tree = format!("/Names << /EmbeddedFiles << /Names [ {entries}] >> >> /Type");
        let add = |(pdf, at): (Pdf, usize), (name, file): &(&str, Vec<u8>)| {
            let specification = format!("<< /Type /Filespec /F ({name}) /EF << /F {} 0 R >> >>", at + 1);
            (pdf.object(&specification).stream("/Type /EmbeddedFile", file), at + 2)
        };
        files.iter().fold((inner(TEXT).replace(1, "/Type", &tree), 6), add).0.bytes()
    };
    let third = inner(b"BT /F1 24 Tf 60 700 Td (trois) Tj ET").bytes();
    let file = cover(&[("../BO_1_Fr.pdf", inner(TEXT).bytes()), ("BO_2.PDF", cover(&[("BO_3.pdf", third)]))]);
    let files = Files::new([("BO_0.pdf".to_owned(), file)]);
    let (bench, plan) = (&files.bench, files.plan());
    assert!(plan.contains("with embedded PDFs") && plan.contains("BO_0.pdf: 2"), "{plan}");
    let ended = files.run();
    assert_eq!(ended.status.code(), Some(0), "{}", text(&ended));
    bench.assert_verified();
    let names = || -> Vec<(String, u32)> {
        let reader = bench.reader();
        reader.documents().iter().map(|document| (document.name.clone(), document.pages())).collect()
    };
    let expected = ["BO_0.pdf", "BO_0/BO_1_Fr.pdf", "BO_0/BO_2.pdf", "BO_0/BO_2/BO_3.pdf"];
    assert_eq!(names(), expected.map(|name| (name.to_owned(), 1)));
    let again = files.run();
    assert_eq!(again.status.code(), Some(0), "{}", text(&again));
    assert_eq!(names().len(), 4, "{}", text(&again));
}
