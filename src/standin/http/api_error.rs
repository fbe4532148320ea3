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
    /// For people.
    pub message: String,
    /// The field that is wrong, where the release says so.
    pub param: Option<&'static str>,
}

impl ApiError {
    /// This error, on this field.
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
