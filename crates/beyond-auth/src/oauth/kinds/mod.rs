//! What differs from kind to kind: pure data and small functions, chosen here.
//!
//! The rest of the slice knows no kind. Another one is a file beside these, an arm in each `match`, and its word in the
//! table's check.

pub mod apple;
pub mod github;
pub mod google;
pub mod microsoft;
pub mod oidc;

use secrecy::SecretString;
use url::Url;

use super::assertion::{Assertion, Claims, Evidence};
use super::model::{Definition, Kind, Provider};
use super::refusal::Refusal;
use crate::platform::http::FieldErrors;

/// How the answer comes back to the callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseMode {
    /// In the query of a GET: the browser's cookie is `SameSite=Lax`.
    Query,
    /// As a form that the provider's page posts (Apple): the cookie has to be `SameSite=None`.
    FormPost,
}

/// What a kind knows before anybody has said or discovered anything.
#[derive(Clone, Copy, Debug)]
pub struct Defaults {
    /// The issuer; `None` where the operator has to say it, or where it follows from something else.
    pub issuer: Option<&'static str>,
    /// Whether it publishes a discovery document and identity tokens.
    pub openid: bool,
    /// What is asked for.
    pub scopes: &'static [&'static str],
    /// How the answer comes back.
    pub response_mode: ResponseMode,
}

/// Where a kind that publishes nothing about itself has its endpoints.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Where people are sent.
    pub authorization: Option<String>,
    /// Where codes are exchanged.
    pub token: Option<String>,
    /// Where claims are read.
    pub userinfo: Option<String>,
    /// Where addresses are read.
    pub emails: Option<String>,
}

/// Endpoints as they are in force: the operator's, else the discovered, else the kind's.
#[derive(Clone, Debug)]
pub struct Endpoints {
    /// The issuer that answers and identity tokens must name.
    pub issuer: String,
    /// Where people are sent.
    pub authorization: Url,
    /// Where codes are exchanged.
    pub token: Url,
    /// Where claims are read with an access token.
    pub userinfo: Option<Url>,
    /// Where addresses are read with an access token.
    pub emails: Option<Url>,
    /// Where keys are; `None` for kinds without identity tokens.
    pub jwks: Option<Url>,
    /// Where tokens are revoked.
    pub revocation: Option<Url>,
    /// Whether every answer must name the issuer (RFC 9207).
    pub names_issuer: bool,
    /// What discovery offers at the token endpoint.
    pub token_auth: Vec<String>,
}

/// What a kind knows.
pub fn defaults(kind: Kind) -> Defaults {
    match kind {
        Kind::Github => github::DEFAULTS,
        Kind::Google => google::DEFAULTS,
        Kind::Apple => apple::DEFAULTS,
        Kind::Microsoft => microsoft::DEFAULTS,
        Kind::Oidc => oidc::DEFAULTS,
    }
}

/// Whether the definition has what the kind needs, and nothing that means nothing to it.
pub fn check(kind: Kind, definition: &Definition, errors: &mut FieldErrors) {
    match kind {
        Kind::Github => github::check(definition, errors),
        Kind::Google => google::check(definition, errors),
        Kind::Apple => apple::check(definition, errors),
        Kind::Microsoft => microsoft::check(definition, errors),
        Kind::Oidc => oidc::check(definition, errors),
    }
}

/// The issuer whose discovery document is read, and which identities are kept under.
pub fn issuer(kind: Kind, definition: &Definition) -> Option<String> {
    match kind {
        Kind::Github => github::issuer(definition),
        Kind::Microsoft => microsoft::issuer(definition),
        Kind::Google | Kind::Apple | Kind::Oidc => {
            definition.issuer.clone().or_else(|| defaults(kind).issuer.map(str::to_owned))
        }
    }
}

/// The endpoints that need no discovery.
pub fn known(kind: Kind, definition: &Definition) -> Known {
    match kind {
        Kind::Github => github::known(definition),
        _ => Known::default(),
    }
}

/// Whether a discovery document read for `expected` may name `found` as its issuer.
pub fn accepts_discovered_issuer(kind: Kind, expected: &str, found: &str) -> bool {
    match kind {
        Kind::Microsoft => microsoft::accepts_discovered_issuer(expected, found),
        _ => expected == found,
    }
}

/// Whether an identity token's issuer is the expected one.
pub fn accepts_issuer(kind: Kind, expected: &str, claims: &Claims) -> bool {
    match kind {
        Kind::Microsoft => microsoft::accepts_issuer(expected, claims),
        Kind::Google => google::accepts_issuer(expected, claims),
        _ => oidc::accepts_issuer(expected, claims),
    }
}

/// Parameters of the kind's own in the authorization request. They come before the operator's.
pub fn authorize_params(provider: &Provider) -> Vec<(&'static str, String)> {
    match provider.kind {
        Kind::Apple => apple::authorize_params(),
        Kind::Google => google::authorize_params(&provider.definition),
        _ => Vec::new(),
    }
}

/// Whether a secret that the operator hands in is what the kind makes something of.
pub fn takes_secret(kind: Kind, secret: &SecretString) -> bool {
    kind != Kind::Apple || apple::is_key(secret)
}

/// What is sent as client secret: the stored one, or one that is made of it. `now` is in seconds since 1970.
///
/// # Errors
/// When the stored secret is not what the kind needs.
pub fn client_secret(provider: &Provider, stored: SecretString, now: i64) -> Result<SecretString, Refusal> {
    match provider.kind {
        Kind::Apple => apple::client_secret(provider, &stored, now),
        _ => Ok(stored),
    }
}

/// Which documents are read with the person's access token; `id_token` is verified already.
pub fn documents(provider: &Provider, endpoints: &Endpoints, id_token: Option<&Claims>) -> Vec<Url> {
    match provider.kind {
        Kind::Github => github::documents(endpoints),
        Kind::Oidc => oidc::documents(provider, endpoints, id_token),
        Kind::Google | Kind::Apple | Kind::Microsoft => Vec::new(),
    }
}

/// Who somebody is, by what was verified and read.
///
/// # Errors
/// When the evidence says it in no believable way.
pub fn assertion(provider: &Provider, evidence: &Evidence<'_>) -> Result<Assertion, Refusal> {
    match provider.kind {
        Kind::Github => github::assertion(evidence),
        Kind::Google => google::assertion(&provider.definition, evidence),
        Kind::Apple => apple::assertion(&provider.definition, evidence),
        Kind::Microsoft => microsoft::assertion(&provider.definition, evidence),
        Kind::Oidc => oidc::assertion(&provider.definition, evidence),
    }
}
