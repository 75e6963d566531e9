//! Organizations over HTTP.

pub mod invitations;
pub mod members;
pub mod roles;
pub mod session;

use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::flow::{self, OrganizationChange, Wish};
use super::model::{
    Error, MOST_ROLES, Membership, Organization, OrganizationRef, Slug, check_metadata, check_name,
};
use super::policy::PolicyChange;
use crate::app::App;
use crate::platform::http::{Client, FieldErrors, Json, Page, PageQuery, Path, Problem, Query};
use crate::sessions::{CurrentSession, FreshSession, extract};

/// An organization.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrganizationResponse {
    /// The organization.
    pub organization: Organization,
}

impl From<Membership> for OrganizationResponse {
    fn from(membership: Membership) -> Self {
        Self { organization: membership.into() }
    }
}

/// List the organizations one belongs to, newest first.
#[utoipa::path(get, path = "/v1/organizations", tag = "organizations", params(PageQuery),
    security(("session" = []), ("cookie" = [])), responses((status = 200, body = Page<Organization>)))]
pub async fn list(
    State(app): State<App>,
    CurrentSession(live): CurrentSession,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<Organization>>, Problem> {
    let window = query.window()?;
    let found = flow::list(&app, live.user.id, window).await?;
    Ok(Json(window.page(found, |organization| organization.id.as_uuid(), Organization::from)))
}

/// An organization to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateOrganizationRequest {
    /// For people.
    #[schema(min_length = 1, max_length = 100)]
    pub name: String,
    /// Names it in addresses: lower-case letters, digits and single hyphens. Made of the name where absent.
    #[schema(max_length = 63)]
    pub slug: Option<String>,
    /// Free-form object of at most 16 KiB.
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Map<String, Value>>,
}

/// Make an organization, and own it.
///
/// Takes a proven address.
#[utoipa::path(post, path = "/v1/organizations", tag = "organizations",
    security(("session" = []), ("cookie" = [])), request_body = CreateOrganizationRequest,
    responses((status = 201, body = OrganizationResponse)))]
pub async fn create(
    State(app): State<App>,
    CurrentSession(live): CurrentSession,
    client: Client,
    Json(body): Json<CreateOrganizationRequest>,
) -> Result<(StatusCode, Json<OrganizationResponse>), Problem> {
    let mut errors = FieldErrors::default();
    let name = check_name(&body.name, &mut errors);
    let slug = body.slug.and_then(|slug| errors.take("/slug", Slug::parse(&slug)));
    let metadata = body.metadata.unwrap_or_default();
    check_metadata(&metadata, &mut errors);
    errors.finish()?;
    let made = flow::create(&app, &live, &Wish { name, slug, metadata }, &client).await?;
    Ok((StatusCode::CREATED, Json(made.into())))
}

/// Read an organization one belongs to, by id or slug.
#[utoipa::path(get, path = "/v1/organizations/{org}", tag = "organizations", params(("org" = String, Path)),
    security(("session" = []), ("cookie" = [])), responses((status = 200, body = OrganizationResponse)))]
pub async fn get(
    State(app): State<App>,
    CurrentSession(live): CurrentSession,
    Path(organization): Path<OrganizationRef>,
) -> Result<Json<OrganizationResponse>, Problem> {
    Ok(Json(flow::get(&app, &live, &organization).await?.into()))
}

/// What to change; a field that is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateOrganizationRequest {
    /// For people.
    #[schema(min_length = 1, max_length = 100)]
    pub name: Option<String>,
    /// Names it in addresses. Links with the older one lead nowhere, or to whoever takes it.
    #[schema(max_length = 63)]
    pub slug: Option<String>,
    /// Replaces the whole object.
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Map<String, Value>>,
    /// What the organization asks of whoever acts for it. Takes `policy:manage`.
    pub policy: Option<PolicyChange>,
}

/// Change an organization.
///
/// Takes `organization:update`; for `policy`, `policy:manage`. A policy that the asking session does not satisfy itself
/// is refused.
#[utoipa::path(patch, path = "/v1/organizations/{org}", tag = "organizations", params(("org" = String, Path)),
    security(("session" = []), ("cookie" = [])), request_body = UpdateOrganizationRequest,
    responses((status = 200, body = OrganizationResponse)))]
