//! API keys: making, verifying, rotating and ending them; keys as callers of the service's own API.

use std::time::Duration;

use serde_json::{Value, json};

use crate::orgs::{create as organization, id_of, join};
use crate::support::client::{Answer, Http};
use crate::support::{TestApp, sql};

pub const KEYS: &str = "/v1/api-keys";
pub const ADMIN_KEYS: &str = "/v1/admin/api-keys";
pub const INTROSPECTIONS: &str = "/v1/api-keys/introspections";

/// Makes a key; answers it with its text.
pub async fn make(http: &Http, body: Value) -> Value {
    http.post(KEYS, body).await.expect(201)["api_key"].clone()
}

/// Makes a key of the project.
pub async fn make_for_project(app: &TestApp, scopes: &[&str]) -> Value {
    let body = json!({ "name": "Backend", "scopes": scopes });
    app.admin.post(ADMIN_KEYS, body).await.expect(201)["api_key"].clone()
}

pub fn text(key: &Value) -> &str {
    key["key"].as_str().unwrap()
}

pub fn path(key: &Value) -> String {
    format!("{KEYS}/{}", key["id"].as_str().unwrap())
}

pub async fn introspect(http: &Http, key: &str) -> Value {
    http.post(INTROSPECTIONS, json!({ "key": key })).await.expect(200)
}

pub async fn is_active(app: &TestApp, key: &str) -> bool {
    introspect(&app.admin, key).await["active"] == true
}

pub async fn rotate(http: &Http, key: &Value, overlap: u32) -> Answer {
    http.post(&format!("{}/rotations", path(key)), json!({ "overlap_seconds": overlap })).await
}

#[tokio::test]
async fn a_key_is_made_verified_changed_and_revoked() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let body = json!({
        "name": " Deploy ", "scopes": ["app:deploy", "app:builds.read"], "metadata": { "env": "prod" },
        "expires_at": "2999-01-01T00:00:00Z"
    });
    let key = make(&ada.http, body).await;
    assert!(text(&key).starts_with("key_"));
    assert_eq!((&key["name"], &key["scopes"]), (&json!("Deploy"), &json!(["app:builds.read", "app:deploy"])));
    assert_eq!(key["owner"], json!({ "type": "user", "id": ada.id }));
    assert_eq!((&key["created_by"], &key["last_used_at"]), (&json!(ada.id), &Value::Null));

    let seen = introspect(&app.admin, text(&key)).await;
    assert_eq!((&seen["active"], &seen["id"], &seen["owner"]), (&json!(true), &key["id"], &key["owner"]));
    assert_eq!((&seen["user_id"], &seen["metadata"]), (&json!(ada.id), &json!({ "env": "prod" })));
    assert_eq!((&seen["scopes"], &seen["expires_at"]), (&key["scopes"], &key["expires_at"]));
    assert!(seen.get("key").is_none() && seen.get("organization_id").is_none());

    let shown = ada.http.get(&path(&key)).await.expect(200);
    assert!(!shown.to_string().contains(text(&key)), "the text is shown once");
    let change = json!({ "name": "Other", "scopes": ["app:deploy"], "metadata": {}, "expires_at": null });
    let changed = ada.http.patch(&path(&key), change).await.expect(200)["api_key"].clone();
    assert_eq!((&changed["name"], &changed["expires_at"]), (&json!("Other"), &Value::Null));
    let seen = introspect(&app.admin, text(&key)).await;
    assert_eq!((&seen["scopes"], &seen["name"]), (&json!(["app:deploy"]), &json!("Other")));

    ada.http.delete(&path(&key)).await.expect(204);
    assert_eq!(introspect(&app.admin, text(&key)).await, json!({ "active": false }));
    for again in [
        ada.http.get(&path(&key)).await,
        ada.http.delete(&path(&key)).await,
        ada.http.patch(&path(&key), json!({ "name": "Back" })).await,
        rotate(&ada.http, &key, 0).await,
    ] {
        assert_eq!(again.problem(404), "not_found");
    }
    assert_eq!(ada.http.get(KEYS).await.expect(200)["data"], json!([]));
    for action in ["api_key.created", "api_key.updated", "api_key.revoked"] {
        let query = format!(
            "SELECT count(*) FROM auth.audit_events WHERE action = '{action}' AND user_id = '{}'",
            ada.id
        );
        assert_eq!(sql::number(&app, &query).await, 1, "{action}");
    }
}

