//! The binary's settings and exit codes, as an operator meets them.

use std::path::PathBuf;

use secrecy::ExposeSecret as _;
use sqlx::{Connection as _, PgConnection};

use crate::support::cluster::{self, Database};
use crate::support::program::{Ended, program, run};

/// In every secret value of these tests; must never be printed.
const MARK: &str = "hunter2";
/// The settings that a deployment must give, with values that are right.
const COMPLETE: [(&str, &str); 5] = [
    ("DATABASE_URL", "postgres://auth:hunter2@127.0.0.1:1/app"),
    ("SIGNING_KEY_ENCRYPTION_KEY", KEY),
    ("ADMIN_SECRET", "hunter2-0123456789abcdef0123456789abcdef"),
    ("WEBAUTHN_RP_ID", "example.com"),
    ("WEBAUTHN_RP_ORIGIN", "https://login.example.com"),
];
const KEY: &str = "aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMmh1bnQ";
/// Every setting whose value is secret.
const SECRETS: [&str; 6] = [
    "DATABASE_URL",
    "MIGRATE_DATABASE_URL",
    "SIGNING_KEY_ENCRYPTION_KEY",
    "SIGNING_KEY_ENCRYPTION_KEY_OLD",
    "ADMIN_SECRET",
    "SMTP_URL",
];

fn flag(variable: &str) -> String {
    format!("--{}", variable.to_ascii_lowercase().replace('_', "-"))
}

fn with(words: &[&str], variables: &[(&str, &str)]) -> Ended {
    let mut command = program(words);
    command.envs(variables.iter().copied());
    let ended = run(command);
    let said = ended.said();
    assert!(!said.contains(MARK) && !said.contains(KEY), "a secret in:\n{said}");
    ended
}

/// `serve` refused: exit code 2, nothing on standard output, and each setting named by flag and variable.
#[track_caller]
fn assert_refused(ended: &Ended, settings: &[&str]) {
    assert_eq!(ended.code, Some(2), "{}", ended.said());
    assert_eq!(ended.stdout, "");
    for variable in settings {
        assert!(ended.stderr.contains(&flag(variable)), "{} in:\n{}", flag(variable), ended.stderr);
        assert!(ended.stderr.contains(variable), "{variable} in:\n{}", ended.stderr);
    }
}

#[test]
fn everything_that_is_missing_is_named_at_once_with_the_command_that_makes_it() {
    for command in [&["serve"][..], &["doctor"], &["config", "check"]] {
        let ended = with(command, &[]);
        assert_refused(&ended, &COMPLETE.map(|(name, _)| name));
        assert!(ended.stderr.contains("beyond-auth keys generate"), "{}", ended.stderr);
        assert!(ended.stderr.contains("--help"), "{}", ended.stderr);
    }
    assert_refused(&with(&["migrate"], &[]), &["DATABASE_URL"]);
}

#[test]
fn an_empty_variable_is_missing_too() {
    let empty = COMPLETE.map(|(name, _)| (name, ""));
    assert_refused(&with(&["serve"], &empty), &COMPLETE.map(|(name, _)| name));
}

#[test]
fn everything_that_is_malformed_is_named_at_once_and_no_value_is_repeated() {
    let malformed = [
        ("DATABASE_URL", "mysql://auth:hunter2@db/app"),
        ("MIGRATE_DATABASE_URL", "postgres://auth:hunter2@db:port/app"),
        ("SIGNING_KEY_ENCRYPTION_KEY", "hunter2"),
        ("SIGNING_KEY_ENCRYPTION_KEY_OLD", "hunter2,hunter2"),
        ("ADMIN_SECRET", "hunter2"),
        ("WEBAUTHN_RP_ID", "https://example.com/"),
        ("WEBAUTHN_RP_ORIGIN", "example.com"),
        ("PUBLIC_URL", "login"),
        ("ADDRESS", "8080"),
        ("TRUSTED_PROXIES", "everybody"),
        ("OUTBOUND_ALLOW", "*"),
        ("OAUTH_ALLOWED_REDIRECT_ORIGINS", "*"),
        ("SMTP_URL", "mail:hunter2@example.com"),
        ("AUTHZ_CACHE_SIZE", "many"),
        ("AUTHZ_CACHE_TTL_SECS", "soon"),
        ("DATABASE_MAX_CONNECTIONS", "0"),
        ("DATABASE_POOLER", "yes"),
        ("ALLOW_NEWER_SCHEMA", "perhaps"),
        ("OTLP_ENABLED", "perhaps"),
        ("LOG_LEVEL", "a=b=c"),
    ];
    assert_refused(&with(&["serve"], &malformed), &malformed.map(|(name, _)| name));
    // The same as flags.
    let words: Vec<String> =
        malformed.iter().flat_map(|(name, value)| [flag(name), (*value).to_owned()]).collect();
    let words: Vec<&str> = std::iter::once("serve").chain(words.iter().map(String::as_str)).collect();
    assert_refused(&with(&words, &[]), &malformed.map(|(name, _)| name));
}

