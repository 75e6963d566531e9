//! Getting, giving or taking away more in an organization than one's own role holds.

use serde_json::{Value, json};

use super::{count, sql};
use crate::invitations::invite;
use crate::orgs::{create, join, people, promote};
use crate::support::TestApp;
use crate::support::app::Person;

/// Ada owns; Ben holds `helper`, which may do a good deal; Cat is a member.
async fn with_a_helper(app: &TestApp) -> (String, [Person; 3]) {
    let people = people(app).await;
    let path = create(&people[0], "Acme").await;
    let helper = json!({ "name": "helper", "permissions": [
        "members:read", "members:update", "members:remove", "roles:manage", "invitations:read", "invitations:create",
        "invitations:cancel", "app:help"
    ]});
    people[0].http.post(&format!("{path}/roles"), helper).await.expect(201);
    join(app, &path, &people[1], "member").await;
    join(app, &path, &people[2], "member").await;
    promote(&people[0].http, &path, &people[1], "helper").await;
    (path, people)
}

#[tokio::test]
async fn nobody_makes_himself_or_a_friend_more_than_he_is() {
    let app = TestApp::start().await;
    let (path, [ada, ben, cat]) = with_a_helper(&app).await;
    let exceeds = async |path: String, body: Value| {
        assert_eq!(ben.http.patch(&path, body).await.problem(403), "role_exceeds_own");
    };
    for role in ["owner", "admin"] {
        for member in ["me", cat.id.as_str()] {
            exceeds(format!("{path}/members/{member}"), json!({ "role": role })).await;
        }
        let body = json!({ "email": "friend@example.com", "role": role });
        let invited = ben.http.post(&format!("{path}/invitations"), body).await;
        assert_eq!(invited.problem(403), "role_exceeds_own");
    }
    for permission in ["app:other", "organization:update", "policy:manage", "api_keys:manage"] {
        let body = json!({ "name": "more", "permissions": ["members:read", permission] });
        let made = ben.http.post(&format!("{path}/roles"), body).await;
        assert_eq!(made.problem(403), "role_exceeds_own", "{permission}");
        exceeds(format!("{path}/roles/helper"), json!({ "permissions": [permission] })).await;
    }
    // What he holds he may give.
    let body = json!({ "name": "less", "permissions": ["members:read", "app:help"] });
    ben.http.post(&format!("{path}/roles"), body).await.expect(201);
    promote(&ben.http, &path, &cat, "less").await;
    ada.http.get(&path).await.expect(200);
    assert_eq!(count(&app, "SELECT count(*) FROM auth.organization_members WHERE role = 'owner'").await, 1);
}

#[tokio::test]
async fn a_session_that_was_stolen_later_hands_the_organization_to_nobody() {
    let app = TestApp::start().await;
    let (path, [ada, ben, cat]) = with_a_helper(&app).await;
    let owner = json!({ "role": "owner" });
    ada.http.patch(&format!("{path}/members/{}", cat.id), owner.clone()).await.expect(200);
    let invitation = json!({ "email": "accomplice@example.com", "role": "owner" });
    let invited = ada.http.post(&format!("{path}/invitations"), invitation).await.expect(201);
    let again = format!("{path}/invitations/{}/deliveries", invited["invitation"]["id"].as_str().unwrap());

    sql(&app, "UPDATE auth.sessions SET verified_at = now() - interval '11 minutes'").await;
    for answer in [
        ada.http.patch(&format!("{path}/members/{}", ben.id), owner.clone()).await,
        ada.http.patch(&format!("{path}/members/{}", cat.id), json!({ "role": "member" })).await,
        ada.http.delete(&format!("{path}/members/{}", cat.id)).await,
        ada.http
            .post(&format!("{path}/invitations"), json!({ "email": "b@example.com", "role": "owner" }))
            .await,
        ada.http.post(&again, json!({})).await,
    ] {
        assert_eq!(answer.problem(401), "insufficient_user_authentication");
    }
    // Whoever acts as her does neither.
    let acting = app
        .admin
        .post(&format!("/v1/admin/users/{}/impersonations", ada.id), json!({ "actor": "support" }))
        .await;
    let acting = app.http.with_bearer(acting.expect(201)["session"]["token"].as_str().unwrap());
    let refused = acting.patch(&format!("{path}/members/{}", ben.id), owner).await;
    assert_eq!(refused.problem(403), "impersonated_session");
    // Everything else goes on, leaving included.
    promote(&ada.http, &path, &ben, "admin").await;
    ada.http.delete(&format!("{path}/members/me")).await.expect(204);
}

