//! Users over HTTP, for the operator.

use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Datelike as _, Utc};
use http::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::flow::{self, Error, NewPassword, NewUser};
use super::store::{AdminUser, Filter};
use crate::app::App;
use crate::caller::Admin;
use crate::door;
use crate::emails::Email;
use crate::password::routes::field_errors;
use crate::platform::crypto::password::check_imported;
use crate::platform::http::extract::OptionalJson;
use crate::platform::http::pagination;
use crate::platform::http::{Client, FieldErrors, Json, Page, Path, Problem, Query};
use crate::platform::ids::UserId;
use crate::users;
use crate::users::model::{Profile, check_metadata, check_name};
use crate::users::routes::UpdateProfileRequest;

/// A user.
#[derive(Debug, Serialize, ToSchema)]
pub struct AdminUserResponse {
    /// The user.
    pub user: AdminUser,
}

/// Which users to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListUsersQuery {
    /// Exactly this address, in any spelling.
    pub email: Option<String>,
    /// Addresses that begin like this.
    pub q: Option<String>,
    /// Items a page: 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 20)]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// List or search users, oldest first.
#[utoipa::path(get, path = "/v1/admin/users", tag = "admin", security(("admin" = [])), params(ListUsersQuery),
    responses((status = 200, body = Page<AdminUser>)))]
pub async fn list(
    _: Admin,
    State(app): State<App>,
    Query(query): Query<ListUsersQuery>,
) -> Result<Json<Page<AdminUser>>, Problem> {
    let window = pagination::window(query.limit, query.cursor.as_deref())?;
    let filter = match (query.email, query.q) {
        (Some(email), None) => {
            let mut errors = FieldErrors::default();
            let email = errors.take("?email", Email::parse(&email));
            errors.finish()?;
            email.map_or(Filter::All, |email| Filter::Email(email.canonical().to_owned()))
        }
        (None, Some(prefix)) => Filter::Prefix(prefix.trim().to_lowercase()),
        (None, None) => Filter::All,
        (Some(_), Some(_)) => {
            return Err(Problem::invalid(vec![]).with_error(
                "?q",
                "invalid_value",
                "give `email` or `q`, not both",
            ));
        }
    };
    let found = flow::list(&app, &filter, window).await?;
    Ok(Json(window.page(found, |user| user.id.as_uuid(), |user| user)))
}

/// A user that the operator makes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateUserRequest {
    /// The primary address. No mail is sent.
    pub email: String,
    /// Whether you vouch for the address; otherwise the user must prove it before signing in.
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub email_verified: bool,
    /// Optional.
    #[schema(value_type = Option<String>)]
    pub password: Option<SecretString>,
    /// Instead of `password`: a hash from elsewhere, replaced by one of ours at the next sign-in. Formats in
    /// `docs/import.md`.
    #[schema(value_type = Option<String>, max_length = 1024)]
    pub password_hash: Option<SecretString>,
    /// Display name.
    #[schema(max_length = 200)]
    pub name: Option<String>,
    /// Free-form object of at most 8 KiB.
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Map<String, Value>>,
}

fn yes() -> bool {
    true
}

impl NewPassword {
    fn from_body(
        password: Option<SecretString>,
        hash: Option<SecretString>,
        errors: &mut FieldErrors,
    ) -> Option<Self> {
        let Some(hash) = hash else { return password.map(Self::Plain) };
        if password.is_some() {
            errors.push("/password_hash", "invalid_value", "give `password` or `password_hash`, not both");
        }
        if let Err(reason) = check_imported(hash.expose_secret()) {
            errors.push("/password_hash", "invalid_password_hash", reason.to_string());
        }
        Some(Self::Hashed(hash))
    }
}

/// Make a user.
#[utoipa::path(post, path = "/v1/admin/users", tag = "admin", security(("admin" = [])),
    request_body = CreateUserRequest, responses((status = 201, body = AdminUserResponse)))]
pub async fn create(
    _: Admin,
    State(app): State<App>,
    client: Client,
    Json(body): Json<CreateUserRequest>,
) -> Result<(StatusCode, Json<AdminUserResponse>), Problem> {
    let mut errors = FieldErrors::default();
    let email = errors.take("/email", Email::parse(&body.email));
    let name = check_name(body.name.as_deref(), &mut errors);
    let metadata = body.metadata.unwrap_or_default();
    check_metadata(&metadata, &mut errors);
    let password = NewPassword::from_body(body.password, body.password_hash, &mut errors);
    errors.finish()?;
    let new = NewUser {
        email: email.ok_or_else(Problem::internal)?,
        email_verified: body.email_verified,
        password,
        profile: Profile { name, metadata },
    };
    let user = flow::create(&app, new, &client).await?;
    Ok((StatusCode::CREATED, Json(AdminUserResponse { user })))
}

/// Read a user.
#[utoipa::path(get, path = "/v1/admin/users/{id}", tag = "admin", security(("admin" = [])),
    params(("id" = UserId, Path)), responses((status = 200, body = AdminUserResponse)))]
pub async fn get(
    _: Admin,
    State(app): State<App>,
    Path(id): Path<UserId>,
) -> Result<Json<AdminUserResponse>, Problem> {
    Ok(Json(AdminUserResponse { user: flow::get(&app, id).await? }))
}

/// Change a user's profile.
#[utoipa::path(patch, path = "/v1/admin/users/{id}", tag = "admin", security(("admin" = [])),
    params(("id" = UserId, Path)), request_body = UpdateProfileRequest,
    responses((status = 200, body = AdminUserResponse)))]
