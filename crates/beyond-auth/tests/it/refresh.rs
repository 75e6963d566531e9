//! Refresh tokens: rotation, the grace, reuse, and everything that ends them.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use beyond_auth::platform::crypto::envelope::Keyring;
use http::Method;
use serde_json::{Value, json};
use sqlx::Row as _;

use crate::support::app::{KEY, PASSWORD, Person, config};
use crate::support::{TestApp, sql};

const ROTATIONS: &str = "/v1/refresh-tokens/rotations";

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

/// Signs in and asks for a refresh token; answers the whole body.
async fn sign_in(app: &TestApp, email: &str) -> Value {
    let body = json!({ "method": "password", "email": email, "password": PASSWORD, "refresh_token": true });
    app.stranger().post("/v1/sessions", body).await.expect(201)
}

fn refresh_token(body: &Value) -> String {
    text(&body["refresh_token"]["token"]).to_owned()
}

fn session_token(body: &Value) -> String {
    text(&body["session"]["token"]).to_owned()
}

async fn rotate(app: &TestApp, token: &str) -> Value {
    app.stranger().post(ROTATIONS, json!({ "refresh_token": token })).await.expect(201)
}

#[track_caller]
fn refused(answer: &crate::support::client::Answer) {
    assert_eq!(answer.problem(401), "invalid_refresh_token");
    assert!(answer.header("www-authenticate").starts_with("Bearer"));
}

async fn is_refused(app: &TestApp, token: &str) {
    refused(&app.stranger().post(ROTATIONS, json!({ "refresh_token": token })).await);
}

async fn lives(app: &TestApp, session: &str) -> bool {
    let answer = app.http.with_bearer(session).get("/v1/sessions/current").await;
    assert!([200, 401].contains(&answer.status.as_u16()), "{}", answer.text);
    answer.status == 200
}

/// Lets the grace of every rotation so far pass.
async fn pass_grace(app: &TestApp) {
    sql::run(app, "UPDATE auth.refresh_tokens SET retired_at = retired_at - interval '11 seconds'").await;
    sql::run(
        app,
        "UPDATE auth.sessions s SET expires_at = s.expires_at - interval '11 seconds',
             idle_expires_at = s.idle_expires_at - interval '11 seconds'",
    )
    .await;
}

#[tokio::test]
async fn a_session_is_renewed_without_a_credential() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let first = sign_in(&app, "ada@example.com").await;
    let token = refresh_token(&first);
    assert!(token.starts_with("rt_"));
    sql::run(&app, "UPDATE auth.sessions SET verified_at = now() - interval '3 hours', label = 'Phone'")
        .await;

    let second = rotate(&app, &token).await;
    assert_eq!(second["user"]["id"], ada.id.as_str());
    assert_ne!(refresh_token(&second), token);
    assert_eq!(second["refresh_token"]["family_id"], first["refresh_token"]["family_id"]);
    assert_eq!(second["refresh_token"]["expires_at"], first["refresh_token"]["expires_at"]);
    assert_ne!(second["session"]["id"], first["session"]["id"]);
    // The new session stands for what the old one stood for, and is no fresher.
    assert_eq!(second["session"]["amr"], json!(["pwd"]));
    assert_eq!(second["session"]["label"], "Phone");
    assert_ne!(second["session"]["verified_at"], first["session"]["verified_at"]);
    let renewed = app.http.with_bearer(&session_token(&second));
    renewed.get("/v1/sessions/current").await.expect(200);
    let answer = renewed.delete("/v1/sessions?scope=all").await;
    assert_eq!(answer.problem(401), "insufficient_user_authentication");

    // What was under way with the old session is not cut off, but its end is near.
    assert!(lives(&app, &session_token(&first)).await);
    pass_grace(&app).await;
    assert!(!lives(&app, &session_token(&first)).await);
    assert!(lives(&app, &session_token(&second)).await);
    let third = rotate(&app, &refresh_token(&second)).await;
    assert!(lives(&app, &session_token(&third)).await);
}

