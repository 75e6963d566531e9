//! SQL on `auth.passwords`.

use crate::platform::db::Conn;
use crate::platform::ids::UserId;

/// Reads a user's hash.
pub async fn find(conn: &mut Conn, user: UserId) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!("SELECT hash FROM auth.passwords WHERE user_id = $1", user.as_uuid())
        .fetch_optional(&mut *conn)
        .await
}

/// Sets or replaces a user's hash.
pub async fn upsert(conn: &mut Conn, user: UserId, hash: &str) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO auth.passwords (user_id, hash) VALUES ($1, $2)
         ON CONFLICT (user_id) DO UPDATE SET hash = excluded.hash, changed_at = now()",
        user.as_uuid(),
        hash,
    )
    .execute(&mut *conn)
    .await?;
    Ok(())
}

/// Replaces a hash by one of the same password with current parameters, unless it has changed meanwhile.
pub async fn rehash(conn: &mut Conn, user: UserId, old: &str, new: &str) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE auth.passwords SET hash = $3 WHERE user_id = $1 AND hash = $2",
        user.as_uuid(),
        old,
        new,
    )
    .execute(&mut *conn)
    .await?;
    Ok(())
}
