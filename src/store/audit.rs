//! Checks every row of a shard: each row points to its own rows and text, and no row or byte of text is left over.
//!
//! The rows of `/pages`, in order, cover the other tables and `/text` without a gap or an overlap. The pieces of a
//! page's text cover that text in the order that `docs/store.md` gives.

use std::{collections::BTreeMap, ops::Range};

use super::{
    cells::{RowReader, page_ref},
    error::Result,
    hdf,
    layout::StoreFile,
    rows::{AttemptRow, BlockRow, PageRow, PartRow},
    shard::{Counts, sha64},
    shard_reader::ShardReader,
};
use crate::model::{Document, DocumentId, PageRef, ServerKind};

/// Rows of `/pages` that are read and checked at a time; bounds the memory.
const WINDOW: u64 = 256;

/// What can be wrong inside a shard.
#[allow(missing_docs, reason = "the message of a variant says what its fields are")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Corruption {
    /// An offset or a length that does not follow from the rows before it.
    #[error("row {row} of /{table}: {field} does not continue the row before")]
    Place { table: &'static str, row: u64, field: &'static str },
    /// A number with no meaning: an unknown code, or a value outside the range of its field.
    #[error("row {row} of /{table}: {field} has an unknown code")]
    Code { table: &'static str, row: u64, field: &'static str },
    /// A row that names a different row of `/pages`, or a different part, from the one that points to it.
    #[error("row {row} of /{table} belongs to another page or part")]
    Owner { table: &'static str, row: u64 },
    /// The length of a table is not the sum that the rows of `/pages` give.
    #[error("/{table} has {found} items, the rows of /pages have {expected}")]
    Length { table: &'static str, found: u64, expected: u64 },
    /// A page whose document is not in `/documents`, or whose number is beyond the document's last page.
    #[error("{0} is not in /documents")]
    Undocumented(PageRef),
    /// A document listed twice, or without a page.
    #[error("document {} is in /documents twice, or has no page in this shard", .0.0)]
    Document(DocumentId),
    /// A root attribute that does not fit the file's name.
    #[error("its attribute {0} does not agree with its file name")]
    Attribute(&'static str),
}

/// The result of the check of a shard.
#[derive(Debug, Default)]
pub(super) struct Audit {
    pub(super) first: Option<Corruption>,
    /// How many corruptions there are, the first included.
    pub(super) corruptions: usize,
    /// Pages whose text does not match its checksum.
    pub(super) changed: Vec<PageRef>,
}

impl Audit {
    fn add(&mut self, corruption: Corruption) {
        self.corruptions += 1;
        self.first.get_or_insert(corruption);
    }

    fn place(&mut self, good: bool, table: &'static str, row: u64, field: &'static str) {
        if !good {
            self.add(Corruption::Place { table, row, field });
        }
    }

    fn code(&mut self, good: bool, table: &'static str, row: u64, field: &'static str) {
        if !good {
            self.add(Corruption::Code { table, row, field });
        }
    }

    fn codes(&mut self, unknown: Vec<&'static str>, table: &'static str, row: u64) {
        unknown.into_iter().for_each(|field| self.code(false, table, row, field));
    }

    fn owner(&mut self, good: bool, table: &'static str, row: u64) {
        if !good {
            self.add(Corruption::Owner { table, row });
        }
    }
}

/// Checks a shard whose list of documents is `documents`. The name of the file is checked against the attributes.
///
/// # Errors
/// A table or the text cannot be read.
pub(super) fn audit(shard: &ShardReader, file: StoreFile, documents: &[Document]) -> Result<Audit> {
    let mut audit = Audit::default();
    let header = shard.opening()?;
    for (name, good) in [("rank", header.rank == file.rank), ("sequence", header.sequence == file.sequence)] {
        if !good {
            audit.add(Corruption::Attribute(name));
        }
    }
    let mut uses: BTreeMap<DocumentId, (u32, u64)> = BTreeMap::new();
    for document in documents {
        if uses.insert(document.id, (document.pages(), 0)).is_some() {
            audit.add(Corruption::Document(document.id));
        }
    }
    let found = shard.counts();
    // The reader returns no text: the spans of the text are checked separately below.
    let reader = shard.reader(&|_, _| Ok(String::new()));
    let mut next = Counts::default();
    while next.pages < found.pages {
        let rows = next.pages..(next.pages + WINDOW).min(found.pages);
        let pages: Vec<PageRow> = hdf::read_range(&shard.pages, rows, &shard.path)?;
        let mut window = Window::default();
        for row in &pages {
            let page = page_ref(row.document, row.page);
            match uses.get_mut(&page.document) {
                Some((declared, used)) if row.page < *declared => *used += 1,
                _ => audit.add(Corruption::Undocumented(page)),
            }
        }
        if !window.read(shard, &pages, &next)? {
            // The rows after this window cannot be located. The comparison of lengths below reports the difference.
            next = pages.iter().fold(next, after);
            break;
        }
        for row in &pages {
            window.check(&mut audit, &reader, row, &next);
            next = after(next, row);
        }
    }
    for (document, (_, used)) in uses {
        if used == 0 {
            audit.add(Corruption::Document(document));
        }
    }
    let lengths = [
        ("parts", found.parts, next.parts),
        ("blocks", found.blocks, next.blocks),
        ("attempts", found.attempts, next.attempts),
        ("text", found.text, next.text),
    ];
    for (table, found, expected) in lengths {
        if found != expected {
            audit.add(Corruption::Length { table, found, expected });
        }
    }
    Ok(audit)
}

/// Where the rows and the text of the page after `row` begin, if those of `row` begin at `next`.
fn after(mut next: Counts, row: &PageRow) -> Counts {
    next.pages += 1;
    next.parts += u64::from(row.parts);
    next.blocks += u64::from(row.blocks);
    next.attempts += u64::from(row.attempts);
    next.text += u64::from(row.text_length);
    next
}

/// The tables and the text of some consecutive rows of `/pages`.
#[derive(Default)]
struct Window {
    first: Counts,
    parts: Vec<PartRow>,
    blocks: Vec<BlockRow>,
    attempts: Vec<AttemptRow>,
    text: Vec<u8>,
}

impl Window {
    /// Reads what `pages` point to; `false` where the shard is shorter than they say.
    fn read(&mut self, shard: &ShardReader, pages: &[PageRow], first: &Counts) -> Result<bool> {
        let (end, found) = (pages.iter().fold(*first, after), shard.counts());
        let whole = end.parts <= found.parts
            && end.blocks <= found.blocks
            && end.attempts <= found.attempts
            && end.text <= found.text;
        if !whole {
            return Ok(false);
        }
        self.first = *first;
        self.parts = hdf::read_range(&shard.parts, first.parts..end.parts, &shard.path)?;
        self.blocks = hdf::read_range(&shard.blocks, first.blocks..end.blocks, &shard.path)?;
        self.attempts = hdf::read_range(&shard.attempts, first.attempts..end.attempts, &shard.path)?;
        self.text = hdf::read_range(&shard.text, first.text..end.text, &shard.path)?;
        Ok(true)
    }

    /// Checks one row of `/pages` and all its rows and text, which begin at `next`.
    fn check(&self, audit: &mut Audit, reader: &RowReader<'_>, row: &PageRow, next: &Counts) {
        let number = next.pages;
        audit.place(row.first_part == next.parts, "pages", number, "first_part");
        audit.place(row.first_block == next.blocks, "pages", number, "first_block");
        audit.place(row.first_attempt == next.attempts, "pages", number, "first_attempt");
        audit.place(row.text_offset == next.text, "pages", number, "text_offset");
        audit.codes(row.unknown(reader), "pages", number);
        audit.code(row.server == 0 || ServerKind::from_code(row.server).is_some(), "pages", number, "server");
        audit.code(row.counts_from <= row.attempts, "pages", number, "counts_from");

        let bytes = slice(&self.text, next.text - self.first.text, row.text_length.into());
        if sha64(bytes) != row.sha64 {
            audit.changed.push(page_ref(row.document, row.page));
        }
        // Text that is not UTF-8 counts as empty, so that every span in it is reported.
        let mut text = Pieces { start: next.text, at: next.text, text: std::str::from_utf8(bytes).unwrap_or_default() };
        let html = text.take(row.html_offset, row.html_length);
        audit.place(html.is_some(), "pages", number, "html_offset");
        let markdown = text.take(row.markdown_offset, row.markdown_length);
        audit.place(markdown.is_some(), "pages", number, "markdown_offset");
        let reason = text.take(row.reason_offset, row.reason_length);
        audit.place(reason.is_some(), "pages", number, "reason_offset");

        let attempts = slice(&self.attempts, next.attempts - self.first.attempts, row.attempts.into());
        self.check_parts(audit, reader, row, next, &mut text);
        for (at, attempt) in (next.attempts..).zip(attempts) {
            check_attempt(audit, reader, attempt, (at, number), &mut text);
        }
        audit.place(text.at == next.text + u64::from(row.text_length), "pages", number, "text_length");
        self.check_kept(audit, row, next, attempts);
    }

    /// Checks that every part comes from an attempt of the page, and that the page's kept characters are the sum of
    /// those attempts' kept characters.
    fn check_kept(&self, audit: &mut Audit, row: &PageRow, next: &Counts, attempts: &[AttemptRow]) {
        let parts = slice(&self.parts, next.parts - self.first.parts, row.parts.into());
        let mut kept = 0u32;
        for (at, part) in (next.parts..).zip(parts) {
            let attempt = attempts.get(usize::from(part.attempt));
            audit.place(attempt.is_some(), "parts", at, "attempt");
            kept = kept.saturating_add(attempt.map_or(0, |attempt| attempt.kept_characters));
        }
        audit.place(kept == row.kept_characters, "pages", next.pages, "kept_characters");
    }

    fn check_parts(
        &self,
        audit: &mut Audit,
        reader: &RowReader<'_>,
        row: &PageRow,
        next: &Counts,
        text: &mut Pieces<'_>,
    ) {
        let parts = slice(&self.parts, next.parts - self.first.parts, row.parts.into());
        let mut blocks = slice(&self.blocks, next.blocks - self.first.blocks, row.blocks.into()).iter();
        let mut block_row = next.blocks;
        let (mut html, mut markdown) = (row.html_offset, row.markdown_offset);
        for (index, part) in parts.iter().enumerate() {
            let at = next.parts + index as u64;
            let own = u64::from(part.page_row) == next.pages && usize::from(part.part) == index;
            audit.owner(own, "parts", at);
            audit.codes(part.unknown(reader), "parts", at);
            let place = |offset, length, expected| offset == expected && text.has(offset, length);
            audit.place(place(part.html_offset, part.html_length, html), "parts", at, "html_offset");
            audit.place(place(part.markdown_offset, part.markdown_length, markdown), "parts", at, "markdown_offset");
            (html, markdown) = (html + u64::from(part.html_length), markdown + u64::from(part.markdown_length));
            // The HTML of a block is a span inside its part's HTML, in order. If it does not occur there, it is a
            // piece of its own after the pieces before it.
            let mut searched = part.html_offset;
            for block in blocks.by_ref().take(part.blocks as usize) {
                let own = u64::from(block.page_row) == next.pages && block.part == part.part;
                audit.owner(own, "blocks", block_row);
                audit.codes(block.unknown(reader), "blocks", block_row);
                let end = block.html_offset.saturating_add(block.html_length.into());
                if (searched..=html).contains(&block.html_offset) && end <= html {
                    audit.place(text.has(block.html_offset, block.html_length), "blocks", block_row, "html_offset");
                    searched = end;
                } else {
                    let piece = text.take(block.html_offset, block.html_length);
                    audit.place(piece.is_some(), "blocks", block_row, "html_offset");
                }
                block_row += 1;
            }
        }
        audit.place(html == row.html_offset + u64::from(row.html_length), "pages", next.pages, "html_length");
        let length = u64::from(row.markdown_length);
        audit.place(markdown == row.markdown_offset.saturating_add(length), "pages", next.pages, "markdown_length");
        audit.place(block_row == next.blocks + u64::from(row.blocks), "pages", next.pages, "blocks");
    }
}

/// Checks an attempt. `rows` are the row of the attempt and the row of its page.
fn check_attempt(
    audit: &mut Audit,
    reader: &RowReader<'_>,
    attempt: &AttemptRow,
    rows: (u64, u64),
    text: &mut Pieces<'_>,
) {
    let (at, page) = rows;
    audit.owner(u64::from(attempt.page_row) == page, "attempts", at);
    audit.codes(attempt.unknown(reader), "attempts", at);
    let request_id = text.take(attempt.request_id_offset, attempt.request_id_length);
    audit.place(request_id.is_some(), "attempts", at, "request_id_offset");
    let reason = text.take(attempt.reason_offset, attempt.reason_length);
    audit.place(reason.is_some(), "attempts", at, "reason_offset");
    let answer = text.take(attempt.answer_offset, attempt.answer_length);
    audit.place(answer.is_some(), "attempts", at, "answer_offset");
}

/// The text of a page, consumed piece by piece.
struct Pieces<'a> {
    /// Where the page's text begins in `/text`.
    start: u64,
    /// Where the next piece must begin in `/text`.
    at: u64,
    text: &'a str,
}

impl Pieces<'_> {
    /// Takes the next piece; `None` where the span is not the next piece. The next piece is then expected after the
    /// wrong span, so that one wrong span is reported once.
    fn take(&mut self, offset: u64, length: u32) -> Option<()> {
        let good = offset == self.at && self.has(offset, length);
        self.at = offset.saturating_add(length.into());
        good.then_some(())
    }

    /// Whether the span lies in the text and both its ends are character boundaries.
    fn has(&self, offset: u64, length: u32) -> bool {
        let start = offset.checked_sub(self.start).and_then(|start| usize::try_from(start).ok());
        let range = start.and_then(|start| Some(Range { start, end: start.checked_add(length as usize)? }));
        range.is_some_and(|range| self.text.get(range).is_some())
    }
}

/// A range of rows; [`Window::read`] has checked that they exist.
fn slice<T>(items: &[T], start: u64, count: u64) -> &[T] {
    items.get(start as usize..(start + count) as usize).unwrap_or_default()
}
