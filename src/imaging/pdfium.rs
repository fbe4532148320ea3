//! Calls PDFium; no other file but [`super::glyphs`] does. PDFium is not thread-safe and its input is hostile, so this code runs only in the
//! renderer child process, on one thread (and in benches).

use std::{cell::OnceCell, collections::BTreeSet, path::Path};

use page_image::{Glyph, Pixels, lanczos, white_canvas};
use pdfium_render::prelude::*;

use crate::model::{FailureClass, ImageRule, Inspected, PageIndex};

use super::{
    content::{Missing, Structure},
    damage::Evidence,
    diagnosis,
    fonts::{SubstituteFonts, Substitutes},
    glyphs,
    library::PDFIUM_BUILD,
    protocol::Refusal,
    size::{PageSize, Target},
    watched_file::{ReadFaults, WatchedFile},
};

/// The memory divided by this is the largest allocation that must succeed. PDFium leaves out an image that it has no
/// memory for, and a page with this one image would then count as blank. So a larger image is refused, and a page is
/// rejected if less than this part of the memory was left.
pub const LARGE_ALLOCATION: u64 = 8;
/// How many levels of forms inside forms are searched for images.
const MOST_NESTED: u32 = 8;
/// Bytes of a pixel in PDFium's bitmap.
const BYTES_PER_PIXEL: u64 = 4;

/// The loaded library.
pub struct Renderer {
    pdfium: Pdfium,
    substitutes: Substitutes,
    /// Memory limit of this process in bytes.
    memory: u64,
}

/// An open document.
pub struct OpenDocument<'a> {
    document: PdfDocument<'a>,
    /// What the file says of its pages; `None` if it cannot be read, or takes too much memory.
    structure: OnceCell<Option<Structure>>,
    password: Option<String>,
    substitutes: &'a Substitutes,
    /// For messages.
    name: String,
    faults: ReadFaults,
    /// The largest decoded size of an image in bytes; a larger image is refused.
    most_image: u64,
}

/// A page rendered by PDFium.
pub struct RenderTask {
    /// The pixels, at `target.size`.
    pub pixels: Pixels,
    /// The size and resolution of the rendering.
    pub target: Target,
    /// Whether the page has images that PDFium cannot decode. PDFium leaves them out without an error.
    pub images_missing: bool,
}

/// The library cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot load PDFium from {path}: {reason}; the file must be libpdfium.so of build {PDFIUM_BUILD} (pypdfium2 5.15.2)"
)]
pub struct LoadLibraryError {
    path: String,
    reason: String,
}

impl Renderer {
    /// Loads the library at `path` into this process, whose memory limit is `memory` bytes.
    ///
    /// # Errors
    /// The library does not exist, or its build lacks one of the functions.
    pub fn load(path: &Path, memory: u64) -> Result<Self, LoadLibraryError> {
        let bindings = Pdfium::bind_to_library(path).map_err(|error| LoadLibraryError {
            path: path.display().to_string(),
            // The text of PDFium's other errors is the form that Rust prints for debugging.
            reason: match error {
                PdfiumError::LoadLibraryError(error) => error.to_string(),
                _ => "it lacks a function, or this process has loaded it before".into(),
            },
        })?;
        let (mut pdfium, substitutes) = (Pdfium::new(bindings), Substitutes::default());
        pdfium.set_custom_font_provider(Box::new(SubstituteFonts::new(&substitutes)));
        Ok(Renderer { pdfium, substitutes, memory })
    }

