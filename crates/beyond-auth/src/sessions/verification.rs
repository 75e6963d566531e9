//! The handles of the hot path: lookups that share statements, and last-seen written behind their back.

use super::store::live::{self, Candidate};
use crate::app::App;
use crate::platform::db::coalesce::{self, Coalescer, Lookup, Options};
use crate::platform::db::notes::Notes;
use crate::platform::db::{Conn, DatabaseConfig};
use crate::platform::ids::SessionId;
use crate::settings;

/// Verifies sessions on connections of its own.
#[derive(Debug)]
pub struct Verification {
    live: Coalescer<SessionId, Candidate>,
    last_seen: Notes<SessionId>,
}

impl Verification {
    /// Starts the lanes on the current runtime.
    ///
    /// # Errors
    /// When the database's URL is malformed.
    pub fn new(config: &DatabaseConfig) -> Result<Self, sqlx::Error> {
        let lanes = usize::try_from(Self::connections(config.max_connections)).unwrap_or(1);
        let live = Coalescer::new(config, FindLive, Options { lanes, ..Options::default() })?;
        Ok(Self { live, last_seen: Notes::default() })
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

/// Job: writes last-seen, off the path of requests. Asks nothing while nobody uses a session.
pub async fn write_last_seen(app: App) {
    app.verification.last_seen.write(&app.shutdown, |batch| touch(&app, batch)).await;
}

async fn touch(app: &App, batch: Vec<SessionId>) -> Result<(), sqlx::Error> {
    let mut conn = app.db.acquire().await?;
    let idle = settings::load(&mut conn).await?.sessions.idle();
    live::touch_many(&mut conn, &batch, idle).await
}
