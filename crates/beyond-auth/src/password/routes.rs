//! Passwords over HTTP.

use axum::extract::State;
use http::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::flow::{self, Error};
use super::reset;
use crate::app::App;
use crate::emails::Email;
use crate::platform::crypto::password::PolicyViolation;
use crate::platform::http::{Client, FieldError, FieldErrors, Json, Problem, throttle};
use crate::sessions::FreshSession;
use crate::settings;

/// A new password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePasswordRequest {
    /// The present password; required when there is one.
    #[schema(value_type = Option<String>)]
    pub current_password: Option<SecretString>,
    /// 8 to 256 characters, any Unicode, at most 1,024 bytes.
    #[schema(value_type = String)]
    pub password: SecretString,
}

/// Set or change one's own password.
///
/// Every other session ends and the owner gets a mail. Needs a recent authentication.
#[utoipa::path(put, path = "/v1/users/me/password", tag = "password",
    security(("session" = []), ("cookie" = [])), request_body = ChangePasswordRequest,
    responses((status = 204, description = "Changed.")))]
pub async fn change(
    State(app): State<App>,
    FreshSession(live): FreshSession,
    client: Client,
    Json(body): Json<ChangePasswordRequest>,
) -> Result<StatusCode, Problem> {
    flow::change(&app, &live, body.current_password.as_ref(), &body.password, &client).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Remove one's own password.
///
/// Only where another way in remains. Every other session ends and the owner gets a mail. Needs a recent authentication.
#[utoipa::path(delete, path = "/v1/users/me/password", tag = "password",
    security(("session" = []), ("cookie" = [])), responses((status = 204, description = "Removed.")))]
pub async fn remove(
    State(app): State<App>,
    FreshSession(live): FreshSession,
    client: Client,
) -> Result<StatusCode, Problem> {
    flow::remove(&app, &live, &client).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whose password is forgotten.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordResetRequest {
    /// The address; a mail goes there if it has an account.
    pub email: String,
}

/// A mail is on its way, if there is anybody to send it to.
#[derive(Debug, Serialize, ToSchema)]
pub struct PasswordResetResponse {
    /// `sent`, whoever asks for whomever.
    pub status: &'static str,
}

/// Ask for a mail to set a new password with.
///
/// 202 for everybody. The link is valid for 30 minutes and works once; a newer request ends the older.
#[utoipa::path(post, path = "/v1/password-resets", tag = "password", request_body = PasswordResetRequest,
    responses((status = 202, body = PasswordResetResponse)))]
pub async fn request_reset(
    State(app): State<App>,
    client: Client,
    Json(body): Json<PasswordResetRequest>,
) -> Result<(StatusCode, Json<PasswordResetResponse>), Problem> {
    let mut errors = FieldErrors::default();
    let email = errors.take("/email", Email::parse(&body.email));
    errors.finish()?;
    let email = email.ok_or_else(Problem::internal)?;
    throttle::enforce(&app.db, &[(&throttle::MAIL_SENDING, &throttle::address_key(client.address))]).await?;
    reset::request(&app, &email, &client).await?;
    Ok((StatusCode::ACCEPTED, Json(PasswordResetResponse { status: "sent" })))
}

/// A new password, and the right to set it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RedeemPasswordResetRequest {
    /// From the link: `pwr_…`.
    #[schema(value_type = String)]
    pub token: SecretString,
    /// 8 to 256 characters, any Unicode, at most 1,024 bytes.
    #[schema(value_type = String)]
    pub password: SecretString,
}

/// Set a new password by a mailed link.
///
/// Every session ends, and whatever else was mailed to the account. Gives no session and takes no second factor away:
/// sign in through `POST /v1/sessions`. A password that may not be used (422) does not cost the link.
#[utoipa::path(post, path = "/v1/password-resets/redemptions", tag = "password",
    request_body = RedeemPasswordResetRequest, responses((status = 204, description = "Set.")))]
pub async fn redeem_reset(
    State(app): State<App>,
    client: Client,
    Json(body): Json<RedeemPasswordResetRequest>,
) -> Result<StatusCode, Problem> {
    throttle::enforce(&app.db, &[(&throttle::REDEMPTION, &throttle::address_key(client.address))]).await?;
    reset::redeem(&app, &body.token, &body.password, &client).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A password to be checked before it is submitted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckPasswordRequest {
    /// The password.
    #[schema(value_type = String)]
    pub password: SecretString,
    /// The address it would belong to: it must not be made of it.
    pub email: Option<String>,
}

/// Whether a password may be used.
#[derive(Debug, Serialize, ToSchema)]
pub struct CheckPasswordResponse {
    /// Whether it may.
    pub acceptable: bool,
    /// Why not; empty when it may.
    pub errors: Vec<FieldError>,
}

/// Ask whether a password may be used, while it is typed. Nothing is stored.
#[utoipa::path(post, path = "/v1/password-checks", tag = "password", request_body = CheckPasswordRequest,
    responses((status = 200, body = CheckPasswordResponse)))]
pub async fn check(
    State(app): State<App>,
    client: Client,
    Json(body): Json<CheckPasswordRequest>,
) -> Result<Json<CheckPasswordResponse>, Problem> {
    throttle::enforce(&app.db, &[(&throttle::PASSWORD_CHECK, &throttle::address_key(client.address))])
        .await?;
    let mut conn = app.db.acquire().await?;
    let settings = settings::load(&mut conn).await?;
    drop(conn);
    let context: Vec<&str> = body.email.as_deref().into_iter().collect();
    let errors = match flow::check(&app, &settings, body.password.expose_secret(), &context).await {
        Ok(()) => Vec::new(),
        Err(violations) => field_errors(violations, "/password"),
    };
    Ok(Json(CheckPasswordResponse { acceptable: errors.is_empty(), errors }))
}

/// Policy violations as field errors.
pub fn field_errors(violations: Vec<PolicyViolation>, pointer: &str) -> Vec<FieldError> {
    let error = |violation: PolicyViolation| FieldError {
        pointer: pointer.to_owned(),
        code: violation.code,
        detail: violation.detail,
    };
    violations.into_iter().map(error).collect()
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::WrongCurrent => Self::invalid(vec![]).with_error(
                "/current_password",
                "wrong_password",
                "is not the present password",
            ),
            Error::Policy(violations) => Self::invalid(field_errors(violations, "/password")),
            Error::Ended => crate::sessions::flow::Error::Invalid.into(),
            Error::LastWayIn => Self::new(
                StatusCode::CONFLICT,
                "last_way_in",
                "Without it there would be no way to sign in. Set up another one first.",
            ),
            Error::NoPassword => Self::not_found(),
            Error::Disabled => Self::new(
                StatusCode::FORBIDDEN,
                "method_disabled",
                "Passwords are switched off for the project.",
            ),
            Error::Limited(decision) => decision.into(),
            Error::Busy(_) => Self::unavailable(2),
            Error::Database(error) => error.into(),
        }
    }
}

impl From<reset::Error> for Problem {
    fn from(error: reset::Error) -> Self {
        match error {
            reset::Error::Invalid => Self::new(
                StatusCode::BAD_REQUEST,
                "invalid_reset",
                "The link is not valid: it may have expired, been used, or been replaced by a newer mail.",
            ),
            reset::Error::Disabled => Error::Disabled.into(),
            reset::Error::Policy(violations) => Error::Policy(violations).into(),
            reset::Error::Limited(decision) => decision.into(),
            reset::Error::Busy(error) => Error::Busy(error).into(),
            reset::Error::Database(error) => error.into(),
        }
    }
}
