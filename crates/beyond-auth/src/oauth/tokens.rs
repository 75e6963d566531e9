//! What a provider has handed out for somebody: kept where the operator wants that, renewed on demand.
//!
//! Sealed at rest. One request at a time asks the provider for a new access token, on whichever instance: a provider that
//! rotates refresh tokens takes a second use of the same one for theft. No connection is held while it is asked.

use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::discovery;
use super::exchange::{self, Tokens};
use super::model::{Kind, Provider};
use super::refusal::{self, Refusal};
use super::store::providers;
use super::store::tokens::{self as store, Stored, Written};
use crate::app::App;
use crate::platform::crypto::envelope::Keyring;
use crate::platform::db::Conn;
use crate::platform::ids::{IdentityId, UserId};
use crate::platform::sealed::SealedColumn;

/// The sealed column, for a change of the key-encryption key.
pub const SEALED_TOKENS: &dyn SealedColumn = &store::SealedTokens;

/// A year: no access token is good for longer, whatever its provider says.
const LONGEST_LIFE: i64 = 366 * 24 * 60 * 60;
/// What is longer is not kept.
const LONGEST_SCOPE: usize = 2_048;
/// How long somebody waits for what another one is getting just now.
const PATIENCE: Duration = Duration::from_secs(12);
/// How often he looks.
const GLANCE: Duration = Duration::from_millis(100);

/// The tokens of a row.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Kept {
    pub(super) access: Option<SecretString>,
    pub(super) refresh: Option<SecretString>,
}

#[derive(Serialize)]
struct Plain<'a> {
    access: Option<&'a str>,
    refresh: Option<&'a str>,
}

impl Kept {
    /// Opens what is kept; nothing where no key of the ring does.
    pub(super) fn open(keyring: &Keyring, id: Uuid, sealed: &[u8]) -> Self {
        let opened = keyring.open(&SEALED_TOKENS.place(&id.to_string()), sealed);
        let opened = opened.inspect_err(|error| tracing::error!(%id, %error, "kept tokens do not open"));
        opened.ok().and_then(|plain| serde_json::from_slice(&plain).ok()).unwrap_or_default()
    }

    fn seal(&self, keyring: &Keyring, id: Uuid) -> Vec<u8> {
        let text =
            |token: &Option<SecretString>| token.as_ref().map(|token| token.expose_secret().to_owned());
        let (access, refresh) = (Zeroizing::new(text(&self.access)), Zeroizing::new(text(&self.refresh)));
        let plain = Plain { access: access.as_deref(), refresh: refresh.as_deref() };
        let plain = Zeroizing::new(serde_json::to_vec(&plain).unwrap_or_default());
        keyring.seal(&SEALED_TOKENS.place(&id.to_string()), &plain)
    }
}

/// Why there is no access token.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such identity of this user.
    #[error("there is no such identity")]
    NotFound,
    /// The operator does not keep them, or did not when the person was last there, or has switched the provider off.
    #[error("no tokens are kept")]
    NotKept,
    /// The provider hands out no more: the person has to go there again.
    #[error("the provider has ended the grant")]
    Ended,
    /// The provider does not answer, or not in a way that can be used.
    #[error("the provider did not renew the token: {0}")]
    Unavailable(Refusal),
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Keeps what the provider has handed out, as far as it is of use: all of it where the operator wants that, and at Apple
/// what ends the sign-in there once the account here is deleted. In the transaction that signs in or links.
pub async fn keep(
    conn: &mut Conn,
    app: &App,
    provider: &Provider,
    identity: IdentityId,
    tokens: &Tokens,
) -> Result<(), sqlx::Error> {
    let all = provider.definition.keep_tokens;
    let access = tokens.access.as_ref().filter(|_| all);
    let refresh = tokens.refresh.as_ref().filter(|_| all || provider.kind == Kind::Apple);
    if access.is_none() && refresh.is_none() {
        return Ok(());
    }
    let known = store::lock(conn, identity).await?;
    let id = known.as_ref().map_or_else(Uuid::now_v7, |(id, _)| *id);
    let mut kept = Kept { access: access.cloned(), refresh: refresh.cloned() };
    if let (None, Some((id, sealed))) = (&kept.refresh, &known) {
        // Many hand out a refresh token only when somebody agrees for the first time.
        kept.refresh = Kept::open(&app.keyring, *id, sealed).refresh;
    }
    let sealed = kept.seal(&app.keyring, id);
    let written = Written { id, sealed: &sealed, expires_at: end(tokens), scope: scope(tokens) };
    match known {
        Some(_) => store::update(conn, &written).await.map(|_| ()),
        None => store::insert(conn, identity, &provider.id, &written).await,
    }
}

