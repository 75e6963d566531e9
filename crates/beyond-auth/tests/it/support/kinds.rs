//! The provider of the tests, speaking as GitHub, Google, Apple and Microsoft do.

use std::collections::HashMap;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Value, json};
use url::Url;
use url::form_urlencoded::Serializer;

use super::TestApp;
use super::client::Answer;
use super::idp::{CLIENT_ID, CLIENT_SECRET, Idp, Instead};
use super::trip::{Home, Trip, depart, describe, nameless, redeem};

/// A directory.
pub const TENANT: &str = "11111111-2222-4333-8444-555555555555";
/// Somebody in it.
pub const OID: &str = "aaaaaaaa-2222-4333-8444-555555555555";

fn with(mut description: Value, more: Value) -> Value {
    let Value::Object(more) = more else { panic!("no object") };
    description.as_object_mut().unwrap().extend(more);
    description
}

/// As an operator would describe GitHub, which has no discovery.
pub fn github(idp: &Idp, more: Value) -> Value {
    let at = |path: &str| format!("{}{path}", idp.url);
    let description = json!({
        "id": "github", "kind": "github", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET,
        "authorization_endpoint": at("/authorize"), "token_endpoint": at("/token"),
        "userinfo_endpoint": at("/user"), "emails_endpoint": at("/user/emails"),
        "trust_email": true, "link_policy": "verified_email", "allow_sign_up": true,
    });
    with(description, more)
}

/// Answers as GitHub: no identity token, somebody by number, addresses in a list.
pub fn speak_github(idp: &Idp, user: Value, emails: Value) {
    let mut inner = idp.lock();
    inner.script.tokens = Some(Box::new(|answer| {
        answer.remove("id_token");
        answer.insert("token_type".to_owned(), "bearer".into());
    }));
    inner.script.documents.insert("/user", user);
    inner.script.documents.insert("/user/emails", emails);
}

/// As an operator would describe Google.
pub fn google(idp: &Idp, more: Value) -> Value {
    with(idp.description("google"), with(json!({ "kind": "google" }), more))
}

/// As an operator would describe Microsoft, for the people of some directories.
pub fn microsoft(idp: &Idp, tenant: &str, more: Value) -> Value {
    let issuer = format!("{}/{tenant}/v2.0", idp.url);
    with(idp.description("microsoft"), with(json!({ "kind": "microsoft", "issuer": issuer }), more))
}

/// Answers as Microsoft: discovery for the directories of `tenant`, tokens of one directory.
pub fn speak_microsoft(idp: &Idp, tenant: &str, claims: Value) {
    let path: &'static str = format!("/{tenant}/v2.0/.well-known/openid-configuration").leak();
    let at = |path: &str| format!("{}{path}", idp.url);
    let named = if tenant == TENANT { TENANT } else { "{tenantid}" };
    let discovery = json!({
        "issuer": at(&format!("/{named}/v2.0")), "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/token"), "jwks_uri": at("/jwks"),
        "token_endpoint_auth_methods_supported": ["client_secret_post"],
    });
    idp.lock().script.instead.insert(path, Instead::body(discovery.to_string()));
    let url = idp.url.clone();
    idp.twist(move |token| {
        token.remove("email_verified");
        token.insert("tid".to_owned(), TENANT.into());
        token.insert("oid".to_owned(), OID.into());
        token.extend(claims.as_object().unwrap().clone());
        let tid = token["tid"].as_str().unwrap_or_default();
        token.insert("iss".to_owned(), format!("{url}/{tid}/v2.0").into());
    });
}

/// The team's key: the `.p8` file, and the point that verifies.
pub fn p8() -> (String, Vec<u8>) {
    let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.as_ref()).unwrap();
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        STANDARD.encode(der.as_ref())
    );
    (pem, pair.public_key().as_ref().to_vec())
}

/// As an operator would describe Apple.
pub fn apple(idp: &Idp, p8: &str, more: Value) -> Value {
    let own = json!({
        "kind": "apple", "client_secret": p8, "team_id": "TEAM123456", "key_id": "KEY1234567",
        "revocation_endpoint": format!("{}/revoke", idp.url), "token_auth": "client_secret_post",
    });
    with(idp.description("apple"), with(own, more))
}

/// The person agrees at Apple: the form that its page posts to the callback. Its token endpoint takes whatever secret
/// it is given; the test looks at it.
pub fn approve_apple(idp: &Idp, trip: &Trip, user: Option<Value>) -> (Url, String) {
    let asked = Url::parse(&trip.location).unwrap();
    let asked: HashMap<String, String> = asked.query_pairs().into_owned().collect();
    assert_eq!(asked["response_mode"], "form_post");
    let token = idp.id_token(Some(&asked["nonce"]));
    let answer = json!({ "access_token": "access-token", "token_type": "Bearer", "expires_in": 3600,
        "refresh_token": "apples-refresh-token", "id_token": token });
    idp.lock().script.instead.insert("/token", Instead::body(answer.to_string()));
    let mut form = Serializer::new(String::new());
    form.append_pair("state", &asked["state"])
        .append_pair("code", "apples-code")
        .append_pair("iss", &idp.url);
    if let Some(user) = user {
        form.append_pair("user", &user.to_string());
    }
    (Url::parse(&asked["redirect_uri"]).unwrap(), form.finish())
}

/// Posts the form as Apple's page does, with or without the browser's cookie.
pub async fn post_back(trip: &Trip, callback: &Url, form: String, cookie: Option<&str>) -> Answer {
    let request = trip.http.request(Method::POST, callback.path());
    let mut request = request
        .header("origin", "https://appleid.apple.com")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form);
    if let Some(cookie) = cookie {
        request = request.header("cookie", cookie);
    }
    trip.http.send(request).await
}

/// A provider that is described so, and does not name itself in its answers.
pub async fn known(app: &TestApp, description: Value) {
    describe(app, description).await.expect(200);
}

/// To the provider and home again.
pub async fn home(app: &TestApp, idp: &Idp, provider: &str) -> Home {
    let trip = depart(app, provider).await;
    let back = idp.approve(&trip.location);
    let back = if provider == "google" { back } else { nameless(back) };
    Home::of(&trip.arrive(&back).await)
}

/// All the way in.
pub async fn sign_in(app: &TestApp, idp: &Idp, provider: &str) -> Value {
    let home = home(app, idp, provider).await;
    redeem(&app.stranger(), home.code()).await.expect(201)
}
