//! The sealed column, for a change of the key-encryption key.

use futures::future::BoxFuture;

use crate::platform::crypto::envelope::{KeyId, SealContext};
use crate::platform::db::Conn;
use crate::platform::sealed::{Count, SealedColumn, SealedValue};

const TABLE: &str = "auth.oauth_providers";
const COLUMN: &str = "sealed_secret";

/// Where the secret of a provider lives.
pub fn place(row: &str) -> SealContext<'_> {
    SealContext { table: TABLE, column: COLUMN, row }
}

/// `auth.oauth_providers.sealed_secret`.
#[derive(Debug)]
pub struct SealedSecret;

impl SealedColumn for SealedSecret {
    fn table(&self) -> &'static str {
        TABLE
    }

    fn column(&self) -> &'static str {
        COLUMN
    }

    fn count<'a>(&'a self, conn: &'a mut Conn, key: KeyId) -> BoxFuture<'a, Result<Count, sqlx::Error>> {
        Box::pin(async move {
            sqlx::query_as!(
                Count,
                r#"SELECT count(sealed_secret) AS "total!",
                          count(*) FILTER (WHERE substring(sealed_secret FROM 2 FOR 8) <> $1) AS "stale!"
                   FROM auth.oauth_providers"#,
                key.as_bytes(),
            )
            .fetch_one(&mut *conn)
            .await
        })
    }

    fn stale<'a>(
        &'a self,
        conn: &'a mut Conn,
        key: KeyId,
        but: &'a [String],
        limit: i64,
    ) -> BoxFuture<'a, Result<Vec<SealedValue>, sqlx::Error>> {
        Box::pin(async move {
            let rows = sqlx::query!(
                "SELECT id, sealed_secret FROM auth.oauth_providers
                 WHERE substring(sealed_secret FROM 2 FOR 8) <> $1 AND id <> ALL($2)
                 ORDER BY id LIMIT $3 FOR UPDATE",
                key.as_bytes(),
                but,
                limit,
            )
            .fetch_all(&mut *conn)
            .await?;
            let value = |id, sealed: Option<Vec<u8>>| Some(SealedValue { row: id, sealed: sealed? });
            Ok(rows.into_iter().filter_map(|row| value(row.id, row.sealed_secret)).collect())
        })
    }

    fn replace<'a>(
        &'a self,
        conn: &'a mut Conn,
        value: &'a SealedValue,
    ) -> BoxFuture<'a, Result<(), sqlx::Error>> {
        Box::pin(async move {
            sqlx::query!(
                "UPDATE auth.oauth_providers SET sealed_secret = $2 WHERE id = $1",
                value.row,
                value.sealed,
            )
            .execute(&mut *conn)
            .await?;
            Ok(())
        })
    }
}
