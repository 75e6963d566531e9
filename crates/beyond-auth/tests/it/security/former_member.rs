//! Going on acting for an organization after having been removed from it.

use futures::future::join;
use serde_json::{Value, json};

use super::{count, sql};
use crate::orgs::{create, id_of, join as join_organization, people};
use crate::support::TestApp;
use crate::support::app::PASSWORD;
use crate::support::otp_app::enrol;

const CURRENT: &str = "/v1/sessions/current";
const ACTIVE: &str = "SELECT count(*) FROM auth.sessions WHERE organization_id IS NOT NULL";

#[tokio::test]
async fn removal_ends_it_on_every_device_and_instance_at_once() {
    let app = TestApp::start().await;
    let second = TestApp::on(app.database.clone()).await;
    app.set(json!({ "jwt": { "enabled": true } })).await;
    let [ada, ben, _] = people(&app).await;
    let phone = app.sign_in("ben@example.com", PASSWORD).await;
    let path = create(&ada, "Acme").await;
    join_organization(&app, &path, &ben, "admin").await;
    let switch = json!({ "organization_id": id_of(&path) });
    for http in [&ben.http, &phone.http] {
        http.patch(CURRENT, switch.clone()).await.expect(200);
    }
    ada.http.delete(&format!("{path}/members/{}", ben.id)).await.expect(204);
    for token in [&ben.token, &phone.token] {
        let http = second.http.with_bearer(token);
        assert_eq!(http.get(CURRENT).await.expect(200)["session"]["organization_id"], Value::Null);
        assert_eq!(http.patch(CURRENT, switch.clone()).await.problem(404), "not_found");
        let jwt = http.post("/v1/sessions/current/jwts", json!({})).await.expect(201);
        let claims = jwt["token"].as_str().unwrap().split('.').nth(1).unwrap().to_owned();
        let claims =
            base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, claims).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!(claims.get("org_id"), None);
        http.get(&path).await.problem(404);
    }
}

#[tokio::test]
async fn switching_while_being_removed_leaves_nothing_behind() {
    let app = TestApp::start().await;
    let [ada, ben, _] = people(&app).await;
    let path = create(&ada, "Acme").await;
    for turn in 0..10 {
        join_organization(&app, &path, &ben, "member").await;
        let (removed, switched) = join(
            ada.http.delete(&format!("{path}/members/{}", ben.id)),
            ben.http.patch(CURRENT, json!({ "organization_id": id_of(&path) })),
        )
        .await;
        removed.expect(204);
        assert!([200, 404].contains(&switched.status.as_u16()), "turn {turn}: {}", switched.text);
        assert_eq!(count(&app, ACTIVE).await, 0, "turn {turn}");
    }
}

#[tokio::test]
async fn renewing_while_being_removed_leaves_nothing_behind() {
    let app = TestApp::start().await;
    let [ada, ..] = people(&app).await;
    let path = create(&ada, "Acme").await;
    let ben = app.sign_in("ben@example.com", PASSWORD).await;
    for turn in 0..6 {
        join_organization(&app, &path, &ben, "member").await;
        let body = json!({
            "method": "password", "email": "ben@example.com", "password": PASSWORD, "refresh_token": true
        });
        let signed_in = app.stranger().post("/v1/sessions", body).await.expect(201);
        let http = app.http.with_bearer(signed_in["session"]["token"].as_str().unwrap());
        http.patch(CURRENT, json!({ "organization_id": id_of(&path) })).await.expect(200);
        let body = json!({ "refresh_token": signed_in["refresh_token"]["token"] });
        let stranger = app.stranger();
        let (removed, renewed) = join(
            ada.http.delete(&format!("{path}/members/{}", ben.id)),
            stranger.post("/v1/refresh-tokens/rotations", body),
        )
        .await;
        removed.expect(204);
        renewed.expect(201);
        assert_eq!(count(&app, ACTIVE).await, 0, "turn {turn}");
    }
}

#[tokio::test]
async fn a_renewed_session_that_stands_for_less_does_not_act_for_whoever_asks_for_more() {
    let app = TestApp::start().await;
    let [ada, ..] = people(&app).await;
    let path = create(&ada, "Acme").await;
    let body = json!({
        "method": "password", "email": "ada@example.com", "password": PASSWORD, "refresh_token": true
    });
    let signed_in = app.stranger().post("/v1/sessions", body).await.expect(201);
    let http = app.http.with_bearer(signed_in["session"]["token"].as_str().unwrap());
    let (factor, device) = enrol(&http).await;
    let activation = format!("/v1/users/me/factors/{factor}/activations");
    http.post(&activation, json!({ "code": device.code() })).await.expect(200);
    http.patch(&path, json!({ "policy": { "required_aal": 2 } })).await.expect(200);
    http.patch(CURRENT, json!({ "organization_id": id_of(&path) })).await.expect(200);
    // As if the second factor had been shown after the token was made.
    sql(&app, "UPDATE auth.refresh_families SET aal = 1, amr = '{pwd}', second_verified_at = NULL").await;
    sql(&app, "UPDATE auth.sessions SET verified_at = verified_at + interval '1 second'").await;
    let body = json!({ "refresh_token": signed_in["refresh_token"]["token"] });
    let renewed = app.stranger().post("/v1/refresh-tokens/rotations", body).await.expect(201);
    let expected = if renewed["session"]["aal"] == 2 { json!(id_of(&path)) } else { Value::Null };
    assert_eq!(renewed["session"]["organization_id"], expected);
    assert_eq!(renewed["session"]["aal"], 1);
}

#[tokio::test]
async fn whatever_ends_a_membership_ends_it_for_sessions() {
    let app = TestApp::start().await;
    let [ada, ben, _] = people(&app).await;
    let path = create(&ada, "Acme").await;
    join_organization(&app, &path, &ben, "member").await;
    ben.http.patch(CURRENT, json!({ "organization_id": id_of(&path) })).await.expect(200);
    // The operator with psql.
    sql(&app, "DELETE FROM auth.organization_members WHERE role = 'member'").await;
    assert_eq!(ben.http.get(CURRENT).await.expect(200)["session"]["organization_id"], Value::Null);
}
