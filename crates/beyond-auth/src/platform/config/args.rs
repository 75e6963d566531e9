//! Every flag and environment variable. The doc comments are the help, and `docs/config.md` is generated
//! from them: the first paragraph is the table's description.
//!
//! Values stay text here and become types in [`super::resolve`], so that everything wrong with a
//! configuration is told at once and an empty variable counts as one that is not set. A secret is never
//! shown: not by `--help`, not by `Debug`, not by a parse error (its parser cannot fail).

use std::convert::Infallible;

use clap::Args;
use secrecy::SecretString;

/// Where `serve` listens unless told otherwise.
pub const DEFAULT_ADDRESS: &str = "0.0.0.0:8080";
/// Where `dev` listens unless told otherwise.
pub const DEFAULT_DEV_ADDRESS: &str = "127.0.0.1:8080";
/// Where `dev` keeps its database and secrets unless told otherwise.
pub const DEFAULT_DATA_DIR: &str = ".beyond-auth";
pub(super) const DEFAULT_POOLER: &str = "session";
pub(super) const DEFAULT_MAX_CONNECTIONS: &str = "10";
pub(super) const DEFAULT_AUTHZ_CACHE_SIZE: &str = "100000";
pub(super) const DEFAULT_AUTHZ_CACHE_TTL_SECS: &str = "1800";
pub(super) const DEFAULT_LOG_LEVEL: &str = "info";
pub(super) const DEFAULT_OTLP_ENDPOINT: &str = "http://localhost:4317";
pub(super) const DEFAULT_ENVIRONMENT: &str = "production";

/// Everything `serve` is told. Each group is public so that another command can take a part of it.
#[derive(Args, Clone, Debug)]
pub struct ServeArgs {
    /// Where secrets come from.
    #[command(flatten)]
    pub source: SourceArgs,
    /// The database.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// The listener and its surroundings.
    #[command(flatten)]
    pub http: HttpArgs,
    /// Keys and secrets.
    #[command(flatten)]
    pub secrets: SecretArgs,
    /// Passkeys and sign-in with others.
    #[command(flatten)]
    pub identity: IdentityArgs,
    /// Outgoing mail.
    #[command(flatten)]
    pub mail: MailArgs,
    /// Authorization engine.
    #[command(flatten)]
    pub authz: AuthzArgs,
    /// Logs and traces.
    #[command(flatten)]
    pub telemetry: TelemetryArgs,
}

/// Everything `migrate` is told.
#[derive(Args, Clone, Debug)]
pub struct MigrateArgs {
    /// Where secrets come from.
    #[command(flatten)]
    pub source: SourceArgs,
    /// The database.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// Logs and traces.
    #[command(flatten)]
    pub telemetry: TelemetryArgs,
}

/// Where secrets come from.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Source of secrets")]
pub struct SourceArgs {
    /// Firecracker MMDS endpoint to fetch secrets from (e.g. <http://169.254.169.254>)
    ///
    /// When set, `DATABASE_URL`, `SIGNING_KEY_ENCRYPTION_KEY`, `SIGNING_KEY_ENCRYPTION_KEY_OLD`, `ADMIN_SECRET`,
    /// `MIGRATE_DATABASE_URL` and `SMTP_URL` are read from the JSON object found at the endpoint's path (the
    /// root unless the URL has one) and win; a key absent there falls back to its flag or variable. MMDS
    /// version 2 (session token) and 1 are both spoken. An endpoint that does not answer stops the start.
    #[arg(long, env = "MMDS_ENDPOINT", value_name = "URL")]
    pub mmds_endpoint: Option<String>,
}

/// The database.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Database")]
pub struct DatabaseArgs {
    /// Postgres connection string; everything lives in its schema `auth`
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL", value_parser = secret)]
    #[arg(allow_hyphen_values = true)]
    pub database_url: Option<SecretString>,

    /// File that holds the value of --database-url
    #[arg(long, env = "DATABASE_URL_FILE", value_name = "PATH")]
    pub database_url_file: Option<String>,

    /// Connection string for migrations, when --database-url goes through a pooler or has too few rights
    #[arg(long, env = "MIGRATE_DATABASE_URL", hide_env_values = true, value_name = "URL", value_parser = secret)]
    #[arg(allow_hyphen_values = true)]
    pub migrate_database_url: Option<SecretString>,

    /// File that holds the value of --migrate-database-url
    #[arg(long, env = "MIGRATE_DATABASE_URL_FILE", value_name = "PATH")]
    pub migrate_database_url_file: Option<String>,

