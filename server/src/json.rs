//! JSON bodies: bounded, of the right content type, refused in our own words.

use crate::error::{ApiError, Code};
use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Longest body where a handler does not say otherwise.
pub const MAX_JSON_BYTES: usize = 64 << 10;
/// Of what the parser says, this many characters are passed on.
const MAX_REASON_CHARACTERS: usize = 200;

/// A JSON body, of at most `MAX_BYTES` bytes when received. Also an answer.
#[derive(Debug, Clone, Copy)]
pub struct Json<T, const MAX_BYTES: usize = MAX_JSON_BYTES>(pub T);

impl<T: DeserializeOwned, S: Sync, const MAX_BYTES: usize> FromRequest<S> for Json<T, MAX_BYTES> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if !content_type.is_some_and(is_json) {
            let why = "send JSON with the header `Content-Type: application/json`";
            return Err(ApiError::new(Code::UnsupportedMediaType, why));
        }
        parse(&collect(request, MAX_BYTES).await?).map(Self)
    }
}

impl<T: Serialize, const MAX_BYTES: usize> IntoResponse for Json<T, MAX_BYTES> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

/// The whole body, if it has at most `max_bytes`.
pub(crate) async fn collect(request: Request, max_bytes: usize) -> Result<Bytes, ApiError> {
    match Limited::new(request.into_body(), max_bytes).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(ApiError::new(Code::TooLarge, format!("the body is longer than {max_bytes} bytes")))
        }
        Err(_) => Err(ApiError::new(Code::InvalidRequest, "the body broke off")),
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    // The parser would take an array for an object, field by field.
    if body.trim_ascii_start().starts_with(b"[") {
        return Err(ApiError::new(Code::InvalidRequest, "the body is not the JSON wanted here: expected an object"));
    }
    serde_json::from_slice(body).map_err(|error| {
        let reason = reason(&error.to_string());
        ApiError::new(Code::InvalidRequest, format!("the body is not the JSON wanted here: {reason}"))
    })
}

/// What the parser says without the value it says it of: that may be a secret in the wrong place.
fn reason(said: &str) -> String {
    let tells_a_value = ["invalid type", "invalid value", "invalid length", "unknown variant"];
    let reason = match said.rsplit_once(", expected ") {
        Some((_, expected)) if tells_a_value.iter().any(|start| said.starts_with(start)) => {
            format!("expected {expected}")
        }
        _ => said.to_owned(),
    };
    reason.chars().take(MAX_REASON_CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wanted {
        number: u32,
    }

    async fn send(content_type: &str, body: String) -> Result<u32, ApiError> {
        let request = Request::post("/").header(CONTENT_TYPE, content_type).body(Body::from(body)).unwrap();
        Json::<Wanted, 100>::from_request(request, &()).await.map(|Json(wanted)| wanted.number)
    }

    #[tokio::test]
    async fn bodies_are_bounded_and_refused_in_our_words() {
        assert_eq!(send("application/json; charset=utf-8", r#"{"number":7}"#.into()).await.unwrap(), 7);
        let refused = |result: Result<u32, ApiError>| result.unwrap_err().code();
        assert_eq!(refused(send("text/plain", r#"{"number":7}"#.into()).await), Code::UnsupportedMediaType);
        assert_eq!(refused(send("application/json", " ".repeat(101)).await), Code::TooLarge);
        for bad in ["", "{", "[]", r#"{"number":-1}"#, r#"{"number":1,"other":2}"#] {
            assert_eq!(refused(send("application/json", bad.into()).await), Code::InvalidRequest, "{bad}");
        }
    }

    #[tokio::test]
    async fn a_value_in_the_wrong_place_is_not_repeated() {
        let error = send("application/json", r#"{"number":"hunter2"}"#.into()).await.unwrap_err().to_string();
        assert!(error.contains("expected u32") && !error.contains("hunter2"), "{error}");
    }
}