fn end(tokens: &Tokens) -> Option<i64> {
    tokens.expires_in.map(|seconds| tokens.asked_at + seconds.clamp(0, LONGEST_LIFE))
}

fn scope(tokens: &Tokens) -> Option<&str> {
    let fits = |scope: &&str| scope.len() <= LONGEST_SCOPE && !scope.contains('\0');
    tokens.scope.as_deref().filter(fits)
}

/// A provider's access token.
#[derive(Debug)]
pub struct AccessToken {
    /// The token.
    pub token: SecretString,
    /// When it ends, where the provider said so.
    pub expires_at: Option<DateTime<Utc>>,
    /// What it may do, in the provider's words.
    pub scope: Option<String>,
}

/// An access token of the provider that is good for a minute at least, renewed where need be.
pub async fn access(app: &App, user: UserId, identity: IdentityId) -> Result<AccessToken, Error> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut conn = app.db.acquire().await?;
        let stored = store::find(&mut conn, user, identity).await?.ok_or(Error::NotFound)?;
        let provider = providers::find(&mut conn, &stored.provider_id).await?;
        let provider =
            provider.filter(|found| found.enabled && found.definition.keep_tokens).ok_or(Error::NotKept)?;
        let Stored { id: Some(id), sealed: Some(sealed), expires_at, fresh, scope, updated_at, .. } = stored
        else {
            return Err(Error::NotKept);
        };
        let kept = Kept::open(&app.keyring, id, &sealed);
        match (kept.access, kept.refresh) {
            (Some(token), _) if fresh => return Ok(AccessToken { token, expires_at, scope }),
            (_, None) => return Err(Error::Ended),
            (_, Some(refresh)) if store::claim(&mut conn, id, updated_at).await? => {
                drop(conn);
                renew(app, &provider, id, refresh).await?;
            }
            _ if Instant::now() >= deadline => {
                return Err(Error::Unavailable(Refusal::invalid("renewal_slow")));
            }
            _ => {
                drop(conn);
                sleep(GLANCE).await;
            }
        }
    }
}

/// Asks the provider; what comes of it is in the row.
async fn renew(app: &App, provider: &Provider, id: Uuid, refresh: SecretString) -> Result<(), Error> {
    let asked = async {
        let endpoints = discovery::resolve(app, provider).await?;
        exchange::refresh(app, provider, &endpoints, &refresh).await
    };
    let asked = asked.await;
    let mut conn = app.db.acquire().await?;
    let (kept, expires_at, scope) = match &asked {
        Ok(tokens) if tokens.access.is_some() => {
            let next = tokens.refresh.clone().unwrap_or(refresh);
            (Kept { access: tokens.access.clone(), refresh: Some(next) }, end(tokens), scope(tokens))
        }
        Err(refusal::Error::Refused(refusal)) if has_ended(refusal) => (Kept::default(), None, None),
        Ok(_) => {
            store::release(&mut conn, id).await?;
            return Err(Error::Unavailable(Refusal::invalid("access_token_missing")));
        }
        Err(_) => {
            store::release(&mut conn, id).await?;
            return match asked {
                Err(refusal::Error::Refused(refusal)) => Err(Error::Unavailable(refusal)),
                Err(refusal::Error::Database(error)) => Err(error.into()),
                Ok(_) => Ok(()),
            };
        }
    };
    let sealed = kept.seal(&app.keyring, id);
    store::update(&mut conn, &Written { id, sealed: &sealed, expires_at, scope }).await?;
    if kept.refresh.is_some() { Ok(()) } else { Err(Error::Ended) }
}

/// Whether the provider says that this refresh token opens nothing any more (RFC 6749 §5.2; GitHub in words of its own).
fn has_ended(refusal: &Refusal) -> bool {
    matches!(refusal.detail.as_deref(), Some("invalid_grant" | "bad_refresh_token"))
}
