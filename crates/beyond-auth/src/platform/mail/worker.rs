//! The worker that empties the outbox.
//!
//! It sleeps until somebody queues a mail in this process ([`Outbox::wake`]) or until the earliest moment at
//! which a waiting row becomes due, which it asks for once when it goes to sleep. While nothing waits it
//! asks nothing, so that an idle deployment leaves its database alone.
//!
//! Several instances share the work through `SKIP LOCKED`. A row queued by an instance that dies before it could
//! claim it is found by whichever instance next looks: one that starts, queues a mail, or has anything else
//! waiting. An idle instance is deliberately not told: that would take polling, or a listening connection that
//! transaction poolers do not offer.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use lettre::message::Mailbox;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::outbox::{self, Claimed, Composed, Failure, Outbox};
use super::render::Templates;
use super::smtp::clean_reply;
use super::{Mail, SendError, Transport};
use crate::platform::crypto::random;
use crate::platform::db::{Conn, Db};

/// A feature's part: turns a row into words.
///
/// Runs in a transaction that is committed before anything is sent. What it mints must supersede what an earlier
/// attempt of the same row minted, since attempts repeat.
pub trait Compose: Send + Sync {
    /// `None` when there is nothing to say any more (the address is gone or already verified).
    fn compose<'a>(
        &'a self,
        conn: &'a mut Conn,
        mail: &'a Claimed,
    ) -> BoxFuture<'a, Result<Option<Composed>, ComposeError>>;
}

/// How long a worker that shuts down waits for mails on their way.
const GRACE: Duration = Duration::from_secs(10);

/// A composer failed. The attempt is repeated later.
pub type ComposeError = Box<dyn std::error::Error + Send + Sync>;

/// Composers by the kind of row they understand. Filled in by `jobs.rs`: the platform knows no feature.
#[derive(Clone, Default)]
pub struct Composers(BTreeMap<&'static str, Arc<dyn Compose>>);

impl Composers {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the composer of `kind`.
    #[must_use]
    pub fn with(mut self, kind: &'static str, composer: impl Compose + 'static) -> Self {
        self.0.insert(kind, Arc::new(composer));
        self
    }

    /// All kinds, sorted.
    pub fn kinds(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }
}

impl std::fmt::Debug for Composers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.kinds()).finish()
    }
}

/// How fast and how long. The default suits production; tests shorten it.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// Mails on their way at the same time.
    pub parallel: usize,
    /// Limit for composing and sending one mail.
    pub per_mail: Duration,
    /// How long a claimed row belongs to its worker; more than `per_mail`.
    pub lease: Duration,
    /// Pause after the first failure; doubles with each further one.
    pub first_retry: Duration,
    /// Longest pause.
    pub longest_retry: Duration,
    /// A mail that fails when it is older than this is given up.
    pub give_up_after: Duration,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            parallel: 4,
            per_mail: Duration::from_secs(45),
            lease: Duration::from_mins(1),
            first_retry: Duration::from_secs(5),
            longest_retry: Duration::from_hours(1),
            give_up_after: Duration::from_hours(24),
        }
    }
}

/// The pause after the `attempt`th failure in a row: exponential, and spread over its upper half so that what
/// failed together does not come back together.
fn pause(attempt: i32, first: Duration, longest: Duration) -> Duration {
    let doublings = u32::try_from(attempt.saturating_sub(1)).unwrap_or_default().min(20);
    let pause = first.saturating_mul(1 << doublings).min(longest);
    let spread = f64::from(u32::from_le_bytes(random::bytes())) / f64::from(u32::MAX);
    pause.mul_f64(0.5 + spread / 2.0)
}

