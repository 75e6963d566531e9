//! Invitations into organizations, from the mail to the membership.

use serde_json::{Value, json};

use crate::orgs::{create, join, people};
use crate::support::TestApp;
use crate::support::client::{Answer, Http};
use crate::support::mailed::{kind_to, next_to, token_in};
use crate::support::sql;

/// Invites an address; answers the invitation's id.
pub async fn invite(by: &Http, path: &str, email: &str, role: &str) -> String {
    let body = json!({ "email": email, "role": role });
    let made = by.post(&format!("{path}/invitations"), body).await.expect(201);
    assert_eq!(made["invitation"]["email"], email);
    made["invitation"]["id"].as_str().unwrap().to_owned()
}

/// The token that was mailed to an address.
pub async fn invitation_token(app: &TestApp, email: &str) -> String {
    token_in(&*kind_to(app, email, "inv_").await)
}

/// Accepts an invitation.
pub async fn redeem(http: &Http, token: &str) -> Answer {
    http.post("/v1/invitations/redemptions", json!({ "token": token })).await
}

/// Asks what an invitation is for.
pub async fn describe(http: &Http, token: &str) -> Answer {
    http.post("/v1/invitations/introspections", json!({ "token": token })).await
}

#[tokio::test]
async fn somebody_with_an_account_is_invited_and_joins() {
    let app = TestApp::start().await;
    let [ada, ben, _] = people(&app).await;
    let path = create(&ada, "Acme").await;
    let id = invite(&ada.http, &path, "ben@example.com", "admin").await;
    let mail = kind_to(&app, "ben@example.com", "inv_").await;
    assert!(mail.subject.starts_with("ada@example.com invites you to Acme at "), "{}", mail.subject);
    let token = token_in(&mail);

    let described = describe(&app.stranger(), &token).await.expect(200)["invitation"].clone();
    let received = ben.http.get("/v1/users/me/invitations").await.expect(200);
    assert_eq!(received["data"], json!([described]));
    assert_eq!(described["organization"], json!({ "name": "Acme", "slug": "acme" }));
    assert_eq!((&described["role"], &described["invited_by"]), (&json!("admin"), &json!("ada@example.com")));

    let joined = redeem(&ben.http, &token).await.expect(200);
    assert_eq!(
        (&joined["organization"]["slug"], &joined["organization"]["role"]),
        (&json!("acme"), &json!("admin"))
    );
    assert_eq!(redeem(&ben.http, &token).await.problem(400), "invalid_invitation");
    assert_eq!(describe(&app.stranger(), &token).await.problem(400), "invalid_invitation");
    assert_eq!(ada.http.get(&format!("{path}/invitations")).await.expect(200)["data"], json!([]));
    assert_eq!(ada.http.delete(&format!("{path}/invitations/{id}")).await.problem(404), "not_found");
    let body = json!({ "email": "Ben@Example.com", "role": "member" });
    let again = ada.http.post(&format!("{path}/invitations"), body).await;
    assert_eq!(again.problem(409), "already_member");
    for action in ["invitation.created", "invitation.accepted"] {
        let query = format!("SELECT count(*) FROM auth.audit_events WHERE action = '{action}'");
        assert_eq!(sql::number(&app, &query).await, 1, "{action}");
    }
}

#[tokio::test]
async fn somebody_without_an_account_signs_up_and_then_joins() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let path = create(&ada, "Acme").await;
    invite(&ada.http, &path, "new@example.com", "member").await;
    let token = invitation_token(&app, "new@example.com").await;
    app.mailbox.clear();
    let new = app.person("new@example.com").await;
    let received = new.http.get("/v1/users/me/invitations").await.expect(200);
    assert_eq!(received["data"].as_array().unwrap().len(), 1);
    redeem(&new.http, &token).await.expect(200);
    assert_eq!(new.http.get(&path).await.expect(200)["organization"]["role"], "member");
}

#[tokio::test]
async fn an_invitation_is_declined_taken_back_or_sent_again() {
    let app = TestApp::start().await;
    let [ada, ben, cat] = people(&app).await;
    let path = create(&ada, "Acme").await;
    let id = invite(&ada.http, &path, "ben@example.com", "member").await;
    let body = json!({ "email": "BEN@example.com", "role": "admin" });
    let twice = ada.http.post(&format!("{path}/invitations"), body).await;
    assert_eq!(twice.problem(409), "already_invited");
    let declines = format!("/v1/invitations/{id}/declines");
    assert_eq!(cat.http.post(&declines, json!({})).await.problem(404), "not_found");
    ben.http.post(&declines, json!({})).await.expect(204);
    assert_eq!(ben.http.post(&declines, json!({})).await.problem(404), "not_found");

    let id = invite(&ada.http, &path, "ben@example.com", "member").await;
    ada.http.delete(&format!("{path}/invitations/{id}")).await.expect(204);
    let id = invite(&ada.http, &path, "cat@example.com", "member").await;
    let first = kind_to(&app, "cat@example.com", "inv_").await;
    let deliveries = format!("{path}/invitations/{id}/deliveries");
    ada.http.post(&deliveries, json!({})).await.expect(202);
    let second = next_to(&app, "cat@example.com", "inv_", &first).await;
    assert_ne!(token_in(&first), token_in(&second));
    redeem(&cat.http, &token_in(&second)).await.expect(200);
    ada.http.post(&deliveries, json!({})).await.problem(404);
}

