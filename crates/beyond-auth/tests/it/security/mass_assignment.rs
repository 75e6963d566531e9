//! Setting what only the service may set, by naming it.

use http::Method;
use serde_json::{Value, json};

use crate::support::TestApp;
use crate::support::app::PASSWORD;

/// Members that exist somewhere in the service and are nobody's to send.
const SERVER_OWNED: [&str; 24] = [
    "id",
    "user_id",
    "created_at",
    "updated_at",
    "verified_at",
    "email_verified",
    "emailVerified",
    "banned_at",
    "ban_expires_at",
    "ban_reason",
    "has_password",
    "password_hash",
    "hash",
    "used_unproven",
    "is_admin",
    "admin",
    "role",
    "scopes",
    "aal",
    "amr",
    "expires_at",
    "organization_id",
    "app_metadata",
    "__proto__",
];

async fn refuses(http: &crate::support::client::Http, method: Method, path: &str, body: &Value) {
    for member in SERVER_OWNED {
        if body.get(member).is_some() {
            continue;
        }
        for value in [json!(true), json!("00000000-0000-7000-8000-000000000000"), json!(null)] {
            let mut body = body.clone();
            body[member] = value;
            let answer = http.send(http.request(method.clone(), path).json(&body)).await;
            assert_eq!(answer.problem(422), "validation_failed", "{method} {path} {member}");
            assert_eq!(answer.pointer(), format!("/{member}"), "{method} {path}");
            assert_eq!(answer.json()["errors"][0]["code"], "unknown_field");
        }
    }
}

#[tokio::test]
async fn members_that_the_service_owns_are_refused_and_nothing_changes() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let before = ada.http.get("/v1/users/me").await.expect(200);
    let email = json!({ "email": "eve@example.com", "password": PASSWORD });
    let sign_in = json!({ "method": "password", "email": "ada@example.com", "password": PASSWORD });
    let change = json!({ "current_password": PASSWORD, "password": "nine loud mountains" });
    let post = Method::POST;
    refuses(&app.http, post.clone(), "/v1/users", &email).await;
    // Each would count as an attempt from the same address.
    for member in SERVER_OWNED {
        let mut body = sign_in.clone();
        body[member] = json!(true);
        assert_eq!(app.stranger().post("/v1/sessions", body).await.pointer(), format!("/{member}"));
    }
    refuses(&ada.http, Method::PATCH, "/v1/users/me", &json!({ "name": "Ada" })).await;
    refuses(&ada.http, Method::PUT, "/v1/users/me/password", &change).await;
    let token = json!({ "token": "ev_x" });
    refuses(&app.http, post.clone(), "/v1/email-verifications/redemptions", &token).await;
    refuses(&app.http, post, "/v1/password-checks", &json!({ "password": PASSWORD })).await;
    assert_eq!(ada.http.get("/v1/users/me").await.expect(200), before);
    assert_eq!(app.admin.get("/v1/admin/users").await.expect(200)["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_operator_cannot_set_them_by_accident_either() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let user = format!("/v1/admin/users/{}", ada.id);
    for member in SERVER_OWNED {
        for (method, path, mut body) in [
            (Method::POST, "/v1/admin/users", json!({ "email": "eve@example.com", "email_verified": true })),
            (Method::PATCH, user.as_str(), json!({ "name": "Ada" })),
            (Method::PATCH, "/v1/admin/settings", json!({})),
        ] {
            if body.get(member).is_some() {
                continue;
            }
            body[member] = json!(true);
            let answer = app.admin.send(app.admin.request(method, path).json(&body)).await;
            answer.problem(422);
            assert_eq!(answer.pointer(), format!("/{member}"), "{path}");
        }
    }
    // What a person may write about herself is hers, and gives no rights.
    let metadata = json!({ "metadata": { "role": "admin", "email_verified": false } });
    let user = ada.http.patch("/v1/users/me", metadata).await.expect(200)["user"].clone();
    assert_eq!(user["email_verified"], true);
    ada.http.get("/v1/admin/users").await.problem(401);
}

#[tokio::test]
async fn parameters_that_do_not_exist_are_refused() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    for path in ["/v1/sessions?user_id=x", "/v1/sessions?limit=1&all=true"] {
        assert_eq!(ada.http.get(path).await.problem(422), "validation_failed", "{path}");
    }
    assert_eq!(ada.http.delete("/v1/sessions?scope=all&user_id=x").await.problem(422), "validation_failed");
    assert_eq!(ada.http.delete("/v1/sessions").await.problem(422), "validation_failed");
    assert_eq!(app.admin.get("/v1/admin/users?role=admin").await.problem(422), "validation_failed");
    ada.http.get("/v1/sessions/current").await.expect(200);
}
