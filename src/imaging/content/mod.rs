//! What of a page's content cannot be drawn. PDFium leaves such content out without an error.
//!
//! The file is read a second time, with `hayro-syntax`: PDFium does not tell what a page refers to. Nothing is drawn here.

mod annotation;
mod font;
mod image;
mod missing;
mod stream;
mod walk;

use std::{collections::BTreeSet, ops::Range};

use hayro_syntax::{
    Pdf,
    object::{Dict, Number},
    page::Page,
};

use crate::model::PageIndex;

pub(super) use font::plain_face;
pub(super) use missing::Missing;

/// A document as its objects say.
pub(super) struct Structure {
    pdf: Pdf,
    /// The fonts that are not in the file and have Arabic text, named as [`font::face`] names them.
    pub(super) absent_arabic_fonts: BTreeSet<String>,
}

impl Structure {
    /// Reads the objects of a file; `None` if they cannot be read.
    pub(super) fn read(file: Vec<u8>, password: Option<&str>) -> Option<Structure> {
        let pdf = Pdf::new_with_password(file, password.unwrap_or_default()).ok()?;
        let fonts = pdf.pages().iter().flat_map(|page| walk::fonts(page.resources()));
        let absent_arabic_fonts = fonts.filter(font::is_absent_arabic).filter_map(|font| font::face(&font)).collect();
        Some(Structure { pdf, absent_arabic_fonts })
    }

    /// Number of pages in the page tree.
    pub(super) fn pages(&self) -> usize {
        self.pdf.pages().len()
    }

    /// Where in the file the number of pages stands that the root of the page tree gives; `None` if it cannot be told.
    pub(super) fn count(&self) -> Option<Range<u64>> {
        const KEY: &[u8] = b"/Count";
        let xref = self.pdf.xref();
        let root = xref.get::<Dict<'_>>(xref.root_id())?.get::<Dict<'_>>("Pages")?.data();
        let file = self.pdf.data().as_ref();
        // An object of a compressed stream is not in the file as it is.
        let at =
            (root.as_ptr() as usize).checked_sub(file.as_ptr() as usize).filter(|at| at + root.len() <= file.len())?;
        let after = at + root.windows(KEY.len()).position(|word| word == KEY)? + KEY.len();
        let begin = after + file[after..].iter().position(u8::is_ascii_digit)?;
        let end = begin + file[begin..].iter().position(|byte| !byte.is_ascii_digit())?;
        file[after..begin].iter().all(u8::is_ascii_whitespace).then_some(begin as u64..end as u64)
    }

    /// Inches of a page for each 1/72 of its own unit (ISO 32000-1, table 30): 1 for almost every page. PDFium ignores it.
    pub(super) fn user_unit(&self, page: PageIndex) -> f64 {
        let unit = self.page(page).and_then(|page| page.raw().get::<Number>("UserUnit"));
        unit.map(|unit| unit.as_f64()).filter(|unit| unit.is_finite() && *unit > 0.0).unwrap_or(1.0)
    }

    /// What of a page cannot be drawn, each once; nothing for a page that is not in the page tree.
    pub(super) fn missing(&self, page: PageIndex) -> BTreeSet<Missing> {
        let Some(page) = self.page(page) else { return BTreeSet::new() };
        let mut walk = walk::Walk::default();
        walk.page(page);
        annotation::walk(page, &mut walk);
        walk.missing
    }

    fn page(&self, page: PageIndex) -> Option<&Page<'_>> {
        usize::try_from(page.0).ok().and_then(|index| self.pdf.pages().get(index))
    }
}
