//! Getting into an organization by an invitation that is for somebody else, spent, replaced, taken back or disowned.

use futures::future::join_all;
use serde_json::json;

use super::{count, sql};
use crate::invitations::{describe, invitation_token, invite, redeem};
use crate::orgs::{create, join, people, promote};
use crate::support::TestApp;
use crate::support::app::PASSWORD;
use crate::support::mailed::{add, kind_to, next_to, token_in};

const MEMBERS: &str = "SELECT count(*) FROM auth.organization_members";

#[tokio::test]
async fn whoever_has_not_proven_the_address_gets_nothing_for_the_token() {
    let app = TestApp::start().await;
    let [ada, ben, cat] = people(&app).await;
    let path = create(&ada, "Acme").await;
    invite(&ada.http, &path, "ben@example.com", "admin").await;
    let token = invitation_token(&app, "ben@example.com").await;
    assert_eq!(redeem(&cat.http, &token).await.problem(403), "other_address");
    // A claim is no proof.
    add(&cat.http, "ben@example.com").await;
    assert_eq!(redeem(&cat.http, &token).await.problem(403), "other_address");
    assert_eq!(redeem(&app.stranger(), &token).await.problem(401), "missing_credentials");
    // Nor is the operator's word for it that somebody is Ben.
    let acting = format!("/v1/admin/users/{}/impersonations", ben.id);
    let acting = app.admin.post(&acting, json!({ "actor": "support" })).await.expect(201);
    let acting = app.http.with_bearer(acting["session"]["token"].as_str().unwrap());
    assert_eq!(redeem(&acting, &token).await.problem(403), "impersonated_session");
    assert_eq!(count(&app, MEMBERS).await, 1);
    redeem(&ben.http, &token).await.expect(200);
}

#[tokio::test]
async fn an_account_that_was_planted_for_the_address_does_not_get_in() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let path = create(&ada, "Acme").await;
    invite(&ada.http, &path, "new@example.com", "admin").await;
    let token = invitation_token(&app, "new@example.com").await;
    app.set(json!({ "sign_up": { "require_verification": false } })).await;
    let body = json!({ "email": "new@example.com", "password": PASSWORD });
    let planted = app.stranger().post("/v1/users", body).await.expect(201);
    let planted = app.http.with_bearer(planted["session"]["token"].as_str().unwrap());
    assert_eq!(redeem(&planted, &token).await.problem(403), "other_address");
    assert_eq!(planted.get("/v1/users/me/invitations").await.expect(200)["data"], json!([]));
    assert_eq!(count(&app, MEMBERS).await, 1);
}

#[tokio::test]
async fn of_fifty_acceptances_on_two_instances_exactly_one_succeeds() {
    let app = TestApp::start().await;
    let second = TestApp::on(app.database.clone()).await;
    let [ada, ben, _] = people(&app).await;
    let path = create(&ada, "Acme").await;
    invite(&ada.http, &path, "ben@example.com", "member").await;
    let token = invitation_token(&app, "ben@example.com").await;
    let answers = join_all((0..50).map(async |turn| {
        let http = if turn % 2 == 0 { app.stranger() } else { second.stranger() };
        redeem(&http.with_bearer(&ben.token), &token).await
    }))
    .await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        assert_eq!(answer.problem(400), "invalid_invitation");
    }
    assert_eq!(count(&app, MEMBERS).await, 2);
    assert_eq!(
        count(&app, "SELECT count(*) FROM auth.audit_events WHERE action = 'invitation.accepted'").await,
        1
    );
}

