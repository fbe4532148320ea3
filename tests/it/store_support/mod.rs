//! Records as a run makes them, from the text of real gazettes, for the tests and benches of the store.
#![allow(dead_code, missing_docs, clippy::unwrap_used)]

use crate::engines;
use std::{
    env,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bulletin_ocr::{
    model::{
        Attempt, AttemptOutcome, BBox, Block, Columns, ColumnsReason, Confidence, Divide, Document, DocumentId,
        DocumentState, Edition, Engine, EngineNames, EngineSet, FailureClass, Fingerprint, FinishReason, ImageFacts,
        Language, LeaseId, MachineFault, PageIndex, PageLayout, PageRecord, PageRef, Part, PixelSize, RankId, Rotation,
        Sampling, ServedBy, ServerKind, Shown, Skew, Stage, TokenUsage, Verdict, View, configuration,
    },
    store::{
        self, JournalHeader, JournalWriter, Layout, Provenance, Recovered, ShardReader, StoreError, StoreEvent,
        StoreFile, UnfinishedFiles, Writer, catalogue,
    },
};
use bytesize::ByteSize;
use oorandom::Rand32;

const FRENCH: &str = include_str!("../../data/store/french.txt");
const ARABIC: &str = include_str!("../../data/store/arabic.txt");

pub fn page_ref(document: u32, page: u32) -> PageRef {
    PageRef { document: DocumentId(document), page: PageIndex(page) }
}

pub fn document(id: u32, name: &str, pages: u32) -> Document {
    Document {
        id: DocumentId(id),
        path: Path::new("/gazettes").join(name),
        name: name.into(),
        fingerprint: Some(Fingerprint { bytes: 1000 + u64::from(id), sha256: format!("{id:064x}") }),
        edition: Edition { number: Some(5705 + id), suffix: Some("bis".into()), language: Language::Arabic },
        state: DocumentState::Planned { pages, damage: None, embedded: 0 },
    }
}

pub fn refused(id: u32, name: &str) -> Document {
    let state = DocumentState::Refused { class: FailureClass::Encrypted, reason: "give its password".into() };
    let edition = Edition { number: None, suffix: None, language: Language::Unknown };
    Document { fingerprint: None, edition, state, ..document(id, name, 0) }
}

pub fn provenance() -> Provenance {
    Provenance {
        run_id: "run-1".into(),
        configuration_toml: "roles = \"chandra\"\n".into(),
        program_version: "0.1.0".into(),
        engines: EngineNames::default(),
    }
}

pub fn settings(shard: u64) -> configuration::Store {
    configuration::Store {
        shard: ByteSize(shard),
        sync_interval: Duration::from_millis(5),
        ..configuration::Store::default()
    }
}

pub fn served_by(engine: Engine, server: ServerKind) -> ServedBy {
    let name = engines::name(engine);
    ServedBy {
        server,
        profile: name.to_string(),
        model: format!("{name}-model"),
        engine: name,
        version: "0.11.2".into(),
        dialect: "divs".into(),
        prompt_sha256: format!("{:064x}", engine.position() + 1),
        request: "{\"top_k\":-1}".into(),
    }
}

pub fn attempt(engine: Engine, outcome: AttemptOutcome, answer: &str) -> Attempt {
    let accepted = outcome == AttemptOutcome::Accepted;
    Attempt {
        served_by: served_by(engine, ServerKind::Model),
        rank: RankId(engine.position() as u32 + 1),
        stage: Stage::On(engine),
        shown: Shown::whole(PixelSize { width: 1288, height: 1822 }),
        request_id: format!("BO_1.p1.l1.{}", engines::name(engine)),
        outcome,
        finish: Some(if accepted { FinishReason::Stop } else { FinishReason::Cut }),
        step: 1,
        sampling: Sampling { temperature: 0.25, top_p: 0.5 },
        salted: true,
        repeats: if accepted { 0 } else { 70_000 },
        max_tokens: 12_384,
        tokens: TokenUsage { prompt: 3_000, completion: answer.len() as u32 / 4 },
        started_unix_ms: 1_790_000_000_123,
        time_to_first_token: accepted.then_some(Duration::from_micros(712_345)),
        duration: Duration::from_micros(6_543_210),
        kept_characters: answer.chars().count() as u32,
        reason: if accepted { String::new() } else { "période de 12 caractères — تكرار".into() },
        answer: answer.into(),
    }
}

/// A page with about `bytes` of raw answer in the words of a real gazette, read whole by `engine`.
pub fn read_page(page: PageRef, lease: u64, bytes: usize, random: &mut Rand32) -> PageRecord {
    let arabic = random.rand_u32().is_multiple_of(2);
    let words: Vec<&str> = if arabic { ARABIC } else { FRENCH }.split_whitespace().collect();
    let (mut raw, mut blocks) = (String::new(), Vec::new());
    while raw.len() < bytes {
        let label = ["Page-Header", "Section-Header", "Text", "Text", "Table"][blocks.len().min(4)];
        let bbox = BBox::from_scale([0; 4].map(|_: i32| f64::from(random.rand_range(0..1000))), 1000.0);
        let html = html(label, &words, random);
        let _ = write!(
            raw,
            "<div data-bbox=\"{} {} {} {}\" data-label=\"{label}\">{html}</div>",
            bbox.left, bbox.top, bbox.right, bbox.bottom
        );
        blocks.push(Block { label: label.into(), bbox: Some(bbox), html });
    }
    let language = if arabic { Language::Arabic } else { Language::French };
    let part = part(blocks);
    let attempts = vec![attempt(engines::CHANDRA, AttemptOutcome::Accepted, &raw)];
    PageRecord { language, parts: vec![part], attempts, ..bare(page, lease, Verdict::Read) }
}

fn html(label: &str, words: &[&str], random: &mut Rand32) -> String {
    let mut phrase = || {
        let from = random.rand_range(0..words.len() as u32 - 12) as usize;
        words[from..from + random.rand_range(2..12) as usize].join(" ").replace('&', "&amp;").replace('<', "&lt;")
    };
    match label {
        "Section-Header" => format!("<h2>{}</h2>", phrase()),
        "Table" => {
            let row = |cells: [String; 3]| format!("<tr><td>{}</td></tr>", cells.join("</td><td>"));
            let rows: Vec<String> = (0..6).map(|_| row([phrase(), phrase(), phrase()])).collect();
            format!("<table><tbody>{}</tbody></table>", rows.join(""))
        }
        _ => format!("<p>{}</p>", [phrase(), phrase(), phrase(), phrase()].join(" ")),
    }
}

/// A whole-page part of these blocks, HTML and Markdown as the module `engine` makes them.
pub fn part(blocks: Vec<Block>) -> Part {
    let html = blocks.iter().map(|block| format!("<div data-label=\"{}\">{}</div>\n", block.label, block.html));
    let markdown: Vec<String> = blocks.iter().map(markdown).collect();
    Part { bbox: BBox::PAGE, attempt: 0, html: html.collect(), markdown: markdown.join("\n\n"), blocks }
}

/// Markdown of one block.
pub fn markdown(block: &Block) -> String {
    if block.html.starts_with("<table") { block.html.clone() } else { htmd::convert(&block.html).unwrap_or_default() }
}

/// A record without attempts or text.
pub fn bare(page: PageRef, lease: u64, verdict: Verdict) -> PageRecord {
    let image = ImageFacts {
        size: PixelSize { width: 1288, height: 1822 },
        dpi: 155.5,
        grey: true,
        encoded_bytes: 654_321,
        ink: 0.0625,
        render_micros: 6_300,
        encode_micros: 2_500,
    };
    let divide = Divide { top: 86, bottom: 925, x_top: 497, x_bottom: 503 };
    let columns = Columns { divide: Some(divide), reason: ColumnsReason::Rule, confidence: Confidence(97) };
    let layout = PageLayout {
        turn: Rotation::Half,
        skew: Some(Skew(-123)),
        straightened: true,
        cleaned: false,
        script: Language::Arabic,
        columns,
    };
    PageRecord {
        page,
        lease: LeaseId(lease),
        rank: RankId(3),
        verdict,
        engine: Some(engines::CHANDRA),
        language: Language::Unknown,
        image: Some(image),
        layout: Some(layout),
        attempts: Vec::new(),
        counts_from: 0,
        parts: Vec::new(),
        remaining: EngineSet::default(),
        reason: String::new(),
        settled_unix_ms: 1_790_000_006_789,
    }
}

/// One record of each kind: read, read in two columns by the other engine, blank, failed with a partial answer,
/// failed before rendering, interrupted before it was read.
pub fn varied() -> Vec<PageRecord> {
    let mut random = Rand32::new(7);
    let read = read_page(page_ref(0, 0), 1, 4000, &mut random);
    let column = |left, attempt, text: &str| {
        let header =
            Block {
                label: "Page-Header".into(), bbox: None, html: "<p>الجريدة الرسمية — عدد 7412</p>".into()
            };
        let body = Block {
            label: "Text".into(),
            bbox: Some(BBox { left, top: 50, right: left + 480, bottom: 950 }),
            html: format!("<p>{text} n<sup>o</sup> 2-24</p>"),
        };
        let bbox = BBox { left, top: 0, right: left + 500, bottom: 1000 };
        Part { bbox, attempt, ..part(vec![header, body]) }
    };
    let mut cut = attempt(engines::CHANDRA, AttemptOutcome::Failed(FailureClass::Loop), "<div>boucle boucle");
    cut.shown.part = 1;
    let mut second = attempt(engines::DEEPSEEK, AttemptOutcome::Accepted, "Décret n° 2-24");
    second.request_id = "BO_1.p1.l1.a3.halves-2".into();
    second.shown = Shown {
        view: View::Halves,
        part: 1,
        bbox: BBox { top: 490, ..BBox::PAGE },
        turn: Rotation::Left,
        skew: Skew(-45),
        size: PixelSize { width: 1288, height: 928 },
    };
    let two = PageRecord {
        engine: Some(engines::DEEPSEEK),
        language: Language::Mixed,
        attempts: vec![
            cut,
            attempt(engines::DEEPSEEK, AttemptOutcome::Accepted, "<|ref|>text<|/ref|> المادة 4"),
            second,
        ],
        parts: vec![column(500, 1, "المادة 4"), column(0, 2, "Décret <b>portant</b> création")],
        ..bare(page_ref(0, 1), 2, Verdict::Read)
    };
    let blank = PageRecord { engine: None, ..bare(page_ref(0, 2), 3, Verdict::Blank) };
    // The blocks of a partial answer need not be pieces of its HTML.
    let partial = Part {
        html: "<p>reste</p>".into(),
        attempt: 1,
        ..part(vec![Block { label: "Odd label".into(), bbox: None, html: "boucle".into() }])
    };
    let failed = PageRecord {
        attempts: vec![
            Attempt {
                request_id: "BO_1.p1.l1.a1.whole".into(),
                ..attempt(engines::CHANDRA, AttemptOutcome::Interrupted(MachineFault::ServerDied), "")
            },
            attempt(engines::CHANDRA, AttemptOutcome::Failed(FailureClass::Truncated), "<div>boucle"),
        ],
        counts_from: 1,
        parts: vec![partial],
        remaining: EngineSet::only(engines::DEEPSEEK),
        reason: "budget de 12384 jetons épuisé".into(),
        ..bare(page_ref(1, 0), 4, Verdict::Failed(FailureClass::Truncated))
    };
    let unrendered = PageRecord {
        engine: None,
        image: None,
        layout: None,
        reason: "page 2: out of memory".into(),
        ..bare(page_ref(1, 1), 5, Verdict::Failed(FailureClass::TooLarge))
    };
    let mut stand_in = read_page(page_ref(1, 2), 6, 800, &mut random);
    stand_in.attempts[0].served_by = served_by(engines::CHANDRA, ServerKind::StandInTesseract);
    vec![read, two, blank, failed, unrendered, stand_in]
}

/// The plan of [`varied`]: same file name in two folders, and a document that cannot be read.
pub fn plan() -> Vec<Document> {
    vec![document(0, "1998/BO_1.pdf", 3), document(1, "1999/BO_1.pdf", 3), refused(2, "1999/locked.pdf")]
}

/// Writes records as one rank would and waits until they are sealed; panics where the writer fails.
pub fn write(run_directory: &Path, rank: u32, shard_bytes: u64, plan: &[Document], records: &[PageRecord]) {
    let documents: Arc<[Document]> = plan.into();
    let failed = |event| {
        if let StoreEvent::Failed(error, _) = event {
            panic!("{error}");
        }
    };
    let writer =
        Writer::start(run_directory, RankId(rank), &settings(shard_bytes), provenance(), documents, failed).unwrap();
    for record in records {
        writer.append(record.clone(), ()).unwrap();
    }
    writer.finish().unwrap();
}

/// A process that another test of this program starts holds the lock of every open journal until it executes its program.
pub const LOCK_WAIT: Duration = Duration::from_secs(10);

/// Recovers a run directory of [`provenance`] in one share.
pub fn recover(run_directory: &Path) -> Result<Recovered, StoreError> {
    recover_within(LOCK_WAIT, run_directory)
}

/// [`recover`] with a wait of its own for journals that a process holds.
pub fn recover_within(wait: Duration, run_directory: &Path) -> Result<Recovered, StoreError> {
    store::recover(run_directory, &UnfinishedFiles::find(run_directory)?, &provenance().run_id, wait)
}

/// The file of [`leave_journal`].
pub const FILE: StoreFile = StoreFile { rank: RankId(3), sequence: 2 };

/// The opening of [`leave_journal`].
pub fn opening() -> JournalHeader {
    JournalHeader {
        rank: FILE.rank,
        sequence: FILE.sequence,
        created_unix_ns: 1_790_000_000_000_000_000,
        provenance: provenance(),
    }
}

/// A journal of `records` that nobody sealed; returns the layout and the file size after each record.
pub fn leave_journal(run_directory: &Path, records: &[PageRecord]) -> (Layout, Vec<u64>) {
    let layout = Layout::new(run_directory);
    fs::create_dir_all(layout.store()).unwrap();
    let mut journal = JournalWriter::create(&layout.journal(FILE), &opening()).unwrap();
    let plan = plan();
    let mut sizes = vec![journal.len()];
    for record in records {
        journal.append(record, &plan[record.page.document.index()]).unwrap();
        journal.sync().unwrap();
        sizes.push(journal.len());
    }
    (layout, sizes)
}

/// All records of all shards, in order.
pub fn records_of(run_directory: &Path) -> Vec<PageRecord> {
    let layout = Layout::new(run_directory);
    let read = |file| {
        let shard = ShardReader::open(&layout.shard(file)).unwrap();
        (0..shard.pages()).map(move |row| shard.read(row).unwrap()).collect::<Vec<_>>()
    };
    layout.shards().unwrap().into_iter().flat_map(read).collect()
}

/// A Python with h5py.
pub fn python() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join(".deps/python/bin/python");
    let python = env::var_os("BOCR_TEST_PYTHON").map_or(own, PathBuf::from);
    assert!(
        python.exists(),
        "{} is missing: run scripts/test, which sets it up, or point BOCR_TEST_PYTHON to a Python with h5py",
        python.display()
    );
    python
}

/// A finished run of [`varied`] in several shards of two ranks.
pub fn finished_run(run_directory: &Path) {
    let records = varied();
    for record in &records[..2] {
        write(run_directory, 0, 1, &plan(), std::slice::from_ref(record));
    }
    write(run_directory, 3, 1 << 20, &plan(), &records[2..]);
    catalogue::write(run_directory, &plan()).unwrap();
}

/// Compares with a file of `tests/golden`; `BOCR_UPDATE_GOLDEN=1` writes it anew.
pub fn assert_golden(name: &str, found: &[u8]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("BOCR_UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if expected != found {
        let (expected, found) = (String::from_utf8_lossy(&expected), String::from_utf8_lossy(found));
        panic!("{} differs\nexpected: {expected}\nfound: {found}", path.display());
    }
}
