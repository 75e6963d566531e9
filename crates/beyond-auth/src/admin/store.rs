//! SQL for the operator's lists: joins across slices that no single slice would own.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::platform::db::Conn;
use crate::platform::http::pagination::Window;
use crate::platform::ids::UserId;

/// A user as the operator sees it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AdminUser {
    /// Stable for life.
    pub id: UserId,
    /// The primary address.
    pub email: Option<String>,
    /// Whether the primary address has been proven.
    pub email_verified: bool,
    /// Display name.
    pub name: Option<String>,
    /// The user's own free-form object.
    #[schema(value_type = Object)]
    pub metadata: Value,
    /// Whether there is a password.
    pub has_password: bool,
    /// Since when the user is banned; `null` when not, or when the ban has expired.
    pub banned_at: Option<DateTime<Utc>>,
    /// When the ban ends; `null` while banned: until lifted.
    pub ban_expires_at: Option<DateTime<Utc>>,
    /// Why, in the operator's words.
    pub ban_reason: Option<String>,
    /// When the account was made.
    pub created_at: DateTime<Utc>,
    /// When the profile last changed.
    pub updated_at: DateTime<Utc>,
}

/// Which users to list.
#[derive(Clone, Debug)]
pub enum Filter {
    /// All.
    All,
    /// Those that have this canonical address, verified or claimed.
    Email(String),
    /// Those with an address that begins like this (canonical form).
    Prefix(String),
    /// Just this one.
    Id(UserId),
}

/// Lists users, oldest first.
pub async fn list(conn: &mut Conn, filter: &Filter, window: Window) -> Result<Vec<AdminUser>, sqlx::Error> {
    let ids = match filter {
        Filter::All => ids_of_all(conn, window).await?,
        Filter::Email(canonical) => ids_by_email(conn, canonical, window).await?,
        Filter::Prefix(prefix) => ids_by_prefix(conn, prefix, window).await?,
        Filter::Id(id) => vec![id.as_uuid()],
    };
    sqlx::query_as!(
        AdminUser,
        r#"SELECT u.id AS "id: UserId", e.address AS "email?", e.verified_at IS NOT NULL AS "email_verified!",
                  u.name, u.metadata, p.user_id IS NOT NULL AS "has_password!",
                  CASE WHEN u.ban_expires_at <= now() THEN NULL ELSE u.banned_at END AS banned_at,
                  CASE WHEN u.ban_expires_at <= now() THEN NULL ELSE u.ban_expires_at END AS ban_expires_at,
                  CASE WHEN u.ban_expires_at <= now() THEN NULL ELSE u.ban_reason END AS ban_reason,
                  u.created_at, u.updated_at
           FROM auth.users u
           LEFT JOIN auth.emails e ON e.user_id = u.id AND e.is_primary
           LEFT JOIN auth.passwords p ON p.user_id = u.id
           WHERE u.id = ANY($1) ORDER BY u.id"#,
        &ids,
    )
    .fetch_all(&mut *conn)
    .await
}

async fn ids_of_all(conn: &mut Conn, window: Window) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "SELECT id FROM auth.users WHERE id > coalesce($1, '00000000-0000-0000-0000-000000000000'::uuid)
         ORDER BY id LIMIT $2",
        window.after,
        window.fetch(),
    )
    .fetch_all(&mut *conn)
    .await
}

async fn ids_by_email(conn: &mut Conn, canonical: &str, window: Window) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "SELECT DISTINCT user_id FROM auth.emails
         WHERE canonical = $1 AND ($2::uuid IS NULL OR user_id > $2) ORDER BY user_id LIMIT $3",
        canonical,
        window.after,
        window.fetch(),
    )
    .fetch_all(&mut *conn)
    .await
}

/// A range over the pattern index: `LIKE` with a bound pattern would not be planned as one.
async fn ids_by_prefix(conn: &mut Conn, prefix: &str, window: Window) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "SELECT DISTINCT user_id FROM auth.emails
         WHERE canonical ~>=~ $1 AND canonical ~<~ ($1 || chr(1114111))
           AND ($2::uuid IS NULL OR user_id > $2)
         ORDER BY user_id LIMIT $3",
        prefix,
        window.after,
        window.fetch(),
    )
    .fetch_all(&mut *conn)
    .await
}

/// Bans a user.
pub async fn ban(
    conn: &mut Conn,
    id: UserId,
    reason: Option<&str>,
    expires_at: Option<DateTime<Utc>>,
) -> Result<bool, sqlx::Error> {
    let result = sqlx::query!(
        "UPDATE auth.users SET banned_at = CASE WHEN banned_at IS NOT NULL AND (ban_expires_at IS NULL OR ban_expires_at > now())
                              THEN banned_at ELSE now() END,
             ban_reason = $2, ban_expires_at = $3
         WHERE id = $1",
        id.as_uuid(),
        reason,
        expires_at,
    )
    .execute(&mut *conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// Lifts a ban.
pub async fn lift_ban(conn: &mut Conn, id: UserId) -> Result<bool, sqlx::Error> {
    let result = sqlx::query!(
        "UPDATE auth.users SET banned_at = NULL, ban_reason = NULL, ban_expires_at = NULL WHERE id = $1",
        id.as_uuid(),
    )
    .execute(&mut *conn)
    .await?;
    Ok(result.rows_affected() == 1)
}