pub async fn update(
    _: Admin,
    State(app): State<App>,
    Path(id): Path<UserId>,
    client: Client,
    Json(body): Json<UpdateProfileRequest>,
) -> Result<Json<AdminUserResponse>, Problem> {
    let change = body.check()?;
    users::flow::update_profile(&app, id, &change, None, &client).await?;
    Ok(Json(AdminUserResponse { user: flow::get(&app, id).await? }))
}

/// What becomes of organizations that nobody else owns.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeleteUserQuery {
    /// `delete`: they go with the user. Otherwise the user stays.
    #[param(inline)]
    pub organizations: Option<Orphans>,
}

/// What becomes of organizations that nobody else owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Orphans {
    /// They go with the user.
    Delete,
}

/// Delete a user and everything that belongs to it.
///
/// The last owner of an organization stays (409 `last_owner`, with `organizations`), unless those are to go too.
#[utoipa::path(delete, path = "/v1/admin/users/{id}", tag = "admin", security(("admin" = [])),
    params(("id" = UserId, Path), DeleteUserQuery), responses((status = 204, description = "Gone.")))]
pub async fn delete(
    _: Admin,
    State(app): State<App>,
    Path(id): Path<UserId>,
    Query(query): Query<DeleteUserQuery>,
    client: Client,
) -> Result<StatusCode, Problem> {
    match query.organizations {
        Some(Orphans::Delete) => flow::delete_with_organizations(&app, id, &client).await?,
        None => users::flow::delete(&app, id, None, &client).await?,
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Why and for how long.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BanRequest {
    /// For the record; never shown to the user.
    #[schema(max_length = 500)]
    pub reason: Option<String>,
    /// When the ban ends by itself; until lifted where absent.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Ban a user. Every session ends at once.
#[utoipa::path(put, path = "/v1/admin/users/{id}/ban", tag = "admin", security(("admin" = [])),
    params(("id" = UserId, Path)), request_body = BanRequest,
    responses((status = 200, body = AdminUserResponse)))]
pub async fn ban(
    _: Admin,
    State(app): State<App>,
    Path(id): Path<UserId>,
    client: Client,
    OptionalJson(body): OptionalJson<BanRequest>,
) -> Result<Json<AdminUserResponse>, Problem> {
    let mut errors = FieldErrors::default();
    if body.reason.as_deref().is_some_and(|reason| reason.chars().count() > 500) {
        errors.push("/reason", "too_long", "at most 500 characters");
    }
    // RFC 3339 section 1: years of four digits. Postgres cannot hold everything that `chrono` can.
    if body.expires_at.is_some_and(|end| !(1970..=9999).contains(&end.year())) {
        errors.push("/expires_at", "out_of_range", "must be a year from 1970 to 9999");
    }
    errors.finish()?;
    let user = flow::ban(&app, id, body.reason.as_deref(), body.expires_at, &client).await?;
    Ok(Json(AdminUserResponse { user }))
}

/// Lift a ban.
#[utoipa::path(delete, path = "/v1/admin/users/{id}/ban", tag = "admin", security(("admin" = [])),
    params(("id" = UserId, Path)), responses((status = 204, description = "Not banned any more.")))]
pub async fn lift_ban(
    _: Admin,
    State(app): State<App>,
    Path(id): Path<UserId>,
    client: Client,
) -> Result<StatusCode, Problem> {
    flow::lift_ban(&app, id, &client).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// How many devices were signed out.
#[derive(Debug, Serialize, ToSchema)]
pub struct EndedSessionsResponse {
    /// Sessions ended.
    pub revoked: u64,
}

/// Sign a user out everywhere.
#[utoipa::path(delete, path = "/v1/admin/users/{id}/sessions", tag = "admin", security(("admin" = [])),
    params(("id" = UserId, Path)), responses((status = 200, body = EndedSessionsResponse)))]
pub async fn end_sessions(
    _: Admin,
    State(app): State<App>,
    Path(id): Path<UserId>,
    client: Client,
) -> Result<Json<EndedSessionsResponse>, Problem> {
    let revoked = flow::end_sessions(&app, id, &client).await?;
    Ok(Json(EndedSessionsResponse { revoked }))
}

/// Who acts as the user, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImpersonateRequest {
    /// The person who acts, in your own words: an address or a staff id. On the session and in the record.
    #[schema(min_length = 1, max_length = 200)]
    pub actor: String,
}

/// Act as a user: a session of one hour, marked with its actor, not renewable.
#[utoipa::path(post, path = "/v1/admin/users/{id}/impersonations", tag = "admin", security(("admin" = [])),
    params(("id" = UserId, Path)), request_body = ImpersonateRequest,
    responses((status = 201, body = door::routes::CreateSessionResponse)))]
pub async fn impersonate(
    _: Admin,
    State(app): State<App>,
    Path(id): Path<UserId>,
    client: Client,
    Json(body): Json<ImpersonateRequest>,
) -> Result<Response, Problem> {
    let actor = body.actor.trim();
    let mut errors = FieldErrors::default();
    if actor.is_empty() || actor.chars().count() > 200 || actor.chars().any(char::is_control) {
        errors.push("/actor", "invalid_value", "must be 1 to 200 printable characters");
    }
    errors.finish()?;
    let signed_in = flow::impersonate(&app, id, actor, &client).await?;
    Ok(door::routes::respond(&app, signed_in, false))
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound => Self::not_found(),
            Error::Taken => {
                Self::new(StatusCode::CONFLICT, "email_taken", "The address has an account already.")
            }
            Error::Banned => {
                Self::new(StatusCode::CONFLICT, "user_banned", "The user is banned. Lift the ban first.")
            }
            Error::Policy(violations) => Self::invalid(field_errors(violations, "/password")),
            Error::Busy(_) => Self::unavailable(2),
            Error::Database(error) => error.into(),
        }
    }
}
