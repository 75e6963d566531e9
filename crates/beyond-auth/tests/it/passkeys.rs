//! Passkeys: registering, signing in, second factor, step-up, names, removal.

use serde_json::{Value, json};

use crate::support::TestApp;
use crate::support::app::{PASSWORD, Person};
use crate::support::authenticator::{Authenticator, Kind, decode};
use crate::support::client::{Answer, Http};
use crate::support::fido2::Fido2;

pub const OPTIONS: &str = "/v1/passkeys/authentication-options";
pub const PASSKEYS: &str = "/v1/users/me/passkeys";
pub const REGISTRATION_OPTIONS: &str = "/v1/users/me/passkeys/registration-options";
pub const STEP_UP: &str = "/v1/sessions/current/verifications";

/// Options for registering.
pub async fn registration(http: &Http) -> Value {
    http.post(REGISTRATION_OPTIONS, json!({})).await.expect(200)
}

/// Hands over what the authenticator made.
pub async fn hand_over(http: &Http, options: &Value, credential: Value) -> Answer {
    http.post(PASSKEYS, json!({ "challenge_id": options["challenge_id"], "credential": credential })).await
}

/// Registers a passkey.
pub async fn register(person: &Person, authenticator: &mut Authenticator) -> Value {
    let options = registration(&person.http).await;
    let credential = authenticator.register(&options);
    hand_over(&person.http, &options, credential).await.expect(201)["passkey"].clone()
}

/// Options for a sign-in of whoever.
pub async fn options(http: &Http) -> Value {
    http.post(OPTIONS, json!({})).await.expect(200)
}

/// Presents an answer at the door.
pub async fn present(http: &Http, options: &Value, credential: Value) -> Answer {
    let body =
        json!({ "method": "passkey", "challenge_id": options["challenge_id"], "credential": credential });
    http.post("/v1/sessions", body).await
}

/// Signs in with whatever the authenticator holds.
pub async fn sign_in(http: &Http, authenticator: &mut Authenticator) -> Answer {
    let options = options(http).await;
    let credential = authenticator.assert(&options);
    present(http, &options, credential).await
}

/// The half-finished sign-in of somebody whose project asks for two factors.
async fn attempt(app: &TestApp, email: &str) -> (Http, String) {
    let http = app.stranger();
    let body = json!({ "method": "password", "email": email, "password": PASSWORD });
    let due = http.post("/v1/sessions", body).await.expect(202)["attempt"].clone();
    assert!(due["factors"].as_array().unwrap().contains(&json!("passkey")), "{due}");
    let token = due["token"].as_str().unwrap().to_owned();
    (http, token)
}

async fn age(app: &TestApp) {
    let mut conn = app.running.app.db.acquire().await.unwrap();
    sqlx::query("UPDATE auth.sessions SET verified_at = now() - interval '11 minutes'")
        .execute(&mut conn)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_passkey_is_registered_and_signs_in() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let offered = registration(&ada.http).await;
    let public_key = &offered["options"]["publicKey"];
    assert_eq!(decode(&public_key["challenge"]).len(), 32);
    assert_eq!(public_key["rp"]["id"], "localhost");
    assert_eq!(public_key["user"]["name"], "ada@example.com");
    assert_eq!(public_key["attestation"], "none");
    assert_eq!(public_key["authenticatorSelection"]["residentKey"], "preferred");
    let algorithms: Vec<_> =
        public_key["pubKeyCredParams"].as_array().unwrap().iter().map(|kind| &kind["alg"]).collect();
    assert_eq!(algorithms, [-8, -7, -257]);

    for kind in [Kind::EdDsa, Kind::Es256, Kind::Rs256] {
        let mut authenticator = Authenticator::new(&app).with_kind(kind);
        let passkey = register(&ada, &mut authenticator).await;
        assert_eq!((&passkey["backup_eligible"], &passkey["backed_up"]), (&json!(true), &json!(true)));
        assert_eq!(passkey["transports"], json!(["hybrid", "internal"]));
        assert_eq!((&passkey["discoverable"], &passkey["user_verified"]), (&json!(true), &json!(true)));
        assert_eq!((&passkey["last_used_at"], &passkey["aaguid"]), (&Value::Null, &Value::Null));
        assert_eq!(passkey["name"], "Passkey");

        let body = sign_in(&app.stranger(), &mut authenticator).await.expect(201);
        assert_eq!(body["user"]["id"], ada.id.as_str());
        assert_eq!(body["session"]["amr"], json!(["swk", "mfa"]));
        assert_eq!(body["session"]["aal"], 2);
        let session = app.http.with_bearer(body["session"]["token"].as_str().unwrap());
        session.get("/v1/sessions/current").await.expect(200);
    }
    let listed = ada.http.get(PASSKEYS).await.expect(200);
    assert_eq!(listed["data"].as_array().unwrap().len(), 3);
    assert!(listed["data"].as_array().unwrap().iter().all(|passkey| !passkey["last_used_at"].is_null()));
}

