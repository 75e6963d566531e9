//! One rule a test, through the flags as a person gives them.

use clap::{Args as _, Command, FromArgMatches as _};

use super::super::args::ServeArgs;
use super::*;

const KEK: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const OTHER_KEK: &str = "-_________________________________________8";
const ADMIN: &str = "admin-secret-of-at-least-32-bytes";

/// A complete configuration; a test adds to it or replaces a part.
const COMPLETE: [(&str, &str); 5] = [
    ("database-url", "postgres://auth:hunter2@db.internal:5432/app"),
    ("signing-key-encryption-key", KEK),
    ("admin-secret", ADMIN),
    ("webauthn-rp-id", "example.com"),
    ("webauthn-rp-origin", "https://login.example.com"),
];

/// Flags as `serve` would parse them, blind to the variables of whoever runs the tests.
fn args(flags: &[(&str, &str)]) -> ServeArgs {
    let command = ServeArgs::augment_args(Command::new("serve")).mut_args(|arg| arg.env(None::<&str>));
    let words = flags.iter().map(|(name, value)| format!("--{name}={value}"));
    let matches = command.get_matches_from(std::iter::once("serve".to_owned()).chain(words));
    ServeArgs::from_arg_matches(&matches).unwrap()
}

fn with(changes: &[(&str, &str)]) -> Result<Config, ConfigError> {
    with_metadata(changes, &Metadata::default())
}

