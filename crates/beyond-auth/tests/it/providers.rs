//! What is particular about each kind of provider.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::idp::{CLIENT_ID, CLIENT_SECRET, Idp, Instead};
use crate::support::kinds::{
    OID, TENANT, apple, approve_apple, github, google, home, known, microsoft, p8, post_back, sign_in,
    speak_github, speak_microsoft,
};
use crate::support::trip::{Home, app, depart, describe, reason, redeem};
use crate::support::{TestApp, database, sql};

async fn world() -> (TestApp, Idp) {
    (app().await, Idp::start().await)
}

async fn identity(app: &TestApp) -> (String, String) {
    let rows = sql::rows(app, "SELECT issuer, subject FROM auth.identities").await;
    assert_eq!(rows.len(), 1);
    (sqlx::Row::get(&rows[0], 0), sqlx::Row::get(&rows[0], 1))
}

#[tokio::test]
async fn github_says_who_somebody_is_by_number_and_vouches_for_the_primary_address() {
    let (app, idp) = world().await;
    known(&app, github(&idp, json!({}))).await;
    let emails = json!([
        { "email": "other@example.com", "primary": false, "verified": true },
        { "email": "ada@example.com", "primary": true, "verified": true, "visibility": "private" },
    ]);
    let user = json!({ "id": 583_231, "login": "ada", "name": "Ada Lovelace", "email": "public@example.com",
        "avatar_url": "https://avatars.example/u/583231" });
    speak_github(&idp, user, emails.clone());
    let location = depart(&app, "github").await.location;
    for part in ["scope=read%3Auser+user%3Aemail", "code_challenge_method=S256", "state=ost_"] {
        assert!(location.contains(part), "{location}");
    }
    let signed_in = sign_in(&app, &idp, "github").await;
    assert_eq!(signed_in["user"]["email"], "ada@example.com");
    assert_eq!(signed_in["user"]["name"], "Ada Lovelace");
    assert_eq!(identity(&app).await, ("https://github.com".to_owned(), "583231".to_owned()));
    let heard = idp.heard("/token");
    assert_eq!((heard["client_id"].as_str(), heard["client_secret"].as_str()), (CLIENT_ID, CLIENT_SECRET));
    assert!(heard.contains_key("code_verifier"));

    // The name is somebody else's now, the number is not.
    speak_github(&idp, json!({ "id": 583_231, "login": "countess" }), json!([]));
    assert_eq!(sign_in(&app, &idp, "github").await["user"]["id"], signed_in["user"]["id"]);
    speak_github(&idp, json!({ "id": 7, "login": "ada" }), json!([]));
    assert_eq!(home(&app, &idp, "github").await.error(), "email_unverified");
    for id in [json!("583231"), json!(null), json!(583_231.5)] {
        speak_github(&idp, json!({ "id": id, "login": "ada" }), emails.clone());
        assert_eq!(home(&app, &idp, "github").await.error(), "invalid_provider_response");
    }
}

#[tokio::test]
async fn github_reports_errors_as_success() {
    let (app, idp) = world().await;
    known(&app, github(&idp, json!({}))).await;
    let answer =
        json!({ "error": "bad_verification_code", "error_description": "The code passed is incorrect." });
    idp.lock().script.instead.insert("/token", Instead::body(answer.to_string()));
    assert_eq!(home(&app, &idp, "github").await.error(), "provider_error");
    assert_eq!(reason(&app).await, "token_error");
    assert_eq!(sql::number(&app, "SELECT count(*) FROM auth.users").await, 0);
}

#[tokio::test]
async fn an_enterprise_server_needs_nothing_but_its_address() {
    let (app, idp) = world().await;
    let mut description = github(&idp, json!({ "issuer": idp.url }));
    for endpoint in ["authorization_endpoint", "token_endpoint", "userinfo_endpoint", "emails_endpoint"] {
        description.as_object_mut().unwrap().remove(endpoint);
    }
    known(&app, description.clone()).await;
    let location = depart(&app, "github").await.location;
    assert!(location.starts_with(&format!("{}/login/oauth/authorize?", idp.url)), "{location}");
    description["issuer"] = format!("{}/somewhere", idp.url).into();
    assert_eq!(describe(&app, description).await.pointer(), "/issuer");
}

