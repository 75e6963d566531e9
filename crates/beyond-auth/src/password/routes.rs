//! Passwords over HTTP.

use axum::extract::State;
use http::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::flow::{self, Error};
use crate::app::App;
use crate::platform::crypto::password::PolicyViolation;
use crate::platform::http::{Client, FieldError, Json, Problem, throttle};
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
    let errors = match flow::check(&app, &settings, body.password.expose_secret(), &context) {
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
