//! Invitations over HTTP.

use axum::extract::State;
use http::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::OrganizationResponse;
use crate::app::App;
use crate::emails::Email;
use crate::orgs::invitations;
use crate::orgs::model::{Error, Invitation, OrganizationRef, ReceivedInvitation};
use crate::platform::crypto::token::{self, Token};
use crate::platform::http::extract::OptionalJson;
use crate::platform::http::{Client, FieldErrors, Json, Page, PageQuery, Path, Problem, Query, throttle};
use crate::platform::ids::InvitationId;
use crate::sessions::CurrentSession;

/// List the invitations of an organization that wait, newest first. Takes `invitations:read`.
#[utoipa::path(get, path = "/v1/organizations/{org}/invitations", tag = "organizations",
    params(("org" = String, Path), PageQuery), security(("session" = []), ("cookie" = [])),
    responses((status = 200, body = Page<Invitation>)))]
pub async fn list(
    State(app): State<App>,
    CurrentSession(live): CurrentSession,
    Path(organization): Path<OrganizationRef>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<Invitation>>, Problem> {
    let window = query.window()?;
    let found = invitations::list(&app, &live, &organization, window).await?;
    Ok(Json(window.page(found, |invitation| invitation.id.as_uuid(), |invitation| invitation)))
}

/// Whom to invite.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InviteRequest {
    /// A mail goes there, whether it has an account or not.
    pub email: String,
    /// `owner`, `admin`, `member`, or a role of the organization's own.
    pub role: String,
}

/// An invitation.
#[derive(Debug, Serialize, ToSchema)]
pub struct InvitationResponse {
    /// The invitation.
    pub invitation: Invitation,
}

/// Invite somebody by mail, for seven days.
///
/// Takes `invitations:create`, and a role that holds all that the other one does: now, and when the invitation is
/// accepted. Inviting an owner takes a recent sign-in. Whether the address has an account is not told.
#[utoipa::path(post, path = "/v1/organizations/{org}/invitations", tag = "organizations",
    params(("org" = String, Path)), security(("session" = []), ("cookie" = [])),
    request_body = InviteRequest, responses((status = 201, body = InvitationResponse)))]
pub async fn create(
    State(app): State<App>,
    CurrentSession(live): CurrentSession,
    Path(organization): Path<OrganizationRef>,
    client: Client,
    Json(body): Json<InviteRequest>,
) -> Result<(StatusCode, Json<InvitationResponse>), Problem> {
    let mut errors = FieldErrors::default();
    let email = errors.take("/email", Email::parse(&body.email));
    errors.finish()?;
    let email = email.ok_or_else(Problem::internal)?;
    let invitation = invitations::create(&app, &live, &organization, &email, &body.role, &client).await?;
    Ok((StatusCode::CREATED, Json(InvitationResponse { invitation })))
}

/// Take an invitation back. Takes `invitations:cancel`.
#[utoipa::path(delete, path = "/v1/organizations/{org}/invitations/{id}", tag = "organizations",
    params(("org" = String, Path), ("id" = InvitationId, Path)), security(("session" = []), ("cookie" = [])),
    responses((status = 204, description = "Its token opens nothing any more.")))]
pub async fn cancel(
    State(app): State<App>,
    CurrentSession(live): CurrentSession,
    Path((organization, id)): Path<(OrganizationRef, InvitationId)>,
    client: Client,
) -> Result<StatusCode, Problem> {
    invitations::cancel(&app, &live, &organization, id, &client).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Nothing to choose.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeliveryRequest {}

/// Mail an invitation again, for another seven days.
///
/// Takes `invitations:create`. What was mailed before opens nothing once the new mail has left.
#[utoipa::path(post, path = "/v1/organizations/{org}/invitations/{id}/deliveries", tag = "organizations",
    params(("org" = String, Path), ("id" = InvitationId, Path)), security(("session" = []), ("cookie" = [])),
    request_body = Option<DeliveryRequest>, responses((status = 202, description = "On its way.")))]
