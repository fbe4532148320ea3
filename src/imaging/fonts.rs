//! The font that stands in for fonts that are not in a file: DejaVu Sans, which is part of this program.
//!
//! PDFium has fonts of its own for Latin letters. Fonts of the system are not used: a page has the same image on every
//! node.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use pdfium_render::prelude::{
    PdfFontCharacterSet, PdfiumCustomFontProvider, PdfiumCustomFontProviderRequest, PdfiumCustomFontProviderResponse,
};

use super::content::plain_face;

/// The faces for which PDFium gets a substitute, in the document that is drawn.
#[derive(Debug, Clone, Default)]
pub(super) struct Substitutes {
    faces: Arc<Mutex<BTreeSet<String>>>,
}

impl Substitutes {
    /// Replaces the faces.
    pub(super) fn set(&self, faces: BTreeSet<String>) {
        *self.faces.lock().unwrap_or_else(PoisonError::into_inner) = faces;
    }

    /// Whether a face is one of them. PDFium asks without the words for bold and italic.
    fn has(&self, face: &str) -> bool {
        let face = plain_face(face);
        let faces = self.faces.lock().unwrap_or_else(PoisonError::into_inner);
        !face.is_empty() && faces.iter().any(|known| known.starts_with(&face))
    }
}

/// Answers PDFium's requests for fonts.
pub(super) struct SubstituteFonts {
    substitutes: Substitutes,
}

impl SubstituteFonts {
    pub(super) fn new(substitutes: &Substitutes) -> Self {
        SubstituteFonts { substitutes: substitutes.clone() }
    }
}

impl PdfiumCustomFontProvider for SubstituteFonts {
    fn provide(&mut self, request: PdfiumCustomFontProviderRequest) -> Option<PdfiumCustomFontProviderResponse> {
        self.substitutes.has(&request.font_face).then(|| PdfiumCustomFontProviderResponse {
            id: 1,
            font_face: "DejaVu Sans".into(),
            character_set: PdfFontCharacterSet::Default,
            data: dejavu::sans::regular().to_vec(),
        })
    }
}
