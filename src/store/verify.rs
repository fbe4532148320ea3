//! Recomputes the page ledger of a run directory from its files and compares it with the plan and the catalogue.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
};

use super::{
    audit::{Flaw, audit},
    catalogue::{self, Catalogue, CatalogueSummary, Index, refused},
    error::{Result, StoreError},
    journal_reader::{Damage, JournalReader},
    layout::{Layout, StoreFile, shard_name},
    recover::check_run,
    shard_reader::{Settled, ShardReader, page_ref},
};
use crate::model::{Document, DocumentState, FailureClass, PageRef, ServerKind, Verdict};

/// Something that is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// Records wait in a journal.
    #[error("journal {} is not sealed: the run has not finished; give the same command again, or seal it with `bocr verify --repair`", path.display())]
    JournalLeft {
        /// The journal.
        path: PathBuf,
    },
    /// A journal has places that cannot be read, and others behind them.
    #[error(
        "journal {} cannot be read in {} places, {} bytes: the next start, or `bocr verify --repair`, seals the rest and \
         keeps it as {}.damaged",
        path.display(), damage.places, damage.bytes, path.display()
    )]
    JournalDamaged {
        /// The journal.
        path: PathBuf,
        /// What cannot be read.
        damage: Damage,
    },
    /// A damaged journal was kept.
    #[error(
        "{} is a damaged journal, kept after what could be saved of it was sealed: give the same command again to read \
         its lost pages anew, then delete the file",
        path.display()
    )]
    JournalKept {
        /// The file.
        path: PathBuf,
    },
    /// There is no catalogue.
    #[error("catalogue {} is missing: write it again with `bocr verify --repair`", path.display())]
    NoCatalogue {
        /// Where it should be.
        path: PathBuf,
    },
    /// A file is missing, damaged or cannot be read.
    #[error(transparent)]
    File(#[from] StoreError),
    /// A shard that the catalogue does not list.
    #[error("shard {} is not in the catalogue: write the catalogue again with `bocr verify --repair`", path.display())]
    Unlisted {
        /// The shard.
        path: PathBuf,
    },
    /// The catalogue says another number than the files give.
    #[error("{} lists {listed} {what}, but the files hold {found}: write it again with `bocr verify --repair`", path.display())]
    Count {
        /// The catalogue.
        path: PathBuf,
        /// What is counted.
        what: Count,
        /// The number according to the files.
        found: u64,
        /// The number according to the catalogue.
        listed: u64,
    },
    /// The catalogue has no link to a shard, or one that leads elsewhere.
    #[error("the link in {} does not lead to {}: write the catalogue again with `bocr verify --repair`", path.display(), shard.display())]
    Link {
        /// The catalogue.
        path: PathBuf,
        /// The shard.
        shard: PathBuf,
    },
    /// A file whose writing was interrupted.
    #[error(
        "{} was left by an interrupted sealing: the next start deletes it, and so does `bocr verify --repair`",
        path.display()
    )]
    Temporary {
        /// The file.
        path: PathBuf,
    },
    /// A file that the store did not make.
    #[error("{} is not a file of the store: move it away", path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
    },
    /// Rows of a shard that do not lead where they should.
    #[error(
        "shard {} is damaged in {flaws} places, the first: {first}; put a good copy back, or delete it and give the \
         same command again to read its pages anew",
        path.display()
    )]
    Shard {
        /// The shard.
        path: PathBuf,
        /// How many flaws were found.
        flaws: usize,
        /// The first of them.
        first: Flaw,
    },
    /// A shard with pages of a document that is not the plan's.
    #[error("shard {} has pages of {name}, and the plan does not have that document with these bytes: the shard belongs to another run; move it away", path.display())]
    Foreign {
        /// Name of the document.
        name: String,
        /// The shard.
        path: PathBuf,
    },
    /// The text of a record does not have its checksum.
    #[error(
        "shard {}: the text of {pages} records has changed since it was sealed, the first is {first}; put a good copy \
         back, or delete it and give the same command again to read its pages anew",
        path.display()
    )]
    Text {
        /// Records with changed text.
        pages: usize,
        /// The first of them.
        first: PageRef,
        /// The shard.
        path: PathBuf,
    },
    /// Pages of the plan that no record settles.
    #[error(
        "{name}: {pages} of {declared} pages are not settled, the first is page {first}: give the same command again"
    )]
    Unsettled {
        /// Name of the document.
        name: String,
        /// Pages without a record.
        pages: u32,
        /// Pages of the document.
        declared: u32,
        /// 1-based number of the first of them.
        first: u32,
    },
    /// Records of pages that the plan does not have.
    #[error(
        "{pages} pages have a record but are not in the plan, the first is {first}: move the shards of another run away"
    )]
    Undeclared {
        /// Such pages.
        pages: usize,
        /// The first of them.
        first: PageRef,
    },
    /// The catalogue's rows are not those that the shards give.
    #[error(
        "the catalogue's rows of {pages} pages differ from the shards, the first is {first}: `bocr verify \
         --repair` writes it anew"
    )]
    IndexDiffers {
        /// Such pages.
        pages: usize,
        /// The first of them.
        first: PageRef,
    },
    /// The catalogue lists other documents than the plan.
    #[error("the catalogue's documents differ from the plan's: write the catalogue again with `bocr verify --repair`")]
    DocumentsDiffer,
}

