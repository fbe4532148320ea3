//! Writes a shard: HDF5 tables and text from records. It takes a few megabytes of memory for any number of pages.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use hdf5::File;
use sha2::{Digest, Sha256};

use super::{
    cells::RowWriter,
    codes,
    error::{Context, Result},
    hdf::{self, Appender, Attributes},
    journal::JournalHeader,
    numbering::Numbering,
    rows::{
        AttemptLinks, AttemptRow, BlockLinks, BlockRow, PageLinks, PageRow, PartLinks, PartRow, SHARD_FORMAT,
        SHARD_VERSION,
    },
    tables,
};
use crate::model::{Attempt, Document, DocumentId, EngineNames, PageRecord, Part, ServedBy};

/// Number of rows in each table of a shard, and bytes of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counts {
    pub(super) pages: u64,
    pub(super) parts: u64,
    pub(super) blocks: u64,
    pub(super) attempts: u64,
    pub(super) text: u64,
}

/// A shard being written under a temporary name.
pub(super) struct ShardWriter<'a> {
    path: &'a Path,
    file: File,
    pages: Appender<PageRow>,
    parts: Appender<PartRow>,
    blocks: Appender<BlockRow>,
    attempts: Appender<AttemptRow>,
    text: Appender<u8>,
    labels: Numbering<String>,
    engines: Numbering<ServedBy>,
    names: EngineNames,
    documents: BTreeMap<DocumentId, Document>,
    /// Documents with a page in the shard. A torn journal may also name a document whose page was cut off.
    with_pages: BTreeSet<DocumentId>,
}

impl<'a> ShardWriter<'a> {
    pub(super) fn create(path: &'a Path, names: &EngineNames) -> Result<Self> {
        let file = hdf::create(path)?;
        Ok(ShardWriter {
            pages: Appender::create(&file, "pages", path)?,
            parts: Appender::create(&file, "parts", path)?,
            blocks: Appender::create(&file, "blocks", path)?,
            attempts: Appender::create(&file, "attempts", path)?,
            text: Appender::create(&file, "text", path)?,
            labels: Numbering::new(),
            engines: Numbering::new(),
            names: names.clone(),
            documents: BTreeMap::new(),
            with_pages: BTreeSet::new(),
            path,
            file,
        })
    }

    pub(super) fn document(&mut self, document: Document) {
        self.documents.insert(document.id, document);
    }

    pub(super) fn has_document(&self, id: DocumentId) -> bool {
        self.documents.contains_key(&id)
    }

    pub(super) fn page(&mut self, record: &PageRecord) -> Result<()> {
        self.with_pages.insert(record.page.document);
        let (labels, engines, names) = (&mut self.labels, &mut self.engines, &self.names);
        let start = self.text.len();
        let mut writer = RowWriter { page: record.page, start, text: String::new(), labels, engines, names };
        let html = writer.push(record.parts.iter().map(|part| &*part.html))?;
        let markdown = writer.push(record.parts.iter().map(|part| &*part.markdown))?;
        let page_row = writer.count(self.pages.len(), "rows before it")?;
        let first = PageLinks {
            first_part: self.parts.len(),
            first_block: self.blocks.len(),
            first_attempt: self.attempts.len(),
            ..page_links(record, &writer, (html, markdown))?
        };
        let mut row = PageRow::write(first, record, &mut writer)?;

        let (mut html, mut markdown) = (html.0, markdown.0);
        for (index, part) in record.parts.iter().enumerate() {
            let links = PartLinks {
                page_row,
                part: writer.count(index, "parts")?,
                blocks: writer.count(part.blocks.len(), "blocks")?,
                html_offset: html,
                html_length: writer.count(part.html.len(), "bytes of HTML")?,
                markdown_offset: markdown,
                markdown_length: writer.count(part.markdown.len(), "bytes of Markdown")?,
            };
            html += u64::from(links.html_length);
            markdown += u64::from(links.markdown_length);
            write_blocks(&mut self.blocks, part, &links, &mut writer)?;
            self.parts.push(PartRow::write(links, part, &mut writer)?);
        }
        for attempt in &record.attempts {
            self.attempts.push(AttemptRow::write(AttemptLinks { page_row }, attempt, &mut writer)?);
        }
        row.text_length = writer.count(writer.text.len(), "bytes of text")?;
        row.sha64 = sha64(writer.text.as_bytes());
        self.text.extend(writer.text.as_bytes());
        self.pages.push(row);
        self.flush_when_full()
    }

    fn flush_when_full(&mut self) -> Result<()> {
        let path = self.path;
        self.pages.flush_when_full(path)?;
        self.parts.flush_when_full(path)?;
        self.blocks.flush_when_full(path)?;
        self.attempts.flush_when_full(path)?;
        self.text.flush_when_full(path)
    }