#[tokio::test]
async fn a_security_key_is_hardware_held_and_its_counter_is_kept() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let mut key = Authenticator::security_key(&app, true);
    let passkey = register(&ada, &mut key).await;
    assert_eq!((&passkey["backup_eligible"], &passkey["backed_up"]), (&json!(false), &json!(false)));
    for _ in 0..3 {
        let body = sign_in(&app.stranger(), &mut key).await.expect(201);
        assert_eq!(body["session"]["amr"], json!(["hwk", "mfa"]));
    }
    let mut conn = app.running.app.db.acquire().await.unwrap();
    let count: i64 =
        sqlx::query_scalar("SELECT sign_count FROM auth.passkeys").fetch_one(&mut conn).await.unwrap();
    assert_eq!(count, 4);
}

#[tokio::test]
async fn the_backup_state_follows_the_authenticator_but_eligibility_is_fixed() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let mut phone = Authenticator::new(&app);
    phone.backed_up = false;
    assert_eq!(register(&ada, &mut phone).await["backed_up"], false);
    phone.backed_up = true;
    sign_in(&app.stranger(), &mut phone).await.expect(201);
    assert_eq!(ada.http.get(PASSKEYS).await.expect(200)["data"][0]["backed_up"], true);

    phone.backed_up = false;
    phone.backup_eligible = false;
    assert_eq!(sign_in(&app.stranger(), &mut phone).await.problem(401), "invalid_credentials");
}

#[tokio::test]
async fn tokens_go_where_they_are_wanted() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let mut phone = Authenticator::new(&app);
    register(&ada, &mut phone).await;
    let http = app.stranger();
    let options = options(&http).await;
    let body = json!({
        "method": "passkey",
        "challenge_id": options["challenge_id"],
        "credential": phone.assert(&options),
        "cookie": true,
        "refresh_token": true,
    });
    let answer = http.post("/v1/sessions", body).await;
    let body = answer.expect(201);
    assert!(body["session"].get("token").is_none());
    assert!(answer.header("set-cookie").starts_with("beyond_session=session_"));
    assert!(body["refresh_token"]["token"].as_str().unwrap().starts_with("rt_"));
}

#[tokio::test]
async fn the_browser_is_told_which_passkeys_there_are_already() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let mut phone = Authenticator::new(&app);
    register(&ada, &mut phone).await;
    let offered = registration(&ada.http).await;
    let excluded = &offered["options"]["publicKey"]["excludeCredentials"];
    assert_eq!(decode(&excluded[0]["id"]), phone.held[0].id);
    assert_eq!(excluded[0]["transports"], json!(["hybrid", "internal"]));

    // Whoever ignores that is refused all the same.
    let id = phone.held[0].id.clone();
    let again = phone.register_as(&offered, |draft| draft.credential_id = id);
    assert_eq!(hand_over(&ada.http, &offered, again).await.problem(409), "passkey_taken");
    let eve = app.person("eve@example.com").await;
    let offered = registration(&eve.http).await;
    let id = phone.held[0].id.clone();
    let stolen = phone.register_as(&offered, |draft| draft.credential_id = id);
    assert_eq!(hand_over(&eve.http, &offered, stolen).await.problem(409), "passkey_taken");
}

