//! Roles of an organization over HTTP.

use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::orgs::model::{ListedRole, OrganizationRef, check_description, check_role_name};
use crate::orgs::permissions::Grants;
use crate::orgs::roles::{self, RoleChange};
use crate::platform::http::{Client, FieldErrors, Json, Path, Problem};
use crate::sessions::CurrentSession;

/// The roles of an organization.
#[derive(Debug, Serialize, ToSchema)]
pub struct RolesResponse {
    /// The built-in ones, then its own by name.
    pub data: Vec<ListedRole>,
    /// Always `null`: an organization has few roles.
    pub next_cursor: Option<String>,
}

/// List the roles of an organization. Takes `members:read`.
#[utoipa::path(get, path = "/v1/organizations/{org}/roles", tag = "organizations",
    params(("org" = String, Path)), security(("session" = []), ("cookie" = [])),
    responses((status = 200, body = RolesResponse)))]
pub async fn list(
    State(app): State<App>,
    CurrentSession(live): CurrentSession,
    Path(organization): Path<OrganizationRef>,
) -> Result<Json<RolesResponse>, Problem> {
    let data = roles::list(&app, &live, &organization).await?;
    Ok(Json(RolesResponse { data, next_cursor: None }))
}

/// A role to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateRoleRequest {
    /// Lower-case letters, digits, `_` and `-`, beginning with a letter.
    #[schema(max_length = 63)]
    pub name: String,
    /// What it is for.
    #[schema(max_length = 200)]
    pub description: Option<String>,
    /// What it is to hold: permissions of the service (`docs/organizations.md`), or `app:…` for the application's own.
    #[schema(max_items = 100)]
    pub permissions: Vec<String>,
}

/// A role.
#[derive(Debug, Serialize, ToSchema)]
pub struct RoleResponse {
    /// The role.
    pub role: ListedRole,
}

/// Make a role.
///
/// Takes `roles:manage`, and every permission that the role is to hold.
#[utoipa::path(post, path = "/v1/organizations/{org}/roles", tag = "organizations",
    params(("org" = String, Path)), security(("session" = []), ("cookie" = [])),
    request_body = CreateRoleRequest, responses((status = 201, body = RoleResponse)))]
pub async fn create(
    State(app): State<App>,
    CurrentSession(live): CurrentSession,
    Path(organization): Path<OrganizationRef>,
    client: Client,
    Json(body): Json<CreateRoleRequest>,
) -> Result<(StatusCode, Json<RoleResponse>), Problem> {
    let mut errors = FieldErrors::default();
    let name = check_role_name(&body.name, &mut errors);
    let description = check_description(body.description.as_deref(), &mut errors);
    let grants = Grants::parse(&body.permissions, &mut errors);
    errors.finish()?;
    let role = (name.as_str(), description.as_deref(), &grants);
    let role = roles::create(&app, &live, &organization, role, &client).await?;
    Ok((StatusCode::CREATED, Json(RoleResponse { role })))
}

/// What to change; a field that is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateRoleRequest {
    /// Another name; whoever holds the role keeps it.
    #[schema(max_length = 63)]
    pub name: Option<String>,
    /// What it is for; `null` clears it.
    #[serde(default, deserialize_with = "crate::users::routes::sent")]
    #[schema(value_type = Option<String>, max_length = 200)]
    pub description: Option<Option<String>>,
    /// All that it is to hold from now on.
    #[schema(max_items = 100)]
    pub permissions: Option<Vec<String>>,
}

/// Change a role, for everybody who holds it.
///
/// Takes `roles:manage`, and every permission that the role holds before or after.
#[utoipa::path(patch, path = "/v1/organizations/{org}/roles/{role}", tag = "organizations",
    params(("org" = String, Path), ("role" = String, Path)), security(("session" = []), ("cookie" = [])),
    request_body = UpdateRoleRequest, responses((status = 200, body = RoleResponse)))]
pub async fn update(
    State(app): State<App>,
    CurrentSession(live): CurrentSession,
    Path((organization, role)): Path<(OrganizationRef, String)>,
    client: Client,
    Json(body): Json<UpdateRoleRequest>,
) -> Result<Json<RoleResponse>, Problem> {
    let mut errors = FieldErrors::default();
    let name = body.name.map(|name| check_role_name(&name, &mut errors));
    let description = body.description.map(|text| check_description(text.as_deref(), &mut errors));
    let grants = body.permissions.map(|names| Grants::parse(&names, &mut errors));
    errors.finish()?;
    let change = RoleChange { name, description, grants };
    let role = roles::update(&app, &live, &organization, &role, &change, &client).await?;
    Ok(Json(RoleResponse { role }))
}

/// Remove a role that nobody holds. Invitations with it end.
///
/// Takes `roles:manage`, and every permission that the role holds.
#[utoipa::path(delete, path = "/v1/organizations/{org}/roles/{role}", tag = "organizations",
    params(("org" = String, Path), ("role" = String, Path)), security(("session" = []), ("cookie" = [])),
    responses((status = 204, description = "Removed.")))]
pub async fn remove(
    State(app): State<App>,
    CurrentSession(live): CurrentSession,
    Path((organization, role)): Path<(OrganizationRef, String)>,
    client: Client,
) -> Result<StatusCode, Problem> {
    roles::remove(&app, &live, &organization, &role, &client).await?;
    Ok(StatusCode::NO_CONTENT)
}
