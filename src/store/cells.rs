//! How each type of value is stored in the columns of a row. [`super::rows`] names the columns.

use std::{path::Path, time::Duration};

use hdf5::types::FixedAscii;

use super::{
    codes,
    error::{Result, StoreError},
    numbering::Numbering,
};
use crate::model::{
    AttemptOutcome, BBox, Columns, ColumnsReason, Confidence, Divide, DocumentId, Engine, EngineName, EngineNames,
    EngineSet, FinishReason, ImageFacts, Language, LeaseId, PageIndex, PageLayout, PageRef, PixelSize, RankId,
    Rotation, ServedBy, ServerKind, Skew, Stage, Verdict, View,
};

/// The label of blocks whose own label has no number in the shard.
const OTHER_LABEL: &str = "Other";
/// The largest skew that is valid, in hundredths of a degree: ten degrees. A larger angle would be a rotation.
const MOST_SKEW: u16 = 1000;

/// A value that is stored in columns of the types `C`, a tuple.
pub(super) trait Cells<C: Copy>: Sized {
    /// The columns of the value.
    ///
    /// # Errors
    /// A number is too large for its column.
    fn write(&self, writer: &mut RowWriter<'_>) -> Result<C>;

    /// The value of the columns; `None` where a code is unknown.
    ///
    /// # Errors
    /// The text that the columns point to cannot be read.
    fn read(columns: C, reader: &RowReader<'_>) -> Result<Option<Self>>;

    /// The columns, of those called `names`, that have an unknown code or a value outside its range.
    fn unknown(columns: C, names: &[&'static str], reader: &RowReader<'_>) -> Vec<&'static str> {
        let readable = matches!(Self::read(columns, reader), Ok(Some(_)));
        if readable { Vec::new() } else { names.iter().copied().take(1).collect() }
    }
}

/// The state with which the rows of one page are written.
pub(super) struct RowWriter<'a> {
    pub(super) page: PageRef,
    /// Where the page's text begins in `/text`.
    pub(super) start: u64,
    /// All text of the page in one piece. HTML, Markdown, reasons and raw answers repeat each other: in one dataset
    /// they compress to half the size, and in half the time, of a dataset for each kind.
    pub(super) text: String,
    pub(super) labels: &'a mut Numbering<String>,
    pub(super) engines: &'a mut Numbering<ServedBy>,
    /// The engines of the run.
    pub(super) names: &'a EngineNames,
}

impl RowWriter<'_> {
    /// Appends pieces of text and returns the span of all of them in `/text`.
    pub(super) fn push<'b>(&mut self, pieces: impl IntoIterator<Item = &'b str>) -> Result<(u64, u32)> {
        let from = self.text.len();
        self.text.extend(pieces);
        Ok((self.start + from as u64, self.count(self.text.len() - from, "bytes of text")?))
    }

    /// A number as the type of its column.
    pub(super) fn count<N, M: TryFrom<N>>(&self, number: N, what: &'static str) -> Result<M> {
        M::try_from(number).map_err(|_| self.too_many(what))
    }

    fn too_many(&self, what: &'static str) -> StoreError {
        StoreError::TooMany { page: self.page, what }
    }
}

/// The state with which rows are read: the tables and the text that they point to.
pub(super) struct RowReader<'a> {
    pub(super) path: &'a Path,
    /// `/labels`
    pub(super) labels: &'a [String],
    /// `/engines`
    pub(super) engines: &'a [ServedBy],
    /// `/stages`
    pub(super) names: &'a EngineNames,
    /// Reads a span of `/text`.
    pub(super) text: &'a dyn Fn(u64, u32) -> Result<String>,
}

impl<'a> RowReader<'a> {
    /// A reader for rows that have codes, numbers and engines only: no text, no labels and no servers.
    pub(super) fn of_codes(path: &'a Path, names: &'a EngineNames) -> Self {
        RowReader { path, labels: &[], engines: &[], names, text: &|_, _| Ok(String::new()) }
    }

    /// Reads a span of `/text`.
    pub(super) fn text(&self, offset: u64, length: u32) -> Result<String> {
        (self.text)(offset, length)
    }

    /// The error for a column with an unknown code.
    pub(super) fn unknown_code(&self, column: &str) -> StoreError {
        StoreError::damaged(self.path, format!("unknown {column}"))
    }
}

/// Implements [`Cells`] for types that are themselves the type of a column.
macro_rules! number {
    ($($type:ty),*) => {$(
        impl Cells<($type,)> for $type {
            fn write(&self, _: &mut RowWriter<'_>) -> Result<($type,)> {
                Ok((*self,))
            }

            fn read((number,): ($type,), _: &RowReader<'_>) -> Result<Option<Self>> {
                Ok(Some(number))
            }
        }
    )*};
}