#[tokio::test]
async fn an_account_holds_twenty_passkeys() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let mut phone = Authenticator::new(&app).with_kind(Kind::EdDsa);
    let early = registration(&ada.http).await;
    for _ in 0..20 {
        register(&ada, &mut phone).await;
    }
    let answer = ada.http.post(REGISTRATION_OPTIONS, json!({})).await;
    assert_eq!(answer.problem(409), "too_many_passkeys");
    let credential = phone.register(&early);
    assert_eq!(hand_over(&ada.http, &early, credential).await.problem(409), "too_many_passkeys");
}

#[tokio::test]
async fn a_passkey_has_a_name_and_may_get_another() {
    let app = TestApp::start().await;
    let (ada, eve) = (app.person("ada@example.com").await, app.person("eve@example.com").await);
    let mut phone = Authenticator::new(&app);
    phone.aaguid = 0xfbfc_3007_154e_4ecc_8c0b_6e02_0557_d7bd_u128.to_be_bytes();
    let passkey = register(&ada, &mut phone).await;
    assert_eq!(passkey["name"], "iCloud Keychain");
    assert_eq!(passkey["aaguid"], "fbfc3007-154e-4ecc-8c0b-6e020557d7bd");

    let options = registration(&ada.http).await;
    let body = json!({
        "challenge_id": options["challenge_id"],
        "credential": phone.register(&options),
        "name": "  The red one ",
    });
    let named = ada.http.post(PASSKEYS, body).await.expect(201);
    assert_eq!(named["passkey"]["name"], "The red one");

    let path = format!("{PASSKEYS}/{}", passkey["id"].as_str().unwrap());
    let renamed = ada.http.patch(&path, json!({ "name": "Ada's phone" })).await.expect(200);
    assert_eq!(renamed["passkey"]["name"], "Ada's phone");
    for name in ["", "  ", "a\u{7}b", &"x".repeat(101)] {
        assert_eq!(ada.http.patch(&path, json!({ "name": name })).await.problem(422), "validation_failed");
    }
    assert_eq!(eve.http.patch(&path, json!({ "name": "Eve's" })).await.problem(404), "not_found");
    assert_eq!(eve.http.delete(&path).await.problem(404), "not_found");
    assert_eq!(ada.http.get(PASSKEYS).await.expect(200)["data"][0]["name"], "Ada's phone");
}

#[tokio::test]
async fn the_owner_hears_of_every_passkey_that_comes_or_goes() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let mut phone = Authenticator::new(&app);
    let passkey = register(&ada, &mut phone).await;
    let added = app.mailbox.wait_until(|mail| mail.subject.contains("passkey was added")).await.unwrap();
    assert_eq!(added.to, "ada@example.com");
    assert!(added.text.contains("“Passkey”") && added.text.contains("/auth/account"), "{}", added.text);

    ada.http.delete(&format!("{PASSKEYS}/{}", passkey["id"].as_str().unwrap())).await.expect(204);
    let removed = app.mailbox.wait_until(|mail| mail.subject.contains("passkey was removed")).await.unwrap();
    assert_eq!(removed.to, "ada@example.com");
    assert_eq!(sign_in(&app.stranger(), &mut phone).await.problem(401), "invalid_credentials");

    let passkey = register(&ada, &mut phone).await;
    let path = format!("/v1/admin/users/{}/passkeys/{}", ada.id, passkey["id"].as_str().unwrap());
    app.admin.delete(&path).await.expect(204);
    assert_eq!(app.admin.delete(&path).await.problem(404), "not_found");
    let known = removed.number;
    app.mailbox
        .wait_until(|mail| mail.number > known && mail.subject.contains("passkey was removed"))
        .await
        .unwrap();
}

