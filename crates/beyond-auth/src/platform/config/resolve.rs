//! Flags, environment, files and MMDS become a [`Config`]; every problem is collected, none repeats a secret.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use lettre::Address;
use lettre::message::Mailbox;
use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::PgConnectOptions;
use tracing_subscriber::EnvFilter;
use url::Url;

use super::args::{
    DEFAULT_ADDRESS, DEFAULT_AUTHZ_CACHE_SIZE, DEFAULT_AUTHZ_CACHE_TTL_SECS, DEFAULT_LOG_LEVEL,
    DEFAULT_MAX_CONNECTIONS, DEFAULT_OTLP_ENDPOINT, DEFAULT_POOLER, DatabaseArgs, IdentityArgs, MailArgs,
    MigrateArgs, SecretArgs, ServeArgs, SourceArgs,
};
use super::mmds::{self, Endpoint, Metadata};
use super::network::{parse_address, parse_network};
use super::origin::is_bare;
use super::problem::{ConfigError, MAKE_SECRETS, Setting};
use super::reader::{Reader, given, items};
use super::webauthn::{check_pair, parse_rp_id, parse_rp_origin};
use super::{
    AdminSecrets, AuthzCacheConfig, Config, DatabaseConfig, Environment, MailConfig, MailTransport, Origin,
    OutboundRule, Pooler, WebauthnConfig,
};
use crate::platform::crypto::envelope::Keyring;
use crate::platform::mail::smtp::SmtpTransport;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Something given is missing or wrong.
    #[error(transparent)]
    Invalid(#[from] ConfigError),
    /// The metadata service gave no answer to use.
    #[error(transparent)]
    Metadata(#[from] mmds::FetchError),
}

/// Reads everything `serve` needs.
pub async fn load(args: &ServeArgs) -> Result<Config, LoadError> {
    let metadata = metadata(&args.source).await?;
    Ok(resolve(args, &metadata)?)
}

/// Reads what `migrate` needs: the database, and whether a newer schema is acceptable.
pub async fn load_database(args: &MigrateArgs) -> Result<(DatabaseConfig, bool), LoadError> {
    let metadata = metadata(&args.source).await?;
    let mut reader = Reader::new(&metadata);
    let database = reader.database(&args.database);
    let allow_newer_schema = reader.switch("allow-newer-schema", &args.database.allow_newer_schema);
    reader.log_level(&args.telemetry.log_level);
    Ok(reader.finish(database.zip(allow_newer_schema))?)
}

async fn metadata(args: &SourceArgs) -> Result<Metadata, LoadError> {
    let Some(text) = args.mmds_endpoint.as_deref().and_then(given) else {
        return Ok(Metadata::default());
    };
    let endpoint =
        Endpoint::parse(text).map_err(|message| ConfigError::of(Setting("mmds-endpoint"), message))?;
    Ok(mmds::fetch(&endpoint, &mmds::Patience::AT_BOOT).await?)
}

/// The pure part of [`load`]: no network, files only for `--x-file`.
pub(super) fn resolve(args: &ServeArgs, metadata: &Metadata) -> Result<Config, ConfigError> {
    let mut reader = Reader::new(metadata);
    let it = &mut reader;

    let database = it.database(&args.database);
    let allow_newer_schema = it.switch("allow-newer-schema", &args.database.allow_newer_schema);
    let address = it.parsed("address", &args.http.address, DEFAULT_ADDRESS, parse_address);
    let trusted_proxies = it.list("trusted-proxies", args.http.trusted_proxies.as_ref(), parse_network);
    let outbound_allow = it.list("outbound-allow", args.http.outbound_allow.as_ref(), OutboundRule::parse);
    let keyring = it.keyring(&args.secrets);
    let admin_secrets = it.admin_secrets(&args.secrets);
    let webauthn = it.webauthn(&args.identity);
    let public_url = it.optional("public-url", args.http.public_url.as_ref(), parse_public_url);
    let origins = it.list(
        "oauth-allowed-redirect-origins",
        args.identity.oauth_allowed_redirect_origins.as_ref(),
        |text| Origin::parse(text).map_err(|why| format!("holds {text:?}, which {why}")),
    );
    let mail = it.mail(&args.mail, webauthn.as_ref());
    let size = it.parsed("authz-cache-size", &args.authz.authz_cache_size, DEFAULT_AUTHZ_CACHE_SIZE, number);
    let ttl = it.parsed(
        "authz-cache-ttl-secs",
        &args.authz.authz_cache_ttl_secs,
        DEFAULT_AUTHZ_CACHE_TTL_SECS,
        number,
    );
    let log_level = it.log_level(&args.telemetry.log_level);
    it.otlp(&args.telemetry.otlp_enabled, &args.telemetry.otlp_endpoint);

    let config = (|| {
        let webauthn = webauthn?;
        Some(Config {
            database: database?,
            address: address?,
            keyring: keyring?,
            admin_secrets: admin_secrets?,
            public_url: public_url?.unwrap_or_else(|| webauthn.rp_origin.clone()),
            webauthn,
            oauth_allowed_redirect_origins: origins?,
            authz_cache: AuthzCacheConfig { size: size?, ttl: Duration::from_secs(ttl?) },
            mail: mail?,
            trusted_proxies: trusted_proxies?,
            outbound_allow: outbound_allow?,
            environment: Environment::parse(&args.telemetry.environment),
            log_level: log_level?,
            otlp: None,
            allow_newer_schema: allow_newer_schema?,
        })
    })();
    reader.finish(config)
}

impl Reader<'_> {
    fn database(&mut self, args: &DatabaseArgs) -> Option<DatabaseConfig> {
        let url = self.required_secret(
            "database-url",
            args.database_url.as_ref(),
            args.database_url_file.as_ref(),
            "give the Postgres to use, such as postgres://user:password@host:5432/dbname",
        );
        let url = self.checked("database-url", Some(url), check_database_url).flatten();
        let migrate_url = self.secret(
            "migrate-database-url",
            args.migrate_database_url.as_ref(),
            args.migrate_database_url_file.as_ref(),
        );
        let migrate_url = self.checked("migrate-database-url", migrate_url, check_database_url);
        let pooler =
            self.parsed("database-pooler", &args.database_pooler, DEFAULT_POOLER, |text| match text {
                "session" => Ok(Pooler::Session),
                "transaction" => Ok(Pooler::Transaction),
                _ => Err("is neither session nor transaction"),
            });
        let max_connections = self.parsed(
            "database-max-connections",
            &args.database_max_connections,
            DEFAULT_MAX_CONNECTIONS,
            |text| text.parse::<u32>().ok().filter(|count| *count > 0).ok_or("is not a whole number from 1"),
        );
        Some(DatabaseConfig {
            url: url?,
            migrate_url: migrate_url?,
            pooler: pooler?,
            max_connections: max_connections?,
        })
    }

    fn keyring(&mut self, args: &SecretArgs) -> Option<Keyring> {
        const CURRENT: &str = "signing-key-encryption-key";
        const OLD: &str = "signing-key-encryption-key-old";
        let current = self
            .required_secret(
                CURRENT,
                args.signing_key_encryption_key.as_ref(),
                args.signing_key_encryption_key_file.as_ref(),
                &format!("make one with: {MAKE_SECRETS}"),
            )
            .and_then(|text| {
                Keyring::parse_key(text.expose_secret().trim())
                    .map_err(|_| {
                        self.refuse(
                            CURRENT,
                            format!("is not 32 bytes in base64, standard or URL-safe; make one with: {MAKE_SECRETS}"),
                        );
                    })
                    .ok()
            });
        let old = self.secret(
            OLD,
            args.signing_key_encryption_key_old.as_ref(),
            args.signing_key_encryption_key_old_file.as_ref(),
        )?;
        let mut old_keys = Vec::new();
        let before = self.problems.len();
        for (index, text) in items(old.as_ref().map_or("", |old| old.expose_secret())).enumerate() {
            match Keyring::parse_key(text) {
                Ok(key) => old_keys.push(*key),
                Err(_) => self.refuse(
                    OLD,
                    format!(
                        "has an entry (number {}) that is not 32 bytes in base64, standard or URL-safe",
                        index + 1
                    ),
                ),
            }
        }
        let current = current?;
        (self.problems.len() == before).then(|| Keyring::new(*current, old_keys))
    }

    fn admin_secrets(&mut self, args: &SecretArgs) -> Option<AdminSecrets> {
        let text = self.required_secret(
            "admin-secret",
            args.admin_secret.as_ref(),
            args.admin_secret_file.as_ref(),
            &format!("make one with: {MAKE_SECRETS}"),
        )?;
        AdminSecrets::parse(text.expose_secret())
            .map_err(|why| self.refuse("admin-secret", format!("{why}; make one with: {MAKE_SECRETS}")))
            .ok()
    }

    fn webauthn(&mut self, args: &IdentityArgs) -> Option<WebauthnConfig> {
        let rp_id = self.required(
            "webauthn-rp-id",
            args.webauthn_rp_id.as_ref(),
            "give the domain passkeys are bound to, such as example.com",
            parse_rp_id,
        );
        let rp_origin = self.required(
            "webauthn-rp-origin",
            args.webauthn_rp_origin.as_ref(),
            "give the origin of your sign-in pages, such as https://example.com",
            parse_rp_origin,
        );
        let (rp_id, rp_origin) = rp_id.zip(rp_origin)?;
        check_pair(&rp_id, &rp_origin)
            .map_err(|why| self.refuse("webauthn-rp-id", why))
            .ok()
            .map(|()| WebauthnConfig { rp_id, rp_origin })
    }

    fn mail(&mut self, args: &MailArgs, webauthn: Option<&WebauthnConfig>) -> Option<MailConfig> {
        let smtp_url = self.secret("smtp-url", args.smtp_url.as_ref(), args.smtp_url_file.as_ref());
        let smtp_url = self.checked("smtp-url", smtp_url, |url| {
            SmtpTransport::from_url(url).map(drop).map_err(|why| why.to_string())
        });
        let from = self.optional("mail-from", args.mail_from.as_ref(), |text| {
            text.parse::<Mailbox>().map_err(
                |_| "is not a mailbox, such as \"Example <no-reply@example.com>\" or no-reply@example.com",
            )
        });
        let templates = self.optional("mail-templates", args.mail_templates.as_ref(), |text| {
            let folder = PathBuf::from(text);
            if folder.is_dir() { Ok(folder) } else { Err("is not a folder that can be read") }
        });
        let (smtp_url, from) = (smtp_url?, from?);
        if smtp_url.is_some() && from.is_none() {
            self.refuse(
                "mail-from",
                "is not set; a mail server needs a sender, such as no-reply@example.com",
            );
            return None;
        }
        Some(MailConfig {
            transport: smtp_url.map_or(MailTransport::None, MailTransport::Smtp),
            from: from
                .unwrap_or_else(|| default_sender(webauthn.map_or("localhost", |webauthn| &webauthn.rp_id))),
            templates: templates?,
        })
    }

    fn log_level(&mut self, text: &str) -> Option<String> {
        self.parsed("log-level", text, DEFAULT_LOG_LEVEL, |text| {
            check_log_level(text).map(|()| text.to_owned())
        })
    }

    /// Export of traces is refused rather than quietly left out, as long as it is not built.
    fn otlp(&mut self, enabled: &str, endpoint: &str) {
        self.parsed("otlp-endpoint", endpoint, DEFAULT_OTLP_ENDPOINT, |text| match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(()),
            _ => Err("is not a URL with http or https, such as http://localhost:4317"),
        });
        if self.switch("otlp-enabled", enabled) == Some(true) {
            self.refuse("otlp-enabled", "is true, but this build has no OTLP export; leave it at false");
        }
    }
}