number!(u8, u16, u32, u64, i64, f32);

/// Implements [`Cells`] for types that become one number: how to make the number, and the value, if any, of a number.
macro_rules! coded {
    ($($type:ty, $column:ty: |$value:ident| $write:expr, |$code:ident| $read:expr;)*) => {$(
        impl Cells<($column,)> for $type {
            fn write(&self, _: &mut RowWriter<'_>) -> Result<($column,)> {
                let $value = *self;
                Ok(($write,))
            }

            fn read(($code,): ($column,), _: &RowReader<'_>) -> Result<Option<Self>> {
                Ok($read)
            }
        }
    )*};
}

coded! {
    bool, u8: |flag| flag.into(), |code| Some(code != 0);
    LeaseId, u64: |lease| lease.0, |code| Some(LeaseId(code));
    RankId, u32: |rank| rank.0, |code| Some(RankId(code));
    Language, u8: |language| language as u8, |code| Language::from_code(code);
    View, u8: |view| view as u8, |code| View::from_code(code);
    Rotation, u16: |rotation| rotation.degrees(), |code| Rotation::from_degrees(code);
    Option<ServerKind>, u8: |server| server.map_or(0, |server| server as u8), |code| or_none(code, ServerKind::from_code);
    Option<FinishReason>, u8: |finish| finish.map_or(0, |finish| finish as u8), |code| or_none(code, codes::finish_from);
    Duration, i64: |duration| microseconds(duration), |code| Some(from_microseconds(code).unwrap_or_default());
    Option<Duration>, i64: |duration| duration.map_or(-1, microseconds), |code| Some(from_microseconds(code));
}

/// 0 stands for `None`.
fn or_none<T>(code: u8, from_code: fn(u8) -> Option<T>) -> Option<Option<T>> {
    if code == 0 { Some(None) } else { from_code(code).map(Some) }
}

fn microseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

fn from_microseconds(microseconds: i64) -> Option<Duration> {
    u64::try_from(microseconds).ok().map(Duration::from_micros)
}

/// The name of an engine as a column: text that every reader of HDF5 shows.
pub(super) type EngineText = FixedAscii<{ EngineName::LONGEST }>;

/// Empty for `None`.
impl Cells<(EngineText,)> for Option<Engine> {
    fn write(&self, writer: &mut RowWriter<'_>) -> Result<(EngineText,)> {
        let name = self.map_or("", |engine| writer.names[engine].as_str());
        let text = EngineText::from_ascii(name.as_bytes());
        let reason = |error: hdf5::types::StringError| error.to_string();
        Ok((text.map_err(|error| StoreError::Encode { what: "the name of an engine", reason: reason(error) })?,))
    }

    fn read((name,): (EngineText,), reader: &RowReader<'_>) -> Result<Option<Self>> {
        Ok(if name.is_empty() { Some(None) } else { reader.names.engine(name.as_str()).map(Some) })
    }
}

/// The sum of 1 for the first engine, 2 for the second, 4 for the third, and so on.
impl Cells<(u8,)> for EngineSet {
    fn write(&self, _: &mut RowWriter<'_>) -> Result<(u8,)> {
        Ok((self.code(),))
    }

    fn read((code,): (u8,), reader: &RowReader<'_>) -> Result<Option<Self>> {
        let engines = EngineSet::from_code(code);
        Ok(Some(engines).filter(|engines| engines.and(reader.names.all()) == *engines))
    }
}

impl Cells<(u8,)> for Stage {
    fn write(&self, _: &mut RowWriter<'_>) -> Result<(u8,)> {
        Ok((self.code(),))
    }

    fn read((code,): (u8,), reader: &RowReader<'_>) -> Result<Option<Self>> {
        Ok(Stage::from_code(code).filter(|stage| reader.names.has(stage.engine())))
    }
}

impl Cells<(i16,)> for Skew {
    fn write(&self, _: &mut RowWriter<'_>) -> Result<(i16,)> {
        Ok((self.0,))
    }

    fn read((hundredths,): (i16,), _: &RowReader<'_>) -> Result<Option<Self>> {
        Ok(Some(Skew(hundredths)))
    }

    fn unknown((hundredths,): (i16,), names: &[&'static str], _: &RowReader<'_>) -> Vec<&'static str> {
        failed([(hundredths.unsigned_abs() <= MOST_SKEW, 0)], names)
    }
}

impl Cells<(u32, u32)> for PageRef {
    fn write(&self, _: &mut RowWriter<'_>) -> Result<(u32, u32)> {
        Ok((self.document.0, self.page.0))
    }

