//! One Postgres server per test run, one database per test.
//!
//! The server is the one at `TEST_DATABASE_URL` (a superuser or a role that may create databases), else a
//! throwaway one of [`dev::postgres`](beyond_auth::dev::postgres), else, with the feature `testcontainers`,
//! a container. The schema is migrated once into a template, and every test gets a copy, which takes some
//! tens of milliseconds.

use std::{
    path::PathBuf,
    sync::Arc,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use beyond_auth::dev::{
    postgres::{Options, Postgres},
    progress::Terminal,
};
use beyond_auth::platform::mail::memory::MemoryTransport;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};
use tokio::sync::OnceCell;
use url::Url;

/// A migrated database that copies are made of.
const TEMPLATE: &str = "beyond_auth_template";
/// Names of what tests leave behind on a server that outlives them begin so.
const PREFIX: &str = "beyond_auth_test_";

/// The server of this run.
#[derive(Debug)]
pub struct Cluster {
    admin_url: SecretString,
    major: u32,
    /// Of this run alone: another run may use the same server.
    run: String,
    template: OnceCell<String>,
    databases: AtomicU32,
    /// Keeps the private server up. Its watchdog stops it and removes its data when this process ends.
    private: Option<Postgres>,
}

/// The server of this run, started by whoever asks first.
pub async fn server() -> &'static Cluster {
    static SERVER: OnceCell<Cluster> = OnceCell::const_new();
    SERVER.get_or_init(Cluster::start).await
}

impl Cluster {
    async fn start() -> Self {
        let (admin_url, private) = match std::env::var("TEST_DATABASE_URL") {
            Ok(url) if !url.is_empty() => (SecretString::from(url), None),
            _ => {
                let postgres = Postgres::start(Options {
                    durable: false,
                    max_connections: 400,
                    progress: Arc::new(Terminal::default()),
                    ..Options::new(folder())
                })
                .await
                .unwrap_or_else(|error| panic!("no Postgres for the tests:\n{error}"));
                (postgres.url("postgres"), Some(postgres))
            }
        };
        let mut connection = connect(&admin_url).await;
        let row = sqlx::query("SELECT current_setting('server_version_num')::int")
            .fetch_one(&mut connection)
            .await
            .expect("the server should tell its version");
        let major = u32::try_from(row.get::<i32, _>(0) / 10_000).unwrap();
        let cluster = Self {
            admin_url,
            major,
            run: format!("{:08x}", u32::from_ne_bytes(random())),
            template: OnceCell::new(),
            databases: AtomicU32::new(0),
            private,
        };
        if cluster.private.is_none() {
            remove_leftovers(&mut connection).await;
        }
        connection.close().await.unwrap();
        cluster
    }

    /// The superuser's way into a database of this server.
    pub fn url(&self, database: &str) -> SecretString {
        let mut url = Url::parse(self.admin_url.expose_secret()).expect("the server's URL should be one");
        url.set_path(database);
        String::from(url).into()
    }

    /// A new database, migrated: a copy of the template, which `migrate` makes at the first call of the run
    /// in the empty database it is given the URL of.
    pub async fn create_database_from_template<F>(&'static self, migrate: F) -> Database
    where
        F: AsyncFnOnce(SecretString),
    {
        let template = self.template.get_or_init(|| self.make_template(migrate)).await;
        let mut sql = format!("TEMPLATE {template}");
        if self.major >= 15 {
            // Copies the files instead of writing all of it to the log, as 14 always does.
            sql.push_str(" STRATEGY FILE_COPY");
        }
        self.create(&sql).await
    }

    /// A new database with nothing in it.
    pub async fn create_empty_database(&'static self) -> Database {
        self.create("TEMPLATE template0").await
    }

    async fn create(&'static self, how: &str) -> Database {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}_{number}", self.run);
        execute(&self.admin_url, format!("CREATE DATABASE {name} {how}")).await;
        Database { url: self.url(&name), name, mailbox: mailbox(), cluster: Some(self) }
    }

    async fn make_template<F>(&self, migrate: F) -> String
    where
        F: AsyncFnOnce(SecretString),
    {
        let name = match &self.private {
            Some(_) => TEMPLATE.to_owned(),
            None => format!("{PREFIX}{}_template", self.run),
        };
        execute(&self.admin_url, format!("CREATE DATABASE {name} TEMPLATE template0")).await;
        migrate(self.url(&name)).await;
        // A database with connections cannot be copied, and pools close theirs in their own time.
        execute(&self.admin_url, format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await;
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ";
        execute(&self.admin_url, format!("{end} '{name}'")).await;
        name
    }
}

/// A test's own database, dropped with this value.
#[derive(Debug)]
pub struct Database {
    /// The superuser's way in.
    pub url: SecretString,
    /// Its name.
    pub name: String,
    /// Where its mails arrive, whichever instance on it sends them.
    pub mailbox: Arc<MemoryTransport>,
    cluster: Option<&'static Cluster>,
}

impl Database {
    /// A database of a server that the test runs itself; left alone when this value is dropped.
    pub fn of_another_server(url: SecretString) -> Self {
        let name = Url::parse(url.expose_secret()).unwrap().path().trim_start_matches('/').to_owned();
        Self { url, name, mailbox: mailbox(), cluster: None }
    }
}

fn mailbox() -> Arc<MemoryTransport> {
    Arc::new(MemoryTransport::new(1_000))
}

impl Drop for Database {
    /// On a thread of its own, since a test's runtime may be ending. It is waited for on a server that
    /// outlives the run; a private server's data goes away as a whole.
    fn drop(&mut self) {
        let Some(cluster) = self.cluster else { return };
        let (url, name) = (cluster.admin_url.clone(), self.name.clone());
        let work = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                if let Ok(mut connection) = PgConnection::connect(url.expose_secret()).await {
                    let sql = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
                    let _ = sqlx::query(AssertSqlSafe(sql)).execute(&mut connection).await;
                    let _ = connection.close().await;
                }
            });
        });
        if cluster.private.is_none() {
            let _ = work.join();
        }
    }
}