/// What a catalogue counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// Pages that the plan declares.
    Declared,
    /// Pages with a final record.
    Settled,
    /// Records that are not final.
    Superseded,
    /// Whether all is settled: 1 or 0.
    Complete,
    /// Records of this shard.
    Pages(StoreFile),
    /// Final records of this shard.
    FinalPages(StoreFile),
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Count::Declared => f.write_str("pages declared"),
            Count::Settled => f.write_str("pages settled"),
            Count::Superseded => f.write_str("superseded records"),
            Count::Complete => f.write_str("for `complete`"),
            Count::Pages(file) => write!(f, "records in {}", shard_name(*file)),
            Count::FinalPages(file) => write!(f, "final records in {}", shard_name(*file)),
        }
    }
}

/// The ledger as the files give it.
#[derive(Debug, Default)]
pub struct VerifyReport {
    /// Documents of the plan, replaced ones not counted.
    pub documents: usize,
    /// Documents whose file has changed since, so that a later one stands for them.
    pub replaced: usize,
    /// Those that could not be worked on.
    pub refused: usize,
    /// Pages that the plan declares.
    pub declared: u64,
    /// Final records that were read.
    pub read: u64,
    /// Final records of blank pages.
    pub blank: u64,
    /// Final records of failed pages, by class.
    pub failed: BTreeMap<FailureClass, u64>,
    /// Final records whose text a stand-in gave, not the model.
    pub stand_in: u64,
    /// Records that are not final.
    pub superseded: u64,
    /// Shards.
    pub shards: usize,
    /// What is wrong; empty when all is well.
    pub problems: Vec<Problem>,
}

impl VerifyReport {
    /// Whether the files are whole and every page of the plan is settled once.
    pub fn is_good(&self) -> bool {
        self.problems.is_empty()
    }
}

impl fmt::Display for VerifyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failed: u64 = self.failed.values().sum();
        write!(f, "{} documents, {} refused", self.documents, self.refused)?;
        if self.replaced > 0 {
            write!(f, ", {} replaced", self.replaced)?;
        }
        writeln!(f, "; {} pages declared", self.declared)?;
        write!(f, "{} read, {} blank, {failed} failed", self.read, self.blank)?;
        for (class, pages) in &self.failed {
            write!(f, "{}{class}: {pages}", if Some(class) == self.failed.keys().next() { " (" } else { ", " })?;
        }
        f.write_str(if self.failed.is_empty() { "" } else { ")" })?;
        write!(f, "; {} superseded records; {} shards", self.superseded, self.shards)?;
        if self.stand_in > 0 {
            write!(f, "\n{} pages were read by a stand-in, not by the model", self.stand_in)?;
        }
        Ok(())
    }
}