    fn read((document, page): (u32, u32), _: &RowReader<'_>) -> Result<Option<Self>> {
        Ok(Some(page_ref(document, page)))
    }
}

pub(super) fn page_ref(document: u32, page: u32) -> PageRef {
    PageRef { document: DocumentId(document), page: PageIndex(page) }
}

impl Cells<(u32, u32)> for PixelSize {
    fn write(&self, _: &mut RowWriter<'_>) -> Result<(u32, u32)> {
        Ok((self.width, self.height))
    }

    fn read((width, height): (u32, u32), _: &RowReader<'_>) -> Result<Option<Self>> {
        Ok(Some(PixelSize { width, height }))
    }
}

impl Cells<(u8, u8)> for Verdict {
    fn write(&self, _: &mut RowWriter<'_>) -> Result<(u8, u8)> {
        Ok(codes::verdict(*self))
    }

    fn read((verdict, class): (u8, u8), _: &RowReader<'_>) -> Result<Option<Self>> {
        Ok(codes::verdict_from(verdict, class))
    }
}

impl Cells<(u8, u8, u8)> for AttemptOutcome {
    fn write(&self, _: &mut RowWriter<'_>) -> Result<(u8, u8, u8)> {
        Ok(codes::outcome(*self))
    }

    fn read((outcome, class, fault): (u8, u8, u8), _: &RowReader<'_>) -> Result<Option<Self>> {
        Ok(codes::outcome_from(outcome, class, fault))
    }
}

impl Cells<(u16, u16, u16, u16)> for BBox {
    fn write(&self, _: &mut RowWriter<'_>) -> Result<(u16, u16, u16, u16)> {
        Ok((self.left, self.top, self.right, self.bottom))
    }

    fn read((left, top, right, bottom): (u16, u16, u16, u16), _: &RowReader<'_>) -> Result<Option<Self>> {
        Ok(Some(BBox { left, top, right, bottom }))
    }

    fn unknown(
        (left, top, right, bottom): (u16, u16, u16, u16),
        _: &[&'static str],
        _: &RowReader<'_>,
    ) -> Vec<&'static str> {
        failed([(left <= right && top <= bottom && right.max(bottom) <= BBox::SCALE, 0)], &["box"])
    }
}

/// The first column is 1 where there is a box; otherwise all columns are 0.
impl Cells<(u8, u16, u16, u16, u16)> for Option<BBox> {
    fn write(&self, _: &mut RowWriter<'_>) -> Result<(u8, u16, u16, u16, u16)> {
        let BBox { left, top, right, bottom } = self.unwrap_or(BBox { left: 0, top: 0, right: 0, bottom: 0 });
        Ok((self.is_some().into(), left, top, right, bottom))
    }

    fn read((has_box, left, top, right, bottom): (u8, u16, u16, u16, u16), _: &RowReader<'_>) -> Result<Option<Self>> {
        Ok(Some((has_box != 0).then_some(BBox { left, top, right, bottom })))
    }

    fn unknown(
        (_, left, top, right, bottom): (u8, u16, u16, u16, u16),
        names: &[&'static str],
        reader: &RowReader<'_>,
    ) -> Vec<&'static str> {
        BBox::unknown((left, top, right, bottom), names, reader)
    }
}

/// A span of `/text`. [`super::audit`] checks its position.
impl Cells<(u64, u32)> for String {
    fn write(&self, writer: &mut RowWriter<'_>) -> Result<(u64, u32)> {
        writer.push([self.as_str()])
    }

    fn read((offset, length): (u64, u32), reader: &RowReader<'_>) -> Result<Option<Self>> {
        reader.text(offset, length).map(Some)
    }

    fn unknown(_: (u64, u32), _: &[&'static str], _: &RowReader<'_>) -> Vec<&'static str> {
        Vec::new()
    }
}

/// A position in `/labels`. A shard has 65,535 of them, far more than an engine knows; the blocks with further ones are
/// labelled `Other`.
impl Cells<(u16,)> for String {
    fn write(&self, writer: &mut RowWriter<'_>) -> Result<(u16,)> {
        let number = writer.labels.number(self.as_str());
        Ok((number.unwrap_or_else(|| writer.labels.last(OTHER_LABEL.to_owned())),))
    }

    fn read((label,): (u16,), reader: &RowReader<'_>) -> Result<Option<Self>> {
        Ok(reader.labels.get(usize::from(label)).cloned())
    }
}

/// A position in `/engines`.
impl Cells<(u16,)> for ServedBy {
    fn write(&self, writer: &mut RowWriter<'_>) -> Result<(u16,)> {
        Ok((writer.engines.number(self).ok_or_else(|| writer.too_many("engines"))?,))
    }

