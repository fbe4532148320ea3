//! PDFium, the only file that calls it. PDFium is not thread-safe and its input is hostile: this code runs in the
//! renderer's child process, on one thread, and nowhere else (benches apart).

use std::path::Path;

use pdfium_render::prelude::*;

use crate::model::{FailureClass, ImageRule, PageIndex};

use super::{
    diagnosis,
    library::PDFIUM_BUILD,
    pixels::Pixels,
    protocol::Refusal,
    scale,
    size::{PageSize, Target},
    watched_file::{ReadFaults, WatchedFile},
};

/// PDFium goes on without an image that it has no memory for, and a page of one image would pass for blank. So images
/// that take more than this part of the memory are refused, and a process that has less than this part left is not
/// believed.
pub const LARGE_ALLOCATION: u64 = 8;
/// Forms within forms are looked into this deep.
const MOST_NESTED: u32 = 8;
/// Bytes of a pixel while PDFium draws.
const BYTES_PER_PIXEL: u64 = 4;

/// The loaded library.
pub struct Renderer {
    pdfium: Pdfium,
    /// Bytes that this process may allocate.
    memory: u64,
}

/// An open document.
pub struct OpenDocument<'a> {
    document: PdfDocument<'a>,
    /// For messages.
    name: String,
    faults: ReadFaults,
    /// Decoded size in bytes beyond which an image is refused.
    most_image: u64,
}

/// A page as PDFium drew it.
pub struct Drawing {
    /// The page.
    pub pixels: Pixels,
    /// What it was brought to.
    pub target: Target,
    /// Whether it has images that PDFium cannot decode. It says nothing and leaves them out.
    pub images_missing: bool,
}

/// The library cannot be used.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot load PDFium from {path}: {source}; the file must be libpdfium.so of build {PDFIUM_BUILD} (pypdfium2 5.15.2)"
)]
pub struct LoadLibraryError {
    path: String,
    source: PdfiumError,
}

impl Renderer {
    /// Loads the library at `path` into this process, which may allocate `memory` bytes.
    ///
    /// # Errors
    /// It is absent, or of a build that lacks one of the functions.
    pub fn load(path: &Path, memory: u64) -> Result<Self, LoadLibraryError> {
        let bindings = Pdfium::bind_to_library(path)
            .map_err(|source| LoadLibraryError { path: path.display().to_string(), source })?;
        Ok(Renderer { pdfium: Pdfium::new(bindings), memory })
    }

    /// Opens a document.
    ///
    /// # Errors
    /// [`FailureClass::Encrypted`] if it needs another password, else [`FailureClass::Unreadable`] with what the file
    /// looks like.
    pub fn open(&self, path: &Path, password: Option<&str>) -> Result<OpenDocument<'_>, Refusal> {
        let name = path.display().to_string();
        let (file, faults) = WatchedFile::open(path).map_err(|error| unreadable(format!("{name}: {error}")))?;
        let document = self
            .pdfium
            .load_pdf_from_reader(file, password)
            .map_err(|error| refusal_to_open(path, password.is_some(), &error))?;
        let open = OpenDocument { document, name, faults, most_image: self.memory / LARGE_ALLOCATION };
        match open.pages() {
            0 => Err(unreadable(format!("{}: a PDF without pages", open.name))),
            _ => Ok(open),
        }
    }
}

fn refusal_to_open(path: &Path, password_given: bool, error: &PdfiumError) -> Refusal {
    let name = path.display();
    match error {
        PdfiumError::PdfiumLibraryInternalError(PdfiumInternalError::PasswordError) => Refusal {
            class: FailureClass::Encrypted,
            reason: if password_given {
                format!("{name}: the password given for it under [[passwords]] in the configuration is wrong")
            } else {
                format!("{name}: protected by a password; give it under [[passwords]] in the configuration")
            },
        },
        PdfiumError::PdfiumLibraryInternalError(PdfiumInternalError::SecurityError) => Refusal {
            class: FailureClass::Encrypted,
            reason: format!("{name}: protected in a way that PDFium does not know; save it without protection"),
        },
        _ => unreadable(match diagnosis::of_file(path) {
            Ok(symptom) => format!("{name}: {symptom}"),
            Err(error) => format!("{name}: {error}"),
        }),
    }
}

fn unreadable(reason: String) -> Refusal {
    Refusal { class: FailureClass::Unreadable, reason }
}