#[tokio::test]
async fn nobody_touches_whoever_or_whatever_is_above_him() {
    let app = TestApp::start().await;
    let (path, [ada, ben, cat]) = with_a_helper(&app).await;
    promote(&ada.http, &path, &cat, "admin").await;
    let above = json!({ "name": "above", "permissions": ["app:help", "app:secret"] });
    ada.http.post(&format!("{path}/roles"), above).await.expect(201);
    for member in [&ada, &cat] {
        let member = format!("{path}/members/{}", member.id);
        let demoted = ben.http.patch(&member, json!({ "role": "member" })).await;
        assert_eq!(demoted.problem(403), "role_exceeds_own");
        assert_eq!(ben.http.delete(&member).await.problem(403), "role_exceeds_own");
    }
    // Not even by taking something away from it.
    let role = format!("{path}/roles/above");
    assert_eq!(ben.http.patch(&role, json!({ "permissions": [] })).await.problem(403), "role_exceeds_own");
    assert_eq!(ben.http.delete(&role).await.problem(403), "role_exceeds_own");
    let adas = format!("{path}/members/{}", ada.id);
    assert_eq!(cat.http.patch(&adas, json!({ "role": "admin" })).await.problem(403), "role_exceeds_own");
    assert_eq!(cat.http.delete(&path).await.problem(403), "missing_permission");
    let policy = json!({ "policy": { "required_aal": 1 } });
    assert_eq!(cat.http.patch(&path, policy).await.problem(403), "missing_permission");
    // An invitation to more than he holds he cannot make his own by sending it again.
    let id = invite(&ada.http, &path, "new@example.com", "admin").await;
    let again = ben.http.post(&format!("{path}/invitations/{id}/deliveries"), json!({})).await;
    assert_eq!(again.problem(403), "role_exceeds_own");
}

#[tokio::test]
async fn a_role_that_was_just_taken_away_gives_nothing_any_more() {
    let app = TestApp::start().await;
    let (path, [ada, ben, cat]) = with_a_helper(&app).await;
    for turn in 0..8 {
        promote(&ada.http, &path, &ben, "helper").await;
        let member = format!("{path}/members/{}", cat.id);
        let (demoted, gave) = futures::future::join(
            ada.http.patch(&format!("{path}/members/{}", ben.id), json!({ "role": "member" })),
            ben.http.patch(&member, json!({ "role": "helper" })),
        )
        .await;
        assert_eq!(demoted.status, 200);
        assert!([200, 403].contains(&gave.status.as_u16()), "turn {turn}: {}", gave.text);
        let later = ben.http.patch(&member, json!({ "role": "helper" })).await;
        assert_eq!(later.problem(403), "missing_permission");
    }
}

#[tokio::test]
async fn members_that_the_service_owns_are_refused() {
    let app = TestApp::start().await;
    let (path, [ada, ben, _]) = with_a_helper(&app).await;
    let member = format!("{path}/members/{}", ben.id);
    for (path, body, pointer) in [
        (path.clone(), json!({ "name": "A", "role": "owner" }), "/role"),
        (path.clone(), json!({ "id": ada.id }), "/id"),
        (path.clone(), json!({ "permissions": ["app:*"] }), "/permissions"),
        (member.clone(), json!({ "role": "member", "user_id": ada.id }), "/user_id"),
        (member.clone(), json!({ "role": "member", "organization_id": ada.id }), "/organization_id"),
        (member, json!({ "role": "member", "permissions": [] }), "/permissions"),
        (format!("{path}/roles/helper"), json!({ "built_in": true }), "/built_in"),
    ] {
        let answer = ada.http.patch(&path, body).await;
        assert_eq!(answer.problem(422), "validation_failed");
        assert_eq!(answer.pointer(), pointer);
    }
}
