//! Signing in over HTTP.

pub mod client_config;
pub mod federated;
pub mod mailed;
pub mod passkey;
pub mod renewal;
pub mod second_factor;

use std::fmt;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use http::header;
use http::{HeaderMap, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use self::second_factor::{EnrolmentAtSignIn, Expected, SecondFactor, SecondFactorStepUp};
use crate::app::App;
use crate::emails::Email;
use crate::password;
use crate::platform::http::{Client, FieldErrors, Json, Problem, json, throttle};
use crate::platform::limits::Limit;
use crate::refresh::routes::IssuedRefreshToken;
use crate::sessions::{self, CurrentSession, Session};
use crate::sign_in::{self, Factor, IssuedAttempt, Outcome, SignedIn, Wish};
use crate::users::User;

/// How to sign in. `method` decides which further members there are.
#[derive(Debug, ToSchema)]
#[schema(as = CreateSessionRequest)]
#[serde(tag = "method", rename_all = "snake_case")]
pub enum CreateSessionRequest {
    /// Address and password.
    Password(PasswordSignIn),
    /// A passkey, alone or as the second factor.
    Passkey(passkey::PasskeySignIn),
    /// After a 202: a code from the authenticator app.
    Totp(SecondFactor),
    /// After a 202: a recovery code.
    RecoveryCode(SecondFactor),
    /// After a 202 with `enrolment_required`: enrol an authenticator app; its first code then finishes the sign-in.
    TotpEnrolment(EnrolmentAtSignIn),
    /// A mailed link.
    MagicLink(mailed::MagicLinkSignIn),
    /// A mailed code.
    EmailCode(mailed::EmailCodeSignIn),
    /// The code that the application took home from a provider.
    Oauth(federated::OauthSignIn),
    /// An identity token that the application got itself.
    IdToken(federated::IdTokenSignIn),
}

/// Sign-in with address and password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordSignIn {
    /// Any proven address of the account.
    pub email: String,
    /// The password.
    #[schema(value_type = String)]
    pub password: SecretString,
    /// Put the token into the browser's cookie instead of the body.
    #[serde(default)]
    pub cookie: bool,
    /// Also hand out a refresh token.
    #[serde(default)]
    pub refresh_token: bool,
}

/// A new session.
#[derive(Serialize, ToSchema)]
pub struct CreatedSession {
    /// The token: shown once. Absent when it went into the cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The session.
    #[serde(flatten)]
    pub session: Session,
}

/// The token is a secret.
impl fmt::Debug for CreatedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreatedSession").field("session", &self.session).finish_non_exhaustive()
    }
}

/// A finished sign-in.
#[derive(Serialize, ToSchema)]
pub struct CreateSessionResponse {
    /// The session.
    pub session: CreatedSession,
    /// Who signed in.
    pub user: User,
    /// Where it was asked for: renews the session at `POST /v1/refresh-tokens/rotations`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<IssuedRefreshToken>,
    /// Where a second factor was enrolled on the way in: ten codes for when the device is lost. Shown once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery_codes: Option<Vec<String>>,
}

/// The codes are secrets.
impl fmt::Debug for CreateSessionResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("CreateSessionResponse");
        shown.field("session", &self.session).field("user", &self.user).finish_non_exhaustive()
    }
}

/// A sign-in that waits for the second factor.
#[derive(Serialize, ToSchema)]
pub struct Attempt {
    /// Shown once (`att_…`); opens nothing but this door.
    pub token: String,
    /// It ends then.
    pub expires_at: DateTime<Utc>,
    /// What may be presented.
    pub factors: Vec<Factor>,
    /// There is nothing to present yet, and the project asks for it: enrol with the method `totp_enrolment`.
    pub enrolment_required: bool,
}

/// The token is a secret.
impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt").field("factors", &self.factors).finish_non_exhaustive()
    }
}

/// The first factor is proven, the second is due.
#[derive(Debug, Serialize, ToSchema)]
pub struct FactorDueResponse {
    /// The sign-in so far.
    pub attempt: Attempt,
}