#[tokio::test]
async fn an_expired_invitation_can_be_sent_again_or_made_anew() {
    let app = TestApp::start().await;
    let [ada, ben, _] = people(&app).await;
    let path = create(&ada, "Acme").await;
    let id = invite(&ada.http, &path, "ben@example.com", "member").await;
    let first = kind_to(&app, "ben@example.com", "inv_").await;
    let expire = "UPDATE auth.organization_invitations SET expires_at = now() - interval '1 second'";
    sql::run(&app, expire).await;
    assert_eq!(ben.http.get("/v1/users/me/invitations").await.expect(200)["data"], json!([]));
    ada.http.post(&format!("{path}/invitations/{id}/deliveries"), json!({})).await.expect(202);
    let second = next_to(&app, "ben@example.com", "inv_", &first).await;
    describe(&app.stranger(), &token_in(&second)).await.expect(200);
    sql::run(&app, expire).await;
    let anew = invite(&ada.http, &path, "ben@example.com", "admin").await;
    assert_ne!(anew, id);
    let third = next_to(&app, "ben@example.com", "inv_", &second).await;
    redeem(&ben.http, &token_in(&third)).await.expect(200);
}

#[tokio::test]
async fn whoever_invites_learns_nothing_about_accounts() {
    let app = TestApp::start().await;
    let [ada, _, cat] = people(&app).await;
    let path = create(&ada, "Acme").await;
    crate::support::mailed::add_proven(&app, &cat.http, "second@example.com").await;
    join(&app, &path, &cat, "member").await;
    let mut seen = Vec::new();
    // Known, unknown, and one that a member keeps to herself.
    for email in ["ben@example.com", "nobody@example.com", "second@example.com"] {
        let body = json!({ "email": email, "role": "member" });
        let answer = ada.http.post(&format!("{path}/invitations"), body).await;
        let mut body = answer.expect(201);
        for name in ["id", "email", "created_at", "expires_at"] {
            body["invitation"][name] = Value::Null;
        }
        seen.push((answer.status, answer.headers.len(), body));
    }
    assert!(seen.iter().all(|one| *one == seen[0]), "{seen:?}");
    // Only who accepts finds out.
    let token = invitation_token(&app, "second@example.com").await;
    assert_eq!(redeem(&cat.http, &token).await.problem(409), "already_member");
}

#[tokio::test]
async fn invitations_are_limited_by_mailbox_and_by_organization() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let (one, other) = (create(&ada, "One").await, create(&ada, "Other").await);
    let id = invite(&ada.http, &one, "new@example.com", "member").await;
    for _ in 0..4 {
        ada.http.post(&format!("{one}/invitations/{id}/deliveries"), json!({})).await.expect(202);
    }
    let body = json!({ "email": "new@example.com", "role": "member" });
    let answer = ada.http.post(&format!("{other}/invitations"), body).await;
    assert_eq!(answer.problem(429), "too_many_requests");
    sql::run(&app, "UPDATE auth.attempt_limits SET hits = 100 WHERE hits = 5").await;
    let body = json!({ "email": "else@example.com", "role": "member" });
    ada.http.post(&format!("{one}/invitations"), body).await.problem(429);
}

#[tokio::test]
async fn what_is_asked_for_is_checked() {
    let app = TestApp::start().await;
    let [ada, ben, _] = people(&app).await;
    let path = create(&ada, "Acme").await;
    join(&app, &path, &ben, "member").await;
    let invitations = format!("{path}/invitations");
    for (body, pointer) in [
        (json!({ "email": "x", "role": "member" }), "/email"),
        (json!({ "email": "new@example.com", "role": "boss" }), "/role"),
        (json!({ "email": "new@example.com" }), "/role"),
        (json!({ "email": "new@example.com", "role": "member", "token": "x" }), "/token"),
    ] {
        assert_eq!(ada.http.post(&invitations, body).await.pointer(), pointer);
    }
    let body = json!({ "email": "new@example.com", "role": "member" });
    let refused = ben.http.post(&invitations, body).await;
    assert_eq!(
        (refused.problem(403), &refused.json()["permission"]),
        ("missing_permission".into(), &json!("invitations:create"))
    );
    ben.http.get(&invitations).await.problem(403);
    for token in
        ["", "inv_x", "ev_01a2b3c4d5e67f018a2b3c4d5e6f7081_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]
    {
        assert_eq!(redeem(&ben.http, token).await.problem(400), "invalid_invitation");
    }
}
