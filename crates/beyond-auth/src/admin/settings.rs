//! Settings over HTTP, for the operator.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderValue};
use serde_json::Value;

use crate::app::App;
use crate::caller::Admin;
use crate::platform::http::{Client, Json, Problem};
use crate::settings::Settings;
use crate::settings::flow::{self, Error, Revised};

/// Read the project's settings.
#[utoipa::path(get, path = "/v1/admin/settings", tag = "admin", security(("admin" = [])),
    responses((status = 200, body = Settings, headers(("etag" = String, description = "For `If-Match`.")))))]
pub async fn get(_: Admin, State(app): State<App>) -> Result<Response, Problem> {
    Ok(respond(flow::get(&app).await?))
}

/// Change the project's settings by a JSON merge patch (RFC 7396).
///
/// `null` restores a default. With `If-Match`, only if nobody else changed them meanwhile (412 otherwise).
#[utoipa::path(patch, path = "/v1/admin/settings", tag = "admin", security(("admin" = [])),
    params(("If-Match" = Option<String>, Header, description = "The `ETag` that was read.")),
    request_body = Object,
    responses((status = 200, body = Settings)))]
pub async fn patch(
    _: Admin,
    State(app): State<App>,
    client: Client,
    headers: HeaderMap,
    Json(patch): Json<Value>,
) -> Result<Response, Problem> {
    if !patch.is_object() {
        return Err(Problem::invalid(vec![]).with_error("", "invalid_type", "must be an object"));
    }
    let expected = expected_revision(&headers)?;
    Ok(respond(flow::patch(&app, patch, expected, &client).await?))
}

fn respond(revised: Revised) -> Response {
    let mut response = Json(revised.settings).into_response();
    if let Ok(etag) = HeaderValue::from_str(&format!("\"{}\"", revised.revision)) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
}

/// `*` and a missing header ask for nothing in particular.
fn expected_revision(headers: &HeaderMap) -> Result<Option<i64>, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    match value.to_str().map(str::trim) {
        Ok("*") => Ok(None),
        Ok(tag) => {
            // A tag that is not ours cannot match: the same 412 as a stale one.
            let revision = tag.trim_matches('"').parse().unwrap_or(-1);
            Ok(Some(revision))
        }
        Err(_) => {
            Err(Problem::new(StatusCode::BAD_REQUEST, "invalid_if_match", "`If-Match` is not readable."))
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Changed => Self::new(
                StatusCode::PRECONDITION_FAILED,
                "precondition_failed",
                "The settings have changed since they were read. Read them again, then repeat the change.",
            ),
            Error::Invalid(problem) => *problem,
            Error::Database(error) => error.into(),
        }
    }
}