#[test]
fn help_shows_every_setting_and_no_value_of_a_secret() {
    let mut variables = COMPLETE.to_vec();
    variables.extend([("SMTP_URL", "smtps://u:hunter2@h"), ("SIGNING_KEY_ENCRYPTION_KEY_OLD", KEY)]);
    variables.push(("MIGRATE_DATABASE_URL", "postgres://o:hunter2@h/d"));
    for words in [
        &["--help"][..],
        &["serve", "--help"],
        &["serve", "-h"],
        &["help", "serve"],
        &["migrate", "--help"],
        &["dev", "--help"],
        &["doctor", "--help"],
        &["config", "check", "--help"],
        &["keys", "generate", "--help"],
    ] {
        let ended = with(words, &variables);
        assert_eq!(ended.code, Some(0), "{words:?}: {}", ended.stderr);
        assert!(ended.stdout.contains("Usage:"), "{words:?}");
    }
    let help = with(&["serve", "--help"], &variables).stdout;
    let seed = [
        ("MMDS_ENDPOINT", ""),
        ("DATABASE_URL", ""),
        ("ADDRESS", "0.0.0.0:8080"),
        ("SIGNING_KEY_ENCRYPTION_KEY", ""),
        ("SIGNING_KEY_ENCRYPTION_KEY_OLD", ""),
        ("ADMIN_SECRET", ""),
        ("WEBAUTHN_RP_ID", ""),
        ("WEBAUTHN_RP_ORIGIN", ""),
        ("PUBLIC_URL", ""),
        ("OAUTH_ALLOWED_REDIRECT_ORIGINS", ""),
        ("AUTHZ_CACHE_SIZE", "100000"),
        ("AUTHZ_CACHE_TTL_SECS", "1800"),
        ("LOG_LEVEL", "info"),
        ("OTLP_ENABLED", "false"),
        ("OTLP_ENDPOINT", "http://localhost:4317"),
        ("SMTP_URL", ""),
        ("MAIL_FROM", ""),
        ("TRUSTED_PROXIES", ""),
        ("MIGRATE_DATABASE_URL", ""),
    ];
    for (variable, default) in seed {
        assert!(help.contains(&flag(variable)), "{}", flag(variable));
        assert!(help.contains(&format!("[env: {variable}")), "{variable}");
        assert!(
            default.is_empty() || help.contains(&format!("[default: {default}]")),
            "{variable}: {default}"
        );
    }
    assert!(help.contains("beyond-auth keys generate"));
}

#[test]
fn a_slip_on_the_command_line_repeats_no_secret() {
    for words in [
        // A blank in a list of secrets.
        &["serve", "--admin-secret", "hunter2,", "hunter2-next"][..],
        &["serve", "--no-such-flag", "hunter2"],
        &["serve", "hunter2"],
        &["migrate", "postgres://auth:hunter2@db/app"],
    ] {
        let ended = with(words, &[]);
        assert_eq!(ended.code, Some(2), "{words:?}: {}", ended.stderr);
    }
}

/// Files that hold secrets, gone with this value.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn holding(&self, name: &str, content: &str) -> String {
        let path: PathBuf = self.0.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.into_os_string().into_string().unwrap()
    }
}

