//! What providers publish about themselves, read again now and then and kept in between.
//!
//! Kept in the database, for all instances: one of them asks, at most every ten seconds; where the provider does not
//! answer, what it said last holds for a while. No connection is held while it is asked.

use std::time::Duration;

use url::Url;

use super::refusal::{Code, Error, Refusal};
use super::store::documents as store;
use crate::app::App;
use crate::platform::outbound::{self, Call};

/// How long somebody waits for what another one is reading just now.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often he looks.
const GLANCE: Duration = Duration::from_millis(250);

/// What is kept is read again with every sign-in.
const LARGEST: usize = 256 * 1024;

/// A document that is wanted.
pub struct Wanted<'a> {
    /// The provider's id.
    pub provider: &'a str,
    /// Where it is.
    pub url: &'a Url,
    /// Older than this it is read again.
    pub fresh: Duration,
    /// Where it cannot be: how old it may be and still count.
    pub last_good: Duration,
    /// What is worse than nothing is not kept.
    pub check: &'a (dyn Fn(&[u8]) -> Result<(), Refusal> + Sync),
}

/// The document, as fresh as can be had.
pub async fn read(app: &App, wanted: &Wanted<'_>) -> Result<Vec<u8>, Error> {
    let stored = find(app, wanted).await?;
    match stored {
        Some(stored) if stored.age <= seconds(wanted.fresh) => Ok(stored.body),
        Some(stored) if stored.age <= seconds(wanted.last_good) => {
            let claimed = claim(app, wanted).await?;
            let renewed = if claimed { ask(app, wanted).await? } else { None };
            Ok(renewed.unwrap_or(stored.body))
        }
        _ => match renew(app, wanted).await? {
            Some(body) => Ok(body),
            None => Err(Refusal::new(Code::ProviderUnavailable, "document_unavailable").into()),
        },
    }
}

/// The document as it is now, or `None` where it cannot be had or was asked for a moment ago.
pub async fn renew(app: &App, wanted: &Wanted<'_>) -> Result<Option<Vec<u8>>, Error> {
    if claim(app, wanted).await? { ask(app, wanted).await } else { wait(app, wanted).await }
}

/// Whether it is for us to ask.
async fn claim(app: &App, wanted: &Wanted<'_>) -> Result<bool, sqlx::Error> {
    let mut conn = app.db.acquire().await?;
    store::claim(&mut conn, wanted.provider, wanted.url.as_str()).await
}

/// Asks, and keeps what is good.
async fn ask(app: &App, wanted: &Wanted<'_>) -> Result<Option<Vec<u8>>, Error> {
    let body = match fetch(app, wanted.provider, wanted.url).await.and_then(|body| {
        (wanted.check)(&body)?;
        Ok(body)
    }) {
        Ok(body) => body,
        Err(refusal) => {
            let Refusal { reason, detail, .. } = refusal;
            tracing::warn!(
                provider = wanted.provider,
                reason,
                ?detail,
                "a provider's document cannot be read"
            );
            return Ok(None);
        }
    };
    let mut conn = app.db.acquire().await?;
    store::keep(&mut conn, wanted.provider, wanted.url.as_str(), &body).await?;
    Ok(Some(body))
}

/// Waits for whoever is reading it just now.
async fn wait(app: &App, wanted: &Wanted<'_>) -> Result<Option<Vec<u8>>, Error> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        match find(app, wanted).await? {
            Some(stored) if stored.under_way => {}
            Some(stored) => return Ok((stored.age <= seconds(wanted.fresh)).then_some(stored.body)),
            None => {}
        }
        if tokio::time::Instant::now() >= deadline {
            return Ok(None);
        }
        tokio::time::sleep(GLANCE).await;
    }
}

/// Reads what is at a URL of a provider, now.
pub async fn fetch(app: &App, provider: &str, url: &Url) -> Result<Vec<u8>, Refusal> {
    let call = Call { url, lane: provider, authorization: None, form: None };
    let answer = app.outbound.call(call).await.map_err(|error| unreachable(&error))?;
    match answer.status {
        200 if answer.body.len() > LARGEST => Err(Refusal::invalid("document_too_large")),
        200 => Ok(answer.body),
        status => Err(bad_status(status)),
    }
}

/// Why nobody answered, for the operator.
pub fn unreachable(error: &outbound::Error) -> Refusal {
    let (code, reason) = match error {
        outbound::Error::Forbidden(_) => (Code::ProviderUnavailable, "provider_address_forbidden"),
        outbound::Error::TooLarge => (Code::InvalidProviderResponse, "provider_answer_too_large"),
        outbound::Error::Busy => (Code::ProviderUnavailable, "provider_busy"),
        outbound::Error::Unreachable(_) | outbound::Error::Status(_) => {
            (Code::ProviderUnavailable, "provider_unreachable")
        }
    };
    Refusal::new(code, reason).with_detail(&error.to_string())
}

/// An answer that is no success, for the operator.
pub fn bad_status(status: u16) -> Refusal {
    let code = if status >= 500 || status == 429 {
        Code::ProviderUnavailable
    } else {
        Code::InvalidProviderResponse
    };
    Refusal::new(code, "provider_status").with_detail(&status.to_string())
}

async fn find(app: &App, wanted: &Wanted<'_>) -> Result<Option<store::Stored>, sqlx::Error> {
    let mut conn = app.db.acquire().await?;
    store::find(&mut conn, wanted.provider, wanted.url.as_str()).await
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
