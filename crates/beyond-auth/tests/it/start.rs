//! Starting: many at once, with few rights, on what another version or another key has left.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use beyond_auth::platform::config::MailTransport;
use beyond_auth::platform::crypto::envelope::Keyring;
use beyond_auth::platform::db::migrate;
use beyond_auth::platform::mail::memory::MemoryTransport;
use beyond_auth::serve::{self, Options, Running, StartError};
use futures::future::join_all;
use secrecy::ExposeSecret as _;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::support::app::{self, KEY, PASSWORD};
use crate::support::cluster::{self, Database};
use crate::support::role::Role;
use crate::support::{TestApp, database, database_config};

async fn connect(database: &Database) -> PgConnection {
    PgConnection::connect(database.url.expose_secret()).await.unwrap()
}

async fn execute(database: &Database, sql: &str) {
    let mut connection = connect(database).await;
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(&mut connection)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
    connection.close().await.unwrap();
}

async fn texts(database: &Database, sql: &str) -> Vec<String> {
    let mut connection = connect(database).await;
    let rows = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut connection).await;
    connection.close().await.unwrap();
    rows.unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// Starts as the binary would; the caller decides what becomes of it.
async fn start(config: beyond_auth::platform::config::Config) -> Result<Running, StartError> {
    let options = Options { hasher: app::cheap_hashes(), ..Options::default() };
    serve::start(config, Arc::new(MemoryTransport::new(10)), options).await
}

/// Every object of the database outside what Postgres brings along, by kind, schema and name.
async fn objects(database: &Database) -> BTreeSet<String> {
    let sql = "
        WITH own AS (
            SELECT oid, nspname FROM pg_namespace
            WHERE nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast'))
        SELECT 'schema ' || nspname FROM own
        UNION ALL SELECT 'relation ' || nspname || '.' || relname FROM pg_class JOIN own ON own.oid = relnamespace
        UNION ALL SELECT 'function ' || nspname || '.' || proname FROM pg_proc JOIN own ON own.oid = pronamespace
        UNION ALL SELECT 'type ' || nspname || '.' || typname FROM pg_type JOIN own ON own.oid = typnamespace
        UNION ALL SELECT 'operator ' || nspname || '.' || oprname FROM pg_operator JOIN own ON own.oid = oprnamespace
        UNION ALL SELECT 'collation ' || nspname || '.' || collname FROM pg_collation JOIN own ON own.oid = collnamespace
        UNION ALL SELECT 'extension ' || extname FROM pg_extension
        UNION ALL SELECT 'event trigger ' || evtname FROM pg_event_trigger
        UNION ALL SELECT 'publication ' || pubname FROM pg_publication
        UNION ALL SELECT 'large object ' || oid::text FROM pg_largeobject_metadata
        UNION ALL SELECT 'setting ' || setrole::text || ' ' || setconfig::text FROM pg_db_role_setting
            WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())";
    texts(database, sql).await.into_iter().collect()
}

/// Everything that schema `auth` holds: each table with all its rows.
async fn contents(database: &Database) -> Vec<String> {
    let mut all = Vec::new();
    for table in texts(database, "SELECT relname::text FROM pg_class WHERE relnamespace = 'auth'::regnamespace AND relkind = 'r' ORDER BY 1").await {
        let rows = texts(database, &format!("SELECT t::text FROM auth.{table} t ORDER BY 1")).await;
        all.extend(rows.into_iter().map(|row| format!("{table} {row}")));
    }
    all
}

#[tokio::test]
async fn ten_instances_started_at_once_on_an_empty_database_all_run() {
    let database = Arc::new(cluster::server().await.create_empty_database().await);
    let started = join_all((0..10).map(|_| start(app::config(&database)))).await;
    let started: Vec<Running> = started.into_iter().map(|outcome| outcome.unwrap()).collect();
    let applied =
        texts(&database, "SELECT max(version)::text FROM auth._sqlx_migrations WHERE success").await;
    assert_eq!(applied, [migrate::known_version().to_string()]);
    for running in &started {
        let http = crate::support::client::Http::new(format!("http://{}", running.address));
        http.get("/readyz").await.expect(200);
    }
    assert_eq!(texts(&database, "SELECT id FROM auth.key_encryption_keys").await.len(), 1);
    join_all(started.into_iter().map(Running::stop)).await;
}

