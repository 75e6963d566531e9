//! One lane: a connection, and one statement at a time on it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::time::{Instant, timeout};

use super::queue::{Batch, Queue};
use super::{Backend, Error, Options};

/// After a failed attempt to connect, requests are refused for this long before the next; doubled each time.
const FIRST_BACKOFF: Duration = Duration::from_millis(50);
/// Short, because whoever comes after the database's return should find us there too.
const LONGEST_BACKOFF: Duration = Duration::from_millis(500);

/// Serves the queue until it is closed and empty.
pub(super) async fn run<B: Backend>(
    queue: Arc<Queue<B::Key, B::Answer>>,
    backend: Arc<B>,
    options: Options,
    news: Arc<News>,
) {
    let mut lane = Lane { backend, options, connection: None, outage: None, news };
    loop {
        let next = queue.next();
        let batch = if lane.connection.is_some() {
            let Ok(batch) = timeout(options.idle, next).await else {
                lane.connection = None;
                continue;
            };
            batch
        } else {
            next.await
        };
        let Some(batch) = batch else { return };
        lane.serve(batch).await;
        queue.finished();
    }
}

struct Lane<B: Backend> {
    backend: Arc<B>,
    options: Options,
    connection: Option<Opened<B::Connection>>,
    outage: Option<Outage>,
    news: Arc<News>,
}

/// What the lanes of one coalescer tell each other about the database.
#[derive(Default)]
pub(super) struct News {
    /// Connections lost. What cut one off may have cut them all off, and silently: one that was opened before the
    /// last loss is not used again.
    losses: AtomicU64,
    /// Connections made. Whoever waits before the next attempt need not wait any longer.
    successes: AtomicU64,
}

/// A connection, and how many were lost before it was opened.
struct Opened<C> {
    connection: C,
    after: u64,
}

/// The database was away when last asked.
struct Outage {
    error: Error,
    backoff: Duration,
    until: Instant,
    /// Connections made by then.
    successes: u64,
}

/// Why a statement has no answers.
enum Failure {
    /// The connection is gone, or in an unknown state.
    Connection(sqlx::Error),
    /// The statement itself.
    Statement(sqlx::Error),
}

impl<B: Backend> Lane<B> {
    async fn serve(&mut self, batch: Batch<B::Key, B::Answer>) {
        // A bug in a lookup must not take the lane with it: everybody after would wait for ever.
        let outcome = AssertUnwindSafe(self.look_up(&batch.keys)).catch_unwind().await;
        let outcome = outcome.unwrap_or_else(|_| {
            self.connection = None;
            Err(Error::Database(Arc::new(sqlx::Error::WorkerCrashed)))
        });
        match outcome {
            Ok(answers) if answers.len() == batch.keys.len() => batch.answer(answers),
            Ok(answers) => {
                tracing::error!(keys = batch.keys.len(), answers = answers.len(), "a lookup miscounted");
                batch.fail(&Error::Database(Arc::new(sqlx::Error::WorkerCrashed)));
            }
            Err(error) => batch.fail(&error),
        }
    }

    async fn look_up(&mut self, keys: &[B::Key]) -> Result<Vec<Option<B::Answer>>, Error> {
        let connection = self.connection.take();
        if let Some(connection) = connection.filter(|opened| opened.after == self.news.losses.load(Relaxed)) {
            match self.ask(connection, keys).await {
                // It may have died long ago, with a restart of Postgres, say: a new one may work.
                Err(Failure::Connection(error)) => tracing::debug!(%error, "a lane lost its connection"),
                Err(Failure::Statement(error)) => return Err(failed(error)),
                Ok(answers) => return Ok(answers),
            }
        }
        let connection = self.connect().await?;
        match self.ask(connection, keys).await {
            Ok(answers) => Ok(answers),
            Err(Failure::Connection(error) | Failure::Statement(error)) => Err(failed(error)),
        }
    }

    /// One statement. The connection is kept only if it is known to be good.
    async fn ask(
        &mut self,
        mut opened: Opened<B::Connection>,
        keys: &[B::Key],
    ) -> Result<Vec<Option<B::Answer>>, Failure> {
        match timeout(self.options.timeout, self.backend.look_up(&mut opened.connection, keys)).await {
            Ok(Ok(answers)) => {
                self.connection = Some(opened);
                Ok(answers)
            }
            Ok(Err(error)) if is_connection_lost(&error) => {
                self.news.losses.fetch_add(1, Relaxed);
                Err(Failure::Connection(error))
            }
            Ok(Err(error)) => Err(Failure::Statement(error)),
            // Not to be tried again: the requests have waited long enough.
            Err(_) => {
                self.news.losses.fetch_add(1, Relaxed);
                Err(Failure::Statement(timed_out()))
            }
        }
    }

    async fn connect(&mut self) -> Result<Opened<B::Connection>, Error> {
        let successes = self.news.successes.load(Relaxed);
        let is_on = |outage: &&Outage| Instant::now() < outage.until && outage.successes == successes;
        if let Some(outage) = self.outage.as_ref().filter(is_on) {
            return Err(outage.error.clone());
        }
        let after = self.news.losses.load(Relaxed);
        let mut connected = self.attempt().await;
        if connected.is_err() && self.news.successes.load(Relaxed) != successes {
            // Another lane got through meanwhile. An attempt that began while Postgres recovered from a crash may
            // have been left without any answer.
            connected = self.attempt().await;
        }
        match connected {
            Ok(connection) => {
                self.news.successes.fetch_add(1, Relaxed);
                if self.outage.take().is_some() {
                    tracing::info!("the database is back");
                }
                Ok(Opened { connection, after })
            }
            Err(error) => {
                let backoff = match &self.outage {
                    Some(outage) => (outage.backoff * 2).min(LONGEST_BACKOFF),
                    None => FIRST_BACKOFF,
                };
                let error = failed(error);
                let until = Instant::now() + backoff;
                self.outage = Some(Outage { error: error.clone(), backoff, until, successes });
                Err(error)
            }
        }
    }

    async fn attempt(&mut self) -> Result<B::Connection, sqlx::Error> {
        timeout(self.options.timeout, self.backend.connect()).await.unwrap_or_else(|_| Err(timed_out()))
    }
}

/// Logs once for all who wait.
fn failed(error: sqlx::Error) -> Error {
    if super::is_unavailable(&error) {
        tracing::warn!(%error, "lookups: database unavailable");
    } else {
        tracing::error!(%error, "lookups: database error");
    }
    Error::Database(Arc::new(error))
}

/// Whether the connection is to blame, so that another may do.
fn is_connection_lost(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => {
            true
        }
        // Class 08: connection exception. 57P01 to 57P05: the server ended the session.
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| code.starts_with("08") || code.starts_with("57P"))
        }
        _ => false,
    }
}

pub(super) fn timed_out() -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer in time"))
}