/// Sign in: the one door.
///
/// Unknown address, wrong password, unproven address and ban give the same 401 `invalid_credentials`. 202 when a second
/// factor is due: present it here, with `attempt_token`, within ten minutes.
#[utoipa::path(post, path = "/v1/sessions", tag = "sessions", request_body = CreateSessionRequest,
    responses((status = 201, body = CreateSessionResponse), (status = 202, body = FactorDueResponse)))]
pub async fn create(
    State(app): State<App>,
    client: Client,
    headers: HeaderMap,
    Json(mut body): Json<Value>,
) -> Result<Response, Problem> {
    let method = take_method(&mut body)?;
    throttle::enforce(&app.db, &[(limit_of(&method), &throttle::address_key(client.address))]).await?;
    match method.as_str() {
        "password" => {
            let body: PasswordSignIn = json::decode(body)?;
            let mut errors = FieldErrors::default();
            let email = errors.take("/email", Email::parse(&body.email));
            if body.password.expose_secret().is_empty() {
                errors.push("/password", "required", "must not be empty");
            }
            errors.finish()?;
            let email = email.ok_or_else(Problem::internal)?;
            let wish = Wish { refresh_token: body.refresh_token };
            let outcome = password::flow::sign_in(&app, &email, &body.password, wish, &client).await?;
            Ok(answer(&app, outcome, body.cookie))
        }
        "passkey" => passkey::sign_in(&app, body, &client).await,
        "totp" => second_factor::sign_in(&app, body, Expected::Totp, &client).await,
        "recovery_code" => second_factor::sign_in(&app, body, Expected::RecoveryCode, &client).await,
        "totp_enrolment" => second_factor::enrol(&app, body, &client).await,
        "magic_link" => mailed::link_sign_in(&app, body, &client).await,
        "email_code" => mailed::code_sign_in(&app, &headers, body, &client).await,
        "oauth" => federated::sign_in(&app, body, &client).await,
        "id_token" => federated::token_sign_in(&app, body, &client).await,
        _ => Err(unknown_method()),
    }
}

/// The session as it is after the step-up.
#[derive(Debug, Serialize, ToSchema)]
pub struct StepUpResponse {
    /// With a new `token`, or without one where it went into the cookie: the old one opens nothing any more.
    pub session: CreatedSession,
    /// Its owner.
    pub user: User,
}

/// Step up: present a credential again, for calls that ask for a recent authentication.
///
/// Takes the same methods as `POST /v1/sessions`. Raises `aal` and `amr` where the credential is a further one, and
/// replaces the token (in the cookie, where that is how the session came): a copy of the old one stays as stale as it
/// was, which is to say that it opens nothing.
#[utoipa::path(post, path = "/v1/sessions/current/verifications", tag = "sessions",
    security(("session" = []), ("cookie" = [])), request_body = StepUpRequest,
    responses((status = 200, body = StepUpResponse)))]
pub async fn step_up(
    State(app): State<App>,
    CurrentSession(live): CurrentSession,
    client: Client,
    headers: HeaderMap,
    Json(mut body): Json<Value>,
) -> Result<Response, Problem> {
    let method = take_method(&mut body)?;
    if live.session.impersonator.is_some() {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "impersonated_session",
            "A session that acts as somebody else cannot be stepped up.",
        ));
    }
    throttle::enforce(&app.db, &[(limit_of(&method), &throttle::address_key(client.address))]).await?;
    let elevated = match method.as_str() {
        "password" => {
            let body: PasswordStepUp = json::decode(body)?;
            password::flow::step_up(&app, &live, &body.password, &client).await?
        }
        "passkey" => passkey::step_up(&app, &live, body, &client).await?,
        "totp" => second_factor::step_up(&app, body, Expected::Totp, &live, &client).await?,
        "recovery_code" => second_factor::step_up(&app, body, Expected::RecoveryCode, &live, &client).await?,
        "magic_link" => mailed::link_step_up(&app, &live, body, &client).await?,
        "email_code" => mailed::code_step_up(&app, &live, &headers, body, &client).await?,
        "oauth" => federated::step_up(&app, &live, body, &client).await?,
        _ => return Err(unknown_method()),
    };
    let by_cookie = sessions::cookie::carries(&app, &headers);
    let (session, token) = (elevated.session, elevated.token);
    let set_cookie = by_cookie.then(|| sessions::cookie::header(&app, &session, &token)).flatten();
    let token = (!by_cookie).then(|| token.expose_secret().to_owned());
    let body = StepUpResponse { session: CreatedSession { token, session }, user: live.user };
    let mut response = Json(body).into_response();
    if let Some(value) = set_cookie {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    Ok(response)
}

