//! The rows of a shard and of the catalogue: the file format itself. `docs/store.md` explains every field.
//!
//! Changing a row changes the format: raise [`SHARD_VERSION`] or [`CATALOGUE_VERSION`].

use hdf5::{H5Type, types::VarLenUnicode};

pub(super) const SHARD_FORMAT: &str = "bulletin-ocr shard";
pub(super) const SHARD_VERSION: u32 = 4;
pub(super) const CATALOGUE_FORMAT: &str = "bulletin-ocr catalogue";
pub(super) const CATALOGUE_VERSION: u32 = 2;

/// `/pages`: one record of one page.
#[derive(Debug, Clone, Copy, H5Type)]
#[repr(C)]
pub(super) struct PageRow {
    pub document: u32,
    /// 0-based.
    pub page: u32,
    pub lease: u64,
    pub rank: u32,
    pub verdict: u8,
    pub class: u8,
    pub engine: u8,
    /// What answered: 1 the model, 2 and 3 a stand-in, 0 nothing.
    pub server: u8,
    pub language: u8,
    pub parts: u8,
    pub attempts: u16,
    /// The first of them that counts; those before it were made before the page was asked to be read again.
    pub counts_from: u16,
    /// Engines that a failed page may yet be given to: the sum of their codes.
    pub ahead: u8,
    /// Characters of text in its parts, white space not counted.
    pub kept_characters: u32,
    pub first_part: u64,
    pub first_block: u64,
    pub blocks: u32,
    pub first_attempt: u64,
    /// Tokens and time of all attempts together.
    pub prompt_tokens: u32,
    pub completion_tokens: u32,
    pub engine_us: u64,
    pub settled_unix_ms: i64,
    /// 0 where no image was made; the other image fields mean nothing then.
    pub has_image: u8,
    pub grey: u8,
    pub width: u32,
    pub height: u32,
    pub dpi: f32,
    pub ink: f32,
    pub encoded_bytes: u32,
    pub render_us: u32,
    pub encode_us: u32,
    /// Degrees clockwise by which the whole page was turned.
    pub turn: u16,
    /// 1 where the skew was found; 0 where it was not looked for, or there was too little to tell.
    pub has_skew: u8,
    /// Hundredths of a degree clockwise.
    pub skew: i16,
    pub straightened: u8,
    pub cleaned: u8,
    /// Language that its letters look like.
    pub script: u8,
    pub columns_reason: u8,
    /// Hundredths.
    pub columns_confidence: u8,
    /// 1 where the page was divided into columns; the line between them means nothing else.
    pub divided: u8,
    /// In thousandths of the page made upright and straight.
    pub divide_top: u16,
    pub divide_bottom: u16,
    pub divide_x_top: u16,
    pub divide_x_bottom: u16,
    /// All of the page's text: a span of `/text`, as are the four below, which lie inside it.
    pub text_offset: u64,
    pub text_length: u32,
    /// HTML of all parts.
    pub html_offset: u64,
    pub html_length: u32,
    /// Markdown of all parts.
    pub markdown_offset: u64,
    pub markdown_length: u32,
    /// Why the page failed.
    pub reason_offset: u64,
    pub reason_length: u32,
    /// First eight bytes, little-endian, of the SHA-256 of the page's text.
    pub sha64: u64,
}

/// The fields of [`PageRow`] that say how a page stands; read without the rest.
#[derive(Debug, Clone, Copy, H5Type)]
#[repr(C)]
pub(super) struct SettledRow {
    pub document: u32,
    pub page: u32,
    pub lease: u64,
    pub rank: u32,
    pub verdict: u8,
    pub class: u8,
    pub engine: u8,
    pub server: u8,
    pub language: u8,
    pub attempts: u16,
    pub kept_characters: u32,
    pub sha64: u64,
}

/// The fields of [`PageRow`] that a start needs of every page.
#[derive(Debug, Clone, Copy, H5Type)]
#[repr(C)]
pub(super) struct RecordedRow {
    pub document: u32,
    pub page: u32,
    pub lease: u64,
    pub verdict: u8,
    pub class: u8,
    pub engine: u8,
    pub ahead: u8,
}

/// `/parts`
#[derive(Debug, Clone, Copy, H5Type)]
#[repr(C)]
pub(super) struct PartRow {
    pub page_row: u32,
    pub part: u8,
    /// Which of its page's attempts gave it, 0-based.
    pub attempt: u16,
    pub left: u16,
    pub top: u16,
    pub right: u16,
    pub bottom: u16,
    pub blocks: u32,
    pub html_offset: u64,
    pub html_length: u32,
    pub markdown_offset: u64,
    pub markdown_length: u32,
}

