//! One's own factors over HTTP.

use std::fmt;

use axum::extract::State;
use http::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::model::{Activated, Enrolled, Error, FactorRow, Kind, check_name};
use super::{flow, recovery};
use crate::app::App;
use crate::platform::http::extract::OptionalJson;
use crate::platform::http::{Client, FieldErrors, Json, Path, Problem, throttle};
use crate::platform::ids::FactorId;
use crate::sessions::extract::RecentSession;
use crate::sessions::{CurrentSession, FreshSession};

/// A user's factors.
#[derive(Debug, Serialize, ToSchema)]
pub struct FactorsResponse {
    /// The oldest first.
    pub data: Vec<FactorRow>,
    /// Always `null`: a user has few factors.
    pub next_cursor: Option<String>,
}

/// List one's own authenticator apps.
#[utoipa::path(get, path = "/v1/users/me/factors", tag = "factors", security(("session" = []), ("cookie" = [])),
    responses((status = 200, body = FactorsResponse)))]
pub async fn list(
    State(app): State<App>,
    CurrentSession(live): CurrentSession,
) -> Result<Json<FactorsResponse>, Problem> {
    let data = flow::list(&app, live.user.id).await?;
    Ok(Json(FactorsResponse { data, next_cursor: None }))
}

/// What to enrol.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrolFactorRequest {
    /// `totp`, which is also meant where it is left out.
    #[serde(default, rename = "type")]
    #[schema(rename = "type")]
    pub kind: Kind,
    /// One's own name for the device.
    #[schema(max_length = 100)]
    pub name: Option<String>,
}

/// A factor that was just enrolled: no factor yet, until its first code is presented.
#[derive(Serialize, ToSchema)]
pub struct EnrolledFactor {
    /// The factor.
    pub id: FactorId,
    /// Always `totp`.
    #[serde(rename = "type")]
    #[schema(rename = "type")]
    pub kind: Kind,
    /// One's own name for the device.
    pub name: Option<String>,
    /// The seed in base32, for typing into an app. Shown once.
    pub secret: String,
    /// The same for scanning: `otpauth://totp/…`.
    pub uri: String,
    /// The picture of `uri`.
    pub qr_svg: String,
}

/// The seed is a secret, in each of its forms.
impl fmt::Debug for EnrolledFactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrolledFactor").field("id", &self.id).finish_non_exhaustive()
    }
}

impl From<Enrolled> for EnrolledFactor {
    fn from(enrolled: Enrolled) -> Self {
        let shown = |secret: &SecretString| secret.expose_secret().to_owned();
        Self {
            id: enrolled.id,
            kind: Kind::Totp,
            name: enrolled.name,
            secret: shown(&enrolled.secret),
            uri: shown(&enrolled.uri),
            qr_svg: shown(&enrolled.qr_svg),
        }
    }
}

/// A factor that was just enrolled.
#[derive(Debug, Serialize, ToSchema)]
pub struct EnrolFactorResponse {
    /// The factor, with its seed.
    pub factor: EnrolledFactor,
}

/// Enrol an authenticator app.
///
/// It becomes a factor with its first code, at `POST …/{id}/activations`, within an hour. One enrolment waits at a
/// time: a newer one takes its place. Needs a recent authentication, by two factors where the account has a second.
#[utoipa::path(post, path = "/v1/users/me/factors", tag = "factors", security(("session" = []), ("cookie" = [])),
    request_body = Option<EnrolFactorRequest>, responses((status = 201, body = EnrolFactorResponse)))]
pub async fn enrol(
    State(app): State<App>,
    FreshSession(live): FreshSession,
    client: Client,
    OptionalJson(body): OptionalJson<EnrolFactorRequest>,
) -> Result<(StatusCode, Json<EnrolFactorResponse>), Problem> {
    let mut errors = FieldErrors::default();
    let name = check_name(body.name.as_deref(), &mut errors);
    errors.finish()?;
    let enrolled = flow::enrol(&app, &live, name.as_deref(), &client).await?;
    Ok((StatusCode::CREATED, Json(EnrolFactorResponse { factor: enrolled.into() })))
}