#[tokio::test]
async fn the_last_way_in_stays() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let (mut phone, mut key) = (Authenticator::new(&app), Authenticator::security_key(&app, false));
    let path = |passkey: &Value| format!("{PASSKEYS}/{}", passkey["id"].as_str().unwrap());
    let (phones, keys) = (register(&ada, &mut phone).await, register(&ada, &mut key).await);
    app.set(json!({ "magic_link": { "enabled": false } })).await;
    let mut conn = app.running.app.db.acquire().await.unwrap();
    sqlx::query("DELETE FROM auth.passwords").execute(&mut conn).await.unwrap();
    drop(conn);
    // A key without a PIN is no way in by itself, so it does not count, and may go.
    assert_eq!(ada.http.delete(&path(&phones)).await.problem(409), "last_way_in");
    sign_in(&app.stranger(), &mut phone).await.expect(201);
    ada.http.delete(&path(&keys)).await.expect(204);
    assert_eq!(ada.http.delete(&path(&phones)).await.problem(409), "last_way_in");
    app.set(json!({ "magic_link": { "enabled": true } })).await;
    ada.http.delete(&path(&phones)).await.expect(204);
}

#[tokio::test]
async fn a_passkey_is_the_second_factor_where_two_are_required() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let (mut phone, mut key) = (Authenticator::new(&app), Authenticator::security_key(&app, false));
    register(&ada, &mut key).await;
    app.sign_in("ada@example.com", PASSWORD).await;
    app.set(json!({ "mfa": { "policy": "required" } })).await;

    // A touch is enough beside the password, and worth nothing alone.
    assert_eq!(sign_in(&app.stranger(), &mut key).await.problem(401), "invalid_credentials");
    let (http, token) = attempt(&app, "ada@example.com").await;
    let offered = http.post(OPTIONS, json!({ "attempt_token": token })).await.expect(200);
    assert_eq!(decode(&offered["options"]["publicKey"]["allowCredentials"][0]["id"]), key.held[0].id);
    let body = json!({
        "method": "passkey",
        "attempt_token": token,
        "challenge_id": offered["challenge_id"],
        "credential": key.assert(&offered),
    });
    let signed_in = http.post("/v1/sessions", body.clone()).await.expect(201);
    assert_eq!(signed_in["session"]["amr"], json!(["pwd", "hwk", "mfa"]));
    assert_eq!(signed_in["session"]["aal"], 2);
    assert_eq!(http.post("/v1/sessions", body).await.problem(401), "invalid_attempt");

    // With user verification a passkey is two factors by itself: whoever has shown one may not add it.
    assert_eq!(ada.http.post(REGISTRATION_OPTIONS, json!({})).await.json()["acr_values"], "aal2");
    let token = signed_in["session"]["token"].as_str().unwrap().to_owned();
    register(&Person { http: http.with_bearer(&token), token, ..ada }, &mut phone).await;
    let alone = sign_in(&app.stranger(), &mut phone).await.expect(201);
    assert_eq!((&alone["session"]["aal"], &alone["session"]["amr"]), (&json!(2), &json!(["swk", "mfa"])));
}

#[tokio::test]
async fn a_key_that_gets_a_pin_later_stays_a_second_factor() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let mut key = Authenticator::security_key(&app, false);
    register(&ada, &mut key).await;
    app.set(json!({ "mfa": { "policy": "required" } })).await;
    // Whoever finds the key can give it a PIN.
    key.verifies = true;
    assert_eq!(sign_in(&app.stranger(), &mut key).await.problem(401), "invalid_credentials");
    let (http, token) = attempt(&app, "ada@example.com").await;
    let offered = http.post(OPTIONS, json!({ "attempt_token": token })).await.expect(200);
    let body = json!({
        "method": "passkey",
        "attempt_token": token,
        "challenge_id": offered["challenge_id"],
        "credential": key.assert(&offered),
    });
    http.post("/v1/sessions", body).await.expect(201);
    assert_eq!(sign_in(&app.stranger(), &mut key).await.problem(401), "invalid_credentials");
}

#[tokio::test]
async fn a_passkey_steps_a_session_up() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let mut phone = Authenticator::new(&app);
    register(&ada, &mut phone).await;
    age(&app).await;
    let refused = ada.http.post(REGISTRATION_OPTIONS, json!({})).await;
    assert_eq!(refused.problem(401), "insufficient_user_authentication");

    assert_eq!(app.http.post(OPTIONS, json!({ "step_up": true })).await.problem(401), "missing_credentials");
    let offered = ada.http.post(OPTIONS, json!({ "step_up": true })).await.expect(200);
    let body = json!({
        "method": "passkey",
        "challenge_id": offered["challenge_id"],
        "credential": phone.assert(&offered),
    });
    let stepped = ada.http.post(STEP_UP, body).await.expect(200);
    assert_eq!(stepped["session"]["aal"], 2);
    assert_eq!(stepped["session"]["amr"], json!(["pwd", "swk", "mfa"]));
    let http = app.http.with_bearer(stepped["session"]["token"].as_str().unwrap());
    registration(&http).await;
}

