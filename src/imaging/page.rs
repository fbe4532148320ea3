//! The work on a page in a renderer child: rendering, preprocessing, encoding.

use std::{
    cell::LazyCell,
    time::{Duration, Instant},
};

use page_image::{Division, Glyph, PartImage, divide, png};

use crate::model::{FailureClass, ImageFacts, ImageRule, LayoutRule, PageIndex, View};

use super::{
    content::Missing,
    pdfium::{OpenDocument, RenderTask},
    protocol::{PartFacts, Refusal, Response},
};

/// Renders a page and encodes the images of one view of it, one after the other.
pub(super) fn draw(
    document: &OpenDocument<'_>,
    name: &str,
    page: PageIndex,
    (rule, layout): (&ImageRule, LayoutRule),
    view: View,
) -> Result<(Response, Vec<u8>), Refusal> {
    let refusal = |class, why: String| Refusal { class, reason: format!("{name} page {}: {why}", page.number()) };
    let started = Instant::now();
    let rule = if view == View::Reduced { rule.reduced() } else { *rule };
    let RenderTask { pixels, target, images_missing } = document.render(page, &rule)?;
    let (size, grey) = (pixels.size, pixels.grey);
    let glyphs = LazyCell::new(|| document.glyphs(page));
    let glyphs = || -> &[Glyph] { &glyphs };
    let Some(Division { layout, ink, parts }) = divide(pixels, &glyphs, target.dpi, rule.grid, layout, view) else {
        return Ok((Response::Indivisible, Vec::new()));
    };
    let render_micros = micros(started.elapsed());
    let mut missing = document.missing(page);
    if images_missing {
        missing.insert(Missing::Image("unknown"));
    }
    if ink.blank && missing.is_empty() && document.has_text(page) {
        missing.insert(Missing::Text);
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

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}
