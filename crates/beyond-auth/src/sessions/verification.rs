//! The handles of the hot path: lookups that share statements, and last-seen written behind their back.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::store::live::{self, Candidate};
use crate::app::App;
use crate::platform::db::coalesce::{self, Coalescer, Lookup, Options};
use crate::platform::db::{Conn, DatabaseConfig};
use crate::platform::ids::SessionId;
use crate::settings;

/// Verifies sessions on connections of its own.
#[derive(Debug)]
pub struct Verification {
    live: Coalescer<SessionId, Candidate>,
    last_seen: LastSeen,
}

impl Verification {
    /// Starts the lanes on the current runtime.
    ///
    /// # Errors
    /// When the database's URL is malformed.
    pub fn new(config: &DatabaseConfig) -> Result<Self, sqlx::Error> {
        let lanes = usize::try_from(Self::connections(config.max_connections)).unwrap_or(1);
        let live = Coalescer::new(config, FindLive, Options { lanes, ..Options::default() })?;
        Ok(Self { live, last_seen: LastSeen::default() })
    }

    /// How many of the process's `most` connections are verification's own.
    pub fn connections(most: u32) -> u32 {
        if most < 5 { 1 } else { 2 }
    }

    /// The live session of this id, read after this was called.
    pub(super) async fn find(&self, id: SessionId) -> Result<Option<Candidate>, coalesce::Error> {
        self.live.get(id).await
    }

    /// Notes that a session was used; written a little later, or never if too much is noted at once: the next
    /// use notes it again.
    pub(super) fn used(&self, id: SessionId) {
        self.last_seen.note(id);
    }

    /// Answers what is waiting, then closes the connections.
    pub async fn close(&self) {
        self.live.close().await;
    }
}

struct FindLive;

impl Lookup for FindLive {
    type Key = SessionId;
    type Answer = Candidate;

    async fn look_up(
        &self,
        conn: &mut Conn,
        keys: &[SessionId],
    ) -> Result<Vec<Option<Candidate>>, sqlx::Error> {
        live::find_live_many(conn, keys).await
    }
}

/// After the first note, others have this long to join its statement.
const GATHER: Duration = Duration::from_millis(200);
/// Sessions in one statement.
const BATCH: usize = 500;
/// Between two statements: writing last-seen takes a bounded part of the database (5,000 rows a second).
const PAUSE: Duration = Duration::from_millis(100);
/// Notes kept; more are dropped.
const MOST_NOTES: usize = 10_000;

/// Sessions whose last use is to be written.
#[derive(Debug, Default)]
struct LastSeen {
    due: Mutex<HashSet<SessionId>>,
    news: Notify,
}

impl LastSeen {
    fn note(&self, id: SessionId) {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        if due.len() < MOST_NOTES && due.insert(id) && due.len() == 1 {
            drop(due);
            self.news.notify_one();
        }
    }

    fn take(&self) -> Vec<SessionId> {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let batch: Vec<SessionId> = due.iter().take(BATCH).copied().collect();
        for id in &batch {
            due.remove(id);
        }
        batch
    }
}

/// Job: writes last-seen, in batches, off the path of requests. Asks nothing while nobody uses a session.
/// What was noted when the process ends is lost, and no harm done.
pub async fn write_last_seen(app: App) {
    let last_seen = &app.verification.last_seen;
    loop {
        tokio::select! {
            () = app.shutdown.cancelled() => return,
            () = last_seen.news.notified() => {}
        }
        let mut pause = GATHER;
        loop {
            tokio::select! {
                () = app.shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            let batch = last_seen.take();
            if batch.is_empty() {
                break;
            }
            if let Err(error) = touch(&app, &batch).await {
                tracing::debug!(%error, "last-seen was not written");
            }
            pause = PAUSE;
        }
    }
}

async fn touch(app: &App, batch: &[SessionId]) -> Result<(), sqlx::Error> {
    let mut conn = app.db.acquire().await?;
    let idle = settings::load(&mut conn).await?.sessions.idle();
    live::touch_many(&mut conn, batch, idle).await
}