#[tokio::test]
async fn of_ten_migrations_at_once_the_steps_are_applied_exactly_once() {
    let database = cluster::server().await.create_empty_database().await;
    let config = database_config(database.url.clone());
    let reports = join_all((0..10).map(|_| migrate::run(&config, false))).await;
    let reports: Vec<migrate::Report> = reports.into_iter().map(|outcome| outcome.unwrap()).collect();
    let applied: usize = reports.iter().map(|report| report.applied).sum();
    assert_eq!(applied, texts(&database, "SELECT version::text FROM auth._sqlx_migrations").await.len());
    assert!(reports.iter().all(|report| report.version == migrate::known_version()));
}

#[tokio::test]
async fn everything_lives_in_schema_auth() {
    let database = Arc::new(cluster::server().await.create_empty_database().await);
    let before = objects(&database).await;
    let app = TestApp::on(database.clone()).await;
    app.person("ada@example.com").await;
    let outside: Vec<String> = objects(&database)
        .await
        .difference(&before)
        .filter(|object| *object != "schema auth" && !object.contains(" auth."))
        .cloned()
        .collect();
    assert_eq!(outside, Vec::<String>::new());
    assert_eq!(texts(&database, "SELECT to_regclass('auth._sqlx_migrations')::text").await.len(), 1);
}

#[tokio::test]
async fn a_role_that_owns_schema_auth_and_nothing_else_is_enough() {
    let database = Arc::new(cluster::server().await.create_empty_database().await);
    let role = Role::create(&database).await;
    shut(&database, &role).await;
    execute(&database, &format!("CREATE SCHEMA auth AUTHORIZATION {}", role.name)).await;
    let mut config = app::config(&database);
    config.database = database_config(role.url(&database));
    let app = TestApp::with(database.clone(), config).await;
    app.person("ada@example.com").await;
    app.http.get("/readyz").await.expect(200);
    drop(app);
    drop(database);
}

/// Takes away what Postgres gives everybody.
async fn shut(database: &Database, role: &Role) {
    execute(
        database,
        &format!(
            "REVOKE ALL ON SCHEMA public FROM PUBLIC; REVOKE ALL ON DATABASE {db} FROM PUBLIC;
             GRANT CONNECT ON DATABASE {db} TO {role}",
            db = database.name,
            role = role.name
        ),
    )
    .await;
}

#[tokio::test]
async fn after_migrate_by_the_owner_the_service_needs_no_right_to_change_the_schema() {
    let database = Arc::new(cluster::server().await.create_empty_database().await);
    let (owner, service) = (Role::create(&database).await, Role::create(&database).await);
    shut(&database, &owner).await;
    // As docs/operations.md says.
    execute(
        &database,
        &format!(
            "GRANT CONNECT ON DATABASE {db} TO {service};
             CREATE SCHEMA auth AUTHORIZATION {owner};
             GRANT USAGE ON SCHEMA auth TO {service};
             ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA auth
               GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {service}",
            db = database.name,
            owner = owner.name,
            service = service.name
        ),
    )
    .await;
    let service_config = database_config(service.url(&database));

    // Before: it says who has to do what.
    let error = migrate::run(&service_config, false).await.unwrap_err();
    assert!(matches!(error, migrate::Error::Forbidden { .. }), "{error}");
    assert!(error.to_string().contains("beyond-auth migrate"), "{error}");

    migrate::run(&database_config(owner.url(&database)), false).await.unwrap();
    let mut config = app::config(&database);
    config.database = service_config;
    let app = TestApp::with(database.clone(), config).await;
    let ada = app.person("ada@example.com").await;
    let changed = serde_json::json!({ "current_password": PASSWORD, "password": "eight quiet rivers" });
    ada.http.put("/v1/users/me/password", changed).await.expect(204);
    app.admin.put(&format!("/v1/admin/users/{}/ban", ada.id), serde_json::json!({})).await.expect(200);
    app.set(serde_json::json!({ "sign_up": { "enabled": false } })).await;
    app.admin.delete(&format!("/v1/admin/users/{}", ada.id)).await.expect(204);
    beyond_auth::jobs::purge(&app.running.app).await.unwrap();

    // The right connection for migrations does the owner's part at the start, too.
    let mut config = app::config(&database);
    config.database = database_config(service.url(&database));
    config.database.migrate_url = Some(owner.url(&database));
    TestApp::with(database.clone(), config).await.http.get("/readyz").await.expect(200);
}

