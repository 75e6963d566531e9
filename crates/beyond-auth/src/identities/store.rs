//! SQL on `auth.identities`.

use super::model::{Identity, Profile};
use crate::platform::db::Conn;
use crate::platform::ids::{IdentityId, UserId};

/// Finds the identity of a subject at a provider.
pub async fn find(conn: &mut Conn, profile: &Profile<'_>) -> Result<Option<Identity>, sqlx::Error> {
    sqlx::query_as!(
        Identity,
        r#"SELECT i.id AS "id: IdentityId", i.user_id AS "user_id: UserId", i.provider_id AS provider,
                  p.name AS provider_name, i.issuer, i.subject, i.email, i.email_verified, i.name, i.picture,
                  i.created_at, i.last_used_at
           FROM auth.identities i JOIN auth.oauth_providers p ON p.id = i.provider_id
           WHERE i.provider_id = $1 AND i.issuer = $2 AND i.subject = $3"#,
        profile.provider,
        profile.issuer,
        profile.subject,
    )
    .fetch_optional(&mut *conn)
    .await
}

/// A user's identities, oldest first.
pub async fn list(conn: &mut Conn, user: UserId) -> Result<Vec<Identity>, sqlx::Error> {
    sqlx::query_as!(
        Identity,
        r#"SELECT i.id AS "id: IdentityId", i.user_id AS "user_id: UserId", i.provider_id AS provider,
                  p.name AS provider_name, i.issuer, i.subject, i.email, i.email_verified, i.name, i.picture,
                  i.created_at, i.last_used_at
           FROM auth.identities i JOIN auth.oauth_providers p ON p.id = i.provider_id
           WHERE i.user_id = $1 ORDER BY i.id"#,
        user.as_uuid(),
    )
    .fetch_all(&mut *conn)
    .await
}

/// Makes an identity.
pub async fn insert(conn: &mut Conn, user: UserId, profile: &Profile<'_>) -> Result<IdentityId, sqlx::Error> {
    let id = IdentityId::new();
    sqlx::query!(
        "INSERT INTO auth.identities
             (id, user_id, provider_id, issuer, subject, email, email_verified, name, picture)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        id.as_uuid(),
        user.as_uuid(),
        profile.provider,
        profile.issuer,
        profile.subject,
        profile.email,
        profile.email_verified,
        profile.name,
        profile.picture,
    )
    .execute(&mut *conn)
    .await?;
    Ok(id)
}

/// Notes a use, and what the provider says now. What it does not say any more (a name that Apple tells once) stays.
pub async fn touch(conn: &mut Conn, id: IdentityId, profile: &Profile<'_>) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE auth.identities
         SET last_used_at = now(), email = coalesce($2, email),
             email_verified = CASE WHEN $2::text IS NULL THEN email_verified ELSE $3 END,
             name = coalesce($4, name), picture = coalesce($5, picture)
         WHERE id = $1",
        id.as_uuid(),
        profile.email,
        profile.email_verified,
        profile.name,
        profile.picture,
    )
    .execute(&mut *conn)
    .await?;
    Ok(())
}

/// Deletes an identity of a user.
pub async fn delete(conn: &mut Conn, user: UserId, id: IdentityId) -> Result<bool, sqlx::Error> {
    let result = sqlx::query!(
        "DELETE FROM auth.identities WHERE id = $1 AND user_id = $2",
        id.as_uuid(),
        user.as_uuid(),
    )
    .execute(&mut *conn)
    .await?;
    Ok(result.rows_affected() == 1)
}
