//! An address at GitHub that nobody has proven: it can be anybody's, and is nobody's here.

use serde_json::{Value, json};

use crate::support::idp::Idp;
use crate::support::kinds::{github, home, known, sign_in, speak_github};
use crate::support::sql;
use crate::support::trip::app;

#[tokio::test]
async fn an_unproven_primary_address_opens_nobodys_account_and_makes_none() {
    let (app, idp) = (app().await, Idp::start().await);
    let ada = app.person("ada@example.com").await;
    known(&app, github(&idp, json!({}))).await;
    let entry = |email: &str, primary: Value, verified: Value| json!({ "email": email, "primary": primary, "verified": verified });
    let user = json!({ "id": 1, "login": "mallory", "email": "ada@example.com", "email_verified": true });
    let own = entry("mallory@example.com", json!(false), json!(true));
    for emails in [
        json!([]),
        json!([entry("ada@example.com", json!(true), json!(false))]),
        json!([entry("ada@example.com", json!(true), json!("true"))]),
        json!([entry("ada@example.com", json!(true), json!(1))]),
        json!([entry("ada@example.com", json!(false), json!(true))]),
        json!([{ "email": "ada@example.com" }]),
        // Another one that is proven lends it nothing.
        json!([own, entry("ada@example.com", json!(true), json!(false))]),
        json!(["ada@example.com"]),
    ] {
        speak_github(&idp, user.clone(), emails.clone());
        assert_eq!(home(&app, &idp, "github").await.error(), "email_unverified", "{emails}");
    }
    for emails in [json!({}), json!("ada@example.com"), Value::Null] {
        speak_github(&idp, user.clone(), emails.clone());
        assert_eq!(home(&app, &idp, "github").await.error(), "invalid_provider_response", "{emails}");
    }
    assert_eq!(sql::number(&app, "SELECT count(*) FROM auth.users").await, 1);
    assert_eq!(sql::number(&app, "SELECT count(*) FROM auth.identities").await, 0);
    speak_github(&idp, user, json!([entry("ada@example.com", json!(true), json!(true))]));
    assert_eq!(sign_in(&app, &idp, "github").await["user"]["id"], ada.id.as_str());
}
