//! The handles of the hot path: lookups that share statements, and the last use written behind their back.

use super::store::live::{self, Candidate};
use crate::app::App;
use crate::platform::db::coalesce::{self, Coalescer, Lookup, Options};
use crate::platform::db::notes::Notes;
use crate::platform::db::{Conn, DatabaseConfig};
use crate::platform::ids::ApiKeyId;

/// Verifies keys on connections of its own.
#[derive(Debug)]
pub struct Verification {
    /// None where there are too few connections to have some of its own: then lookups take the pool's, one by one.
    live: Option<Coalescer<ApiKeyId, Candidate>>,
    last_used: Notes<ApiKeyId>,
}

impl Verification {
    /// Starts the lanes on the current runtime.
    ///
    /// # Errors
    /// When the database's URL is malformed.
    pub fn new(config: &DatabaseConfig) -> Result<Self, sqlx::Error> {
        let lanes = usize::try_from(Self::connections(config.max_connections)).unwrap_or(0);
        let live = match lanes {
            0 => None,
            lanes => Some(Coalescer::new(config, FindLive, Options { lanes, ..Options::default() })?),
        };
        Ok(Self { live, last_used: Notes::default() })
    }

    /// How many of the process's `most` connections are its own, beside those that verify sessions. They are opened
    /// when they are needed: where nobody presents a key, there are none.
    pub fn connections(most: u32) -> u32 {
        match most {
            0..5 => 0,
            5..10 => 1,
            _ => 2,
        }
    }

    /// The live key of this id, read after this was called.
    pub(super) async fn find(&self, app: &App, id: ApiKeyId) -> Result<Option<Candidate>, coalesce::Error> {
        match &self.live {
            Some(live) => live.get(id).await,
            None => alone(app, id).await.map_err(|error| coalesce::Error::Database(error.into())),
        }
    }

    /// Notes that a key was used; written a little later, or never if too much is noted at once: the next use notes it
    /// again.
    pub(super) fn used(&self, id: ApiKeyId) {
        self.last_used.note(id);
    }

    /// Answers what is waiting, then closes the connections.
    pub async fn close(&self) {
        if let Some(live) = &self.live {
            live.close().await;
        }
    }
}

async fn alone(app: &App, id: ApiKeyId) -> Result<Option<Candidate>, sqlx::Error> {
    let mut conn = app.db.acquire().await?;
    Ok(live::find_live_many(&mut conn, &[id]).await?.pop().flatten())
}

struct FindLive;

impl Lookup for FindLive {
    type Key = ApiKeyId;
    type Answer = Candidate;

    async fn look_up(
        &self,
        conn: &mut Conn,
        keys: &[ApiKeyId],
    ) -> Result<Vec<Option<Candidate>>, sqlx::Error> {
        live::find_live_many(conn, keys).await
    }
}

/// Job: writes when keys were last used, off the path of requests.
pub async fn write_last_used(app: App) {
    app.api_keys.last_used.write(&app.shutdown, |batch| touch(&app, batch)).await;
}

async fn touch(app: &App, batch: Vec<ApiKeyId>) -> Result<(), sqlx::Error> {
    let mut conn = app.db.acquire().await?;
    live::touch_many(&mut conn, &batch).await
}
