//! Brings schema `auth` up to date, under a lock, and refuses what it does not know.

use std::collections::BTreeSet;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Executor as _};

use super::{DatabaseConfig, Pooler, connect_options};

/// Every migration of this build, in order.
static MIGRATOR: Migrator = sqlx::migrate!("./migrations");

/// Serialises migrations of one database across instances. Any constant will do; it spells "bauthmig".
const LOCK: i64 = 0x6261_7574_686d_6967;

/// What stopped a migration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database did not answer.
    #[error("the database cannot be reached: {0}")]
    Unreachable(#[source] sqlx::Error),
    /// A newer build has migrated this database.
    #[error(
        "schema `auth` was migrated by a newer version of beyond-auth (migration {found}; this build knows up to \
         {known}). Deploy that version, or start with --allow-newer-schema: migrations are additive, so this build \
         can run beside it"
    )]
    Newer {
        /// The highest applied migration.
        found: i64,
        /// The highest migration of this build.
        known: i64,
    },
    /// An applied migration differs from the one in this build.
    #[error(
        "migration {0} in the database differs from the one in this build: the database was made by another build"
    )]
    Changed(i64),
    /// The role lacks the right to create what is missing.
    #[error(
        "the role may not {what}: {source}. Let its owner run `beyond-auth migrate`, or give --migrate-database-url"
    )]
    Forbidden {
        /// What it may not do.
        what: &'static str,
        /// What Postgres said.
        source: sqlx::Error,
    },
    /// A statement failed.
    #[error("migration failed: {0}")]
    Failed(#[source] MigrateError),
}

/// What a run did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Migrations applied by this run.
    pub applied: usize,
    /// The schema's version afterwards.
    pub version: i64,
}

/// The newest migration that this build knows.
pub fn known_version() -> i64 {
    MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// Migrates the database to this build's version. Safe to run from any number of instances at once.
///
/// Uses one direct connection (`migrate_url` where given): the migrator needs session state that a
/// transaction pooler would not keep. A database that is up to date is only read, so the runtime role
/// needs no right to create anything.
pub async fn run(config: &DatabaseConfig, allow_newer: bool) -> Result<Report, Error> {
    let url = config.migrate_url.as_ref().unwrap_or(&config.url);
    let pooler = if config.migrate_url.is_some() { Pooler::Session } else { config.pooler };
    let options = connect_options(url, pooler).map_err(Error::Unreachable)?;
    let mut conn = PgConnection::connect_with(&options).await.map_err(Error::Unreachable)?;
    let report = migrate(&mut conn, allow_newer).await;
    // The answer is known; a failure to say goodbye changes nothing.
    drop(conn.close().await);
    report
}

async fn migrate(conn: &mut PgConnection, allow_newer: bool) -> Result<Report, Error> {
    if let Some(answer) = settled(&applied(conn).await?, allow_newer) {
        return answer;
    }

    // Index builds and locks of other sessions may take longer than a request ever should.
    execute(conn, "SET statement_timeout = 0").await?;
    sqlx::query("SELECT pg_advisory_lock($1)")
        .persistent(false)
        .bind(LOCK)
        .execute(&mut *conn)
        .await
        .map_err(Error::Unreachable)?;
    // Somebody else may have done it while we waited for the lock.
    let before = applied(conn).await?;
    let outcome = match settled(&before, allow_newer) {
        Some(answer) => answer,
        None => apply(conn, before.len()).await,
    };
    execute(conn, &format!("SELECT pg_advisory_unlock({LOCK})")).await.ok();
    outcome
}

/// The answer where nothing is to be applied. What counts is each step and not the highest number: of two
/// changes made side by side, the one with the lower number may be deployed last.
fn settled(applied: &BTreeSet<i64>, allow_newer: bool) -> Option<Result<Report, Error>> {
    let known = known_version();
    let found = applied.last().copied().unwrap_or(0);
    if found > known && !allow_newer {
        return Some(Err(Error::Newer { found, known }));
    }
    MIGRATOR
        .iter()
        .all(|migration| applied.contains(&migration.version))
        .then_some(Ok(Report { applied: 0, version: found }))
}

async fn apply(conn: &mut PgConnection, before: usize) -> Result<Report, Error> {
    if !schema_exists(conn).await? {
        // Not `IF NOT EXISTS`: Postgres checks the privilege before it looks whether the schema is there.
        if let Err(source) = execute_raw(conn, "CREATE SCHEMA auth").await {
            return Err(Error::Forbidden { what: "create schema `auth`", source });
        }
    }
    MIGRATOR.run(&mut *conn).await.map_err(|error| match error {
        MigrateError::VersionMismatch(version) => Error::Changed(version),
        MigrateError::VersionMissing(found) => Error::Newer { found, known: known_version() },
        MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _)
            if is_forbidden(&source) =>
        {
            Error::Forbidden { what: "change schema `auth`", source }
        }
        other => Error::Failed(other),
    })?;
    let after = applied(conn).await?;
    Ok(Report { applied: after.len().saturating_sub(before), version: known_version() })
}

/// 42501 is `insufficient_privilege`.
fn is_forbidden(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).is_some_and(|code| code == "42501")
}

async fn schema_exists(conn: &mut PgConnection) -> Result<bool, Error> {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'auth')")
        .persistent(false)
        .fetch_one(conn)
        .await
        .map_err(Error::Unreachable)
}

async fn bookkeeping_exists(conn: &mut PgConnection) -> Result<bool, Error> {
    sqlx::query_scalar("SELECT to_regclass('auth._sqlx_migrations') IS NOT NULL")
        .persistent(false)
        .fetch_one(conn)
        .await
        .map_err(Error::Unreachable)
}

/// The newest successfully applied migration, `None` on a database that never saw us.
pub async fn applied_version(conn: &mut PgConnection) -> Result<Option<i64>, Error> {
    Ok(applied(conn).await?.last().copied())
}

/// Every successfully applied migration.
async fn applied(conn: &mut PgConnection) -> Result<BTreeSet<i64>, Error> {
    if !bookkeeping_exists(conn).await? {
        return Ok(BTreeSet::new());
    }
    let versions = sqlx::query_scalar("SELECT version FROM auth._sqlx_migrations WHERE success")
        .persistent(false)
        .fetch_all(conn)
        .await
        .map_err(Error::Unreachable)?;
    Ok(versions.into_iter().collect())
}

async fn execute(conn: &mut PgConnection, sql: &str) -> Result<(), Error> {
    execute_raw(conn, sql).await.map_err(Error::Unreachable)
}

async fn execute_raw(conn: &mut PgConnection, sql: &str) -> Result<(), sqlx::Error> {
    conn.execute(sqlx::AssertSqlSafe(sql)).await.map(drop)
}
