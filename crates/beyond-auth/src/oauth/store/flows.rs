//! SQL on `auth.oauth_flows`, `auth.oauth_codes` and `auth.oauth_used_tokens`.

use chrono::{DateTime, Utc};

use crate::platform::crypto::token::SecretHash;
use crate::platform::db::Conn;
use crate::platform::ids::{IdentityId, OAuthCodeId, OAuthFlowId, SessionId, UserId};
use crate::users::Holder;

/// Somebody is about to go to a provider.
#[derive(Debug)]
pub struct NewFlow<'a> {
    /// Also the id part of both secrets.
    pub id: OAuthFlowId,
    /// To whom.
    pub provider: &'a str,
    /// Who links an identity, with which session; `None` for a sign-in.
    pub linker: Option<Holder>,
    /// Of the secret that the provider sees.
    pub state: SecretHash,
    /// Of the secret that the browser keeps.
    pub browser: SecretHash,
    /// Where to go afterwards.
    pub redirect_to: &'a str,
    /// The application's PKCE challenge.
    pub challenge: Option<&'a [u8]>,
    /// Handed back to the application.
    pub echo: Option<&'a str>,
}

/// Notes that somebody goes to a provider: ten minutes to be back.
pub async fn insert(conn: &mut Conn, flow: &NewFlow<'_>) -> Result<(), sqlx::Error> {
    let purpose = if flow.linker.is_some() { "link" } else { "sign_in" };
    sqlx::query!(
        "INSERT INTO auth.oauth_flows
             (id, provider_id, purpose, user_id, session_id, session_hash, state_hash, browser_hash, redirect_to,
              challenge, echo, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, now() + interval '10 minutes')",
        flow.id.as_uuid(),
        flow.provider,
        purpose,
        flow.linker.map(|holder| holder.user.as_uuid()),
        flow.linker.map(|holder| holder.session.as_uuid()),
        flow.linker.as_ref().map(|holder| holder.secret_hash.as_bytes()),
        flow.state.as_bytes(),
        flow.browser.as_bytes(),
        flow.redirect_to,
        flow.challenge,
        flow.echo,
    )
    .execute(&mut *conn)
    .await?;
    Ok(())
}

/// Somebody who is at a provider.
#[derive(Debug)]
pub struct Flow {
    /// The row.
    pub id: OAuthFlowId,
    /// At which.
    pub provider_id: String,
    /// Who links an identity.
    pub user_id: Option<UserId>,
    /// With which session.
    pub session_id: Option<SessionId>,
    /// With which secret of it.
    pub session_hash: Option<Vec<u8>>,
    /// Of the secret that the provider saw.
    pub state_hash: Vec<u8>,
    /// Of the secret that the browser keeps.
    pub browser_hash: Vec<u8>,
    /// Where to go afterwards.
    pub redirect_to: String,
    /// The application's PKCE challenge.
    pub challenge: Option<Vec<u8>>,
    /// Handed back to the application.
    pub echo: Option<String>,
    /// When it began.
    pub created_at: DateTime<Utc>,
}

/// Finds somebody who is at a provider.
pub async fn find(conn: &mut Conn, id: OAuthFlowId) -> Result<Option<Flow>, sqlx::Error> {
    sqlx::query_as!(
        Flow,
        r#"SELECT id AS "id: OAuthFlowId", provider_id, user_id AS "user_id: UserId",
                  session_id AS "session_id: SessionId", session_hash, state_hash, browser_hash, redirect_to, challenge, echo,
                  created_at
           FROM auth.oauth_flows WHERE id = $1 AND expires_at > now()"#,
        id.as_uuid(),
    )
    .fetch_optional(&mut *conn)
    .await
}

/// Ends a flow: single use is this one statement. `false` when somebody else has just done so.
pub async fn spend(conn: &mut Conn, id: OAuthFlowId) -> Result<bool, sqlx::Error> {
    let result =
        sqlx::query!("DELETE FROM auth.oauth_flows WHERE id = $1 AND expires_at > now()", id.as_uuid())
            .execute(&mut *conn)
            .await?;
    Ok(result.rows_affected() == 1)
}

