//! The catalogue: one file with one table over all shards, which has one row, the final one, for each settled page.
//!
//! Everything in the catalogue comes from the shards and the plan, so it can be written again at any time. Where it is
//! missing or older than the shards, the same index is computed from the shards ([`Index::new`]).

use std::path::Path;

use super::{
    cells::{RowReader, RowWriter, page_ref},
    codes,
    error::{Context, Result, StoreError},
    hdf::{self, Appender, Attributes, text},
    latest::{IndexEntry, LatestRecord, Settled, Summary, latest_records},
    layout::{Durability, Layout, StoreFile, parse_shard_name, publish, shard_name},
    numbering::Numbering,
    rows::{CATALOGUE_FORMAT, CATALOGUE_VERSION, IndexLinks, IndexRow, ShardRow},
    shard_reader::ShardReader,
    tables,
};
use crate::{
    model::{Document, DocumentState, EngineNames, PageRef, RecordPlace},
    sys::PROGRAM_VERSION,
};

/// The totals of a catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CatalogueSummary {
    /// Pages that the plan declares.
    pub declared: u64,
    /// Pages with a final record.
    pub settled: u64,
    /// Records that are not final: an earlier engine's, or a late second answer.
    pub superseded: u64,
    /// How many shards the catalogue lists.
    pub shards: usize,
    /// Whether every declared page is settled and every journal is sealed.
    pub complete: bool,
}

/// A shard as the catalogue lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedShard {
    /// The rank that wrote it and its sequence number.
    pub file: StoreFile,
    /// Records in the shard.
    pub pages: u64,
    /// Records in the shard that are final.
    pub final_pages: u64,
}

/// The final records of a run directory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Index {
    /// One entry for each settled page, ordered by document and page.
    pub entries: Vec<IndexEntry>,
    /// All shards, in order.
    pub shards: Vec<ListedShard>,
    /// Records that are not final.
    pub superseded: u64,
}

impl Index {
    /// Computes the index from the rows of all shards, which must be in order ([`ShardReader::summaries`]). Rows of
    /// documents that `documents` marks as replaced are never final.
    pub fn new(shards: Vec<(StoreFile, Vec<Summary>)>, documents: &[Document]) -> Index {
        let records = shards.iter().flat_map(|(file, rows)| {
            (0..).zip(rows).map(move |(row, summary)| LatestRecord::of_row(summary, file.place(row)))
        });
        let latest = latest_records(records, documents);
        let mut listed: Vec<_> = shards
            .iter()
            .map(|(file, rows)| ListedShard { file: *file, pages: rows.len() as u64, final_pages: 0 })
            .collect();
        let superseded = listed.iter().map(|shard| shard.pages).sum::<u64>() - latest.len() as u64;
        let mut entries = Vec::with_capacity(latest.len());
        for LatestRecord { place, text, .. } in latest {
            // Always found: every record is one of these rows.
            let Ok(shard) = listed.binary_search_by_key(&place.into(), |shard| shard.file) else { continue };
            let Some(Summary { settled, .. }) = shards[shard].1.get(place.row as usize) else { continue };
            listed[shard].final_pages += 1;
            let settled = Settled { kept_characters: text.kept_characters, language: text.language, ..*settled };
            entries.push(IndexEntry { settled, place, text: text.place });
        }
        Index { entries, shards: listed, superseded }
    }

    /// The entry of a page.
    pub fn find(&self, page: PageRef) -> Option<&IndexEntry> {
        let place = self.entries.binary_search_by_key(&page, |entry| entry.settled.page).ok()?;
        self.entries.get(place)
    }
}

/// The totals of an index against the plan. `journals` is the number of journals that are not sealed.
pub(super) fn summarise(index: &Index, documents: &[Document], journals: usize) -> CatalogueSummary {
    let settled = |document: &Document| {
        (0..document.pages()).filter(|page| index.find(page_ref(document.id.0, *page)).is_some()).count() as u64
    };
    let declared = documents.iter().map(|document| u64::from(document.pages())).sum();
    CatalogueSummary {
        declared,
        settled: index.entries.len() as u64,
        superseded: index.superseded,
        shards: index.shards.len(),
        complete: documents.iter().map(settled).sum::<u64>() == declared && journals == 0,
    }
}

