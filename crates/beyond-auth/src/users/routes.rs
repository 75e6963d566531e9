//! One's own profile over HTTP.

use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::flow::{self, Error, ProfileChange};
use super::model::{User, check_metadata, check_name};
use crate::app::App;
use crate::platform::http::{Client, FieldErrors, Json, Problem};
use crate::sessions::{CurrentSession, FreshSession};

/// A user.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserResponse {
    /// The user.
    pub user: User,
}

/// Tells a field that was sent as `null` from one that was not sent.
pub fn sent<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// What to change; a field that is left out stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateProfileRequest {
    /// Display name; `null` clears it.
    #[serde(default, deserialize_with = "sent")]
    #[schema(value_type = Option<String>, max_length = 200)]
    pub name: Option<Option<String>>,
    /// Replaces the whole object; at most 8 KiB.
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Map<String, Value>>,
}

impl UpdateProfileRequest {
    /// Checks the values; all errors at once.
    pub fn check(self) -> Result<ProfileChange, Problem> {
        let mut errors = FieldErrors::default();
        let name = self.name.map(|name| check_name(name.as_deref(), &mut errors));
        if let Some(metadata) = &self.metadata {
            check_metadata(metadata, &mut errors);
        }
        errors.finish()?;
        Ok(ProfileChange { name, metadata: self.metadata })
    }
}

/// Read one's own profile.
#[utoipa::path(get, path = "/v1/users/me", tag = "users", security(("session" = []), ("cookie" = [])),
    responses((status = 200, body = UserResponse)))]
pub async fn me(CurrentSession(live): CurrentSession) -> Json<UserResponse> {
    Json(UserResponse { user: live.user })
}

/// Change one's own profile.
#[utoipa::path(patch, path = "/v1/users/me", tag = "users", security(("session" = []), ("cookie" = [])),
    request_body = UpdateProfileRequest, responses((status = 200, body = UserResponse)))]
pub async fn update_me(
    State(app): State<App>,
    CurrentSession(live): CurrentSession,
    client: Client,
    Json(body): Json<UpdateProfileRequest>,
) -> Result<Json<UserResponse>, Problem> {
    let change = body.check()?;
    let user = flow::update_profile(&app, live.user.id, &change, Some(live.holder()), &client).await?;
    Ok(Json(UserResponse { user }))
}

/// Delete one's own account and everything that belongs to it.
///
/// Needs a recent authentication. The last owner of an organization stays (409 `last_owner`, with `organizations`).
#[utoipa::path(delete, path = "/v1/users/me", tag = "users", security(("session" = []), ("cookie" = [])),
    responses((status = 204, description = "Gone.")))]
pub async fn delete_me(
    State(app): State<App>,
    FreshSession(live): FreshSession,
    client: Client,
) -> Result<StatusCode, Problem> {
    flow::delete(&app, live.user.id, Some(live.holder()), &client).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound => Self::not_found(),
            Error::LastOwner(organizations) => Self::new(
                StatusCode::CONFLICT,
                "last_owner",
                "Organizations would be left without an owner. Make somebody else owner, or delete them first.",
            )
            .with_member("organizations", serde_json::to_value(organizations).unwrap_or_default()),
            Error::Ended => Self::unauthenticated("invalid_token", "The session has ended."),
            Error::Database(error) => error.into(),
        }
    }
}
