//! Sessions over HTTP.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::device::{self, Description};
use super::extract::CurrentSession;
use super::flow;
use super::model::{Live, Session};
use super::store::Device;
use crate::app::App;
use crate::platform::http::{Json, Page, PageQuery, Problem, Query};
use crate::platform::ids::SessionId;
use crate::users::User;

/// The session that the credential opens, and its owner.
#[derive(Debug, Serialize, ToSchema)]
pub struct CurrentSessionResponse {
    /// The session, without its token.
    pub session: Session,
    /// Its owner.
    pub user: User,
}

impl From<Live> for CurrentSessionResponse {
    fn from(live: Live) -> Self {
        Self { session: live.session, user: live.user }
    }
}

/// Verify a session.
///
/// The hot path: one SQL query, nothing cached, so a revoked session is refused at once everywhere.
#[utoipa::path(get, path = "/v1/sessions/current", tag = "sessions",
    security(("session" = []), ("cookie" = [])),
    responses((status = 200, body = CurrentSessionResponse)))]
pub async fn verify(CurrentSession(live): CurrentSession) -> Json<CurrentSessionResponse> {
    Json(live.into())
}

/// A session in the list of devices.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeviceResponse {
    /// The session.
    #[serde(flatten)]
    pub session: Session,
    /// Whether it is the one that asks.
    pub current: bool,
    /// What the user agent tells.
    pub device: Description,
    /// As the browser sent it at sign-in.
    pub user_agent: Option<String>,
    /// Where it was signed in from.
    pub address: Option<String>,
}

impl DeviceResponse {
    fn new(device: Device, current: SessionId) -> Self {
        Self {
            current: device.session.id == current,
            session: device.session,
            device: device::describe(device.user_agent.as_deref()),
            user_agent: device.user_agent,
            address: device.address.map(|address| address.ip().to_string()),
        }
    }
}

/// List one's own devices, newest first.
#[utoipa::path(get, path = "/v1/sessions", tag = "sessions", params(PageQuery),
    security(("session" = []), ("cookie" = [])),
    responses((status = 200, body = Page<DeviceResponse>)))]
pub async fn list(
    State(app): State<App>,
    CurrentSession(live): CurrentSession,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<DeviceResponse>>, Problem> {
    let window = query.window()?;
    let devices = flow::list(&app, live.user.id, window).await?;
    let current = live.session.id;
    let id = |device: &Device| device.session.id.as_uuid();
    Ok(Json(window.page(devices, id, |device| DeviceResponse::new(device, current))))
}
