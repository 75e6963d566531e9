//! Signing in with an account elsewhere.

use serde_json::{Value, json};

use crate::support::app::PASSWORD;
use crate::support::idp::{CLIENT_SECRET, Idp, Key};
use crate::support::sql;
use crate::support::trip::{
    HOME, VERIFIER, app, authorize, by_token, depart, describe, reason, redeem, sign_in, world,
};

#[tokio::test]
async fn a_stranger_comes_in_and_is_known_the_next_time() {
    let (app, idp) = world().await;
    let trip = depart(&app, "acme").await;
    assert!(trip.location.starts_with(&format!("{}/authorize?", idp.url)), "{}", trip.location);
    for part in ["scope=openid+email+profile", "code_challenge_method=S256", "nonce=", "state=ost_"] {
        assert!(trip.location.contains(part), "{}", trip.location);
    }
    assert!(trip.cookie.starts_with("beyond_oauth_"), "{}", trip.cookie);
    let home = trip.round(&idp).await;
    assert_eq!(home.state.as_deref(), Some("the application's"));
    let code = home.code();
    assert!(code.starts_with("oac_"));
    let signed_in = redeem(&app.stranger(), code).await.expect(201);
    assert_eq!(signed_in["user"]["email"], "ada@example.com");
    assert_eq!(signed_in["user"]["email_verified"], true);
    assert_eq!(signed_in["user"]["name"], "Ada Lovelace");
    assert_eq!((&signed_in["session"]["amr"], &signed_in["session"]["aal"]), (&json!(["fed"]), &json!(1)));
    // Once.
    assert_eq!(redeem(&app.stranger(), code).await.problem(401), "invalid_credentials");

    // Known by the subject, whatever the address is now.
    idp.says("email", Some("countess@example.com".into()));
    let again = sign_in(&app, &idp, "acme").await.expect(201);
    assert_eq!(again["user"]["id"], signed_in["user"]["id"]);
    assert_eq!(again["user"]["email"], "ada@example.com");
    assert_eq!(sql::number(&app, "SELECT count(*) FROM auth.users").await, 1);
    // Nothing more was read again than had to be.
    assert_eq!((idp.asked("/discovery"), idp.asked("/jwks"), idp.asked("/userinfo")), (1, 1, 0));
}

#[tokio::test]
async fn a_proven_account_is_found_by_an_address_that_the_provider_vouches_for() {
    let (app, idp) = world().await;
    let ada = app.person("ada@example.com").await;
    let signed_in = sign_in(&app, &idp, "acme").await.expect(201);
    assert_eq!(signed_in["user"]["id"], ada.id.as_str());
    // Nothing of hers goes.
    app.sign_in("ada@example.com", PASSWORD).await;
    ada.http.get("/v1/sessions/current").await.expect(200);
}

#[tokio::test]
async fn every_algorithm_of_the_four_is_verified_and_keys_may_change() {
    let (app, idp) = world().await;
    for (turn, algorithm) in ["ES256", "RS256", "PS256", "EdDSA"].into_iter().enumerate() {
        let key = Key::new(&format!("key {turn}"), algorithm);
        {
            let mut inner = idp.lock();
            inner.keys.insert(0, key);
            inner.script.sign_as = Some(algorithm);
        }
        // A new key is looked for at once, but not twice within ten seconds.
        sql::run(&app, "UPDATE auth.oauth_documents SET asked_at = asked_at - interval '11 seconds'").await;
        sign_in(&app, &idp, "acme").await.expect(201);
    }
    // Without a name, any key that fits may have signed.
    idp.lock().script.header = Some(Box::new(|header| {
        header.remove("kid");
    }));
    sign_in(&app, &idp, "acme").await.expect(201);
}

#[tokio::test]
async fn claims_left_out_of_the_token_are_read_with_it() {
    let (app, idp) = world().await;
    idp.twist(|claims| {
        for name in ["email", "email_verified", "name", "picture"] {
            claims.remove(name);
        }
    });
    let signed_in = sign_in(&app, &idp, "acme").await.expect(201);
    assert_eq!(signed_in["user"]["email"], "ada@example.com");
    assert_eq!(idp.asked("/userinfo"), 1);
}

#[tokio::test]
async fn a_second_factor_is_due_as_ever() {
    let (app, idp) = world().await;
    let ada = app.enrolled("ada@example.com").await;
    let attempt = sign_in(&app, &idp, "acme").await.expect(202);
    let attempt = attempt["attempt"]["token"].as_str().unwrap().to_owned();
    let body = json!({ "method": "totp", "attempt_token": attempt, "code": ada.device.code() });
    let signed_in = app.stranger().post("/v1/sessions", body).await.expect(201);
    assert_eq!(signed_in["session"]["amr"], json!(["fed", "otp", "mfa"]));
}

