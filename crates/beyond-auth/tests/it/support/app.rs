//! The service, running in the test's own process on a database of the test's own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use beyond_auth::platform::config::{AdminSecrets, Config};
use beyond_auth::platform::crypto::envelope::Keyring;
use beyond_auth::platform::crypto::password::{Cost, HasherConfig};
use beyond_auth::platform::mail::memory::{MemoryTransport, ReceivedMail};
use beyond_auth::platform::mail::worker::Schedule;
use beyond_auth::serve::{self, Options, Running};
use serde_json::{Value, json};

use super::client::Http;
use super::cluster::Database;
use super::{database, database_config};

/// Opens the admin endpoints of every test.
pub const ADMIN_SECRET: &str = "an-admin-secret-of-the-tests-0123456789";
/// A password that the policy accepts.
pub const PASSWORD: &str = "seven quiet rivers";
/// The key-encryption key of every test.
pub const KEY: [u8; 32] = [7; 32];

/// The service and what surrounds it. Stops when dropped.
pub struct TestApp {
    pub http: Http,
    pub admin: Http,
    /// The database's: another instance on it may be the one that sends.
    pub mailbox: Arc<MemoryTransport>,
    pub database: Arc<Database>,
    pub running: Running,
}

/// Mails are retried soon: tests do not wait.
const SOON: Schedule = Schedule {
    parallel: 4,
    per_mail: Duration::from_secs(5),
    lease: Duration::from_secs(6),
    first_retry: Duration::from_millis(50),
    longest_retry: Duration::from_millis(200),
    give_up_after: Duration::from_hours(24),
};

/// The configuration of a test's instance.
pub fn config(database: &Database) -> Config {
    let secrets = AdminSecrets::parse(ADMIN_SECRET).unwrap();
    let address = "127.0.0.1:0".parse().unwrap();
    let keyring = Keyring::new(KEY, Vec::new());
    let mut config = Config::local(address, database_config(database.url.clone()), keyring, secrets);
    // So that a test can come from different addresses.
    config.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    config
}

/// Hashes that cost next to nothing.
pub fn cheap_hashes() -> HasherConfig {
    HasherConfig { cost: Cost::new(64, 1, 1).unwrap(), ..HasherConfig::default() }
}

/// A person, verified and signed in.
#[derive(Clone, Debug)]
pub struct Person {
    pub id: String,
    pub email: String,
    pub token: String,
    /// Speaks with the person's session.
    pub http: Http,
}

impl TestApp {
    pub async fn start() -> Self {
        Self::on(Arc::new(database().await)).await
    }

    /// An instance on a database that exists: give it another app's for a second instance.
    pub async fn on(database: Arc<Database>) -> Self {
        let config = config(&database);
        Self::with(database, config).await
    }

    pub async fn with(database: Arc<Database>, config: Config) -> Self {
        Self::with_hasher(database, config, cheap_hashes()).await
    }

    pub async fn with_hasher(database: Arc<Database>, config: Config, hasher: HasherConfig) -> Self {
        let mailbox = database.mailbox.clone();
        let options = Options { hasher, mail: SOON, ..Options::default() };
        let running = serve::start(config, mailbox.clone(), options).await.unwrap();
        let http = Http::new(format!("http://{}", running.address));
        let admin = http.with_bearer(ADMIN_SECRET);
        Self { http, admin, mailbox, database, running }
    }

    /// A client from an address that nobody else in this test uses, so that limits by address are one's own.
    pub fn stranger(&self) -> Http {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let [_, a, b, c] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        self.http.from_address(&format!("198.{a}.{b}.{c}"))
    }

    /// The next mail to an address.
    pub async fn mail_to(&self, address: &str) -> Arc<ReceivedMail> {
        self.mailbox.wait_for(address).await.unwrap()
    }

    /// Changes settings of the project.
    pub async fn set(&self, patch: Value) {
        self.admin.patch("/v1/admin/settings", patch).await.expect(200);
    }

    /// Signs somebody up, proves the address by the mailed code, signs in.
    pub async fn person(&self, email: &str) -> Person {
        let http = self.stranger();
        http.post("/v1/users", json!({ "email": email, "password": PASSWORD })).await.expect(202);
        let mail = self.mail_to(email).await;
        let code = mail.code().unwrap();
        http.post("/v1/email-verifications/redemptions", json!({ "email": email, "code": code }))
            .await
            .expect(200);
        self.sign_in(email, PASSWORD).await
    }

    /// Signs in with a password that is right.
    pub async fn sign_in(&self, email: &str, password: &str) -> Person {
        let http = self.stranger();
        let body = json!({ "method": "password", "email": email, "password": password });
        let body = http.post("/v1/sessions", body).await.expect(201);
        let token = body["session"]["token"].as_str().unwrap().to_owned();
        Person {
            id: body["user"]["id"].as_str().unwrap().to_owned(),
            email: email.to_owned(),
            http: http.with_bearer(&token),
            token,
        }
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.running.app.shutdown.cancel();
    }
}
