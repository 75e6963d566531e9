//! Organizations: members, roles, what they ask of whoever acts for them.

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};

use crate::support::TestApp;
use crate::support::app::{PASSWORD, Person};
use crate::support::client::Http;
use crate::support::otp_app::enrol;
use crate::support::sql;

pub const ORGANIZATIONS: &str = "/v1/organizations";

/// Makes an organization; answers its path.
pub async fn create(by: &Person, name: &str) -> String {
    let made = by.http.post(ORGANIZATIONS, json!({ "name": name })).await.expect(201);
    format!("{ORGANIZATIONS}/{}", made["organization"]["id"].as_str().unwrap())
}

/// The id in such a path.
pub fn id_of(path: &str) -> &str {
    path.rsplit_once('/').unwrap().1
}

/// Lets a person belong to an organization, behind the service's back.
pub async fn join(app: &TestApp, path: &str, person: &Person, role: &str) {
    let member = format!(
        "INSERT INTO auth.organization_members (organization_id, user_id, role)
         VALUES ('{}', '{}', '{role}')",
        id_of(path),
        person.id
    );
    sql::run(app, &member).await;
}

/// Gives a member another role, as an owner does it.
pub async fn promote(owner: &Http, path: &str, person: &Person, role: &str) {
    owner.patch(&format!("{path}/members/{}", person.id), json!({ "role": role })).await.expect(200);
}

async fn roles_of(http: &Http, path: &str) -> Vec<(String, String)> {
    let page = http.get(&format!("{path}/members?limit=100")).await.expect(200);
    let text = |member: &Value, name: &str| member[name].as_str().unwrap().to_owned();
    page["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|member| (text(member, "email"), text(member, "role")))
        .collect()
}

fn switch(to: impl Into<Value>) -> Value {
    json!({ "organization_id": to.into() })
}

const CURRENT: &str = "/v1/sessions/current";

#[tokio::test]
async fn an_organization_is_made_read_changed_and_deleted() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let body = json!({ "name": " Acme, Inc. ", "metadata": { "plan": "free" } });
    let made = ada.http.post(ORGANIZATIONS, body).await.expect(201)["organization"].clone();
    assert_eq!((&made["name"], &made["slug"]), (&json!("Acme, Inc."), &json!("acme-inc")));
    assert_eq!((&made["role"], &made["metadata"]["plan"]), (&json!("owner"), &json!("free")));
    assert!(made["permissions"].as_array().unwrap().contains(&json!("app:*")));
    let by_slug = ada.http.get("/v1/organizations/acme-inc").await.expect(200);
    assert_eq!(by_slug["organization"], made);

    let twin = ada.http.post(ORGANIZATIONS, json!({ "name": "Acme Inc" })).await.expect(201);
    assert!(twin["organization"]["slug"].as_str().unwrap().starts_with("acme-inc-"), "{twin}");
    let taken = json!({ "name": "Other", "slug": "acme-inc" });
    assert_eq!(ada.http.post(ORGANIZATIONS, taken).await.problem(409), "slug_taken");
    let path = format!("{ORGANIZATIONS}/{}", made["id"].as_str().unwrap());
    let change = json!({ "name": "Acme", "slug": "acme", "metadata": {} });
    let changed = ada.http.patch(&path, change).await.expect(200)["organization"].clone();
    assert_eq!((&changed["slug"], &changed["metadata"]), (&json!("acme"), &json!({})));
    assert_eq!(ada.http.get("/v1/organizations/acme-inc").await.problem(404), "not_found");

    let list = ada.http.get("/v1/organizations?limit=1").await.expect(200);
    assert_eq!(list["data"][0]["id"], twin["organization"]["id"]);
    let next = format!("/v1/organizations?limit=1&cursor={}", list["next_cursor"].as_str().unwrap());
    let list = ada.http.get(&next).await.expect(200);
    assert_eq!((&list["data"][0]["slug"], &list["next_cursor"]), (&json!("acme"), &Value::Null));

    ada.http.patch(CURRENT, switch(made["id"].clone())).await.expect(200);
    ada.http.delete(&path).await.expect(204);
    ada.http.get(&path).await.problem(404);
    let current = ada.http.get(CURRENT).await.expect(200);
    assert_eq!(current["session"]["organization_id"], Value::Null);
    for action in ["organization.created", "organization.updated", "organization.deleted"] {
        let query = format!("SELECT count(*) FROM auth.audit_events WHERE action = '{action}'");
        assert!(sql::number(&app, &query).await >= 1, "{action}");
    }
}