    fn read((engine,): (u16,), reader: &RowReader<'_>) -> Result<Option<Self>> {
        Ok(reader.engines.get(usize::from(engine)).cloned())
    }
}

/// The first column is 1 where there is an image; otherwise the other columns have no meaning.
impl Cells<ImageColumns> for Option<ImageFacts> {
    fn write(&self, _: &mut RowWriter<'_>) -> Result<ImageColumns> {
        let Some(image) = self else { return Ok((0, 0, 0, 0, 0.0, 0.0, 0, 0, 0)) };
        let ImageFacts { size, dpi, grey, encoded_bytes, ink, render_micros, encode_micros } = *image;
        Ok((1, grey.into(), size.width, size.height, dpi, ink, encoded_bytes, render_micros, encode_micros))
    }

    fn read(columns: ImageColumns, _: &RowReader<'_>) -> Result<Option<Self>> {
        let (has_image, grey, width, height, dpi, ink, encoded_bytes, render_micros, encode_micros) = columns;
        let (size, grey) = (PixelSize { width, height }, grey != 0);
        let image = ImageFacts { size, dpi, grey, encoded_bytes, ink, render_micros, encode_micros };
        Ok(Some((has_image != 0).then_some(image)))
    }
}

type ImageColumns = (u8, u8, u32, u32, f32, f32, u32, u32, u32);

/// A missing layout is written as the default layout. Reading always gives a layout; the caller drops it where the
/// column `has_image` is 0.
impl Cells<LayoutColumns> for Option<PageLayout> {
    fn write(&self, _: &mut RowWriter<'_>) -> Result<LayoutColumns> {
        let PageLayout { turn, skew, straightened, cleaned, script, columns } = self.unwrap_or_default();
        let Columns { divide, reason, confidence } = columns;
        let Divide { top, bottom, x_top, x_bottom } =
            divide.unwrap_or(Divide { top: 0, bottom: 0, x_top: 0, x_bottom: 0 });
        Ok((
            turn.degrees(),
            skew.is_some().into(),
            skew.unwrap_or_default().0,
            straightened.into(),
            cleaned.into(),
            script as u8,
            reason as u8,
            confidence.0,
            divide.is_some().into(),
            top,
            bottom,
            x_top,
            x_bottom,
        ))
    }

    fn read(columns: LayoutColumns, _: &RowReader<'_>) -> Result<Option<Self>> {
        let (turn, has_skew, skew, straightened, cleaned, script, reason, confidence, divided, ..) = columns;
        let (.., top, bottom, x_top, x_bottom) = columns;
        let (Some(turn), Some(script), Some(reason)) =
            (Rotation::from_degrees(turn), Language::from_code(script), ColumnsReason::from_code(reason))
        else {
            return Ok(None);
        };
        let divide = (divided != 0).then_some(Divide { top, bottom, x_top, x_bottom });
        Ok(Some(Some(PageLayout {
            turn,
            skew: (has_skew != 0).then_some(Skew(skew)),
            straightened: straightened != 0,
            cleaned: cleaned != 0,
            script,
            columns: Columns { divide, reason, confidence: Confidence(confidence) },
        })))
    }

    fn unknown(columns: LayoutColumns, names: &[&'static str], _: &RowReader<'_>) -> Vec<&'static str> {
        let (turn, _, skew, straightened, cleaned, script, reason, confidence, divided, ..) = columns;
        let (.., top, bottom, x_top, x_bottom) = columns;
        let checks = [
            (Rotation::from_degrees(turn).is_some(), 0),
            (skew.unsigned_abs() <= MOST_SKEW, 2),
            (straightened <= 1, 3),
            (cleaned <= 1, 4),
            (Language::from_code(script).is_some(), 5),
            (ColumnsReason::from_code(reason).is_some(), 6),
            (confidence <= 100, 7),
            (divided <= 1, 8),
            (top <= BBox::SCALE, 9),
            (top <= bottom, 9),
            (bottom <= BBox::SCALE, 10),
            (x_top <= BBox::SCALE, 11),
            (x_bottom <= BBox::SCALE, 12),
        ];
        failed(checks, names)
    }
}

type LayoutColumns = (u16, u8, i16, u8, u8, u8, u8, u8, u8, u16, u16, u16, u16);

/// The names of the columns whose check failed. A check is its result and the position of its name in `names`.
fn failed(checks: impl IntoIterator<Item = (bool, usize)>, names: &[&'static str]) -> Vec<&'static str> {
    checks.into_iter().filter(|(good, _)| !good).filter_map(|(_, position)| names.get(position).copied()).collect()
}
