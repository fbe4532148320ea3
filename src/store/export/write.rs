//! Exports a run directory: one thread at a time reads the shards, many threads format documents.

use std::{
    collections::BTreeMap,
    io::Write,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use rayon::prelude::*;

use super::{
    html, jsonl, markdown, names,
    options::{ExportFormat, ExportOptions},
    sanitise::Sanitiser,
};
use crate::{
    model::{Document, DocumentId, DocumentState, EngineNames, PageRecord},
    store::{Reader, StoreError, error::Result, layout},
};

/// The counts of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExportSummary {
    /// Documents that were exported.
    pub documents: usize,
    /// Settled pages of these documents.
    pub pages: usize,
}

/// Exports every planned document of a run directory. Each file is written under a temporary name and renamed.
///
/// # Errors
/// A shard is missing or damaged, a document's name leads out of the folder, or the disk is full.
pub fn export(run_directory: &Path, options: &ExportOptions) -> Result<ExportSummary> {
    let reader = Reader::open(run_directory)?;
    let replaced = |document: &&Document| document.state == DocumentState::Replaced;
    let documents: Vec<Document> = reader.documents().iter().filter(|document| !replaced(document)).cloned().collect();
    let stems = names::file_stems(&documents)?;
    write_documents(&reader, &documents, &stems, &options.output)?;
    let planned: Vec<&Document> = documents.iter().filter(|document| document.pages() > 0).collect();
    let threads = options.threads.get();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.map_err(|error| StoreError::Threads { threads, reason: error.to_string() })?;
    let engines = reader.engines().clone();
    // The HDF5 library takes a global lock anyway, so one reader for all threads costs no time.
    let reader = Mutex::new(reader);
    let sanitiser = Sanitiser::new(options.markdown);
    let pages = pool.install(|| {
        planned
            .par_iter()
            .map(|document| {
                let records = reader.lock().unwrap_or_else(PoisonError::into_inner).read_document(document.id)?;
                let records: Vec<PageRecord> = records.into_iter().map(|record| sanitiser.record(record)).collect();
                let write = |format: ExportFormat, records: &[PageRecord]| {
                    let stem = stems.get(&document.id).map_or(Path::new(&document.name), PathBuf::as_path);
                    let file = names::with_ending(&options.output.join(format.ending()).join(stem), format.ending());
                    let content = content(format, document, records, &engines, options)?;
                    layout::replace(&file, |out| out.write_all(&content))
                };
                // JSONL is data: it keeps the tables as the engine wrote them.
                let (data, shown): (Vec<_>, Vec<_>) =
                    options.formats.iter().copied().partition(|format| *format == ExportFormat::Jsonl);
                data.into_iter().try_for_each(|format| write(format, &records))?;
                let pages = records.len();
                if !shown.is_empty() {
                    let records: Vec<_> = records.into_iter().map(|record| sanitiser.with_direction(record)).collect();
                    shown.into_iter().try_for_each(|format| write(format, &records))?;
                }
                Ok(pages)
            })
            .try_reduce(|| 0, |a, b| Ok(a + b))
    })?;
    Ok(ExportSummary { documents: planned.len(), pages })
}

fn content(
    format: ExportFormat,
    document: &Document,
    records: &[PageRecord],
    engines: &EngineNames,
    options: &ExportOptions,
) -> Result<Vec<u8>> {
    let failed = |reason: String| StoreError::Encode { what: "an export", reason };
    match format {
        ExportFormat::Md => markdown::document(document, records, options).map(String::into_bytes),
        ExportFormat::Html => html::document(document, records, options).map(String::into_bytes),
        ExportFormat::Jsonl => {
            let mut lines = Vec::new();
            for record in records {
                jsonl::page(&mut lines, document, record, engines).map_err(|error| failed(error.to_string()))?;
            }
            return Ok(lines);
        }
    }
    .map_err(|error| failed(error.to_string()))
}

/// Writes `documents.jsonl`: every document of the plan, refused ones with the reason.
fn write_documents(
    reader: &Reader,
    documents: &[Document],
    stems: &BTreeMap<DocumentId, PathBuf>,
    output: &Path,
) -> Result<()> {
    layout::replace(&output.join("documents.jsonl"), |out| {
        for document in documents {
            let (class, reason) = match &document.state {
                DocumentState::Planned { damage, .. } => (None, damage.as_ref().map_or("", |damage| &*damage.reason)),
                DocumentState::Refused { class, reason } => (Some(class.name()), reason.as_str()),
                // `export` has removed them from the list.
                DocumentState::Replaced => continue,
            };
            let line = serde_json::json!({
                "document": document.name,
                "path": document.path,
                "file": stems.get(&document.id),
                "sha256": document.fingerprint.as_ref().map(|fingerprint| &fingerprint.sha256),
                "bytes": document.fingerprint.as_ref().map(|fingerprint| fingerprint.bytes),
                "pages": document.pages(),
                "pages_missing": document.damage().is_some_and(|damage| damage.pages_missing),
                "settled": reader.pages_of(document.id).len(),
                "number": document.edition.number,
                "suffix": document.edition.suffix,
                "language": document.edition.language.name(),
                "class": class,
                "reason": reason,
            });
            writeln!(out, "{line}")?;
        }
        Ok(())
    })
}
