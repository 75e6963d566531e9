//! SQL on `auth.identities`.

use super::model::{Identity, Profile};
use crate::platform::db::Conn;
use crate::platform::ids::{IdentityId, UserId};

/// Finds the identity of a subject at a provider.
pub async fn find(conn: &mut Conn, profile: &Profile<'_>) -> Result<Option<Identity>, sqlx::Error> {
    sqlx::query_as!(
        Identity,
        r#"SELECT id AS "id: IdentityId", user_id AS "user_id: UserId", provider_id AS provider, issuer, subject,
                  email, email_verified, name, picture, created_at, last_used_at
           FROM auth.identities WHERE provider_id = $1 AND issuer = $2 AND subject = $3"#,
        profile.provider,
        profile.issuer,
        profile.subject,
    )
    .fetch_optional(&mut *conn)
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