#[tokio::test]
async fn a_session_is_made_fresh_by_going_to_the_provider_again() {
    let (app, idp) = world().await;
    let signed_in = sign_in(&app, &idp, "acme").await.expect(201);
    let http = app.stranger().with_bearer(signed_in["session"]["token"].as_str().unwrap());
    sql::run(&app, "UPDATE auth.sessions SET verified_at = verified_at - interval '1 hour'").await;
    assert_eq!(http.delete("/v1/users/me").await.problem(401), "insufficient_user_authentication");
    let home = depart(&app, "acme").await.round(&idp).await;
    let body = json!({ "method": "oauth", "code": home.code(), "code_verifier": VERIFIER });
    let fresh = http.post("/v1/sessions/current/verifications", body).await.expect(200);
    let http = app.stranger().with_bearer(fresh["session"]["token"].as_str().unwrap());
    assert_eq!(http.delete("/v1/users/me").await.status, 204);
}

#[tokio::test]
async fn an_app_on_a_device_signs_in_with_the_token_it_has() {
    let (app, idp) = world().await;
    let signed_in = by_token(&app, &idp.id_token(Some("n-1")), "n-1").await.expect(201);
    assert_eq!(signed_in["user"]["email"], "ada@example.com");
    // Its own client id, once the operator has named it.
    let native = || {
        idp.twist(|claims| {
            claims.insert("aud".to_owned(), "ios-app".into());
        });
        idp.id_token(Some("n-2"))
    };
    assert_eq!(by_token(&app, &native(), "n-2").await.problem(401), "invalid_provider_response");
    assert_eq!(reason(&app).await, "id_token_audience");
    let mut description = idp.description("acme");
    description["audiences"] = json!(["ios-app"]);
    describe(&app, description).await.expect(200);
    by_token(&app, &native(), "n-2").await.expect(201);
    // What comes through the browser is for the service itself.
    let home = depart(&app, "acme").await.round(&idp).await;
    assert_eq!(home.error(), "invalid_provider_response");
    // Apple and Google: the hash went into the request.
    idp.lock().script.claims = None;
    let hashed = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    by_token(&app, &idp.id_token(Some(hashed)), "test").await.expect(201);
}

#[tokio::test]
async fn whom_an_operator_lets_in_is_let_in() {
    let (app, idp) = world().await;
    let mut description = idp.description("acme");
    let mut with = async |name: &str, value: Value| {
        description[name] = value;
        describe(&app, description.clone()).await.expect(200);
    };
    let home = async || depart(&app, "acme").await.round(&idp).await;
    with("allowed_domains", json!(["example.org", "bücher.example"])).await;
    assert_eq!(home().await.error(), "domain_not_allowed");
    with("allowed_domains", json!(["example.com"])).await;
    idp.says("email_verified", Some(false.into()));
    assert_eq!(home().await.error(), "domain_not_allowed");
    idp.says("email_verified", Some(true.into()));
    with("allow_sign_up", false.into()).await;
    assert_eq!(home().await.error(), "sign_up_disabled");
    with("allow_sign_up", true.into()).await;
    app.set(json!({ "sign_up": { "enabled": false } })).await;
    assert_eq!(home().await.error(), "sign_up_disabled");
    app.set(json!({ "sign_up": { "enabled": true } })).await;
    with("trust_email", false.into()).await;
    assert_eq!(home().await.error(), "email_unverified");
    with("trust_email", true.into()).await;
    with("link_policy", "never".into()).await;
    app.person("ada@example.com").await;
    assert_eq!(home().await.error(), "account_exists");
    with("link_policy", "verified_email".into()).await;
    assert_eq!(sql::number(&app, "SELECT count(*) FROM auth.identities").await, 0);
    home().await.code();
    // A restriction holds for those who are known as well.
    with("allowed_domains", json!(["example.org"])).await;
    assert_eq!(home().await.error(), "domain_not_allowed");
}

