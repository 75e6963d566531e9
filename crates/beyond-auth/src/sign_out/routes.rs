//! Signing out over HTTP.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::flow;
use crate::app::App;
use crate::platform::http::{Client, Json, Path, Problem, Query};
use crate::platform::ids::SessionId;
use crate::sessions::{CurrentSession, FreshSession, Scope, cookie};

/// Sign out.
///
/// The refresh token that came with the session, and those made through it, end with it.
#[utoipa::path(delete, path = "/v1/sessions/current", tag = "sessions",
    security(("session" = []), ("cookie" = [])),
    responses((status = 204, description = "Signed out.")))]
pub async fn current(
    State(app): State<App>,
    CurrentSession(live): CurrentSession,
    client: Client,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let scope = Scope::One(live.session.id);
    flow::revoke(&app, &live, scope, &client).await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    cookie::clear(&app, &headers, &mut response);
    Ok(response)
}

/// Sign out one device, with its refresh tokens.
#[utoipa::path(delete, path = "/v1/sessions/{id}", tag = "sessions", params(("id" = SessionId, Path)),
    security(("session" = []), ("cookie" = [])),
    responses((status = 204, description = "Signed out, or was already.")))]
pub async fn revoke(
    State(app): State<App>,
    CurrentSession(live): CurrentSession,
    Path(id): Path<SessionId>,
    client: Client,
) -> Result<StatusCode, Problem> {
    match flow::revoke(&app, &live, Scope::One(id), &client).await? {
        0 => Err(Problem::not_found()),
        _ => Ok(StatusCode::NO_CONTENT),
    }
}

/// Which devices to sign out.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RevokeQuery {
    /// `others` keeps the asking session, `all` does not.
    #[param(inline)]
    pub scope: RevokeScope,
}

/// Which devices to sign out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RevokeScope {
    /// All but the asking one.
    Others,
    /// All.
    All,
}

/// How many devices were signed out.
#[derive(Debug, Serialize, ToSchema)]
pub struct RevokedResponse {
    /// Sessions ended.
    pub revoked: u64,
}

/// Sign out several devices, with their refresh tokens. `all` asks for a recent authentication.
#[utoipa::path(delete, path = "/v1/sessions", tag = "sessions", params(RevokeQuery),
    security(("session" = []), ("cookie" = [])),
    responses((status = 200, body = RevokedResponse)))]
pub async fn revoke_several(
    State(app): State<App>,
    FreshSession(live): FreshSession,
    Query(query): Query<RevokeQuery>,
    client: Client,
) -> Result<Json<RevokedResponse>, Problem> {
    let scope = match query.scope {
        RevokeScope::Others => Scope::Others(live.session.id),
        RevokeScope::All => Scope::All,
    };
    let revoked = flow::revoke(&app, &live, scope, &client).await?;
    Ok(Json(RevokedResponse { revoked }))
}
