//! JWTs and the keys that sign them.

use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, TokenData, Validation};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::documents::root;
use crate::support::app::{PASSWORD, Person};
use crate::support::{TestApp, sql};

const JWTS: &str = "/v1/sessions/current/jwts";
const ROTATIONS: &str = "/v1/admin/signing-keys/rotations";

async fn start() -> (TestApp, Person) {
    let app = TestApp::start().await;
    app.set(json!({ "jwt": { "enabled": true } })).await;
    let ada = app.person("ada@example.com").await;
    (app, ada)
}

fn issuer(app: &TestApp) -> String {
    app.running.app.config.public_url.as_str().trim_end_matches('/').to_owned()
}

async fn jwt(http: &crate::support::client::Http, body: Value) -> String {
    http.post(JWTS, body).await.expect(201)["token"].as_str().unwrap().to_owned()
}

async fn jwks(app: &TestApp) -> JwkSet {
    serde_json::from_value(app.http.get("/v1/jwks.json").await.expect(200)).unwrap()
}

async fn kids(app: &TestApp) -> Vec<String> {
    jwks(app).await.keys.into_iter().map(|key| key.common.key_id.unwrap()).collect()
}

fn kid_of(token: &str) -> String {
    jsonwebtoken::decode_header(token).unwrap().kid.unwrap()
}

/// Verifies as a careful application would.
fn verify(keys: &JwkSet, issuer: &str, audience: &str, token: &str) -> Result<TokenData<Value>, String> {
    let header = jsonwebtoken::decode_header(token).map_err(|error| error.to_string())?;
    let jwk = header.kid.and_then(|kid| keys.find(&kid)).ok_or("unknown kid")?;
    let key = DecodingKey::from_jwk(jwk).map_err(|error| error.to_string())?;
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[audience]);
    validation.validate_nbf = true;
    validation.leeway = 0;
    jsonwebtoken::decode(token, &key, &validation).map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_project_that_has_not_opted_in_has_no_jwts_and_no_keys() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    assert_eq!(ada.http.post(JWTS, json!({})).await.problem(404), "jwt_disabled");
    let answer = app.http.get("/v1/jwks.json").await;
    assert_eq!(answer.expect(200), json!({ "keys": [] }));
    assert_eq!(sql::number(&app, "SELECT count(*) FROM auth.signing_keys").await, 0);
    app.set(json!({ "jwt": { "enabled": true } })).await;
    jwt(&ada.http, json!({})).await;
    app.set(json!({ "jwt": { "enabled": false } })).await;
    assert_eq!(ada.http.post(JWTS, json!({})).await.problem(404), "jwt_disabled");
    // What was signed until now can still be verified.
    assert_eq!(kids(&app).await.len(), 1);
}

#[tokio::test]
async fn a_session_is_exchanged_for_a_jwt_that_verifies_against_the_jwks() {
    let (app, ada) = start().await;
    let body = ada.http.post(JWTS, json!({ "audience": "https://api.example.com" })).await.expect(201);
    assert_eq!(body["token_type"], "Bearer");
    let token = body["token"].as_str().unwrap();
    let header = jsonwebtoken::decode_header(token).unwrap();
    assert_eq!((header.alg, header.typ.as_deref()), (Algorithm::EdDSA, Some("at+jwt")));

    let (keys, issuer) = (jwks(&app).await, issuer(&app));
    let claims = verify(&keys, &issuer, "https://api.example.com", token).unwrap().claims;
    let session = ada.http.get("/v1/sessions/current").await.expect(200)["session"].clone();
    assert_eq!(claims["iss"], issuer.as_str());
    assert_eq!(claims["sub"], ada.id.as_str());
    assert_eq!(claims["aud"], "https://api.example.com");
    assert_eq!(claims["sid"], session["id"]);
    assert_eq!((&claims["aal"], &claims["amr"]), (&json!(1), &json!(["pwd"])));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 300);
    assert_eq!(claims["iat"], claims["nbf"]);
    let expires_at: chrono::DateTime<chrono::Utc> =
        serde_json::from_value(body["expires_at"].clone()).unwrap();
    assert_eq!(expires_at.timestamp(), claims["exp"].as_i64().unwrap());
    assert!(claims.get("org_id").is_none() && claims.get("act").is_none());
    let again = jwt(&ada.http, json!({ "audience": "https://api.example.com" })).await;
    assert_ne!(
        verify(&keys, &issuer, "https://api.example.com", &again).unwrap().claims["jti"],
        claims["jti"]
    );

    assert!(verify(&keys, &issuer, "https://other.example.com", token).is_err());
    assert!(verify(&keys, "https://evil.example.com", "https://api.example.com", token).is_err());
    // A JWT opens nothing here.
    let answer = app.http.with_bearer(token).get("/v1/sessions/current").await;
    assert_eq!(answer.problem(401), "invalid_token");
}

