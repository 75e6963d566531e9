//! Several addresses of one user.

use serde_json::{Value, json};

use crate::support::TestApp;
use crate::support::app::PASSWORD;
use crate::support::client::Http;
use crate::support::mailed::{
    add, add_proven, ask_link, ask_reset, kind_to, link_sign_in, redeem_reset, redeem_verification, token_in,
};

async fn addresses(http: &Http) -> Vec<(String, bool, bool)> {
    let body = http.get("/v1/users/me/emails").await.expect(200);
    let row = |row: &Value| {
        let address = row["address"].as_str().unwrap().to_owned();
        (address, row["primary"].as_bool().unwrap(), !row["verified_at"].is_null())
    };
    body["data"].as_array().unwrap().iter().map(row).collect()
}

#[tokio::test]
async fn an_address_is_added_proven_made_primary_and_the_old_one_removed() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let added = add(&ada.http, " Ada@Work.Example ").await;
    assert_eq!(added["address"], "Ada@work.example");
    assert_eq!((added["primary"].clone(), added["verified_at"].clone()), (json!(false), json!(null)));
    // A mere claim: neither primary nor a name to sign in with.
    let path = format!("/v1/users/me/emails/{}", added["id"].as_str().unwrap());
    assert_eq!(ada.http.put(&format!("{path}/primary"), json!({})).await.problem(409), "email_not_verified");
    let body = json!({ "method": "password", "email": "ada@work.example", "password": PASSWORD });
    app.stranger().post("/v1/sessions", body.clone()).await.problem(401);

    let mail = kind_to(&app, "Ada@work.example", "ev_").await;
    assert!(mail.subject.contains("adds this address"), "{}", mail.subject);
    let code = json!({ "email": "ada@work.example", "code": mail.code().unwrap() });
    let proven = app.stranger().post("/v1/email-verifications/redemptions", code).await.expect(200);
    assert_eq!(
        (proven["email"].as_str(), proven["user"]["id"].as_str()),
        (Some("Ada@work.example"), Some(&*ada.id))
    );
    assert_eq!(proven["user"]["email"], "ada@example.com");
    // The owner hears of it at the primary address, and stays signed in with the password that was there.
    app.mailbox
        .wait_until(|mail| mail.to == "ada@example.com" && mail.text.contains("Ada@work.example"))
        .await
        .unwrap();
    ada.http.get("/v1/sessions/current").await.expect(200);
    app.stranger().post("/v1/sessions", body).await.expect(201);
    assert_eq!(
        ada.http.post(&format!("{path}/verifications"), json!({})).await.problem(409),
        "email_verified"
    );

    let chosen = ada.http.put(&format!("{path}/primary"), json!({})).await.expect(200);
    assert_eq!(chosen["email"]["primary"], true);
    app.mailbox
        .wait_until(|mail| mail.to == "ada@example.com" && mail.subject.contains("primary"))
        .await
        .unwrap();
    assert_eq!(ada.http.get("/v1/users/me").await.expect(200)["user"]["email"], "Ada@work.example");
    let old =
        ada.http.get("/v1/users/me/emails").await.expect(200)["data"][1]["id"].as_str().unwrap().to_owned();
    ada.http.delete(&format!("/v1/users/me/emails/{old}")).await.expect(204);
    assert_eq!(addresses(&ada.http).await, [("Ada@work.example".to_owned(), true, true)]);
    for address in ["ada@example.com", "Ada@work.example"] {
        app.mailbox
            .wait_until(|mail| mail.to == address && mail.subject.contains("removed"))
            .await
            .unwrap_or_else(|_| panic!("no word to {address}"));
    }
    // The address is free for anybody now.
    app.mailbox.clear();
    app.person("ada@example.com").await;
}

#[tokio::test]
async fn the_last_proven_address_and_the_primary_one_stay() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let first =
        ada.http.get("/v1/users/me/emails").await.expect(200)["data"][0]["id"].as_str().unwrap().to_owned();
    let first = format!("/v1/users/me/emails/{first}");
    assert_eq!(ada.http.delete(&first).await.problem(409), "last_email");
    add(&ada.http, "claim@example.com").await;
    assert_eq!(ada.http.delete(&first).await.problem(409), "last_email");
    add_proven(&app, &ada.http, "second@example.com").await;
    assert_eq!(ada.http.delete(&first).await.problem(409), "primary_email");
}

