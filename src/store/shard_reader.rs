//! Reads a sealed shard: the summaries of all its records, or one whole record.

use std::path::{Path, PathBuf};

use hdf5::{Dataset, File};

use super::{
    cells::RowReader,
    error::{Context, Result, StoreError, check_run},
    hdf,
    journal::{JournalHeader, Provenance},
    latest::Summary,
    layout::Layout,
    rows::{AttemptRow, BlockRow, PageRow, PartRow, SHARD_FORMAT, SHARD_VERSION, SummaryRow},
    shard::Counts,
    tables,
};
use crate::model::{Attempt, Document, EngineNames, PageRecord, Part, RankId, RecordPlace, ServedBy};

/// An open shard.
#[derive(Debug)]
pub struct ShardReader {
    pub(super) path: PathBuf,
    file: File,
    pub(super) pages: Dataset,
    pub(super) parts: Dataset,
    pub(super) blocks: Dataset,
    pub(super) attempts: Dataset,
    pub(super) text: Dataset,
    pub(super) labels: Vec<String>,
    pub(super) engines: Vec<ServedBy>,
    pub(super) names: EngineNames,
}

impl ShardReader {
    /// Opens a shard and checks that it has the number of pages that it was sealed with.
    ///
    /// # Errors
    /// The file does not exist, is not a shard, has another version or has lost pages.
    pub fn open(path: &Path) -> Result<Self> {
        let file = open(path)?;
        let dataset = |name: &str| file.dataset(name).doing("open a table of", path);
        let reader = ShardReader {
            path: path.into(),
            pages: dataset("pages")?,
            parts: dataset("parts")?,
            blocks: dataset("blocks")?,
            attempts: dataset("attempts")?,
            text: dataset("text")?,
            labels: tables::read_labels(&file, path)?,
            engines: tables::read_engines(&file, path)?,
            names: tables::read_stages(&file, path)?,
            file,
        };
        check_pages(&reader.file, &reader.pages, path)?;
        Ok(reader)
    }

    /// Number of records.
    pub fn pages(&self) -> u64 {
        self.pages.size() as u64
    }

    /// The header of the journal that it was made from.
    ///
    /// # Errors
    /// An attribute cannot be read.
    pub fn opening(&self) -> Result<JournalHeader> {
        let (file, path) = (&self.file, &*self.path);
        Ok(JournalHeader {
            rank: RankId(hdf::attribute(file, path, "rank")?),
            sequence: hdf::attribute(file, path, "sequence")?,
            created_unix_ns: hdf::attribute(file, path, "created_unix_ns")?,
            provenance: Provenance {
                run_id: hdf::text_attribute(file, path, "run_id")?,
                configuration_toml: hdf::text_attribute(file, path, "configuration")?,
                program_version: hdf::text_attribute(file, path, "program_version")?,
                engines: self.names.clone(),
            },
        })
    }

    /// The documents of its pages.
    ///
    /// # Errors
    /// The table cannot be read.
    pub fn documents(&self) -> Result<Vec<Document>> {
        tables::read_documents(&self.file, &self.path)
    }

    /// A summary of every record, in row order. Reads no text.
    ///
    /// # Errors
    /// The table cannot be read or has an unknown code.
    pub fn summaries(&self) -> Result<Vec<Summary>> {
        read_summaries(&self.pages, &self.names, &self.path)
    }

    /// The record in a row of `/pages`.
    ///
    /// # Errors
    /// The row does not exist or points outside the shard's tables.
    pub fn read(&self, row: u64) -> Result<PageRecord> {
        let page = self.page_row(row)?;
        let bytes = self.range(&self.text, page.text_offset, page.text_length.into())?;
        let text = PageText { start: page.text_offset, text: self.decode(bytes)? };
        let cut = |offset, length| self.slice(&text, offset, length);
        let reader = self.reader(&cut);
        let attempts: Vec<AttemptRow> = self.range(&self.attempts, page.first_attempt, page.attempts.into())?;
        let attempts = attempts.iter().map(|attempt| attempt.read(&reader)).collect::<Result<_>>()?;
        let mut record = page.read(&reader, attempts, self.read_parts(&page, &reader)?)?;
        // A row without an image was written with the default layout: see the `Cells` of `Option<PageLayout>`.
        if record.image.is_none() {
            record.layout = None;
        }
        Ok(record)
    }

    /// The attempts of the record in a row of `/pages`, with their reasons and without their answers.
    ///
    /// # Errors
    /// As [`ShardReader::read`].
    pub fn read_attempts_at(&self, row: u64) -> Result<EarlierAttempts> {
        let page = self.page_row(row)?;
        let rows: Vec<AttemptRow> = self.range(&self.attempts, page.first_attempt, page.attempts.into())?;
        let cut = |offset, length: u32| self.decode(self.range(&self.text, offset, length.into())?);
        let reader = self.reader(&cut);
        let without_answer = |row: &AttemptRow| AttemptRow { answer_length: 0, ..*row }.read(&reader);
        let attempts = rows.iter().map(without_answer).collect::<Result<_>>()?;
        Ok(EarlierAttempts { attempts, counts_from: page.counts_from })
    }

