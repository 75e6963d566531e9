//! SQL on `auth.oauth_documents`.

use crate::platform::db::Conn;

/// What was last read at a URL, by the database's clock.
#[derive(Debug)]
pub struct Stored {
    /// As it was read.
    pub body: Vec<u8>,
    /// Seconds since it was read.
    pub age: i64,
    /// Somebody has set out to read it anew and is not back.
    pub under_way: bool,
}

/// The time, in seconds since 1970.
pub async fn now(conn: &mut Conn) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT extract(epoch FROM now())::bigint AS "now!""#).fetch_one(&mut *conn).await
}

/// What was last read there.
pub async fn find(conn: &mut Conn, provider: &str, url: &str) -> Result<Option<Stored>, sqlx::Error> {
    sqlx::query_as!(
        Stored,
        r#"SELECT body AS "body!", extract(epoch FROM now() - fetched_at)::bigint AS "age!",
                  asked_at > fetched_at AND asked_at > now() - interval '10 seconds' AS "under_way!"
           FROM auth.oauth_documents WHERE provider_id = $1 AND url = $2 AND body IS NOT NULL"#,
        provider,
        url,
    )
    .fetch_optional(&mut *conn)
    .await
}

/// Sets out to read it: `false` where somebody did so less than ten seconds ago, on whichever instance.
pub async fn claim(conn: &mut Conn, provider: &str, url: &str) -> Result<bool, sqlx::Error> {
    let result = sqlx::query!(
        "INSERT INTO auth.oauth_documents AS d (provider_id, url)
         SELECT id, $2 FROM auth.oauth_providers WHERE id = $1
         ON CONFLICT (provider_id, url) DO UPDATE SET asked_at = now()
         WHERE d.asked_at < now() - interval '10 seconds'",
        provider,
        url,
    )
    .execute(&mut *conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// Keeps what was read there.
pub async fn keep(conn: &mut Conn, provider: &str, url: &str, body: &[u8]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO auth.oauth_documents (provider_id, url, body, fetched_at)
         SELECT id, $2, $3, clock_timestamp() FROM auth.oauth_providers WHERE id = $1
         ON CONFLICT (provider_id, url) DO UPDATE SET body = excluded.body, fetched_at = excluded.fetched_at",
        provider,
        url,
        body,
    )
    .execute(&mut *conn)
    .await?;
    Ok(())
}

/// Forgets all that was read at a provider.
pub async fn forget(conn: &mut Conn, provider: &str) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM auth.oauth_documents WHERE provider_id = $1", provider)
        .execute(&mut *conn)
        .await?;
    Ok(())
}
