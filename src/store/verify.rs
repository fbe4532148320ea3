//! Recomputes the page ledger of a run directory from its files and compares it with the plan and the catalogue.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
};

use super::{
    catalogue::{self, Index, refused},
    error::{Result, StoreError},
    layout::Layout,
    shard_reader::{ShardReader, page_ref},
};
use crate::model::{Document, FailureClass, PageRef, ServerKind, Verdict};

/// Something that is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// Records wait in a journal.
    #[error("journal {} is not sealed: the run has not finished, give the same command again", path.display())]
    JournalLeft {
        /// The journal.
        path: PathBuf,
    },
    /// There is no catalogue.
    #[error("catalogue {} is missing: give the same command again", path.display())]
    NoCatalogue {
        /// Where it should be.
        path: PathBuf,
    },
    /// A file is missing, damaged or cannot be read.
    #[error(transparent)]
    File(#[from] StoreError),
    /// A shard that the catalogue does not list.
    #[error("shard {} is not in the catalogue: give the same command again", path.display())]
    Unlisted {
        /// The shard.
        path: PathBuf,
    },
    /// A shard holds another number of records than the catalogue says.
    #[error("shard {} holds {found} records, the catalogue says {listed}", path.display())]
    Count {
        /// The shard.
        path: PathBuf,
        /// Records in it.
        found: u64,
        /// Records according to the catalogue.
        listed: u64,
    },
    /// A shard with pages of a document that is not the plan's.
    #[error("shard {} holds pages of {name}, which is not in the plan as it was then: it belongs to another run", path.display())]
    Foreign {
        /// Name of the document.
        name: String,
        /// The shard.
        path: PathBuf,
    },
    /// The text of a record does not have its checksum.
    #[error("shard {}: the text of {pages} records has changed since it was sealed, the first is {first}", path.display())]
    Text {
        /// Records with changed text.
        pages: usize,
        /// The first of them.
        first: PageRef,
        /// The shard.
        path: PathBuf,
    },
    /// Pages of the plan that no record settles.
    #[error("{name}: {pages} of {declared} pages are not settled, the first is page {first}")]
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
    #[error("{pages} pages have a record but are not in the plan, the first is {first}")]
    Undeclared {
        /// Such pages.
        pages: usize,
        /// The first of them.
        first: PageRef,
    },
    /// The catalogue's rows are not those that the shards give.
    #[error(
        "the catalogue's rows of {pages} pages differ from the shards, the first is {first}: give the same command again"
    )]
    IndexDiffers {
        /// Such pages.
        pages: usize,
        /// The first of them.
        first: PageRef,
    },
    /// The catalogue lists other documents than the plan.
    #[error("the catalogue's documents are not those of the plan: give the same command again")]
    DocumentsDiffer,
}

/// The ledger as the files give it.
#[derive(Debug, Default)]
pub struct VerifyReport {
    /// Documents of the plan.
    pub documents: usize,
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
        writeln!(f, "{} documents, {} refused; {} pages declared", self.documents, self.refused, self.declared)?;
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

/// Verifies a run directory against its plan.
///
/// # Errors
/// The directory cannot be listed. What is wrong with its files is in the report.
pub fn verify(run_directory: &Path, documents: &[Document]) -> Result<VerifyReport> {
    let layout = Layout::new(run_directory);
    let mut report = VerifyReport {
        documents: documents.len(),
        refused: refused(documents),
        declared: documents.iter().map(|document| u64::from(document.pages())).sum(),
        ..VerifyReport::default()
    };
    let unsealed = layout.journals()?.into_iter().map(|file| Problem::JournalLeft { path: layout.journal(file) });
    report.problems.extend(unsealed);
    let catalogue = open_catalogue(&layout, documents, &mut report.problems);
    let readable = check_shards(&layout, documents, catalogue.as_ref(), &mut report)?;
    match Index::scan(&layout) {
        Ok(index) => {
            count(&index, &mut report);
            check_pages(&index, documents, &mut report.problems);
            if let Some(catalogue) = catalogue {
                compare(&catalogue, &index, &mut report.problems);
            }
        }
        // The same error was told when the shard was checked.
        Err(_) if !readable => {}
        Err(error) => report.problems.push(error.into()),
    }
    Ok(report)
}

fn open_catalogue(layout: &Layout, documents: &[Document], problems: &mut Vec<Problem>) -> Option<Index> {
    let path = layout.catalogue();
    if !path.exists() {
        problems.push(Problem::NoCatalogue { path });
        return None;
    }
    match catalogue::load(&path) {
        Ok((index, listed)) => {
            if listed != documents {
                problems.push(Problem::DocumentsDiffer);
            }
            Some(index)
        }
        Err(error) => {
            problems.push(error.into());
            None
        }
    }
}

/// Checks every shard on its own and against the catalogue's list; tells whether all can be read.
fn check_shards(
    layout: &Layout,
    documents: &[Document],
    catalogue: Option<&Index>,
    report: &mut VerifyReport,
) -> Result<bool> {
    let mut readable = true;
    let present: BTreeSet<_> = layout.shards()?.into_iter().collect();
    report.shards = present.len();
    let listed: BTreeMap<_, _> =
        catalogue.iter().flat_map(|index| &index.shards).map(|listed| (listed.file, listed.pages)).collect();
    let problems = &mut report.problems;
    let missing = listed.keys().filter(|file| !present.contains(file));
    problems.extend(missing.map(|file| StoreError::MissingShard { path: layout.shard(*file) }.into()));
    for file in present {
        let path = layout.shard(file);
        let read = |shard: ShardReader| Ok((shard.pages(), shard.check_texts()?, shard.documents()?));
        match ShardReader::open(&path).and_then(read) {
            Ok((found, changed, of_shard)) => {
                let identity = |document: &Document| (document.name.clone(), document.fingerprint.clone());
                let planned = |document: &Document| documents.get(document.id.index()).map(identity);
                let foreign = of_shard.into_iter().find(|document| planned(document) != Some(identity(document)));
                if let Some(document) = foreign {
                    problems.push(Problem::Foreign { name: document.name, path: path.clone() });
                }
                if let Some(&first) = changed.first() {
                    problems.push(Problem::Text { pages: changed.len(), first, path: path.clone() });
                }
                match listed.get(&file) {
                    Some(&listed) if listed != found => problems.push(Problem::Count { path, found, listed }),
                    None if catalogue.is_some() => problems.push(Problem::Unlisted { path }),
                    _ => {}
                }
            }
            Err(error) => {
                readable = false;
                problems.push(error.into());
            }
        }
    }
    Ok(readable)
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

fn compare(catalogue: &Index, shards: &Index, problems: &mut Vec<Problem>) {
    let by_page = |index: &Index| index.entries.iter().map(|entry| (entry.settled.page, *entry)).collect();
    let (listed, expected): (BTreeMap<_, _>, BTreeMap<_, _>) = (by_page(catalogue), by_page(shards));
    let changed = |page: &&PageRef| listed.get(page) != expected.get(page);
    let differing: BTreeSet<_> = listed.keys().chain(expected.keys()).filter(changed).collect();
    if let Some(&&first) = differing.first() {
        problems.push(Problem::IndexDiffers { pages: differing.len(), first });
    }
    // A page listed twice: one row has hidden the other above.
    if listed.len() < catalogue.entries.len() {
        let twice = catalogue.entries.windows(2).filter(|pair| pair[0].settled.page == pair[1].settled.page);
        let pages: Vec<_> = twice.map(|pair| pair[0].settled.page).collect();
        problems.extend(pages.first().map(|&first| Problem::IndexDiffers { pages: pages.len(), first }));
    }
}
