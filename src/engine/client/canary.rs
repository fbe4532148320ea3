//! The small request with an image that a handshake sends: whether the server answers it as it must answer pages.

use std::io::Cursor;

use image::{GrayImage, ImageFormat, Luma};

use crate::{
    engine::{EngineError, Profile},
    model::Capabilities,
};

use super::{Client, End, EngineRequest, Limits, stream, traffic::Traffic};

/// Side of the image, pixels: the least that both models take as it is.
const SIDE: u32 = 64;
/// Most tokens of the answer. One shows where the text comes; a few more pass an empty beginning.
const TOKENS: u32 = 16;

impl Client {
    /// Asks for the text of a white image, as for a page. Any stream will do, and so will a refusal or silence: other
    /// checks find those.
    pub(in crate::engine) async fn check_answers(
        &self,
        profile: &Profile,
        server: &Capabilities,
    ) -> Result<(), EngineError> {
        let wrong = |reason| EngineError::WrongAnswers { address: self.address.to_string(), reason };
        let mut png = Cursor::new(Vec::new());
        GrayImage::from_pixel(SIDE, SIDE, Luma([255]))
            .write_to(&mut png, ImageFormat::Png)
            .map_err(|error| wrong(format!("no image can be made to ask it for: {error}")))?;
        let request = EngineRequest::build(profile, server, png.get_ref(), TOKENS, 0, "canary");
        let request = EngineRequest { request_id: "canary".into(), ..request };
        let limits = Limits { first_token: self.hang_limit, token_gap: self.hang_limit, total: self.hang_limit };
        // Its own counters: the load of the pages is measured by the client's.
        let answer = stream::read_answer(self.send(&request), limits, TOKENS, &Traffic::default()).await;
        match answer.end {
            End::NotAStream { message } => Err(wrong(message)),
            End::Elsewhere(field) => Err(wrong(field.to_string())),
            _ => Ok(()),
        }
    }
}
