//! Signing in with what a provider has said.

use axum::response::Response;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::answer;
use crate::app::App;
use crate::oauth::redemption::{self, Presented};
use crate::platform::http::{Client, Problem, json};
use crate::sessions::Live;
use crate::sessions::flow::Elevated;
use crate::sign_in::Wish;

/// Sign-in with the code that came back from `/v1/oauth/{provider}/authorize`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OauthSignIn {
    /// From the address that the person was sent back to: `oac_…`. Two minutes, once.
    #[schema(value_type = String)]
    pub code: SecretString,
    /// Whose SHA-256 was the `code_challenge` (RFC 7636).
    #[schema(value_type = String)]
    pub code_verifier: SecretString,
    /// Put the token into the browser's cookie instead of the body.
    #[serde(default)]
    pub cookie: bool,
    /// Also hand out a refresh token.
    #[serde(default)]
    pub refresh_token: bool,
}

/// Sign-in with an identity token that an application got itself: a device's account picker, One Tap.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IdTokenSignIn {
    /// The provider's id.
    pub provider: String,
    /// The token. It works once.
    #[schema(value_type = String)]
    pub id_token: SecretString,
    /// What the application had put into its request as nonce, or whose SHA-256 it had put there in hexadecimal digits.
    #[schema(value_type = String)]
    pub nonce: SecretString,
    /// Put the token into the browser's cookie instead of the body.
    #[serde(default)]
    pub cookie: bool,
    /// Also hand out a refresh token.
    #[serde(default)]
    pub refresh_token: bool,
}

/// Step-up by going to a provider again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OauthStepUp {
    /// From the address that the person was sent back to: `oac_…`.
    #[schema(value_type = String)]
    pub code: SecretString,
    /// Whose SHA-256 was the `code_challenge`.
    #[schema(value_type = String)]
    pub code_verifier: SecretString,
}

pub(super) async fn sign_in(app: &App, body: Value, client: &Client) -> Result<Response, Problem> {
    let OauthSignIn { code, code_verifier, cookie, refresh_token } = json::decode(body)?;
    let outcome = redemption::sign_in(app, &code, &code_verifier, Wish { refresh_token }, client).await?;
    Ok(answer(app, outcome, cookie))
}

pub(super) async fn token_sign_in(app: &App, body: Value, client: &Client) -> Result<Response, Problem> {
    let IdTokenSignIn { provider, id_token, nonce, cookie, refresh_token } = json::decode(body)?;
    if nonce.expose_secret().is_empty() {
        let problem = Problem::invalid(vec![]);
        return Err(problem.with_error("/nonce", "required", "must be what the application had asked for"));
    }
    let presented = Presented { provider, token: id_token, nonce };
    let outcome = redemption::sign_in_by_token(app, &presented, Wish { refresh_token }, client).await?;
    Ok(answer(app, outcome, cookie))
}

pub(super) async fn step_up(
    app: &App,
    live: &Live,
    body: Value,
    client: &Client,
) -> Result<Elevated, Problem> {
    let OauthStepUp { code, code_verifier } = json::decode(body)?;
    Ok(redemption::step_up(app, live, &code, &code_verifier, client).await?)
}
