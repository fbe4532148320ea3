//! Counts the pages of a run directory from its files, and compares the result with the plan and the catalogue.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::Path,
};

use super::{
    audit::audit,
    catalogue::{self, Catalogue, CatalogueSummary, Index, refused},
    cells::page_ref,
    error::{Result, StoreError, check_run},
    journal_reader::{Damage, JournalReader},
    latest::{Settled, Summary},
    layout::{Layout, StoreFile},
    problem::{Count, Problem},
    shard_reader::ShardReader,
};
use crate::model::{Document, DocumentState, FailureClass, LeaseId, PageRecord, PageRef, ServerKind, Verdict};

/// The counts that the files give, and the problems found.
#[derive(Debug, Default)]
pub struct VerifyReport {
    /// Documents of the plan without the replaced ones.
    pub documents: usize,
    /// Documents whose file changed later, so that a later document replaces them.
    pub replaced: usize,
    /// Documents that the plan refuses.
    pub refused: usize,
    /// Pages that the plan declares.
    pub declared: u64,
    /// Final records of pages that were read.
    pub read: u64,
    /// Final records among them of pages of which some content could not be drawn.
    pub incomplete: u64,
    /// Final records of blank pages.
    pub blank: u64,
    /// Final records of failed pages, by class.
    pub failed: BTreeMap<FailureClass, u64>,
    /// Final records whose text comes from a stand-in and not from the model.
    pub stand_in: u64,
    /// Final records that are in journals, and not yet in a shard.
    pub unsealed: u64,
    /// Records that are not final.
    pub superseded: u64,
    /// Shards in the run directory.
    pub shards: usize,
    /// The problems found.
    pub problems: Vec<Problem>,
}

impl VerifyReport {
    /// Whether no problem was found: the files are whole and every page of the plan is settled once.
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
        write!(f, "{} read", self.read)?;
        if self.incomplete > 0 {
            write!(f, " ({} incomplete)", self.incomplete)?;
        }
        write!(f, ", {} blank, {failed} failed", self.blank)?;
        for (class, pages) in &self.failed {
            write!(f, "{}{class}: {pages}", if Some(class) == self.failed.keys().next() { " (" } else { ", " })?;
        }
        f.write_str(if self.failed.is_empty() { "" } else { ")" })?;
        write!(f, "; {} superseded records; {} shards", self.superseded, self.shards)?;
        if self.unsealed > 0 {
            write!(f, "\n{} of these pages are in journals that are not sealed yet", self.unsealed)?;
        }
        if self.stand_in > 0 {
            write!(f, "\n{} pages were read by a stand-in, not by the model", self.stand_in)?;
        }
        Ok(())
    }
}

/// Verifies a run directory against the plan of the run `run_id`. Reads all files, with their text.
///
/// # Errors
/// The directory cannot be listed. Problems with its files are in the report.
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
    let mut unsealed = BTreeMap::new();
    for file in &listing.journals {
        let path = layout.journal(*file);
        match check_journal(&path, run_id, &mut unsealed) {
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
            Ok(rows) => readable.push((*file, rows)),
            Err(error) => problems.push(error.into()),
        }
    }
    if let Some(catalogue) = &catalogue {
        let readable = readable.iter().map(|(file, _)| *file).collect();
        compare_shards(&layout, catalogue, &listing.shards, &readable, problems);
    }
    // The final records are known only if every shard is readable.
    if readable.len() == listing.shards.len() {
        let index = Index::new(readable, documents);
        unsealed.retain(|page, record: &mut FinalRecord| {
            let sealed = index.find(*page).map(|entry| FinalRecord::from(entry.settled));
            let replaced = documents.get(page.document.index()).is_some_and(|of| of.state == DocumentState::Replaced);
            !replaced && sealed.is_none_or(|sealed| record.precedes(&sealed))
        });
        count(&index, &unsealed, &mut report);
        check_pages(&index, &unsealed, documents, &mut report.problems);
        if let Some(catalogue) = catalogue {
            let expected = catalogue::summarise(&index, documents, listing.journals.len());
            compare_counts(&layout.catalogue(), &catalogue, &index, expected, &mut report.problems);
            compare_rows(&catalogue.index, &index, &mut report.problems);
        }
    }
    Ok(report)
}

/// What counts of the final record of a page.
#[derive(Debug, Clone, Copy)]
struct FinalRecord {
    verdict: Verdict,
    lease: LeaseId,
    server: Option<ServerKind>,
}

impl From<Settled> for FinalRecord {
    fn from(Settled { verdict, lease, server, .. }: Settled) -> Self {
        FinalRecord { verdict, lease, server }
    }
}

