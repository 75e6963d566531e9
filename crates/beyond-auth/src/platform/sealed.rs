//! Sealing stored values anew when the key-encryption key has changed.
//!
//! Each slice with a sealed column describes it as a [`SealedColumn`]; the operator's side lists them all and
//! calls [`rewrap`] on each.

use std::time::Instant;

use futures::future::BoxFuture;

use super::crypto::envelope::{KeyId, Keyring, SealContext};
use super::db::{Conn, Db};

/// Values sealed anew in one transaction: short locks.
const BATCH: i64 = 100;

/// How many values a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// All of them.
    pub total: i64,
    /// Those that another key than the one asked about has sealed.
    pub stale: i64,
}

/// A sealed value and the row it belongs to.
#[derive(Debug)]
pub struct SealedValue {
    /// The primary key, as text: as it stands in the [`SealContext`].
    pub row: String,
    /// The value.
    pub sealed: Vec<u8>,
}

/// A column of sealed values. `key` is always the key that is to have sealed them.
pub trait SealedColumn: Sync {
    /// The table, as in the [`SealContext`].
    fn table(&self) -> &'static str;
    /// The column, as in the [`SealContext`].
    fn column(&self) -> &'static str;
    /// Counts the values.
    fn count<'a>(&'a self, conn: &'a mut Conn, key: KeyId) -> BoxFuture<'a, Result<Count, sqlx::Error>>;
    /// Finds and locks some values that another key has sealed, except those of the rows in `but`.
    fn stale<'a>(
        &'a self,
        conn: &'a mut Conn,
        key: KeyId,
        but: &'a [String],
        limit: i64,
    ) -> BoxFuture<'a, Result<Vec<SealedValue>, sqlx::Error>>;
    /// Replaces a value.
    fn replace<'a>(
        &'a self,
        conn: &'a mut Conn,
        value: &'a SealedValue,
    ) -> BoxFuture<'a, Result<(), sqlx::Error>>;
}

/// How far a column has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Values in the column.
    pub total: i64,
    /// Sealed anew just now.
    pub rewrapped: i64,
    /// Still sealed by another key.
    pub remaining: i64,
}

/// Seals the values of a column anew under the current key, in small transactions, until all are done or it is
/// `until`. A value that no key of the ring opens is logged and stays as it is.
pub async fn rewrap(
    db: &Db,
    keyring: &Keyring,
    column: &dyn SealedColumn,
    until: Instant,
) -> Result<Progress, sqlx::Error> {
    let key = keyring.current_key_id();
    let (mut rewrapped, mut unreadable) = (0, Vec::new());
    while Instant::now() < until {
        let mut tx = db.begin("sealed.rewrap").await?;
        let values = column.stale(&mut tx, key, &unreadable, BATCH).await?;
        if values.is_empty() {
            break;
        }
        for mut value in values {
            let place = SealContext { table: column.table(), column: column.column(), row: &value.row };
            match keyring.rewrap(&place, &value.sealed) {
                Ok(Some(sealed)) => {
                    value.sealed = sealed;
                    column.replace(&mut tx, &value).await?;
                    rewrapped += 1;
                }
                Ok(None) => {}
                Err(error) => {
                    let (table, column) = (column.table(), column.column());
                    tracing::error!(table, column, row = value.row, %error, "a sealed value does not open");
                    unreadable.push(value.row);
                }
            }
        }
        tx.commit().await?;
    }
    let Count { total, stale } = column.count(&mut db.acquire().await?, key).await?;
    Ok(Progress { total, rewrapped, remaining: stale })
}
