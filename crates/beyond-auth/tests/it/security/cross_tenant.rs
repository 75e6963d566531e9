//! Reaching into an organization from another one, from outside, or after having left it.

use http::Method;
use serde_json::{Value, json};

use crate::invitations::invite;
use crate::orgs::{create, id_of, join, people};
use crate::support::TestApp;
use crate::support::client::{Answer, Http};

/// What can be asked of an organization, with bodies that would be accepted.
fn calls(member: &str, role: &str, invitation: &str) -> Vec<(Method, String, Value)> {
    let (get, post, patch, delete) = (Method::GET, Method::POST, Method::PATCH, Method::DELETE);
    vec![
        (get.clone(), String::new(), Value::Null),
        (patch.clone(), String::new(), json!({ "name": "Mine" })),
        (delete.clone(), String::new(), Value::Null),
        (get.clone(), "/members".into(), Value::Null),
        (get.clone(), "/members?limit=1".into(), Value::Null),
        (patch.clone(), format!("/members/{member}"), json!({ "role": "member" })),
        (delete.clone(), format!("/members/{member}"), Value::Null),
        (get.clone(), "/roles".into(), Value::Null),
        (post.clone(), "/roles".into(), json!({ "name": "mine", "permissions": [] })),
        (patch, format!("/roles/{role}"), json!({ "permissions": [] })),
        (delete.clone(), format!("/roles/{role}"), Value::Null),
        (get, "/invitations".into(), Value::Null),
        (post.clone(), "/invitations".into(), json!({ "email": "eve2@example.com", "role": "member" })),
        (delete, format!("/invitations/{invitation}"), Value::Null),
        (post, format!("/invitations/{invitation}/deliveries"), Value::Null),
    ]
}

async fn send(http: &Http, (method, path, body): &(Method, String, Value), at: &str) -> Answer {
    let mut request = http.request(method.clone(), &format!("{at}{path}"));
    if !body.is_null() {
        request = request.json(body);
    }
    http.send(request).await
}

#[tokio::test]
async fn strangers_former_members_and_neighbours_find_nothing_at_all() {
    let app = TestApp::start().await;
    let [ada, ben, eve] = people(&app).await;
    let acme = create(&ada, "Acme").await;
    let role = json!({ "name": "billing", "permissions": ["app:billing"] });
    ada.http.post(&format!("{acme}/roles"), role).await.expect(201);
    let invitation = invite(&ada.http, &acme, "new@example.com", "member").await;
    // A neighbour, and one who was there.
    create(&eve, "Neighbours").await;
    join(&app, &acme, &ben, "owner").await;
    ben.http.delete(&format!("{acme}/members/me")).await.expect(204);

    let nowhere = "/v1/organizations/01a2b3c4-d5e6-7f01-8a2b-3c4d5e6f7081";
    for call in calls(&ada.id, "billing", &invitation) {
        for person in [&eve, &ben] {
            for at in [acme.as_str(), "/v1/organizations/acme", nowhere] {
                let answer = send(&person.http, &call, at).await;
                assert_eq!(answer.problem(404), "not_found", "{} {at}{}", call.0, call.1);
                // Word for word what is said of something that does not exist.
                let (mut one, mut none) = (answer.json(), send(&person.http, &call, nowhere).await.json());
                one["request_id"].take();
                none["request_id"].take();
                assert_eq!(one, none);
            }
        }
    }
    let current = "/v1/sessions/current";
    let switched = eve.http.patch(current, json!({ "organization_id": id_of(&acme) })).await;
    assert_eq!(switched.problem(404), "not_found");
    assert_eq!(ada.http.get(&acme).await.expect(200)["organization"]["name"], "Acme");
    assert_eq!(eve.http.get("/v1/organizations").await.expect(200)["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_owner_reaches_nothing_of_another_organization_through_his_own() {
    let app = TestApp::start().await;
    let [ada, _, eve] = people(&app).await;
    let (acme, own) = (create(&ada, "Acme").await, create(&eve, "Own").await);
    let role = json!({ "name": "billing", "permissions": ["app:billing"] });
    ada.http.post(&format!("{acme}/roles"), role).await.expect(201);
    let invitation = invite(&ada.http, &acme, "new@example.com", "member").await;
    for call in calls(&ada.id, "billing", &invitation) {
        let foreign = [&ada.id, "billing", &invitation].into_iter().any(|id| call.1.contains(id));
        if foreign {
            let answer = send(&eve.http, &call, &own).await;
            assert_eq!(answer.problem(404), "not_found", "{} {}", call.0, call.1);
        }
    }
    // Nor can a role of another organization be given.
    let answer = eve.http.patch(&format!("{own}/members/me"), json!({ "role": "billing" })).await;
    assert_eq!(answer.pointer(), "/role");
    let body = json!({ "email": "new@example.com", "role": "billing" });
    assert_eq!(eve.http.post(&format!("{own}/invitations"), body).await.pointer(), "/role");
    assert_eq!(
        ada.http.get(&format!("{acme}/invitations")).await.expect(200)["data"][0]["id"],
        json!(invitation)
    );
}

#[tokio::test]
async fn a_mere_member_does_nothing_that_takes_a_permission() {
    let app = TestApp::start().await;
    let [ada, ben, _] = people(&app).await;
    let acme = create(&ada, "Acme").await;
    let role = json!({ "name": "billing", "permissions": ["app:billing"] });
    ada.http.post(&format!("{acme}/roles"), role).await.expect(201);
    let invitation = invite(&ada.http, &acme, "new@example.com", "member").await;
    join(&app, &acme, &ben, "member").await;
    for call in calls(&ada.id, "billing", &invitation) {
        let reads = call.0 == Method::GET && !call.1.contains("invitations");
        let answer = send(&ben.http, &call, &acme).await;
        if reads {
            answer.expect(200);
        } else {
            assert_eq!(answer.problem(403), "missing_permission", "{} {}", call.0, call.1);
        }
    }
}