#[tokio::test]
async fn what_an_organization_is_called_is_checked() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let long = "n".repeat(101);
    for (body, pointer) in [
        (json!({ "name": " " }), "/name"),
        (json!({ "name": long }), "/name"),
        (json!({ "name": "Win at https://evil.example" }), "/name"),
        (json!({ "name": "WWW.evil.example" }), "/name"),
        (json!({ "name": "a\nb" }), "/name"),
        (json!({ "name": "A", "slug": "Acme" }), "/slug"),
        (json!({ "name": "A", "slug": "" }), "/slug"),
        (json!({ "name": "A", "metadata": [] }), "/metadata"),
        (json!({ "name": "A", "owner": ada.id }), "/owner"),
        (json!({ "name": "A", "policy": { "required_aal": 2 } }), "/policy"),
    ] {
        assert_eq!(ada.http.post(ORGANIZATIONS, body).await.pointer(), pointer);
    }
    let path = create(&ada, "A").await;
    for (policy, pointer) in [
        (json!({ "required_aal": 3 }), "/policy/required_aal"),
        (json!({ "allowed_methods": [] }), "/policy/allowed_methods"),
        (json!({ "allowed_methods": ["magic"] }), "/policy/allowed_methods/0"),
        (json!({ "sessions": { "idle_seconds": 1 } }), "/policy/sessions/idle_seconds"),
        (json!({ "sessions": { "fresh_seconds": 1 } }), "/policy/sessions/fresh_seconds"),
    ] {
        assert_eq!(ada.http.patch(&path, json!({ "policy": policy })).await.pointer(), pointer);
    }
}

#[tokio::test]
async fn somebody_without_a_proven_address_makes_none() {
    let app = TestApp::start().await;
    app.set(json!({ "sign_up": { "require_verification": false } })).await;
    let body = json!({ "email": "ada@example.com", "password": PASSWORD });
    let made = app.stranger().post("/v1/users", body).await.expect(201);
    let ada = app.http.with_bearer(made["session"]["token"].as_str().unwrap());
    assert_eq!(ada.post(ORGANIZATIONS, json!({ "name": "A" })).await.problem(409), "email_not_verified");
}

#[tokio::test]
async fn members_are_listed_given_other_roles_and_removed() {
    let app = TestApp::start().await;
    let [ada, ben, cat] = people(&app).await;
    let path = create(&ada, "Acme").await;
    join(&app, &path, &ben, "member").await;
    join(&app, &path, &cat, "member").await;
    assert_eq!(ben.http.get(&path).await.expect(200)["organization"]["role"], "member");
    let first = ben.http.get(&format!("{path}/members?limit=2")).await.expect(200);
    let next = format!("{path}/members?limit=2&cursor={}", first["next_cursor"].as_str().unwrap());
    assert_eq!(ben.http.get(&next).await.expect(200)["data"][0]["email"], "cat@example.com");

    let cats = format!("{path}/members/{}", cat.id);
    let refused = ben.http.patch(&cats, json!({ "role": "admin" })).await;
    assert_eq!(refused.problem(403), "missing_permission");
    assert_eq!(refused.json()["permission"], "members:update");
    assert_eq!(ben.http.delete(&cats).await.problem(403), "missing_permission");
    promote(&ada.http, &path, &ben, "admin").await;
    promote(&ben.http, &path, &cat, "admin").await;
    assert_eq!(ada.http.patch(&cats, json!({ "role": "boss" })).await.pointer(), "/role");
    let expected = [("ada@example.com", "owner"), ("ben@example.com", "admin"), ("cat@example.com", "admin")];
    let expected = expected.map(|(email, role)| (email.to_owned(), role.to_owned()));
    assert_eq!(roles_of(&cat.http, &path).await, expected);

    ben.http.delete(&cats).await.expect(204);
    cat.http.get(&path).await.problem(404);
    assert_eq!(ben.http.delete(&cats).await.problem(404), "not_found");
    ben.http.delete(&format!("{path}/members/me")).await.expect(204);
    ben.http.get(&path).await.problem(404);
    assert_eq!(ada.http.delete(&format!("{path}/members/me")).await.problem(409), "last_owner");
    let me = format!("{path}/members/me");
    assert_eq!(ada.http.patch(&me, json!({ "role": "admin" })).await.problem(409), "last_owner");
}

