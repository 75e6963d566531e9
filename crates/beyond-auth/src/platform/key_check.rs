//! Finds out whether the key-encryption key is the one this database was sealed with, before anything is
//! written.

use sqlx::Error as DatabaseError;

use super::crypto::envelope::{Keyring, SealContext};
use super::db::Conn;

/// What is sealed; its being readable is all that counts.
const PROBE: &[u8] = b"beyond-auth";

fn context(id: &str) -> SealContext<'_> {
    SealContext { table: "key_encryption_keys", column: "probe", row: id }
}

/// Why the service must not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Sealed under another key.
    #[error(
        "the key-encryption key is not the one this database was sealed with. Give the right one with \
         --signing-key-encryption-key / SIGNING_KEY_ENCRYPTION_KEY; after a rotation, give the previous one with \
         --signing-key-encryption-key-old / SIGNING_KEY_ENCRYPTION_KEY_OLD. Nothing was written"
    )]
    WrongKey,
    /// The database did not answer.
    #[error("the database did not answer: {0}")]
    Database(#[from] DatabaseError),
}

/// Checks the keyring against the database; on a database that has never seen a key, or has seen an old one of
/// ours, notes the current one.
pub async fn ensure(conn: &mut Conn, keyring: &Keyring) -> Result<(), Error> {
    let id = keyring.current_key_id().to_string();
    let probes = sqlx::query!("SELECT id, probe FROM auth.key_encryption_keys").fetch_all(&mut *conn).await?;
    let opens = |id: &str, probe: &[u8]| keyring.open(&context(id), probe).is_ok();
    if let Some(own) = probes.iter().find(|row| row.id == id) {
        return if opens(&own.id, &own.probe) { Ok(()) } else { Err(Error::WrongKey) };
    }
    if !probes.is_empty() && !probes.iter().any(|row| opens(&row.id, &row.probe)) {
        return Err(Error::WrongKey);
    }
    let probe = keyring.seal(&context(&id), PROBE);
    sqlx::query!(
        "INSERT INTO auth.key_encryption_keys (id, probe) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        id,
        probe,
    )
    .execute(&mut *conn)
    .await?;
    // Two instances with different keys may both have found an empty table: one of them must give way.
    let first =
        sqlx::query!("SELECT id, probe FROM auth.key_encryption_keys ORDER BY created_at, id LIMIT 1")
            .fetch_one(&mut *conn)
            .await?;
    if opens(&first.id, &first.probe) {
        return Ok(());
    }
    sqlx::query!("DELETE FROM auth.key_encryption_keys WHERE id = $1", id).execute(&mut *conn).await?;
    Err(Error::WrongKey)
}

/// Refuses a keyring that opens nothing of what the database holds. Writes nothing, and may be asked before the
/// schema is migrated: a database that has never seen a key is fine.
pub async fn refuse_wrong(conn: &mut Conn, keyring: &Keyring) -> Result<(), Error> {
    let readable = sqlx::query_scalar!(
        r#"SELECT coalesce(has_table_privilege(to_regclass('auth.key_encryption_keys'), 'SELECT'), false)
           AND has_schema_privilege(to_regnamespace('auth'), 'USAGE') AS "readable!""#
    )
    .fetch_one(&mut *conn)
    .await?;
    if !readable {
        return Ok(());
    }
    let probes = sqlx::query!("SELECT id, probe FROM auth.key_encryption_keys").fetch_all(&mut *conn).await?;
    let opens = |id: &str, probe: &[u8]| keyring.open(&context(id), probe).is_ok();
    if probes.is_empty() || probes.iter().any(|row| opens(&row.id, &row.probe)) {
        return Ok(());
    }
    Err(Error::WrongKey)
}

/// Checks that the keyring opens what the database holds. Writes nothing.
///
/// One probe is enough: while the key is being changed, instances with the former and with the new one both work, and
/// at its end the former key's probe goes while instances that know both still run.
pub async fn verify(conn: &mut Conn, keyring: &Keyring) -> Result<(), Error> {
    let probes = sqlx::query!("SELECT id, probe FROM auth.key_encryption_keys").fetch_all(&mut *conn).await?;
    let opens = probes.iter().any(|row| keyring.open(&context(&row.id), &row.probe).is_ok());
    if opens { Ok(()) } else { Err(Error::WrongKey) }
}

/// Forgets the keys that sealed stored values before the current one, once nothing is sealed by them any more; says
/// how many. From then on a process that knows only those refuses to start.
pub async fn forget_old(conn: &mut Conn, keyring: &Keyring) -> Result<u64, DatabaseError> {
    let id = keyring.current_key_id().to_string();
    let result = sqlx::query!(
        "DELETE FROM auth.key_encryption_keys
         WHERE id <> $1 AND EXISTS (SELECT FROM auth.key_encryption_keys WHERE id = $1)",
        id,
    )
    .execute(&mut *conn)
    .await?;
    Ok(result.rows_affected())
}

/// How many keys are on record.
pub async fn count(conn: &mut Conn) -> Result<i64, DatabaseError> {
    sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM auth.key_encryption_keys"#)
        .fetch_one(&mut *conn)
        .await
}