impl FinalRecord {
    fn precedes(&self, other: &FinalRecord) -> bool {
        PageRecord::precedence(self.verdict, self.lease) > PageRecord::precedence(other.verdict, other.lease)
    }
}

/// Reads a journal to its end, and adds its records to the final ones of all journals.
fn check_journal(path: &Path, run_id: &str, records: &mut BTreeMap<PageRef, FinalRecord>) -> Result<Damage> {
    let Some(mut reader) = JournalReader::open(path)? else { return Ok(Damage::default()) };
    check_run(path, &reader.opening().provenance.run_id, run_id)?;
    while let Some(record) = reader.next_record()? {
        let server = record.answered_by().map(|served_by| served_by.server);
        let read = FinalRecord { verdict: record.verdict, lease: record.lease, server };
        let known = records.entry(record.page).or_insert(read);
        if read.precedes(known) {
            *known = read;
        }
    }
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

/// Checks a shard by itself and against the plan, and returns the summaries of its records.
fn check_shard(
    layout: &Layout,
    file: StoreFile,
    documents: &[Document],
    run_id: &str,
    problems: &mut Vec<Problem>,
) -> Result<Vec<Summary>> {
    let path = layout.shard(file);
    let shard = ShardReader::open(&path)?;
    problems.extend(check_run(&path, &shard.opening()?.provenance.run_id, run_id).err().map(Problem::from));
    let of_shard = shard.documents()?;
    let audit = audit(&shard, file, &of_shard)?;
    if let Some(first) = audit.first {
        problems.push(Problem::Shard { path: path.clone(), corruptions: audit.corruptions, first });
    }
    if let Some(&first) = audit.changed.first() {
        problems.push(Problem::Text { pages: audit.changed.len(), first, path: path.clone() });
    }
    let foreign = of_shard.into_iter().find(|document| {
        let planned = documents.get(document.id.index());
        planned.is_none_or(|planned| (&planned.name, &planned.fingerprint) != (&document.name, &document.fingerprint))
    });
    problems.extend(foreign.map(|document| Problem::Foreign { name: document.name, path }));
    shard.summaries()
}

/// Counts the final records, of which `unsealed` are in journals.
fn count(index: &Index, unsealed: &BTreeMap<PageRef, FinalRecord>, report: &mut VerifyReport) {
    report.superseded = index.superseded;
    report.unsealed = unsealed.len() as u64;
    let sealed = index.entries.iter().map(|entry| entry.settled);
    let sealed = sealed.filter(|settled| !unsealed.contains_key(&settled.page)).map(FinalRecord::from);
    for FinalRecord { verdict, server, .. } in sealed.chain(unsealed.values().copied()) {
        match verdict {
            Verdict::Read | Verdict::Incomplete => report.read += 1,
            Verdict::Blank => report.blank += 1,
            Verdict::Failed(class) => *report.failed.entry(class).or_default() += 1,
        }
        report.incomplete += u64::from(verdict == Verdict::Incomplete);
        report.stand_in += u64::from(server.is_some_and(|server| server != ServerKind::Model));
    }
}

fn check_pages(
    index: &Index,
    unsealed: &BTreeMap<PageRef, FinalRecord>,
    documents: &[Document],
    problems: &mut Vec<Problem>,
) {
    for document in documents {
        let unsettled = |page: &u32| {
            let page = page_ref(document.id.0, *page);
            index.find(page).is_none() && !unsealed.contains_key(&page)
        };
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

/// Compares the counts of the catalogue.
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

/// Compares the shards that the catalogue lists with those that exist, and checks its links to the readable ones.
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

/// Compares the rows of the catalogue: one row for each settled page, in order, and the final one.
fn compare_rows(catalogue: &Index, shards: &Index, problems: &mut Vec<Problem>) {
    let by_page = |index: &Index| index.entries.iter().map(|entry| (entry.settled.page, *entry)).collect();
    let (listed, expected): (BTreeMap<_, _>, BTreeMap<_, _>) = (by_page(catalogue), by_page(shards));
    let changed = |page: &&PageRef| listed.get(page) != expected.get(page);
    let mut differing: BTreeSet<PageRef> = listed.keys().chain(expected.keys()).filter(changed).copied().collect();
    // The maps above keep one row of a page that is listed twice. A binary search cannot find a row out of order.
    let pairs = catalogue.entries.windows(2).map(|pair| (pair[0].settled.page, pair[1].settled.page));
    differing.extend(pairs.filter(|(page, next)| page >= next).map(|(_, next)| next));
    if let Some(&first) = differing.first() {
        problems.push(Problem::IndexDiffers { pages: differing.len(), first });
    }
}
