//! Sessions: devices, ends, step-up, introspection, the feed of revocations, cookies, acting as a user.

use beyond_auth::platform::db::Db;
use http::Method;
use serde_json::json;

use crate::support::app::{PASSWORD, TestApp};
use crate::support::database_config;

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0";

/// Runs plain SQL on the test's database: moves time, plays the operator with psql.
async fn sql(app: &TestApp, statement: &'static str) {
    let db = Db::new(&database_config(app.database.url.clone())).unwrap();
    sqlx::query(statement).execute(db.pool()).await.unwrap();
}

#[tokio::test]
async fn a_device_is_listed_named_and_signed_out() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let request = app
        .stranger()
        .request(Method::POST, "/v1/sessions")
        .header("user-agent", FIREFOX)
        .json(&json!({ "method": "password", "email": "ada@example.com", "password": PASSWORD }));
    let phone = app.http.send(request).await.expect(201);
    let phone = app.http.with_bearer(phone["session"]["token"].as_str().unwrap());

    let renamed = phone.patch("/v1/sessions/current", json!({ "label": " Phone " })).await.expect(200);
    assert_eq!(renamed["session"]["label"], "Phone");
    let list = ada.http.get("/v1/sessions").await.expect(200);
    assert_eq!(list["data"].as_array().unwrap().len(), 2);
    let device = &list["data"][0];
    assert_eq!(device["label"], "Phone");
    assert_eq!(device["current"], false);
    assert_eq!(device["device"]["browser"], "Firefox");
    assert!(device["address"].as_str().unwrap().starts_with("198."));
    assert_eq!(list["data"][1]["current"], true);

    let path = format!("/v1/sessions/{}", device["id"].as_str().unwrap());
    ada.http.delete(&path).await.expect(204);
    assert_eq!(phone.get("/v1/sessions/current").await.problem(401), "invalid_token");
    assert_eq!(ada.http.delete(&path).await.problem(404), "not_found");
    ada.http.get("/v1/sessions/current").await.expect(200);
}

#[tokio::test]
async fn the_list_of_devices_is_paged_without_gaps() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    for _ in 0..4 {
        app.sign_in("ada@example.com", PASSWORD).await;
    }
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = ada.http.get(&format!("/v1/sessions?limit=2{cursor}")).await.expect(200);
        seen.extend(page["data"].as_array().unwrap().iter().map(|device| device["id"].to_string()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen.len(), 5);
    assert!(seen.is_sorted_by(|a, b| a > b), "newest first: {seen:?}");
    assert_eq!(ada.http.get("/v1/sessions?cursor=x").await.pointer(), "?cursor");
    assert_eq!(ada.http.get("/v1/sessions?limit=0").await.pointer(), "?limit");
}

#[tokio::test]
async fn the_other_devices_or_all_are_signed_out_at_once_on_every_instance() {
    let app = TestApp::start().await;
    let second = TestApp::on(app.database.clone()).await;
    let ada = app.person("ada@example.com").await;
    let other = app.sign_in("ada@example.com", PASSWORD).await;
    let answer = ada.http.delete("/v1/sessions?scope=others").await.expect(200);
    assert_eq!(answer["revoked"], 1);
    let elsewhere = second.http.with_bearer(&other.token);
    assert_eq!(elsewhere.get("/v1/sessions/current").await.problem(401), "invalid_token");
    second.http.with_bearer(&ada.token).get("/v1/sessions/current").await.expect(200);
    ada.http.delete("/v1/sessions?scope=all").await.expect(200);
    assert_eq!(ada.http.get("/v1/sessions/current").await.problem(401), "invalid_token");
}

#[tokio::test]
async fn idle_and_absolute_ends_are_the_databases_to_decide() {
    let app = TestApp::start().await;
    app.set(json!({ "sessions": { "idle_seconds": 60, "absolute_seconds": 3600 } })).await;
    let ada = app.person("ada@example.com").await;
    sql(&app, "UPDATE auth.sessions SET idle_expires_at = now() - interval '1 second'").await;
    assert_eq!(ada.http.get("/v1/sessions/current").await.problem(401), "invalid_token");

    let again = app.sign_in("ada@example.com", PASSWORD).await;
    sql(&app, "UPDATE auth.sessions SET expires_at = now() - interval '1 second'").await;
    assert_eq!(again.http.get("/v1/sessions/current").await.problem(401), "invalid_token");
}