/// Writes `catalogue.h5` again from the shards: first under a temporary name, which is then renamed.
///
/// # Errors
/// A shard cannot be read, or the disk is full.
pub fn write(run_directory: &Path, documents: &[Document]) -> Result<CatalogueSummary> {
    let layout = Layout::new(run_directory);
    let listing = layout.listing()?;
    let mut shards = Vec::with_capacity(listing.shards.len());
    let mut names: Option<EngineNames> = None;
    for file in listing.shards {
        let shard = ShardReader::open(&layout.shard(file))?;
        shards.push((file, shard.summaries()?));
        names = longest(names, shard.names);
    }
    let (index, names) = (Index::new(shards, documents), names.unwrap_or_default());
    let summary = summarise(&index, documents, listing.journals.len());
    let temporary = layout.unfinished_catalogue();
    save(&temporary, &layout, &index, (documents, &names), &summary)?;
    publish(&temporary, &layout.catalogue(), Durability::Durable, &mut |_| ())?;
    Ok(summary)
}

/// The longer of two lists of engines. Later starts add engines only at the end of the stages, so that the longest list
/// of all shards has them all.
pub(super) fn longest(names: Option<EngineNames>, others: EngineNames) -> Option<EngineNames> {
    names.filter(|names| names.names().len() >= others.names().len()).or(Some(others))
}

fn save(
    path: &Path,
    layout: &Layout,
    index: &Index,
    (documents, names): (&[Document], &EngineNames),
    summary: &CatalogueSummary,
) -> Result<()> {
    let file = hdf::create(path)?;
    let mut rows = Appender::create(&file, "index", path)?;
    for entry in &index.entries {
        rows.push(index_row(entry, &index.shards, names)?);
        rows.flush_when_full(path)?;
    }
    rows.finish(path)?;
    tables::write_stages(&file, names, path)?;
    tables::write_documents(&file, documents, path)?;
    let row = |listed: &ListedShard| {
        let ListedShard { file, pages, final_pages } = *listed;
        Ok(ShardRow { name: text(&shard_name(file))?, pages, final_pages })
    };
    tables::write(&file, "shards", &index.shards.iter().map(row).collect::<Result<Vec<_>>>()?, path)?;
    let links = file.create_group("links").doing("create a group in", path)?;
    for listed in &index.shards {
        let name = shard_name(listed.file);
        // Relative to the catalogue, so that a run directory can be moved.
        let link = links.link_external(&format!("store/{name}"), "/", name.trim_end_matches(".h5"));
        link.doing("link the shards in", path)?;
    }
    let attributes = Attributes { file: &file, path };
    attributes.text("format", CATALOGUE_FORMAT)?;
    attributes.scalar("version", &CATALOGUE_VERSION)?;
    if let Some(listed) = index.shards.last() {
        let provenance = ShardReader::open(&layout.shard(listed.file))?.opening()?.provenance;
        attributes.text("run_id", &provenance.run_id)?;
        attributes.text("configuration", &provenance.configuration_toml)?;
    }
    attributes.text("program_version", PROGRAM_VERSION)?;
    attributes.scalar("declared", &summary.declared)?;
    attributes.scalar("pages", &summary.settled)?;
    attributes.scalar("superseded", &summary.superseded)?;
    attributes.scalar("complete", &u8::from(summary.complete))?;
    attributes.text("codes", &codes::json(names))?;
    drop(links);
    file.close().doing("close", path)
}

/// The contents of a catalogue file.
#[derive(Debug)]
pub(super) struct Catalogue {
    pub(super) index: Index,
    pub(super) documents: Vec<Document>,
    pub(super) engines: EngineNames,
    pub(super) summary: CatalogueSummary,
    /// `None` where the catalogue was written before the first shard.
    pub(super) run_id: Option<String>,
}

