//! SQL on `auth.oauth_providers`.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::oauth::model::{Definition, Kind, Provider, is_id};
use crate::platform::db::Conn;
use crate::platform::sealed::sealed_column;

sealed_column! {
    /// `auth.oauth_providers.sealed_secret`.
    SealedSecret = "auth.oauth_providers", "sealed_secret"
}

struct Row {
    id: String,
    kind: String,
    name: String,
    enabled: bool,
    client_id: String,
    has_secret: bool,
    definition: Value,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl Row {
    /// A kind that a newer version has brought is none of ours.
    fn read(self) -> Option<Provider> {
        let Self { id, kind, name, enabled, client_id, has_secret, definition, created_at, updated_at } =
            self;
        let (kind, definition) = (Kind::of(&kind)?, Definition::stored(definition));
        Some(Provider { id, kind, name, enabled, client_id, has_secret, definition, created_at, updated_at })
    }
}

/// Lists them, in the order they were made.
pub async fn list(conn: &mut Conn) -> Result<Vec<Provider>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, kind, name, enabled, client_id, sealed_secret IS NOT NULL AS "has_secret!", definition,
                  created_at, updated_at
           FROM auth.oauth_providers ORDER BY created_at, id"#
    )
    .fetch_all(&mut *conn)
    .await?;
    Ok(rows.into_iter().filter_map(Row::read).collect())
}

/// Finds one.
pub async fn find(conn: &mut Conn, id: &str) -> Result<Option<Provider>, sqlx::Error> {
    if !is_id(id) {
        return Ok(None);
    }
    let row = sqlx::query_as!(
        Row,
        r#"SELECT id, kind, name, enabled, client_id, sealed_secret IS NOT NULL AS "has_secret!", definition,
                  created_at, updated_at
           FROM auth.oauth_providers WHERE id = $1"#,
        id,
    )
    .fetch_optional(&mut *conn)
    .await?;
    Ok(row.and_then(Row::read))
}

/// Reads the sealed secret.
pub async fn sealed_secret(conn: &mut Conn, id: &str) -> Result<Option<Vec<u8>>, sqlx::Error> {
    let sealed = sqlx::query_scalar!("SELECT sealed_secret FROM auth.oauth_providers WHERE id = $1", id)
        .fetch_optional(&mut *conn)
        .await?;
    Ok(sealed.flatten())
}

/// What is written of a provider.
#[derive(Debug)]
pub struct Written<'a> {
    /// The row.
    pub id: &'a str,
    /// Which rules it follows.
    pub kind: Kind,
    /// What to write on the button.
    pub name: &'a str,
    /// Whether people may sign in with it.
    pub enabled: bool,
    /// Who we are there.
    pub client_id: &'a str,
    /// `None`: stays as it is. `Some(None)`: none.
    pub secret: Option<Option<&'a [u8]>>,
    /// The rest.
    pub definition: Value,
}

/// Makes one. `false` when somebody has just done so.
pub async fn insert(conn: &mut Conn, provider: &Written<'_>) -> Result<bool, sqlx::Error> {
    let result = sqlx::query!(
        "INSERT INTO auth.oauth_providers (id, kind, name, enabled, client_id, sealed_secret, definition)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO NOTHING",
        provider.id,
        provider.kind.name(),
        provider.name,
        provider.enabled,
        provider.client_id,
        provider.secret.flatten(),
        provider.definition,
    )
    .execute(&mut *conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// Replaces one as it was `seen`. `false` when it has changed since.
pub async fn update(
    conn: &mut Conn,
    provider: &Written<'_>,
    seen: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let result = sqlx::query!(
        "UPDATE auth.oauth_providers
         SET kind = $2, name = $3, enabled = $4, client_id = $5,
             sealed_secret = CASE WHEN $6 THEN $7 ELSE sealed_secret END,
             definition = $8, updated_at = clock_timestamp()
         WHERE id = $1 AND updated_at = $9",
        provider.id,
        provider.kind.name(),
        provider.name,
        provider.enabled,
        provider.client_id,
        provider.secret.is_some(),
        provider.secret.flatten(),
        provider.definition,
        seen,
    )
    .execute(&mut *conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// Deletes one, with the identities that people have there.
pub async fn delete(conn: &mut Conn, id: &str) -> Result<bool, sqlx::Error> {
    if !is_id(id) {
        return Ok(false);
    }
    let result =
        sqlx::query!("DELETE FROM auth.oauth_providers WHERE id = $1", id).execute(&mut *conn).await?;
    Ok(result.rows_affected() == 1)
}
