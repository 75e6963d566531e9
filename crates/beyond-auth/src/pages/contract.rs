//! The contract as a document.

use std::sync::OnceLock;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use http::header::{self, HeaderValue};

/// Written once: it cannot change while the process runs.
static DOCUMENT: OnceLock<Bytes> = OnceLock::new();

/// Hands the generated contract to the route that serves it; the first call counts.
pub fn publish(document: Vec<u8>) {
    // A second instance in the same process has the same contract.
    drop(DOCUMENT.set(document.into()));
}

/// The contract: OpenAPI 3.1.
#[utoipa::path(get, path = "/v1/openapi.json", tag = "operations",
    responses((status = 200, description = "OpenAPI 3.1.", content_type = "application/json")))]
pub async fn document() -> Response {
    let Some(document) = DOCUMENT.get() else { return StatusCode::NOT_FOUND.into_response() };
    let mut response = document.clone().into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
