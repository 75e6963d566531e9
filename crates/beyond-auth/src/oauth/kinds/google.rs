//! Google accounts.

use serde_json::Value;

use super::{Defaults, ResponseMode, oidc};
use crate::oauth::assertion::{Assertion, Claims, Evidence};
use crate::oauth::model::Definition;
use crate::oauth::refusal::Refusal;
use crate::platform::http::FieldErrors;

/// Discovery says the rest.
pub const DEFAULTS: Defaults = Defaults {
    issuer: Some("https://accounts.google.com"),
    openid: true,
    scopes: &["openid", "email", "profile"],
    response_mode: ResponseMode::Query,
};

/// Nothing is needed.
pub fn check(_: &Definition, _: &mut FieldErrors) {}

/// Google writes its issuer without the scheme in some tokens.
pub fn accepts_issuer(expected: &str, claims: &Claims) -> bool {
    let found = claims.get("iss").and_then(Value::as_str);
    found == Some(expected)
        || (DEFAULTS.issuer == Some(expected) && found == expected.strip_prefix("https://"))
}

/// The one domain that is let in, so that the account chooser shows its accounts. A hint: the claim is checked.
pub fn authorize_params(definition: &Definition) -> Vec<(&'static str, String)> {
    match definition.allowed_domains.as_slice() {
        [domain] => vec![("hd", domain.clone())],
        _ => Vec::new(),
    }
}

/// Google is the authority over its own addresses and those of organizations that it hosts (`hd`); any other address of
/// a Google account was merely mailed to once.
pub fn assertion(definition: &Definition, evidence: &Evidence<'_>) -> Result<Assertion, Refusal> {
    let mut assertion = oidc::assertion(definition, evidence)?;
    let hosted = evidence
        .id_token
        .and_then(|claims| claims.get("hd"))
        .and_then(Value::as_str)
        .filter(|hd| !hd.is_empty());
    assertion.hosted_domain = hosted.map(str::to_ascii_lowercase);
    let own = assertion.email.as_ref().and_then(|email| email.canonical().rsplit_once('@'));
    let own = own.is_some_and(|(_, domain)| matches!(domain, "gmail.com" | "googlemail.com"));
    assertion.authoritative = own || hosted.is_some();
    Ok(assertion)
}
