//! Error bodies.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

/// An error body: `{"error":{"message","type","param","code"}}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// HTTP status, also the body's `code`.
    pub status: StatusCode,
    /// The body's `type`.
    pub kind: &'static str,
    /// Message of the error.
    pub message: String,
    /// Name of the wrong field, where the release reports it.
    pub param: Option<&'static str>,
}

impl ApiError {
    /// The same error, with the name of the wrong field.
    #[must_use]
    pub fn of_parameter(self, parameter: &'static str) -> Self {
        ApiError { param: Some(parameter), ..self }
    }

    /// HTTP 503.
    pub fn unavailable(message: impl Into<String>) -> Self {
        ApiError {
            status: StatusCode::SERVICE_UNAVAILABLE,
            kind: "ServiceUnavailableError",
            message: message.into(),
            param: None,
        }
    }

    /// The body.
    pub fn body(&self) -> Value {
        json!({ "error": {
            "message": self.message, "type": self.kind, "param": self.param, "code": self.status.as_u16(),
        }})
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(self.body())).into_response()
    }
}
