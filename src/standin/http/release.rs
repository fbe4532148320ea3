//! The releases of vLLM whose API a stand-in has, and the error responses of each.
//!
//! Both releases were run (`docs/facts/vllm.md`); `tests/it/conformance` compares the stand-in with what they answered.

use std::fmt;

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::{model::PixelSize, standin::picture::NoPicture};

use super::api_error::ApiError;

/// A release of vLLM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Release {
    /// The release that the replaced system pins.
    #[value(name = "0.11.2")]
    V0_11_2,
    /// A current release.
    #[default]
    #[value(name = "0.32.0")]
    V0_32_0,
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Release::V0_11_2 => "0.11.2",
            Release::V0_32_0 => "0.32.0",
        })
    }
}

impl Release {
    /// HTTP 400 without a parameter: the request is wrong, and a retry gives the same.
    pub fn bad_request(self, message: impl Into<String>) -> ApiError {
        ApiError { status: StatusCode::BAD_REQUEST, kind: "BadRequestError", message: message.into(), param: None }
    }

    /// HTTP 400; the older release appends the text of its missing cause, `None`.
    fn bad_input(self, message: &str) -> ApiError {
        match self {
            Release::V0_11_2 => self.bad_request(format!("{message} None")),
            Release::V0_32_0 => self.bad_request(message),
        }
    }

    /// HTTP 400 for a parameter; the newer release names it.
    fn bad_parameter(self, message: &str, parameter: &'static str, value: Option<i64>) -> ApiError {
        match (self, value) {
            (Release::V0_11_2, _) => self.bad_request(message),
            (Release::V0_32_0, None) => {
                self.bad_request(format!("{message} (parameter={parameter})")).of_parameter(parameter)
            }
            (Release::V0_32_0, Some(value)) => {
                self.bad_request(format!("{message} (parameter={parameter}, value={value})")).of_parameter(parameter)
            }
        }
    }

    /// HTTP 500.
    pub fn internal(self, message: impl Into<String>) -> ApiError {
        let kind = match self {
            Release::V0_11_2 => "Internal Server Error",
            Release::V0_32_0 => "InternalServerError",
        };
        ApiError { status: StatusCode::INTERNAL_SERVER_ERROR, kind, message: message.into(), param: None }
    }

    /// The answer to every request after the engine process has died.
    pub fn engine_dead(self) -> ApiError {
        self.internal("EngineCore encountered an issue. See stack trace (above) for the root cause.")
    }

    /// The error event of a stream. The older release reports every error there as a bad request.
    pub fn stream_event(self, error: &ApiError) -> Value {
        let (kind, code) = match self {
            Release::V0_11_2 => ("BadRequestError", 400),
            Release::V0_32_0 => (error.kind, error.status.as_u16()),
        };
        json!({ "error": { "message": error.message, "type": kind, "param": null, "code": code } })
    }

    /// The request names another model than the served one.
    pub fn unknown_model(self, asked: &str, served: &str) -> ApiError {
        let message = format!("The model `{asked}` does not exist.");
        let error = ApiError { status: StatusCode::NOT_FOUND, kind: "NotFoundError", message, param: None };
        match self {
            Release::V0_11_2 => error,
            Release::V0_32_0 => ApiError { message: format!("{} Valid aliases: {served}.", error.message), ..error }
                .of_parameter("model"),
        }
    }

    /// The body is not a valid request: pydantic's report, in short. `place` is the path of the field, with dots.
    pub fn malformed(self, kind: &str, place: &'static str, reason: &str) -> ApiError {
        let message = match self {
            Release::V0_11_2 => {
                let place: Vec<_> = place.split('.').map(|word| format!("'{word}'")).collect();
                let comma = if place.len() == 1 { "," } else { "" };
                format!("[{{'type': '{kind}', 'loc': ({}{comma}), 'msg': '{reason}'}}]", place.join(", "))
            }
            Release::V0_32_0 => {
                format!("1 validation error:\n  {{'type': '{kind}', 'loc': '{place}', 'msg': '{reason}'}}")
            }
        };
        let error = ApiError { kind: "Bad Request", ..self.bad_request(message) };
        if self == Release::V0_32_0 { error.of_parameter(place) } else { error }
    }

    /// `max_tokens` below 1.
    pub fn max_tokens_below_one(self, asked: i64) -> ApiError {
        self.bad_parameter(&format!("max_tokens must be at least 1, got {asked}."), "max_tokens", Some(asked))
    }

