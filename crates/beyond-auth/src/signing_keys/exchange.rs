//! Exchanging a session for a JWT.

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde_json::{Map, Value, json};

use super::flow;
use super::model::Active;
use super::store;
use crate::app::App;
use crate::platform::crypto::envelope::OpenError;
use crate::platform::crypto::jwt::{MalformedKey, SigningKey};
use crate::platform::ids::{JwtId, OrganizationId};
use crate::sessions::{self, Live};
use crate::settings;
use crate::settings::model::Jwt;

/// Why there is no JWT.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The project has not opted in.
    #[error("JWTs are switched off")]
    Disabled,
    /// The session ends within the second.
    #[error("the session has ended")]
    SessionEnded,
    /// The active key does not open with this instance's key-encryption keys.
    #[error("the signing key does not open: {0}")]
    Sealed(#[from] OpenError),
    /// What was sealed is no key.
    #[error(transparent)]
    Malformed(#[from] MalformedKey),
    /// No key signs although one was made just now.
    #[error("there is no active signing key")]
    NoKey,
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// A JWT.
#[derive(Debug)]
pub struct Exchanged {
    /// In the compact form.
    pub token: SecretString,
    /// Not accepted from then on.
    pub expires_at: DateTime<Utc>,
}

/// Signs a JWT for a live session.
pub async fn exchange(app: &App, live: &Live, audience: Option<&str>) -> Result<Exchanged, Error> {
    let mut conn = app.db.acquire().await?;
    let settings = settings::load(&mut conn).await?;
    if !settings.jwt.enabled {
        return Err(Error::Disabled);
    }
    // The body may have come long after the head that the session was verified with: it may have ended, or its user left
    // the organization.
    let organization = sessions::flow::acts_for(&mut conn, live).await?.ok_or(Error::SessionEnded)?;
    let days = settings.signing_keys.rotation_days;
    let active = store::find_active(&mut conn, days).await?;
    drop(conn);
    let active = match active {
        Some(active) => active,
        None => first_key(app, days).await?,
    };
    if active.due
        && let Err(error) = flow::rotate_if_due(app, days).await
    {
        // This token is none the worse for it.
        tracing::warn!(%error, "the next signing key could not be published; the next exchange tries again");
    }
    let seed =
        app.keyring.open(&flow::SEALED_PRIVATE.place(&active.id.to_string()), &active.sealed_private)?;
    let key = SigningKey::from_seed(&seed)?;
    let issuer = app.config.public_url.as_str().trim_end_matches('/');
    let (claims, expires_at) = claims(live, organization, &settings.jwt, issuer, audience, active.now)?;
    Ok(Exchanged { token: SecretString::from(key.sign(&claims)), expires_at })
}

async fn first_key(app: &App, days: u32) -> Result<Active, Error> {
    flow::ensure(app).await?;
    let mut conn = app.db.acquire().await?;
    store::find_active(&mut conn, days).await?.ok_or(Error::NoKey)
}

/// The claims of RFC 9068 section 2.2 that apply, RFC 8176's `amr`, and the project's own. `now` is the database's.
fn claims(
    live: &Live,
    organization: Option<OrganizationId>,
    settings: &Jwt,
    issuer: &str,
    audience: Option<&str>,
    now: i64,
) -> Result<(Map<String, Value>, DateTime<Utc>), Error> {
    let session = &live.session;
    let ends = session.expires_at.min(session.idle_expires_at).timestamp();
    let exp = (now + i64::from(settings.lifetime_seconds)).min(ends);
    let expires_at = DateTime::from_timestamp(exp, 0).filter(|_| exp > now).ok_or(Error::SessionEnded)?;
    let mut claims = custom_claims(settings, &live.user.metadata);
    let audience = audience.or(settings.default_audience.as_deref()).unwrap_or(issuer);
    let own = json!({
        "iss": issuer,
        "sub": session.user_id,
        "aud": audience,
        "exp": exp,
        "iat": now,
        "nbf": now,
        "jti": JwtId::new(),
        "sid": session.id,
        "aal": session.aal,
        "amr": session.amr,
    });
    // After the custom ones: nothing the settings say can replace what the service vouches for.
    if let Value::Object(own) = own {
        claims.extend(own);
    }
    if let Some(organization) = organization {
        claims.insert("org_id".to_owned(), json!(organization));
    }
    if let Some(impersonator) = &session.impersonator {
        // RFC 8693 section 4.1.
        claims.insert("act".to_owned(), json!({ "sub": impersonator }));
    }
    Ok((claims, expires_at))
}

/// `{"user_metadata": "key"}` stands for that member of the user's metadata, left out where there is none; anything
/// else is a fixed value.
fn custom_claims(settings: &Jwt, metadata: &Value) -> Map<String, Value> {
    let value = |wanted: &Value| match wanted.as_object() {
        Some(source) if source.len() == 1 && source.contains_key("user_metadata") => {
            source["user_metadata"].as_str().and_then(|key| metadata.get(key)).cloned()
        }
        _ => Some(wanted.clone()),
    };
    settings.custom_claims.iter().filter_map(|(name, wanted)| Some((name.clone(), value(wanted)?))).collect()
}