#[tokio::test]
async fn a_token_is_made_through_a_session_listed_and_revoked_with_its_sessions() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let eve = app.person("eve@example.com").await;
    let made = ada.http.post("/v1/refresh-tokens", json!({ "label": " CLI " })).await.expect(201);
    ada.http.send(ada.http.request(Method::POST, "/v1/refresh-tokens")).await.expect(201);
    let too_long = json!({ "label": "x".repeat(101) });
    assert_eq!(ada.http.post("/v1/refresh-tokens", too_long).await.pointer(), "/label");

    let renewed = rotate(&app, &refresh_token(&made)).await;
    let list = ada.http.get("/v1/refresh-tokens?limit=1").await.expect(200);
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
    assert_eq!(list["data"][0]["label"], Value::Null);
    let next = format!("/v1/refresh-tokens?cursor={}", text(&list["next_cursor"]));
    let list = ada.http.get(&next).await.expect(200);
    assert_eq!(list["next_cursor"], Value::Null);
    let cli = &list["data"][0];
    assert_eq!(cli["label"], "CLI");
    assert_eq!(cli["id"], renewed["refresh_token"]["id"]);
    assert!(cli.get("token").is_none() && cli["last_used_at"].is_string());

    // By the id that was handed out first: its owner knows no other.
    let path = format!("/v1/refresh-tokens/{}", text(&made["refresh_token"]["id"]));
    assert_eq!(eve.http.delete(&path).await.problem(404), "not_found");
    ada.http.delete(&path).await.expect(204);
    assert_eq!(ada.http.delete(&path).await.problem(404), "not_found");
    is_refused(&app, &refresh_token(&renewed)).await;
    assert!(!lives(&app, &session_token(&renewed)).await);
    assert!(lives(&app, &ada.token).await);
    // Soft: the rows stay.
    let kept = "SELECT count(*) FROM auth.refresh_families WHERE revoked_at IS NOT NULL AND label = 'CLI'";
    assert_eq!(sql::number(&app, kept).await, 1);
}

#[tokio::test]
async fn a_retry_within_the_grace_gets_the_same_successor_on_any_instance() {
    let app = TestApp::start().await;
    let second = TestApp::on(app.database.clone()).await;
    app.person("ada@example.com").await;
    let token = refresh_token(&sign_in(&app, "ada@example.com").await);
    let first = rotate(&app, &token).await;
    for instance in [&app, &second] {
        let again = rotate(instance, &token).await;
        assert_eq!(again["refresh_token"], first["refresh_token"]);
        assert_eq!(again["session"]["token"], first["session"]["token"]);
        assert_eq!(again["session"]["id"], first["session"]["id"]);
    }
    rotate(&second, &refresh_token(&first)).await;
    // Still within the grace, although the successor has been used.
    assert_eq!(rotate(&app, &token).await["refresh_token"], first["refresh_token"]);
}

#[tokio::test]
async fn a_retry_gets_the_same_successor_while_the_key_encryption_key_is_changed() {
    const NEW: [u8; 32] = [8; 32];
    let app = TestApp::start().await;
    app.person("ada@example.com").await;
    let token = refresh_token(&sign_in(&app, "ada@example.com").await);
    let with = async |current, old| {
        let mut config = config(&app.database);
        config.keyring = Keyring::new(current, old);
        TestApp::with(app.database.clone(), config).await
    };
    let (prepared, changed) = (with(KEY, vec![NEW]).await, with(NEW, vec![KEY]).await);
    let by_new = rotate(&changed, &token).await;
    assert_eq!(rotate(&prepared, &token).await["refresh_token"], by_new["refresh_token"]);
    let token = refresh_token(&by_new);
    let by_old = rotate(&prepared, &token).await;
    let again = rotate(&changed, &token).await;
    assert_eq!(again["refresh_token"], by_old["refresh_token"]);
    assert_eq!(again["session"]["token"], by_old["session"]["token"]);

    // An instance that was not prepared cannot derive what the new key made: that is an outage of its own, and ends
    // nobody's family.
    let token = refresh_token(&by_old);
    let by_new = rotate(&changed, &token).await;
    let answer = app.stranger().post(ROTATIONS, json!({ "refresh_token": token })).await;
    assert_eq!(answer.problem(503), "unavailable");
    rotate(&app, &refresh_token(&by_new)).await;
}

