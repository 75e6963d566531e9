//! Signing in and stepping up with a passkey.

use axum::response::Response;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{answer, respond};
use crate::app::App;
use crate::passkeys::authentication::{self, Presented};
use crate::passkeys::ceremony::AssertionResponse;
use crate::platform::http::{Client, Problem, json};
use crate::platform::ids::ChallengeId;
use crate::sessions::Live;
use crate::sessions::flow::Elevated;
use crate::sign_in::Wish;

/// Sign-in with a passkey, or, with `attempt_token`, a passkey as the second factor.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasskeySignIn {
    /// From `POST /v1/passkeys/authentication-options`.
    pub challenge_id: ChallengeId,
    /// `AuthenticationResponseJSON` of W3C Web Authentication: what `credential.toJSON()` gives.
    #[schema(value_type = Object)]
    pub credential: AssertionResponse,
    /// The sign-in whose second factor this is.
    #[schema(value_type = Option<String>)]
    pub attempt_token: Option<SecretString>,
    /// Put the token into the browser's cookie instead of the body.
    #[serde(default)]
    pub cookie: bool,
    /// Also hand out a refresh token. As second factor: as if it had been asked for at the first.
    #[serde(default)]
    pub refresh_token: bool,
}

/// Step-up with a passkey of the session's owner.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasskeyStepUp {
    /// From `POST /v1/passkeys/authentication-options` with `"step_up": true`.
    pub challenge_id: ChallengeId,
    /// `AuthenticationResponseJSON` of W3C Web Authentication.
    #[schema(value_type = Object)]
    pub credential: AssertionResponse,
}

pub(super) async fn sign_in(app: &App, body: Value, client: &Client) -> Result<Response, Problem> {
    let PasskeySignIn { challenge_id, credential, attempt_token, cookie, refresh_token } =
        json::decode(body)?;
    let presented = Presented { challenge_id, answer: credential };
    if let Some(token) = attempt_token {
        let signed_in = authentication::second_factor(app, &token, refresh_token, &presented, client).await?;
        return Ok(respond(app, signed_in, cookie));
    }
    let outcome = authentication::sign_in(app, &presented, Wish { refresh_token }, client).await?;
    Ok(answer(app, outcome, cookie))
}

pub(super) async fn step_up(
    app: &App,
    live: &Live,
    body: Value,
    client: &Client,
) -> Result<Elevated, Problem> {
    let PasskeyStepUp { challenge_id, credential } = json::decode(body)?;
    let presented = Presented { challenge_id, answer: credential };
    Ok(authentication::step_up(app, live, &presented, client).await?)
}