#[tokio::test]
async fn the_jwks_holds_public_halves_only_and_may_be_cached_for_an_hour() {
    let (app, ada) = start().await;
    let token = jwt(&ada.http, json!({})).await;
    for path in ["/v1/jwks.json", "/.well-known/jwks.json"] {
        let answer = app.http.get(path).await;
        assert_eq!(answer.header("cache-control"), "public, max-age=3600");
        let body = answer.expect(200);
        let keys = body["keys"].as_array().unwrap();
        assert_eq!(keys.len(), 1);
        let members: Vec<&String> = keys[0].as_object().unwrap().keys().collect();
        assert_eq!(members, ["alg", "crv", "kid", "kty", "use", "x"]);
        assert_eq!(keys[0]["kid"], kid_of(&token).as_str());
    }
    let admin = app.admin.get("/v1/admin/signing-keys").await.expect(200);
    assert!(!admin.to_string().contains("sealed") && !admin.to_string().contains("\"d\""));
}

#[tokio::test]
async fn the_set_of_keys_is_never_empty_while_jwts_are_on() {
    let app = TestApp::start().await;
    app.set(json!({ "jwt": { "enabled": true } })).await;
    assert_eq!(kids(&app).await.len(), 1);
}

#[tokio::test]
async fn a_tampered_or_unsigned_jwt_does_not_verify() {
    let (app, ada) = start().await;
    let token = jwt(&ada.http, json!({})).await;
    let (keys, issuer) = (jwks(&app).await, issuer(&app));
    verify(&keys, &issuer, &issuer, &token).unwrap();
    let parts: Vec<&str> = token.split('.').collect();
    let mut claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    claims["sub"] = json!("01a2b3c4-d5e6-7f01-8a2b-3c4d5e6f7081");
    let forged = URL_SAFE_NO_PAD.encode(claims.to_string());
    let none = |alg: &str| {
        let header = json!({ "alg": alg, "typ": "at+jwt", "kid": kid_of(&token) });
        URL_SAFE_NO_PAD.encode(header.to_string())
    };
    for bad in [
        format!("{}.{forged}.{}", parts[0], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}.{}", none("none"), parts[1], ""),
        format!("{}.{}.{}", none("HS256"), parts[1], parts[2]),
        format!("{}.{}.{}", parts[0], parts[1], URL_SAFE_NO_PAD.encode([0; 64])),
    ] {
        assert!(verify(&keys, &issuer, &issuer, &bad).is_err(), "{bad}");
    }
}

