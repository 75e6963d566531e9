//! SQL on `auth.settings`.

use serde_json::Value;

use crate::platform::db::Conn;

/// What is stored, and its revision.
#[derive(Debug)]
pub struct Stored {
    /// Differences from the defaults.
    pub overrides: Value,
    /// Rises with each change.
    pub revision: i64,
}

/// Reads the row; a database without one has the defaults.
pub async fn find(conn: &mut Conn) -> Result<Stored, sqlx::Error> {
    let row = sqlx::query_as!(Stored, "SELECT overrides, revision FROM auth.settings WHERE singleton")
        .fetch_optional(&mut *conn)
        .await?;
    Ok(row.unwrap_or_else(|| Stored { overrides: Value::Object(serde_json::Map::new()), revision: 0 }))
}

/// Reads the row and keeps others from changing it until the transaction ends.
pub async fn lock(conn: &mut Conn) -> Result<Stored, sqlx::Error> {
    sqlx::query!("INSERT INTO auth.settings DEFAULT VALUES ON CONFLICT DO NOTHING")
        .execute(&mut *conn)
        .await?;
    sqlx::query_as!(Stored, "SELECT overrides, revision FROM auth.settings WHERE singleton FOR UPDATE")
        .fetch_one(&mut *conn)
        .await
}

/// Replaces what is stored; answers the new revision.
pub async fn update(conn: &mut Conn, overrides: &Value) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        "UPDATE auth.settings SET overrides = $1, revision = revision + 1, updated_at = now()
         WHERE singleton RETURNING revision",
        overrides,
    )
    .fetch_one(&mut *conn)
    .await
}