#[tokio::test]
async fn what_a_key_is_made_of_is_checked() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let key = make(&ada.http, json!({ "name": "A" })).await;
    let long = "n".repeat(101);
    let large = "m".repeat(4096);
    for (rest, pointer) in [
        (json!({ "name": " " }), "/name"),
        (json!({ "name": long }), "/name"),
        (json!({ "name": "a\nb" }), "/name"),
        (json!({ "scopes": ["app:a", "everything"] }), "/scopes/1"),
        (json!({ "scopes": vec!["app:a"; 51] }), "/scopes"),
        (json!({ "metadata": { "m": large } }), "/metadata"),
        (json!({ "metadata": [] }), "/metadata"),
        (json!({ "expires_at": "2001-01-01T00:00:00Z" }), "/expires_at"),
        (json!({ "expires_at": "soon" }), "/expires_at"),
        (json!({ "rate_limit": { "requests": 0, "per_seconds": 1 } }), "/rate_limit/requests"),
        (json!({ "rate_limit": { "requests": 1, "per_seconds": 86_401 } }), "/rate_limit/per_seconds"),
        (json!({ "rate_limit": { "requests": 1 } }), "/rate_limit"),
        (json!({ "owner": { "type": "user", "id": ada.id } }), "/owner"),
        (json!({ "user_id": ada.id }), "/user_id"),
        (json!({ "created_by": ada.id }), "/created_by"),
    ] {
        let mut body = json!({ "name": "A" });
        body.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        let made = ada.http.post(KEYS, body).await;
        made.problem(422);
        assert!(made.pointer().starts_with(pointer), "{rest}: {}", made.text);
        let changed = ada.http.patch(&path(&key), rest.clone()).await;
        changed.problem(422);
        assert!(changed.pointer().starts_with(pointer), "{rest}: {}", changed.text);
    }
    let body = json!({ "overlap_seconds": 2_592_001 });
    let answer = ada.http.post(&format!("{}/rotations", path(&key)), body).await;
    assert_eq!(answer.pointer(), "/overlap_seconds");
    // Nor does a key change hands.
    let moved = ada.http.patch(&path(&key), json!({ "organization_id": ada.id })).await;
    assert_eq!(moved.pointer(), "/organization_id");
}

#[tokio::test]
async fn lists_are_paged_and_an_owner_has_a_hundred_keys_at_most() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let fill = format!(
        "INSERT INTO auth.api_keys (id, user_id, name, scopes, secret_hash)
         SELECT ('0190' || lpad(to_hex(n), 8, '0') || '70008000000000000000')::uuid, '{}', 'k' || n, '{{}}',
                sha256(n::text::bytea)
         FROM generate_series(1, 98) n",
        ada.id
    );
    sql::run(&app, &fill).await;
    make(&ada.http, json!({ "name": "99" })).await;
    let last = make(&ada.http, json!({ "name": "100" })).await;
    let refused = ada.http.post(KEYS, json!({ "name": "101" })).await;
    assert_eq!(refused.problem(409), "too_many_api_keys");
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = ada.http.get(&format!("{KEYS}?limit=40{cursor}")).await.expect(200);
        seen.extend(page["data"].as_array().unwrap().iter().map(|key| key["id"].to_string()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen.len(), 100);
    assert!(seen.is_sorted_by(|a, b| a > b), "newest first");
    ada.http.delete(&path(&last)).await.expect(204);
    make(&ada.http, json!({ "name": "again" })).await;
}

