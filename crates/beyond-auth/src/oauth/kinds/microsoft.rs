//! Microsoft accounts and Entra ID.

use super::{Defaults, ResponseMode, oidc};
use crate::oauth::assertion::{Assertion, Claims, Evidence};
use crate::oauth::model::Definition;
use crate::oauth::refusal::Refusal;
use crate::platform::http::FieldErrors;

/// Discovery says the rest.
pub const DEFAULTS: Defaults = Defaults {
    issuer: None,
    openid: true,
    authorization_endpoint: None,
    token_endpoint: None,
    userinfo_endpoint: None,
    emails_endpoint: None,
    scopes: &["openid", "email", "profile"],
    response_mode: ResponseMode::Query,
};

/// Nothing is needed yet.
pub fn check(_: &Definition, _: &mut FieldErrors) {}

/// Of the directory.
pub fn issuer(definition: &Definition) -> Option<String> {
    definition.issuer.clone().or_else(|| {
        let tenant = definition.tenant.as_deref()?;
        Some(format!("https://login.microsoftonline.com/{tenant}/v2.0"))
    })
}

/// Exactly the expected one.
pub fn accepts_discovered_issuer(expected: &str, found: &str) -> bool {
    expected == found
}

/// Exactly the expected one.
pub fn accepts_issuer(expected: &str, claims: &Claims) -> bool {
    oidc::accepts_issuer(expected, claims)
}

/// Who somebody is.
pub fn assertion(definition: &Definition, evidence: &Evidence<'_>) -> Result<Assertion, Refusal> {
    oidc::assertion(definition, evidence)
}
