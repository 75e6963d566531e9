//! Passkeys over HTTP.

use axum::extract::{FromRequestParts as _, State};
use chrono::{DateTime, Utc};
use http::{StatusCode, request};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::ceremony::{RegistrationResponse, RelyingParty};
use super::model::{Error, MOST_PASSKEYS, Offer, Passkey, check_name};
use super::{authentication, flow};
use crate::app::App;
use crate::platform::http::extract::OptionalJson;
use crate::platform::http::{Client, FieldErrors, Json, Path, Problem, throttle};
use crate::platform::ids::{ChallengeId, PasskeyId};
use crate::sessions::{CurrentSession, FreshSession, extract};
use crate::settings;

/// Options for the browser's dialog.
#[derive(Debug, Serialize, ToSchema)]
pub struct PasskeyOptionsResponse {
    /// To be sent back with the browser's answer.
    pub challenge_id: ChallengeId,
    /// The challenge ends then, or with its first use.
    pub expires_at: DateTime<Utc>,
    /// What `navigator.credentials` takes.
    pub options: PasskeyOptions,
}

/// What `navigator.credentials` takes, with binary members in base64url:
/// `PublicKeyCredential.parseCreationOptionsFromJSON` and `parseRequestOptionsFromJSON` read it.
#[derive(Debug, Serialize, ToSchema)]
pub struct PasskeyOptions {
    /// `PublicKeyCredentialCreationOptionsJSON` or `PublicKeyCredentialRequestOptionsJSON` of W3C Web Authentication.
    #[serde(rename = "publicKey")]
    #[schema(value_type = Object)]
    pub public_key: Value,
}

impl From<Offer> for Json<PasskeyOptionsResponse> {
    fn from(offer: Offer) -> Self {
        let Offer { challenge_id, expires_at, options } = offer;
        Self(PasskeyOptionsResponse {
            challenge_id,
            expires_at,
            options: PasskeyOptions { public_key: options },
        })
    }
}

/// Nothing to choose.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegistrationOptionsRequest {}

/// Begin to register a passkey.
///
/// Hand `options` to `navigator.credentials.create`, and its answer to `POST /v1/users/me/passkeys` within five
/// minutes. Needs a recent authentication.
#[utoipa::path(post, path = "/v1/users/me/passkeys/registration-options", tag = "passkeys",
    security(("session" = []), ("cookie" = [])), request_body = Option<RegistrationOptionsRequest>,
    responses((status = 200, body = PasskeyOptionsResponse)))]
pub async fn registration_options(
    State(app): State<App>,
    FreshSession(live): FreshSession,
    OptionalJson(RegistrationOptionsRequest {}): OptionalJson<RegistrationOptionsRequest>,
) -> Result<Json<PasskeyOptionsResponse>, Problem> {
    Ok(flow::begin(&app, &live).await?.into())
}

/// A passkey that an authenticator has made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterPasskeyRequest {
    /// From the options.
    pub challenge_id: ChallengeId,
    /// `RegistrationResponseJSON` of W3C Web Authentication: what `credential.toJSON()` gives.
    #[schema(value_type = Object)]
    pub credential: RegistrationResponse,
    /// One's own name for it; otherwise named after the authenticator or the browser.
    #[schema(max_length = 100)]
    pub name: Option<String>,
}

/// A passkey.
#[derive(Debug, Serialize, ToSchema)]
pub struct PasskeyResponse {
    /// The passkey.
    pub passkey: Passkey,
}

/// Register a passkey.
///
/// The owner gets a mail. Needs a recent authentication.
#[utoipa::path(post, path = "/v1/users/me/passkeys", tag = "passkeys",
    security(("session" = []), ("cookie" = [])), request_body = RegisterPasskeyRequest,
    responses((status = 201, body = PasskeyResponse)))]
pub async fn register(
    State(app): State<App>,
    FreshSession(live): FreshSession,
    client: Client,
    Json(body): Json<RegisterPasskeyRequest>,
) -> Result<(StatusCode, Json<PasskeyResponse>), Problem> {
    let mut errors = FieldErrors::default();
    let name = body.name.and_then(|name| check_name(&name, &mut errors));
    errors.finish()?;
    let passkey = flow::register(&app, &live, body.challenge_id, &body.credential, name, &client).await?;
    Ok((StatusCode::CREATED, Json(PasskeyResponse { passkey })))
}

/// A user's passkeys.
#[derive(Debug, Serialize, ToSchema)]
pub struct PasskeysResponse {
    /// Oldest first.
    pub data: Vec<Passkey>,
    /// Always `null`: a user has few passkeys.
    pub next_cursor: Option<String>,
}

/// List one's own passkeys.
#[utoipa::path(get, path = "/v1/users/me/passkeys", tag = "passkeys", security(("session" = []), ("cookie" = [])),
    responses((status = 200, body = PasskeysResponse)))]
pub async fn list(
    State(app): State<App>,
    CurrentSession(live): CurrentSession,
) -> Result<Json<PasskeysResponse>, Problem> {
    let data = flow::list(&app, live.user.id).await?;
    Ok(Json(PasskeysResponse { data, next_cursor: None }))
}

/// A new name.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RenamePasskeyRequest {
    /// One's own name for it.
    #[schema(min_length = 1, max_length = 100)]
    pub name: String,
}

/// Rename a passkey. Needs a recent authentication.
#[utoipa::path(patch, path = "/v1/users/me/passkeys/{id}", tag = "passkeys", params(("id" = PasskeyId, Path)),
    security(("session" = []), ("cookie" = [])), request_body = RenamePasskeyRequest,
    responses((status = 200, body = PasskeyResponse)))]