pub async fn update(
    State(app): State<App>,
    CurrentSession(live): CurrentSession,
    Path(organization): Path<OrganizationRef>,
    client: Client,
    Json(body): Json<UpdateOrganizationRequest>,
) -> Result<Json<OrganizationResponse>, Problem> {
    let mut errors = FieldErrors::default();
    let name = body.name.map(|name| check_name(&name, &mut errors));
    let slug = body.slug.and_then(|slug| errors.take("/slug", Slug::parse(&slug)));
    if let Some(metadata) = &body.metadata {
        check_metadata(metadata, &mut errors);
    }
    if let Some(policy) = &body.policy {
        policy.apply(&super::policy::Policy::open()).check(&mut errors);
    }
    errors.finish()?;
    let change = OrganizationChange { name, slug, metadata: body.metadata, policy: body.policy };
    Ok(Json(flow::update(&app, &live, &organization, &change, &client).await?.into()))
}

/// Delete an organization with everything that belongs to it.
///
/// For owners. Needs a recent authentication.
#[utoipa::path(delete, path = "/v1/organizations/{org}", tag = "organizations", params(("org" = String, Path)),
    security(("session" = []), ("cookie" = [])), responses((status = 204, description = "Gone.")))]
pub async fn delete(
    State(app): State<App>,
    FreshSession(live): FreshSession,
    Path(organization): Path<OrganizationRef>,
    client: Client,
) -> Result<StatusCode, Problem> {
    flow::delete(&app, &live, &organization, &client).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound => Self::not_found(),
            Error::Ended => crate::sessions::flow::Error::Invalid.into(),
            Error::Forbidden(permission) => Self::new(
                StatusCode::FORBIDDEN,
                "missing_permission",
                "Your role in the organization does not allow this.",
            )
            .with_member("permission", permission.name()),
            Error::Exceeds => Self::new(
                StatusCode::FORBIDDEN,
                "role_exceeds_own",
                "Nobody grants, changes or takes away more than the own role holds.",
            ),
            Error::Assurance => extract::second_factor_due(None),
            Error::Method(methods) => Self::new(
                StatusCode::FORBIDDEN,
                "sign_in_method_required",
                "The organization counts other ways of signing in. Step up with one of them, then repeat the call.",
            )
            .with_member("methods", methods),
            Error::Unproven => {
                Self::new(StatusCode::CONFLICT, "email_not_verified", "Prove your address first: an organization needs somebody to answer for it.")
            }
            Error::SlugTaken => Self::new(StatusCode::CONFLICT, "slug_taken", "Another organization has this slug."),
            Error::LastOwner => {
                Self::new(StatusCode::CONFLICT, "last_owner", "An organization always has an owner. Make somebody else owner first.")
            }
            Error::RoleTaken => Self::new(StatusCode::CONFLICT, "role_taken", "The organization has a role of this name."),
            Error::RoleInUse => Self::new(StatusCode::CONFLICT, "role_in_use", "Members hold this role. Give them another one first."),
            Error::TooManyRoles => Self::new(
                StatusCode::CONFLICT,
                "too_many_roles",
                format!("An organization makes at most {MOST_ROLES} roles. Remove one first."),
            ),
            Error::UnknownRole => Self::invalid(vec![]).with_error(
                "/role",
                "unknown_value",
                "must be owner, admin, member, or a role of the organization",
            ),
            Error::AlreadyMember => {
                Self::new(StatusCode::CONFLICT, "already_member", "The person belongs to the organization already.")
            }
            Error::AlreadyInvited => {
                Self::new(StatusCode::CONFLICT, "already_invited", "The address is invited already. Send that invitation again instead.")
            }
            Error::InvalidInvitation => Self::new(
                StatusCode::BAD_REQUEST,
                "invalid_invitation",
                "The invitation is not valid: it may have expired, been used, taken back, or sent anew.",
            ),
            Error::OtherAddress => Self::new(
                StatusCode::FORBIDDEN,
                "other_address",
                "The invitation went to an address that is not proven to be yours. Add and prove it, or sign in \
                 with the account that has it.",
            ),
            Error::Impersonated => extract::impersonated(),
            Error::Stale(stale) => stale.into(),
            Error::Limited(decision) => decision.into(),
            Error::Database(error) => error.into(),
        }
    }
}