#[tokio::test]
async fn a_rotation_overlaps_as_long_as_asked_by_the_databases_clock() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let key = make(&ada.http, json!({ "name": "A", "scopes": ["app:a"] })).await;
    let second = rotate(&ada.http, &key, 600).await.expect(201)["api_key"].clone();
    assert_eq!((&second["id"], &second["scopes"]), (&key["id"], &key["scopes"]));
    assert_ne!(text(&second), text(&key));
    assert!(second["previous_expires_at"].is_string());
    assert!(is_active(&app, text(&key)).await && is_active(&app, text(&second)).await);
    // A third secret would cut the first one off before its time.
    assert_eq!(rotate(&ada.http, &key, 600).await.problem(409), "rotation_pending");

    let past = "UPDATE auth.api_keys SET previous_expires_at = now() - interval '1 second'";
    sql::run(&app, past).await;
    assert!(!is_active(&app, text(&key)).await && is_active(&app, text(&second)).await);
    let shown = ada.http.get(&path(&key)).await.expect(200);
    assert_eq!(shown["api_key"]["previous_expires_at"], Value::Null);
    let third = ada.http.post(&format!("{}/rotations", path(&key)), json!({})).await.expect(201);
    let third = third["api_key"].clone();
    assert!(is_active(&app, text(&second)).await, "a day where nothing is said");
    // Without an overlap everything older ends at once.
    let fourth = rotate(&ada.http, &key, 0).await.expect(201)["api_key"].clone();
    for (older, lives) in [(&key, false), (&second, false), (&third, false), (&fourth, true)] {
        assert_eq!(is_active(&app, text(older)).await, lives);
    }
}

#[tokio::test]
async fn a_key_ends_by_the_databases_clock() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let key = make(&ada.http, json!({ "name": "A", "expires_at": "2999-01-01T00:00:00Z" })).await;
    assert!(is_active(&app, text(&key)).await);
    sql::run(&app, "UPDATE auth.api_keys SET expires_at = now() - interval '1 millisecond'").await;
    assert_eq!(introspect(&app.admin, text(&key)).await, json!({ "active": false }));
    // Its owner still sees it, and may let it live on.
    ada.http.patch(&path(&key), json!({ "expires_at": null })).await.expect(200);
    assert!(is_active(&app, text(&key)).await);
}

#[tokio::test]
async fn the_last_use_is_written_behind_the_request_once_a_minute() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let key = make(&ada.http, json!({ "name": "A" })).await;
    let last_used = async || ada.http.get(&path(&key)).await.expect(200)["api_key"]["last_used_at"].clone();
    let wrong = format!("{}A", &text(&key)[..text(&key).len() - 1]);
    introspect(&app.admin, &wrong).await;
    assert!(is_active(&app, text(&key)).await);
    let mut first = last_used().await;
    for _ in 0..1_500 {
        if first.is_string() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        first = last_used().await;
    }
    assert!(first.is_string(), "written within seconds");
    assert!(is_active(&app, text(&key)).await);
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(last_used().await, first, "not again within a minute");
}

#[tokio::test]
async fn a_key_is_used_no_more_often_than_its_limit_says_on_all_instances_together() {
    let app = TestApp::start().await;
    let second = TestApp::on(app.database.clone()).await;
    let ada = app.person("ada@example.com").await;
    let limit = json!({ "requests": 3, "per_seconds": 600 });
    let key = make(&ada.http, json!({ "name": "A", "rate_limit": limit })).await;
    assert_eq!(key["rate_limit"], limit);
    // A wrong secret counts for nothing.
    let wrong = format!("{}{}", &text(&key)[..text(&key).len() - 43], "A".repeat(43));
    for _ in 0..5 {
        assert_eq!(introspect(&app.admin, &wrong).await, json!({ "active": false }));
    }
    assert!(is_active(&app, text(&key)).await && is_active(&second, text(&key)).await);
    assert!(is_active(&app, text(&key)).await);
    for http in [&app.admin, &second.admin] {
        let seen = introspect(http, text(&key)).await;
        assert_eq!((&seen["active"], &seen["rate_limited"]), (&json!(false), &json!(true)));
        assert!((1..=600).contains(&seen["retry_after"].as_u64().unwrap()));
        assert!(seen.get("owner").is_none() && seen.get("id").is_none());
    }
    ada.http.patch(&path(&key), json!({ "rate_limit": null })).await.expect(200);
    assert!(is_active(&app, text(&key)).await);
}