#[tokio::test]
async fn use_moves_the_idle_end_but_never_beyond_the_absolute_one() {
    let app = TestApp::start().await;
    app.set(json!({ "sessions": { "idle_seconds": 600, "absolute_seconds": 3600 } })).await;
    let ada = app.person("ada@example.com").await;
    sql(
        &app,
        "UPDATE auth.sessions SET last_seen_at = now() - interval '5 minutes',
             idle_expires_at = now() + interval '5 minutes', expires_at = now() + interval '7 minutes'",
    )
    .await;
    let before = ada.http.get("/v1/sessions/current").await.expect(200);
    for _ in 0..1_500 {
        let after = ada.http.get("/v1/sessions/current").await.expect(200);
        if after["session"]["last_seen_at"] != before["session"]["last_seen_at"] {
            assert_eq!(after["session"]["idle_expires_at"], after["session"]["expires_at"]);
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("last-seen was never written");
}

#[tokio::test]
async fn a_stale_session_is_asked_to_step_up_and_then_may() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    sql(&app, "UPDATE auth.sessions SET verified_at = now() - interval '11 minutes'").await;
    let refused = ada.http.delete("/v1/sessions?scope=others").await;
    assert_eq!(refused.problem(401), "insufficient_user_authentication");
    assert!(refused.header("www-authenticate").contains("insufficient_user_authentication"));
    assert_eq!(refused.json()["max_age"], 600);

    let wrong = json!({ "method": "password", "password": "seven loud rivers" });
    let path = "/v1/sessions/current/verifications";
    assert_eq!(ada.http.post(path, wrong).await.problem(401), "invalid_credentials");
    let right = json!({ "method": "password", "password": PASSWORD });
    let answer = ada.http.post(path, right).await.expect(200);
    ada.http.delete("/v1/sessions?scope=others").await.problem(401);
    let fresh = ada.http.with_bearer(answer["session"]["token"].as_str().unwrap());
    fresh.delete("/v1/sessions?scope=others").await.expect(200);
}

#[tokio::test]
async fn servers_introspect_and_learn_nothing_about_dead_tokens() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let path = "/v1/sessions/introspections";
    let live = app.admin.post(path, json!({ "token": ada.token })).await.expect(200);
    assert_eq!(live["active"], true);
    assert_eq!(live["sub"], json!(ada.id));
    assert_eq!(live["username"], "ada@example.com");
    assert!(live["exp"].as_i64() > live["iat"].as_i64());
    ada.http.delete("/v1/sessions/current").await.expect(204);
    for token in [ada.token.as_str(), "nonsense", "key_x", ""] {
        let dead = app.admin.post(path, json!({ "token": token })).await.expect(200);
        assert_eq!(dead, json!({ "active": false }));
    }
    assert_eq!(app.http.post(path, json!({ "token": ada.token })).await.problem(401), "missing_credentials");
}