#[tokio::test]
async fn an_address_is_there_once_and_there_are_ten_at_most() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let add = async |email: &str| {
        let http = app.stranger().with_bearer(&ada.token);
        http.post("/v1/users/me/emails", json!({ "email": email })).await
    };
    assert_eq!(add("ADA@example.com").await.problem(409), "email_present");
    for number in 2..=10 {
        add(&format!("ada{number}@example.com")).await.expect(201);
    }
    assert_eq!(add("ada2@example.com").await.problem(409), "too_many_emails");
    assert_eq!(add("ada11@example.com").await.problem(409), "too_many_emails");
    let broken = add("ada@localhost").await;
    assert_eq!((broken.problem(422), broken.pointer()), ("validation_failed".into(), "/email".into()));
}

#[tokio::test]
async fn a_claim_blocks_nobody_and_the_first_proof_wins() {
    let app = TestApp::start().await;
    let (ada, eve) = (app.person("ada@example.com").await, app.person("eve@example.com").await);
    add(&eve.http, "shared@example.com").await;
    let planted = kind_to(&app, "shared@example.com", "ev_").await;
    add(&ada.http, "shared@example.com").await;
    let own = app
        .mailbox
        .wait_until(|mail| mail.to == "shared@example.com" && mail.number != planted.number)
        .await
        .unwrap();
    redeem_verification(&app.stranger(), &token_in(&own)).await.expect(200);
    assert_eq!(
        redeem_verification(&app.stranger(), &token_in(&planted)).await.problem(400),
        "invalid_verification"
    );
    // To the one who came too late nothing has changed: it still is a claim.
    assert_eq!(addresses(&eve.http).await[1], ("shared@example.com".to_owned(), false, false));
    assert_eq!(addresses(&ada.http).await[1], ("shared@example.com".to_owned(), false, true));
}

#[tokio::test]
async fn what_was_mailed_to_an_address_ends_with_it() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let second = add_proven(&app, &ada.http, "second@example.com").await;
    ask_link(&app.stranger(), "second@example.com").await;
    ask_reset(&app.stranger(), "second@example.com").await;
    let link = token_in(&*kind_to(&app, "second@example.com", "ml_").await);
    let reset = token_in(&*kind_to(&app, "second@example.com", "pwr_").await);
    ada.http.delete(&format!("/v1/users/me/emails/{second}")).await.expect(204);
    link_sign_in(&app.stranger(), &link).await.problem(401);
    redeem_reset(&app.stranger(), &reset, "nine loud mountains").await.problem(400);

    // And so it is with the old primary address.
    let third = add_proven(&app, &ada.http, "third@example.com").await;
    ask_link(&app.stranger(), "ada@example.com").await;
    ask_reset(&app.stranger(), "ada@example.com").await;
    let link = token_in(&*kind_to(&app, "ada@example.com", "ml_").await);
    let reset = token_in(&*kind_to(&app, "ada@example.com", "pwr_").await);
    ada.http.put(&format!("/v1/users/me/emails/{third}/primary"), json!({})).await.expect(200);
    link_sign_in(&app.stranger(), &link).await.problem(401);
    redeem_reset(&app.stranger(), &reset, "nine loud mountains").await.problem(400);
    // Asked for anew, it works: the address still belongs to the account.
    ask_link(&app.stranger(), "ada@example.com").await;
    let newer = app
        .mailbox
        .wait_until(|mail| {
            mail.to == "ada@example.com" && mail.text.contains("#token=ml_") && !mail.text.contains(&link)
        })
        .await
        .unwrap();
    link_sign_in(&app.stranger(), &token_in(&newer)).await.expect(201);
}

#[tokio::test]
async fn a_verification_is_mailed_again_and_supersedes_the_older() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let id = add(&ada.http, "second@example.com").await["id"].as_str().unwrap().to_owned();
    let older = kind_to(&app, "second@example.com", "ev_").await;
    let path = format!("/v1/users/me/emails/{id}/verifications");
    let body = ada.http.post(&path, json!({})).await.expect(202);
    assert_eq!(body, json!({ "status": "verification_sent" }));
    let newer = app
        .mailbox
        .wait_until(|mail| mail.to == "second@example.com" && mail.number != older.number)
        .await
        .unwrap();
    redeem_verification(&app.stranger(), &token_in(&older)).await.problem(400);
    redeem_verification(&app.stranger(), &token_in(&newer)).await.expect(200);
}