#[tokio::test]
async fn fifty_rotations_at_once_leave_one_live_branch() {
    let app = TestApp::start().await;
    let second = TestApp::on(app.database.clone()).await;
    app.person("ada@example.com").await;
    let token = refresh_token(&sign_in(&app, "ada@example.com").await);
    let one = |n: usize| {
        let instance = if n.is_multiple_of(2) { &app } else { &second };
        let http = instance.stranger();
        let body = json!({ "refresh_token": token });
        async move { http.post(ROTATIONS, body).await.expect(201) }
    };
    let answers = futures::future::join_all((0..50).map(one)).await;
    let tokens: BTreeSet<String> = answers.iter().map(refresh_token).collect();
    let sessions: BTreeSet<String> = answers.iter().map(session_token).collect();
    assert_eq!((tokens.len(), sessions.len()), (1, 1));
    let live = "SELECT count(*) FROM auth.refresh_tokens WHERE retired_at IS NULL";
    assert_eq!(sql::number(&app, live).await, 1);
    assert_eq!(sql::number(&app, "SELECT count(*) FROM auth.refresh_tokens").await, 2);
    rotate(&app, tokens.first().unwrap()).await;
}

#[tokio::test]
async fn a_spent_token_that_comes_back_ends_the_family_and_its_sessions() {
    let app = TestApp::start().await;
    let second = TestApp::on(app.database.clone()).await;
    let ada = app.person("ada@example.com").await;
    let first = sign_in(&app, "ada@example.com").await;
    let other = sign_in(&app, "ada@example.com").await;
    let stolen = rotate(&app, &refresh_token(&first)).await;
    pass_grace(&app).await;
    is_refused(&second, &refresh_token(&first)).await;
    is_refused(&app, &refresh_token(&stolen)).await;
    assert!(!lives(&second, &session_token(&stolen)).await);
    assert!(!lives(&app, &session_token(&first)).await);
    // Nobody else's business.
    assert!(lives(&app, &session_token(&other)).await && lives(&app, &ada.token).await);
    rotate(&app, &refresh_token(&other)).await;
    let events = "SELECT count(*) FROM auth.audit_events WHERE action = 'refresh_token.reused'";
    assert_eq!(sql::number(&app, events).await, 1);
    let why =
        sql::rows(&app, "SELECT revoked_because FROM auth.refresh_families WHERE revoked_at IS NOT NULL")
            .await;
    assert_eq!(why.iter().map(|row| row.get::<String, _>(0)).collect::<Vec<_>>(), ["reused"]);
}

#[tokio::test]
async fn without_a_grace_the_second_use_is_a_reuse() {
    let app = TestApp::start().await;
    app.person("ada@example.com").await;
    app.set(json!({ "refresh_tokens": { "grace_seconds": 0 } })).await;
    let token = refresh_token(&sign_in(&app, "ada@example.com").await);
    let next = rotate(&app, &token).await;
    is_refused(&app, &token).await;
    is_refused(&app, &refresh_token(&next)).await;
}

#[tokio::test]
async fn the_databases_clock_ends_tokens_that_are_idle_or_old() {
    let app = TestApp::start().await;
    app.person("ada@example.com").await;
    app.set(json!({ "refresh_tokens": { "idle_seconds": 100, "absolute_seconds": 1000 } })).await;
    let idle = sign_in(&app, "ada@example.com").await;
    sql::run(&app, "UPDATE auth.refresh_tokens SET idle_expires_at = now()").await;
    is_refused(&app, &refresh_token(&idle)).await;
    // The session has a life of its own.
    assert!(lives(&app, &session_token(&idle)).await);

    let old = rotate(&app, &refresh_token(&sign_in(&app, "ada@example.com").await)).await;
    // No session outlives the family that renewed it, nor any token its family.
    assert_eq!(old["session"]["expires_at"], old["refresh_token"]["expires_at"]);
    sql::run(&app, "UPDATE auth.refresh_families SET expires_at = now() + interval '50 seconds'").await;
    let older = rotate(&app, &refresh_token(&old)).await;
    assert_eq!(older["refresh_token"]["idle_expires_at"], older["refresh_token"]["expires_at"]);
    sql::run(&app, "UPDATE auth.refresh_families SET expires_at = now()").await;
    is_refused(&app, &refresh_token(&older)).await;
    let kept = app.http.with_bearer(&session_token(&idle)).get("/v1/refresh-tokens").await.expect(200);
    assert_eq!(kept["data"], json!([]));
}

