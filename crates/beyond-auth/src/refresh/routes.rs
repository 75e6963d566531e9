//! Refresh tokens over HTTP. Using one is the door's business (`door::renewal`).

use std::fmt;

use axum::extract::State;
use chrono::{DateTime, Utc};
use http::StatusCode;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::flow::{self, Error};
use super::model::{Issued, Listed};
use crate::app::App;
use crate::platform::http::extract::OptionalJson;
use crate::platform::http::{Client, FieldErrors, Json, Page, PageQuery, Path, Problem, Query};
use crate::platform::ids::{RefreshFamilyId, RefreshTokenId};
use crate::sessions::CurrentSession;
use crate::sessions::model::check_label;

/// A new refresh token.
#[derive(Serialize, ToSchema)]
pub struct IssuedRefreshToken {
    /// Changes with each rotation; also the id part of the token.
    pub id: RefreshTokenId,
    /// Stays the same over rotations.
    pub family_id: RefreshFamilyId,
    /// The token: shown once.
    pub token: String,
    /// When this token was made.
    pub created_at: DateTime<Utc>,
    /// Ends then unless used before.
    pub idle_expires_at: DateTime<Utc>,
    /// Ends then in any case, whatever it is exchanged for before.
    pub expires_at: DateTime<Utc>,
}

/// The token is a secret.
impl fmt::Debug for IssuedRefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedRefreshToken").field("id", &self.id).finish_non_exhaustive()
    }
}

impl From<Issued> for IssuedRefreshToken {
    fn from(issued: Issued) -> Self {
        Self {
            id: issued.id,
            family_id: issued.family_id,
            token: issued.token.expose_secret().to_owned(),
            created_at: issued.created_at,
            idle_expires_at: issued.idle_expires_at,
            expires_at: issued.expires_at,
        }
    }
}

/// What the refresh token is for.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateRefreshTokenRequest {
    /// One's own name for the application or device that will hold it.
    #[schema(max_length = 100)]
    pub label: Option<String>,
}

impl CreateRefreshTokenRequest {
    fn check(self) -> Result<Option<String>, Problem> {
        let mut errors = FieldErrors::default();
        let label = check_label(self.label.as_deref(), &mut errors);
        errors.finish()?;
        Ok(label)
    }
}

/// A new refresh token.
#[derive(Debug, Serialize, ToSchema)]
pub struct CreateRefreshTokenResponse {
    /// The token and its life.
    pub refresh_token: IssuedRefreshToken,
}

/// Make a refresh token.
///
/// It ends when the session that made it is signed out. To get one for the session itself, sign in with
/// `"refresh_token": true`.
#[utoipa::path(post, path = "/v1/refresh-tokens", tag = "tokens",
    security(("session" = []), ("cookie" = [])), request_body = Option<CreateRefreshTokenRequest>,
    responses((status = 201, body = CreateRefreshTokenResponse)))]
pub async fn create(
    State(app): State<App>,
    CurrentSession(live): CurrentSession,
    client: Client,
    OptionalJson(body): OptionalJson<CreateRefreshTokenRequest>,
) -> Result<(StatusCode, Json<CreateRefreshTokenResponse>), Problem> {
    let label = body.check()?;
    let issued = flow::mint(&app, &live, label.as_deref(), &client).await?;
    Ok((StatusCode::CREATED, Json(CreateRefreshTokenResponse { refresh_token: issued.into() })))
}

/// A refresh token in the list.
#[derive(Debug, Serialize, ToSchema)]
pub struct RefreshTokenResponse {
    /// Changes with each rotation.
    pub id: RefreshTokenId,
    /// Stays the same over rotations.
    pub family_id: RefreshFamilyId,
    /// One's own name for what holds it.
    pub label: Option<String>,
    /// Assurance level of the sessions it renews.
    pub aal: i16,
    /// Methods used at sign-in.
    pub amr: Vec<String>,
    /// As sent when it was first made.
    pub user_agent: Option<String>,
    /// Where it was first made from.
    pub address: Option<String>,
    /// When it was first made.
    pub created_at: DateTime<Utc>,
    /// When it last renewed a session.
    pub last_used_at: Option<DateTime<Utc>>,
    /// Ends then unless used before.
    pub idle_expires_at: DateTime<Utc>,
    /// Ends then in any case.
    pub expires_at: DateTime<Utc>,
}

impl From<Listed> for RefreshTokenResponse {
    fn from(listed: Listed) -> Self {
        Self {
            id: listed.id,
            family_id: listed.family_id,
            label: listed.label,
            aal: listed.aal,
            amr: listed.amr,
            user_agent: listed.user_agent,
            address: listed.address.map(|address| address.ip().to_string()),
            created_at: listed.created_at,
            last_used_at: listed.last_used_at,
            idle_expires_at: listed.idle_expires_at,
            expires_at: listed.expires_at,
        }
    }
}

/// List one's own refresh tokens, newest first: one for each family, the one that will be used next.
#[utoipa::path(get, path = "/v1/refresh-tokens", tag = "tokens", params(PageQuery),
    security(("session" = []), ("cookie" = [])),
    responses((status = 200, body = Page<RefreshTokenResponse>)))]
pub async fn list(
    State(app): State<App>,
    CurrentSession(live): CurrentSession,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<RefreshTokenResponse>>, Problem> {
    let window = query.window()?;
    let listed = flow::list(&app, live.user.id, window).await?;
    Ok(Json(window.page(listed, |listed| listed.family_id.as_uuid(), RefreshTokenResponse::from)))
}

/// Revoke a refresh token, with everything that descends from it and the sessions that it renewed.
///
/// Takes the id of any token of the family, spent ones too, or the family's.
#[utoipa::path(delete, path = "/v1/refresh-tokens/{id}", tag = "tokens",
    params(("id" = RefreshTokenId, Path)), security(("session" = []), ("cookie" = [])),
    responses((status = 204, description = "Revoked.")))]
pub async fn revoke(
    State(app): State<App>,
    CurrentSession(live): CurrentSession,
    Path(id): Path<RefreshTokenId>,
    client: Client,
) -> Result<StatusCode, Problem> {
    flow::revoke(&app, &live, id, &client).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Stale(within) => crate::sessions::extract::step_up(within.as_secs()),
            Error::SessionEnded => Self::unauthenticated(
                "invalid_token",
                "The session token is not valid: it may have expired or been revoked.",
            ),
            Error::Impersonated => Self::new(
                StatusCode::FORBIDDEN,
                "impersonated_session",
                "A session that acts as somebody else cannot be renewed.",
            ),
            Error::NotFound => Self::not_found(),
            Error::Database(error) => error.into(),
        }
    }
}