/// Ada, Ben and Cat.
pub async fn people(app: &TestApp) -> [Person; 3] {
    [
        app.person("ada@example.com").await,
        app.person("ben@example.com").await,
        app.person("cat@example.com").await,
    ]
}

#[tokio::test]
async fn an_organization_makes_roles_of_its_own() {
    let app = TestApp::start().await;
    let [ada, ben, cat] = people(&app).await;
    let path = create(&ada, "Acme").await;
    join(&app, &path, &ben, "member").await;
    join(&app, &path, &cat, "member").await;
    let roles = format!("{path}/roles");
    let billing = json!({
        "name": "billing", "description": "Pays", "permissions": ["app:invoices", "members:read", "members:update"]
    });
    let made = ada.http.post(&roles, billing.clone()).await.expect(201)["role"].clone();
    assert_eq!(made["permissions"], json!(["members:read", "members:update", "app:invoices"]));
    assert_eq!(ada.http.post(&roles, billing).await.problem(409), "role_taken");
    for name in ["owner", "me", "Admin", "", "9a", "a b"] {
        let body = json!({ "name": name, "permissions": [] });
        assert_eq!(ada.http.post(&roles, body).await.pointer(), "/name", "{name}");
    }
    promote(&ada.http, &path, &ben, "billing").await;
    assert_eq!(ben.http.get(&path).await.expect(200)["organization"]["role"], "billing");
    promote(&ben.http, &path, &cat, "billing").await;
    let list = ben.http.get(&roles).await.expect(200);
    let names: Vec<_> = list["data"].as_array().unwrap().iter().map(|role| role["name"].clone()).collect();
    assert_eq!(names, ["owner", "admin", "member", "billing"]);

    let role = format!("{roles}/billing");
    assert_eq!(ada.http.delete(&role).await.problem(409), "role_in_use");
    let change = json!({ "name": "payers", "description": null, "permissions": ["members:read"] });
    let changed = ada.http.patch(&role, change).await.expect(200)["role"].clone();
    assert_eq!((&changed["name"], &changed["description"]), (&json!("payers"), &Value::Null));
    // At once, for whoever holds it.
    let refused = ben.http.patch(&format!("{path}/members/{}", cat.id), json!({ "role": "member" })).await;
    assert_eq!(refused.problem(403), "missing_permission");
    promote(&ada.http, &path, &ben, "member").await;
    promote(&ada.http, &path, &cat, "member").await;
    ada.http.delete(&format!("{roles}/payers")).await.expect(204);
    for name in ["payers", "billing", "admin", "x%2F.."] {
        assert_eq!(ada.http.delete(&format!("{roles}/{name}")).await.problem(404), "not_found", "{name}");
    }
}

