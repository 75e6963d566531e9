//! Signing in with what a mail brought.

use axum::response::Response;
use http::HeaderMap;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::answer;
use crate::app::App;
use crate::emails::Email;
use crate::magic_link::{self, Presented};
use crate::platform::http::{Client, FieldErrors, Problem, json};
use crate::sessions::Live;
use crate::sessions::flow::Elevated;
use crate::sign_in::Wish;

/// Sign-in with a mailed link.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MagicLinkSignIn {
    /// From the link: `ml_…`.
    #[schema(value_type = String)]
    pub token: SecretString,
    /// Put the token into the browser's cookie instead of the body.
    #[serde(default)]
    pub cookie: bool,
    /// Also hand out a refresh token.
    #[serde(default)]
    pub refresh_token: bool,
}

/// Sign-in with a mailed code.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EmailCodeSignIn {
    /// Where the mail went.
    pub email: String,
    /// The six digits.
    #[schema(value_type = String)]
    pub code: SecretString,
    /// From the answer to `POST /v1/magic-links`; the browser's cookie may hold it instead. Without it the code is
    /// refused.
    #[schema(value_type = Option<String>)]
    pub request_token: Option<SecretString>,
    /// Put the token into the browser's cookie instead of the body.
    #[serde(default)]
    pub cookie: bool,
    /// Also hand out a refresh token.
    #[serde(default)]
    pub refresh_token: bool,
}

/// Step-up with a mailed link.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MagicLinkStepUp {
    /// From the link: `ml_…`.
    #[schema(value_type = String)]
    pub token: SecretString,
}

/// Step-up with a mailed code.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EmailCodeStepUp {
    /// Where the mail went: an address of the session's owner.
    pub email: String,
    /// The six digits.
    #[schema(value_type = String)]
    pub code: SecretString,
    /// From the answer to `POST /v1/magic-links`, unless the browser's cookie holds it.
    #[schema(value_type = Option<String>)]
    pub request_token: Option<SecretString>,
}

pub(super) async fn link_sign_in(app: &App, body: Value, client: &Client) -> Result<Response, Problem> {
    let body: MagicLinkSignIn = json::decode(body)?;
    let wish = Wish { refresh_token: body.refresh_token };
    let outcome = magic_link::flow::sign_in(app, &Presented::Link(body.token), wish, client).await?;
    Ok(answer(app, outcome, body.cookie))
}

pub(super) async fn code_sign_in(
    app: &App,
    headers: &HeaderMap,
    body: Value,
    client: &Client,
) -> Result<Response, Problem> {
    let body: EmailCodeSignIn = json::decode(body)?;
    let wish = Wish { refresh_token: body.refresh_token };
    let presented = code(app, headers, &body.email, body.code, body.request_token)?;
    let outcome = magic_link::flow::sign_in(app, &presented, wish, client).await?;
    Ok(answer(app, outcome, body.cookie))
}

pub(super) async fn link_step_up(
    app: &App,
    live: &Live,
    body: Value,
    client: &Client,
) -> Result<Elevated, Problem> {
    let body: MagicLinkStepUp = json::decode(body)?;
    Ok(magic_link::flow::step_up(app, live, &Presented::Link(body.token), client).await?)
}

pub(super) async fn code_step_up(
    app: &App,
    live: &Live,
    headers: &HeaderMap,
    body: Value,
    client: &Client,
) -> Result<Elevated, Problem> {
    let body: EmailCodeStepUp = json::decode(body)?;
    let presented = code(app, headers, &body.email, body.code, body.request_token)?;
    Ok(magic_link::flow::step_up(app, live, &presented, client).await?)
}

/// The code with the secret of its request: what the body says, or else what the browser kept.
fn code(
    app: &App,
    headers: &HeaderMap,
    email: &str,
    code: SecretString,
    request: Option<SecretString>,
) -> Result<Presented, Problem> {
    let mut errors = FieldErrors::default();
    let email = errors.take("/email", Email::parse(email));
    errors.finish()?;
    let email = email.ok_or_else(Problem::internal)?;
    let request = match request {
        Some(request) => Some(request),
        None => magic_link::cookie::read(app, headers)?,
    };
    Ok(Presented::Code { email, code, request })
}
