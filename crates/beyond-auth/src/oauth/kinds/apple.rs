//! Sign in with Apple.

use secrecy::SecretString;

use super::{Defaults, ResponseMode, oidc};
use crate::oauth::assertion::{Assertion, Evidence};
use crate::oauth::model::{Definition, Provider};
use crate::oauth::refusal::Refusal;
use crate::platform::http::FieldErrors;

/// Discovery says the rest.
pub const DEFAULTS: Defaults = Defaults {
    issuer: Some("https://appleid.apple.com"),
    openid: true,
    authorization_endpoint: None,
    token_endpoint: None,
    userinfo_endpoint: None,
    emails_endpoint: None,
    scopes: &["openid", "email", "name"],
    response_mode: ResponseMode::FormPost,
};

/// Nothing is needed yet.
pub fn check(_: &Definition, _: &mut FieldErrors) {}

/// The answer is posted, since a name is asked for.
pub fn authorize_params() -> Vec<(&'static str, String)> {
    vec![("response_mode", "form_post".to_owned())]
}

/// The stored secret.
pub fn client_secret(_: &Provider, stored: &SecretString, _: i64) -> Result<SecretString, Refusal> {
    Ok(stored.clone())
}

/// Who somebody is.
pub fn assertion(definition: &Definition, evidence: &Evidence<'_>) -> Result<Assertion, Refusal> {
    oidc::assertion(definition, evidence)
}
