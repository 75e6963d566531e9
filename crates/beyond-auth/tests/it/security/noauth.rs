//! "nOAuth": whoever runs a directory at Microsoft writes any address into it, and so none of them opens an account.

use serde_json::{Value, json};

use crate::support::idp::Idp;
use crate::support::kinds::{TENANT, home, known, microsoft, sign_in, speak_microsoft};
use crate::support::sql;
use crate::support::trip::app;

#[tokio::test]
async fn an_address_from_a_foreign_directory_opens_nobodys_account() {
    let (app, idp) = (app().await, Idp::start().await);
    app.person("ada@example.com").await;
    speak_microsoft(&idp, "common", json!({}));
    known(&app, microsoft(&idp, "common", json!({}))).await;
    let tricks = [
        json!({}),
        json!({ "email_verified": true }),
        json!({ "upn": "ada@example.com", "preferred_username": "ada@example.com" }),
        json!({ "verified_primary_email": ["ada@example.com"] }),
        json!({ "xms_edov": false }),
        json!({ "xms_edov": 0 }),
        json!({ "xms_edov": "0" }),
        json!({ "xms_edov": Value::Null }),
        json!({ "xms_edov": ["1"] }),
        json!({ "xms_edov": { "verified": true } }),
    ];
    for trick in tricks {
        speak_microsoft(&idp, "common", trick.clone());
        assert_eq!(home(&app, &idp, "microsoft").await.error(), "email_unverified", "{trick}");
    }
    assert_eq!(sql::number(&app, "SELECT count(*) FROM auth.identities").await, 0);
    assert_eq!(sql::number(&app, "SELECT count(*) FROM auth.users").await, 1);
}

#[tokio::test]
async fn a_directory_that_the_operator_has_named_and_trusts_says_who_has_an_address() {
    let (app, idp) = (app().await, Idp::start().await);
    let ada = app.person("ada@example.com").await;
    speak_microsoft(&idp, TENANT, json!({}));
    known(&app, microsoft(&idp, TENANT, json!({ "trust_email": false }))).await;
    assert_eq!(home(&app, &idp, "microsoft").await.error(), "email_unverified");
    known(&app, microsoft(&idp, TENANT, json!({}))).await;
    // Unless Microsoft itself says otherwise.
    speak_microsoft(&idp, TENANT, json!({ "xms_edov": false }));
    assert_eq!(home(&app, &idp, "microsoft").await.error(), "email_unverified");
    speak_microsoft(&idp, TENANT, json!({}));
    assert_eq!(sign_in(&app, &idp, "microsoft").await["user"]["id"], ada.id.as_str());
}
