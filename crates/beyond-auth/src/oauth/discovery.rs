//! Where a provider's endpoints are: as the operator says, else as it publishes them (OpenID Connect Discovery), else as
//! its kind is known.

use std::time::Duration;

use serde::Deserialize;
use url::Url;

use super::documents::{self, Wanted};
use super::kinds::{self, Endpoints};
use super::model::{Definition, Kind, Provider};
use super::refusal::{Error, Refusal};
use crate::app::App;
use crate::platform::outbound::Outbound;

/// Providers move rarely.
const FRESH: Duration = Duration::from_hours(24);
/// One that has not published anything for a month is gone.
const LAST_GOOD: Duration = Duration::from_hours(30 * 24);

/// What is used of a discovery document.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Metadata {
    issuer: String,
    authorization_endpoint: Option<String>,
    token_endpoint: Option<String>,
    userinfo_endpoint: Option<String>,
    jwks_uri: Option<String>,
    revocation_endpoint: Option<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
}

/// What is wrong with a description of a provider: a pointer into it, a code, words.
#[derive(Clone, Debug)]
pub struct Mistake {
    /// Where.
    pub pointer: &'static str,
    /// For programs.
    pub code: &'static str,
    /// For people.
    pub detail: String,
}

/// The document's place, where there is one to be read: everything may be said by the operator.
pub fn place(kind: Kind, definition: &Definition) -> Option<Url> {
    let told = definition.authorization_endpoint.is_some()
        && definition.token_endpoint.is_some()
        && definition.jwks_uri.is_some();
    if told || !kinds::defaults(kind).openid {
        return None;
    }
    let issuer = kinds::issuer(kind, definition)?;
    Url::parse(&format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))).ok()
}

/// Reads a document.
///
/// # Errors
/// When it is none, or another issuer's (OpenID Connect Discovery §4.3).
pub fn parse(kind: Kind, definition: &Definition, body: &[u8]) -> Result<Metadata, Refusal> {
    let metadata: Metadata =
        serde_json::from_slice(body).map_err(|_| Refusal::invalid("discovery_malformed"))?;
    let expected = kinds::issuer(kind, definition).unwrap_or_default();
    if !kinds::accepts_discovered_issuer(kind, &expected, &metadata.issuer) {
        return Err(Refusal::invalid("discovery_issuer").with_detail(&metadata.issuer));
    }
    Ok(metadata)
}

/// The endpoints in force, now.
pub async fn resolve(app: &App, provider: &Provider) -> Result<Endpoints, Error> {
    let (kind, definition) = (provider.kind, &provider.definition);
    let metadata = match place(kind, definition) {
        Some(url) => {
            let check = |body: &[u8]| parse(kind, definition, body).map(|_| ());
            let wanted = Wanted {
                provider: &provider.id,
                url: &url,
                fresh: FRESH,
                last_good: LAST_GOOD,
                check: &check,
            };
            Some(parse(kind, definition, &documents::read(app, &wanted).await?)?)
        }
        None => None,
    };
    Ok(endpoints(&app.outbound, kind, definition, metadata.as_ref()).map_err(|mistake| {
        Refusal::invalid("provider_endpoints").with_detail(&format!("{} {}", mistake.pointer, mistake.detail))
    })?)
}

/// Puts together what the operator, the document and the kind say.
///
/// # Errors
/// When an endpoint is missing, or leads where nothing is sent.
pub fn endpoints(
    outbound: &Outbound,
    kind: Kind,
    definition: &Definition,
    metadata: Option<&Metadata>,
) -> Result<Endpoints, Mistake> {
    let known = kinds::known(kind, definition);
    let published = metadata.cloned().unwrap_or_default();
    let find = |pointer, told: &Option<String>, published: Option<String>, known: Option<String>| {
        let text = told.clone().or(published).or(known);
        text.map(|text| checked(outbound, pointer, &text)).transpose()
    };
    let needed = |pointer, found: Option<Url>| {
        found.ok_or_else(|| Mistake {
            pointer,
            code: "required",
            detail: "neither given nor published by the provider".to_owned(),
        })
    };
    let authorization = find(
        "/authorization_endpoint",
        &definition.authorization_endpoint,
        published.authorization_endpoint,
        known.authorization,
    )?;
    let token = find("/token_endpoint", &definition.token_endpoint, published.token_endpoint, known.token)?;
    let jwks = find("/jwks_uri", &definition.jwks_uri, published.jwks_uri, None)?;
    let userinfo = find(
        "/userinfo_endpoint",
        &definition.userinfo_endpoint,
        published.userinfo_endpoint,
        known.userinfo,
    )?;
    let emails = find("/emails_endpoint", &definition.emails_endpoint, None, known.emails)?;
    let revocation =
        find("/revocation_endpoint", &definition.revocation_endpoint, published.revocation_endpoint, None)?;
    Ok(Endpoints {
        issuer: needed_issuer(kind, definition)?,
        authorization: needed("/authorization_endpoint", authorization)?,
        token: needed("/token_endpoint", token)?,
        userinfo,
        emails,
        jwks: if kinds::defaults(kind).openid { Some(needed("/jwks_uri", jwks)?) } else { None },
        revocation,
        names_issuer: published.authorization_response_iss_parameter_supported,
        token_auth: published.token_endpoint_auth_methods_supported,
    })
}

fn needed_issuer(kind: Kind, definition: &Definition) -> Result<String, Mistake> {
    kinds::issuer(kind, definition).ok_or_else(|| Mistake {
        pointer: "/issuer",
        code: "required",
        detail: "must be the provider's issuer".to_owned(),
    })
}

fn checked(outbound: &Outbound, pointer: &'static str, text: &str) -> Result<Url, Mistake> {
    let mistake = |code, detail: &str| Mistake { pointer, code, detail: detail.to_owned() };
    let url = Url::parse(text).map_err(|_| mistake("invalid_url", "is not an absolute URL"))?;
    if url.fragment().is_some() {
        return Err(mistake("invalid_url", "must not have a fragment"));
    }
    outbound.check(&url).map_err(|_| {
        mistake(
            "address_forbidden",
            "must be https on port 443 at a public address; --outbound-allow makes exceptions",
        )
    })?;
    Ok(url)
}
