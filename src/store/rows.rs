//! The rows of a shard and of the catalogue: the file format itself. `docs/store.md` explains every field.
//!
//! Changing a row changes the format: raise [`SHARD_VERSION`] or [`CATALOGUE_VERSION`].
//!
//! [`row!`] describes each table once; columns, writing, reading and verification follow from the description. A new
//! field of a page or an attempt is one line there, and an `impl` in [`super::cells`] if its type is new.

use std::time::Duration;

use hdf5::{H5Type, types::VarLenUnicode};

use super::{
    cells::{Cells, EngineText, RowReader, RowWriter},
    error::Result,
    latest::{IndexEntry, Settled, Summary},
};
use crate::model::{
    Attempt, AttemptOutcome, BBox, Block, Engine, EngineSet, FinishReason, ImageFacts, Language, LeaseId, PageLayout,
    PageRecord, PageRef, Part, PixelSize, RankId, RecordPlace, Rotation, Sampling, ServedBy, ServerKind, Shown, Skew,
    Stage, TokenUsage, Verdict, View,
};

pub(super) const SHARD_FORMAT: &str = "bulletin-ocr shard";
pub(super) const SHARD_VERSION: u32 = 6;
pub(super) const CATALOGUE_FORMAT: &str = "bulletin-ocr catalogue";
pub(super) const CATALOGUE_VERSION: u32 = 3;

/// Describes a table in which each row is one value.
///
/// `{ … }` is a pattern that takes the value apart into its fields and, as an expression, puts it together again.
/// `given` are the fields that are not in the row: the caller of `read` passes them. The columns follow in their order
/// in the file: `field: Type => column: type, …;` for a field of the value ([`Cells`] converts it), and `[column:
/// type];` for a link to other rows or a sum, which the caller of `write` passes in the struct of the second name.
macro_rules! row {
    (
        $(#[$meta:meta])*
        $row:ident, $links:ident: $value:ty = { $($shape:tt)* }
        $(given $given:ident: $given_type:ty;)*
        columns
        $( $([$link:ident: $link_type:ty])? $($fact:ident: $fact_type:ty => $($column:ident: $type:ty),+)? ; )*
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, H5Type)]
        #[repr(C)]
        pub(super) struct $row {
            $( $(pub(super) $link: $link_type,)? $($(pub(super) $column: $type,)+)? )*
        }

        /// The columns that are not fields of the value.
        #[derive(Debug, Clone, Copy)]
        #[allow(dead_code, reason = "some tables are only read")]
        pub(super) struct $links {
            $( $(pub(super) $link: $link_type,)? )*
        }

        #[allow(dead_code, reason = "some tables are only read, and not all are verified by their codes")]
        impl $row {
            /// The row of a value. Appends its pieces of text, if any, in the order of the columns.
            ///
            /// # Errors
            /// A number is too large for its column.
            #[allow(unused_variables, reason = "given fields are in no column")]
            pub(super) fn write(links: $links, value: &$value, writer: &mut RowWriter<'_>) -> Result<Self> {
                let $($shape)* = value;
                $( $( let ($($column,)+) = <$fact_type as Cells<($($type,)+)>>::write($fact, writer)?; )? )*
                Ok($row { $( $($link: links.$link,)? $($($column,)+)? )* })
            }

            /// The value of the row.
            ///
            /// # Errors
            /// A code is unknown, or the text cannot be read.
            pub(super) fn read(&self, reader: &RowReader<'_>, $($given: $given_type),*) -> Result<$value> {
                $( $(
                    let $fact = <$fact_type as Cells<($($type,)+)>>::read(($(self.$column,)+), reader)?
                        .ok_or_else(|| reader.unknown_code([$(stringify!($column)),+][0]))?;
                )? )*
                Ok($($shape)*)
            }

            /// The columns with an unknown code or a value outside its range.
            pub(super) fn unknown(&self, reader: &RowReader<'_>) -> Vec<&'static str> {
                let mut unknown = Vec::new();
                $( $(
                    let names = [$(stringify!($column)),+];
                    unknown.extend(<$fact_type as Cells<($($type,)+)>>::unknown(($(self.$column,)+), &names, reader));
                )? )*
                unknown
            }
        }
    };
}