/// Verifies a run directory against the plan of the run `run_id`. Reads everything, text included.
///
/// # Errors
/// The directory cannot be listed. What is wrong with its files is in the report.
pub fn verify(run_directory: &Path, documents: &[Document], run_id: &str) -> Result<VerifyReport> {
    let layout = Layout::new(run_directory);
    let replaced = documents.iter().filter(|document| document.state == DocumentState::Replaced).count();
    let mut report = VerifyReport {
        documents: documents.len() - replaced,
        replaced,
        refused: refused(documents),
        declared: documents.iter().map(|document| u64::from(document.pages())).sum(),
        ..VerifyReport::default()
    };
    let listing = layout.listing()?;
    report.shards = listing.shards.len();
    let problems = &mut report.problems;
    for file in &listing.journals {
        let path = layout.journal(*file);
        match check_journal(&path, run_id) {
            Ok(damage) if damage.places > 0 => problems.push(Problem::JournalDamaged { path: path.clone(), damage }),
            Ok(_) => {}
            Err(error) => problems.push(error.into()),
        }
        problems.push(Problem::JournalLeft { path });
    }
    problems.extend(listing.damaged.iter().map(|file| Problem::JournalKept { path: layout.damaged_journal(*file) }));
    problems.extend(listing.temporaries.into_iter().map(|(_, path)| Problem::Temporary { path }));
    problems.extend(listing.unknown.into_iter().map(|path| Problem::Unknown { path }));
    let catalogue = open_catalogue(&layout, documents, run_id, problems);
    let mut readable = Vec::new();
    for file in &listing.shards {
        match check_shard(&layout, *file, documents, run_id, problems) {
            Ok(settled) => readable.push((*file, settled)),
            Err(error) => problems.push(error.into()),
        }
    }
    if let Some(catalogue) = &catalogue {
        let readable = readable.iter().map(|(file, _)| *file).collect();
        compare_shards(&layout, catalogue, &listing.shards, &readable, problems);
    }
    // Without all shards nobody knows which records are final.
    if readable.len() == listing.shards.len() {
        let index = Index::new(readable, documents);
        count(&index, &mut report);
        check_pages(&index, documents, &mut report.problems);
        if let Some(catalogue) = catalogue {
            let expected = catalogue::summarise(&index, documents, listing.journals.len());
            compare_counts(&layout.catalogue(), &catalogue, &index, expected, &mut report.problems);
            compare_rows(&catalogue.index, &index, &mut report.problems);
        }
    }
    Ok(report)
}

/// Reads a journal that is left to its end.
fn check_journal(path: &Path, run_id: &str) -> Result<Damage> {
    let Some(mut reader) = JournalReader::open(path)? else { return Ok(Damage::default()) };
    check_run(path, &reader.opening().provenance.run_id, run_id)?;
    while reader.next_entry()?.is_some() {}
    Ok(reader.damage())
}

fn open_catalogue(
    layout: &Layout,
    documents: &[Document],
    run_id: &str,
    problems: &mut Vec<Problem>,
) -> Option<Catalogue> {
    let path = layout.catalogue();
    if !path.exists() {
        problems.push(Problem::NoCatalogue { path });
        return None;
    }
    match catalogue::load(&path) {
        Ok(catalogue) => {
            if catalogue.documents != documents {
                problems.push(Problem::DocumentsDiffer);
            }
            if let Some(found) = &catalogue.run_id {
                problems.extend(check_run(&path, found, run_id).err().map(Problem::from));
            }
            Some(catalogue)
        }
        Err(error) => {
            problems.push(error.into());
            None
        }
    }
}

/// Checks a shard on its own and against the plan, and tells how its records settled their pages.
fn check_shard(
    layout: &Layout,
    file: StoreFile,
    documents: &[Document],
    run_id: &str,
    problems: &mut Vec<Problem>,
) -> Result<Vec<Settled>> {
    let path = layout.shard(file);
    let shard = ShardReader::open(&path)?;
    problems.extend(check_run(&path, &shard.opening()?.provenance.run_id, run_id).err().map(Problem::from));
    let of_shard = shard.documents()?;
    let audit = audit(&shard, file, &of_shard)?;
    if let Some(first) = audit.first {
        problems.push(Problem::Shard { path: path.clone(), flaws: audit.flaws, first });
    }
    if let Some(&first) = audit.changed.first() {
        problems.push(Problem::Text { pages: audit.changed.len(), first, path: path.clone() });
    }
    let identity = |document: &Document| (document.name.clone(), document.fingerprint.clone());
    let planned = |document: &Document| documents.get(document.id.index()).map(identity);
    let foreign = of_shard.into_iter().find(|document| planned(document) != Some(identity(document)));
    problems.extend(foreign.map(|document| Problem::Foreign { name: document.name, path }));
    shard.settled()
}

fn count(index: &Index, report: &mut VerifyReport) {
    report.superseded = index.superseded;
    for entry in &index.entries {
        match entry.settled.verdict {
            Verdict::Read => report.read += 1,
            Verdict::Blank => report.blank += 1,
            Verdict::Failed(class) => *report.failed.entry(class).or_default() += 1,
        }
        let server = entry.settled.server;
        report.stand_in += u64::from(server.is_some_and(|server| server != ServerKind::Model));
    }
}

