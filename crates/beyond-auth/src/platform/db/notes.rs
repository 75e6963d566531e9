//! Notes about rows that are written behind the requests: in batches and at a bounded rate, or never if too many are
//! made at once. For what the next request notes again, such as when something was last used.

use std::collections::HashSet;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// After the first note, others have this long to join its statement.
const GATHER: Duration = Duration::from_millis(200);
/// Rows in one statement.
const BATCH: usize = 500;
/// Between two statements: writing notes takes a bounded part of the database (5,000 rows a second).
const PAUSE: Duration = Duration::from_millis(100);
/// Notes kept; more are dropped.
const MOST_NOTES: usize = 10_000;

/// Rows about which something is to be written.
#[derive(Debug)]
pub struct Notes<K> {
    due: Mutex<HashSet<K>>,
    news: Notify,
}

impl<K> Default for Notes<K> {
    fn default() -> Self {
        Self { due: Mutex::default(), news: Notify::new() }
    }
}

impl<K: Copy + Eq + Hash> Notes<K> {
    /// Notes a row.
    pub fn note(&self, id: K) {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        if due.len() < MOST_NOTES && due.insert(id) && due.len() == 1 {
            drop(due);
            self.news.notify_one();
        }
    }

    fn take(&self) -> Vec<K> {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let batch: Vec<K> = due.iter().take(BATCH).copied().collect();
        for id in &batch {
            due.remove(id);
        }
        batch
    }

    /// Hands batches to `write` until the process ends; asks nothing while nothing is noted. What was noted last is
    /// lost then, and no harm done.
    pub async fn write<F>(&self, shutdown: &CancellationToken, write: impl Fn(Vec<K>) -> F)
    where
        F: Future<Output = Result<(), sqlx::Error>>,
    {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.news.notified() => {}
            }
            let mut pause = GATHER;
            loop {
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = tokio::time::sleep(pause) => {}
                }
                let batch = self.take();
                if batch.is_empty() {
                    break;
                }
                if let Err(error) = write(batch).await {
                    tracing::debug!(%error, "the last use was not written");
                }
                pause = PAUSE;
            }
        }
    }
}