impl OpenDocument<'_> {
    /// What went wrong with the file since it was opened.
    pub(super) fn faults(&self) -> &ReadFaults {
        &self.faults
    }

    /// Number of pages.
    pub fn pages(&self) -> u32 {
        u32::try_from(self.document.pages().len()).unwrap_or(0)
    }

    /// Draws a page at the size that `rule` asks for, with its forms and annotations, on white. `/Rotate` is honoured.
    /// Grey if the page has no colour. Annotations without an appearance and of unknown kinds, which the `chandra-ocr`
    /// package leaves out, are drawn as PDFium shows them: their text would be lost.
    ///
    /// # Errors
    /// [`FailureClass::RenderFailed`] if there is no such page or PDFium cannot load it,
    /// [`FailureClass::TooLarge`] if the drawing does not fit into memory.
    pub fn render(&self, page: PageIndex, rule: &ImageRule) -> Result<Drawing, Refusal> {
        let failed = |why: String| Refusal {
            class: FailureClass::RenderFailed,
            reason: format!("{} page {}: {why}", self.name, page.number()),
        };
        let index = i32::try_from(page.0).map_err(|_| failed("no such page".into()))?;
        let mut loaded = self.document.pages().get(index).map_err(|error| match error {
            PdfiumError::PageIndexOutOfBounds => failed(format!("no such page: the document has {}", self.pages())),
            error => failed(format!("PDFium cannot load it: {error}")),
        })?;
        let points = PageSize { width: loaded.width().value.into(), height: loaded.height().value.into() };
        let target = Target::of(points, rule)
            .ok_or_else(|| failed(format!("its size is {} x {} points", points.width, points.height)))?;
        let too_large = |what: String| Refusal {
            class: FailureClass::TooLarge,
            reason: format!("{} page {}: {what}; raise imaging.child_memory", self.name, page.number()),
        };
        let mut images = Images::default();
        images.visit(&mut loaded.objects().iter(), 0);
        if images.largest > self.most_image {
            return Err(too_large(format!(
                "an image on it takes {} bytes, more than an eighth of the memory",
                images.largest
            )));
        }
        let mut buffer = canvas(target).ok_or_else(|| {
            too_large(format!("no memory for {} x {} pixels", target.drawn.width, target.drawn.height))
        })?;
        show_what_is_printed(&mut loaded);
        draw(&loaded, &mut buffer, target).map_err(|error| failed(format!("PDFium cannot draw it: {error}")))?;
        let pixels = scale::lanczos(Pixels::from_rgbx(target.drawn, &buffer), target.size)
            .map_err(|error| failed(format!("it cannot be scaled: {error}")))?;
        Ok(Drawing { pixels, target, images_missing: images.missing })
    }
}

/// Memory to draw into; `None` if there is not enough.
fn canvas(target: Target) -> Option<Vec<u8>> {
    let bytes = usize::try_from(target.drawn.area().checked_mul(BYTES_PER_PIXEL)?).ok()?;
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(bytes).ok()?;
    buffer.resize(bytes, u8::MAX);
    Some(buffer)
}

/// Lets annotations be drawn that are for paper alone, as the `chandra-ocr` package flattens them into the page.
fn show_what_is_printed(page: &mut PdfPage<'_>) {
    for mut annotation in page.annotations().iter() {
        if annotation.is_printable_but_not_viewable() {
            // One that cannot be changed is not drawn.
            let _ = annotation.set_is_printable_but_not_viewable(false);
        }
    }
}

fn draw(page: &PdfPage<'_>, buffer: &mut [u8], target: Target) -> Result<(), PdfiumError> {
    let size = |pixels| i32::try_from(pixels).map_err(|_| PdfiumError::ImageSizeOutOfBounds);
    let (width, height) = (size(target.drawn.width)?, size(target.drawn.height)?);
    let configuration = PdfRenderConfig::new()
        .set_fixed_size(width, height)
        .set_format(PdfBitmapFormat::BGRx)
        .clear_before_rendering(false)
        .render_annotations(true)
        .render_form_data(true);
    let mut bitmap = PdfBitmap::from_bytes(width, height, PdfBitmapFormat::BGRx, buffer)?;
    page.render_into_bitmap_with_config(&mut bitmap, &configuration)
}

/// What the images of a page ask for.
#[derive(Default)]
struct Images {
    /// Decoded size of the largest, in bytes.
    largest: u64,
    /// Whether PDFium knows no decoder for one of them.
    missing: bool,
}

impl Images {
    fn visit(&mut self, objects: &mut dyn Iterator<Item = PdfPageObject<'_>>, nested: u32) {
        for object in objects {
            if let Some(image) = object.as_image_object() {
                self.include(image);
            } else if let Some(form) = object.as_x_object_form_object().filter(|_| nested < MOST_NESTED) {
                let mut within = form.as_range().filter_map(|index| form.get(index).ok());
                self.visit(&mut within, nested + 1);
            }
        }
    }

    fn include(&mut self, image: &PdfPageImageObject<'_>) {
        let (Ok(width), Ok(height), Ok(bits)) = (image.width(), image.height(), image.bits_per_pixel()) else { return };
        self.missing |= bits == 0;
        let bits = if bits == 0 { 8 * BYTES_PER_PIXEL } else { bits.into() };
        let area = u64::from(width.unsigned_abs()) * u64::from(height.unsigned_abs());
        self.largest = self.largest.max(area.saturating_mul(bits) / 8);
    }
}