/// Notes a one-time code: two minutes to be redeemed.
pub async fn insert_code(
    conn: &mut Conn,
    id: OAuthCodeId,
    identity: IdentityId,
    hash: &SecretHash,
    challenge: &[u8],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO auth.oauth_codes (id, identity_id, code_hash, challenge, expires_at)
         VALUES ($1, $2, $3, $4, now() + interval '2 minutes')",
        id.as_uuid(),
        identity.as_uuid(),
        hash.as_bytes(),
        challenge,
    )
    .execute(&mut *conn)
    .await?;
    Ok(())
}

/// A code that can be redeemed.
#[derive(Debug)]
pub struct Code {
    /// Who comes with it.
    pub user_id: UserId,
    /// From which provider.
    pub provider_id: String,
    /// Whether people may still sign in with that.
    pub enabled: bool,
    /// Of its secret half.
    pub code_hash: Vec<u8>,
    /// The application's PKCE challenge.
    pub challenge: Vec<u8>,
}

/// Finds a code.
pub async fn find_code(conn: &mut Conn, id: OAuthCodeId) -> Result<Option<Code>, sqlx::Error> {
    sqlx::query_as!(
        Code,
        r#"SELECT i.user_id AS "user_id: UserId", i.provider_id, p.enabled, c.code_hash, c.challenge
           FROM auth.oauth_codes c
           JOIN auth.identities i ON i.id = c.identity_id
           JOIN auth.oauth_providers p ON p.id = i.provider_id
           WHERE c.id = $1 AND c.used_at IS NULL AND c.expires_at > now()"#,
        id.as_uuid(),
    )
    .fetch_optional(&mut *conn)
    .await
}

/// Spends a code: single use is this one statement.
pub async fn spend_code(conn: &mut Conn, id: OAuthCodeId) -> Result<bool, sqlx::Error> {
    let result = sqlx::query!(
        "UPDATE auth.oauth_codes SET used_at = now() WHERE id = $1 AND used_at IS NULL AND expires_at > now()",
        id.as_uuid(),
    )
    .execute(&mut *conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// Remembers that an identity token has been used, until a while after its own end. `false` when it had been.
pub async fn remember_token(conn: &mut Conn, hash: &[u8], expires: i64) -> Result<bool, sqlx::Error> {
    let result = sqlx::query!(
        "INSERT INTO auth.oauth_used_tokens (token_hash, expires_at)
         VALUES ($1, to_timestamp($2::bigint) + interval '10 minutes') ON CONFLICT DO NOTHING",
        hash,
        expires,
    )
    .execute(&mut *conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// Deletes some of what has expired; says how many rows went.
pub async fn purge(conn: &mut Conn, limit: i64) -> Result<u64, sqlx::Error> {
    let flows = sqlx::query!(
        "DELETE FROM auth.oauth_flows WHERE id IN (
             SELECT id FROM auth.oauth_flows WHERE expires_at < now() LIMIT $1 FOR UPDATE SKIP LOCKED)",
        limit,
    )
    .execute(&mut *conn)
    .await?;
    let codes = sqlx::query!(
        "DELETE FROM auth.oauth_codes WHERE id IN (
             SELECT id FROM auth.oauth_codes WHERE expires_at < now() LIMIT $1 FOR UPDATE SKIP LOCKED)",
        limit,
    )
    .execute(&mut *conn)
    .await?;
    let tokens = sqlx::query!(
        "DELETE FROM auth.oauth_used_tokens WHERE token_hash IN (
             SELECT token_hash FROM auth.oauth_used_tokens WHERE expires_at < now()
             LIMIT $1 FOR UPDATE SKIP LOCKED)",
        limit,
    )
    .execute(&mut *conn)
    .await?;
    Ok(flows.rows_affected().max(codes.rows_affected()).max(tokens.rows_affected()))
}