#[tokio::test]
async fn a_role_without_any_right_is_told_what_it_may_not_do() {
    let database = cluster::server().await.create_empty_database().await;
    let role = Role::create(&database).await;
    shut(&database, &role).await;
    let error = migrate::run(&database_config(role.url(&database)), false).await.unwrap_err();
    assert!(matches!(error, migrate::Error::Forbidden { .. }), "{error}");
    assert!(error.to_string().contains("create schema `auth`"), "{error}");
}

#[tokio::test]
async fn a_search_path_full_of_traps_changes_nothing() {
    let database = Arc::new(cluster::server().await.create_empty_database().await);
    let role = Role::create(&database).await;
    let name = &role.name;
    // Tables of our names, and functions that fit our arguments better than those of Postgres.
    execute(
        &database,
        &format!(
            "CREATE SCHEMA auth AUTHORIZATION {name};
             CREATE SCHEMA trap; GRANT ALL ON SCHEMA trap TO {name};
             CREATE FUNCTION trap.now() RETURNS timestamptz LANGUAGE sql AS $$ SELECT 'epoch'::timestamptz $$;
             CREATE FUNCTION trap.char_length(varchar) RETURNS int LANGUAGE sql AS $$ SELECT 1 / 0 $$;
             CREATE FUNCTION trap.unnest(bytea[]) RETURNS SETOF bytea LANGUAGE sql AS $$ SELECT NULL::bytea $$;
             CREATE FUNCTION trap.octet_length(bytea) RETURNS int LANGUAGE sql AS $$ SELECT 0 $$;
             CREATE TABLE trap.users (); CREATE TABLE trap.sessions (); CREATE TABLE trap.emails ();
             CREATE TABLE trap._sqlx_migrations (version bigint);
             INSERT INTO trap._sqlx_migrations VALUES (9999);
             ALTER ROLE {name} IN DATABASE {db} SET search_path = trap, pg_catalog",
            db = database.name
        ),
    )
    .await;
    let mut config = app::config(&database);
    config.database = database_config(role.url(&database));
    let app = TestApp::with(database.clone(), config).await;
    let ada = app.person("ada@example.com").await;
    ada.http.get("/v1/sessions/current").await.expect(200);
    let young =
        "SELECT count(*)::text FROM auth.users WHERE created_at > pg_catalog.now() - interval '1 hour'";
    assert_eq!(texts(&database, young).await, ["1"]);
    assert_eq!(texts(&database, "SELECT count(*)::text FROM trap._sqlx_migrations").await, ["1"]);
}

#[tokio::test]
async fn a_newer_schema_is_refused_with_what_to_do_and_accepted_where_allowed() {
    let database = Arc::new(database().await);
    execute(
        &database,
        "INSERT INTO auth._sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'from the future', true, '\\x00', 0);
         ALTER TABLE auth.users ADD COLUMN of_the_future text;
         CREATE TABLE auth.things_of_the_future (id uuid PRIMARY KEY)",
    )
    .await;
    let before = contents(&database).await;
    let error = start(app::config(&database)).await.unwrap_err();
    assert!(matches!(error, StartError::Migrate(migrate::Error::Newer { found: 9999, .. })), "{error}");
    let text = error.to_string();
    for words in [
        "newer version of beyond-auth",
        "9999",
        &migrate::known_version().to_string(),
        "--allow-newer-schema",
    ] {
        assert!(text.contains(words), "{words} in: {text}");
    }
    assert_eq!(contents(&database).await, before);

    let mut config = app::config(&database);
    config.allow_newer_schema = true;
    let app = TestApp::with(database, config).await;
    app.person("ada@example.com").await;
}

#[tokio::test]
async fn a_step_that_was_skipped_is_made_up_for_although_later_ones_are_there() {
    let database = database().await;
    execute(&database, "DELETE FROM auth._sqlx_migrations WHERE version = 5; DROP TABLE auth.attempt_limits")
        .await;
    let report = migrate::run(&database_config(database.url.clone()), false).await.unwrap();
    assert_eq!(report.applied, 1);
    assert_eq!(
        texts(&database, "SELECT to_regclass('auth.attempt_limits')::text").await,
        ["auth.attempt_limits"]
    );
}