/// How to step up. `method` decides which further members there are.
#[derive(Debug, ToSchema)]
#[serde(tag = "method", rename_all = "snake_case")]
pub enum StepUpRequest {
    /// The account's password.
    Password(PasswordStepUp),
    /// A passkey.
    Passkey(passkey::PasskeyStepUp),
    /// A code from the authenticator app: the session has two factors from then on.
    Totp(SecondFactorStepUp),
    /// A recovery code: the same.
    RecoveryCode(SecondFactorStepUp),
    /// A mailed link.
    MagicLink(mailed::MagicLinkStepUp),
    /// A mailed code.
    EmailCode(mailed::EmailCodeStepUp),
    /// The code that the application took home from a provider.
    Oauth(federated::OauthStepUp),
}

/// Step-up with the password of the session's owner.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordStepUp {
    /// The password.
    #[schema(value_type = String)]
    pub password: SecretString,
}

fn take_method(body: &mut Value) -> Result<String, Problem> {
    let Some(object) = body.as_object_mut() else {
        return Err(Problem::invalid(vec![]).with_error("", "invalid_type", "must be an object"));
    };
    match object.remove("method") {
        Some(Value::String(method)) => Ok(method),
        Some(_) => Err(Problem::invalid(vec![]).with_error("/method", "invalid_type", "must be a string")),
        None => Err(Problem::invalid(vec![]).with_error("/method", "required", "must say how to sign in")),
    }
}

/// What a method is limited by, per network address.
fn limit_of(method: &str) -> &'static Limit {
    match method {
        "totp" | "recovery_code" | "totp_enrolment" => &throttle::SECOND_FACTOR,
        _ => &throttle::SIGN_IN,
    }
}

fn unknown_method() -> Problem {
    Problem::invalid(vec![]).with_error("/method", "unknown_value", "is not a method of this call")
}

/// 201 with the new session, or 202 with what is still due.
pub fn answer(app: &App, outcome: Outcome, cookie: bool) -> Response {
    match outcome {
        Outcome::SignedIn(signed_in) => respond(app, *signed_in, cookie),
        Outcome::FactorDue(attempt) => {
            let IssuedAttempt { token, expires_at, factors, enrolment_required } = attempt;
            let token = token.expose_secret().to_owned();
            let attempt = Attempt { token, expires_at, factors, enrolment_required };
            (StatusCode::ACCEPTED, Json(FactorDueResponse { attempt })).into_response()
        }
    }
}

/// 201 with the new session; its token in the body or in the cookie, never in both.
pub fn respond(app: &App, signed_in: SignedIn, cookie: bool) -> Response {
    respond_with(app, signed_in, cookie, None)
}

fn respond_with(
    app: &App,
    signed_in: SignedIn,
    cookie: bool,
    recovery_codes: Option<Vec<String>>,
) -> Response {
    let SignedIn { session, token, user, refresh_token, device } = signed_in;
    let set_cookie = cookie.then(|| sessions::cookie::header(app, &session, &token)).flatten();
    let device = device.filter(|_| cookie).and_then(|device| sign_in::cookie::header(app, &device));
    let token = (!cookie).then(|| token.expose_secret().to_owned());
    let refresh_token = refresh_token.map(IssuedRefreshToken::from);
    let session = CreatedSession { token, session };
    let body = CreateSessionResponse { session, user, refresh_token, recovery_codes };
    let mut response = (StatusCode::CREATED, Json(body)).into_response();
    for value in set_cookie.into_iter().chain(device) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    response
}