fn number(text: &str) -> Result<u64, &'static str> {
    text.parse().map_err(|_| "is not a whole number")
}

/// Says nothing of the text: it usually holds a password.
pub(super) fn check_database_url(url: &SecretString) -> Result<(), String> {
    let text = url.expose_secret();
    let is_postgres = text.starts_with("postgres://") || text.starts_with("postgresql://");
    if is_postgres && PgConnectOptions::from_str(text).is_ok() {
        return Ok(());
    }
    Err("is not a Postgres connection string; write postgres://user:password@host:5432/dbname \
         (percent-encode special characters of the password)"
        .to_owned())
}

pub(super) fn check_log_level(text: &str) -> Result<(), String> {
    EnvFilter::builder()
        .parse(text)
        .map(|_| ())
        .map_err(|_| format!("is {text:?}, which is not a filter such as info, debug or info,sqlx=warn"))
}

fn parse_public_url(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "is not a URL, such as https://auth.example.com")?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("is not a URL with http or https, such as https://auth.example.com");
    }
    if !is_bare(&url) {
        return Err("must end after host and port: paths such as /v1/… are added to it");
    }
    Ok(url)
}

/// `no-reply@domain`, or at localhost where the domain cannot stand in an address.
#[expect(clippy::expect_used, reason = "the fallback is a constant")]
pub(super) fn default_sender(domain: &str) -> Mailbox {
    let address = Address::new("no-reply", domain)
        .unwrap_or_else(|_| Address::new("no-reply", "localhost").expect("a constant address"));
    Mailbox::new(None, address)
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
