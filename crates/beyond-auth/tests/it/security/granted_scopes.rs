//! Giving a key, or taking from one, more than is one's own: scopes of the service, of other roles, by way of a key
//! that somebody stronger has made.

use serde_json::json;

use super::count;
use crate::api_keys::{ADMIN_KEYS, INTROSPECTIONS, KEYS, make, make_for_project, path, rotate, text};
use crate::orgs::{create, id_of, join, people, promote};
use crate::support::TestApp;

const OF_THE_SERVICE: [&str; 3] = ["sessions:introspect", "api_keys:introspect", "revocations:read"];

#[tokio::test]
async fn nobody_but_the_operator_gives_a_key_scopes_of_the_service() {
    let app = TestApp::start().await;
    let [ada, ..] = people(&app).await;
    let acme = create(&ada, "Acme").await;
    let own = make(&ada.http, json!({ "name": "own" })).await;
    let of_acme = make(&ada.http, json!({ "name": "acme", "organization_id": id_of(&acme) })).await;
    for scope in OF_THE_SERVICE {
        let scopes = json!(["app:fine", scope]);
        for body in [
            json!({ "name": "A", "scopes": scopes }),
            json!({ "name": "A", "scopes": scopes, "organization_id": id_of(&acme) }),
        ] {
            let answer = ada.http.post(KEYS, body).await;
            assert_eq!(answer.problem(403), "scope_exceeds_own");
            assert_eq!(answer.json()["scope"], scope);
        }
        for key in [&own, &of_acme] {
            let answer = ada.http.patch(&path(key), json!({ "scopes": scopes })).await;
            assert_eq!(answer.problem(403), "scope_exceeds_own");
        }
    }
    // Nor does the operator's own way lead there, or a scope that opens everything.
    for key in [&own, &of_acme] {
        let at = format!("{ADMIN_KEYS}/{}", key["id"].as_str().unwrap());
        let answer = app.admin.patch(&at, json!({ "scopes": ["sessions:introspect"] })).await;
        assert_eq!(answer.problem(403), "scope_exceeds_own");
    }
    for scope in ["admin", "*", "app:*", "organization:update"] {
        let answer = ada.http.post(KEYS, json!({ "name": "A", "scopes": [scope] })).await;
        assert_eq!(answer.pointer(), "/scopes/0", "{scope}");
        let answer = app.admin.post(ADMIN_KEYS, json!({ "name": "A", "scopes": [scope] })).await;
        assert_eq!(answer.pointer(), "/scopes/0", "{scope}");
    }
    assert_eq!(count(&app, "SELECT count(*) FROM auth.api_keys").await, 2);
    // And where one got in behind the service's back, it opens nothing.
    super::sql(&app, "UPDATE auth.api_keys SET scopes = '{sessions:introspect}'").await;
    for key in [&own, &of_acme] {
        let http = app.http.with_bearer(text(key));
        let answer = http.post("/v1/sessions/introspections", json!({ "token": ada.token })).await;
        assert_eq!(answer.problem(403), "insufficient_scope");
    }
}

#[tokio::test]
async fn a_member_gives_and_takes_over_no_more_than_his_role_holds() {
    let app = TestApp::start().await;
    let [ada, ben, cat] = people(&app).await;
    let acme = create(&ada, "Acme").await;
    let role = |name: &str, permissions: &[&str]| json!({ "name": name, "permissions": permissions });
    let keeper = role("keeper", &["api_keys:read", "api_keys:manage", "app:build"]);
    ada.http.post(&format!("{acme}/roles"), keeper).await.expect(201);
    ada.http.post(&format!("{acme}/roles"), role("reader", &["api_keys:read"])).await.expect(201);
    for (person, role) in [(&ben, "keeper"), (&cat, "reader")] {
        join(&app, &acme, person, "member").await;
        promote(&ada.http, &acme, person, role).await;
    }
    let of_acme = |scopes: &[&str]| json!({ "name": "A", "scopes": scopes, "organization_id": id_of(&acme) });
    let answer = ben.http.post(KEYS, of_acme(&["app:build", "app:pay"])).await;
    assert_eq!(answer.problem(403), "scope_exceeds_own");
    assert_eq!(answer.json()["scope"], "app:pay");
    let bens = make(&ben.http, of_acme(&["app:build"])).await;
    let change = json!({ "scopes": ["app:pay"] });
    assert_eq!(ben.http.patch(&path(&bens), change).await.problem(403), "scope_exceeds_own");

    // A stronger key of somebody else's: neither its secret nor anything of it, but its end.
    let strong = make(&ada.http, of_acme(&["app:pay"])).await;
    assert_eq!(rotate(&ben.http, &strong, 0).await.problem(403), "scope_exceeds_own");
    for change in [json!({ "scopes": [] }), json!({ "name": "Mine" }), json!({ "rate_limit": null })] {
        assert_eq!(ben.http.patch(&path(&strong), change).await.problem(403), "scope_exceeds_own");
    }

    // Reading is not managing, and a mere member is not told that there is anything.
    cat.http.get(&path(&strong)).await.expect(200);
    for answer in [
        cat.http.post(KEYS, of_acme(&[])).await,
        cat.http.patch(&path(&bens), json!({ "name": "Mine" })).await,
        cat.http.delete(&path(&bens)).await,
        rotate(&cat.http, &bens, 0).await,
    ] {
        assert_eq!(answer.problem(403), "missing_permission");
    }
    promote(&ada.http, &acme, &cat, "member").await;
    let list = format!("{KEYS}?organization_id={}", id_of(&acme));
    assert_eq!(cat.http.get(&list).await.problem(403), "missing_permission");
    for answer in [
        cat.http.get(&path(&bens)).await,
        cat.http.patch(&path(&bens), json!({ "name": "Mine" })).await,
        cat.http.delete(&path(&bens)).await,
        rotate(&cat.http, &bens, 0).await,
    ] {
        assert_eq!(answer.problem(404), "not_found");
    }
    ben.http.delete(&path(&strong)).await.expect(204);
    assert_eq!(ada.http.get(&path(&bens)).await.expect(200)["api_key"]["name"], "A");
}