#[tokio::test]
async fn a_session_acts_for_an_organization_until_its_user_leaves() {
    let app = TestApp::start().await;
    let second = TestApp::on(app.database.clone()).await;
    let [ada, ben, _] = people(&app).await;
    let path = create(&ada, "Acme").await;
    let id = json!(id_of(&path));
    assert_eq!(ben.http.patch(CURRENT, switch(id.clone())).await.problem(404), "not_found");
    join(&app, &path, &ben, "member").await;
    let body = json!({ "organization_id": id, "label": "Phone" });
    let switched = ben.http.patch(CURRENT, body).await.expect(200);
    assert_eq!(switched["session"]["organization_id"], id);
    assert_eq!(switched["session"]["label"], "Phone");
    let elsewhere = second.http.with_bearer(&ben.token);
    assert_eq!(elsewhere.get(CURRENT).await.expect(200)["session"]["organization_id"], id);
    let seen = app.admin.post("/v1/sessions/introspections", json!({ "token": ben.token })).await.expect(200);
    assert_eq!(seen["organization_id"], id);
    ben.http.patch(CURRENT, json!({ "label": null })).await.expect(200);
    assert_eq!(ben.http.get(CURRENT).await.expect(200)["session"]["organization_id"], id);

    ben.http.patch(CURRENT, switch(Value::Null)).await.expect(200);
    assert_eq!(elsewhere.get(CURRENT).await.expect(200)["session"]["organization_id"], Value::Null);
    ben.http.patch(CURRENT, switch(id)).await.expect(200);
    ada.http.delete(&format!("{path}/members/{}", ben.id)).await.expect(204);
    assert_eq!(elsewhere.get(CURRENT).await.expect(200)["session"]["organization_id"], Value::Null);
}

#[tokio::test]
async fn a_renewed_session_acts_for_the_same_organization() {
    let app = TestApp::start().await;
    let [ada, ..] = people(&app).await;
    let path = create(&ada, "Acme").await;
    let body = json!({
        "method": "password", "email": "ada@example.com", "password": PASSWORD, "refresh_token": true
    });
    let signed_in = app.stranger().post("/v1/sessions", body).await.expect(201);
    let http = app.http.with_bearer(signed_in["session"]["token"].as_str().unwrap());
    http.patch(CURRENT, switch(json!(id_of(&path)))).await.expect(200);
    let mut token = signed_in["refresh_token"]["token"].clone();
    for left in [false, true] {
        if left {
            join(&app, &path, &app.sign_in("ben@example.com", PASSWORD).await, "owner").await;
            ada.http.delete(&format!("{path}/members/me")).await.expect(204);
        }
        let body = json!({ "refresh_token": token });
        let renewed = app.stranger().post("/v1/refresh-tokens/rotations", body).await.expect(201);
        let expected = if left { Value::Null } else { json!(id_of(&path)) };
        assert_eq!(renewed["session"]["organization_id"], expected);
        token = renewed["refresh_token"]["token"].clone();
    }
}

#[tokio::test]
async fn an_organization_may_ask_for_a_second_factor() {
    let app = TestApp::start().await;
    let [ada, ben, _] = people(&app).await;
    let path = create(&ada, "Acme").await;
    join(&app, &path, &ben, "admin").await;
    let id = json!(id_of(&path));
    ben.http.patch(CURRENT, switch(id.clone())).await.expect(200);
    let policy = json!({ "policy": { "required_aal": 2 } });
    assert_eq!(ben.http.patch(&path, policy.clone()).await.problem(403), "missing_permission");
    // Nobody locks out everybody, oneself included.
    let refused = ada.http.patch(&path, policy.clone()).await;
    assert_eq!(refused.problem(401), "insufficient_user_authentication");
    assert_eq!(refused.json()["acr_values"], "aal2");
    let (factor, device) = enrol(&ada.http).await;
    let activation = format!("/v1/users/me/factors/{factor}/activations");
    ada.http.post(&activation, json!({ "code": device.code() })).await.expect(200);
    ada.http.patch(&path, policy).await.expect(200);

    // It holds at once for sessions that were there already.
    assert_eq!(ben.http.get(CURRENT).await.expect(200)["session"]["organization_id"], Value::Null);
    let refused = ben.http.patch(CURRENT, switch(id.clone())).await;
    assert_eq!(refused.problem(401), "insufficient_user_authentication");
    ben.http.get(&format!("{path}/members")).await.problem(401);
    ben.http.get(&path).await.expect(200);
    ada.http.patch(CURRENT, switch(id)).await.expect(200);
    ben.http.delete(&format!("{path}/members/me")).await.expect(204);
}

