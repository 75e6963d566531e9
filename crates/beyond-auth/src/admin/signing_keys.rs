//! Signing keys over HTTP, for the operator.

use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::caller::Admin;
use crate::platform::http::extract::OptionalJson;
use crate::platform::http::{Client, Json, Path, Problem};
use crate::signing_keys::Listed;
use crate::signing_keys::flow::{self, Error};

/// The signing keys.
#[derive(Debug, Serialize, ToSchema)]
pub struct SigningKeysResponse {
    /// Newest first. There are never many: keys that ended three months ago are gone.
    pub data: Vec<Listed>,
}

/// List the keys that sign JWTs, without their private halves.
#[utoipa::path(get, path = "/v1/admin/signing-keys", tag = "admin", security(("admin" = [])),
    responses((status = 200, body = SigningKeysResponse)))]
pub async fn list(_: Admin, State(app): State<App>) -> Result<Json<SigningKeysResponse>, Problem> {
    Ok(Json(SigningKeysResponse { data: flow::list(&app).await? }))
}

/// How to rotate.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateSigningKeysRequest {
    /// Let the next key sign at once, although verifiers with a cached JWKS may not know it for up to an hour. Libraries
    /// that fetch the JWKS again when they meet an unknown `kid` do.
    #[serde(default)]
    pub immediate: bool,
}

/// Rotate the signing key.
///
/// The next key is published now and signs in two hours; the one before stays published until the last token it signed
/// has expired. A key that is waiting already is not replaced.
#[utoipa::path(post, path = "/v1/admin/signing-keys/rotations", tag = "admin", security(("admin" = [])),
    request_body = Option<RotateSigningKeysRequest>,
    responses((status = 201, body = SigningKeysResponse)))]
pub async fn rotate(
    _: Admin,
    State(app): State<App>,
    client: Client,
    OptionalJson(body): OptionalJson<RotateSigningKeysRequest>,
) -> Result<(StatusCode, Json<SigningKeysResponse>), Problem> {
    let data = flow::rotate(&app, body.immediate, &client).await?;
    Ok((StatusCode::CREATED, Json(SigningKeysResponse { data })))
}

/// Take a signing key out of service at once: for a private half that may have leaked.
///
/// It is gone from the JWKS with the next request; verifiers that cache it may accept its tokens for up to an hour. Where
/// it was the active key, the waiting one takes over, or a new one is made.
#[utoipa::path(delete, path = "/v1/admin/signing-keys/{kid}", tag = "admin", security(("admin" = [])),
    params(("kid" = String, Path)), responses((status = 204, description = "Gone.")))]
pub async fn remove(
    _: Admin,
    State(app): State<App>,
    Path(kid): Path<String>,
    client: Client,
) -> Result<StatusCode, Problem> {
    flow::remove(&app, &kid, &client).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound => Self::not_found(),
            Error::Database(error) => error.into(),
        }
    }
}
