//! Secrets from the Firecracker microVM metadata service (MMDS), versions 1 and 2.
//!
//! A token is asked for first (`PUT /latest/api/token`, version 2); a service that does not know the request
//! speaks version 1 and is read without one. What is read is one JSON object, at the path of the endpoint's
//! URL. Source: Firecracker, docs/mmds/mmds-user-guide.md.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use http::header::ACCEPT;
use http::{HeaderValue, StatusCode};
use reqwest::Client;
use reqwest::redirect::Policy;
use secrecy::SecretString;
use serde_json::Value;
use url::Url;
use zeroize::Zeroizing;

const TOKEN_PATH: &str = "/latest/api/token";
const TOKEN_TTL_HEADER: &str = "x-metadata-token-ttl-seconds";
const TOKEN_HEADER: &str = "x-metadata-token";
/// Seconds a token is asked to live: it is used once, right away.
const TOKEN_TTL_SECONDS: &str = "60";
/// Largest answer read; Firecracker's own default limit is 51,200 bytes.
const MAX_ANSWER_BYTES: usize = 256 * 1024;

/// The keys read; everything else at the place is left alone.
const KEYS: [&str; 6] = [
    "DATABASE_URL",
    "MIGRATE_DATABASE_URL",
    "SIGNING_KEY_ENCRYPTION_KEY",
    "SIGNING_KEY_ENCRYPTION_KEY_OLD",
    "ADMIN_SECRET",
    "SMTP_URL",
];

/// Where the metadata is, such as `http://169.254.169.254/` or `http://169.254.169.254/beyond-auth`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(Url);

impl Endpoint {
    /// Reads the endpoint. Only plain http: the service is on the machine's own link and has no certificate.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|_| "is not a URL, such as http://169.254.169.254".to_owned())?;
        if url.scheme() != "http" || !url.has_host() {
            return Err("must be a URL with http, such as http://169.254.169.254".to_owned());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("must have no query and no fragment".to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must hold no credentials".to_owned());
        }
        Ok(Self(url))
    }

    fn token_url(&self) -> Url {
        let mut url = self.0.clone();
        url.set_path(TOKEN_PATH);
        url
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What the service held, by name of the environment variable it stands for.
#[derive(Debug, Default)]
pub struct Metadata(BTreeMap<&'static str, SecretString>);

impl Metadata {
    /// The value for a variable such as `DATABASE_URL`; none where the service has none.
    pub fn get(&self, variable: &str) -> Option<&SecretString> {
        self.0.get(variable)
    }

    fn from_json(body: &[u8]) -> Result<Self, Cause> {
        let Ok(Value::Object(object)) = serde_json::from_slice(body) else { return Err(Cause::NotAnObject) };
        let mut values = BTreeMap::new();
        for (name, value) in object {
            let Some(key) = KEYS.into_iter().find(|key| *key == name) else { continue };
            match value {
                Value::String(text) if text.trim().is_empty() => {}
                Value::String(text) => {
                    values.insert(key, SecretString::from(text));
                }
                Value::Null => {}
                _ => return Err(Cause::NotAString(key)),
            }
        }
        Ok(Self(values))
    }
}

/// How long to wait for a service that may come up after us.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Attempts in all, at least 1.
    pub attempts: u32,
    /// Pause after the first attempt; doubles each time.
    pub pause: Duration,
    /// Longest time one request may take.
    pub request: Duration,
}

impl Patience {
    /// At boot: about three seconds of pauses.
    pub const AT_BOOT: Self =
        Self { attempts: 5, pause: Duration::from_millis(200), request: Duration::from_secs(2) };
}

/// The metadata service gave no answer to use.
#[derive(Debug, thiserror::Error)]
#[error("--mmds-endpoint / MMDS_ENDPOINT: {endpoint} {cause}")]
pub struct FetchError {
    endpoint: Endpoint,
    #[source]
    cause: Cause,
}

/// Why. Never holds a part of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// No connection, or no answer in time.
    #[error(
        "cannot be reached; check the microVM's MMDS configuration, or unset it to use variables and flags"
    )]
    Unreachable,
    /// An error of the service's own, or a token that is not valid any more.
    #[error("answered with status {0}")]
    Status(u16),
    /// Nothing at the path.
    #[error(
        "has nothing at this path; put the JSON object with the secrets there, or give its path in the URL"
    )]
    NotFound,
    /// It wants us elsewhere. Not followed: the answer would come from somebody else.
    #[error("answered with a redirect, which is not followed")]
    Redirect,
    /// Longer than any metadata.
    #[error("answered with more than 256 KiB")]
    TooLarge,
    /// The answer is something else.
    #[error("did not answer with a JSON object")]
    NotAnObject,
    /// A key we read has a value of another type.
    #[error("holds {0}, but not as a string")]
    NotAString(&'static str),
    /// The token cannot be sent back.
    #[error("gave a token that cannot be sent back")]
    MalformedToken,
}

