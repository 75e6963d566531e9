//! Waiting lookups share one statement: a request that arrives while a statement is in flight joins the next.
//!
//! Nobody waits when nothing is in flight, and nothing is cached: a key is only ever part of a statement that
//! is sent after the key arrived, so every answer was read from the database after its request came in, and
//! what another instance has committed before that is seen. One room for everything that each request asks:
//! sessions, API keys, authorization.
//!
//! A [`Coalescer`] has a few lanes, each a task with a connection of its own, so that neither a slow
//! endpoint nor an exhausted pool can hold up verification. Lanes connect on demand, let go of a connection
//! that lay idle, and ask the database nothing while nobody asks them.

mod lane;
mod queue;
#[cfg(test)]
mod tests;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use super::{Conn, DatabaseConfig, Pooler, connect_options, is_unavailable, undisturbed};
use queue::{Queue, Refused, Waiter};

/// How much a coalescer takes on.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Statements in flight at once, each on a connection of its own.
    pub lanes: usize,
    /// While a statement is in flight, so many must wait before another one is sent beside it: fewer are better off
    /// together in the next. With one, every idle lane begins at once.
    pub spread: usize,
    /// But nobody waits longer than this for statements in flight while a lane is idle: the database may be far, or a
    /// connection dead.
    pub patience: Duration,
    /// Keys in one statement.
    pub batch: usize,
    /// Requests waiting for a statement; one more is refused at once.
    pub queue: usize,
    /// A statement, or an attempt to connect, that takes longer counts as failed.
    pub timeout: Duration,
    /// A lane that nobody needed for this long closes its connection.
    pub idle: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            // While the answers of one are handed out, the other keeps the database busy.
            lanes: 2,
            spread: 48,
            patience: Duration::from_millis(4),
            batch: 512,
            queue: 4096,
            // As long as a request waits for a connection of the pool. A lane that a network has cut off in
            // silence notices only by this.
            timeout: Duration::from_secs(2),
            // Below the few minutes after which NAT and balancers forget a silent connection.
            idle: Duration::from_mins(1),
        }
    }
}

/// Why there is no answer. Nothing is known about the key: the request is to be tried again later (503).
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// As many requests wait as may.
    #[error("too many lookups are waiting")]
    Full,
    /// The process is ending.
    #[error("lookups have ended")]
    Closed,
    /// The statement failed, for all whose keys were in it.
    #[error("lookup failed: {0}")]
    Database(Arc<sqlx::Error>),
}

impl Error {
    /// Whether to try again later, as opposed to a mistake of ours (500).
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Full | Self::Closed => true,
            Self::Database(error) => is_unavailable(error),
        }
    }
}

/// For callers that only know the errors of their own statements.
impl From<Error> for sqlx::Error {
    fn from(error: Error) -> Self {
        if error.is_unavailable() {
            Self::Io(std::io::Error::other(error))
        } else {
            Self::AnyDriverError(Box::new(error))
        }
    }
}

/// One statement that answers many keys.
pub trait Lookup: Send + Sync + 'static {
    /// What is asked for.
    type Key: Send + Sync + 'static;
    /// What is found.
    type Answer: Send + 'static;

    /// Answers in the order of the keys, `None` where there is nothing. Keys may repeat. The statement only
    /// reads: after a lost connection it is sent again on a new one.
    fn look_up(
        &self,
        conn: &mut Conn,
        keys: &[Self::Key],
    ) -> impl Future<Output = Result<Vec<Option<Self::Answer>>, sqlx::Error>> + Send;
}

/// What a lane works with: [`Lookup`] on Postgres, or a test's own.
trait Backend: Send + Sync + 'static {
    type Connection: Send;
    type Key: Send + Sync + 'static;
    type Answer: Send + 'static;

    fn connect(&self) -> impl Future<Output = Result<Self::Connection, sqlx::Error>> + Send;
    fn look_up(
        &self,
        connection: &mut Self::Connection,
        keys: &[Self::Key],
    ) -> impl Future<Output = Result<Vec<Option<Self::Answer>>, sqlx::Error>> + Send;
}