#[tokio::test]
async fn signing_out_ends_what_could_renew_the_session() {
    let app = TestApp::start().await;
    app.person("ada@example.com").await;
    // The token that came with the session, after a rotation.
    let renewed = rotate(&app, &refresh_token(&sign_in(&app, "ada@example.com").await)).await;
    let http = app.http.with_bearer(&session_token(&renewed));
    // One made through it, one made through that one's session, and so on.
    let child = http.post("/v1/refresh-tokens", json!({})).await.expect(201);
    let child = rotate(&app, &refresh_token(&child)).await;
    let deep =
        app.http.with_bearer(&session_token(&child)).post("/v1/refresh-tokens", json!({})).await.expect(201);
    let other = sign_in(&app, "ada@example.com").await;
    http.delete("/v1/sessions/current").await.expect(204);
    for ended in [&renewed, &child, &deep] {
        is_refused(&app, &refresh_token(ended)).await;
    }
    assert!(!lives(&app, &session_token(&child)).await);
    rotate(&app, &refresh_token(&other)).await;

    // From below, the parent stays.
    let ada = app.sign_in("ada@example.com", PASSWORD).await;
    let made = ada.http.post("/v1/refresh-tokens", json!({})).await.expect(201);
    let cli = rotate(&app, &refresh_token(&made)).await;
    app.http.with_bearer(&session_token(&cli)).delete("/v1/sessions/current").await.expect(204);
    is_refused(&app, &refresh_token(&cli)).await;
    assert!(lives(&app, &ada.token).await);
}

#[tokio::test]
async fn signing_out_the_others_keeps_only_the_asking_sessions_own_refresh_token() {
    let app = TestApp::start().await;
    app.person("ada@example.com").await;
    let (mine, other) = (sign_in(&app, "ada@example.com").await, sign_in(&app, "ada@example.com").await);
    let http = app.http.with_bearer(&session_token(&mine));
    let made = http.post("/v1/refresh-tokens", json!({})).await.expect(201);
    http.delete("/v1/sessions?scope=others").await.expect(200);
    is_refused(&app, &refresh_token(&other)).await;
    is_refused(&app, &refresh_token(&made)).await;
    let mine = rotate(&app, &refresh_token(&mine)).await;
    app.http.with_bearer(&session_token(&mine)).delete("/v1/sessions?scope=all").await.expect(200);
    is_refused(&app, &refresh_token(&mine)).await;
}

#[tokio::test]
async fn a_new_password_ends_every_refresh_token_but_ones_own() {
    let app = TestApp::start().await;
    app.person("ada@example.com").await;
    let (mine, other) = (sign_in(&app, "ada@example.com").await, sign_in(&app, "ada@example.com").await);
    let body = json!({ "current_password": PASSWORD, "password": "eight quiet rivers" });
    let http = app.http.with_bearer(&session_token(&mine));
    let answer = http.put("/v1/users/me/password", body).await;
    assert!(answer.status.is_success(), "{}", answer.text);
    is_refused(&app, &refresh_token(&other)).await;
    rotate(&app, &refresh_token(&mine)).await;
}

#[tokio::test]
async fn a_ban_the_operators_sign_out_and_deletion_end_refresh_tokens() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let admin = format!("/v1/admin/users/{}", ada.id);
    let before = sign_in(&app, "ada@example.com").await;
    app.admin.delete(&format!("{admin}/sessions")).await.expect(200);
    is_refused(&app, &refresh_token(&before)).await;

    let before = sign_in(&app, "ada@example.com").await;
    let banned = app.admin.put(&format!("{admin}/ban"), json!({})).await;
    assert!(banned.status.is_success(), "{}", banned.text);
    is_refused(&app, &refresh_token(&before)).await;
    app.admin.delete(&format!("{admin}/ban")).await;
    // Lifting a ban brings nothing back.
    is_refused(&app, &refresh_token(&before)).await;

    let before = sign_in(&app, "ada@example.com").await;
    // A ban set behind the service's back counts as well: renewing asks what signing in asks.
    sql::run(&app, "UPDATE auth.users SET banned_at = now()").await;
    is_refused(&app, &refresh_token(&before)).await;
    sql::run(&app, "UPDATE auth.users SET banned_at = NULL").await;
    app.admin.delete(&admin).await.expect(204);
    is_refused(&app, &refresh_token(&before)).await;
}

#[tokio::test]
async fn a_refresh_token_planted_before_the_proof_of_the_address_dies_with_it() {
    let app = TestApp::start().await;
    app.set(json!({ "sign_up": { "require_verification": false } })).await;
    let body = json!({ "email": "ada@example.com", "password": PASSWORD });
    app.stranger().post("/v1/users", body).await.expect(201);
    let planted = rotate(&app, &refresh_token(&sign_in(&app, "ada@example.com").await)).await;
    let mail = app.mail_to("ada@example.com").await;
    let body = json!({ "email": "ada@example.com", "code": mail.code().unwrap() });
    app.stranger().post("/v1/email-verifications/redemptions", body).await.expect(200);
    is_refused(&app, &refresh_token(&planted)).await;
    assert!(!lives(&app, &session_token(&planted)).await);
}