fn check_pages(index: &Index, documents: &[Document], problems: &mut Vec<Problem>) {
    for document in documents {
        let unsettled = |page: &u32| index.find(page_ref(document.id.0, *page)).is_none();
        let mut missing = (0..document.pages()).filter(unsettled);
        if let Some(first) = missing.next() {
            let (name, declared) = (document.name.clone(), document.pages());
            let pages = 1 + missing.count() as u32;
            problems.push(Problem::Unsettled { name, pages, declared, first: first + 1 });
        }
    }
    let declared: BTreeMap<_, _> = documents.iter().map(|document| (document.id, document.pages())).collect();
    let pages = index.entries.iter().map(|entry| entry.settled.page);
    let mut undeclared = pages.filter(|page| declared.get(&page.document).is_none_or(|pages| page.page.0 >= *pages));
    if let Some(first) = undeclared.next() {
        problems.push(Problem::Undeclared { pages: 1 + undeclared.count(), first });
    }
}

/// Compares what the catalogue counts.
fn compare_counts(
    path: &Path,
    catalogue: &Catalogue,
    index: &Index,
    expected: CatalogueSummary,
    problems: &mut Vec<Problem>,
) {
    let CatalogueSummary { declared, settled, superseded, shards: _, complete } = catalogue.summary;
    let mut counts = vec![
        (Count::Declared, declared, expected.declared),
        (Count::Settled, settled, expected.settled),
        (Count::Superseded, superseded, expected.superseded),
        (Count::Complete, complete.into(), expected.complete.into()),
    ];
    for listed in &catalogue.index.shards {
        if let Ok(at) = index.shards.binary_search_by_key(&listed.file, |shard| shard.file) {
            let found = &index.shards[at];
            counts.push((Count::Pages(listed.file), listed.pages, found.pages));
            counts.push((Count::FinalPages(listed.file), listed.final_pages, found.final_pages));
        }
    }
    let differing = counts.into_iter().filter(|(_, listed, found)| listed != found);
    problems.extend(differing.map(|(what, listed, found)| Problem::Count { path: path.into(), what, found, listed }));
}

/// Compares the shards that the catalogue lists with those that are there, and follows its links to readable ones.
fn compare_shards(
    layout: &Layout,
    catalogue: &Catalogue,
    present: &[StoreFile],
    readable: &BTreeSet<StoreFile>,
    problems: &mut Vec<Problem>,
) {
    let listed: BTreeSet<_> = catalogue.index.shards.iter().map(|shard| shard.file).collect();
    let present: BTreeSet<_> = present.iter().copied().collect();
    let missing = listed.difference(&present).map(|file| StoreError::MissingShard { path: layout.shard(*file) }.into());
    problems.extend(missing);
    problems.extend(present.difference(&listed).map(|file| Problem::Unlisted { path: layout.shard(*file) }));
    let path = layout.catalogue();
    match catalogue::unlinked(&path, listed.intersection(readable).copied()) {
        Ok(unlinked) => {
            let problem = |file| Problem::Link { path: path.clone(), shard: layout.shard(file) };
            problems.extend(unlinked.into_iter().map(problem));
        }
        Err(error) => problems.push(error.into()),
    }
}

/// Compares the rows: one final row a page, in order, and the right one.
fn compare_rows(catalogue: &Index, shards: &Index, problems: &mut Vec<Problem>) {
    let by_page = |index: &Index| index.entries.iter().map(|entry| (entry.settled.page, *entry)).collect();
    let (listed, expected): (BTreeMap<_, _>, BTreeMap<_, _>) = (by_page(catalogue), by_page(shards));
    let changed = |page: &&PageRef| listed.get(page) != expected.get(page);
    let mut differing: BTreeSet<PageRef> = listed.keys().chain(expected.keys()).filter(changed).copied().collect();
    // A page listed twice hides one of its rows above, and one out of order cannot be found.
    let pairs = catalogue.entries.windows(2).map(|pair| (pair[0].settled.page, pair[1].settled.page));
    differing.extend(pairs.filter(|(page, next)| page >= next).map(|(_, next)| next));
    if let Some(&first) = differing.first() {
        problems.push(Problem::IndexDiffers { pages: differing.len(), first });
    }
}