#[tokio::test]
async fn a_database_of_another_build_is_refused() {
    let database = Arc::new(database().await);
    execute(
        &database,
        "DELETE FROM auth._sqlx_migrations WHERE version = (SELECT max(version) FROM auth._sqlx_migrations);
         UPDATE auth._sqlx_migrations SET checksum = '\\x00' WHERE version = 1",
    )
    .await;
    let error = start(app::config(&database)).await.unwrap_err();
    assert!(matches!(error, StartError::Migrate(migrate::Error::Changed(1))), "{error}");
    assert!(error.to_string().contains("made by another build"), "{error}");
}

#[tokio::test]
async fn a_wrong_key_refuses_to_start_and_writes_nothing() {
    let database = Arc::new(database().await);
    TestApp::on(database.clone()).await.person("ada@example.com").await;
    let (rows, schema) = (contents(&database).await, objects(&database).await);
    let mut config = app::config(&database);
    config.keyring = Keyring::new([8; 32], vec![[9; 32]]);
    let error = start(config).await.unwrap_err();
    assert!(matches!(error, StartError::KeyEncryptionKey(_)), "{error}");
    for words in [
        "--signing-key-encryption-key / SIGNING_KEY_ENCRYPTION_KEY",
        "SIGNING_KEY_ENCRYPTION_KEY_OLD",
        "Nothing was written",
    ] {
        assert!(error.to_string().contains(words), "{words} in: {error}");
    }
    assert_eq!(contents(&database).await, rows);
    assert_eq!(objects(&database).await, schema);
}

#[tokio::test]
async fn a_wrong_key_does_not_migrate_either() {
    let database = Arc::new(database().await);
    drop(TestApp::on(database.clone()).await);
    // As an older version has left it: steps are missing.
    execute(&database, "DELETE FROM auth._sqlx_migrations WHERE version >= 8").await;
    let (rows, schema) = (contents(&database).await, objects(&database).await);
    let mut config = app::config(&database);
    config.keyring = Keyring::new([8; 32], Vec::new());
    let error = start(config).await.unwrap_err();
    assert!(matches!(error, StartError::KeyEncryptionKey(_)), "{error}");
    assert_eq!(contents(&database).await, rows);
    assert_eq!(objects(&database).await, schema);
}

#[tokio::test]
async fn a_new_key_with_the_old_one_in_the_ring_starts_and_then_stands_alone() {
    let database = Arc::new(database().await);
    let ada = TestApp::on(database.clone()).await.person("ada@example.com").await;
    let with_keys = |current, old| {
        let mut config = app::config(&database);
        config.keyring = Keyring::new(current, old);
        TestApp::with(database.clone(), config)
    };
    for (current, old) in [([8; 32], vec![KEY]), ([8; 32], vec![]), (KEY, vec![[8; 32]])] {
        let app = with_keys(current, old).await;
        app.http.get("/readyz").await.expect(200);
        app.http.with_bearer(&ada.token).get("/v1/sessions/current").await.expect(200);
    }
}

#[tokio::test]
async fn a_taken_port_is_told_before_anything_is_touched() {
    let database = cluster::server().await.create_empty_database().await;
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = app::config(&database);
    config.address = taken.local_addr().unwrap();
    let error = start(config).await.unwrap_err();
    assert!(matches!(error, StartError::Listen { .. }), "{error}");
    for words in [&taken.local_addr().unwrap().to_string(), "--address / ADDRESS"] {
        assert!(error.to_string().contains(words), "{words} in: {error}");
    }
    assert!(!objects(&database).await.contains("schema auth"));
}

#[tokio::test]
async fn without_a_mail_server_mails_wait_untried_and_leave_once_there_is_one() {
    let database = Arc::new(database().await);
    let mut config = app::config(&database);
    config.mail.transport = MailTransport::None;
    let alone = TestApp::with(database.clone(), config).await;
    let body = json!({ "email": "ada@example.com", "password": PASSWORD });
    alone.http.post("/v1/users", body).await.expect(202);
    // A worker would have tried within milliseconds.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(texts(&database, "SELECT attempts::text FROM auth.outbox").await, ["0"]);
    assert_eq!(alone.mailbox.attempts(), 0);
    drop(alone);

    let with_server = TestApp::on(database).await;
    let mail = with_server.mail_to("ada@example.com").await;
    let proof = json!({ "email": "ada@example.com", "code": mail.code().unwrap() });
    with_server.http.post("/v1/email-verifications/redemptions", proof).await.expect(200);
}