    /// `transaction` when a pooler hands out another connection per transaction (pgbouncer); else `session`
    #[arg(long, env = "DATABASE_POOLER", value_name = "session|transaction", default_value = DEFAULT_POOLER)]
    pub database_pooler: String,

    /// Most connections one instance opens
    #[arg(long, env = "DATABASE_MAX_CONNECTIONS", value_name = "N", default_value = DEFAULT_MAX_CONNECTIONS)]
    pub database_max_connections: String,

    /// Run although a newer version has already migrated the database (rolling back a release)
    ///
    /// Migrations only ever add, so an older version works on a newer schema; without this flag it refuses,
    /// as the usual cause is a wrong image or a wrong database.
    #[arg(long, env = "ALLOW_NEWER_SCHEMA", value_name = "BOOL", default_value = "false")]
    #[arg(num_args = 0..=1, default_missing_value = "true")]
    pub allow_newer_schema: String,
}

/// The listener and its surroundings.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "HTTP")]
pub struct HttpArgs {
    /// Bind address
    #[arg(long, env = "ADDRESS", value_name = "IP:PORT", default_value = DEFAULT_ADDRESS)]
    pub address: String,

    /// Public base URL for OAuth callbacks and links in mails [default: the WebAuthn origin]
    #[arg(long, env = "PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<String>,

    /// Comma-separated addresses or networks of proxies whose Forwarded and X-Forwarded-For are believed
    #[arg(long, env = "TRUSTED_PROXIES", value_name = "CIDR,…")]
    pub trusted_proxies: Option<String>,

    /// Comma-separated hosts or networks the service may call although private, and over plain http
    ///
    /// Entries are `host`, `host:port`, an address or a network (10.0.0.0/8). Everything else the service
    /// calls (identity providers, webhooks) must be public and https.
    #[arg(long, env = "OUTBOUND_ALLOW", value_name = "HOST|CIDR,…")]
    pub outbound_allow: Option<String>,
}

/// Keys and secrets.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Secrets")]
pub struct SecretArgs {
    /// Base64url-encoded 32-byte AES-256-GCM key that seals signing keys at rest
    ///
    /// Make one with `beyond-auth keys generate`, or `openssl rand -base64 32`: standard base64 is read too.
    /// Keep it out of the database: a stolen dump alone then forges nothing.
    #[arg(long, env = "SIGNING_KEY_ENCRYPTION_KEY", hide_env_values = true, value_name = "BASE64")]
    #[arg(allow_hyphen_values = true, value_parser = secret)]
    pub signing_key_encryption_key: Option<SecretString>,

    /// File that holds the value of --signing-key-encryption-key
    #[arg(long, env = "SIGNING_KEY_ENCRYPTION_KEY_FILE", value_name = "PATH")]
    pub signing_key_encryption_key_file: Option<String>,

    /// Comma-separated former values of that key, for rotation without downtime
    ///
    /// They only open what they once sealed; new data is sealed with the current key.
    #[arg(long, env = "SIGNING_KEY_ENCRYPTION_KEY_OLD", hide_env_values = true, value_name = "BASE64,…")]
    #[arg(allow_hyphen_values = true, value_parser = secret)]
    pub signing_key_encryption_key_old: Option<SecretString>,

    /// File that holds the value of --signing-key-encryption-key-old
    #[arg(long, env = "SIGNING_KEY_ENCRYPTION_KEY_OLD_FILE", value_name = "PATH")]
    pub signing_key_encryption_key_old_file: Option<String>,

    /// Bearer token required for admin endpoints: at least 32 bytes, two separated by a comma while rotating
    #[arg(long, env = "ADMIN_SECRET", hide_env_values = true, value_name = "SECRET[,SECRET]")]
    #[arg(allow_hyphen_values = true, value_parser = secret)]
    pub admin_secret: Option<SecretString>,

    /// File that holds the value of --admin-secret
    #[arg(long, env = "ADMIN_SECRET_FILE", value_name = "PATH")]
    pub admin_secret_file: Option<String>,
}

/// Passkeys and sign-in with others.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Passkeys and OAuth")]
pub struct IdentityArgs {
    /// WebAuthn relying party ID (e.g. example.com): the origin's host or a parent domain of it
    #[arg(long, env = "WEBAUTHN_RP_ID", value_name = "DOMAIN")]
    pub webauthn_rp_id: Option<String>,

    /// WebAuthn origin (e.g. <https://example.com>)
    #[arg(long, env = "WEBAUTHN_RP_ORIGIN", value_name = "ORIGIN")]
    pub webauthn_rp_origin: Option<String>,

    /// Comma-separated origins allowed as OAuth redirect targets, compared exactly
    #[arg(long, env = "OAUTH_ALLOWED_REDIRECT_ORIGINS", value_name = "ORIGIN,…")]
    pub oauth_allowed_redirect_origins: Option<String>,
}