#[tokio::test]
async fn audience_and_custom_claims_come_from_request_settings_and_metadata() {
    let (app, ada) = start().await;
    let long = "x".repeat(256);
    for audience in ["", " api", "a\nb", long.as_str()] {
        assert_eq!(ada.http.post(JWTS, json!({ "audience": audience })).await.pointer(), "/audience");
    }
    assert_eq!(ada.http.post(JWTS, json!({ "aud": "x" })).await.pointer(), "/aud");
    let issuer = issuer(&app);
    verify(&jwks(&app).await, &issuer, &issuer, &jwt(&ada.http, json!({})).await).unwrap();

    let bad = json!({ "jwt": { "default_audience": "" } });
    assert_eq!(app.admin.patch("/v1/admin/settings", bad).await.pointer(), "/jwt/default_audience");
    let bad = json!({ "jwt": { "custom_claims": { "sub": "root" } } });
    assert_eq!(app.admin.patch("/v1/admin/settings", bad).await.pointer(), "/jwt/custom_claims/sub");
    app.set(json!({ "jwt": {
        "default_audience": "api",
        "custom_claims": {
            "env": "test", "nested": { "a": [1] }, "plan": { "user_metadata": "plan" }, "gone": { "user_metadata": "gone" }
        }
    } }))
    .await;
    ada.http
        .patch("/v1/users/me", json!({ "metadata": { "plan": { "name": "free" }, "sub": "root" } }))
        .await
        .expect(200);
    let claims = verify(&jwks(&app).await, &issuer, "api", &jwt(&ada.http, json!({})).await).unwrap().claims;
    assert_eq!(claims["env"], "test");
    assert_eq!(claims["nested"], json!({ "a": [1] }));
    assert_eq!(claims["plan"], json!({ "name": "free" }));
    assert_eq!(claims["sub"], ada.id.as_str());
    assert!(claims.get("gone").is_none());
    // Settings written by another version, or behind the service's back, cannot replace what it vouches for.
    sql::run(
        &app,
        r#"UPDATE auth.settings SET overrides = jsonb_set(overrides, '{jwt,custom_claims,sub}', '"root"')"#,
    )
    .await;
    let claims = verify(&jwks(&app).await, &issuer, "api", &jwt(&ada.http, json!({})).await).unwrap().claims;
    assert_eq!(claims["sub"], ada.id.as_str());
}

#[tokio::test]
async fn a_jwt_never_outlives_its_session_and_a_revoked_session_gives_none() {
    let (app, ada) = start().await;
    sql::run(&app, "UPDATE auth.sessions SET idle_expires_at = now() + interval '20 seconds'").await;
    let issuer = issuer(&app);
    let claims =
        verify(&jwks(&app).await, &issuer, &issuer, &jwt(&ada.http, json!({})).await).unwrap().claims;
    assert!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap() <= 20);
    let second = TestApp::on(app.database.clone()).await;
    ada.http.delete("/v1/sessions/current").await.expect(204);
    let answer = second.http.with_bearer(&ada.token).post(JWTS, json!({})).await;
    assert_eq!(answer.problem(401), "invalid_token");
    let banned = app.sign_in("ada@example.com", PASSWORD).await;
    app.admin.put(&format!("/v1/admin/users/{}/ban", ada.id), json!({})).await;
    assert_eq!(banned.http.post(JWTS, json!({})).await.problem(401), "invalid_token");
}

#[tokio::test]
async fn a_jwt_says_who_acts_as_the_user() {
    let (app, ada) = start().await;
    let path = format!("/v1/admin/users/{}/impersonations", ada.id);
    let acting = app.admin.post(&path, json!({ "actor": "support" })).await.expect(201);
    let http = app.http.with_bearer(acting["session"]["token"].as_str().unwrap());
    let issuer = issuer(&app);
    let claims = verify(&jwks(&app).await, &issuer, &issuer, &jwt(&http, json!({})).await).unwrap().claims;
    assert_eq!(claims["act"], json!({ "sub": "support" }));
}

#[tokio::test]
async fn ten_instances_at_once_on_an_empty_database_make_one_active_key() {
    let (app, ada) = start().await;
    let mut instances = Vec::new();
    for _ in 0..9 {
        instances.push(TestApp::on(app.database.clone()).await);
    }
    let exchanges = instances.iter().chain([&app]).map(|instance| {
        let http = instance.http.with_bearer(&ada.token);
        async move { jwt(&http, json!({})).await }
    });
    let tokens = futures::future::join_all(exchanges).await;
    assert_eq!(tokens.len(), 10);
    assert!(tokens.iter().all(|token| kid_of(token) == kid_of(&tokens[0])));
    assert_eq!(sql::number(&app, "SELECT count(*) FROM auth.signing_keys").await, 1);
    // And when the next one is due everywhere at once.
    sql::run(&app, "UPDATE auth.signing_keys SET activates_at = activates_at - interval '90 days'").await;
    let exchanges = instances.iter().map(|instance| {
        let http = instance.http.with_bearer(&ada.token);
        async move { jwt(&http, json!({})).await }
    });
    futures::future::join_all(exchanges).await;
    assert_eq!(sql::number(&app, "SELECT count(*) FROM auth.signing_keys").await, 2);
}