    /// Writes the remaining rows, the small tables and the attributes.
    pub(super) fn fill(self, header: &JournalHeader) -> Result<FilledShard<'a>> {
        let path = self.path;
        tables::write_stages(&self.file, &self.names, path)?;
        tables::write_labels(&self.file, &self.labels.into_ordered(), path)?;
        tables::write_engines(&self.file, &self.engines.into_ordered(), path)?;
        let listed = self.documents.values().filter(|document| self.with_pages.contains(&document.id));
        tables::write_documents(&self.file, listed, path)?;
        let counts = Counts {
            pages: self.pages.finish(path)?,
            parts: self.parts.finish(path)?,
            blocks: self.blocks.finish(path)?,
            attempts: self.attempts.finish(path)?,
            text: self.text.finish(path)?,
        };
        write_attributes(&self.file, path, header, counts.pages)?;
        Ok(FilledShard { path, file: self.file, counts })
    }
}

/// A complete shard, to be closed. Dropping the file would hide an error of the last writes.
pub(super) struct FilledShard<'a> {
    path: &'a Path,
    file: File,
    counts: Counts,
}

impl FilledShard<'_> {
    pub(super) fn close(self) -> Result<Counts> {
        self.file.close().doing("close", self.path)?;
        Ok(self.counts)
    }
}

fn write_attributes(file: &File, path: &Path, header: &JournalHeader, pages: u64) -> Result<()> {
    let attributes = Attributes { file, path };
    attributes.text("format", SHARD_FORMAT)?;
    attributes.scalar("version", &SHARD_VERSION)?;
    attributes.text("run_id", &header.provenance.run_id)?;
    attributes.text("configuration", &header.provenance.configuration_toml)?;
    attributes.text("program_version", &header.provenance.program_version)?;
    attributes.scalar("rank", &header.rank.0)?;
    attributes.scalar("sequence", &header.sequence)?;
    attributes.scalar("created_unix_ns", &header.created_unix_ns)?;
    attributes.scalar("pages", &pages)?;
    attributes.text("codes", &codes::json(&header.provenance.engines))
}

/// The sums of a row of `/pages`, and the spans of the page's HTML and Markdown. The length and the checksum of the
/// text, and the positions of the page's first rows, are not known yet: they are 0.
fn page_links(record: &PageRecord, writer: &RowWriter<'_>, text: ((u64, u32), (u64, u32))) -> Result<PageLinks> {
    let ((html_offset, html_length), (markdown_offset, markdown_length)) = text;
    let sum = |tokens: fn(&Attempt) -> u32| record.attempts.iter().map(tokens).fold(0, u32::saturating_add);
    Ok(PageLinks {
        server: record.answered_by().map_or(0, |served_by| served_by.server as u8),
        parts: writer.count(record.parts.len(), "parts")?,
        attempts: writer.count(record.attempts.len(), "attempts")?,
        kept_characters: record.kept_characters(),
        first_part: 0,
        first_block: 0,
        blocks: writer.count(record.parts.iter().map(|part| part.blocks.len()).sum::<usize>(), "blocks")?,
        first_attempt: 0,
        prompt_tokens: sum(|attempt| attempt.tokens.prompt),
        completion_tokens: sum(|attempt| attempt.tokens.completion),
        engine_us: record
            .attempts
            .iter()
            .map(|attempt| attempt.duration.as_micros())
            .sum::<u128>()
            .try_into()
            .unwrap_or(u64::MAX),
        text_offset: writer.start,
        text_length: 0,
        html_offset,
        html_length,
        markdown_offset,
        markdown_length,
        sha64: 0,
    })
}

fn write_blocks(
    rows: &mut Appender<BlockRow>,
    part: &Part,
    links: &PartLinks,
    writer: &mut RowWriter<'_>,
) -> Result<()> {
    let mut searched = 0;
    for block in &part.blocks {
        // The HTML of a block is nearly always a piece of its part's HTML, in order, so it is stored once.
        let (html_offset, html_length) = match part.html[searched..].find(&block.html) {
            Some(at) => {
                let at = searched + at;
                searched = at + block.html.len();
                (links.html_offset + at as u64, writer.count(block.html.len(), "bytes of HTML")?)
            }
            None => writer.push([block.html.as_str()])?,
        };
        let links = BlockLinks { page_row: links.page_row, part: links.part, html_offset, html_length };
        rows.push(BlockRow::write(links, block, writer)?);
    }
    Ok(())
}

/// The checksum of a page's text: the first eight bytes of its SHA-256, little-endian.
pub(super) fn sha64(text: &[u8]) -> u64 {
    let digest = Sha256::digest(text);
    digest.iter().take(8).rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}
