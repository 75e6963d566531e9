//! Accounts elsewhere over HTTP. What needs a provider, linking and its tokens, is the `oauth` slice's.

use axum::extract::State;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::flow::{self, Error};
use super::model::Identity;
use crate::app::App;
use crate::platform::http::{Client, Json, Path, Problem};
use crate::platform::ids::IdentityId;
use crate::sessions::{CurrentSession, FreshSession};

/// A user's identities.
#[derive(Debug, Serialize, ToSchema)]
pub struct IdentitiesResponse {
    /// Oldest first.
    pub data: Vec<Identity>,
    /// Always `null`: a user has few identities.
    pub next_cursor: Option<String>,
}

/// List the accounts elsewhere that one signs in with.
#[utoipa::path(get, path = "/v1/users/me/identities", tag = "identities",
    security(("session" = []), ("cookie" = [])), responses((status = 200, body = IdentitiesResponse)))]
pub async fn list(
    State(app): State<App>,
    CurrentSession(live): CurrentSession,
) -> Result<Json<IdentitiesResponse>, Problem> {
    let data = flow::list(&app, live.user.id).await?;
    Ok(Json(IdentitiesResponse { data, next_cursor: None }))
}

/// Unlink an account elsewhere.
///
/// The last way into the account stays. The owner gets a mail; tokens that the provider has handed out are revoked there
/// shortly after. Needs a recent authentication.
#[utoipa::path(delete, path = "/v1/users/me/identities/{id}", tag = "identities",
    params(("id" = IdentityId, Path)), security(("session" = []), ("cookie" = [])), responses((status = 204)))]
pub async fn unlink(
    State(app): State<App>,
    FreshSession(live): FreshSession,
    Path(id): Path<IdentityId>,
    client: Client,
) -> Result<StatusCode, Problem> {
    flow::unlink(&app, &live, id, &client).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Taken => Self::new(
                StatusCode::CONFLICT,
                "identity_taken",
                "This account elsewhere is linked to an account here already.",
            ),
            Error::NotFound => Self::not_found(),
            Error::LastWayIn => Self::new(
                StatusCode::CONFLICT,
                "last_way_in",
                "This is the last way into the account. Add another one first.",
            ),
            Error::Ended => crate::sessions::flow::Error::Invalid.into(),
            Error::Database(error) => error.into(),
        }
    }
}
