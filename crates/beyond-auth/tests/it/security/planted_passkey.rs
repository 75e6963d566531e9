//! Adding a passkey of one's own to somebody's account, to come back with.

use serde_json::json;

use super::count;
use crate::passkeys::{OPTIONS, REGISTRATION_OPTIONS, STEP_UP, hand_over, register, registration};
use crate::support::TestApp;
use crate::support::app::{PASSWORD, Person};
use crate::support::authenticator::Authenticator;
use crate::support::otp_app::enrol;

/// A passkey is two factors by itself: planted with one factor, it would be the way around the second.
#[tokio::test]
async fn a_session_of_one_factor_adds_none_where_the_account_has_two() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let pending = registration(&ada.http).await;
    let (factor, device) = enrol(&ada.http).await;
    let path = format!("/v1/users/me/factors/{factor}/activations");
    ada.http.post(&path, json!({ "code": device.code() })).await.expect(200);

    // As if the session were an older one that the factor has not ended; the options are from before it.
    crate::support::sql::run(&app, "UPDATE auth.sessions SET aal = 1, second_verified_at = NULL").await;
    let credential = Authenticator::new(&app).register(&pending);
    let refused = hand_over(&ada.http, &pending, credential).await;
    assert_eq!(refused.problem(401), "insufficient_user_authentication");
    // And the thief knows the password.
    let body = json!({ "method": "password", "password": PASSWORD });
    let stepped = ada.http.post(STEP_UP, body).await.expect(200);
    let thief = app.http.with_bearer(stepped["session"]["token"].as_str().unwrap());
    let refused = thief.post(REGISTRATION_OPTIONS, json!({})).await;
    assert_eq!(refused.problem(401), "insufficient_user_authentication");
    assert_eq!(refused.json()["acr_values"], "aal2");
    assert!(refused.header("www-authenticate").contains("acr_values=\"aal2\""));
    assert_eq!(count(&app, "SELECT count(*) FROM auth.passkeys").await, 0);

    // Whoever has the second factor shows it first.
    app.forget_steps().await;
    let body = json!({ "method": "totp", "code": device.code() });
    let stepped = thief.post(STEP_UP, body).await.expect(200);
    registration(&app.http.with_bearer(stepped["session"]["token"].as_str().unwrap())).await;
}

#[tokio::test]
async fn who_acts_as_somebody_adds_none_and_presents_none() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let mut phone = Authenticator::new(&app);
    register(&ada, &mut phone).await;
    let path = format!("/v1/admin/users/{}/impersonations", ada.id);
    let acting = app.admin.post(&path, json!({ "actor": "support" })).await.expect(201);
    let token = acting["session"]["token"].as_str().unwrap().to_owned();
    let acting = Person { http: app.http.with_bearer(&token), token, ..ada };
    let refused = acting.http.post(REGISTRATION_OPTIONS, json!({})).await;
    assert_eq!(refused.problem(403), "impersonated_session");
    let offered = acting.http.post(OPTIONS, json!({ "step_up": true })).await.expect(200);
    let body = json!({
        "method": "passkey",
        "challenge_id": offered["challenge_id"],
        "credential": phone.assert(&offered),
    });
    assert_eq!(acting.http.post(STEP_UP, body).await.problem(403), "impersonated_session");
}