/// Moves every key this far into the past.
async fn pass(app: &TestApp, seconds: u32) {
    let statement = format!(
        "UPDATE auth.signing_keys SET created_at = created_at - interval '{seconds} seconds',
             activates_at = activates_at - interval '{seconds} seconds',
             retires_at = retires_at - interval '{seconds} seconds'"
    );
    sql::run(app, &statement).await;
}

fn states(keys: &Value) -> Vec<(&str, &str)> {
    keys["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| (key["kid"].as_str().unwrap(), key["state"].as_str().unwrap()))
        .collect()
}

#[tokio::test]
async fn the_next_key_is_published_before_it_signs_and_the_old_one_until_its_tokens_have_expired() {
    let (app, ada) = start().await;
    let old = kid_of(&jwt(&ada.http, json!({})).await);
    let keys = app.admin.post(ROTATIONS, json!({})).await.expect(201);
    let new = keys["data"][0]["kid"].as_str().unwrap().to_owned();
    assert_eq!(states(&keys), [(new.as_str(), "next"), (old.as_str(), "active")]);
    // Repeating the call does no harm.
    let again = app.admin.post(ROTATIONS, json!({})).await.expect(201);
    assert_eq!(states(&again), states(&keys));
    assert_eq!(kid_of(&jwt(&ada.http, json!({})).await), old);
    assert_eq!(kids(&app).await, [new.clone(), old.clone()]);

    pass(&app, 7199).await;
    let last = jwt(&ada.http, json!({})).await;
    assert_eq!(kid_of(&last), old);
    pass(&app, 2).await;
    assert_eq!(kid_of(&jwt(&ada.http, json!({})).await), new);
    let issuer = issuer(&app);
    verify(&jwks(&app).await, &issuer, &issuer, &last).unwrap();
    assert_eq!(states(&app.admin.get("/v1/admin/signing-keys").await.expect(200))[1].1, "retired");

    // The longest life a token can have, and a minute for clocks that differ.
    pass(&app, 3600).await;
    assert_eq!(kids(&app).await, [new.clone(), old.clone()]);
    pass(&app, 60).await;
    assert_eq!(kids(&app).await, [new]);
    assert_eq!(
        states(&app.admin.get("/v1/admin/signing-keys").await.expect(200))[1],
        (old.as_str(), "expired")
    );
    // Its private half is forgotten, and later the whole row.
    beyond_auth::jobs::purge(&app.running.app).await.unwrap();
    let sealed = "SELECT count(*) FROM auth.signing_keys WHERE sealed_private IS NOT NULL";
    assert_eq!(sql::number(&app, sealed).await, 1);
    sql::run(
        &app,
        "UPDATE auth.signing_keys SET activates_at = activates_at - interval '1 year',
         retires_at = retires_at - interval '1 year' WHERE retires_at IS NOT NULL",
    )
    .await;
    beyond_auth::jobs::purge(&app.running.app).await.unwrap();
    assert_eq!(sql::number(&app, "SELECT count(*) FROM auth.signing_keys").await, 1);
}

#[tokio::test]
async fn an_immediate_rotation_takes_over_at_once() {
    let (app, ada) = start().await;
    let first = kid_of(&jwt(&ada.http, json!({})).await);
    app.admin.post(ROTATIONS, json!({ "immediate": true })).await.expect(201);
    let second = kid_of(&jwt(&ada.http, json!({})).await);
    assert_ne!(first, second);
    assert_eq!(kids(&app).await, [second.clone(), first]);
    // One that waits already does not wait any longer.
    let waiting = app.admin.post(ROTATIONS, json!({})).await.expect(201)["data"][0]["kid"].clone();
    let keys = app.admin.post(ROTATIONS, json!({ "immediate": true })).await.expect(201);
    assert_eq!(states(&keys)[..2], [(waiting.as_str().unwrap(), "active"), (second.as_str(), "retired")]);
    assert_eq!(waiting, kid_of(&jwt(&ada.http, json!({})).await).as_str());
    assert_eq!(app.admin.post(ROTATIONS, json!({ "now": true })).await.pointer(), "/now");
}

#[tokio::test]
async fn a_removed_key_is_gone_at_once_and_another_signs() {
    let (app, ada) = start().await;
    let second = TestApp::on(app.database.clone()).await;
    let first = jwt(&ada.http, json!({})).await;
    let remove = async |kid: &str| {
        app.admin.delete(&format!("/v1/admin/signing-keys/{kid}")).await.expect(204);
    };
    // The only one: a new one is made.
    remove(&kid_of(&first)).await;
    let (keys, issuer) = (jwks(&second).await, issuer(&app));
    assert_eq!(keys.keys.len(), 1);
    assert!(verify(&keys, &issuer, &issuer, &first).is_err());
    let elsewhere = second.http.with_bearer(&ada.token);
    let active = kid_of(&jwt(&elsewhere, json!({})).await);
    assert_ne!(active, kid_of(&first));
    let private =
        "SELECT count(*) FROM auth.signing_keys WHERE removed_at IS NOT NULL AND sealed_private IS NOT NULL";
    assert_eq!(sql::number(&app, private).await, 0);

    // The active one while another waits: that one takes over.
    let keys = app.admin.post(ROTATIONS, json!({})).await.expect(201);
    let waiting = keys["data"][0]["kid"].as_str().unwrap().to_owned();
    remove(&active).await;
    assert_eq!(kid_of(&jwt(&elsewhere, json!({})).await), waiting);
    assert_eq!(kids(&second).await, std::slice::from_ref(&waiting));

    // The waiting one: the active one signs on.
    let keys = app.admin.post(ROTATIONS, json!({})).await.expect(201);
    let next = keys["data"][0]["kid"].as_str().unwrap().to_owned();
    remove(&next).await;
    assert_eq!(kids(&app).await, std::slice::from_ref(&waiting));
    pass(&app, 7300).await;
    assert_eq!(kid_of(&jwt(&ada.http, json!({})).await), waiting);

    // A retired one never signs again.
    app.admin.post(ROTATIONS, json!({ "immediate": true })).await.expect(201);
    let active = kid_of(&jwt(&ada.http, json!({})).await);
    remove(&active).await;
    let replacement = kid_of(&jwt(&ada.http, json!({})).await);
    assert!(replacement != waiting && replacement != active);

    let unknown = app.admin.delete("/v1/admin/signing-keys/unknown").await;
    assert_eq!(unknown.problem(404), "not_found");
    let gone = app.admin.delete(&format!("/v1/admin/signing-keys/{active}")).await;
    assert_eq!(gone.problem(404), "not_found");
    assert_eq!(ada.http.get("/v1/admin/signing-keys").await.problem(401), "invalid_token");
}

#[tokio::test]
async fn a_key_of_age_is_replaced_by_itself() {
    let (app, ada) = start().await;
    app.set(json!({ "signing_keys": { "rotation_days": 10 } })).await;
    let first = kid_of(&jwt(&ada.http, json!({})).await);
    pass(&app, 10 * 86_400 - 7_300).await;
    jwt(&ada.http, json!({})).await;
    assert_eq!(kids(&app).await.len(), 1);
    // Two hours before it is ten days old, the next is published; by an exchange, or by housekeeping.
    pass(&app, 200).await;
    assert_eq!(kid_of(&jwt(&ada.http, json!({})).await), first);
    assert_eq!(kids(&app).await.len(), 2);
    pass(&app, 7_300).await;
    assert_ne!(kid_of(&jwt(&ada.http, json!({})).await), first);

    pass(&app, 10 * 86_400).await;
    beyond_auth::signing_keys::flow::keep_rotating(&app.running.app).await.unwrap();
    let keys = app.admin.get("/v1/admin/signing-keys").await.expect(200);
    assert_eq!(
        states(&keys).iter().map(|(_, state)| *state).collect::<Vec<_>>(),
        ["next", "active", "expired"]
    );
}

#[tokio::test]
async fn a_key_moved_to_another_row_signs_nothing() {
    let (app, ada) = start().await;
    jwt(&ada.http, json!({})).await;
    sql::run(&app, "UPDATE auth.signing_keys SET id = gen_random_uuid()").await;
    assert_eq!(ada.http.post(JWTS, json!({})).await.problem(503), "unavailable");
}

/// `tests/tools/jose/verify.mjs`, running.
struct Jose {
    _child: Child,
    tokens: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Jose {
    async fn start(jwks: &str, issuer: &str, audience: &str) -> Self {
        let setup = Command::new(root().join("bin/setup-test-tools")).arg("jose").output().await.unwrap();
        let message = String::from_utf8_lossy(&setup.stderr);
        assert!(setup.status.success(), "bin/setup-test-tools failed: {message}");
        let folder = String::from_utf8(setup.stdout).unwrap();
        let mut child = Command::new("node")
            .args(["verify.mjs", jwks, issuer, audience])
            .current_dir(folder.trim())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (tokens, answers) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { _child: child, tokens, answers: BufReader::new(answers).lines() }
    }

    async fn verify(&mut self, token: &str) -> Value {
        self.tokens.write_all(format!("{token}\n").as_bytes()).await.unwrap();
        let answer = self.answers.next_line().await.unwrap().expect("jose ended");
        serde_json::from_str(&answer).unwrap()
    }
}

#[tokio::test]
async fn an_application_verifies_with_jose_through_rotations_and_removals() {
    let (app, ada) = start().await;
    let issuer = issuer(&app);
    let mut jose = Jose::start(&app.http.url("/v1/jwks.json"), &issuer, "api").await;
    let body = json!({ "audience": "api" });
    let token = jwt(&ada.http, body.clone()).await;
    let verified = jose.verify(&token).await;
    assert_eq!(verified["payload"]["sub"], ada.id.as_str(), "{verified}");
    assert_eq!(verified["header"]["kid"], kid_of(&token).as_str());
    // Jose keeps the keys; one that it has not seen makes it ask again.
    app.admin.post(ROTATIONS, json!({ "immediate": true })).await.expect(201);
    let next = jwt(&ada.http, body.clone()).await;
    assert_eq!(jose.verify(&next).await["header"]["kid"], kid_of(&next).as_str());
    assert_eq!(jose.verify(&token).await["header"]["kid"], kid_of(&token).as_str());
    let (head, _) = next.rsplit_once('.').unwrap();
    let (_, other) = token.rsplit_once('.').unwrap();
    let forged = jose.verify(&format!("{head}.{other}")).await;
    assert_eq!(forged["error"], "ERR_JWS_SIGNATURE_VERIFICATION_FAILED");
    let elsewhere = jose.verify(&jwt(&ada.http, json!({ "audience": "another" })).await).await;
    assert_eq!(elsewhere["error"], "ERR_JWT_CLAIM_VALIDATION_FAILED");

    // A client that starts after a removal knows nothing of the removed key.
    app.admin.delete(&format!("/v1/admin/signing-keys/{}", kid_of(&next))).await.expect(204);
    let mut fresh = Jose::start(&app.http.url("/.well-known/jwks.json"), &issuer, "api").await;
    assert_eq!(fresh.verify(&next).await["error"], "ERR_JWKS_NO_MATCHING_KEY");
    let last = jwt(&ada.http, body).await;
    assert_eq!(fresh.verify(&last).await["payload"]["sub"], ada.id.as_str());
}
