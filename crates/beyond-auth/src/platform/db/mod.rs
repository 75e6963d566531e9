//! The pool, the connection that stores use, transactions owned by flows.
//!
//! A store function takes `conn: &mut Conn` and hands `&mut *conn` to an sqlx query. [`Conn`] is the one
//! place that knows whether a transaction pooler sits in between (see [`Pooler`]), so no statement can
//! forget it.

pub mod coalesce;
mod conn;
pub mod migrate;
pub mod notes;
mod opening;
mod unavailable;

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::Connection as _;
use sqlx::postgres::types::PgInterval;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

pub use conn::{Conn, Tx};
use opening::undisturbed;
pub use unavailable::{Constraint, is_unavailable};

/// A length of time as Postgres takes it, exact to a microsecond.
pub fn interval(duration: Duration) -> PgInterval {
    let microseconds = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    PgInterval { months: 0, days: 0, microseconds }
}

/// What stands between us and Postgres.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pooler {
    /// A direct connection, or a pooler in session mode: prepared statements are kept.
    #[default]
    Session,
    /// pgbouncer or alike in transaction mode: named statements would end up on somebody else's server
    /// connection, so none is kept.
    Transaction,
}

/// How to reach the database.
#[derive(Clone, Debug)]
pub struct DatabaseConfig {
    /// `postgres://user:password@host:port/database?sslmode=…`.
    pub url: SecretString,
    /// A direct connection for migrations, where `url` leads through a pooler or a lesser role.
    pub migrate_url: Option<SecretString>,
    /// What stands in between.
    pub pooler: Pooler,
    /// Upper bound of open connections of this process.
    pub max_connections: u32,
}

/// How long a request waits for a connection before the database counts as away.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// Idle for longer than this, a pooled connection is asked whether it lives before it is used.
const PING_AFTER_IDLE: Duration = Duration::from_secs(1);
/// A connection that does not answer by then is dead, and there is time to try the next.
const PING_DEADLINE: Duration = Duration::from_millis(500);
/// No statement of a request may run longer; the transaction is rolled back and the answer is 503.
const STATEMENT_TIMEOUT: &str = "5s";
/// A request that died between two statements must not hold its locks.
const IDLE_IN_TRANSACTION_TIMEOUT: &str = "10s";

/// A handle to the pool. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Db {
    pool: PgPool,
    pooler: Pooler,
}

impl Db {
    /// Parses the URL and prepares a pool; connects on first use, so that a process can start while the
    /// database is still away.
    ///
    /// # Errors
    /// When the URL is malformed.
    pub fn new(config: &DatabaseConfig) -> Result<Self, sqlx::Error> {
        let options = connect_options(&config.url, config.pooler)?;
        let pool = PgPoolOptions::new()
            .max_connections(config.max_connections)
            .min_connections(0)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .idle_timeout(Duration::from_mins(5))
            .max_lifetime(Duration::from_mins(30))
            // A ping before each statement would double the round trips. A connection that just served
            // is alive; one that lay idle may have died with a restart of Postgres, and is asked.
            .test_before_acquire(false)
            .before_acquire(|conn, meta| {
                Box::pin(async move {
                    if meta.idle_for > PING_AFTER_IDLE {
                        let alive = tokio::time::timeout(PING_DEADLINE, conn.ping()).await;
                        // Not `false`: the pool would say goodbye, and wait until that is sent.
                        alive.unwrap_or_else(|_| Err(sqlx::Error::PoolTimedOut))?;
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(options);
        Ok(Self { pool, pooler: config.pooler })
    }

    /// A connection outside a transaction: each statement stands alone.
    pub async fn acquire(&self) -> Result<Conn, sqlx::Error> {
        // Where none lies idle and there may be more, acquiring means opening.
        let opens = self.pool.num_idle() == 0 && self.pool.size() < self.pool.options().get_max_connections();
        let conn = if opens {
            let pool = self.pool.clone();
            undisturbed(async move { pool.acquire().await }).await?
        } else {
            self.pool.acquire().await?
        };
        Ok(Conn::pooled(conn, self.pooler))
    }

    /// Begins a transaction. `name` appears in traces. Rolled back unless [`Tx::commit`] is called.
    pub async fn begin(&self, name: &'static str) -> Result<Tx, sqlx::Error> {
        Tx::begin(self.acquire().await?, name).await
    }

    /// The pool itself, for the few who need more than one statement's worth of it.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// The pooler mode this handle was made for.
    pub fn pooler(&self) -> Pooler {
        self.pooler
    }

    /// Closes every connection; waits for those in use.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// Parses the URL and adds what every connection of ours carries.
///
/// # Errors
/// When the URL is malformed. The error never holds the password: sqlx reports the reason only.
pub fn connect_options(url: &SecretString, pooler: Pooler) -> Result<PgConnectOptions, sqlx::Error> {
    let options: PgConnectOptions = url.expose_secret().parse()?;
    let options = options.application_name("beyond-auth");
    Ok(match pooler {
        Pooler::Session => options.options([
            ("statement_timeout", STATEMENT_TIMEOUT),
            ("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION_TIMEOUT),
            ("timezone", "UTC"),
            // Tables are written qualified; functions and types are to be those of Postgres, whatever somebody
            // with the right to create in `public` has put there (CVE-2018-1058).
            ("search_path", "pg_catalog"),
        ]),
        // pgbouncer refuses start-up parameters that it does not track; docs/operations.md sets the path on
        // the role instead.
        Pooler::Transaction => options.extra_float_digits(None).statement_cache_capacity(0),
    })
}