/// What the worker works with.
#[derive(Clone)]
pub struct Worker {
    /// Where the rows are.
    pub db: Db,
    /// The deployment, and the bell.
    pub outbox: Outbox,
    /// Where mails go.
    pub transport: Arc<dyn Transport>,
    /// Their words.
    pub templates: Arc<Templates>,
    /// Who fills them in.
    pub composers: Composers,
    /// The sender.
    pub from: Mailbox,
    /// What mails call the service.
    pub product_name: String,
    /// Given to every template as `public_url`.
    pub public_url: Url,
    /// How fast and how long.
    pub schedule: Schedule,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("composers", &self.composers).finish_non_exhaustive()
    }
}

/// How an attempt ended.
enum Outcome {
    Sent,
    /// Nothing to say any more.
    Dropped,
    Failed(SendError),
}

impl Worker {
    /// Sends what is due until `shutdown`; then lets mails on their way arrive, for at most 10 seconds. Never
    /// fails: an outage of database or mail server is waited for.
    pub async fn run(self, shutdown: CancellationToken) {
        let worker = Arc::new(self);
        let mut on_their_way = JoinSet::new();
        let mut outage = 0;
        while !shutdown.is_cancelled() {
            let sleep = match worker.fill(&mut on_their_way).await {
                Ok(sleep) => {
                    outage = 0;
                    sleep
                }
                Err(error) => {
                    // Not idle: what waits is unknown until the database is back.
                    outage += 1;
                    tracing::warn!(%error, "the outbox cannot be read; trying again");
                    Some(pause(outage, Duration::from_millis(500), Duration::from_secs(30)))
                }
            };
            let free = on_their_way.len() < worker.schedule.parallel;
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(_) = on_their_way.join_next() => {}
                () = worker.outbox.woken(), if free => {}
                () = sleep_for(sleep), if free => {}
            }
        }
        let rest = async { while on_their_way.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, rest).await.is_err() {
            tracing::warn!("a mail on its way was abandoned; it will be sent again");
        }
    }

    /// Sends everything that is due now and returns when it has been dealt with: one round, for tests and
    /// one-off commands.
    ///
    /// # Errors
    /// Of the database, when claiming.
    pub async fn run_once(&self) -> Result<usize, sqlx::Error> {
        let mut dealt_with = 0;
        while let Some(mail) = self.claim().await? {
            self.deliver(&mail).await;
            dealt_with += 1;
        }
        Ok(dealt_with)
    }

    /// Starts as many mails as may be on their way. Returns how long there is nothing more to do.
    async fn fill(self: &Arc<Self>, on_their_way: &mut JoinSet<()>) -> Result<Option<Duration>, sqlx::Error> {
        while on_their_way.len() < self.schedule.parallel {
            let Some(mail) = self.claim().await? else {
                let mut conn = self.db.acquire().await?;
                return outbox::next_due(&mut conn, self.outbox.deployment()).await;
            };
            let worker = Arc::clone(self);
            on_their_way.spawn(async move { worker.deliver(&mail).await });
        }
        Ok(None)
    }

    async fn claim(&self) -> Result<Option<Claimed>, sqlx::Error> {
        let mut conn = self.db.acquire().await?;
        outbox::claim(&mut conn, self.outbox.deployment(), self.schedule.lease).await
    }

    /// One attempt, from claimed row to recorded outcome. When the outcome cannot be recorded, the lease runs out
    /// and the mail is tried again.
    async fn deliver(&self, mail: &Claimed) {
        let attempt = AssertUnwindSafe(self.attempt(mail)).catch_unwind();
        let outcome = match tokio::time::timeout(self.schedule.per_mail, attempt).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Outcome::Failed(SendError::Temporary("composing or sending panicked".into())),
            Err(_) => Outcome::Failed(SendError::Temporary("composing and sending took too long".into())),
        };
        if let Err(error) = self.record(mail, outcome).await {
            tracing::warn!(mail = %mail.id, kind = mail.kind, %error, "the outcome of a mail could not be recorded");
        }
    }

    async fn attempt(&self, row: &Claimed) -> Outcome {
        let composed = match self.compose(row).await {
            Ok(Some(composed)) => composed,
            Ok(None) => return Outcome::Dropped,
            Err(error) => {
                // A composer handles secrets; its errors end up in the outbox and in logs.
                let reason = clean_reply(&error.to_string());
                return Outcome::Failed(SendError::Temporary(format!("composing failed: {reason}")));
            }
        };
        let rendered =
            match self.templates.render(composed.template, &row.locale, &self.context(composed.context)) {
                Ok(rendered) => rendered,
                Err(error) => return Outcome::Failed(SendError::Temporary(error.to_string())),
            };
        let reference = format!("{}.{}", row.id, row.attempt);
        let mail = match Mail::new(&self.from, &composed.to, &reference, rendered) {
            Ok(mail) => mail,
            Err(error) => return Outcome::Failed(SendError::Permanent(error.to_string())),
        };
        match self.transport.send(&mail).await {
            Ok(()) => Outcome::Sent,
            Err(error) => Outcome::Failed(error),
        }
    }

    async fn compose(&self, row: &Claimed) -> Result<Option<Composed>, ComposeError> {
        let Some(composer) = self.composers.0.get(row.kind.as_str()) else {
            // A newer version beside this one may have queued it, and can send it.
            return Err(format!("this version knows no mail of the kind {}", row.kind).into());
        };
        let mut tx = self.db.begin("mail::compose").await?;
        let content = composer.compose(&mut tx, row).await?;
        tx.commit().await?;
        Ok(content)
    }

    /// The composer's values, and what every template may use.
    fn context(&self, mut context: Value) -> Value {
        if let Value::Object(values) = &mut context {
            values.entry("product_name").or_insert_with(|| self.product_name.clone().into());
            values.entry("public_url").or_insert_with(|| self.public_url.as_str().into());
        }
        context
    }

    async fn record(&self, mail: &Claimed, outcome: Outcome) -> Result<(), sqlx::Error> {
        let mut conn = self.db.acquire().await?;
        let (failure, error) = match outcome {
            Outcome::Sent => {
                mail.sent(&mut conn).await?;
                tracing::info!(mail = %mail.id, kind = mail.kind, attempt = mail.attempt, "mail sent");
                return Ok(());
            }
            Outcome::Dropped => {
                mail.drop_row(&mut conn).await?;
                tracing::debug!(mail = %mail.id, kind = mail.kind, "mail dropped: its occasion is gone");
                return Ok(());
            }
            Outcome::Failed(SendError::Permanent(error)) => (Failure::Final, error),
            Outcome::Failed(SendError::Temporary(error)) => {
                let Schedule { first_retry, longest_retry, give_up_after, .. } = self.schedule;
                let after = pause(mail.attempt, first_retry, longest_retry);
                (Failure::Retry { after, give_up_after }, error)
            }
        };
        if mail.failed(&mut conn, failure, &error).await? {
            tracing::error!(mail = %mail.id, kind = mail.kind, attempt = mail.attempt, error, "mail given up");
        } else {
            tracing::warn!(mail = %mail.id, kind = mail.kind, attempt = mail.attempt, error, "mail not sent yet");
        }
        Ok(())
    }
}

/// Sleeps for `duration`, or for ever.
async fn sleep_for(duration: Option<Duration>) {
    // A little later than the database's clock says, so that the row is due when asked for.
    match duration.and_then(|duration| Instant::now().checked_add(duration + Duration::from_millis(5))) {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_an_hour_and_are_spread_over_their_upper_half() {
        let schedule = Schedule::default();
        for (attempt, longest) in
            [(1, 5), (2, 10), (5, 80), (10, 2560), (11, 3600), (40, 3600), (i32::MAX, 3600)]
        {
            for _ in 0..50 {
                let pause = pause(attempt, schedule.first_retry, schedule.longest_retry);
                let longest = Duration::from_secs(longest);
                assert!(pause >= longest / 2 && pause <= longest, "attempt {attempt}: {pause:?}");
            }
        }
    }

    #[test]
    fn the_lease_outlasts_the_attempt() {
        let schedule = Schedule::default();
        assert!(schedule.lease > schedule.per_mail);
    }
}