/// `target/test-postgres/<process>`, whatever the target folder is.
fn folder() -> PathBuf {
    let temporary = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let target = temporary.parent().expect("cargo's folder for tests is in its target folder");
    target.join("test-postgres").join(std::process::id().to_string())
}

/// Databases of runs that were killed: nobody is connected, and their run is older than any can last.
async fn remove_leftovers(connection: &mut PgConnection) {
    let old = "SELECT datname FROM pg_database WHERE datname LIKE 'beyond\\_auth\\_test\\_%' \
               AND (pg_stat_file('base/' || oid || '/PG_VERSION', true)).modification < now() - interval '6 hours'";
    // Reading file times takes a superuser; without one, nothing is cleaned.
    for row in sqlx::query(old).fetch_all(&mut *connection).await.unwrap_or_default() {
        let sql = format!("DROP DATABASE IF EXISTS {}", row.get::<String, _>(0));
        let _ = sqlx::query(AssertSqlSafe(sql)).execute(&mut *connection).await;
    }
}

async fn execute(url: &SecretString, sql: String) {
    let mut connection = connect(url).await;
    sqlx::query(AssertSqlSafe(sql.clone()))
        .execute(&mut connection)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
    connection.close().await.unwrap();
}

async fn connect(url: &SecretString) -> PgConnection {
    let connect = PgConnection::connect(url.expose_secret());
    tokio::time::timeout(Duration::from_secs(30), connect)
        .await
        .expect("the test server should answer within 30 s")
        .unwrap_or_else(|error| panic!("the test server cannot be reached: {error}"))
}

fn random<const N: usize>() -> [u8; N] {
    let mut drawn = [0; N];
    getrandom::fill(&mut drawn).unwrap();
    drawn
}

#[tokio::test]
async fn each_database_is_a_copy_of_the_migrated_template() {
    async fn migrate(url: SecretString) {
        execute(&url, "CREATE TABLE migrated (word text)".to_owned()).await;
        execute(&url, "INSERT INTO migrated VALUES ('once')".to_owned()).await;
    }
    // A cluster object of its own on the same server, since the real one's template is the product's.
    let shared = server().await;
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster {
        admin_url: shared.admin_url.clone(),
        major: shared.major,
        run: format!("{}x", shared.run),
        template: OnceCell::new(),
        databases: AtomicU32::new(0),
        private: None,
    }));
    let (one, two) = tokio::join!(
        cluster.create_database_from_template(migrate),
        cluster.create_database_from_template(migrate)
    );
    assert_ne!(one.name, two.name);
    execute(&one.url, "DELETE FROM migrated".to_owned()).await;
    let mut connection = connect(&two.url).await;
    let row = sqlx::query("SELECT word FROM migrated").fetch_one(&mut connection).await.unwrap();
    assert_eq!(row.get::<String, _>(0), "once");
    drop(connection);
    let name = two.name.clone();
    drop((one, two));
    let mut connection = connect(&cluster.admin_url).await;
    let left = sqlx::query("SELECT 1 FROM pg_database WHERE datname = $1")
        .bind(&name)
        .fetch_optional(&mut connection)
        .await
        .unwrap();
    assert!(left.is_none());
    let template = cluster.template.get().unwrap().clone();
    execute(&cluster.admin_url, format!("DROP DATABASE {template}")).await;
}
