//! The queue of mails, `auth.outbox`: all statements on it.
//!
//! A row is written in the transaction of what caused the mail, so that neither exists without the other. It
//! says what to send and to which address; secrets are minted when it is sent. The [`worker`](super::worker)
//! claims rows one by one: [`claim`] leases a row for a while, [`Claimed::sent`] or [`Claimed::failed`] end
//! the lease. A worker that dies in between leaves a lease that runs out, after which the mail is sent (again)
//! with a fresh secret: at least once, never silently lost.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Notify;
use url::Url;

use crate::platform::db::{Conn, interval};
use crate::platform::ids::{EmailId, OutboxId, UserId};

/// The way in: queues mails and wakes the worker. Cheap to clone; lives in `App`.
#[derive(Clone, Debug)]
pub struct Outbox {
    deployment: Arc<str>,
    wake: Arc<Notify>,
}

/// A mail to queue.
#[derive(Clone, Debug)]
pub struct NewMail {
    /// Which composer turns it into a mail, e.g. `verify_email`.
    pub kind: &'static str,
    /// Where to.
    pub destination: Destination,
    /// Whom it concerns; the row goes when the user does.
    pub user_id: Option<UserId>,
    /// What the composer needs beyond the references: a JSON object of at most 16 KiB, no secrets.
    pub payload: Value,
    /// Language tag, e.g. `en`.
    pub locale: String,
}

/// Where a mail goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// To an address row; when the row is gone at sending, so is the mail.
    Email(EmailId),
    /// To an address that is nobody's (yet, or any more).
    Address(String),
}

impl NewMail {
    /// A mail to an address row, in English, without payload.
    pub fn to_email(kind: &'static str, email: EmailId) -> Self {
        Self::to(kind, Destination::Email(email))
    }

    /// A mail to a bare address, in English, without payload.
    pub fn to_address(kind: &'static str, address: impl Into<String>) -> Self {
        Self::to(kind, Destination::Address(address.into()))
    }

    fn to(kind: &'static str, destination: Destination) -> Self {
        let (payload, locale) = (Value::Object(serde_json::Map::new()), "en".to_owned());
        Self { kind, destination, user_id: None, payload, locale }
    }

    /// Says whom the mail concerns.
    #[must_use]
    pub fn about(mut self, user: UserId) -> Self {
        self.user_id = Some(user);
        self
    }

    /// Says in which language; English where nothing is known.
    #[must_use]
    pub fn in_language(mut self, language: Option<&str>) -> Self {
        if let Some(language) = language {
            language.clone_into(&mut self.locale);
        }
        self
    }

    /// Adds a payload.
    #[must_use]
    pub fn with_payload(mut self, payload: Value) -> Self {
        self.payload = payload;
        self
    }
}

impl Outbox {
    /// The outbox of the deployment under `public_url`. Rows of other deployments (the original of a forked
    /// database) are never touched.
    pub fn new(public_url: &Url) -> Self {
        Self { deployment: super::deployment(public_url).into(), wake: Arc::new(Notify::new()) }
    }

    /// The origin under which rows are queued and claimed.
    pub fn deployment(&self) -> &str {
        &self.deployment
    }

    /// Queues a mail in the caller's transaction. Call [`Outbox::wake`] once it is committed.
    ///
    /// # Errors
    /// Of the database; `conn` is then as after any failed statement.
    pub async fn enqueue(&self, conn: &mut Conn, mail: NewMail) -> Result<OutboxId, sqlx::Error> {
        let id = OutboxId::new();
        let (email_id, to_address) = match mail.destination {
            Destination::Email(id) => (Some(id.as_uuid()), None),
            Destination::Address(address) => (None, Some(address)),
        };
        sqlx::query!(
            "INSERT INTO auth.outbox (id, kind, deployment, user_id, email_id, to_address, payload, locale)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            id.as_uuid(),
            mail.kind,
            &*self.deployment,
            mail.user_id.map(|id| id.as_uuid()),
            email_id,
            to_address,
            mail.payload,
            mail.locale,
        )
        .execute(&mut *conn)
        .await?;
        Ok(id)
    }

    /// Wakes this process's worker. Cheap, never blocks, and not lost when the worker is just busy.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Returns when somebody has called [`Outbox::wake`] since the last return.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }
}

/// A row as its composer sees it.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The row.
    pub id: OutboxId,
    /// Which composer.
    pub kind: String,
    /// Whom it concerns.
    pub user_id: Option<UserId>,
    /// Where to.
    pub destination: Destination,
    /// As queued.
    pub payload: Value,
    /// As queued.
    pub locale: String,
    /// Which attempt this is, from 1.
    pub attempt: i32,
}

/// What a composer makes of a row. `context` may carry secrets, hence no `Debug`.
pub struct Composed {
    /// The recipient's address.
    pub to: String,
    /// The template's name.
    pub template: &'static str,
    /// Its values; the platform adds `product_name` and `public_url`.
    pub context: Value,
}

/// How an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Try again after this long, unless the mail has been tried for longer than `give_up_after`.
    Retry {
        /// Until the next attempt.
        after: Duration,
        /// Age at which to stop trying.
        give_up_after: Duration,
    },
    /// Never try again.
    Final,
}