#[tokio::test]
async fn an_organization_may_count_some_ways_of_signing_in_only() {
    let app = TestApp::start().await;
    let [ada, ben, _] = people(&app).await;
    let path = create(&ada, "Acme").await;
    join(&app, &path, &ben, "member").await;
    let policy = |methods: Value| json!({ "policy": { "allowed_methods": methods } });
    let refused = ada.http.patch(&path, policy(json!(["passkey", "oauth"]))).await;
    assert_eq!(refused.problem(403), "sign_in_method_required");
    assert_eq!(refused.json()["methods"], json!(["passkey", "oauth"]));
    let set = ada.http.patch(&path, policy(json!(["password"]))).await.expect(200);
    assert_eq!(set["organization"]["policy"]["allowed_methods"], json!(["password"]));

    let ask = crate::support::mailed::ask_link(&app.stranger(), "ben@example.com").await;
    let code =
        crate::support::mailed::kind_to(&app, "ben@example.com", "ml_").await.code().unwrap().to_owned();
    let by_code =
        crate::support::mailed::code_sign_in(&app.stranger(), "ben@example.com", &code, Some(&ask)).await;
    let by_code = app.http.with_bearer(by_code.expect(201)["session"]["token"].as_str().unwrap());
    let refused = by_code.patch(CURRENT, switch(json!(id_of(&path)))).await;
    assert_eq!(refused.problem(403), "sign_in_method_required");
    ben.http.patch(CURRENT, switch(json!(id_of(&path)))).await.expect(200);
    ada.http.patch(&path, policy(Value::Null)).await.expect(200);
    by_code.patch(CURRENT, switch(json!(id_of(&path)))).await.expect(200);
}

/// Seconds between two times of a session.
fn between(session: &Value, from: &str, to: &str) -> i64 {
    let time = |name: &str| session[name].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    (time(to) - time(from)).num_seconds()
}

