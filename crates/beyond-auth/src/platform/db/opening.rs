//! Opening connections beside a busy runtime.
//!
//! While it computes the proof of a SCRAM password (RFC 5802: 4,096 rounds of HMAC by default), sqlx yields to the
//! runtime after every five rounds. Where requests keep all workers busy, each of those 800 yields waits for its turn
//! behind all of them, the connection is not open before its time is up, and no instance that has run out of
//! connections under load gets one again. A thread that does nothing else is not kept waiting by anybody.

use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

/// Drives `opening` to its end on a thread of its own. Its time limit is its own affair.
pub(super) async fn undisturbed<T: Send + 'static>(
    opening: impl Future<Output = Result<T, sqlx::Error>> + Send + 'static,
) -> Result<T, sqlx::Error> {
    let runtime = Handle::current();
    let opened = spawn_blocking(move || runtime.block_on(opening)).await;
    opened.unwrap_or(Err(sqlx::Error::WorkerCrashed))
}