/// Reads the feed until it holds so many rows: transactions of other databases on the same server, which run
/// beside this test, hold it back too.
async fn feed_of(app: &TestApp, after: &str, rows: usize) -> serde_json::Value {
    for _ in 0..1_500 {
        let feed = app.admin.get(&format!("/v1/revocations?after={after}")).await.expect(200);
        if feed["data"].as_array().unwrap().len() >= rows {
            return feed;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the feed never held {rows} rows");
}

#[tokio::test]
async fn the_feed_holds_every_revocation_once_and_in_commit_order() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let bob = app.person("bob@example.com").await;
    let start = app.admin.get("/v1/revocations").await.expect(200);
    let cursor = start["next_cursor"].as_str().unwrap().to_owned();

    // A transaction that began earlier, revoked, and has not committed yet.
    let db = Db::new(&database_config(app.database.url.clone())).unwrap();
    let mut slow = db.pool().begin().await.unwrap();
    sqlx::query("DELETE FROM auth.sessions WHERE user_id = $1::text::uuid")
        .bind(&bob.id)
        .execute(&mut *slow)
        .await
        .unwrap();
    ada.http.delete("/v1/sessions/current").await.expect(204);
    let early = app.admin.get(&format!("/v1/revocations?after={cursor}")).await.expect(200);
    assert_eq!(early["data"], json!([]), "nothing may be shown that an open transaction could precede");
    slow.commit().await.unwrap();

    let both = feed_of(&app, &cursor, 2).await;
    let users: Vec<_> = both["data"].as_array().unwrap().iter().map(|row| row["user_id"].clone()).collect();
    assert_eq!(users, [json!(bob.id), json!(ada.id)]);
    let next = both["next_cursor"].as_str().unwrap();
    let nothing = app.admin.get(&format!("/v1/revocations?after={next}")).await.expect(200);
    assert_eq!(nothing["data"], json!([]));

    app.admin.put(&format!("/v1/admin/users/{}/ban", ada.id), json!({})).await.expect(200);
    app.admin.delete(&format!("/v1/admin/users/{}", bob.id)).await.expect(204);
    let ended = feed_of(&app, next, 2).await;
    let kinds: Vec<_> = ended["data"].as_array().unwrap().iter().map(|row| row["kind"].clone()).collect();
    assert_eq!(kinds, ["user", "user"]);
}

#[tokio::test]
async fn acting_as_a_user_is_marked_short_and_not_renewed() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let path = format!("/v1/admin/users/{}/impersonations", ada.id);
    let session = app.admin.post(&path, json!({ "actor": "support: eve" })).await.expect(201);
    assert_eq!(session["session"]["impersonator"], "support: eve");
    let eve = app.http.with_bearer(session["session"]["token"].as_str().unwrap());
    let current = eve.get("/v1/sessions/current").await.expect(200);
    assert_eq!(current["user"]["id"], json!(ada.id));
    assert_eq!(current["session"]["impersonator"], "support: eve");
    let step_up = json!({ "method": "password", "password": PASSWORD });
    let refused = eve.post("/v1/sessions/current/verifications", step_up).await;
    assert_eq!(refused.problem(403), "impersonated_session");
    assert_eq!(app.admin.post(&path, json!({ "actor": " " })).await.pointer(), "/actor");
}

#[tokio::test]
async fn cookies_write_from_own_and_listed_origins_only() {
    let app = TestApp::start().await;
    app.person("ada@example.com").await;
    let body =
        json!({ "method": "password", "email": "ada@example.com", "password": PASSWORD, "cookie": true });
    let answer = app.stranger().post("/v1/sessions", body).await;
    assert!(answer.expect(201)["session"].get("token").is_none());
    let set = answer.header("set-cookie");
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Lax") && set.contains("Path=/"), "{set}");
    let cookie = set.split(';').next().unwrap().to_owned();
    let own = app.running.app.config.public_url.origin().ascii_serialization();
    let write = |origin: Option<&str>| {
        let request = app.http.request(Method::PATCH, "/v1/sessions/current").header("cookie", &cookie);
        let request = request.json(&json!({ "label": "x" }));
        match origin {
            Some(origin) => request.header("origin", origin),
            None => request,
        }
    };
    app.http
        .send(app.http.request(Method::GET, "/v1/sessions/current").header("cookie", &cookie))
        .await
        .expect(200);
    for origin in [None, Some("https://evil.example"), Some("null"), Some("https://app.example.evil.example")]
    {
        assert_eq!(app.http.send(write(origin)).await.problem(403), "origin_not_allowed");
    }
    app.http.send(write(Some(&own))).await.expect(200);

    app.set(json!({ "allowed_origins": ["https://app.example"] })).await;
    let answer = app.http.send(write(Some("https://app.example"))).await;
    answer.expect(200);
    assert_eq!(answer.header("access-control-allow-origin"), "https://app.example");
    assert_eq!(answer.header("access-control-allow-credentials"), "true");
    let foreign = app.http.send(write(Some("https://evil.example"))).await;
    assert_eq!(foreign.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn preflights_are_answered_for_listed_origins_and_never_for_the_operators_routes() {
    let app = TestApp::start().await;
    app.set(json!({ "allowed_origins": ["https://app.example"] })).await;
    let preflight = |path: &str, origin: &str| {
        app.http
            .request(Method::OPTIONS, path)
            .header("origin", origin)
            .header("access-control-request-method", "DELETE")
    };
    let listed = app.http.send(preflight("/v1/sessions/current", "https://app.example")).await;
    listed.expect(204);
    assert!(listed.header("access-control-allow-methods").contains("DELETE"));
    let foreign = app.http.send(preflight("/v1/sessions/current", "https://evil.example")).await;
    assert_eq!(foreign.problem(405), "method_not_allowed");
    let admin = app.http.send(preflight("/v1/admin/users", "https://app.example")).await;
    assert_eq!(admin.header("access-control-allow-origin"), "");
}