row! {
    /// `/pages`: one record of one page.
    PageRow, PageLinks: PageRecord = {
        PageRecord {
            page, lease, rank, verdict, engine, language, image, layout, attempts, counts_from, parts, remaining, reason,
            settled_unix_ms,
        }
    }
    given attempts: Vec<Attempt>;
    given parts: Vec<Part>;
    columns
    page: PageRef => document: u32, page: u32;
    lease: LeaseId => lease: u64;
    rank: RankId => rank: u32;
    verdict: Verdict => verdict: u8, class: u8;
    engine: Option<Engine> => engine: EngineText;
    // Which server gave the verdict: 1 the model, 2 and 3 a stand-in, 0 none.
    [server: u8];
    language: Language => language: u8;
    [parts: u8];
    [attempts: u16];
    counts_from: u16 => counts_from: u16;
    remaining: EngineSet => ahead: u8;
    // Characters of text in its parts, without white space.
    [kept_characters: u32];
    [first_part: u64];
    [first_block: u64];
    [blocks: u32];
    [first_attempt: u64];
    // Tokens and time of all attempts together.
    [prompt_tokens: u32];
    [completion_tokens: u32];
    [engine_us: u64];
    settled_unix_ms: i64 => settled_unix_ms: i64;
    image: Option<ImageFacts> => has_image: u8, grey: u8, width: u32, height: u32, dpi: f32, ink: f32,
        encoded_bytes: u32, render_us: u32, encode_us: u32;
    layout: Option<PageLayout> => turn: u16, has_skew: u8, skew: i16, straightened: u8, cleaned: u8, script: u8,
        columns_reason: u8, columns_confidence: u8, divided: u8, divide_top: u16, divide_bottom: u16,
        divide_x_top: u16, divide_x_bottom: u16;
    // All text of the page, a span of `/text`. The spans of HTML, Markdown and reason below are inside it.
    [text_offset: u64];
    [text_length: u32];
    // HTML of all parts.
    [html_offset: u64];
    [html_length: u32];
    // Markdown of all parts.
    [markdown_offset: u64];
    [markdown_length: u32];
    reason: String => reason_offset: u64, reason_length: u32;
    // First eight bytes, little-endian, of the SHA-256 of the page's text.
    [sha64: u64];
}

row! {
    /// The columns of `/pages` with the state of a page, to be read without the other columns.
    SummaryRow, SummaryLinks: Summary = {
        Summary {
            settled: Settled { page, lease, rank, verdict, engine, server, language, attempts, kept_characters, sha64 },
            remaining,
        }
    }
    columns
    page: PageRef => document: u32, page: u32;
    lease: LeaseId => lease: u64;
    rank: RankId => rank: u32;
    verdict: Verdict => verdict: u8, class: u8;
    engine: Option<Engine> => engine: EngineText;
    server: Option<ServerKind> => server: u8;
    language: Language => language: u8;
    attempts: u16 => attempts: u16;
    remaining: EngineSet => ahead: u8;
    kept_characters: u32 => kept_characters: u32;
    sha64: u64 => sha64: u64;
}

row! {
    /// `/parts`
    PartRow, PartLinks: Part = { Part { bbox, attempt, blocks, html, markdown } }
    given blocks: Vec<Block>;
    given html: String;
    given markdown: String;
    columns
    [page_row: u32];
    [part: u8];
    attempt: u16 => attempt: u16;
    bbox: BBox => left: u16, top: u16, right: u16, bottom: u16;
    [blocks: u32];
    [html_offset: u64];
    [html_length: u32];
    [markdown_offset: u64];
    [markdown_length: u32];
}

row! {
    /// `/blocks`
    BlockRow, BlockLinks: Block = { Block { label, bbox, html } }
    given html: String;
    columns
    [page_row: u32];
    [part: u8];
    label: String => label: u16;
    bbox: Option<BBox> => has_box: u8, left: u16, top: u16, right: u16, bottom: u16;
    // A span inside its part's HTML if it occurs there verbatim.
    [html_offset: u64];
    [html_length: u32];
}

