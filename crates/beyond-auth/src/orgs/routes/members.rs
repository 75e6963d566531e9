//! Members of an organization over HTTP.

use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::orgs::members;
use crate::orgs::model::{Member, MemberRef, OrganizationRef};
use crate::platform::http::{Client, Json, Page, PageQuery, Path, Problem, Query};
use crate::sessions::CurrentSession;

/// List members, in the order of their ids. Takes `members:read`.
#[utoipa::path(get, path = "/v1/organizations/{org}/members", tag = "organizations",
    params(("org" = String, Path), PageQuery), security(("session" = []), ("cookie" = [])),
    responses((status = 200, body = Page<Member>)))]
pub async fn list(
    State(app): State<App>,
    CurrentSession(live): CurrentSession,
    Path(organization): Path<OrganizationRef>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<Member>>, Problem> {
    let window = query.window()?;
    let found = members::list(&app, &live, &organization, window).await?;
    Ok(Json(window.page(found, |member| member.user_id.as_uuid(), |member| member)))
}

/// Another role.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateMemberRequest {
    /// `owner`, `admin`, `member`, or a role of the organization's own.
    pub role: String,
}

/// A member.
#[derive(Debug, Serialize, ToSchema)]
pub struct MemberResponse {
    /// The member.
    pub member: Member,
}

/// Give a member another role; `me` stands for oneself.
///
/// Takes `members:update`. Neither the role held nor the one given may hold more than one's own; the last owner stays.
/// Making or unmaking an owner takes a recent sign-in.
#[utoipa::path(patch, path = "/v1/organizations/{org}/members/{user}", tag = "organizations",
    params(("org" = String, Path), ("user" = String, Path)), security(("session" = []), ("cookie" = [])),
    request_body = UpdateMemberRequest, responses((status = 200, body = MemberResponse)))]
pub async fn update(
    State(app): State<App>,
    CurrentSession(live): CurrentSession,
    Path((organization, member)): Path<(OrganizationRef, MemberRef)>,
    client: Client,
    Json(body): Json<UpdateMemberRequest>,
) -> Result<Json<MemberResponse>, Problem> {
    let member = members::update(&app, &live, &organization, member, &body.role, &client).await?;
    Ok(Json(MemberResponse { member }))
}

/// Remove a member, or leave with `me`.
///
/// Takes `members:remove` and a role that holds all that the other one does, and for an owner a recent sign-in; leaving
/// takes nothing. The last owner stays.
#[utoipa::path(delete, path = "/v1/organizations/{org}/members/{user}", tag = "organizations",
    params(("org" = String, Path), ("user" = String, Path)), security(("session" = []), ("cookie" = [])),
    responses((status = 204, description = "No member any more.")))]
pub async fn remove(
    State(app): State<App>,
    CurrentSession(live): CurrentSession,
    Path((organization, member)): Path<(OrganizationRef, MemberRef)>,
    client: Client,
) -> Result<StatusCode, Problem> {
    members::remove(&app, &live, &organization, member, &client).await?;
    Ok(StatusCode::NO_CONTENT)
}