impl Cause {
    /// Whether asking again may help.
    fn is_passing(self) -> bool {
        match self {
            Self::Unreachable | Self::NotFound => true,
            Self::Status(code) => matches!(code, 401 | 408 | 429 | 500..),
            _ => false,
        }
    }
}

/// Reads the metadata; patient with a service that is not up yet, not with one that answers wrongly.
pub async fn fetch(endpoint: &Endpoint, patience: &Patience) -> Result<Metadata, FetchError> {
    let failed = |cause| FetchError { endpoint: endpoint.clone(), cause };
    let client = Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .connect_timeout(patience.request)
        .timeout(patience.request)
        .build()
        .map_err(|_| failed(Cause::Unreachable))?;
    let mut pause = patience.pause;
    let mut attempt = 1;
    loop {
        match read(&client, endpoint).await {
            Ok(metadata) => return Ok(metadata),
            Err(cause) if cause.is_passing() && attempt < patience.attempts => {
                tracing::warn!(%endpoint, attempt, "the metadata service {cause}; trying again");
                tokio::time::sleep(pause).await;
                pause *= 2;
                attempt += 1;
            }
            Err(cause) => return Err(failed(cause)),
        }
    }
}

async fn read(client: &Client, endpoint: &Endpoint) -> Result<Metadata, Cause> {
    let token = request_token(client, endpoint).await?;
    let mut request = client.get(endpoint.0.clone()).header(ACCEPT, "application/json");
    if let Some(token) = token {
        request = request.header(TOKEN_HEADER, token);
    }
    let response = request.send().await.map_err(|_| Cause::Unreachable)?;
    match response.status() {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND => return Err(Cause::NotFound),
        status if status.is_redirection() => return Err(Cause::Redirect),
        status => return Err(Cause::Status(status.as_u16())),
    }
    Metadata::from_json(&body(response).await?)
}

/// A session token, or none where the service speaks version 1: it refuses the method or the path.
async fn request_token(client: &Client, endpoint: &Endpoint) -> Result<Option<HeaderValue>, Cause> {
    let response = client
        .put(endpoint.token_url())
        .header(TOKEN_TTL_HEADER, TOKEN_TTL_SECONDS)
        .send()
        .await
        .map_err(|_| Cause::Unreachable)?;
    match response.status() {
        StatusCode::OK => {
            let token = body(response).await?;
            let mut token = HeaderValue::from_bytes(token.trim_ascii()).map_err(|_| Cause::MalformedToken)?;
            token.set_sensitive(true);
            Ok(Some(token))
        }
        StatusCode::BAD_REQUEST
        | StatusCode::NOT_FOUND
        | StatusCode::METHOD_NOT_ALLOWED
        | StatusCode::NOT_IMPLEMENTED => Ok(None),
        status if status.is_redirection() => Err(Cause::Redirect),
        status => Err(Cause::Status(status.as_u16())),
    }
}

async fn body(mut response: reqwest::Response) -> Result<Zeroizing<Vec<u8>>, Cause> {
    let mut body = Zeroizing::new(Vec::new());
    while let Some(chunk) = response.chunk().await.map_err(|_| Cause::Unreachable)? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(Cause::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
#[path = "mmds_tests.rs"]
mod tests;