#[tokio::test]
async fn a_token_that_was_replaced_taken_back_declined_or_has_expired_opens_nothing() {
    let app = TestApp::start().await;
    let [ada, ben, _] = people(&app).await;
    let path = create(&ada, "Acme").await;
    let id = invite(&ada.http, &path, "ben@example.com", "member").await;
    let first = kind_to(&app, "ben@example.com", "inv_").await;
    let at = format!("{path}/invitations/{id}");
    ada.http.post(&format!("{at}/deliveries"), json!({})).await.expect(202);
    let second = next_to(&app, "ben@example.com", "inv_", &first).await;
    let dead = async |token: &str| {
        assert_eq!(redeem(&ben.http, token).await.problem(400), "invalid_invitation");
        assert_eq!(describe(&app.stranger(), token).await.problem(400), "invalid_invitation");
    };
    dead(&token_in(&first)).await;
    describe(&app.stranger(), &token_in(&second)).await.expect(200);
    sql(&app, "UPDATE auth.organization_invitations SET expires_at = now() - interval '1 second'").await;
    dead(&token_in(&second)).await;

    sql(&app, "UPDATE auth.organization_invitations SET expires_at = now() + interval '1 day'").await;
    ada.http.delete(&at).await.expect(204);
    dead(&token_in(&second)).await;
    let id = invite(&ada.http, &path, "ben@example.com", "member").await;
    let third = next_to(&app, "ben@example.com", "inv_", &second).await;
    ben.http.post(&format!("/v1/invitations/{id}/declines"), json!({})).await.expect(204);
    dead(&token_in(&third)).await;
    assert_eq!(count(&app, MEMBERS).await, 1);
}

#[tokio::test]
async fn an_invitation_is_worth_no_more_than_its_inviter_when_it_is_accepted() {
    let app = TestApp::start().await;
    let [ada, ben, cat] = people(&app).await;
    let path = create(&ada, "Acme").await;
    join(&app, &path, &ben, "admin").await;
    invite(&ben.http, &path, "cat@example.com", "admin").await;
    let token = invitation_token(&app, "cat@example.com").await;
    let refused = async || {
        assert_eq!(redeem(&cat.http, &token).await.problem(400), "invalid_invitation");
        assert_eq!(
            count(&app, "SELECT count(*) FROM auth.organization_members WHERE role = 'admin'").await,
            0
        );
    };
    promote(&ada.http, &path, &ben, "member").await;
    refused().await;
    // May invite, but not as admin.
    let inviter = json!({ "name": "inviter", "permissions": ["invitations:create", "members:read"] });
    ada.http.post(&format!("{path}/roles"), inviter).await.expect(201);
    promote(&ada.http, &path, &ben, "inviter").await;
    refused().await;
    ada.http.delete(&format!("{path}/members/{}", ben.id)).await.expect(204);
    refused().await;
    join(&app, &path, &ben, "owner").await;
    app.admin.put(&format!("/v1/admin/users/{}/ban", ben.id), json!({})).await.expect(200);
    refused().await;
    app.admin.delete(&format!("/v1/admin/users/{}/ban", ben.id)).await.expect(204);
    // Entitled again.
    describe(&app.stranger(), &token).await.expect(200);
    app.admin.delete(&format!("/v1/admin/users/{}", ben.id)).await.expect(204);
    refused().await;
}

#[tokio::test]
async fn a_role_that_grew_since_does_not_come_with_an_older_invitation() {
    let app = TestApp::start().await;
    let [ada, ben, cat] = people(&app).await;
    let path = create(&ada, "Acme").await;
    let roles = format!("{path}/roles");
    let small = ["invitations:create", "app:a"];
    ada.http.post(&roles, json!({ "name": "inviter", "permissions": small })).await.expect(201);
    ada.http.post(&roles, json!({ "name": "guest", "permissions": ["app:a"] })).await.expect(201);
    join(&app, &path, &ben, "member").await;
    promote(&ada.http, &path, &ben, "inviter").await;
    invite(&ben.http, &path, "cat@example.com", "guest").await;
    let token = invitation_token(&app, "cat@example.com").await;
    let grown = json!({ "permissions": ["app:a", "app:b"] });
    ada.http.patch(&format!("{roles}/guest"), grown).await.expect(200);
    assert_eq!(redeem(&cat.http, &token).await.problem(400), "invalid_invitation");
    let described = describe(&app.stranger(), &token).await.expect(200);
    assert_eq!(described["invitation"]["role"], "guest");
}