#[tokio::test]
async fn what_ends_a_key_here_is_seen_there_at_once_and_in_the_feed() {
    let app = TestApp::start().await;
    let second = TestApp::on(app.database.clone()).await;
    let ada = app.person("ada@example.com").await;
    let ben = app.person("ben@example.com").await;
    let path_of_acme = organization(&ada, "Acme").await;
    let acme = id_of(&path_of_acme);
    let revoked = make(&ada.http, json!({ "name": "revoked" })).await;
    let of_acme = make(&ada.http, json!({ "name": "acme", "organization_id": acme })).await;
    let bens = make(&ben.http, json!({ "name": "bens" })).await;
    for key in [&revoked, &of_acme, &bens] {
        assert!(is_active(&second, text(key)).await);
    }
    ada.http.delete(&path(&revoked)).await.expect(204);
    assert!(!is_active(&second, text(&revoked)).await);

    let ban = format!("/v1/admin/users/{}/ban", ben.id);
    app.admin.put(&ban, json!({})).await.expect(200);
    assert!(!is_active(&second, text(&bens)).await);
    app.admin.delete(&ban).await;
    assert!(is_active(&second, text(&bens)).await);
    app.admin.delete(&format!("/v1/admin/users/{}", ben.id)).await.expect(204);
    assert!(!is_active(&second, text(&bens)).await);

    ada.http.delete(&path_of_acme).await.expect(204);
    assert!(!is_active(&second, text(&of_acme)).await);

    // Transactions of other tests on the same server hold rows back.
    let mut of_keys = Vec::new();
    for _ in 0..1_500 {
        let feed = app.admin.get("/v1/revocations").await.expect(200);
        let rows = feed["data"].as_array().unwrap().iter().filter(|row| row["kind"] == "api_key");
        of_keys = rows.map(|row| (row["id"].clone(), row["user_id"].clone())).collect();
        if of_keys.len() == 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let expected = [
        (revoked["id"].clone(), json!(ada.id)),
        (bens["id"].clone(), json!(ben.id)),
        (of_acme["id"].clone(), Value::Null),
    ];
    assert_eq!(of_keys, expected);
}

#[tokio::test]
async fn keys_of_an_organization_outlive_whoever_made_them() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let ben = app.person("ben@example.com").await;
    let acme = organization(&ada, "Acme").await;
    join(&app, &acme, &ben, "admin").await;
    let key =
        make(&ben.http, json!({ "name": "A", "organization_id": id_of(&acme), "scopes": ["app:a"] })).await;
    assert_eq!(key["owner"], json!({ "type": "organization", "id": id_of(&acme) }));
    let seen = introspect(&app.admin, text(&key)).await;
    assert_eq!((&seen["organization_id"], seen.get("user_id")), (&json!(id_of(&acme)), None));
    let list = format!("{KEYS}?organization_id={}", id_of(&acme));
    assert_eq!(ada.http.get(&list).await.expect(200)["data"][0]["created_by"], json!(ben.id));

    ben.http.delete(&format!("{acme}/members/me")).await.expect(204);
    assert!(is_active(&app, text(&key)).await);
    assert_eq!(ben.http.get(&path(&key)).await.problem(404), "not_found");
    assert_eq!(ben.http.get(&list).await.problem(404), "not_found");
    app.admin.delete(&format!("/v1/admin/users/{}", ben.id)).await.expect(204);
    assert!(is_active(&app, text(&key)).await);
    let shown = ada.http.get(&path(&key)).await.expect(200);
    assert_eq!(shown["api_key"]["created_by"], Value::Null);
    ada.http.delete(&path(&key)).await.expect(204);
}

