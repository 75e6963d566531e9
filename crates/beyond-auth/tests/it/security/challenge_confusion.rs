//! Taking a challenge that was made for one thing, and one person, for another.

use serde_json::{Value, json};

use super::{WRONG_PASSWORD, shape, sign_in as sign_in_by_password};
use crate::passkeys::{OPTIONS, STEP_UP, hand_over, options, present, register, registration, sign_in};
use crate::support::TestApp;
use crate::support::app::{PASSWORD, Person};
use crate::support::authenticator::Authenticator;
use crate::support::client::Http;

/// Options for the second factor of a new attempt.
async fn second_factor(http: &Http, person: &Person) -> (String, Value) {
    let due = sign_in_by_password(http, &person.email, PASSWORD).await.expect(202);
    let token = due["attempt"]["token"].as_str().unwrap().to_owned();
    let offered = http.post(OPTIONS, json!({ "attempt_token": token })).await.expect(200);
    (token, offered)
}

async fn step_up(person: &Person) -> Value {
    person.http.post(OPTIONS, json!({ "step_up": true })).await.expect(200)
}

fn body(offered: &Value, credential: &Value) -> Value {
    json!({ "method": "passkey", "challenge_id": offered["challenge_id"], "credential": credential })
}

#[tokio::test]
async fn a_challenge_serves_what_it_was_made_for_and_nothing_else() {
    let app = TestApp::start().await;
    let (ada, eve) = (app.person("ada@example.com").await, app.person("eve@example.com").await);
    let adas_other = app.sign_in("ada@example.com", PASSWORD).await;
    let (mut phone, mut eves) = (Authenticator::new(&app), Authenticator::new(&app));
    register(&ada, &mut phone).await;
    register(&eve, &mut eves).await;
    app.set(json!({ "mfa": { "policy": "required" } })).await;
    let http = app.stranger();
    // A session of two factors, which may register.
    let token = sign_in(&http, &mut phone).await.expect(201)["session"]["token"].clone();
    let token = token.as_str().unwrap().to_owned();
    let ada = Person { http: http.with_bearer(&token), token, ..ada };
    let invalid = "invalid_challenge";
    // Eve has shown hers as well.
    crate::support::sql::run(&app, "UPDATE auth.sessions SET aal = 2, second_verified_at = now()").await;

    // Made for a sign-in.
    let (token, _) = second_factor(&http, &ada).await;
    for turn in 0..3 {
        let offered = options(&http).await;
        let credential = phone.assert(&offered);
        let mut body = body(&offered, &credential);
        let answer = match turn {
            0 => {
                body["attempt_token"] = token.clone().into();
                http.post("/v1/sessions", body).await
            }
            1 => ada.http.post(STEP_UP, body).await,
            _ => {
                let made = phone.register_as(&registration(&ada.http).await, |draft| {
                    draft.client_data["challenge"] = offered["options"]["publicKey"]["challenge"].clone();
                });
                hand_over(&ada.http, &offered, made).await
            }
        };
        assert_eq!(answer.problem(400), invalid, "turn {turn}");
        // It is still there for what it was made for.
        present(&app.stranger(), &offered, credential).await.expect(201);
    }

    // Made for a registration.
    let offered = registration(&ada.http).await;
    let mut asking = offered["options"]["publicKey"].clone();
    asking["allowCredentials"] = json!([]);
    let credential = phone.assert(&asking);
    assert_eq!(present(&http, &offered, credential.clone()).await.problem(400), invalid);
    assert_eq!(ada.http.post(STEP_UP, body(&offered, &credential)).await.problem(400), invalid);
    let made = eves.register(&offered);
    assert_eq!(hand_over(&eve.http, &offered, made).await.problem(400), invalid, "of another user");

    // Made for one attempt.
    let (token, offered) = second_factor(&app.stranger(), &ada).await;
    let (other_token, _) = second_factor(&app.stranger(), &ada).await;
    let credential = phone.assert(&offered);
    assert_eq!(present(&http, &offered, credential.clone()).await.problem(400), invalid);
    assert_eq!(ada.http.post(STEP_UP, body(&offered, &credential)).await.problem(400), invalid);
    let mut swapped = body(&offered, &credential);
    swapped["attempt_token"] = other_token.into();
    assert_eq!(http.post("/v1/sessions", swapped.clone()).await.problem(400), invalid, "of another attempt");
    swapped["attempt_token"] = token.into();
    http.post("/v1/sessions", swapped).await.expect(201);

    // Made for one session.
    let offered = step_up(&ada).await;
    let credential = phone.assert(&offered);
    assert_eq!(present(&http, &offered, credential.clone()).await.problem(400), invalid);
    let other = adas_other.http.post(STEP_UP, body(&offered, &credential)).await;
    assert_eq!(other.problem(400), invalid, "of another session");
    ada.http.post(STEP_UP, body(&offered, &credential)).await.expect(200);
}