#[tokio::test]
async fn a_sign_out_leaves_nothing_alive_however_many_rotations_it_races_with() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    for _ in 0..5 {
        let signed_in = sign_in(&app, "ada@example.com").await;
        let token = refresh_token(&signed_in);
        let rotations = (0..6).map(|_| {
            let (http, body) = (app.stranger(), json!({ "refresh_token": token }));
            async move { http.post(ROTATIONS, body).await }
        });
        let mints = (0..6).map(|_| {
            let http = app.stranger().with_bearer(&session_token(&signed_in));
            async move { http.post("/v1/refresh-tokens", json!({})).await }
        });
        let sign_out = async {
            app.http.with_bearer(&session_token(&signed_in)).delete("/v1/sessions/current").await.expect(204);
        };
        let (rotated, minted, ()) =
            futures::join!(futures::future::join_all(rotations), futures::future::join_all(mints), sign_out);
        for answer in rotated.iter().chain(&minted) {
            if answer.status == 201 {
                is_refused(&app, &refresh_token(&answer.json())).await;
            } else {
                assert_eq!(answer.status, 401, "{}", answer.text);
            }
        }
    }
    let sessions = format!("SELECT count(*) FROM auth.sessions WHERE user_id = '{}'", ada.id);
    assert_eq!(sql::number(&app, &sessions).await, 1);
}

#[tokio::test]
async fn a_credential_of_another_kind_or_two_at_once_renew_nothing() {
    let app = TestApp::start().await;
    let Person { token: session, http: ada, .. } = app.person("ada@example.com").await;
    let made = ada.post("/v1/refresh-tokens", json!({})).await.expect(201);
    let token = refresh_token(&made);
    let another = refresh_token(&ada.post("/v1/refresh-tokens", json!({})).await.expect(201));

    let http = app.stranger();
    for wrong in [
        session.clone(),
        token.replacen("rt_", "session_", 1),
        token.replacen("rt_", "RT_", 1),
        token[..token.len() - 1].to_owned(),
        format!("{token}="),
        format!("{}{}", &token[..36], &another[36..]),
        String::new(),
    ] {
        refused(&http.post(ROTATIONS, json!({ "refresh_token": wrong })).await);
    }
    refused(&http.with_bearer(&session).post(ROTATIONS, json!({})).await);
    for (path, method) in [("/v1/sessions/current", Method::GET), ("/v1/refresh-tokens", Method::POST)] {
        let with_refresh = http.with_bearer(&token);
        let answer = with_refresh.send(with_refresh.request(method, path)).await;
        assert_eq!(answer.problem(401), "invalid_token");
    }
    assert_eq!(http.post(ROTATIONS, json!({})).await.problem(401), "missing_credentials");
    assert_eq!(http.post(ROTATIONS, json!({ "refresh_token": token, "x": 1 })).await.pointer(), "/x");
    let both = http.with_bearer(&another).post(ROTATIONS, json!({ "refresh_token": token })).await;
    assert_eq!(both.problem(400), "ambiguous_credentials");

    // In the header, or the same in both places.
    let with_refresh = http.with_bearer(&token);
    let renewed = with_refresh.send(with_refresh.request(Method::POST, ROTATIONS)).await.expect(201);
    let next = refresh_token(&renewed);
    http.with_bearer(&next).post(ROTATIONS, json!({ "refresh_token": next })).await.expect(201);
}

#[tokio::test]
async fn a_session_that_acts_as_somebody_else_is_not_renewed() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let path = format!("/v1/admin/users/{}/impersonations", ada.id);
    let acting = app.admin.post(&path, json!({ "actor": "support" })).await;
    let token = session_token(&acting.expect(201));
    let answer = app.http.with_bearer(&token).post("/v1/refresh-tokens", json!({})).await;
    assert_eq!(answer.problem(403), "impersonated_session");
}

#[tokio::test]
async fn the_session_of_a_renewal_can_go_into_the_cookie() {
    let app = TestApp::start().await;
    app.person("ada@example.com").await;
    let token = refresh_token(&sign_in(&app, "ada@example.com").await);
    let answer = app.stranger().post(ROTATIONS, json!({ "refresh_token": token, "cookie": true })).await;
    let body = answer.expect(201);
    assert!(body["session"].get("token").is_none());
    assert!(answer.header("set-cookie").contains("session_"));
}

