//! Roles with few rights.

use std::sync::atomic::{AtomicU32, Ordering};

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use url::Url;

use super::cluster::{self, Database};

const PASSWORD: &str = "a-password-of-the-tests";

/// A role that may log in and nothing else; removed with this value, whatever it owns in that database too.
#[derive(Debug)]
pub struct Role {
    pub name: String,
    database: SecretString,
}

impl Role {
    /// Makes a role for one database.
    pub async fn create(database: &Database) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("{}_role{}", database.name, NEXT.fetch_add(1, Ordering::Relaxed));
        let sql =
            format!("CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}' NOSUPERUSER NOCREATEDB NOCREATEROLE");
        execute(&cluster::server().await.url("postgres"), &sql).await.unwrap();
        Self { name, database: database.url.clone() }
    }

    /// This role's way into the database.
    pub fn url(&self, database: &Database) -> SecretString {
        let mut url = Url::parse(database.url.expose_secret()).unwrap();
        url.set_username(&self.name).unwrap();
        url.set_password(Some(PASSWORD)).unwrap();
        String::from(url).into()
    }
}

impl Drop for Role {
    /// On a thread of its own, since the test's runtime may be ending.
    fn drop(&mut self) {
        let (database, name) = (self.database.clone(), self.name.clone());
        let work = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                // The database may be gone already, and its objects with it.
                let _ = execute(&database, &format!("DROP OWNED BY {name} CASCADE")).await;
                let _ =
                    execute(&cluster::server().await.url("postgres"), &format!("DROP ROLE IF EXISTS {name}"))
                        .await;
            });
        });
        let _ = work.join();
    }
}

async fn execute(url: &SecretString, sql: &str) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect(url.expose_secret()).await?;
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await?;
    connection.close().await
}