#[tokio::test]
async fn somebody_elses_passkey_is_no_second_factor_and_no_step_up() {
    let app = TestApp::start().await;
    let (ada, eve) = (app.person("ada@example.com").await, app.person("eve@example.com").await);
    let (mut phone, mut eves) = (Authenticator::new(&app), Authenticator::new(&app));
    register(&ada, &mut phone).await;
    register(&eve, &mut eves).await;
    app.set(json!({ "mfa": { "policy": "required" } })).await;
    let (token, offered) = second_factor(&app.stranger(), &ada).await;
    let mut asking = offered["options"]["publicKey"].clone();
    asking["allowCredentials"] = json!([]);
    // With the own user handle, with the victim's, and with none.
    let handles = [Some(eves.held[0].user_handle.clone()), Some(phone.held[0].user_handle.clone()), None];
    for (turn, handle) in handles.into_iter().enumerate() {
        let (token, offered) = if turn == 0 {
            (token.clone(), offered.clone())
        } else {
            second_factor(&app.stranger(), &ada).await
        };
        asking["challenge"] = offered["options"]["publicKey"]["challenge"].clone();
        let foreign = eves.assert_as(&asking, |draft| draft.user_handle = handle);
        let mut body = body(&offered, &foreign);
        body["attempt_token"] = token.into();
        let answer = app.stranger().post("/v1/sessions", body).await;
        assert_eq!(answer.problem(401), "invalid_credentials", "turn {turn}");
    }

    let offered = step_up(&ada).await;
    asking["challenge"] = offered["options"]["publicKey"]["challenge"].clone();
    let foreign = eves.assert(&asking);
    assert_eq!(ada.http.post(STEP_UP, body(&offered, &foreign)).await.problem(401), "invalid_credentials");
}

#[tokio::test]
async fn the_options_are_alike_whoever_asks_and_name_nobody() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let bare = |mut answer: Value| {
        answer.as_object_mut().unwrap().retain(|key, _| key == "options");
        answer["options"]["publicKey"]["challenge"] = json!("");
        answer
    };
    let before = bare(options(&app.stranger()).await);
    let mut phone = Authenticator::new(&app);
    register(&ada, &mut phone).await;
    assert_eq!(bare(options(&app.stranger()).await), before);
    assert_eq!(bare(options(&ada.http).await), before, "a session changes nothing");
    assert_eq!(before["options"]["publicKey"]["allowCredentials"], json!([]));
    assert_eq!(before["options"]["publicKey"]["userVerification"], "required");
    // No address to ask about.
    let asked = app.stranger().post(OPTIONS, json!({ "email": "ada@example.com" })).await;
    assert_eq!((asked.problem(422), asked.pointer()), ("validation_failed".into(), "/email".into()));
    for token in ["", "att_x", &ada.token] {
        let answer = app.stranger().post(OPTIONS, json!({ "attempt_token": token })).await;
        assert_eq!(answer.problem(401), "invalid_attempt");
    }
}

#[tokio::test]
async fn refusals_are_alike_whatever_is_wrong() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let mut phone = Authenticator::new(&app);
    register(&ada, &mut phone).await;
    let mut unknown = Authenticator::new(&app);
    let offered = registration(&ada.http).await;
    unknown.register(&offered);
    let by_password = sign_in_by_password(&app.stranger(), "ada@example.com", WRONG_PASSWORD).await;
    by_password.problem(401);
    let refused = [
        {
            let offered = options(&app.http).await;
            let credential = unknown.assert(&offered);
            present(&app.stranger(), &offered, credential).await
        },
        {
            let offered = options(&app.http).await;
            let credential =
                phone.assert_as(&offered, |draft| draft.client_data["origin"] = json!("https://e.vil"));
            present(&app.stranger(), &offered, credential).await
        },
        {
            app.admin.put(&format!("/v1/admin/users/{}/ban", ada.id), json!({})).await.expect(200);
            let offered = options(&app.http).await;
            let credential = phone.assert(&offered);
            present(&app.stranger(), &offered, credential).await
        },
    ];
    for answer in refused {
        assert_eq!(shape(&answer), shape(&by_password));
    }
    let said = super::count(
        &app,
        "SELECT count(*) FROM auth.audit_events WHERE action = 'sign_in.refused'
         AND details ->> 'reason' IN ('unknown_passkey', 'origin', 'not_admitted')",
    )
    .await;
    assert_eq!(said, 3, "the operator learns why");
}