pub async fn deliver(
    State(app): State<App>,
    CurrentSession(live): CurrentSession,
    Path((organization, id)): Path<(OrganizationRef, InvitationId)>,
    client: Client,
    OptionalJson(DeliveryRequest {}): OptionalJson<DeliveryRequest>,
) -> Result<StatusCode, Problem> {
    invitations::deliver(&app, &live, &organization, id, &client).await?;
    Ok(StatusCode::ACCEPTED)
}

/// List the invitations that wait for oneself at any proven address, newest first. Accepting takes the mail's token.
#[utoipa::path(get, path = "/v1/users/me/invitations", tag = "organizations", params(PageQuery),
    security(("session" = []), ("cookie" = [])), responses((status = 200, body = Page<ReceivedInvitation>)))]
pub async fn list_received(
    State(app): State<App>,
    CurrentSession(live): CurrentSession,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<ReceivedInvitation>>, Problem> {
    let window = query.window()?;
    let found = invitations::list_received(&app, live.user.id, window).await?;
    Ok(Json(window.page(found, |invitation| invitation.id.as_uuid(), |invitation| invitation)))
}

/// What came by mail.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InvitationTokenRequest {
    /// `inv_…`.
    #[schema(value_type = String)]
    pub token: SecretString,
}

impl InvitationTokenRequest {
    /// Counts the try, then reads the token.
    async fn open(&self, app: &App, client: &Client) -> Result<Token<token::Invitation>, Problem> {
        let address = throttle::address_key(client.address);
        throttle::enforce(&app.db, &[(&throttle::REDEMPTION, &address)]).await?;
        Ok(Token::parse(self.token.expose_secret()).map_err(|_| Error::InvalidInvitation)?)
    }
}

/// An invitation as whoever is invited sees it.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReceivedInvitationResponse {
    /// The invitation.
    pub invitation: ReceivedInvitation,
}

/// Ask what an invitation is for, with its token. Changes nothing.
#[utoipa::path(post, path = "/v1/invitations/introspections", tag = "organizations",
    request_body = InvitationTokenRequest, responses((status = 200, body = ReceivedInvitationResponse)))]
pub async fn introspect(
    State(app): State<App>,
    client: Client,
    Json(body): Json<InvitationTokenRequest>,
) -> Result<Json<ReceivedInvitationResponse>, Problem> {
    let token = body.open(&app, &client).await?;
    Ok(Json(ReceivedInvitationResponse { invitation: invitations::describe(&app, &token).await? }))
}

/// Accept an invitation.
///
/// For the account that has proven the address it went to; once; while whoever invited may still do so.
#[utoipa::path(post, path = "/v1/invitations/redemptions", tag = "organizations",
    security(("session" = []), ("cookie" = [])), request_body = InvitationTokenRequest,
    responses((status = 200, body = OrganizationResponse)))]
pub async fn redeem(
    State(app): State<App>,
    CurrentSession(live): CurrentSession,
    client: Client,
    Json(body): Json<InvitationTokenRequest>,
) -> Result<Json<OrganizationResponse>, Problem> {
    let token = body.open(&app, &client).await?;
    Ok(Json(invitations::redeem(&app, &live, &token, &client).await?.into()))
}

/// Decline an invitation that waits at a proven address of one's own.
#[utoipa::path(post, path = "/v1/invitations/{id}/declines", tag = "organizations",
    params(("id" = InvitationId, Path)), security(("session" = []), ("cookie" = [])),
    request_body = Option<DeliveryRequest>,
    responses((status = 204, description = "Its token opens nothing any more.")))]
pub async fn decline(
    State(app): State<App>,
    CurrentSession(live): CurrentSession,
    Path(id): Path<InvitationId>,
    client: Client,
    OptionalJson(DeliveryRequest {}): OptionalJson<DeliveryRequest>,
) -> Result<StatusCode, Problem> {
    invitations::decline(&app, &live, id, &client).await?;
    Ok(StatusCode::NO_CONTENT)
}
