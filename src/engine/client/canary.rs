//! The small request with an image that a handshake sends: whether the server answers it as it must answer pages.

use std::{io::Cursor, time::Duration};

use image::{GrayImage, ImageFormat, Luma};

use crate::{
    engine::{EngineError, Profile},
    imaging::{PageSize, Target},
    model::Capabilities,
};

use super::{Client, End, EngineRequest, Limits, stream, traffic::Traffic};

/// The page of the image, in points: A4, so that what a server compiles for a usual page is compiled now.
const PAGE: PageSize = PageSize { width: 595.0, height: 842.0 };
/// The retry step of the request. Later steps sample, which a server may compile for, too.
const STEP: usize = 1;
/// Most tokens of the answer. One shows where the text comes; a few more pass an empty beginning.
const TOKENS: u32 = 16;

impl Client {
    /// Asks for the text of a white page and waits for the answer for `limit`. Any stream will do, and so will a refusal or
    /// silence: other checks find those.
    pub(in crate::engine) async fn check_answers(
        &self,
        profile: &Profile,
        server: &Capabilities,
        limit: Duration,
    ) -> Result<(), EngineError> {
        let wrong = |reason| EngineError::WrongAnswers { address: self.address.to_string(), reason };
        let mut png = Cursor::new(Vec::new());
        let (width, height) =
            Target::of(PAGE, &profile.image).map_or((64, 64), |target| (target.size.width, target.size.height));
        GrayImage::from_pixel(width, height, Luma([255]))
            .write_to(&mut png, ImageFormat::Png)
            .map_err(|error| wrong(format!("no image can be made to ask it for: {error}")))?;
        let request = EngineRequest::build(profile, server, png.get_ref(), TOKENS, STEP, "canary");
        let request = EngineRequest { request_id: "canary".into(), ..request };
        let limits = Limits { first_token: limit, token_gap: limit, total: limit };
        // Its own counters: the load of the pages is measured by the client's.
        let answer = stream::read_answer(self.send(&request), limits, TOKENS, &Traffic::default()).await;
        match answer.end {
            End::NotAStream { message } => Err(wrong(message)),
            End::Elsewhere(field) => Err(wrong(field.to_string())),
            _ => Ok(()),
        }
    }
}
