//! The configuration: read from flags, environment, files and MMDS, checked once, typed from then on.
//!
//! [`load`] is the way in for the commands; [`Config::local`] for development and tests.

pub mod args;
pub mod mmds;

mod admin_secrets;
mod dev;
mod mail;
mod network;
mod origin;
mod problem;
mod reader;
mod resolve;
mod webauthn;

use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;
use url::Url;

use super::crypto::envelope::Keyring;

pub use super::db::{DatabaseConfig, Pooler};
pub use admin_secrets::{AdminSecrets, AdminSecretsError, MIN_ADMIN_SECRET_BYTES};
pub use dev::DevOptions;
pub use mail::{MailConfig, MailTransport};
pub use network::{OutboundRule, parse_address, reachable_locally};
pub use origin::{Origin, OriginError};
pub use problem::{ConfigError, Problem, Setting};
pub use resolve::{LoadError, load, load_database};
pub use webauthn::WebauthnConfig;

/// Everything the service is told, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The database.
    pub database: DatabaseConfig,
    /// Where to listen; port 0 lets the system choose.
    pub address: SocketAddr,
    /// Keys that seal what must not be readable in a stolen dump.
    pub keyring: Keyring,
    /// What opens the admin endpoints.
    pub admin_secrets: AdminSecrets,
    /// Who we are to passkeys.
    pub webauthn: WebauthnConfig,
    /// Base of every link we hand out; no path.
    pub public_url: Url,
    /// Where OAuth may send people back to.
    pub oauth_allowed_redirect_origins: Vec<Origin>,
    /// Cache of authorization checks.
    pub authz_cache: AuthzCacheConfig,
    /// Outgoing mail.
    pub mail: MailConfig,
    /// Proxies whose forwarding headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Exceptions to "public and https only" for outgoing requests.
    pub outbound_allow: Vec<OutboundRule>,
    /// Decides the shape of logs, never what is allowed.
    pub environment: Environment,
    /// A filter that has been checked to parse, such as `info,sqlx=warn`.
    pub log_level: String,
    /// Export of traces; none when off.
    pub otlp: Option<OtlpConfig>,
    /// Run on a database that a newer version has migrated.
    pub allow_newer_schema: bool,
}

/// Cache of authorization checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthzCacheConfig {
    /// Most entries; 0 turns the cache off.
    pub size: u64,
    /// Longest life of an entry.
    pub ttl: Duration,
}

impl Default for AuthzCacheConfig {
    fn default() -> Self {
        Self { size: 100_000, ttl: Duration::from_mins(30) }
    }
}

/// Decides the shape of logs, never what is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// JSON for machines.
    Production,
    /// Lines for people.
    Development,
}

impl Environment {
    /// `development` in any case is development; every other name (staging, preview, …) is production.
    pub fn parse(name: &str) -> Self {
        if name.eq_ignore_ascii_case("development") { Self::Development } else { Self::Production }
    }
}

/// Export of traces.
#[derive(Clone, Debug)]
pub struct OtlpConfig {
    /// The collector.
    pub endpoint: Url,
}

impl Config {
    /// A configuration for this machine only (`dev`, tests): mail stays in memory, links and passkeys
    /// belong to `http://localhost` on the port of `address`, logs are for people. Change fields as needed.
    pub fn local(
        address: SocketAddr,
        database: DatabaseConfig,
        keyring: Keyring,
        admin_secrets: AdminSecrets,
    ) -> Self {
        let public_url = local_url(address.port());
        Self {
            database,
            address,
            keyring,
            admin_secrets,
            webauthn: WebauthnConfig { rp_id: "localhost".to_owned(), rp_origin: public_url.clone() },
            public_url,
            oauth_allowed_redirect_origins: Vec::new(),
            authz_cache: AuthzCacheConfig::default(),
            mail: MailConfig {
                transport: MailTransport::Memory,
                from: resolve::default_sender("localhost"),
                templates: None,
            },
            trusted_proxies: Vec::new(),
            outbound_allow: Vec::new(),
            environment: Environment::Development,
            log_level: args::DEFAULT_LOG_LEVEL.to_owned(),
            otlp: None,
            allow_newer_schema: false,
        }
    }
}

/// `http://localhost:port/`.
#[expect(clippy::expect_used, reason = "the text is a constant but for a number that fits a port")]
fn local_url(port: u16) -> Url {
    format!("http://localhost:{port}").parse().expect("a constant URL")
}