#[tokio::test]
async fn google_is_the_authority_over_its_own_addresses_alone() {
    let (app, idp) = world().await;
    known(&app, google(&idp, json!({}))).await;
    let ada = app.person("ada@example.com").await;
    // Mailed to once, perhaps years ago: no reason to hand over an account, nor to make one.
    assert_eq!(home(&app, &idp, "google").await.error(), "email_unverified");
    idp.says("hd", Some("example.com".into()));
    assert_eq!(sign_in(&app, &idp, "google").await["user"]["id"], ada.id.as_str());

    for (sub, email) in [("2", "grace@gmail.com"), ("3", "grace@googlemail.com")] {
        idp.says("hd", None);
        idp.says("sub", Some(sub.into()));
        idp.says("email", Some(email.into()));
        assert_eq!(sign_in(&app, &idp, "google").await["user"]["email"], email);
    }
    for (sub, verified) in [("4", json!("true")), ("5", json!(1)), ("6", json!(false)), ("7", Value::Null)] {
        idp.says("sub", Some(sub.into()));
        idp.says("email", Some("mallory@gmail.com".into()));
        idp.says("email_verified", Some(verified));
        assert_eq!(home(&app, &idp, "google").await.error(), "email_unverified");
    }
}

#[tokio::test]
async fn google_lets_in_an_organization_and_not_whoever_writes_like_it() {
    let (app, idp) = world().await;
    known(&app, google(&idp, json!({ "allowed_domains": ["Example.com"] }))).await;
    assert!(depart(&app, "google").await.location.contains("&hd=example.com"));
    // An address of the domain, but a personal account.
    assert_eq!(home(&app, &idp, "google").await.error(), "domain_not_allowed");
    for hosted in ["evil.example", "example.com.evil.example", "notexample.com", ""] {
        idp.says("hd", Some(hosted.into()));
        assert_eq!(home(&app, &idp, "google").await.error(), "domain_not_allowed", "{hosted}");
    }
    idp.says("hd", Some("example.com".into()));
    // Another address of the same organization.
    idp.says("email", Some("ada@alias.example".into()));
    sign_in(&app, &idp, "google").await;
}

#[tokio::test]
async fn microsoft_people_are_known_by_directory_and_object() {
    let (app, idp) = world().await;
    speak_microsoft(&idp, "common", json!({ "xms_edov": true, "sub": "pairwise-1" }));
    known(&app, microsoft(&idp, "common", json!({}))).await;
    let signed_in = sign_in(&app, &idp, "microsoft").await;
    assert_eq!(identity(&app).await, (format!("{}/{TENANT}/v2.0", idp.url), OID.to_owned()));
    // Another address, another `sub`: the same person.
    let moved = json!({ "email": "countess@example.com", "upn": "x@example.com", "sub": "pairwise-2" });
    speak_microsoft(&idp, "common", moved);
    assert_eq!(sign_in(&app, &idp, "microsoft").await["user"]["id"], signed_in["user"]["id"]);
    // The same object in another directory: somebody else.
    let other =
        json!({ "tid": "99999999-2222-4333-8444-555555555555", "email": "eve@example.com", "xms_edov": "1" });
    speak_microsoft(&idp, "common", other);
    assert_ne!(sign_in(&app, &idp, "microsoft").await["user"]["id"], signed_in["user"]["id"]);
}

#[tokio::test]
async fn microsoft_tokens_come_from_the_directory_that_was_named() {
    let (app, idp) = world().await;
    speak_microsoft(&idp, TENANT, json!({}));
    known(&app, microsoft(&idp, TENANT, json!({}))).await;
    sign_in(&app, &idp, "microsoft").await;
    for tid in
        ["99999999-2222-4333-8444-555555555555", "9188040d-6c67-4c5b-b112-36a304b66dad", "", TENANT_UPPER]
    {
        speak_microsoft(&idp, TENANT, json!({ "tid": tid }));
        assert_eq!(home(&app, &idp, "microsoft").await.error(), "invalid_provider_response", "{tid}");
    }
    speak_microsoft(&idp, TENANT, json!({ "oid": null }));
    assert_eq!(home(&app, &idp, "microsoft").await.error(), "invalid_provider_response");
    // A discovery document for another directory.
    speak_microsoft(&idp, "organizations", json!({}));
    known(&app, microsoft(&idp, "organizations", json!({ "id": "work" }))).await;
    let answer = describe(&app, microsoft(&idp, "common", json!({}))).await;
    assert_eq!(answer.pointer(), "/issuer");
    let personal = json!({ "tid": "9188040d-6c67-4c5b-b112-36a304b66dad" });
    speak_microsoft(&idp, "organizations", personal);
    assert_eq!(home(&app, &idp, "work").await.error(), "invalid_provider_response");
}

const TENANT_UPPER: &str = "AAAAAAAA-2222-4333-8444-555555555555";