/// The first code.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ActivateFactorRequest {
    /// The six digits that the app shows.
    #[schema(value_type = String)]
    pub code: Option<SecretString>,
}

/// A factor that a code has just proven.
#[derive(Serialize, ToSchema)]
pub struct ActivateFactorResponse {
    /// The factor.
    pub factor: FactorRow,
    /// Ten codes for when the device is lost, each good once. Shown once; empty where the account has some already.
    pub recovery_codes: Vec<String>,
}

/// The codes are secrets.
impl fmt::Debug for ActivateFactorResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActivateFactorResponse").field("factor", &self.factor).finish_non_exhaustive()
    }
}

/// Prove an enrolment by its first code.
///
/// From then on every sign-in asks for a second factor. Sign-ins that are half-way end.
#[utoipa::path(post, path = "/v1/users/me/factors/{id}/activations", tag = "factors",
    params(("id" = FactorId, Path)), security(("session" = []), ("cookie" = [])),
    request_body = ActivateFactorRequest, responses((status = 200, body = ActivateFactorResponse)))]
pub async fn activate(
    State(app): State<App>,
    CurrentSession(live): CurrentSession,
    Path(id): Path<FactorId>,
    client: Client,
    OptionalJson(body): OptionalJson<ActivateFactorRequest>,
) -> Result<Json<ActivateFactorResponse>, Problem> {
    throttle::enforce(&app.db, &[(&throttle::SECOND_FACTOR, &throttle::address_key(client.address))]).await?;
    let code = body.code.unwrap_or_default();
    let activated = flow::activate(&app, &live, id, code.expose_secret(), &client).await?;
    let Activated { factor, recovery_codes } = activated;
    Ok(Json(ActivateFactorResponse { factor, recovery_codes: shown(&recovery_codes) }))
}

/// What to change; a field that is left out stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateFactorRequest {
    /// One's own name for the device; `null` clears it.
    #[serde(default, deserialize_with = "crate::users::routes::sent")]
    #[schema(value_type = Option<String>, max_length = 100)]
    pub name: Option<Option<String>>,
}

/// A factor.
#[derive(Debug, Serialize, ToSchema)]
pub struct FactorResponse {
    /// The factor.
    pub factor: FactorRow,
}

/// Name an authenticator app. Needs a recent authentication.
#[utoipa::path(patch, path = "/v1/users/me/factors/{id}", tag = "factors", params(("id" = FactorId, Path)),
    security(("session" = []), ("cookie" = [])), request_body = UpdateFactorRequest,
    responses((status = 200, body = FactorResponse)))]
pub async fn update(
    State(app): State<App>,
    FreshSession(live): FreshSession,
    Path(id): Path<FactorId>,
    OptionalJson(body): OptionalJson<UpdateFactorRequest>,
) -> Result<Json<FactorResponse>, Problem> {
    let mut errors = FieldErrors::default();
    let name = body.name.map(|name| check_name(name.as_deref(), &mut errors));
    errors.finish()?;
    let factor = flow::rename(&app, &live, id, name.as_ref().map(Option::as_deref)).await?;
    Ok(Json(FactorResponse { factor }))
}

/// Proof that the one who removes a factor holds it.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveFactorRequest {
    /// Six digits that this very app shows, or a recovery code. An enrolment that was never proven goes without.
    #[schema(value_type = Option<String>)]
    pub code: Option<SecretString>,
}

/// Remove an authenticator app.
///
/// Takes a code of it, or a recovery code, beside a recent authentication. Recovery codes go with the last factor.
#[utoipa::path(delete, path = "/v1/users/me/factors/{id}", tag = "factors", params(("id" = FactorId, Path)),
    security(("session" = []), ("cookie" = [])), request_body = Option<RemoveFactorRequest>,
    responses((status = 204, description = "Removed.")))]
