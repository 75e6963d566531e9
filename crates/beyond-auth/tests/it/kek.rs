//! Changing the key-encryption key.

use std::collections::BTreeSet;
use std::sync::Arc;

use beyond_auth::platform::crypto::envelope::Keyring;
use beyond_auth::platform::mail::memory::MemoryTransport;
use beyond_auth::serve::{self, Options, StartError};
use serde_json::{Value, json};
use sqlx::Row as _;

use crate::support::app::{KEY, cheap_hashes, config};
use crate::support::otp_app::finish;
use crate::support::{TestApp, sql};

const NEW: [u8; 32] = [8; 32];
const JWTS: &str = "/v1/sessions/current/jwts";
const ROTATIONS: &str = "/v1/admin/kek-rotations";

/// A further instance with other keys.
async fn instance(app: &TestApp, current: [u8; 32], old: Vec<[u8; 32]>) -> TestApp {
    let mut config = config(&app.database);
    config.keyring = Keyring::new(current, old);
    TestApp::with(app.database.clone(), config).await
}

async fn refuses_to_start(app: &TestApp, current: [u8; 32], old: Vec<[u8; 32]>) -> String {
    let mut config = config(&app.database);
    config.keyring = Keyring::new(current, old);
    let options = Options { hasher: cheap_hashes(), ..Options::default() };
    match serve::start(config, Arc::new(MemoryTransport::new(10)), options).await {
        Err(error @ StartError::KeyEncryptionKey(_)) => error.to_string(),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it started"),
    }
}

fn column<'a>(answer: &'a Value, table: &str) -> &'a Value {
    answer["columns"].as_array().unwrap().iter().find(|column| column["table"] == table).unwrap()
}

/// Several sealed keys: each rotation leaves one behind.
async fn seal_some(app: &TestApp) {
    app.set(json!({ "jwt": { "enabled": true } })).await;
    for _ in 0..3 {
        let body = json!({ "immediate": true });
        app.admin.post("/v1/admin/signing-keys/rotations", body).await.expect(201);
    }
}

#[tokio::test]
async fn the_key_is_changed_while_instances_run_and_nothing_fails() {
    let app = TestApp::start().await;
    seal_some(&app).await;
    let ada = app.person("ada@example.com").await;
    let works = async |instance: &TestApp| {
        let http = instance.http.with_bearer(&ada.token);
        http.post(JWTS, json!({})).await.expect(201);
        instance.http.get("/readyz").await.expect(200);
    };

    // First everybody learns the new key, then it becomes the first: instance by instance, both kinds at once.
    let prepared = instance(&app, KEY, vec![NEW]).await;
    works(&app).await;
    works(&prepared).await;
    let changed = instance(&app, NEW, vec![KEY]).await;
    works(&prepared).await;
    works(&changed).await;
    // What either seals, the other opens.
    for sealer in [&changed, &prepared] {
        let body = json!({ "immediate": true });
        sealer.admin.post("/v1/admin/signing-keys/rotations", body).await.expect(201);
        works(&prepared).await;
        works(&changed).await;
    }

    let answer = changed.admin.post(ROTATIONS, json!({})).await;
    let answer = answer.expect(200);
    assert_eq!(answer["done"], true, "{answer}");
    let keys = column(&answer, "auth.signing_keys");
    assert_eq!(keys["column"], "sealed_private");
    assert_eq!((&keys["total"], &keys["rewrapped"], &keys["remaining"]), (&json!(5), &json!(4), &json!(0)));
    let probe = column(&answer, "auth.key_encryption_keys");
    assert_eq!((&probe["total"], &probe["remaining"]), (&json!(1), &json!(0)));
    works(&changed).await;
    works(&prepared).await;

    // Again: nothing to do.
    let answer = changed.admin.post(ROTATIONS, json!({})).await.expect(200);
    assert_eq!(
        (&answer["done"], &column(&answer, "auth.signing_keys")["rewrapped"]),
        (&json!(true), &json!(0))
    );
    // Now the former key can go.
    works(&instance(&app, NEW, vec![]).await).await;
    let error = refuses_to_start(&app, KEY, vec![]).await;
    assert!(error.contains("--signing-key-encryption-key"), "{error}");
    let events = "SELECT count(*) FROM auth.audit_events WHERE action = 'key_encryption_key.rotated'";
    assert_eq!(sql::number(&app, events).await, 2);
}

#[tokio::test]
async fn a_wrong_key_refuses_to_start_and_writes_nothing() {
    let app = TestApp::start().await;
    seal_some(&app).await;
    let dump = async || {
        let query = "SELECT (SELECT json_agg(k) FROM auth.key_encryption_keys k)::text
             || (SELECT json_agg(k) FROM auth.signing_keys k)::text";
        sql::rows(&app, query).await[0].get::<String, _>(0)
    };
    let before = dump().await;
    for (current, old) in [(NEW, vec![]), (NEW, vec![[9; 32]])] {
        let error = refuses_to_start(&app, current, old).await;
        assert!(
            error.contains("SIGNING_KEY_ENCRYPTION_KEY") && error.contains("Nothing was written"),
            "{error}"
        );
    }
    assert_eq!(dump().await, before);
}

