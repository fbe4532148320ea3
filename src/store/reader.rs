//! Reads the final records of a run directory from all shards.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    path::Path,
};

use super::{
    catalogue::{self, Index},
    error::{Result, StoreError},
    latest::{IndexEntry, Settled},
    layout::{Layout, StoreFile},
    shard_reader::ShardReader,
};
use crate::model::{Document, DocumentId, DocumentState, EngineNames, PageRecord, PageRef, RecordPlace};

/// Shards that are open at a time. Each takes a file descriptor and about ten small caches of the library.
const OPEN_SHARDS: usize = 64;

/// What a run directory has.
struct Listing {
    index: Index,
    documents: Vec<Document>,
    engines: EngineNames,
}

/// The final records of a run directory.
#[derive(Debug)]
pub struct Reader {
    layout: Layout,
    index: Index,
    documents: Vec<Document>,
    engines: EngineNames,
    open: BTreeMap<StoreFile, ShardReader>,
}

impl Reader {
    /// Opens a run directory through its catalogue. Where there is no catalogue, or shards were sealed after it was
    /// written, the index is computed from the shards and the documents that they name. Of several documents with one
    /// name only the last counts, because it has replaced the others.
    ///
    /// # Errors
    /// There is no shard and no catalogue, a shard that the catalogue lists is missing, or a file is damaged.
    pub fn open(run_directory: &Path) -> Result<Reader> {
        let layout = Layout::new(run_directory);
        let present = layout.shards()?;
        let Listing { index, documents, engines } = match open_catalogue(&layout, &present)? {
            Some((listing, true)) => listing,
            Some((listing, false)) => read_shards(&layout, present, listing.documents)?,
            None => read_shards(&layout, present, Vec::new())?,
        };
        Ok(Reader { layout, index, documents, engines, open: BTreeMap::new() })
    }

    /// The names of the run's engines, in the order of the stages.
    pub fn engines(&self) -> &EngineNames {
        &self.engines
    }

    /// The documents, ordered by id: with a catalogue all of the plan, otherwise those with settled pages.
    pub fn documents(&self) -> &[Document] {
        &self.documents
    }

    /// Every settled page, ordered by document and page.
    pub fn pages(&self) -> impl ExactSizeIterator<Item = &Settled> {
        self.index.entries.iter().map(|entry| &entry.settled)
    }

    /// The settled pages of a document, in order.
    pub fn pages_of(&self, document: DocumentId) -> impl ExactSizeIterator<Item = &Settled> {
        let entries = &self.index.entries;
        let start = entries.partition_point(|entry| entry.settled.page.document < document);
        let end = entries.partition_point(|entry| entry.settled.page.document <= document);
        entries[start..end].iter().map(|entry| &entry.settled)
    }

    /// Records that are not final.
    pub fn superseded(&self) -> u64 {
        self.index.superseded
    }

    /// The final record of a page; `None` where it is not settled. A failed page has the text of the record with the
    /// most text.
    ///
    /// # Errors
    /// The shard is missing or damaged, or its rows do not match the index.
    pub fn read(&mut self, page: PageRef) -> Result<Option<PageRecord>> {
        let Some(&IndexEntry { settled, place, text }) = self.index.find(page) else { return Ok(None) };
        let mut record = self.read_at(place, page)?;
        if record.lease != settled.lease {
            return Err(self.mismatch_error(place, page, &record));
        }
        if text != place {
            record.take_text_of(self.read_at(text, page)?);
        }
        Ok(Some(record))
    }

    fn read_at(&mut self, place: RecordPlace, page: PageRef) -> Result<PageRecord> {
        let shard = StoreFile::from(place);
        // At the limit all are closed: simpler than a record of which was used last.
        if self.open.len() >= OPEN_SHARDS && !self.open.contains_key(&shard) {
            self.open.clear();
        }
        let reader = match self.open.entry(shard) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(vacant) => vacant.insert(ShardReader::open(&self.layout.shard(shard))?),
        };
        let record = reader.read(place.row.into())?;
        if record.page == page { Ok(record) } else { Err(self.mismatch_error(place, page, &record)) }
    }

    fn mismatch_error(&self, place: RecordPlace, page: PageRef, found: &PageRecord) -> StoreError {
        let reason = format!("row {} has {}, but the catalogue lists {page} there", place.row, found.page);
        StoreError::damaged(&self.layout.shard(place.into()), reason)
    }

    /// The final records of a document, in page order.
    ///
    /// # Errors
    /// As [`Reader::read`].
    pub fn read_document(&mut self, document: DocumentId) -> Result<Vec<PageRecord>> {
        let pages: Vec<PageRef> = self.pages_of(document).map(|settled| settled.page).collect();
        pages.into_iter().filter_map(|page| self.read(page).transpose()).collect()
    }
}

/// The catalogue, unless it is missing, and whether it lists all shards.
fn open_catalogue(layout: &Layout, present: &[StoreFile]) -> Result<Option<(Listing, bool)>> {
    let path = layout.catalogue();
    if !path.exists() {
        if present.is_empty() {
            return Err(StoreError::NothingToRead { path: layout.store() });
        }
        tracing::warn!(catalogue = %path.display(), "there is no catalogue yet: reading the shards directly");
        return Ok(None);
    }
    let catalogue::Catalogue { index, documents, engines, .. } = catalogue::load(&path)?;
    if let Some(missing) = index.shards.iter().find(|listed| present.binary_search(&listed.file).is_err()) {
        return Err(StoreError::MissingShard { path: layout.shard(missing.file) });
    }
    let current = index.shards.len() == present.len();
    if !current {
        tracing::warn!(
            catalogue = %path.display(),
            "the catalogue is older than some shards: reading the shards directly"
        );
    }
    Ok(Some((Listing { index, documents, engines }, current)))
}

/// The index of all shards, with the documents of `known` and those that only the shards name. Of several documents
/// with one name, all but the last are marked as replaced.
fn read_shards(layout: &Layout, present: Vec<StoreFile>, known: Vec<Document>) -> Result<Listing> {
    let mut documents: BTreeMap<_, _> = known.into_iter().map(|document| (document.id, document)).collect();
    let mut shards = Vec::with_capacity(present.len());
    let mut engines = None;
    for file in present {
        let shard = ShardReader::open(&layout.shard(file))?;
        shards.push((file, shard.summaries()?));
        for document in shard.documents()? {
            documents.entry(document.id).or_insert(document);
        }
        engines = catalogue::longest(engines, shard.names);
    }
    let mut documents: Vec<_> = documents.into_values().collect();
    let mut names = BTreeSet::new();
    for document in documents.iter_mut().rev().filter(|document| document.state != DocumentState::Replaced) {
        if !names.insert(document.name.clone()) {
            document.state = DocumentState::Replaced;
        }
    }
    let index = Index::new(shards, &documents);
    Ok(Listing { index, documents, engines: engines.unwrap_or_default() })
}
