//! What tests stand on: a database of their own, the service over HTTP, a mailbox, people.

pub mod app;
pub mod authenticator;
pub mod client;
pub mod cluster;
pub mod fido2;
pub mod golden;
pub mod idp;
pub mod kinds;
pub mod mailed;
pub mod oidc_provider;
pub mod otp_app;
pub mod program;
pub mod proxy;
pub mod raw;
pub mod role;
pub mod smtp;
pub mod sql;
pub mod trip;

pub use app::TestApp;

use beyond_auth::platform::db::{DatabaseConfig, Pooler, migrate};
use secrecy::SecretString;

use self::cluster::Database;

/// How the service reaches a database of the tests.
pub fn database_config(url: SecretString) -> DatabaseConfig {
    DatabaseConfig { url, migrate_url: None, pooler: Pooler::Session, max_connections: 10 }
}

/// A new, migrated database: a copy of the run's template.
pub async fn database() -> Database {
    let migrated = async |url| {
        migrate::run(&database_config(url), false).await.unwrap();
    };
    cluster::server().await.create_database_from_template(migrated).await
}

/// A database that tests share which keep out of each other's way.
pub async fn shared_database_config() -> DatabaseConfig {
    static SHARED: tokio::sync::OnceCell<Database> = tokio::sync::OnceCell::const_new();
    database_config(SHARED.get_or_init(database).await.url.clone())
}