    /// Opens a document.
    ///
    /// # Errors
    /// [`FailureClass::Encrypted`] if it needs another password, else [`FailureClass::Unreadable`] with a description
    /// of the file.
    pub fn open(&self, path: &Path, password: Option<&str>) -> Result<OpenDocument<'_>, Refusal> {
        let name = path.display().to_string();
        let (file, faults) = WatchedFile::open(path).map_err(|error| unreadable(format!("{name}: {error}")))?;
        let document = self
            .pdfium
            .load_pdf_from_reader(file, password)
            .map_err(|error| refusal_to_open(path, password.is_some(), &error))?;
        let open = OpenDocument {
            document,
            structure: OnceCell::new(),
            password: password.map(str::to_owned),
            substitutes: &self.substitutes,
            name,
            faults,
            most_image: self.memory / LARGE_ALLOCATION,
        };
        let open = self.with_all_pages(open, path, password);
        match open.pages() {
            0 => Err(unreadable(format!("{}: a PDF without pages", open.name))),
            _ => Ok(open),
        }
    }

    /// The document opened so that PDFium counts its pages itself, if the file says fewer than it has.
    fn with_all_pages<'a>(&'a self, open: OpenDocument<'a>, path: &Path, password: Option<&str>) -> OpenDocument<'a> {
        let in_tree = open.structure().map_or(0, Structure::pages);
        let count = open.structure().and_then(Structure::count);
        let Some(count) = count.filter(|_| in_tree > open.pages() as usize) else { return open };
        let counted = WatchedFile::open(path).ok().and_then(|(file, faults)| {
            let document = self.pdfium.load_pdf_from_reader(file.with_zero(count), password).ok()?;
            Some((document, faults))
        });
        match counted {
            Some((document, faults)) => OpenDocument { document, faults, ..open },
            None => open,
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
            reason: format!("{name}: protected in a way that PDFium does not support; save it without protection"),
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
    /// The faults of the file since it was opened.
    pub(super) fn faults(&self) -> &ReadFaults {
        &self.faults
    }

    /// Number of pages.
    pub fn pages(&self) -> u32 {
        u32::try_from(self.document.pages().len()).unwrap_or(0)
    }

    /// The pages that can be read, and what the file is known to have lost.
    pub(super) fn inspect(&self) -> Inspected {
        let said = self.pages();
        let in_tree = self.structure().and_then(|structure| u32::try_from(structure.pages()).ok());
        let can_be_read = |&page: &u32| self.loaded(PageIndex(page)).is_some();
        let pages = match said.checked_sub(1) {
            Some(last) if !can_be_read(&last) => {
                let most = in_tree.filter(|&pages| pages > 0).map_or(said, |pages| pages.min(said));
                (0..most).rev().find(can_be_read).map_or(said, |last| last + 1)
            }
            _ => said,
        };
        let said = in_tree.map_or(said, |in_tree| in_tree.max(said));
        let evidence = Evidence { name: &self.name, said, readable: pages };
        let damage = self.faults.ends().and_then(|ends| evidence.damage(&ends));
        Inspected { pages, damage, embedded: u32::try_from(self.embedded().count()).unwrap_or(u32::MAX) }
    }

    /// The PDFs that are embedded in the file.
    fn embedded(&self) -> impl Iterator<Item = PdfAttachment<'_>> {
        self.document.attachments().iter().filter(|file| file.name().to_lowercase().ends_with(".pdf"))
    }

    /// The PDFs that are embedded in the file, with the names that the file gives them.
    ///
    /// # Errors
    /// [`FailureClass::Unreadable`] if one cannot be read, [`FailureClass::TooLarge`] if all together have more than
    /// `most` bytes.
    pub(super) fn extract(&self, most: usize) -> Result<Vec<(String, Vec<u8>)>, Refusal> {
        let bytes: usize = self.embedded().map(|file| file.len()).sum();
        if bytes > most {
            let reason =
                format!("{}: the PDFs inside it have {bytes} bytes: save them as files of their own", self.name);
            return Err(Refusal { class: FailureClass::TooLarge, reason });
        }
        let read = |file: PdfAttachment<'_>| {
            let (name, bytes) = (file.name(), file.save_to_bytes());
            let failed =
                || format!("{}: the PDF {name} inside it cannot be read: save it as a file of its own", self.name);
            bytes.map_err(|_| unreadable(failed())).map(|bytes| (name, bytes))
        };
        self.embedded().map(read).collect()
    }

    /// What of a page's content PDFium cannot draw, as far as the file says it.
    pub(super) fn missing(&self, page: PageIndex) -> BTreeSet<Missing> {
        self.structure().map_or_else(BTreeSet::new, |structure| structure.missing(page))
    }

    /// The file is read once more for this. A child has several documents open, so a file larger than half of the largest
    /// image is not examined.
    fn structure(&self) -> Option<&Structure> {
        let read = || {
            let file = self.faults.contents(self.most_image / 2)?;
            Structure::read(file, self.password.as_deref())
        };
        self.structure.get_or_init(read).as_ref()
    }

    /// The glyphs that can be seen on a page as it is displayed; none on a scan, or if PDFium cannot tell.
    pub fn glyphs(&self, page: PageIndex) -> Vec<Glyph> {
        self.loaded(page).map_or_else(Vec::new, |page| glyphs::drawn(&page))
    }

    /// Whether text on the page should leave ink, by PDFium.
    pub(super) fn has_text(&self, page: PageIndex) -> bool {
        self.loaded(page).is_some_and(|page| glyphs::leave_ink(&page))
    }

    fn loaded(&self, page: PageIndex) -> Option<PdfPage<'_>> {
        self.document.pages().get(i32::try_from(page.0).ok()?).ok()
    }

    /// Renders a page at the size that `rule` gives, with its forms and annotations, on white. `/Rotate` is applied.
    /// The result is grey if the page has no colour. The `chandra-ocr` package leaves out annotations without an
    /// appearance and of unknown kinds; here they are rendered as PDFium shows them, because their text would be lost.
    ///
    /// # Errors
    /// [`FailureClass::RenderFailed`] if there is no such page or PDFium cannot load it,
    /// [`FailureClass::TooLarge`] if the rendering does not fit into memory.
    pub fn render(&self, page: PageIndex, rule: &ImageRule) -> Result<RenderTask, Refusal> {
        let failed = |why: String| Refusal {
            class: FailureClass::RenderFailed,
            reason: format!("{} page {}: {why}", self.name, page.number()),
        };
        let index = i32::try_from(page.0).map_err(|_| failed("no such page".into()))?;
        let absent = self.structure().map(|structure| structure.absent_arabic_fonts.clone());
        self.substitutes.set(absent.unwrap_or_default());
        let mut loaded = self.document.pages().get(index).map_err(|error| match error {
            PdfiumError::PageIndexOutOfBounds => failed(format!("no such page: the document has {}", self.pages())),
            _ => failed("PDFium finds no such page in the file, or its data are damaged: fetch the file again".into()),
        })?;
        let points = PageSize { width: loaded.width().value.into(), height: loaded.height().value.into() };
        let points = match self.structure() {
            Some(structure) if points.is_tiny() => points.times(structure.user_unit(page)),
            _ => points,
        };
        let target = Target::of(points, rule)
            .ok_or_else(|| failed(format!("its size is not valid: {} x {} points", points.width, points.height)))?;
        let too_large = |what: String| Refusal {
            class: FailureClass::TooLarge,
            reason: format!("{} page {}: {what}; raise imaging.child_memory", self.name, page.number()),
        };
        let mut images = Images::default();
        images.visit(&mut loaded.objects().iter(), 0);
        if images.largest > self.most_image {
            return Err(too_large(format!(
                "an image on the page takes {} bytes, more than an eighth of the memory",
                images.largest
            )));
        }
        let mut buffer = white_canvas(target.drawn).ok_or_else(|| {
            too_large(format!("there is no memory for {} x {} pixels", target.drawn.width, target.drawn.height))
        })?;
        show_what_is_printed(&mut loaded);
        draw(&loaded, &mut buffer, target).map_err(|_| failed("PDFium cannot render it".into()))?;
        let pixels = lanczos(Pixels::from_rgbx(target.drawn, &buffer), target.size)
            .map_err(|error| failed(format!("its image cannot be scaled: {error}")))?;
        Ok(RenderTask { pixels, target, images_missing: images.missing })
    }
}

/// Makes annotations visible that are for printing only, because the `chandra-ocr` package renders them too.
fn show_what_is_printed(page: &mut PdfPage<'_>) {
    for mut annotation in page.annotations().iter() {
        if annotation.is_printable_but_not_viewable() {
            // An annotation that cannot be changed is not rendered.
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

/// The memory that the images of a page need.
#[derive(Default)]
struct Images {
    /// Decoded size of the largest image in bytes.
    largest: u64,
    /// Whether PDFium has no decoder for one of them.
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