/// `/blocks`
#[derive(Debug, Clone, Copy, H5Type)]
#[repr(C)]
pub(super) struct BlockRow {
    pub page_row: u32,
    pub part: u8,
    /// Position in `/labels`.
    pub label: u16,
    /// 0 where the engine gave no usable box.
    pub has_box: u8,
    pub left: u16,
    pub top: u16,
    pub right: u16,
    pub bottom: u16,
    /// Inside its part's HTML where it occurs there verbatim.
    pub html_offset: u64,
    pub html_length: u32,
}

/// `/attempts`
#[derive(Debug, Clone, Copy, H5Type)]
#[repr(C)]
pub(super) struct AttemptRow {
    pub page_row: u32,
    pub visit: u8,
    pub view: u8,
    /// Which of the view's images was sent.
    pub part: u8,
    /// Place of that image on the page.
    pub left: u16,
    pub top: u16,
    pub right: u16,
    pub bottom: u16,
    /// Degrees clockwise by which it was turned.
    pub turn: u16,
    /// Hundredths of a degree clockwise, taken out of the page.
    pub skew: i16,
    pub width: u32,
    pub height: u32,
    pub outcome: u8,
    pub class: u8,
    pub fault: u8,
    pub finish: u8,
    /// Position in `/engines`.
    pub served_by: u16,
    pub rank: u32,
    /// Position on the profile's sampling ladder.
    pub step: u8,
    pub temperature: f32,
    pub top_p: f32,
    /// 1 where the request carried its id as cache salt.
    pub salted: u8,
    pub max_tokens: u32,
    pub prompt_tokens: u32,
    pub completion_tokens: u32,
    pub started_unix_ms: i64,
    /// -1 where no token came.
    pub first_token_us: i64,
    pub duration_us: i64,
    /// Characters of text before it began to repeat itself, white space not counted.
    pub kept_characters: u32,
    pub request_id_offset: u64,
    pub request_id_length: u32,
    pub reason_offset: u64,
    pub reason_length: u32,
    /// The raw answer, whole or partial.
    pub answer_offset: u64,
    pub answer_length: u32,
}

/// `/engines`: what answered.
#[derive(Debug, Clone, H5Type)]
#[repr(C)]
pub(super) struct EngineRow {
    pub engine: u8,
    pub server: u8,
    pub profile: VarLenUnicode,
    pub model: VarLenUnicode,
    pub version: VarLenUnicode,
    pub prompt_sha256: VarLenUnicode,
    /// Fixed fields of every request, JSON.
    pub request: VarLenUnicode,
}

/// `/documents`
#[derive(Debug, Clone, H5Type)]
#[repr(C)]
pub(super) struct DocumentRow {
    pub id: u32,
    /// 0 for a refused document.
    pub pages: u32,
    /// 0 unless refused.
    pub class: u8,
    /// What the file name claims.
    pub language: u8,
    /// Issue number, -1 where the name has none.
    pub number: i64,
    /// Size of the file, -1 where it could not be read.
    pub bytes: i64,
    pub name: VarLenUnicode,
    pub path: VarLenUnicode,
    /// Empty where the file could not be read.
    pub sha256: VarLenUnicode,
    pub suffix: VarLenUnicode,
    /// Why it was refused.
    pub reason: VarLenUnicode,
}

/// `/index` of the catalogue: the final record of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, H5Type)]
#[repr(C)]
pub(super) struct IndexRow {
    pub document: u32,
    pub page: u32,
    /// Position in `/shards`.
    pub shard: u32,
    /// Row of that shard's `/pages`.
    pub row: u32,
    /// Shard and row of the record with the page's text: the same, but where an earlier visit gave more of a failed page.
    pub text_shard: u32,
    pub text_row: u32,
    pub lease: u64,
    pub rank: u32,
    pub verdict: u8,
    pub class: u8,
    pub engine: u8,
    pub server: u8,
    pub language: u8,
    pub attempts: u16,
    /// Characters of the page's text.
    pub kept_characters: u32,
    pub sha64: u64,
}

/// `/shards` of the catalogue.
#[derive(Debug, Clone, H5Type)]
#[repr(C)]
pub(super) struct ShardRow {
    pub name: VarLenUnicode,
    /// Rows of its `/pages`.
    pub pages: u64,
    /// Those of them that are final.
    pub final_pages: u64,
}