#[tokio::test]
async fn switched_off_passkeys_open_nothing_but_can_be_removed() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let mut phone = Authenticator::new(&app);
    let passkey = register(&ada, &mut phone).await;
    let (early, stranger) = (options(&app.http).await, app.stranger());
    app.set(json!({ "passkeys": { "enabled": false } })).await;
    let credential = phone.assert(&early);
    assert_eq!(present(&stranger, &early, credential).await.problem(403), "method_disabled");
    assert_eq!(stranger.post(OPTIONS, json!({})).await.problem(403), "method_disabled");
    assert_eq!(ada.http.post(REGISTRATION_OPTIONS, json!({})).await.problem(403), "method_disabled");
    ada.http.delete(&format!("{PASSKEYS}/{}", passkey["id"].as_str().unwrap())).await.expect(204);
}

#[tokio::test]
async fn a_passkey_lets_nobody_in_who_may_not_come_in() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let mut phone = Authenticator::new(&app);
    register(&ada, &mut phone).await;
    app.admin.put(&format!("/v1/admin/users/{}/ban", ada.id), json!({})).await.expect(200);
    assert_eq!(sign_in(&app.stranger(), &mut phone).await.problem(401), "invalid_credentials");
    app.admin.delete(&format!("/v1/admin/users/{}/ban", ada.id)).await.expect(204);
    sign_in(&app.stranger(), &mut phone).await.expect(201);
    app.admin.delete(&format!("/v1/admin/users/{}", ada.id)).await.expect(204);
    assert_eq!(sign_in(&app.stranger(), &mut phone).await.problem(401), "invalid_credentials");
}

#[tokio::test]
async fn pages_of_the_projects_other_origins_may_use_its_passkeys() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let mut phone = Authenticator::new(&app);
    let own = phone.origin.clone();
    assert_eq!(app.http.get("/.well-known/webauthn").await.expect(200), json!({ "origins": [own] }));
    phone.origin = "https://app.example.com".to_owned();
    let offered = registration(&ada.http).await;
    let credential = phone.register(&offered);
    let refused = hand_over(&ada.http, &offered, credential).await;
    assert_eq!((refused.problem(422), refused.pointer()), ("validation_failed".into(), "/credential".into()));
    assert_eq!(refused.json()["errors"][0]["code"], "invalid_passkey");

    app.set(json!({ "allowed_origins": ["https://app.example.com"] })).await;
    register(&ada, &mut phone).await;
    sign_in(&app.stranger(), &mut phone).await.expect(201);
    let listed = app.http.get("/.well-known/webauthn").await.expect(200);
    assert_eq!(listed, json!({ "origins": [own, "https://app.example.com"] }));
}

#[tokio::test]
async fn where_two_are_required_the_last_factor_stays() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let (mut phone, mut key) = (Authenticator::new(&app), Authenticator::security_key(&app, false));
    let (phones, keys) = (register(&ada, &mut phone).await, register(&ada, &mut key).await);
    app.set(json!({ "mfa": { "policy": "required" } })).await;
    let path = |passkey: &Value| format!("{PASSKEYS}/{}", passkey["id"].as_str().unwrap());
    // Whoever has shown one factor may take none away.
    assert_eq!(ada.http.delete(&path(&phones)).await.json()["acr_values"], "aal2");
    let strong = sign_in(&app.stranger(), &mut phone).await.expect(201);
    let strong = ada.http.with_bearer(strong["session"]["token"].as_str().unwrap());
    strong.delete(&path(&phones)).await.expect(204);
    assert_eq!(strong.delete(&path(&keys)).await.problem(409), "last_factor");
    app.set(json!({ "mfa": { "policy": "optional" } })).await;
    strong.delete(&path(&keys)).await.expect(204);
}

