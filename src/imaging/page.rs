//! The work on a page in a renderer child: rendering, preprocessing, encoding.

use std::{
    cell::LazyCell,
    time::{Duration, Instant},
};

use page_image::{Division, Evidence, Glyph, PartImage, TurnProofs, TurnProposal, Undivided, divide, layout::Ink, png};

use crate::model::{FailureClass, ImageFacts, ImageRule, LayoutRule, PageIndex, View};

use super::{
    content::Missing,
    pdfium::{OpenDocument, RenderTask},
    protocol::{PartFacts, Question, Refusal, Response},
    size::Target,
};

/// Renders a page and encodes the images of one view of it, one after the other.
pub(super) fn draw(
    document: &OpenDocument<'_>,
    name: &str,
    page: PageIndex,
    (rule, layout, proofs): (&ImageRule, LayoutRule, TurnProofs),
    view: View,
) -> Result<(Response, Vec<u8>), Refusal> {
    let refusal = |class, why: String| Refusal { class, reason: format!("{name} page {}: {why}", page.number()) };
    let started = Instant::now();
    let rule = if view == View::Reduced { rule.reduced() } else { *rule };
    let RenderTask { pixels, target, images_missing } = document.render(page, &rule)?;
    let (size, grey) = (pixels.size, pixels.grey);
    let glyphs = LazyCell::new(|| document.glyphs(page));
    let glyphs = || -> &[Glyph] { &glyphs };
    let evidence = Evidence { glyphs: &glyphs, proofs };
    let Division { layout, mut ink, mut parts } =
        match divide(pixels, evidence, letter_dpi(target), rule.grid, layout, view) {
            Ok(division) => division,
            Err(Undivided::NoPlace) => return Ok((Response::Indivisible, Vec::new())),
            Err(Undivided::TurnInQuestion(proposal)) => return Ok(question(*proposal, target)),
        };
    let render_micros = micros(started.elapsed());
    let mut missing = document.missing(page);
    if images_missing && !missing.iter().any(|missing| matches!(missing, Missing::Image(_))) {
        missing.insert(Missing::Image("of a kind that PDFium does not know"));
    }
    if ink.blank && missing.is_empty() && document.has_text(page) {
        let marked = parts.iter().map(|part| part.pixels.marked()).fold(0.0, f32::max);
        if marked == 0.0 {
            missing.insert(Missing::Text);
        } else {
            // The ink is too pale, too small or too near to the edge to be told from dirt, but it is text.
            ink = Ink { fraction: marked, blank: false };
            parts.iter_mut().for_each(|part| part.ink = ink);
        }
    }
    let missing = missing.iter().map(Missing::to_string).collect::<Vec<_>>().join("; ");
    if ink.blank && !missing.is_empty() {
        let why = format!("nothing could be drawn: {missing}; fetch the file again");
        return Err(refusal(FailureClass::RenderFailed, why));
    }
    let mut images = Vec::new();
    let mut encoded = |part: PartImage| {
        let started = Instant::now();
        let image = png(&part.pixels, target.dpi)
            .map_err(|error| refusal(FailureClass::RenderFailed, format!("the image cannot be encoded: {error}")))?;
        images.extend_from_slice(&image);
        Ok(PartFacts {
            facts: ImageFacts {
                size: part.pixels.size,
                dpi: target.dpi,
                grey: part.pixels.grey,
                encoded_bytes: u32::try_from(image.len()).unwrap_or(u32::MAX),
                ink: part.ink.fraction,
                render_micros: 0,
                encode_micros: micros(started.elapsed()),
            },
            bbox: part.bbox,
            place: part.place,
            turn: part.turn,
            blank: part.ink.blank,
        })
    };
    let parts = parts.into_iter().map(&mut encoded).collect::<Result<Vec<_>, Refusal>>()?;
    let facts = ImageFacts {
        size,
        dpi: target.dpi,
        grey,
        encoded_bytes: u32::try_from(images.len()).unwrap_or(u32::MAX),
        ink: ink.fraction,
        render_micros,
        encode_micros: parts.iter().fold(0, |sum: u32, part| sum.saturating_add(part.facts.encode_micros)),
    };
    Ok((Response::Page { facts, layout, blank: ink.blank, missing, parts }, images))
}

/// The answer that asks about a proposed rotation.
fn question(proposal: TurnProposal, target: Target) -> (Response, Vec<u8>) {
    let TurnProposal { place, turn, language, as_it_is, turned } = proposal;
    let question = Question { place, turn, language, dpi: target.dpi, sizes: [as_it_is.size, turned.size] };
    (Response::TurnInQuestion(question), [as_it_is.bytes, turned.bytes].concat())
}

/// The resolution that the layout analysis counts with. The letters of a very small page are small too, so it counts as
/// A6.
fn letter_dpi(target: Target) -> f32 {
    const SHORTER_SIDE_OF_A6: f32 = 105.0 / 25.4;
    target.dpi.min(target.size.width.min(target.size.height) as f32 / SHORTER_SIDE_OF_A6)
}

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}
