//! axum's extractors with our errors: every rejection is problem+json.

use std::time::Duration;

use axum::RequestPartsExt as _;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{Method, StatusCode, header, request};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::json;
use super::problem::Problem;

/// Largest ordinary body, in bytes.
pub const BODY_LIMIT: usize = 16 * 1024;
/// A body must have arrived after this long, however slowly it trickles.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// A strict JSON body of at most [`BODY_LIMIT`] bytes, and a JSON response.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let bytes = json_bytes(request, BODY_LIMIT).await?;
        json::decode(json::parse(&bytes)?).map(Self)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// Like [`Json`], for calls whose body may be left out altogether: an empty one reads as `{}`.
#[derive(Debug)]
pub struct OptionalJson<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for OptionalJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let empty = http_body::Body::is_end_stream(request.body());
        if empty && !request.headers().contains_key(header::CONTENT_TYPE) {
            return json::decode(serde_json::json!({})).map(Self);
        }
        let bytes = json_bytes(request, BODY_LIMIT).await?;
        let value = if bytes.is_empty() { serde_json::json!({}) } else { json::parse(&bytes)? };
        json::decode(value).map(Self)
    }
}

/// Reads a JSON body of at most `limit` bytes.
pub async fn json_bytes(request: Request, limit: usize) -> Result<Bytes, Problem> {
    if request.headers().contains_key(header::CONTENT_ENCODING) {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_content_encoding",
            "Compressed request bodies are not accepted.",
        ));
    }
    let media_type = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(|value| value.trim().to_ascii_lowercase());
    let is_json = match media_type.as_deref() {
        Some("application/json") => true,
        // RFC 7396 section 4.
        Some("application/merge-patch+json") => request.method() == Method::PATCH,
        _ => false,
    };
    if !is_json {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "Send the body as `Content-Type: application/json`.",
        ));
    }
    collect(request, limit).await
}

/// A body as a page's form posts it, in the order of its fields, of at most [`BODY_LIMIT`] bytes.
#[derive(Debug)]
pub struct Form(pub Vec<(String, String)>);

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let media_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = media_type.and_then(|value| value.split(';').next()).map(str::trim);
        let form =
            media_type.is_some_and(|text| text.eq_ignore_ascii_case("application/x-www-form-urlencoded"));
        if !form || request.headers().contains_key(header::CONTENT_ENCODING) {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "Send the body as `Content-Type: application/x-www-form-urlencoded`.",
            ));
        }
        let bytes = collect(request, BODY_LIMIT).await?;
        Ok(Self(url::form_urlencoded::parse(&bytes).into_owned().collect()))
    }
}

async fn collect(request: Request, limit: usize) -> Result<Bytes, Problem> {
    let collected = tokio::time::timeout(BODY_TIMEOUT, Limited::new(request.into_body(), limit).collect());
    match collected.await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            format!("The body is larger than {limit} bytes."),
        )
        .with_error("", "too_large", format!("at most {limit} bytes"))),
        Ok(Err(_)) => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "incomplete_body",
            "The body ended before it was complete.",
        )),
        Err(_) => {
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", "The body did not arrive in time."))
        }
    }
}

/// Query parameters. `T` denies unknown ones.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        if query.contains("%00") {
            return Err(Problem::invalid(vec![]).with_error(
                "?",
                "invalid_character",
                "must not contain the character U+0000",
            ));
        }
        let deserializer = serde_urlencoded::Deserializer::new(url::form_urlencoded::parse(query.as_bytes()));
        serde_path_to_error::deserialize(deserializer).map(Self).map_err(|error| {
            let message = error.inner().to_string();
            let named = message.split('`').nth(1).map(str::to_owned);
            let name = match error.path().to_string() {
                path if path == "." => named.unwrap_or_default(),
                path => path,
            };
            let code = if message.starts_with("missing field") {
                "required"
            } else if message.starts_with("unknown field") {
                "unknown_field"
            } else {
                "invalid_value"
            };
            Problem::invalid(vec![]).with_error(format!("?{name}"), code, message)
        })
    }
}

/// Path parameters. What does not parse (an id that is no id) is simply not there: 404.
#[derive(Debug)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send + 'static, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, _: &S) -> Result<Self, Problem> {
        let path = parts.extract::<axum::extract::Path<T>>().await;
        path.map(|axum::extract::Path(value)| Self(value)).map_err(|_| Problem::not_found())
    }
}