#[tokio::test]
async fn a_stolen_dump_holds_no_secret_of_a_refresh_token() {
    let app = TestApp::start().await;
    app.person("ada@example.com").await;
    let first = sign_in(&app, "ada@example.com").await;
    let second = rotate(&app, &refresh_token(&first)).await;
    let mut dump = String::new();
    for table in ["refresh_families", "refresh_tokens", "sessions", "audit_events", "outbox"] {
        for row in sql::rows(&app, &format!("SELECT t::text FROM auth.{table} t")).await {
            dump.push_str(row.get(0));
        }
    }
    for token in [refresh_token(&first), refresh_token(&second), session_token(&second)] {
        let secret = &token[token.len() - 43..];
        assert!(!dump.contains(secret));
        let hex: Vec<String> =
            URL_SAFE_NO_PAD.decode(secret).unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
        let hex = hex.concat();
        assert!(!dump.contains(&hex));
    }
}

#[tokio::test]
async fn what_ended_a_month_ago_is_purged_and_what_ended_lately_is_kept() {
    let app = TestApp::start().await;
    app.person("ada@example.com").await;
    let old = rotate(&app, &refresh_token(&sign_in(&app, "ada@example.com").await)).await;
    let http = app.http.with_bearer(&session_token(&old));
    http.delete("/v1/sessions/current").await.expect(204);
    sql::run(&app, "UPDATE auth.refresh_families SET revoked_at = now() - interval '31 days'").await;
    let late = sign_in(&app, "ada@example.com").await;
    app.http.with_bearer(&session_token(&late)).delete("/v1/sessions/current").await.expect(204);
    beyond_auth::jobs::purge(&app.running.app).await.unwrap();
    assert_eq!(sql::number(&app, "SELECT count(*) FROM auth.refresh_families").await, 1);
    assert_eq!(sql::number(&app, "SELECT count(*) FROM auth.refresh_tokens").await, 1);
}

#[tokio::test]
async fn edge_verifiers_hear_of_a_session_that_was_renewed_a_moment_before_the_sign_out() {
    let app = TestApp::start().await;
    app.person("ada@example.com").await;
    let first = sign_in(&app, "ada@example.com").await;
    let second = rotate(&app, &refresh_token(&first)).await;
    // The first session has ended by itself, but a JWT may still name it.
    pass_grace(&app).await;
    app.http.with_bearer(&session_token(&second)).delete("/v1/sessions/current").await.expect(204);
    // The feed waits for older transactions, other tests' on this server among them.
    let both = [&first["session"]["id"], &second["session"]["id"]];
    for _ in 0..1_500 {
        let feed = app.admin.get("/v1/revocations").await.expect(200);
        let ids: Vec<&Value> = feed["data"].as_array().unwrap().iter().map(|row| &row["id"]).collect();
        if both.iter().all(|id| ids.contains(id)) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the feed never named both sessions");
}

#[tokio::test]
async fn minting_does_not_outlive_the_last_proof() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    crate::support::sql::run(&app, "UPDATE auth.sessions SET verified_at = now() - interval '29 days'").await;
    let minted = ada.http.post("/v1/refresh-tokens", json!({})).await.expect(201);
    let left = "SELECT ceil(extract(epoch FROM expires_at - now()) / 86400)::bigint
                FROM auth.refresh_families WHERE revoked_at IS NULL";
    assert_eq!(crate::support::sql::number(&app, left).await, 1);
    // Nor by way of the session that it renews.
    let renewed = rotate(&app, minted["refresh_token"]["token"].as_str().unwrap()).await;
    let http = app.stranger().with_bearer(renewed["session"]["token"].as_str().unwrap());
    http.post("/v1/refresh-tokens", json!({})).await.expect(201);
    let longest = "SELECT max(ceil(extract(epoch FROM expires_at - now()) / 86400))::bigint
                   FROM auth.refresh_families WHERE revoked_at IS NULL";
    assert_eq!(crate::support::sql::number(&app, longest).await, 1);
    // Past that, it asks for a credential.
    crate::support::sql::run(&app, "UPDATE auth.sessions SET verified_at = now() - interval '31 days'").await;
    let answer = http.post("/v1/refresh-tokens", json!({})).await;
    assert_eq!(answer.problem(401), "insufficient_user_authentication");
}