#[tokio::test]
async fn a_key_of_the_project_calls_what_its_scopes_say_and_nothing_else() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let calls = [
        ("sessions:introspect", "POST", "/v1/sessions/introspections", json!({ "token": ada.token })),
        ("api_keys:introspect", "POST", INTROSPECTIONS, json!({ "key": "key_x" })),
        ("revocations:read", "GET", "/v1/revocations", Value::Null),
    ];
    for (scope, ..) in &calls {
        let key = make_for_project(&app, &[scope]).await;
        assert_eq!(key["owner"], json!({ "type": "project" }));
        let http = app.http.with_bearer(text(&key));
        for (needed, method, path, body) in &calls {
            let mut request = http.request(method.parse().unwrap(), path);
            if !body.is_null() {
                request = request.json(body);
            }
            let answer = http.send(request).await;
            if needed == scope {
                answer.expect(200);
            } else {
                assert_eq!(answer.problem(403), "insufficient_scope", "{scope} at {path}");
                assert_eq!(answer.json()["scope"], *needed);
                assert!(answer.header("www-authenticate").contains("insufficient_scope"));
            }
        }
        app.admin.delete(&format!("{ADMIN_KEYS}/{}", key["id"].as_str().unwrap())).await.expect(204);
        assert_eq!(http.get("/v1/revocations").await.problem(401), "invalid_token");
    }
    let seen = app.admin.post("/v1/sessions/introspections", json!({ "token": ada.token })).await.expect(200);
    assert_eq!(seen["sub"], json!(ada.id));
    // Used too often, it is told so as everybody is.
    let limit = json!({ "requests": 1, "per_seconds": 60 });
    let body = json!({ "name": "B", "scopes": ["revocations:read"], "rate_limit": limit });
    let key = app.admin.post(ADMIN_KEYS, body).await.expect(201)["api_key"].clone();
    let http = app.http.with_bearer(text(&key));
    http.get("/v1/revocations").await.expect(200);
    let refused = http.get("/v1/revocations").await;
    assert_eq!(refused.problem(429), "too_many_requests");
    assert!(!refused.header("retry-after").is_empty());
}

#[tokio::test]
async fn the_operator_sees_and_ends_everybodys_keys() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let adas = make(&ada.http, json!({ "name": "adas" })).await;
    let own = make_for_project(&app, &["revocations:read"]).await;
    let named = async |query: &str| {
        let page = app.admin.get(&format!("{ADMIN_KEYS}{query}")).await.expect(200);
        page["data"].as_array().unwrap().iter().map(|key| key["name"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(named("").await, [json!("Backend"), json!("adas")]);
    assert_eq!(named("?owner=project").await, [json!("Backend")]);
    assert_eq!(named(&format!("?user_id={}", ada.id)).await, [json!("adas")]);
    let at = |key: &Value| format!("{ADMIN_KEYS}/{}", key["id"].as_str().unwrap());
    let both = app.admin.get(&format!("{ADMIN_KEYS}?owner=project&user_id={}", ada.id)).await;
    assert_eq!(both.pointer(), "?owner");
    app.admin.patch(&at(&own), json!({ "scopes": ["api_keys:introspect"] })).await.expect(200);
    let rotated = app.admin.post(&format!("{}/rotations", at(&own)), json!({})).await.expect(201);
    let http = app.http.with_bearer(text(&rotated["api_key"]));
    assert_eq!(introspect(&http, text(&adas)).await["active"], true);
    // Nothing makes a key of the service's out of somebody's.
    let change = json!({ "scopes": ["api_keys:introspect"] });
    assert_eq!(app.admin.patch(&at(&adas), change).await.problem(403), "scope_exceeds_own");
    app.admin.delete(&at(&adas)).await.expect(204);
    assert!(!is_active(&app, text(&adas)).await);
    assert_eq!(app.admin.get(&at(&adas)).await.problem(404), "not_found");
}

#[tokio::test]
async fn keys_revoked_long_ago_are_removed() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    for name in ["old", "new", "live"] {
        let key = make(&ada.http, json!({ "name": name })).await;
        if name != "live" {
            ada.http.delete(&path(&key)).await.expect(204);
        }
    }
    let old = "UPDATE auth.api_keys SET revoked_at = now() - interval '31 days' WHERE name = 'old'";
    sql::run(&app, old).await;
    let feed = "SELECT count(*) FROM auth.revocations WHERE kind = 'api_key'";
    let before = sql::number(&app, feed).await;
    beyond_auth::jobs::purge(&app.running.app).await.unwrap();
    assert_eq!(sql::number(&app, "SELECT count(*) FROM auth.api_keys").await, 2);
    assert_eq!(sql::number(&app, feed).await, before, "nobody is told twice");
}