pub async fn remove(
    State(app): State<App>,
    RecentSession(live): RecentSession,
    Path(id): Path<FactorId>,
    client: Client,
    OptionalJson(body): OptionalJson<RemoveFactorRequest>,
) -> Result<StatusCode, Problem> {
    throttle::enforce(&app.db, &[(&throttle::SECOND_FACTOR, &throttle::address_key(client.address))]).await?;
    let code = body.code.as_ref().map(SecretString::expose_secret);
    flow::remove(&app, &live, id, code, &client).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// How many recovery codes are left.
#[derive(Debug, Serialize, ToSchema)]
pub struct RecoveryCodesLeftResponse {
    /// Codes that were not used.
    pub remaining: i64,
}

/// Ask how many recovery codes are left.
#[utoipa::path(get, path = "/v1/users/me/recovery-codes", tag = "factors",
    security(("session" = []), ("cookie" = [])), responses((status = 200, body = RecoveryCodesLeftResponse)))]
pub async fn codes_left(
    State(app): State<App>,
    CurrentSession(live): CurrentSession,
) -> Result<Json<RecoveryCodesLeftResponse>, Problem> {
    Ok(Json(RecoveryCodesLeftResponse { remaining: recovery::left(&app, live.user.id).await? }))
}

/// A new set of recovery codes.
#[derive(Serialize, ToSchema)]
pub struct RecoveryCodesResponse {
    /// Ten codes, each good once. Shown once.
    pub recovery_codes: Vec<String>,
}

/// The codes are secrets.
impl fmt::Debug for RecoveryCodesResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecoveryCodesResponse").finish_non_exhaustive()
    }
}

/// Make new recovery codes; the former ones open nothing any more.
///
/// Needs a recent authentication, by two factors where sign-in asks for a second.
#[utoipa::path(post, path = "/v1/users/me/recovery-codes", tag = "factors",
    security(("session" = []), ("cookie" = [])), responses((status = 201, body = RecoveryCodesResponse)))]
pub async fn renew_codes(
    State(app): State<App>,
    FreshSession(live): FreshSession,
    client: Client,
) -> Result<(StatusCode, Json<RecoveryCodesResponse>), Problem> {
    let codes = recovery::renew(&app, &live, &client).await?;
    Ok((StatusCode::CREATED, Json(RecoveryCodesResponse { recovery_codes: shown(&codes) })))
}

/// Codes on their one way to their owner.
pub fn shown(codes: &[SecretString]) -> Vec<String> {
    codes.iter().map(|code| code.expose_secret().to_owned()).collect()
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound => Self::not_found(),
            Error::Active => {
                Self::new(StatusCode::CONFLICT, "factor_active", "The factor is active already.")
            }
            Error::TooMany => Self::new(
                StatusCode::CONFLICT,
                "too_many_factors",
                "The account has as many factors as it may. Remove one first.",
            ),
            Error::Last => Self::new(
                StatusCode::CONFLICT,
                "last_factor",
                "The project asks for a second factor and this is the last. Enrol another one first.",
            ),
            Error::None => Self::new(
                StatusCode::CONFLICT,
                "no_factor",
                "Recovery codes are for accounts with a second factor.",
            ),
            Error::CodeMissing => Self::invalid(vec![]).with_error(
                "/code",
                "required",
                "must be a code of this factor, or a recovery code",
            ),
            Error::WrongCode => Self::invalid(vec![]).with_error(
                "/code",
                "wrong_code",
                "is not valid: mistyped, too old, or used before",
            ),
            Error::Disabled => Self::new(
                StatusCode::FORBIDDEN,
                "method_disabled",
                "Second factors are switched off for the project.",
            ),
            Error::Limited(decision) => decision.into(),
            Error::SecondDue => crate::sessions::extract::second_factor_due(None),
            Error::Ended => crate::sessions::flow::Error::Invalid.into(),
            Error::Database(error) => error.into(),
        }
    }
}