row! {
    /// `/attempts`
    AttemptRow, AttemptLinks: Attempt = {
        Attempt {
            served_by, rank, stage, shown: Shown { view, part, bbox, turn, skew, size }, request_id, outcome, finish, step,
            sampling: Sampling { temperature, top_p }, salted, repeats, max_tokens,
            tokens: TokenUsage { prompt, completion }, started_unix_ms, time_to_first_token, duration, kept_characters,
            reason, answer,
        }
    }
    columns
    [page_row: u32];
    stage: Stage => visit: u8;
    view: View => view: u8;
    part: u8 => part: u8;
    bbox: BBox => left: u16, top: u16, right: u16, bottom: u16;
    turn: Rotation => turn: u16;
    skew: Skew => skew: i16;
    size: PixelSize => width: u32, height: u32;
    outcome: AttemptOutcome => outcome: u8, class: u8, fault: u8;
    finish: Option<FinishReason> => finish: u8;
    served_by: ServedBy => served_by: u16;
    rank: RankId => rank: u32;
    step: u8 => step: u8;
    temperature: f32 => temperature: f32;
    top_p: f32 => top_p: f32;
    salted: bool => salted: u8;
    repeats: u32 => repeats: u32;
    max_tokens: u32 => max_tokens: u32;
    prompt: u32 => prompt_tokens: u32;
    completion: u32 => completion_tokens: u32;
    started_unix_ms: i64 => started_unix_ms: i64;
    time_to_first_token: Option<Duration> => first_token_us: i64;
    duration: Duration => duration_us: i64;
    kept_characters: u32 => kept_characters: u32;
    request_id: String => request_id_offset: u64, request_id_length: u32;
    reason: String => reason_offset: u64, reason_length: u32;
    answer: String => answer_offset: u64, answer_length: u32;
}

row! {
    /// `/index` of the catalogue: the final record of a page.
    IndexRow, IndexLinks: IndexEntry = {
        IndexEntry {
            settled: Settled { page, lease, rank, verdict, engine, server, language, attempts, kept_characters, sha64 },
            place,
            text,
        }
    }
    given place: RecordPlace;
    given text: RecordPlace;
    columns
    page: PageRef => document: u32, page: u32;
    // Position in `/shards`, and the row of that shard's `/pages`.
    [shard: u32];
    [row: u32];
    // The same for the record with the page's text.
    [text_shard: u32];
    [text_row: u32];
    lease: LeaseId => lease: u64;
    rank: RankId => rank: u32;
    verdict: Verdict => verdict: u8, class: u8;
    engine: Option<Engine> => engine: EngineText;
    server: Option<ServerKind> => server: u8;
    language: Language => language: u8;
    attempts: u16 => attempts: u16;
    kept_characters: u32 => kept_characters: u32;
    sha64: u64 => sha64: u64;
}

/// `/engines`: the models and stand-ins that answered.
#[derive(Debug, Clone, H5Type)]
#[repr(C)]
pub(super) struct EngineRow {
    pub engine: VarLenUnicode,
    pub server: u8,
    pub profile: VarLenUnicode,
    pub model: VarLenUnicode,
    pub version: VarLenUnicode,
    pub dialect: VarLenUnicode,
    pub prompt_sha256: VarLenUnicode,
    /// The fields that every request has, as JSON.
    pub request: VarLenUnicode,
}

/// `/documents`
#[derive(Debug, Clone, H5Type)]
#[repr(C)]
pub(super) struct DocumentRow {
    pub id: u32,
    /// 0 for a refused document.
    pub pages: u32,
    /// 0 for a document that has all its pages. A planned document that is known to lack pages is `unreadable`.
    pub class: u8,
    /// The language that the file name gives.
    pub language: u8,
    /// Issue number, -1 where the file name has none.
    pub number: i64,
    /// Size of the file in bytes, -1 where it could not be read.
    pub bytes: i64,
    pub name: VarLenUnicode,
    pub path: VarLenUnicode,
    /// Empty where the file could not be read.
    pub sha256: VarLenUnicode,
    pub suffix: VarLenUnicode,
    /// Why it was refused, or what it lacks.
    pub reason: VarLenUnicode,
}

