//! GitHub and GitHub Enterprise.

use url::Url;

use super::{Defaults, Endpoints, ResponseMode};
use crate::oauth::assertion::{Assertion, Evidence};
use crate::oauth::model::Definition;
use crate::oauth::refusal::Refusal;
use crate::platform::http::FieldErrors;

/// OAuth 2 without discovery or identity tokens.
pub const DEFAULTS: Defaults = Defaults {
    issuer: Some("https://github.com"),
    openid: false,
    authorization_endpoint: Some("https://github.com/login/oauth/authorize"),
    token_endpoint: Some("https://github.com/login/oauth/access_token"),
    userinfo_endpoint: Some("https://api.github.com/user"),
    emails_endpoint: Some("https://api.github.com/user/emails"),
    scopes: &["read:user", "user:email"],
    response_mode: ResponseMode::Query,
};

/// Nothing is needed.
pub fn check(_: &Definition, _: &mut FieldErrors) {}

/// GitHub names no issuer; the operator may name an Enterprise server.
pub fn issuer(definition: &Definition) -> Option<String> {
    definition.issuer.clone().or_else(|| DEFAULTS.issuer.map(str::to_owned))
}

/// Who it is, and the addresses.
pub fn documents(endpoints: &Endpoints) -> Vec<Url> {
    [&endpoints.userinfo, &endpoints.emails].into_iter().flatten().cloned().collect()
}

/// Not yet.
pub fn assertion(_: &Evidence<'_>) -> Result<Assertion, Refusal> {
    Err(Refusal::invalid("not_supported"))
}