fn with_metadata(changes: &[(&str, &str)], metadata: &Metadata) -> Result<Config, ConfigError> {
    let kept = COMPLETE.into_iter().filter(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
    let flags: Vec<_> = kept.chain(changes.iter().copied()).collect();
    resolve(&args(&flags), metadata)
}

/// The settings that are wrong, in order.
#[track_caller]
fn refused(changes: &[(&str, &str)]) -> Vec<String> {
    let error = with(changes).expect_err("a refusal");
    let text = error.to_string();
    for secret in ["hunter2", KEK, ADMIN] {
        assert!(!text.contains(secret), "a secret in: {text}");
    }
    error.problems().iter().map(|problem| problem.setting.0.to_owned()).collect()
}

/// A file that goes away with the value.
struct SecretFile(PathBuf);

impl SecretFile {
    fn with(content: &str) -> Self {
        let name = format!("beyond-auth-config-{}", uuid::Uuid::now_v7().simple());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, content).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for SecretFile {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}

#[test]
fn the_five_settings_of_the_quick_start_are_enough() {
    let config = with(&[]).unwrap();
    assert_eq!(config.address.to_string(), "0.0.0.0:8080");
    assert_eq!(config.public_url.as_str(), "https://login.example.com/");
    assert_eq!(config.authz_cache, AuthzCacheConfig { size: 100_000, ttl: Duration::from_mins(30) });
    assert_eq!(config.log_level, "info");
    assert_eq!(config.environment, Environment::Production);
    assert_eq!(config.database.pooler, Pooler::Session);
    assert_eq!(config.mail.from.to_string(), "no-reply@example.com");
    assert!(matches!(config.mail.transport, MailTransport::None));
    assert!(config.otlp.is_none());
    assert!(config.admin_secrets.matches(ADMIN));
}

#[test]
fn everything_missing_is_told_at_once_with_the_way_to_get_it() {
    let error = resolve(&args(&[]), &Metadata::default()).unwrap_err();
    let text = error.to_string();
    for (name, _) in COMPLETE {
        assert!(text.contains(&Setting(name).to_string()), "{name} in: {text}");
    }
    assert_eq!(error.problems().len(), 5, "{text}");
    assert_eq!(text.matches("beyond-auth keys generate").count(), 2, "{text}");
}

#[test]
fn an_empty_variable_is_one_that_is_not_set() {
    assert_eq!(refused(&[("admin-secret", "")]), ["admin-secret"]);
    let config =
        with(&[("address", " "), ("log-level", ""), ("public-url", ""), ("admin-secret-file", "")]).unwrap();
    assert_eq!(config.address.to_string(), "0.0.0.0:8080");
}

#[test]
fn a_key_is_read_in_any_base64_and_refused_in_any_other_length() {
    for key in [KEK, KEK.trim_end_matches('='), OTHER_KEK, &OTHER_KEK.replace('_', "/").replace('-', "+")] {
        assert!(with(&[("signing-key-encryption-key", key)]).is_ok(), "{key}");
    }
    for wrong in ["hunter2", "MDEyMzQ1Njc4OWFiY2RlZg==", &format!("{KEK}{KEK}"), "not base64 at all!"] {
        assert_eq!(refused(&[("signing-key-encryption-key", wrong)]), ["signing-key-encryption-key"]);
    }
}

#[test]
fn old_keys_are_a_list_and_a_bad_one_is_named_by_its_number() {
    let list = format!("{OTHER_KEK}, ");
    let ring = with(&[("signing-key-encryption-key-old", &list)]).unwrap().keyring;
    assert_eq!(ring.key_ids().count(), 2);
    let error = with(&[("signing-key-encryption-key-old", &format!("{KEK},hunter2"))]).unwrap_err();
    assert!(error.to_string().contains("number 2"), "{error}");
    assert!(!error.to_string().contains("hunter2"), "{error}");
}

#[test]
fn an_admin_secret_is_long_and_may_have_a_successor() {
    assert_eq!(refused(&[("admin-secret", "hunter2")]), ["admin-secret"]);
    let both = with(&[("admin-secret", &format!("{ADMIN},{ADMIN}-next"))]).unwrap().admin_secrets;
    assert!(both.matches(ADMIN) && both.matches(&format!("{ADMIN}-next")));
}

#[test]
fn a_database_url_is_one_of_postgres_and_never_repeated() {
    for wrong in ["mysql://u:hunter2@h/d", "db.internal", "postgres://u:hunter2@h:port/d"] {
        assert_eq!(refused(&[("database-url", wrong)]), ["database-url"]);
        assert_eq!(refused(&[("migrate-database-url", wrong)]), ["migrate-database-url"]);
    }
    assert_eq!(refused(&[("database-pooler", "pgbouncer")]), ["database-pooler"]);
    assert_eq!(refused(&[("database-max-connections", "0")]), ["database-max-connections"]);
    assert_eq!(with(&[("database-pooler", "transaction")]).unwrap().database.pooler, Pooler::Transaction);
}

#[test]
fn the_relying_party_must_fit_its_origin() {
    assert_eq!(refused(&[("webauthn-rp-id", "example.org")]), ["webauthn-rp-id"]);
    assert_eq!(refused(&[("webauthn-rp-origin", "http://login.example.com")]), ["webauthn-rp-origin"]);
    let local = [("webauthn-rp-id", "localhost"), ("webauthn-rp-origin", "http://localhost:8080")];
    assert_eq!(with(&local).unwrap().public_url.as_str(), "http://localhost:8080/");
}

#[test]
fn a_public_url_ends_after_its_port() {
    assert_eq!(
        with(&[("public-url", "https://auth.example.com:8443")]).unwrap().public_url.as_str(),
        "https://auth.example.com:8443/"
    );
    for wrong in
        ["auth.example.com", "ftp://auth.example.com", "https://auth.example.com/auth", "https://a?b"]
    {
        assert_eq!(refused(&[("public-url", wrong)]), ["public-url"], "{wrong}");
    }
}

#[test]
fn each_bad_entry_of_a_list_is_named() {
    assert_eq!(
        refused(&[(
            "oauth-allowed-redirect-origins",
            "https://a.example,https://*.example,http://b.example"
        )]),
        ["oauth-allowed-redirect-origins", "oauth-allowed-redirect-origins"]
    );
    assert_eq!(refused(&[("trusted-proxies", "10.0.0.0/8,proxy")]), ["trusted-proxies"]);
    assert_eq!(refused(&[("outbound-allow", "*.internal")]), ["outbound-allow"]);
    let config = with(&[
        ("oauth-allowed-redirect-origins", "https://a.example, https://b.example"),
        ("trusted-proxies", "10.0.0.0/8,::1"),
        ("outbound-allow", "idp.internal:8443"),
    ])
    .unwrap();
    assert_eq!(config.oauth_allowed_redirect_origins.len(), 2);
    assert_eq!(config.trusted_proxies.len(), 2);
    assert_eq!(config.outbound_allow.len(), 1);
}

#[test]
fn numbers_switches_and_addresses_are_checked() {
    for (name, wrong) in [
        ("address", "localhost:8080"),
        ("authz-cache-size", "-1"),
        ("authz-cache-ttl-secs", "1h"),
        ("allow-newer-schema", "perhaps"),
        ("otlp-enabled", "perhaps"),
        ("otlp-endpoint", "localhost:4317"),
        ("log-level", "info=debug=x"),
    ] {
        assert_eq!(refused(&[(name, wrong)]), [name], "{wrong}");
    }
    assert!(with(&[("allow-newer-schema", "TRUE")]).unwrap().allow_newer_schema);
    assert!(resolve(&args(&COMPLETE), &Metadata::default()).is_ok());
}

#[test]
fn export_of_traces_is_refused_until_it_exists() {
    assert_eq!(refused(&[("otlp-enabled", "true")]), ["otlp-enabled"]);
    assert!(with(&[("otlp-enabled", "false")]).is_ok());
}

#[test]
fn a_mail_server_needs_a_sender() {
    let server = ("smtp-url", "smtps://user:hunter2@mail.example.com");
    assert_eq!(refused(&[server]), ["mail-from"]);
    assert_eq!(refused(&[server, ("mail-from", "nobody")]), ["mail-from"]);
    for wrong in [
        "hunter2",
        "https://u:hunter2@mail.example.com",
        "smtp://hunter2@mail.example.com",
        "smtp://u:hun/ter2@mail.example.com",
        "smtp://u:hunter2@mail.example.com?tls=hunter2",
        "smtps://u:hunter2@mail.example.com?tls=none",
    ] {
        assert_eq!(refused(&[("smtp-url", wrong)]), ["smtp-url"], "{wrong}");
    }
    assert_eq!(refused(&[("mail-templates", "/nowhere/at/all")]), ["mail-templates"]);
    let mail = with(&[server, ("mail-from", "Example <no-reply@example.com>")]).unwrap().mail;
    assert_eq!(mail.from.name.as_deref(), Some("Example"));
    assert!(matches!(mail.transport, MailTransport::Smtp(_)));
}

#[test]
fn a_secret_is_read_from_a_file_without_its_newline() {
    let file = SecretFile::with(&format!("{ADMIN}\r\n"));
    let flags: Vec<_> = COMPLETE
        .into_iter()
        .filter(|(name, _)| *name != "admin-secret")
        .chain([("admin-secret-file", file.path())])
        .collect();
    let config = resolve(&args(&flags), &Metadata::default()).unwrap();
    assert!(config.admin_secrets.matches(ADMIN));
}

#[test]
fn a_secret_given_twice_or_in_no_readable_file_is_refused() {
    let file = SecretFile::with(ADMIN);
    assert_eq!(refused(&[("admin-secret-file", file.path())]), ["admin-secret"]);
    let empty = SecretFile::with("\n");
    for path in ["/nowhere/at/all", empty.path(), "/"] {
        let flags = [("admin-secret", ""), ("admin-secret-file", path)];
        assert_eq!(refused(&flags), ["admin-secret"], "{path}");
    }
}

#[test]
fn metadata_wins_and_what_it_lacks_comes_from_the_flags() {
    let metadata = Metadata::of(&[("ADMIN_SECRET", "admin-secret-from-the-metadata-service")]);
    let config = with_metadata(&[], &metadata).unwrap();
    assert!(config.admin_secrets.matches("admin-secret-from-the-metadata-service"));
    assert!(!config.admin_secrets.matches(ADMIN));
    assert!(config.database.url.expose_secret().starts_with("postgres://auth"));
}

#[test]
fn debug_output_of_a_configuration_holds_no_secret() {
    let shown = format!(
        "{:?}",
        with(&[("smtp-url", "smtps://u:hunter2@h"), ("mail-from", "a@example.com")]).unwrap()
    );
    for secret in ["hunter2", KEK, ADMIN] {
        assert!(!shown.contains(secret), "{shown}");
    }
    let shown = format!("{:?}", args(&COMPLETE));
    for secret in ["hunter2", KEK, ADMIN] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn every_variable_is_named_after_its_flag_and_every_secret_is_hidden() {
    let command = ServeArgs::augment_args(Command::new("serve"));
    for arg in command.get_arguments() {
        let Some(flag) = arg.get_long() else { continue };
        let variable = arg.get_env().expect(flag).to_str().unwrap();
        assert_eq!(variable, flag.to_ascii_uppercase().replace('-', "_"));
        let has_file = command.get_arguments().any(|other| other.get_long() == Some(&format!("{flag}-file")));
        assert_eq!(
            arg.is_hide_env_values_set(),
            has_file,
            "{flag}: a secret is hidden and has a file variant"
        );
    }
}