#[tokio::test]
async fn a_key_makes_no_keys() {
    let app = TestApp::start().await;
    let [ada, ..] = people(&app).await;
    let own = make(&ada.http, json!({ "name": "own", "scopes": ["app:a"] })).await;
    let strongest = make_for_project(&app, &OF_THE_SERVICE).await;
    for key in [&own, &strongest] {
        let http = app.http.with_bearer(text(key));
        for answer in [
            http.get(KEYS).await,
            http.post(KEYS, json!({ "name": "more" })).await,
            rotate(&http, key, 0).await,
            http.post(ADMIN_KEYS, json!({ "name": "more", "scopes": ["sessions:introspect"] })).await,
            http.get(ADMIN_KEYS).await,
        ] {
            assert_eq!(answer.problem(401), "invalid_token");
        }
    }
    assert_eq!(count(&app, "SELECT count(*) FROM auth.api_keys").await, 2);
}

#[tokio::test]
async fn a_body_that_names_another_owner_is_refused() {
    let app = TestApp::start().await;
    let [ada, ben, _] = people(&app).await;
    let acme = create(&ben, "Bens").await;
    let key = make(&ada.http, json!({ "name": "A" })).await;
    for (member, value) in [
        ("owner", json!({ "type": "user", "id": ben.id })),
        ("user_id", json!(ben.id)),
        ("organization_id", json!(id_of(&acme))),
        ("id", key["id"].clone()),
        ("scopes", json!(["app:pay"])),
    ] {
        let mut body = json!({ "key": text(&key) });
        body[member] = value;
        let answer = app.admin.post(INTROSPECTIONS, body).await;
        answer.problem(422);
        assert_eq!(answer.pointer(), format!("/{member}"));
    }
    for (member, value) in [("owner", json!("project")), ("user_id", json!(ben.id))] {
        let mut body = json!({ "name": "A" });
        body[member] = value;
        assert_eq!(ada.http.post(KEYS, body).await.pointer(), format!("/{member}"));
    }
    // An organization that is not one's own does not exist.
    for organization in [id_of(&acme), "01a2b3c4-d5e6-7f01-8a2b-3c4d5e6f7081"] {
        let body = json!({ "name": "A", "organization_id": organization });
        assert_eq!(ada.http.post(KEYS, body).await.problem(404), "not_found");
        let list = format!("{KEYS}?organization_id={organization}");
        assert_eq!(ada.http.get(&list).await.problem(404), "not_found");
    }
}

#[tokio::test]
async fn whoever_acts_as_somebody_is_left_with_no_key_of_his() {
    let app = TestApp::start().await;
    let [ada, ..] = people(&app).await;
    let key = make(&ada.http, json!({ "name": "A" })).await;
    let at = format!("/v1/admin/users/{}/impersonations", ada.id);
    let acting = app.admin.post(&at, json!({ "actor": "support" })).await.expect(201);
    let acting = app.http.with_bearer(acting["session"]["token"].as_str().unwrap());
    for answer in [
        acting.post(KEYS, json!({ "name": "Mine" })).await,
        acting.patch(&path(&key), json!({ "scopes": ["app:all"] })).await,
        rotate(&acting, &key, 0).await,
    ] {
        assert_eq!(answer.problem(403), "impersonated_session");
    }
    acting.get(&path(&key)).await.expect(200);
    acting.delete(&path(&key)).await.expect(204);
}