#[tokio::test]
async fn switched_off_passkeys_do_not_keep_their_owner_from_enrolling_something_else() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let mut phone = Authenticator::new(&app);
    register(&ada, &mut phone).await;
    app.set(json!({ "mfa": { "policy": "required" }, "passkeys": { "enabled": false } })).await;
    let http = app.stranger();
    let body = json!({ "method": "password", "email": ada.email, "password": PASSWORD });
    let due = http.post("/v1/sessions", body).await.expect(202)["attempt"].clone();
    assert_eq!((&due["factors"], &due["enrolment_required"]), (&json!([]), &json!(true)));
    let body = json!({ "method": "totp_enrolment", "attempt_token": due["token"] });
    assert!(http.post("/v1/sessions", body).await.expect(200)["factor"]["secret"].is_string());
}

#[tokio::test]
async fn an_implementation_that_is_not_ours_registers_and_signs_in() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let origin = app.running.app.config.webauthn.rp_origin.origin().ascii_serialization();
    let mut fido2 = Fido2::start(&origin).await;
    for algorithm in [-8, -7, -257] {
        let offered = registration(&ada.http).await;
        let credential = fido2.create(&offered, algorithm).await;
        let made = hand_over(&ada.http, &offered, credential).await.expect(201)["passkey"].clone();
        assert_eq!(made["aaguid"], "00010203-0405-0607-0809-0a0b0c0d0e0f");
        assert_eq!((&made["discoverable"], &made["user_verified"]), (&Value::Null, &json!(true)));
        let offered = options(&app.http).await;
        let credential = fido2.get(&offered).await;
        let body = present(&app.stranger(), &offered, credential).await.expect(201);
        assert_eq!((&body["user"]["id"], &body["session"]["amr"]), (&json!(ada.id), &json!(["hwk", "mfa"])));
    }
    let offered = ada.http.post(OPTIONS, json!({ "step_up": true })).await.expect(200);
    let credential = fido2.get(&offered).await;
    let body =
        json!({ "method": "passkey", "challenge_id": offered["challenge_id"], "credential": credential });
    ada.http.post(STEP_UP, body).await.expect(200);
}

/// Or the tests above would prove that two mistakes of ours agree.
#[tokio::test]
async fn an_implementation_that_is_not_ours_takes_what_our_authenticator_makes() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    for kind in [Kind::EdDsa, Kind::Es256, Kind::Rs256] {
        let mut phone = Authenticator::new(&app).with_kind(kind);
        let mut fido2 = Fido2::start(&phone.origin).await;
        let creating = registration(&ada.http).await;
        let created = phone.register(&creating);
        let getting = options(&app.http).await;
        let got = phone.assert(&getting);
        fido2.check((&creating, &created), (&getting, &got)).await;
    }
}

#[tokio::test]
async fn recovery_codes_go_with_the_last_factor() {
    let app = TestApp::start().await;
    let ada = app.enrolled("ada@example.com").await;
    let (http, device) = (&ada.person.http, &ada.device);
    let body = json!({ "method": "totp", "code": device.code() });
    let stepped = http.post(STEP_UP, body).await.expect(200);
    app.forget_steps().await;
    let token = stepped["session"]["token"].as_str().unwrap().to_owned();
    let http = app.http.with_bearer(&token);
    let person = Person { http: http.clone(), token, ..ada.person.clone() };
    let mut phone = Authenticator::new(&app);
    let passkey = register(&person, &mut phone).await;
    let factor = format!("/v1/users/me/factors/{}", ada.factor);
    let request = http.request(http::Method::DELETE, &factor).json(&json!({ "code": device.code() }));
    http.send(request).await.expect(204);
    assert_eq!(http.get("/v1/users/me/recovery-codes").await.expect(200)["remaining"], 10);
    http.delete(&format!("{PASSKEYS}/{}", passkey["id"].as_str().unwrap())).await.expect(204);
    assert_eq!(http.get("/v1/users/me/recovery-codes").await.expect(200)["remaining"], 0);
}