#[tokio::test]
async fn an_organization_may_shorten_the_sessions_of_its_members() {
    let app = TestApp::start().await;
    let [ada, ben, cat] = people(&app).await;
    let path = create(&ada, "Acme").await;
    join(&app, &path, &ben, "member").await;
    let limits = json!({ "policy": { "sessions": { "idle_seconds": 600, "absolute_seconds": 3600 } } });
    ada.http.patch(&path, limits).await.expect(200);
    // Those that were there, and those that begin now.
    let old = ben.http.get(CURRENT).await.expect(200)["session"].clone();
    let new =
        app.sign_in("ben@example.com", PASSWORD).await.http.get(CURRENT).await.expect(200)["session"].clone();
    for session in [&old, &new] {
        assert_eq!(between(session, "verified_at", "expires_at"), 3600);
        assert!(between(session, "created_at", "idle_expires_at") <= 605, "{session}");
    }
    let free = cat.http.get(CURRENT).await.expect(200)["session"].clone();
    assert!(between(&free, "created_at", "expires_at") > 86_400);

    // Use does not stretch it beyond.
    sql::run(&app, "UPDATE auth.sessions SET last_seen_at = now() - interval '5 minutes'").await;
    ben.http.get(CURRENT).await.expect(200);
    for _ in 0..1_500 {
        let now = ben.http.get(CURRENT).await.expect(200)["session"].clone();
        if between(&now, "last_seen_at", "idle_expires_at") == 600 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("last-seen was never written");
}

#[tokio::test]
async fn renewing_does_not_outlast_what_an_organization_asks_for() {
    let app = TestApp::start().await;
    let [ada, ..] = people(&app).await;
    let path = create(&ada, "Acme").await;
    let body = json!({
        "method": "password", "email": "ada@example.com", "password": PASSWORD, "refresh_token": true
    });
    let signed_in = app.stranger().post("/v1/sessions", body).await.expect(201);
    let limits = json!({ "policy": { "sessions": { "absolute_seconds": 3600 } } });
    ada.http.patch(&path, limits).await.expect(200);
    let rotate = async |token: &Value| {
        app.stranger().post("/v1/refresh-tokens/rotations", json!({ "refresh_token": token })).await
    };
    let renewed = rotate(&signed_in["refresh_token"]["token"]).await.expect(201);
    assert_eq!(between(&renewed["session"], "verified_at", "expires_at"), 3600);
    for table in ["sessions", "refresh_families"] {
        let age = format!("UPDATE auth.{table} SET verified_at = now() - interval '61 minutes'");
        sql::run(&app, &age).await;
    }
    let refused = rotate(&renewed["refresh_token"]["token"]).await;
    assert_eq!(refused.problem(401), "invalid_refresh_token");
}

#[tokio::test]
async fn renewing_brings_back_nothing_that_has_idled_out() {
    let app = TestApp::start().await;
    let [ada, ..] = people(&app).await;
    let path = create(&ada, "Acme").await;
    let body = json!({
        "method": "password", "email": "ada@example.com", "password": PASSWORD, "refresh_token": true
    });
    let sign_in = async || app.stranger().post("/v1/sessions", body.clone()).await.expect(201);
    let rotate = async |answer: &Value| {
        let body = json!({ "refresh_token": answer["refresh_token"]["token"] });
        app.stranger().post("/v1/refresh-tokens/rotations", body).await
    };
    let [used, left, purged] = [sign_in().await, sign_in().await, sign_in().await];
    let limits = json!({ "policy": { "sessions": { "idle_seconds": 600 } } });
    ada.http.patch(&path, limits).await.expect(200);
    sql::run(&app, "UPDATE auth.refresh_tokens SET created_at = now() - interval '11 minutes'").await;
    sql::run(&app, "UPDATE auth.sessions SET last_seen_at = now() - interval '11 minutes'").await;
    let of = |answer: &Value| format!("WHERE id = '{}'", answer["session"]["id"].as_str().unwrap());
    sql::run(&app, &format!("UPDATE auth.sessions SET last_seen_at = now() {}", of(&used))).await;
    sql::run(&app, &format!("DELETE FROM auth.sessions {}", of(&purged))).await;
    rotate(&used).await.expect(201);
    assert_eq!(rotate(&left).await.problem(401), "invalid_refresh_token");
    assert_eq!(rotate(&purged).await.problem(401), "invalid_refresh_token");
}

#[tokio::test]
async fn a_sign_in_beside_a_new_limit_knows_it() {
    let app = TestApp::start().await;
    let [ada, ..] = people(&app).await;
    create(&ada, "Acme").await;
    let mut conn = PgConnection::connect(app.database.url.expose_secret()).await.unwrap();
    let mut change = conn.begin().await.unwrap();
    let limit = "UPDATE auth.organizations SET session_idle_seconds = 600";
    sqlx::query(limit).execute(&mut *change).await.unwrap();
    let body = json!({ "method": "password", "email": "ada@example.com", "password": PASSWORD });
    let stranger = app.stranger();
    let (signed_in, ()) = tokio::join!(stranger.post("/v1/sessions", body), async {
        let waits = "SELECT count(*) FROM pg_stat_activity
                     WHERE wait_event_type = 'Lock' AND datname = current_database()";
        for _ in 0..500 {
            if sql::number(&app, waits).await > 0 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        change.commit().await.unwrap();
    });
    let session = signed_in.expect(201)["session"].clone();
    assert_eq!(between(&session, "created_at", "idle_expires_at"), 600);
}

#[tokio::test]
async fn an_account_that_organizations_need_stays_until_the_operator_says_otherwise() {
    let app = TestApp::start().await;
    let [ada, ben, _] = people(&app).await;
    let path = create(&ada, "Acme").await;
    join(&app, &path, &ben, "admin").await;
    let refused = ada.http.delete("/v1/users/me").await;
    assert_eq!(refused.problem(409), "last_owner");
    assert_eq!(refused.json()["organizations"][0]["slug"], "acme");
    let user = format!("/v1/admin/users/{}", ada.id);
    assert_eq!(app.admin.delete(&user).await.problem(409), "last_owner");
    assert_eq!(app.admin.delete(&format!("{user}?organizations=keep")).await.pointer(), "?organizations");
    ben.http.patch(CURRENT, switch(json!(id_of(&path)))).await.expect(200);
    ben.http.delete("/v1/users/me").await.expect(204);
    app.admin.delete(&format!("{user}?organizations=delete")).await.expect(204);
    assert_eq!(sql::number(&app, "SELECT count(*) FROM auth.organizations").await, 0);
}
