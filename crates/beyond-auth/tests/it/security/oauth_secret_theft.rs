//! Getting at a provider's secret: through the operator's door, or in a copy of the database.

use serde_json::{Value, json};

use super::stolen_dump::dump;
use crate::support::idp::{CLIENT_SECRET, Idp};
use crate::support::trip::{VERIFIER, depart, describe, redeem, world};

#[tokio::test]
async fn a_secret_is_not_sent_elsewhere_without_being_known() {
    let (app, idp) = world().await;
    let evil = Idp::start().await;
    let mut base = idp.description("acme");
    base.as_object_mut().unwrap().remove("client_secret");
    for (name, value) in [
        ("issuer", json!(evil.url)),
        ("kind", json!("google")),
        ("kind", json!("github")),
        ("token_endpoint", json!(format!("{}/token", evil.url))),
        ("userinfo_endpoint", json!(format!("{}/userinfo", evil.url))),
        ("authorization_endpoint", json!(format!("{}/authorize", evil.url))),
        ("jwks_uri", json!(format!("{}/jwks", evil.url))),
        ("revocation_endpoint", json!(format!("{}/revoke", evil.url))),
        ("emails_endpoint", json!(format!("{}/emails", evil.url))),
    ] {
        let mut description = base.clone();
        description[name] = value;
        let answer = describe(&app, description.clone()).await;
        assert_eq!(answer.problem(422), "validation_failed", "{description}");
        let errors = answer.json()["errors"].clone();
        let told: Vec<&Value> = errors.as_array().unwrap().iter().map(|error| &error["code"]).collect();
        assert!(told.contains(&&json!("secret_required")) || name == "kind", "{description} {errors}");
    }
    assert!(evil.lock().asked.is_empty());
    // A name is no address.
    base["name"] = "Acme".into();
    describe(&app, base).await.expect(200);
}

#[tokio::test]
async fn a_dump_of_everything_that_is_under_way_opens_nothing() {
    let (app, idp) = world().await;
    let trip = depart(&app, "acme").await;
    let waiting = depart(&app, "acme").await;
    let home = trip.round(&idp).await;
    let token = idp.id_token(Some("device-nonce"));
    crate::support::trip::by_token(&app, &token, "device-nonce").await.expect(201);
    let lines = dump(&app).await;
    let secret_of = |text: &str| text.rsplit_once('_').map_or(text, |(_, secret)| secret).to_owned();
    let query: std::collections::HashMap<String, String> =
        url::Url::parse(&waiting.location).unwrap().query_pairs().into_owned().collect();
    let cookie = waiting.cookie.split_once('=').unwrap().1;
    for (what, secret) in [
        ("state", query["state"][query["state"].len() - 43..].to_owned()),
        ("browser", cookie[cookie.len() - 43..].to_owned()),
        ("nonce", query["nonce"].clone()),
        ("challenge", query["code_challenge"].clone()),
        ("code", home.code()[home.code().len() - 43..].to_owned()),
        ("application's verifier", VERIFIER.to_owned()),
        ("client secret", CLIENT_SECRET.to_owned()),
        ("id token", secret_of(&token)),
        ("device's nonce", "device-nonce".to_owned()),
        ("access token", "access-token".to_owned()),
        ("refresh token", "refresh-token".to_owned()),
    ] {
        assert!(!lines.contains(&secret), "{what}");
    }
    redeem(&app.stranger(), home.code()).await.expect(201);
}