/// Leases the row that has been due for longest, or returns `None` when nothing is due. One statement, so
/// that a crash leaves either no trace or a lease. Workers skip what others are just claiming.
pub(super) async fn claim(
    conn: &mut Conn,
    deployment: &str,
    lease: Duration,
) -> Result<Option<Claimed>, sqlx::Error> {
    let row = sqlx::query!(
        r#"WITH due AS (
               SELECT id FROM auth.outbox
               WHERE deployment = $1 AND sent_at IS NULL AND failed_at IS NULL
                 AND next_attempt_at <= now() AND (locked_until IS NULL OR locked_until <= now())
               ORDER BY next_attempt_at, id
               LIMIT 1
               FOR UPDATE SKIP LOCKED
           )
           UPDATE auth.outbox AS mail
           SET locked_until = now() + $2::interval, attempts = attempts + 1
           FROM due WHERE mail.id = due.id
           RETURNING mail.id, mail.kind, mail.user_id, mail.email_id, mail.to_address, mail.payload,
                     mail.locale, mail.attempts"#,
        deployment,
        interval(lease),
    )
    .fetch_optional(&mut *conn)
    .await?;
    Ok(row.map(|row| Claimed {
        id: row.id.into(),
        kind: row.kind,
        user_id: row.user_id.map(UserId::from),
        destination: match row.email_id {
            Some(id) => Destination::Email(id.into()),
            None => Destination::Address(row.to_address.unwrap_or_default()),
        },
        payload: row.payload,
        locale: row.locale,
        attempt: row.attempts,
    }))
}

impl Claimed {
    /// Records that a server has taken the mail. True even when the lease has run out meanwhile: sent is sent.
    pub(super) async fn sent(&self, conn: &mut Conn) -> Result<(), sqlx::Error> {
        sqlx::query!(
            "UPDATE auth.outbox SET sent_at = now(), locked_until = NULL, last_error = NULL
             WHERE id = $1 AND sent_at IS NULL AND failed_at IS NULL",
            self.id.as_uuid(),
        )
        .execute(&mut *conn)
        .await?;
        Ok(())
    }

    /// Records a failed attempt, unless another worker has taken over since. Returns whether the mail was given
    /// up by this.
    pub(super) async fn failed(
        &self,
        conn: &mut Conn,
        failure: Failure,
        error: &str,
    ) -> Result<bool, sqlx::Error> {
        let (after, give_up_after) = match failure {
            Failure::Retry { after, give_up_after } => (after, give_up_after),
            Failure::Final => (Duration::ZERO, Duration::ZERO),
        };
        let given_up = sqlx::query_scalar!(
            r#"UPDATE auth.outbox
               SET locked_until = NULL,
                   last_error = $3,
                   next_attempt_at = now() + $4::interval,
                   failed_at = CASE WHEN created_at + $5::interval <= now() THEN now() END
               WHERE id = $1 AND attempts = $2 AND sent_at IS NULL AND failed_at IS NULL
               RETURNING failed_at IS NOT NULL AS "given_up!""#,
            self.id.as_uuid(),
            self.attempt,
            error.chars().take(400).collect::<String>(),
            interval(after),
            interval(give_up_after),
        )
        .fetch_optional(&mut *conn)
        .await?;
        Ok(given_up.unwrap_or(false))
    }

    /// Removes the row: there is nothing to say any more, and it may name somebody who has left.
    pub(super) async fn drop_row(&self, conn: &mut Conn) -> Result<(), sqlx::Error> {
        sqlx::query!("DELETE FROM auth.outbox WHERE id = $1 AND sent_at IS NULL", self.id.as_uuid())
            .execute(&mut *conn)
            .await?;
        Ok(())
    }
}

/// How long until a row of this deployment may be claimed: zero when one is due, `None` when none waits. Counts
/// leases of others too: should their holder be dead, somebody has to be there when they run out.
pub(super) async fn next_due(conn: &mut Conn, deployment: &str) -> Result<Option<Duration>, sqlx::Error> {
    let seconds = sqlx::query_scalar!(
        r#"SELECT extract(epoch FROM min(greatest(next_attempt_at, locked_until)) - now())::float8 AS seconds
           FROM auth.outbox
           WHERE deployment = $1 AND sent_at IS NULL AND failed_at IS NULL"#,
        deployment,
    )
    .fetch_one(&mut *conn)
    .await?;
    Ok(seconds.map(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)))
}

/// Removes mails that were sent or given up more than `keep` ago, at most `limit` of them. Returns how many: call
/// again while it is `limit`.
pub async fn purge(conn: &mut Conn, keep: Duration, limit: i64) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "DELETE FROM auth.outbox WHERE id IN (
             SELECT id FROM auth.outbox
             WHERE (sent_at IS NOT NULL OR failed_at IS NOT NULL)
               AND COALESCE(sent_at, failed_at) < now() - $1::interval
             LIMIT $2
             FOR UPDATE SKIP LOCKED
         )",
        interval(keep),
        limit,
    )
    .execute(&mut *conn)
    .await?;
    Ok(done.rows_affected())
}