#[test]
fn every_secret_can_come_from_a_file() {
    let files = Files::new();
    let value = |name| match name {
        "SIGNING_KEY_ENCRYPTION_KEY" | "SIGNING_KEY_ENCRYPTION_KEY_OLD" => KEY,
        "ADMIN_SECRET" => COMPLETE[2].1,
        "SMTP_URL" => "smtps://user:hunter2@mail.example.com",
        _ => COMPLETE[0].1,
    };
    let mut variables = vec![
        ("WEBAUTHN_RP_ID".to_owned(), "example.com".to_owned()),
        ("WEBAUTHN_RP_ORIGIN".to_owned(), "https://login.example.com".to_owned()),
        ("MAIL_FROM".to_owned(), "no-reply@example.com".to_owned()),
    ];
    for name in SECRETS {
        variables.push((format!("{name}_FILE"), files.holding(name, &format!("{}\n", value(name)))));
    }
    let variables: Vec<(&str, &str)> =
        variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let ended = with(&["config", "check"], &variables);
    assert_eq!(ended.code, Some(0), "{}", ended.said());
    assert!(ended.stdout.contains("127.0.0.1:1/app"), "{}", ended.stdout);
    assert!(ended.stdout.contains("by SMTP"), "{}", ended.stdout);

    // Both ways at once, an empty file and none at all.
    let empty = files.holding("empty", "\n");
    for name in SECRETS {
        let file = format!("{name}_FILE");
        let whole: Vec<_> = variables.iter().copied().filter(|(given, _)| *given != file).collect();
        for path in [empty.as_str(), "/nowhere/at/all"] {
            let mut changed = whole.clone();
            changed.push((&file, path));
            let ended = with(&["config", "check"], &changed);
            assert_refused(&ended, &[name]);
            assert!(path == empty || ended.stderr.contains(path), "{}", ended.stderr);
        }
        let mut twice = variables.clone();
        twice.push((name, value(name)));
        assert_refused(&with(&["config", "check"], &twice), &[name]);
    }
}

#[test]
fn what_keys_generate_prints_is_an_environment_that_is_accepted() {
    let ended = run(program(&["keys", "generate"]));
    assert_eq!(ended.code, Some(0));
    let mut command = program(&["config", "check"]);
    for line in ended.stdout.lines() {
        let (name, value) = line.split_once('=').unwrap();
        command.env(name, value);
    }
    command.envs(
        COMPLETE
            .into_iter()
            .filter(|(name, _)| !["ADMIN_SECRET", "SIGNING_KEY_ENCRYPTION_KEY"].contains(name)),
    );
    let checked = run(command);
    assert_eq!(checked.code, Some(0), "{}", checked.said());
    for line in ended.stdout.lines() {
        assert!(!checked.said().contains(line.split_once('=').unwrap().1), "{}", checked.said());
    }
}

#[test]
fn a_metadata_service_that_does_not_answer_stops_the_start_although_variables_would_do() {
    let mut variables = COMPLETE.to_vec();
    variables.push(("MMDS_ENDPOINT", "http://127.0.0.1:1"));
    let ended = with(&["serve"], &variables);
    assert_eq!(ended.code, Some(1), "{}", ended.said());
    assert!(ended.stderr.contains("127.0.0.1:1"), "{}", ended.stderr);
}

#[test]
fn a_database_that_cannot_be_reached_is_exit_code_3_and_says_what_to_check() {
    for command in ["migrate", "serve"] {
        let mut variables = COMPLETE.to_vec();
        variables.push(("ADDRESS", "127.0.0.1:0"));
        let ended = with(&[command], &variables);
        assert_eq!(ended.code, Some(3), "{command}: {}", ended.said());
        assert!(ended.stderr.contains("--database-url / DATABASE_URL"), "{}", ended.stderr);
    }
}

async fn execute(database: &Database, sql: &'static str) {
    let mut connection = PgConnection::connect(database.url.expose_secret()).await.unwrap();
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// `migrate` on a database, by flag.
async fn migrate(url: &str, further: &'static [&'static str]) -> Ended {
    let url = url.to_owned();
    let run = move || {
        let mut words = vec!["migrate", "--database-url", &url];
        words.extend(further);
        run(program(&words))
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[tokio::test]
async fn migrate_brings_an_empty_database_up_to_date_and_does_nothing_the_second_time() {
    let database = cluster::server().await.create_empty_database().await;
    let url = database.url.expose_secret();
    for applied in [true, false] {
        let ended = migrate(url, &[]).await;
        assert_eq!(ended.code, Some(0), "{}", ended.said());
        assert_eq!(ended.stdout, "");
        assert_eq!(ended.stderr.contains("\"applied\":0"), !applied, "{}", ended.stderr);
    }
}

#[tokio::test]
async fn a_schema_newer_than_this_build_is_exit_code_4_unless_it_is_allowed() {
    let database = crate::support::database().await;
    execute(
        &database,
        "INSERT INTO auth._sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'from the future', true, '\\x00', 0)",
    )
    .await;
    let url = database.url.expose_secret();
    let ended = migrate(url, &[]).await;
    assert_eq!(ended.code, Some(4), "{}", ended.said());
    for words in ["newer version", "9999", "--allow-newer-schema"] {
        assert!(ended.stderr.contains(words), "{words} in: {}", ended.stderr);
    }
    let ended = migrate(url, &["--allow-newer-schema"]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.said());
}