#[tokio::test]
async fn operators_describe_providers() {
    let (app, idp) = (app().await, Idp::start().await);
    assert_eq!(app.admin.get("/v1/admin/oauth-providers").await.expect(200), json!({ "data": [] }));
    let mut description = idp.description("acme");
    description["name"] = "Acme".into();
    let written = describe(&app, description.clone()).await.expect(200);
    assert_eq!(written["has_secret"], true);
    assert!(written["callback_url"].as_str().unwrap().ends_with("/v1/oauth/acme/callback"));
    let listed = app.admin.get("/v1/admin/oauth-providers").await;
    assert!(!listed.text.contains(CLIENT_SECRET));
    assert_eq!(listed.expect(200)["data"][0], written);
    let config = app.http.get("/v1/client-config").await.expect(200);
    assert_eq!(config["providers"], json!([{ "id": "acme", "kind": "oidc", "name": "Acme" }]));

    // The secret stays where nothing changes that decides where it goes.
    description.as_object_mut().unwrap().remove("client_secret");
    description["enabled"] = false.into();
    describe(&app, description.clone()).await.expect(200);
    let config = app.http.get("/v1/client-config").await.expect(200);
    assert_eq!(config["providers"], json!([]));
    assert_eq!(app.stranger().get(&authorize("acme", HOME)).await.problem(404), "not_found");
    description["enabled"] = true.into();
    describe(&app, description.clone()).await.expect(200);
    sign_in(&app, &idp, "acme").await.expect(201);

    assert_eq!(app.admin.delete("/v1/admin/oauth-providers/acme").await.status, 204);
    assert_eq!(app.admin.delete("/v1/admin/oauth-providers/acme").await.problem(404), "not_found");
    assert_eq!(sql::number(&app, "SELECT count(*) FROM auth.identities").await, 0);
    assert_eq!(sql::number(&app, "SELECT count(*) FROM auth.users").await, 1);
}

#[tokio::test]
async fn a_description_that_does_not_hold_is_refused_with_a_pointer() {
    let (app, idp) = (app().await, Idp::start().await);
    let good = idp.description("acme");
    for (name, value, pointer, code) in [
        ("id", json!("Acme"), "/id", "invalid_id"),
        ("id", json!("../x"), "/id", "invalid_id"),
        ("kind", json!("saml"), "/kind", "unknown_value"),
        ("client_id", json!(""), "/client_id", "invalid_value"),
        ("client_secret", json!(""), "/client_secret", "required"),
        ("client_secret", Value::Null, "/client_secret", "required"),
        ("issuer", Value::Null, "/issuer", "required"),
        ("issuer", json!("id.example"), "/issuer", "invalid_url"),
        ("issuer", json!("https://ID.example/"), "/issuer", "invalid_url"),
        ("issuer", json!(format!("{}/", idp.url)), "/issuer", "discovery_invalid"),
        ("issuer", json!("https://127.0.0.2:1"), "/issuer", "address_forbidden"),
        ("token_endpoint", json!("ftp://id.example/"), "/token_endpoint", "address_forbidden"),
        ("token_endpoint", json!("/token"), "/token_endpoint", "invalid_url"),
        ("scopes", json!(["email"]), "/scopes", "required"),
        ("scopes", json!(["openid email"]), "/scopes", "invalid_value"),
        ("authorize_params", json!({ "state": "x" }), "/authorize_params/state", "reserved_name"),
        ("allowed_domains", json!(["*.example.com"]), "/allowed_domains/0", "invalid_domain"),
        ("has_secret", json!(true), "/has_secret", "unknown_field"),
        ("claims", json!({ "sub": "email" }), "/claims/sub", "unknown_field"),
    ] {
        let mut description = good.clone();
        description[name] = value;
        let answer = describe(&app, description.clone()).await;
        assert_eq!(answer.problem(422), "validation_failed");
        let errors = answer.json()["errors"].clone();
        assert_eq!(
            (&errors[0]["pointer"], &errors[0]["code"]),
            (&json!(pointer), &json!(code)),
            "{description}"
        );
    }
    assert_eq!(sql::number(&app, "SELECT count(*) FROM auth.oauth_providers").await, 0);
}

#[tokio::test]
async fn the_operator_reads_why_somebody_was_refused_and_the_visitor_does_not() {
    let (app, idp) = world().await;
    idp.twist(|claims| {
        claims.insert("aud".to_owned(), "another-client".into());
    });
    let trip = depart(&app, "acme").await;
    let answer = trip.arrive(&idp.approve(&trip.location)).await;
    assert!(!answer.header("location").contains("audience"), "{}", answer.header("location"));
    app.person("grace@example.com").await;
    let body =
        json!({ "method": "password", "email": "grace@example.com", "password": "four wrong forests" });
    app.stranger().post("/v1/sessions", body).await.problem(401);

    let first = app.admin.get("/v1/admin/sign-in-traces?limit=1").await.expect(200);
    assert_eq!(first["data"][0]["amr"], json!(["pwd"]));
    let next = format!("/v1/admin/sign-in-traces?limit=1&cursor={}", first["next_cursor"].as_str().unwrap());
    let second = app.admin.get(&next).await.expect(200);
    let trace = &second["data"][0];
    assert_eq!((&trace["provider"], &trace["reason"]), (&json!("acme"), &json!("id_token_audience")));
    assert_eq!((&trace["amr"], &trace["code"]), (&json!(["fed"]), &json!("invalid_provider_response")));
    assert!(trace["address"].as_str().unwrap().starts_with("198."), "{trace}");
    assert_eq!(trace["request_id"], answer.header("x-request-id").as_str());
    assert_eq!(second["next_cursor"], Value::Null);
}