#[tokio::test]
async fn apple_gets_a_secret_of_the_teams_key_and_posts_its_answer() {
    let (app, idp) = world().await;
    let (p8, point) = p8();
    known(&app, apple(&idp, &p8, json!({}))).await;
    idp.says("email_verified", Some("true".into()));
    idp.says("name", None);
    let trip = depart(&app, "apple").await;
    assert!(trip.cookie.starts_with("beyond_oauthpost_"), "{}", trip.cookie);
    let user = json!({ "name": { "firstName": "Ada", "lastName": "Lovelace" }, "email": "eve@evil.example" });
    let (callback, form) = approve_apple(&idp, &trip, Some(user));
    let home = Home::of(&post_back(&trip, &callback, form, Some(&trip.cookie)).await);
    let signed_in = redeem(&app.stranger(), home.code()).await.expect(201);
    assert_eq!(
        (&signed_in["user"]["name"], &signed_in["user"]["email"]),
        (&json!("Ada Lovelace"), &json!("ada@example.com"))
    );

    let secret = idp.heard("/token")["client_secret"].clone();
    let (message, signature) = secret.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &point).verify(message.as_bytes(), &signature).unwrap();
    let (header, claims) = message.split_once('.').unwrap();
    let read =
        |part: &str| -> Value { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap() };
    assert_eq!(read(header), json!({ "alg": "ES256", "kid": "KEY1234567", "typ": "JWT" }));
    let claims = read(claims);
    assert_eq!(
        (&claims["iss"], &claims["sub"], &claims["aud"]),
        (&json!("TEAM123456"), &json!(CLIENT_ID), &json!(idp.url))
    );
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 300);

    // The next time there is no name, and the old one stays.
    let trip = depart(&app, "apple").await;
    let (callback, form) = approve_apple(&idp, &trip, None);
    let home = Home::of(&post_back(&trip, &callback, form, Some(&trip.cookie)).await);
    let again = redeem(&app.stranger(), home.code()).await.expect(201);
    assert_eq!(again["user"]["id"], signed_in["user"]["id"]);
    let http = app.http.with_bearer(again["session"]["token"].as_str().unwrap());
    let identities = http.get("/v1/users/me/identities").await.expect(200);
    assert_eq!(identities["data"][0]["name"], "Ada Lovelace");

    // Apple hears of the deletion, although nobody asked to keep tokens.
    let tokens =
        format!("/v1/users/me/identities/{}/access-tokens", identities["data"][0]["id"].as_str().unwrap());
    assert_eq!(http.post(&tokens, Value::Null).await.problem(409), "tokens_not_kept");
    idp.lock().script.instead.insert("/revoke", Instead::status(200));
    assert_eq!(http.delete("/v1/users/me").await.status, 204);
    for _ in 0..1_500 {
        if sql::number(&app, "SELECT count(*) FROM auth.oauth_tokens").await == 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let heard = idp.heard("/revoke");
    assert_eq!((heard["token"].as_str(), heard["client_id"].as_str()), ("apples-refresh-token", CLIENT_ID));
    assert!(heard["client_secret"].starts_with("ey"), "{heard:?}");
}

#[tokio::test]
async fn apple_is_described_with_a_key() {
    let (app, idp) = world().await;
    let (p8, _) = p8();
    for (more, pointer) in [
        (json!({ "client_secret": "not a key" }), "/client_secret"),
        (json!({ "team_id": null }), "/team_id"),
        (json!({ "team_id": "team" }), "/team_id"),
        (json!({ "key_id": null }), "/key_id"),
    ] {
        let answer = describe(&app, apple(&idp, &p8, more)).await;
        assert_eq!(answer.pointer(), pointer, "{}", answer.text);
        assert!(!answer.text.contains("PRIVATE"));
    }
    known(&app, apple(&idp, &p8, json!({}))).await;
    let listed = app.admin.get("/v1/admin/oauth-providers").await.expect(200);
    assert!(!listed.to_string().contains("PRIVATE") && listed["data"][0]["has_secret"] == true, "{listed}");
}

#[tokio::test]
async fn the_cookie_of_a_posted_answer_goes_with_it_and_no_other_is_as_lax() {
    let idp = Idp::start().await;
    let database = std::sync::Arc::new(database().await);
    let mut config = crate::support::app::config(&database);
    config.outbound_allow = vec![beyond_auth::platform::config::OutboundRule::parse("127.0.0.1").unwrap()];
    config.public_url = "https://auth.example.com".parse().unwrap();
    let app = TestApp::with(database, config).await;
    let (p8, _) = p8();
    known(&app, apple(&idp, &p8, json!({}))).await;
    known(&app, idp.description("acme")).await;
    let to = "https://auth.example.com/auth/sign-in";
    let leave = async |provider: &str| {
        let answer = app.stranger().get(&crate::support::trip::authorize(provider, to)).await;
        assert_eq!(answer.status, 303, "{}", answer.text);
        answer.header("set-cookie")
    };
    let posted = leave("apple").await;
    assert!(posted.starts_with("__Host-beyond_oauthpost_"), "{posted}");
    for part in ["SameSite=None", "Secure", "HttpOnly", "Path=/"] {
        assert!(posted.contains(part), "{posted}");
    }
    let usual = leave("acme").await;
    assert!(usual.starts_with("__Host-beyond_oauth_") && usual.contains("SameSite=Lax"), "{usual}");
}
