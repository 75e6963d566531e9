//! Sealing stored values anew when the key-encryption key has changed.
//!
//! Each slice with a sealed column names it in its store with `sealed_column!`, which makes a [`SealedColumn`] of it; the
//! operator's side lists them all and calls [`rewrap`] on each.

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
    /// What the value of a row is bound to.
    fn place<'a>(&self, row: &'a str) -> SealContext<'a> {
        SealContext { table: self.table(), column: self.column(), row }
    }
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

/// Declares the [`SealedColumn`] of a table whose primary key is `id`, in the table's store. A column may be NULL.
macro_rules! sealed_column {
    ($(#[$doc:meta])* $name:ident = $table:tt, $column:tt) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name;

        impl $crate::platform::sealed::SealedColumn for $name {
            fn table(&self) -> &'static str {
                $table
            }

            fn column(&self) -> &'static str {
                $column
            }

            fn count<'a>(
                &'a self,
                conn: &'a mut $crate::platform::db::Conn,
                key: $crate::platform::crypto::envelope::KeyId,
            ) -> futures::future::BoxFuture<'a, Result<$crate::platform::sealed::Count, sqlx::Error>> {
                Box::pin(async move {
                    sqlx::query_as!(
                        $crate::platform::sealed::Count,
                        "SELECT count(" + $column + ") AS \"total!\", count(*) FILTER (WHERE substring(" + $column
                            + " FROM 2 FOR 8) <> $1) AS \"stale!\" FROM " + $table,
                        key.as_bytes(),
                    )
                    .fetch_one(&mut *conn)
                    .await
                })
            }

            fn stale<'a>(
                &'a self,
                conn: &'a mut $crate::platform::db::Conn,
                key: $crate::platform::crypto::envelope::KeyId,
                but: &'a [String],
                limit: i64,
            ) -> futures::future::BoxFuture<
                'a,
                Result<Vec<$crate::platform::sealed::SealedValue>, sqlx::Error>,
            > {
                Box::pin(async move {
                    sqlx::query_as!(
                        $crate::platform::sealed::SealedValue,
                        "SELECT id::text AS \"row!\", " + $column + " AS \"sealed!\" FROM " + $table
                            + " WHERE substring(" + $column + " FROM 2 FOR 8) <> $1 AND id::text <> ALL($2)"
                            + " ORDER BY id LIMIT $3 FOR UPDATE",
                        key.as_bytes(),
                        but,
                        limit,
                    )
                    .fetch_all(&mut *conn)
                    .await
                })
            }

            fn replace<'a>(
                &'a self,
                conn: &'a mut $crate::platform::db::Conn,
                value: &'a $crate::platform::sealed::SealedValue,
            ) -> futures::future::BoxFuture<'a, Result<(), sqlx::Error>> {
                Box::pin(async move {
                    sqlx::query!(
                        "UPDATE " + $table + " SET " + $column + " = $2 WHERE id::text = $1",
                        value.row,
                        value.sealed,
                    )
                    .execute(&mut *conn)
                    .await?;
                    Ok(())
                })
            }
        }
    };
}
pub(crate) use sealed_column;

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
            match keyring.rewrap(&column.place(&value.row), &value.sealed) {
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