/// Reads a catalogue.
///
/// # Errors
/// The file does not exist or is damaged.
pub(super) fn load(path: &Path) -> Result<Catalogue> {
    let file = hdf::open(path)?;
    hdf::check_format(&file, path, CATALOGUE_FORMAT, CATALOGUE_VERSION)?;
    let listed = |row: &ShardRow| {
        let file = parse_shard_name(row.name.as_str());
        let file = file.ok_or_else(|| StoreError::damaged(path, format!("shard name `{}`", row.name.as_str())))?;
        Ok(ListedShard { file, pages: row.pages, final_pages: row.final_pages })
    };
    let shards: Vec<ListedShard> = tables::read(&file, "shards", path)?.iter().map(listed).collect::<Result<_>>()?;
    let names = tables::read_stages(&file, path)?;
    let rows: Vec<IndexRow> = tables::read(&file, "index", path)?;
    let entries = rows.iter().map(|row| index_entry(row, &shards, &names, path)).collect::<Result<_>>()?;
    let summary = CatalogueSummary {
        declared: hdf::attribute(&file, path, "declared")?,
        settled: hdf::attribute(&file, path, "pages")?,
        superseded: hdf::attribute(&file, path, "superseded")?,
        shards: shards.len(),
        complete: hdf::attribute::<u8>(&file, path, "complete")? != 0,
    };
    let has_run = file.attr_names().doing("read the attributes of", path)?.iter().any(|name| name == "run_id");
    Ok(Catalogue {
        documents: tables::read_documents(&file, path)?,
        run_id: has_run.then(|| hdf::text_attribute(&file, path, "run_id")).transpose()?,
        index: Index { entries, shards, superseded: summary.superseded },
        engines: names,
        summary,
    })
}

/// The shards of `shards` that no link of the catalogue points to.
pub(super) fn unlinked(path: &Path, shards: impl IntoIterator<Item = StoreFile>) -> Result<Vec<StoreFile>> {
    let file = hdf::open(path)?;
    Ok(shards.into_iter().filter(|shard| !is_linked(&file, *shard)).collect())
}

/// Whether the catalogue's link for this shard points to it, and not to another shard.
fn is_linked(catalogue: &hdf5::File, shard: StoreFile) -> bool {
    let number = |root: &hdf5::Group, name: &str| root.attr(name).and_then(|attribute| attribute.read_scalar::<u32>());
    let link = format!("links/{}", shard_name(shard).trim_end_matches(".h5"));
    catalogue.group(&link).is_ok_and(|root| {
        number(&root, "rank").is_ok_and(|rank| rank == shard.rank.0)
            && number(&root, "sequence").is_ok_and(|sequence| sequence == shard.sequence)
    })
}

fn index_row(entry: &IndexEntry, shards: &[ListedShard], names: &EngineNames) -> Result<IndexRow> {
    let number = |place: RecordPlace| {
        let shard = shards.binary_search_by_key(&place.into(), |listed| listed.file);
        shard.unwrap_or_default() as u32
    };
    let IndexEntry { settled, place, text } = *entry;
    let links = IndexLinks { shard: number(place), row: place.row, text_shard: number(text), text_row: text.row };
    let (labels, engines) = (&mut Numbering::new(), &mut Numbering::new());
    let mut writer = RowWriter { page: settled.page, start: 0, text: String::new(), labels, engines, names };
    IndexRow::write(links, entry, &mut writer)
}

fn index_entry(row: &IndexRow, shards: &[ListedShard], names: &EngineNames, path: &Path) -> Result<IndexEntry> {
    let damaged = || {
        let page = page_ref(row.document, row.page);
        StoreError::damaged(path, format!("the index row of {page} is not valid"))
    };
    let place = |shard: u32, row: u32| {
        let listed = shards.get(shard as usize).ok_or_else(damaged)?;
        Ok(listed.file.place(row))
    };
    let text = place(row.text_shard, row.text_row)?;
    row.read(&RowReader::of_codes(path, names), place(row.shard, row.row)?, text).map_err(|_| damaged())
}

/// How many documents the plan refuses.
pub(super) fn refused(documents: &[Document]) -> usize {
    documents.iter().filter(|document| matches!(document.state, DocumentState::Refused { .. })).count()
}