/// Gathers lookups of keys `K` that find a `V`. Dropping it ends its lanes.
pub struct Coalescer<K, V> {
    queue: Arc<Queue<K, V>>,
    lanes: TaskTracker,
}

impl<K: Send + Sync + 'static, V: Send + 'static> Coalescer<K, V> {
    /// Starts lanes on the current runtime; they connect when first needed.
    ///
    /// # Errors
    /// When the database's URL is malformed.
    pub fn new<L>(config: &DatabaseConfig, lookup: L, options: Options) -> Result<Self, sqlx::Error>
    where
        L: Lookup<Key = K, Answer = V>,
    {
        let connect = lane_options(config)?;
        let backend = Postgres { connect, pooler: config.pooler, timeout: options.timeout, lookup };
        Ok(Self::start(backend, options))
    }

    fn start<B: Backend<Key = K, Answer = V>>(backend: B, options: Options) -> Self {
        let queue = Arc::new(Queue::new(&options));
        let backend = Arc::new(backend);
        let news = Arc::new(lane::News::default());
        let lanes = TaskTracker::new();
        for _ in 0..options.lanes {
            lanes.spawn(lane::run(Arc::clone(&queue), Arc::clone(&backend), options, Arc::clone(&news)));
        }
        lanes.close();
        Self { queue, lanes }
    }

    /// Looks a key up, together with whoever else is waiting. Dropping the future gives the lookup up and
    /// harms nobody else.
    pub async fn get(&self, key: K) -> Result<Option<V>, Error> {
        let (answer, answered) = oneshot::channel();
        self.queue.push(Waiter { key, answer }).map_err(|refused| match refused {
            Refused::Full => Error::Full,
            Refused::Closed => Error::Closed,
        })?;
        // The sender is only ever dropped unused when the process ends.
        answered.await.unwrap_or(Err(Error::Closed))
    }

    /// Answers what is waiting, then closes the connections.
    pub async fn close(&self) {
        self.queue.close();
        self.lanes.wait().await;
    }
}

impl<K, V> Drop for Coalescer<K, V> {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl<K, V> fmt::Debug for Coalescer<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coalescer").field("lanes", &self.lanes.len()).finish_non_exhaustive()
    }
}

/// A lane's connection plans each statement once, for a handful of keys found by index: what a batch of any
/// size wants. Left to itself the planner would consider a new plan for every array.
fn lane_options(config: &DatabaseConfig) -> Result<PgConnectOptions, sqlx::Error> {
    let options = connect_options(&config.url, config.pooler)?;
    Ok(match config.pooler {
        Pooler::Session => options.options([("plan_cache_mode", "force_generic_plan"), ("jit", "off")]),
        Pooler::Transaction => options,
    })
}

/// A lookup on connections of its own.
struct Postgres<L> {
    connect: PgConnectOptions,
    pooler: Pooler,
    timeout: Duration,
    lookup: L,
}

impl<L: Lookup> Backend for Postgres<L> {
    type Connection = Conn;
    type Key = L::Key;
    type Answer = L::Answer;

    async fn connect(&self) -> Result<Conn, sqlx::Error> {
        let (options, limit) = (self.connect.clone(), self.timeout);
        let opening = async move {
            let opened = tokio::time::timeout(limit, PgConnection::connect_with(&options)).await;
            opened.unwrap_or_else(|_| Err(lane::timed_out()))
        };
        let connection = undisturbed(opening).await?;
        Ok(Conn::dedicated(connection, self.pooler))
    }

    async fn look_up(
        &self,
        connection: &mut Conn,
        keys: &[L::Key],
    ) -> Result<Vec<Option<L::Answer>>, sqlx::Error> {
        self.lookup.look_up(connection, keys).await
    }
}
