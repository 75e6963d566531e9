//! The second half of a sign-in.

use axum::response::{IntoResponse as _, Response};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::respond_with;
use crate::app::App;
use crate::platform::http::{Client, Json, Problem, json};
use crate::sessions::Live;
use crate::sessions::flow::Elevated;
use crate::totp::model::Code;
use crate::totp::routes::{EnrolFactorResponse, shown};
use crate::totp::second;

/// A code in answer to a 202.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecondFactor {
    /// From the 202: `att_…`.
    #[schema(value_type = String)]
    pub attempt_token: SecretString,
    /// The six digits that the app shows, or a recovery code.
    #[schema(value_type = String)]
    pub code: SecretString,
    /// Put the session's token into the browser's cookie instead of the body.
    #[serde(default)]
    pub cookie: bool,
    /// Also hand out a refresh token, as if it had been asked for at the first factor.
    #[serde(default)]
    pub refresh_token: bool,
}

/// Enrolment on the way in, where the project asks for a second factor and the account has none.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrolmentAtSignIn {
    /// From the 202: `att_…`.
    #[schema(value_type = String)]
    pub attempt_token: SecretString,
}

/// Step-up with a second factor of the session's owner.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecondFactorStepUp {
    /// The six digits that the app shows, or a recovery code.
    #[schema(value_type = String)]
    pub code: SecretString,
}

/// Which kind of code a method is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    Totp,
    RecoveryCode,
}

impl Expected {
    fn read(self, text: &SecretString) -> Result<Code, Problem> {
        let code = Code::parse(text.expose_secret());
        code.filter(|code| matches!(code, Code::Totp(_)) == (self == Self::Totp)).ok_or_else(|| {
            let detail = match self {
                Self::Totp => "must be the six digits that the app shows",
                Self::RecoveryCode => "must be the sixteen characters of a recovery code",
            };
            Problem::invalid(vec![]).with_error("/code", "invalid_code", detail)
        })
    }
}

pub(super) async fn sign_in(
    app: &App,
    body: Value,
    expected: Expected,
    client: &Client,
) -> Result<Response, Problem> {
    let body: SecondFactor = json::decode(body)?;
    let code = expected.read(&body.code)?;
    let finished = second::sign_in(app, &body.attempt_token, &code, body.refresh_token, client).await?;
    let recovery_codes = finished.recovery_codes.as_deref().map(shown);
    Ok(respond_with(app, finished.signed_in, body.cookie, recovery_codes))
}

pub(super) async fn enrol(app: &App, body: Value, client: &Client) -> Result<Response, Problem> {
    let body: EnrolmentAtSignIn = json::decode(body)?;
    let enrolled = second::enrol(app, &body.attempt_token, client).await?;
    Ok(Json(EnrolFactorResponse { factor: enrolled.into() }).into_response())
}

pub(super) async fn step_up(
    app: &App,
    body: Value,
    expected: Expected,
    live: &Live,
    client: &Client,
) -> Result<Elevated, Problem> {
    let body: SecondFactorStepUp = json::decode(body)?;
    let code = expected.read(&body.code)?;
    Ok(second::step_up(app, live, &code, client).await?)
}