/// Outgoing mail.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Mail")]
pub struct MailArgs {
    /// Mail server: <smtp://user:password@host:587>, or <smtps://user:password@host:465> for TLS from the start
    ///
    /// `smtp` demands STARTTLS; `?tls=opportunistic` or `?tls=none` ask for less. `ca=PATH` names a PEM file of
    /// the only authorities to trust. Without a server, messages wait in the outbox and nobody can verify an
    /// address.
    #[arg(long, env = "SMTP_URL", hide_env_values = true, value_name = "URL", value_parser = secret)]
    #[arg(allow_hyphen_values = true)]
    pub smtp_url: Option<SecretString>,

    /// File that holds the value of --smtp-url
    #[arg(long, env = "SMTP_URL_FILE", value_name = "PATH")]
    pub smtp_url_file: Option<String>,

    /// Sender of every message, such as "Example <no-reply@example.com>"; required with --smtp-url
    #[arg(long, env = "MAIL_FROM", value_name = "MAILBOX")]
    pub mail_from: Option<String>,

    /// Folder whose templates stand in for the built-in ones
    #[arg(long, env = "MAIL_TEMPLATES", value_name = "FOLDER")]
    pub mail_templates: Option<String>,
}

/// Authorization engine.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Authorization")]
pub struct AuthzArgs {
    /// Max cached authz check entries
    #[arg(long, env = "AUTHZ_CACHE_SIZE", value_name = "N", default_value = DEFAULT_AUTHZ_CACHE_SIZE)]
    pub authz_cache_size: String,

    /// Authz cache TTL in seconds
    #[arg(long, env = "AUTHZ_CACHE_TTL_SECS", value_name = "SECONDS", default_value = DEFAULT_AUTHZ_CACHE_TTL_SECS)]
    pub authz_cache_ttl_secs: String,
}

/// Logs and traces.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Logs and traces")]
pub struct TelemetryArgs {
    /// Log verbosity: error, warn, info, debug, trace, or per module (info,sqlx=warn)
    #[arg(long, env = "LOG_LEVEL", value_name = "FILTER", default_value = DEFAULT_LOG_LEVEL)]
    pub log_level: String,

    /// `development` logs for people; any other name counts as production and logs JSON
    #[arg(long, env = "ENVIRONMENT", value_name = "NAME", default_value = DEFAULT_ENVIRONMENT)]
    pub environment: String,

    /// Enable OpenTelemetry export
    #[arg(long, env = "OTLP_ENABLED", value_name = "BOOL", default_value = "false")]
    #[arg(num_args = 0..=1, default_missing_value = "true")]
    pub otlp_enabled: String,

    /// OTLP collector endpoint
    #[arg(long, env = "OTLP_ENDPOINT", value_name = "URL", default_value = DEFAULT_OTLP_ENDPOINT)]
    pub otlp_endpoint: String,
}

/// Everything `dev` is told.
#[derive(Args, Clone, Debug)]
pub struct DevArgs {
    /// Bind address; loopback only
    #[arg(long, env = "ADDRESS", value_name = "IP:PORT", default_value = DEFAULT_DEV_ADDRESS)]
    pub address: String,

    /// Folder for the database and the generated secrets
    #[arg(long, env = "DATA_DIR", value_name = "FOLDER", default_value = DEFAULT_DATA_DIR)]
    pub data_dir: String,

    /// Use this Postgres instead of starting one
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL", value_parser = secret)]
    #[arg(allow_hyphen_values = true)]
    pub database_url: Option<SecretString>,

    /// Folder with initdb and postgres, version 14 or newer [default: looked for, else fetched]
    #[arg(long, env = "PG_BIN_DIR", value_name = "FOLDER")]
    pub pg_bin_dir: Option<String>,

    /// Where to fetch Postgres from instead of the built-in address
    #[arg(long, env = "PG_MIRROR", value_name = "URL")]
    pub pg_mirror: Option<String>,

    /// Never fetch anything
    #[arg(long)]
    pub offline: bool,

    /// Log verbosity: error, warn, info, debug, trace, or per module (info,sqlx=warn)
    #[arg(long, env = "LOG_LEVEL", value_name = "FILTER", default_value = DEFAULT_LOG_LEVEL)]
    pub log_level: String,
}

/// Takes any text, so that clap has no reason to print it.
#[expect(clippy::unnecessary_wraps, reason = "clap wants a fallible parser")]
fn secret(text: &str) -> Result<SecretString, Infallible> {
    Ok(SecretString::from(text))
}