/// `/shards` of the catalogue.
#[derive(Debug, Clone, H5Type)]
#[repr(C)]
pub(super) struct ShardRow {
    pub name: VarLenUnicode,
    /// Rows of the shard's `/pages`.
    pub pages: u64,
    /// Rows of the shard's `/pages` that are final.
    pub final_pages: u64,
}

#[cfg(test)]
mod tests {
    use hdf5::types::TypeDescriptor;

    use super::*;

    fn columns<T: H5Type>() -> String {
        let TypeDescriptor::Compound(compound) = T::type_descriptor() else { panic!("not a row") };
        compound
            .fields
            .iter()
            .map(|field| format!("{}:{} ", field.name, field.ty.to_string().replace(' ', "")))
            .collect()
    }

    /// As plain h5py shows the files of format versions 6 and 3.
    #[test]
    fn the_columns_of_the_tables_do_not_change_by_accident() {
        let expected = |text: &str| text.split_whitespace().map(|column| format!("{column} ")).collect::<String>();
        assert_eq!(
            columns::<PageRow>(),
            expected(
                "document:uint32 page:uint32 lease:uint64 rank:uint32 verdict:uint8 class:uint8 engine:string(len32)
                server:uint8 language:uint8 parts:uint8 attempts:uint16 counts_from:uint16 ahead:uint8
                kept_characters:uint32 first_part:uint64 first_block:uint64 blocks:uint32 first_attempt:uint64
                prompt_tokens:uint32 completion_tokens:uint32 engine_us:uint64 settled_unix_ms:int64 has_image:uint8
                grey:uint8 width:uint32 height:uint32 dpi:float32 ink:float32 encoded_bytes:uint32 render_us:uint32
                encode_us:uint32 turn:uint16 has_skew:uint8 skew:int16 straightened:uint8 cleaned:uint8 script:uint8
                columns_reason:uint8 columns_confidence:uint8 divided:uint8 divide_top:uint16 divide_bottom:uint16
                divide_x_top:uint16 divide_x_bottom:uint16 text_offset:uint64 text_length:uint32 html_offset:uint64
                html_length:uint32 markdown_offset:uint64 markdown_length:uint32 reason_offset:uint64
                reason_length:uint32 sha64:uint64"
            )
        );
        assert_eq!(
            columns::<PartRow>(),
            expected(
                "page_row:uint32 part:uint8 attempt:uint16 left:uint16 top:uint16 right:uint16 bottom:uint16
                blocks:uint32 html_offset:uint64 html_length:uint32 markdown_offset:uint64 markdown_length:uint32"
            )
        );
        assert_eq!(
            columns::<BlockRow>(),
            expected(
                "page_row:uint32 part:uint8 label:uint16 has_box:uint8 left:uint16 top:uint16 right:uint16
                bottom:uint16 html_offset:uint64 html_length:uint32"
            )
        );
        assert_eq!(
            columns::<AttemptRow>(),
            expected(
                "page_row:uint32 visit:uint8 view:uint8 part:uint8 left:uint16 top:uint16 right:uint16 bottom:uint16
                turn:uint16 skew:int16 width:uint32 height:uint32 outcome:uint8 class:uint8 fault:uint8 finish:uint8
                served_by:uint16 rank:uint32 step:uint8 temperature:float32 top_p:float32 salted:uint8
                repeats:uint32 max_tokens:uint32 prompt_tokens:uint32 completion_tokens:uint32 started_unix_ms:int64
                first_token_us:int64 duration_us:int64 kept_characters:uint32 request_id_offset:uint64
                request_id_length:uint32 reason_offset:uint64 reason_length:uint32 answer_offset:uint64
                answer_length:uint32"
            )
        );
        assert_eq!(
            columns::<IndexRow>(),
            expected(
                "document:uint32 page:uint32 shard:uint32 row:uint32 text_shard:uint32 text_row:uint32 lease:uint64
                rank:uint32 verdict:uint8 class:uint8 engine:string(len32) server:uint8 language:uint8 attempts:uint16
                kept_characters:uint32 sha64:uint64"
            )
        );
    }
}