#[tokio::test]
async fn what_does_not_open_is_left_as_it_is_and_reported() {
    let app = TestApp::start().await;
    seal_some(&app).await;
    // One was moved to another row; its text is authenticated with the row it was made for.
    sql::run(&app, "UPDATE auth.signing_keys SET id = gen_random_uuid() WHERE retires_at IS NULL").await;
    let changed = instance(&app, NEW, vec![KEY]).await;
    let answer = changed.admin.post(ROTATIONS, json!({})).await.expect(200);
    assert_eq!(answer["done"], false, "{answer}");
    let keys = column(&answer, "auth.signing_keys");
    assert_eq!((&keys["total"], &keys["rewrapped"], &keys["remaining"]), (&json!(3), &json!(2), &json!(1)));
    // The former key stays on record: it may be needed.
    assert_eq!(column(&answer, "auth.key_encryption_keys")["remaining"], 1);
}

#[tokio::test]
async fn a_sealed_value_moved_to_another_row_or_column_does_not_open() {
    let app = TestApp::start().await;
    seal_some(&app).await;
    let ada = app.person("ada@example.com").await;
    ada.http.post(JWTS, json!({})).await.expect(201);
    sql::run(
        &app,
        "UPDATE auth.signing_keys SET sealed_private =
             (SELECT sealed_private FROM auth.signing_keys WHERE retires_at IS NOT NULL LIMIT 1)
         WHERE retires_at IS NULL",
    )
    .await;
    assert_eq!(ada.http.post(JWTS, json!({})).await.problem(503), "unavailable");
    sql::run(
        &app,
        "UPDATE auth.signing_keys SET sealed_private = (SELECT probe FROM auth.key_encryption_keys)
         WHERE retires_at IS NULL",
    )
    .await;
    assert_eq!(ada.http.post(JWTS, json!({})).await.problem(503), "unavailable");
    sql::run(
        &app,
        "UPDATE auth.key_encryption_keys SET probe = (SELECT sealed_private FROM auth.signing_keys LIMIT 1)",
    )
    .await;
    app.http.get("/readyz").await.expect(503);
}

#[tokio::test]
async fn every_sealed_column_of_the_schema_is_sealed_anew() {
    let app = TestApp::start().await;
    let query = "SELECT table_schema || '.' || table_name || '.' || column_name
         FROM information_schema.columns
         WHERE table_schema = 'auth' AND data_type = 'bytea' AND (column_name LIKE 'sealed%' OR column_name = 'probe')";
    let there: BTreeSet<String> = sql::rows(&app, query).await.iter().map(|row| row.get(0)).collect();
    // A sealed value that does not say so in its name would be missed here.
    let query =
        "SELECT count(*) FROM information_schema.columns WHERE table_schema = 'auth' AND data_type = 'bytea'
         AND column_name NOT LIKE '%hash' AND column_name NOT LIKE '%mac' AND column_name NOT LIKE 'sealed%'
         AND column_name NOT IN ('probe', 'credential_id', 'public_key', 'challenge', 'body') AND table_name <> '_sqlx_migrations'";
    assert_eq!(
        sql::number(&app, query).await,
        0,
        "name sealed columns sealed_…, hashes …_hash and MACs …_mac; list here what may be read by anybody"
    );
    let answer = app.admin.post(ROTATIONS, json!({})).await.expect(200);
    let listed = answer["columns"].as_array().unwrap().iter();
    let listed: BTreeSet<String> = listed
        .map(|column| format!("{}.{}", column["table"].as_str().unwrap(), column["column"].as_str().unwrap()))
        .collect();
    assert_eq!(listed, there);
}

#[tokio::test]
async fn an_authenticator_app_outlives_the_key_that_sealed_its_seed() {
    let app = TestApp::start().await;
    let ada = app.enrolled("ada@example.com").await;
    let changed = instance(&app, NEW, vec![KEY]).await;
    let answer = changed.admin.post(ROTATIONS, json!({})).await.expect(200);
    let seeds = column(&answer, "auth.totp_factors");
    assert_eq!(
        (&seeds["column"], &seeds["total"], &seeds["rewrapped"]),
        (&json!("sealed_seed"), &json!(1), &json!(1))
    );
    let alone = instance(&app, NEW, vec![]).await;
    let attempt = alone.half_way("ada@example.com").await;
    finish(&alone.stranger(), "totp", &attempt, &ada.device.code()).await.expect(201);
    let attempt = alone.half_way("ada@example.com").await;
    finish(&alone.stranger(), "recovery_code", &attempt, &ada.recovery_codes[0]).await.expect(201);
}

#[tokio::test]
async fn a_seed_moved_to_another_account_opens_nothing_there() {
    let app = TestApp::start().await;
    let ada = app.enrolled("ada@example.com").await;
    app.enrolled("eve@example.com").await;
    let seed = "SELECT sealed_seed FROM auth.totp_factors ORDER BY created_at DESC LIMIT 1";
    sql::run(&app, &format!("UPDATE auth.totp_factors SET sealed_seed = ({seed})")).await;
    let attempt = app.half_way("ada@example.com").await;
    let answer = finish(&app.stranger(), "totp", &attempt, &ada.device.code()).await;
    // Not refused as if the code were wrong: the operator must look.
    assert_eq!(answer.problem(500), "internal_error");
}