    /// `max_tokens` is more than the context can hold beside `counted` prompt tokens. The newer release refuses only
    /// what exceeds the whole context, and reduces the rest.
    pub fn max_tokens_too_large(self, asked: i64, counted: u32, limit: u32) -> Option<ApiError> {
        let available = match self {
            Release::V0_11_2 => limit.saturating_sub(counted),
            Release::V0_32_0 => limit,
        };
        (asked > i64::from(available)).then(|| match self {
            Release::V0_11_2 => self.bad_input(&format!(
                "'max_tokens' or 'max_completion_tokens' is too large: {asked}. This model's maximum context length is \
                 {limit} tokens and your request has {counted} input tokens ({asked} > {limit} - {counted})."
            )),
            Release::V0_32_0 => self.bad_parameter(
                &format!(
                    "max_tokens={asked} cannot be greater than max_model_len={limit}. Please request fewer output \
                     tokens."
                ),
                "max_tokens",
                Some(asked),
            ),
        })
    }

    /// The text alone fills the context.
    pub fn text_too_long(self, counted: u32, limit: u32) -> ApiError {
        match self {
            Release::V0_11_2 => self.bad_input(&format!(
                "This model's maximum context length is {limit} tokens. However, your request has {counted} input \
                 tokens. Please reduce the length of the input messages."
            )),
            Release::V0_32_0 => {
                let least = limit + 1;
                self.bad_parameter(
                    &format!(
                        "This model's maximum context length is {limit} tokens. However, your prompt contains at least \
                         {least} input tokens, which exceeds this limit even without any output tokens. Please reduce \
                         the length of the input prompt."
                    ),
                    "input_tokens",
                    Some(i64::from(least)),
                )
            }
        }
    }

    /// The prompt fills the context once its image is counted in full.
    pub fn prompt_too_long(self, prompt: u32, limit: u32) -> ApiError {
        self.bad_request(match self {
            Release::V0_11_2 => format!(
                "The decoder prompt (length {prompt}) is longer than the maximum model length of {limit}. Make sure \
                 that `max_model_len` is no smaller than the number of text tokens plus multimodal tokens. For image \
                 inputs, the number of image tokens depends on the number of images, and possibly their aspect ratios \
                 as well."
            ),
            Release::V0_32_0 => {
                format!("Input length ({prompt}) exceeds model's maximum context length ({limit}).")
            }
        })
    }

    /// The request has more than one image.
    pub fn too_many_images(self) -> ApiError {
        const MESSAGE: &str = "At most 1 image(s) may be provided in one prompt.";
        match self {
            Release::V0_11_2 => self.bad_input(MESSAGE),
            Release::V0_32_0 => self.bad_parameter(MESSAGE, "image", None),
        }
    }

    /// The image is a `file:` URL.
    pub fn local_file(self) -> ApiError {
        const MESSAGE: &str = "Cannot load local files without `--allowed-local-media-path`.";
        match self {
            Release::V0_11_2 => self.bad_input(MESSAGE),
            Release::V0_32_0 => self.internal(MESSAGE),
        }
    }

    /// The image is a data URL whose data is not in base64.
    pub fn not_base64(self) -> ApiError {
        match self {
            Release::V0_11_2 => self.bad_input("not enough values to unpack (expected 2, got 1)"),
            Release::V0_32_0 => ApiError {
                status: StatusCode::NOT_IMPLEMENTED,
                kind: "NotImplementedError",
                message: "Only base64 data URLs are supported for now.".into(),
                param: None,
            },
        }
    }

    /// Whether characters that are not base64 make the data wrong; the older release ignores them.
    pub fn is_strict_on_base64(self) -> bool {
        self == Release::V0_32_0
    }

    /// The data has characters that are not base64, or a wrong end.
    pub fn bad_base64(self) -> ApiError {
        match self {
            Release::V0_11_2 => self.bad_input("Incorrect padding"),
            Release::V0_32_0 => self.bad_request("Non-base64 digit found"),
        }
    }

    /// The data is not a picture. The older release reports a truncated one as an internal error.
    pub fn no_picture(self, reason: &NoPicture) -> ApiError {
        match (self, reason) {
            (Release::V0_11_2, NoPicture::Unknown) => self.bad_request(format!("{reason} {reason}")),
            (Release::V0_11_2, NoPicture::Truncated | NoPicture::TooLarge(_)) => self.internal(reason.to_string()),
            (Release::V0_32_0, _) => self.bad_request(format!("Failed to load image: {reason}")),
        }
    }

    /// The model's processor refuses the picture.
    pub fn processor_failed(self, size: PixelSize) -> ApiError {
        let PixelSize { width, height } = size;
        self.bad_request(format!(
            "Failed to apply Qwen3VLProcessor on data={{'images': [<image mode=RGB size={width}x{height}>]}} with \
             kwargs={{}}"
        ))
    }

    /// `repetition_detection` could never fire; the older release does not know the field.
    pub fn senseless_repetition(self) -> ApiError {
        self.bad_request(
            "min_count must be >= 2 to detect repetitive patterns in engine output. If you do not wish to detect \
             repetitive patterns, set max_pattern_size to 0.",
        )
    }

    /// Whether the release obeys `repetition_detection`, and has the finish reasons that came with it.
    pub fn detects_repetition(self) -> bool {
        self == Release::V0_32_0
    }
}
