//! `config check`: the configuration as `serve` reads it, without its secrets.

use std::fmt::Write as _;

use super::{Failure, write_out};
use crate::platform::config::args::ServeArgs;
use crate::platform::config::{Config, Environment, MailTransport, Pooler, load};
use crate::platform::db::connect_options;
use crate::platform::telemetry;

pub(super) async fn run(args: &ServeArgs) -> Result<(), Failure> {
    telemetry::install(Environment::parse(args.telemetry.environment.trim()), &args.telemetry.log_level);
    let config = load(args).await?;
    write_out(summary(&config).as_bytes())
}

/// One `name  value` line per setting that is in effect.
fn summary(config: &Config) -> String {
    let mut text = String::new();
    for (name, value) in lines(config) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name:<32}{value}");
    }
    text
}

fn lines(config: &Config) -> Vec<(&'static str, String)> {
    let database = &config.database;
    let old_keys = config.keyring.key_ids().count().saturating_sub(1);
    vec![
        ("database", place(database)),
        (
            "migrations",
            if database.migrate_url.is_some() { "own connection" } else { "same connection" }.to_owned(),
        ),
        (
            "database-pooler",
            match database.pooler {
                Pooler::Session => "session",
                Pooler::Transaction => "transaction",
            }
            .to_owned(),
        ),
        ("database-max-connections", database.max_connections.to_string()),
        ("address", config.address.to_string()),
        ("public-url", config.public_url.to_string()),
        ("signing-key-encryption-key", format!("set, {old_keys} old")),
        ("admin-secret", "set".to_owned()),
        ("webauthn-rp-id", config.webauthn.rp_id.clone()),
        ("webauthn-rp-origin", config.webauthn.rp_origin.to_string()),
        ("oauth-allowed-redirect-origins", listed(&config.oauth_allowed_redirect_origins)),
        (
            "mail",
            match config.mail.transport {
                MailTransport::Smtp(_) => format!("by SMTP, from {}", config.mail.from),
                MailTransport::Memory => "kept in memory".to_owned(),
                MailTransport::None => "no server: messages wait in the outbox".to_owned(),
            },
        ),
        ("trusted-proxies", listed(&config.trusted_proxies)),
        ("outbound-allow", listed(&config.outbound_allow)),
        (
            "authz-cache",
            format!("{} entries, {} s", config.authz_cache.size, config.authz_cache.ttl.as_secs()),
        ),
        ("log-level", config.log_level.clone()),
    ]
}

/// Host, port and database; no user and no password.
pub(super) fn place(database: &crate::platform::config::DatabaseConfig) -> String {
    connect_options(&database.url, database.pooler).map_or_else(
        |_| "unreadable".to_owned(),
        |options| {
            let name = options.get_database().unwrap_or("the role's own database");
            format!("{}:{}/{name}", options.get_host(), options.get_port())
        },
    )
}

fn listed<T: ToString>(entries: &[T]) -> String {
    if entries.is_empty() {
        return "none".to_owned();
    }
    entries.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