pub async fn rename(
    State(app): State<App>,
    FreshSession(live): FreshSession,
    Path(id): Path<PasskeyId>,
    client: Client,
    Json(body): Json<RenamePasskeyRequest>,
) -> Result<Json<PasskeyResponse>, Problem> {
    let mut errors = FieldErrors::default();
    let name = check_name(&body.name, &mut errors);
    errors.finish()?;
    let passkey = flow::rename(&app, &live, id, &name.unwrap_or_default(), &client).await?;
    Ok(Json(PasskeyResponse { passkey }))
}

/// Remove a passkey, unless it is the last way into the account.
///
/// The owner gets a mail. Needs a recent authentication.
#[utoipa::path(delete, path = "/v1/users/me/passkeys/{id}", tag = "passkeys", params(("id" = PasskeyId, Path)),
    security(("session" = []), ("cookie" = [])), responses((status = 204, description = "Removed.")))]
pub async fn remove(
    State(app): State<App>,
    FreshSession(live): FreshSession,
    Path(id): Path<PasskeyId>,
    client: Client,
) -> Result<StatusCode, Problem> {
    flow::remove(&app, &live, id, &client).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What a passkey is to be presented for; a sign-in where nothing is said.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthenticationOptionsRequest {
    /// For the second factor of this half-finished sign-in.
    #[schema(value_type = Option<String>)]
    pub attempt_token: Option<SecretString>,
    /// For stepping up the session that the request presents.
    #[serde(default)]
    pub step_up: bool,
}

/// Begin to present a passkey.
///
/// Without a body, for a sign-in: the browser offers whatever passkeys it has (also in the autofill of a form, with
/// `mediation: "conditional"`), and the answer goes to `POST /v1/sessions`. With `attempt_token`, for the second factor
/// of that sign-in. With `"step_up": true`, for `POST /v1/sessions/current/verifications` of the session that the
/// request presents.
#[utoipa::path(post, path = "/v1/passkeys/authentication-options", tag = "passkeys",
    request_body = Option<AuthenticationOptionsRequest>,
    responses((status = 200, body = PasskeyOptionsResponse)))]
pub async fn authentication_options(
    State(app): State<App>,
    client: Client,
    mut parts: request::Parts,
    OptionalJson(body): OptionalJson<AuthenticationOptionsRequest>,
) -> Result<Json<PasskeyOptionsResponse>, Problem> {
    throttle::enforce(&app.db, &[(&throttle::PASSKEY_OPTIONS, &throttle::address_key(client.address))])
        .await?;
    let offer = match (body.attempt_token, body.step_up) {
        (None, false) => authentication::begin_sign_in(&app).await?,
        (Some(token), false) => authentication::begin_second_factor(&app, &token).await?,
        (None, true) => {
            let CurrentSession(live) = CurrentSession::from_request_parts(&mut parts, &app).await?;
            authentication::begin_step_up(&app, &live).await?
        }
        (Some(_), true) => {
            let what = "give either `attempt_token` or `step_up`";
            return Err(Problem::invalid(vec![]).with_error("/step_up", "invalid_value", what));
        }
    };
    Ok(offer.into())
}

/// Origins whose pages may use this project's passkeys.
#[derive(Debug, Serialize, ToSchema)]
pub struct RelatedOrigins {
    /// The service's own and those in the setting `allowed_origins`.
    pub origins: Vec<String>,
}

/// The origins whose pages may use this project's passkeys (W3C Web Authentication, section 5.11).
///
/// Browsers ask for it at `https://{webauthn-rp-id}/.well-known/webauthn`: where the service is reached under another
/// name, let that address lead here.
#[utoipa::path(get, path = "/.well-known/webauthn", tag = "passkeys",
    responses((status = 200, body = RelatedOrigins)))]
pub async fn related_origins(State(app): State<App>) -> Result<Json<RelatedOrigins>, Problem> {
    let mut conn = app.db.acquire().await?;
    let settings = settings::load(&mut conn).await?;
    Ok(Json(RelatedOrigins { origins: RelyingParty::new(&app.config, &settings).origins }))
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Disabled => Self::new(
                StatusCode::FORBIDDEN,
                "method_disabled",
                "Passkeys are switched off for the project.",
            ),
            Error::Challenge => Self::new(
                StatusCode::BAD_REQUEST,
                "invalid_challenge",
                "The challenge has expired, been used, or was made for something else. Ask for new options.",
            ),
            Error::Invalid(refusal) => {
                Self::invalid(vec![]).with_error("/credential", "invalid_passkey", refusal.to_string())
            }
            Error::Taken => {
                Self::new(StatusCode::CONFLICT, "passkey_taken", "This passkey is registered already.")
            }
            Error::TooMany => Self::new(
                StatusCode::CONFLICT,
                "too_many_passkeys",
                format!("An account holds at most {MOST_PASSKEYS} passkeys. Remove one first."),
            ),
            Error::NotFound => Self::not_found(),
            Error::LastWayIn => Self::new(
                StatusCode::CONFLICT,
                "last_way_in",
                "This is the last way into the account. Add another one first.",
            ),
            Error::SecondFactorDue => extract::second_factor_due(None),
            Error::LastFactor => Self::new(
                StatusCode::CONFLICT,
                "last_factor",
                "The project asks for a second factor and this is the last. Enrol another one first.",
            ),
            Error::Ended => crate::sessions::flow::Error::Invalid.into(),
            Error::SignIn(error) => error.into(),
            Error::Database(error) => error.into(),
        }
    }
}