    fn page_row(&self, row: u64) -> Result<PageRow> {
        let rows: Vec<PageRow> = hdf::read_range(&self.pages, row..row + 1, &self.path)?;
        rows.first().copied().ok_or_else(|| self.damaged(&format!("/pages has no row {row}")))
    }

    fn read_parts(&self, page: &PageRow, reader: &RowReader<'_>) -> Result<Vec<Part>> {
        let parts: Vec<PartRow> = self.range(&self.parts, page.first_part, page.parts.into())?;
        let blocks: Vec<BlockRow> = self.range(&self.blocks, page.first_block, page.blocks.into())?;
        let mut blocks = blocks.iter();
        let mut part = |part: &PartRow| {
            let blocks = blocks.by_ref().take(part.blocks as usize);
            let block = |block: &BlockRow| block.read(reader, reader.text(block.html_offset, block.html_length)?);
            let blocks = blocks.map(block).collect::<Result<_>>()?;
            let html = reader.text(part.html_offset, part.html_length)?;
            part.read(reader, blocks, html, reader.text(part.markdown_offset, part.markdown_length)?)
        };
        parts.iter().map(&mut part).collect()
    }

    /// A reader for its rows; `text` reads a span of `/text`.
    pub(super) fn reader<'a>(&'a self, text: &'a dyn Fn(u64, u32) -> Result<String>) -> RowReader<'a> {
        RowReader { path: &self.path, labels: &self.labels, engines: &self.engines, names: &self.names, text }
    }

    /// Lengths of all tables and of the text.
    pub(super) fn counts(&self) -> Counts {
        let length = |dataset: &Dataset| dataset.size() as u64;
        Counts {
            pages: length(&self.pages),
            parts: length(&self.parts),
            blocks: length(&self.blocks),
            attempts: length(&self.attempts),
            text: length(&self.text),
        }
    }

    fn range<T: hdf5::H5Type>(&self, table: &Dataset, first: u64, count: u64) -> Result<Vec<T>> {
        if count == 0 { Ok(Vec::new()) } else { hdf::read_range(table, first..first + count, &self.path) }
    }

    /// A piece of the page's text; `offset` is the position in `/text`.
    fn slice(&self, text: &PageText, offset: u64, length: u32) -> Result<String> {
        let start = offset.checked_sub(text.start).and_then(|start| usize::try_from(start).ok());
        let piece = start.and_then(|start| text.text.get(start..start + length as usize));
        piece.map(str::to_owned).ok_or_else(|| self.damaged("a row points outside its page's text"))
    }

    fn decode(&self, text: Vec<u8>) -> Result<String> {
        String::from_utf8(text).map_err(|_| self.damaged("a text is not UTF-8"))
    }

    fn damaged(&self, reason: &str) -> StoreError {
        StoreError::damaged(&self.path, reason)
    }
}

/// The attempts of a record, with their reasons and without their answers.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EarlierAttempts {
    /// All attempts, in order.
    pub attempts: Vec<Attempt>,
    /// Position of the first attempt that counts: those before it were made before the page was read again.
    pub counts_from: u16,
}

/// The attempts of a record, for a rank that continues a page of an earlier start.
///
/// # Errors
/// The shard is missing or damaged.
pub fn attempts(run_directory: &Path, place: RecordPlace) -> Result<EarlierAttempts> {
    let shard = ShardReader::open(&Layout::new(run_directory).shard(place.into()))?;
    shard.read_attempts_at(place.row.into())
}

/// A summary of every record of a shard of the run `run_id`, in row order. Opens only the table of pages.
pub(super) fn summaries_of_run(path: &Path, run_id: &str) -> Result<Vec<Summary>> {
    let shard = open(path)?;
    check_run(path, &hdf::text_attribute(&shard, path, "run_id")?, run_id)?;
    let pages = shard.dataset("pages").doing("open a table of", path)?;
    check_pages(&shard, &pages, path)?;
    read_summaries(&pages, &tables::read_stages(&shard, path)?, path)
}

fn read_summaries(pages: &Dataset, names: &EngineNames, path: &Path) -> Result<Vec<Summary>> {
    let rows: Vec<SummaryRow> = hdf::read_range(pages, 0..pages.size() as u64, path)?;
    // The place of a record has its row as `u32`.
    u32::try_from(rows.len()).map_err(|_| StoreError::damaged(path, "/pages has too many rows"))?;
    let reader = RowReader::of_codes(path, names);
    rows.iter().map(|row| row.read(&reader)).collect()
}

/// Opens the file of a shard and checks its format and version.
fn open(path: &Path) -> Result<File> {
    if !path.exists() {
        return Err(StoreError::MissingShard { path: path.into() });
    }
    let file = hdf::open(path)?;
    hdf::check_format(&file, path, SHARD_FORMAT, SHARD_VERSION)?;
    Ok(file)
}

/// Checks that a shard has the number of pages that it was sealed with.
fn check_pages(file: &File, pages: &Dataset, path: &Path) -> Result<()> {
    let (found, sealed) = (pages.size() as u64, hdf::attribute::<u64>(file, path, "pages")?);
    if found == sealed {
        return Ok(());
    }
    Err(StoreError::damaged(path, format!("it has {found} pages, but was sealed with {sealed}")))
}

/// All text of a page, and where it begins in `/text`.
struct PageText {
    start: u64,
    text: String,
}
