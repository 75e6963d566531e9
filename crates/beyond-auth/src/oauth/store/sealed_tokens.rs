//! The sealed column, for a change of the key-encryption key.

use futures::future::BoxFuture;
use uuid::Uuid;

use crate::platform::crypto::envelope::{KeyId, SealContext};
use crate::platform::db::Conn;
use crate::platform::sealed::{Count, SealedColumn, SealedValue};

const TABLE: &str = "auth.oauth_tokens";
const COLUMN: &str = "sealed_tokens";

/// Where the tokens of a row live.
pub fn place(row: &str) -> SealContext<'_> {
    SealContext { table: TABLE, column: COLUMN, row }
}

/// `auth.oauth_tokens.sealed_tokens`.
#[derive(Debug)]
pub struct SealedTokens;

impl SealedColumn for SealedTokens {
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
                r#"SELECT count(*) AS "total!",
                          count(*) FILTER (WHERE substring(sealed_tokens FROM 2 FOR 8) <> $1) AS "stale!"
                   FROM auth.oauth_tokens"#,
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
                "SELECT id, sealed_tokens FROM auth.oauth_tokens
                 WHERE substring(sealed_tokens FROM 2 FOR 8) <> $1 AND id::text <> ALL($2)
                 ORDER BY id LIMIT $3 FOR UPDATE",
                key.as_bytes(),
                but,
                limit,
            )
            .fetch_all(&mut *conn)
            .await?;
            let value = |id: Uuid, sealed| SealedValue { row: id.to_string(), sealed };
            Ok(rows.into_iter().map(|row| value(row.id, row.sealed_tokens)).collect())
        })
    }

    fn replace<'a>(
        &'a self,
        conn: &'a mut Conn,
        value: &'a SealedValue,
    ) -> BoxFuture<'a, Result<(), sqlx::Error>> {
        Box::pin(async move {
            sqlx::query!(
                "UPDATE auth.oauth_tokens SET sealed_tokens = $2 WHERE id::text = $1",
                value.row,
                value.sealed,
            )
            .execute(&mut *conn)
            .await?;
            Ok(())
        })
    }
}
