//! Giving back what providers have handed out for people whose identity is gone: unlinked, or deleted with the account.
//!
//! The row of the tokens outlives the identity, however that goes; here it is taken up, outside of any request, and
//! tried again for a day where the provider does not answer.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use url::form_urlencoded::Serializer;

use super::discovery;
use super::documents::{bad_status, unreachable};
use super::exchange;
use super::refusal::{Error, Refusal};
use super::store::providers;
use super::store::tokens::{self as store, Orphan};
use super::tokens::Kept;
use crate::app::App;
use crate::audit::{self, Actor, Event};
use crate::platform::outbound::Call;

/// After a minute, two, four …, at most six hours: a good day in all.
const MOST_TRIES: i16 = 12;
/// After this long somebody looks again where the database did not answer.
const LATER: Duration = Duration::from_mins(1);
/// Nothing waits.
const LONG: Duration = Duration::from_hours(24 * 365);

/// Works until the service ends; asks the database nothing while nothing waits and nobody unlinks or deletes.
pub async fn run(app: App) {
    loop {
        let pause = match work_off(&app).await {
            Ok(next) => next.unwrap_or(LONG),
            Err(error) => {
                tracing::debug!(%error, "tokens of providers will be revoked later");
                LATER
            }
        };
        tokio::select! {
            () = app.shutdown.cancelled() => return,
            () = app.unlinked.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Gives back whatever is due; says when there will be more.
async fn work_off(app: &App) -> Result<Option<Duration>, sqlx::Error> {
    loop {
        let mut conn = app.db.acquire().await?;
        let Some(orphan) = store::take_orphan(&mut conn).await? else {
            let seconds = store::next_orphan(&mut conn).await?;
            let pause = |seconds: i64| Duration::from_secs(u64::try_from(seconds).unwrap_or(0).max(1));
            return Ok(seconds.map(pause));
        };
        drop(conn);
        if app.shutdown.is_cancelled() {
            return Ok(None);
        }
        settle(app, &orphan).await?;
    }
}

async fn settle(app: &App, orphan: &Orphan) -> Result<(), sqlx::Error> {
    let provider = orphan.provider_id.as_str();
    let action = match revoke(app, orphan).await {
        Ok(()) => "provider_tokens.revoked",
        Err(Error::Database(error)) => return Err(error),
        Err(Error::Refused(Refusal { reason, detail, .. })) if orphan.revoke_tries >= MOST_TRIES => {
            tracing::error!(
                provider,
                reason,
                ?detail,
                "tokens of a provider could not be revoked and are forgotten"
            );
            "provider_tokens.abandoned"
        }
        Err(Error::Refused(Refusal { reason, detail, .. })) => {
            tracing::warn!(provider, reason, ?detail, "tokens of a provider could not be revoked yet");
            return Ok(());
        }
    };
    let mut tx = app.db.begin("oauth.revocation").await?;
    store::delete(&mut tx, orphan.id).await?;
    let details = serde_json::json!({ "provider": provider, "tries": orphan.revoke_tries });
    audit::record(&mut tx, Event::new(action, Actor::System).details(details)).await?;
    tx.commit().await
}

/// Tells the provider (RFC 7009 §2.1). Ending the refresh token ends what was got with it. A provider that takes nothing
/// back, or none that opens, leaves nothing to do but to forget.
async fn revoke(app: &App, orphan: &Orphan) -> Result<(), Error> {
    let mut conn = app.db.acquire().await?;
    let provider = providers::find(&mut conn, &orphan.provider_id).await?;
    drop(conn);
    let Some(provider) = provider else { return Ok(()) };
    let kept = Kept::open(&app.keyring, orphan.id, &orphan.sealed_tokens);
    let (token, hint) = match (kept.refresh, kept.access) {
        (Some(refresh), _) => (refresh, "refresh_token"),
        (None, Some(access)) => (access, "access_token"),
        (None, None) => return Ok(()),
    };
    let endpoints = discovery::resolve(app, &provider).await?;
    let Some(url) = &endpoints.revocation else { return Ok(()) };
    let (secret, _) = exchange::secret(app, &provider).await?;
    let (authorization, form) = {
        let mut form = Serializer::new(String::new());
        form.append_pair("token", token.expose_secret()).append_pair("token_type_hint", hint);
        let authorization = exchange::authenticate(&provider, &endpoints, secret.as_ref(), &mut form);
        (authorization, SecretString::from(form.finish()))
    };
    let call = Call { url, lane: &provider.id, authorization: authorization.as_ref(), form: Some(&form) };
    let answer = app.outbound.call(call).await.map_err(|error| unreachable(&error))?;
    if (200..300).contains(&answer.status) { Ok(()) } else { Err(bad_status(answer.status).into()) }
}
