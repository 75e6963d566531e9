//! Accounts elsewhere: linking and unlinking them, and what their providers hand out.

use std::time::Duration;

use beyond_auth::platform::config::OutboundRule;
use beyond_auth::platform::mail::memory::ReceivedMail;
use http::Method;
use serde_json::{Value, json};

use crate::support::app::{PASSWORD, Person};
use crate::support::client::Http;
use crate::support::idp::{Idp, Instead};
use crate::support::trip::{HOME, app, depart, describe, link, redeem, said, sign_in, world};
use crate::support::{TestApp, sql};

const IDENTITIES: &str = "/v1/users/me/identities";

/// Links what the provider says of its person, all the way.
async fn linked(idp: &Idp, http: &Http) -> Value {
    let trip = link(http, "acme").await;
    let said = said(&trip.arrive(&idp.approve(&trip.location)).await);
    assert_eq!(said.get("linked").map(String::as_str), Some("acme"), "{said:?}");
    identities(http).await[0].clone()
}

async fn identities(http: &Http) -> Vec<Value> {
    let answer = http.get(IDENTITIES).await.expect(200);
    assert_eq!(answer["next_cursor"], Value::Null);
    answer["data"].as_array().unwrap().clone()
}

/// What Ada is told by mail.
async fn told(app: &TestApp, what: &str) -> std::sync::Arc<ReceivedMail> {
    let matches = |mail: &ReceivedMail| mail.to == "ada@home.example" && mail.subject.contains(what);
    app.mailbox.wait_until(matches).await.unwrap()
}

fn path(identity: &Value) -> String {
    format!("{IDENTITIES}/{}", identity["id"].as_str().unwrap())
}

#[tokio::test]
async fn an_account_elsewhere_is_linked_and_opens_the_door() {
    let (app, idp) = world().await;
    let ada = app.person("ada@home.example").await;
    assert!(identities(&ada.http).await.is_empty());
    let trip = link(&ada.http, "acme").await;
    assert!(trip.location.starts_with(&format!("{}/authorize?", idp.url)));
    let back = idp.approve(&trip.location);
    let answer = trip.arrive(&back).await;
    let said = said(&answer);
    assert_eq!(said.get("linked").map(String::as_str), Some("acme"));
    assert!(!said.contains_key("code"), "{said:?}");
    // Once.
    assert_eq!(trip.arrive(&back).await.problem(400), "invalid_state");

    let found = identities(&ada.http).await;
    assert_eq!(found.len(), 1);
    for (name, value) in [
        ("provider", "acme"),
        ("provider_name", "acme"),
        ("subject", "248289761001"),
        ("email", "ada@example.com"),
        ("name", "Ada Lovelace"),
    ] {
        assert_eq!(found[0][name], value, "{name}");
    }
    assert!(found[0].get("user_id").is_none());
    let mail = told(&app, "was connected").await;
    assert!(mail.text.contains("ada@example.com"), "{}", mail.text);
    assert_eq!(
        sql::number(&app, "SELECT count(*) FROM auth.audit_events WHERE action = 'identity.linked'").await,
        1
    );

    let signed_in = sign_in(&app, &idp, "acme").await.expect(201);
    assert_eq!(signed_in["user"]["id"], ada.id.as_str());
    // The address there is none of the account's.
    let emails = ada.http.get("/v1/users/me/emails").await.expect(200);
    assert_eq!(emails["data"].as_array().unwrap().len(), 1);
    assert!(!identities(&ada.http).await[0]["last_used_at"].is_null());

    // Once more is no news to anybody.
    linked(&idp, &ada.http).await;
    assert_eq!(identities(&ada.http).await.len(), 1);
    assert_eq!(
        sql::number(&app, "SELECT count(*) FROM auth.audit_events WHERE action = 'identity.linked'").await,
        1
    );
}

#[tokio::test]
async fn linking_says_what_is_wrong_with_the_request() {
    let (app, idp) = world().await;
    let ada = app.person("ada@example.com").await;
    let ask = async |body: Value| ada.http.post(IDENTITIES, body).await;
    assert_eq!(ask(json!({ "provider": "nobody", "redirect_to": HOME })).await.pointer(), "/provider");
    for redirect_to in ["https://evil.example/", "//app.example/", "javascript:alert(1)", "/auth/account"] {
        let answer = ask(json!({ "provider": "acme", "redirect_to": redirect_to })).await;
        assert_eq!(answer.problem(422), "validation_failed");
        assert_eq!(answer.pointer(), "/redirect_to");
    }
    assert_eq!(
        ask(json!({ "provider": "acme", "redirect_to": HOME, "user_id": ada.id })).await.pointer(),
        "/user_id"
    );
    describe(&app, {
        let mut description = idp.description("acme");
        description["enabled"] = json!(false);
        description
    })
    .await
    .expect(200);
    assert_eq!(ask(json!({ "provider": "acme", "redirect_to": HOME })).await.pointer(), "/provider");
    assert_eq!(sql::number(&app, "SELECT count(*) FROM auth.oauth_flows").await, 0);
}

#[tokio::test]
async fn nothing_is_linked_for_a_session_that_has_ended_meanwhile() {
    let (app, idp) = world().await;
    let ada = app.person("ada@home.example").await;
    let trip = link(&ada.http, "acme").await;
    ada.http.delete("/v1/sessions/current").await.expect(204);
    let said = said(&trip.arrive(&idp.approve(&trip.location)).await);
    assert_eq!(said.get("error").map(String::as_str), Some("session_ended"));
    let ada = app.sign_in("ada@home.example", PASSWORD).await;
    assert!(identities(&ada.http).await.is_empty());
}

#[tokio::test]
async fn nothing_is_linked_for_a_secret_that_was_replaced_meanwhile() {
    let (app, idp) = world().await;
    let ada = app.person("ada@home.example").await;
    // Whoever has copied her token sets out; then she steps up, and the copy is worth nothing.
    let trip = link(&ada.http, "acme").await;
    let proof = json!({ "method": "password", "password": PASSWORD });
    let fresh = ada.http.post("/v1/sessions/current/verifications", proof).await.expect(200);
    let said = said(&trip.arrive(&idp.approve(&trip.location)).await);
    assert_eq!(said.get("error").map(String::as_str), Some("session_ended"));
    let http = app.http.with_bearer(fresh["session"]["token"].as_str().unwrap());
    assert!(identities(&http).await.is_empty());
}

#[tokio::test]
async fn an_unlinked_account_opens_nothing_any_more() {
    let (app, idp) = world().await;
    let ada = app.person("ada@home.example").await;
    let identity = linked(&idp, &ada.http).await;
    // A code that is on its way ends with it.
    let home = depart(&app, "acme").await.round(&idp).await;
    assert_eq!(ada.http.delete(&path(&identity)).await.status, 204);
    assert!(identities(&ada.http).await.is_empty());
    told(&app, "was disconnected").await;
    assert_eq!(redeem(&app.stranger(), home.code()).await.problem(401), "invalid_credentials");
    assert_eq!(ada.http.delete(&path(&identity)).await.problem(404), "not_found");
    // Whoever comes with it now is somebody else.
    let signed_in = sign_in(&app, &idp, "acme").await.expect(201);
    assert_ne!(signed_in["user"]["id"], ada.id.as_str());
}

/// Somebody who signed up with the provider and has nothing else.
async fn comer(app: &TestApp, idp: &Idp) -> Http {
    let signed_in = sign_in(app, idp, "acme").await.expect(201);
    app.stranger().with_bearer(signed_in["session"]["token"].as_str().unwrap())
}

#[tokio::test]
async fn the_last_way_in_stays() {
    let (app, idp) = world().await;
    let http = comer(&app, &idp).await;
    let identity = identities(&http).await[0].clone();
    // An address where mail is read is a way in, as long as the project mails links.
    app.set(json!({ "magic_link": { "enabled": false } })).await;
    assert_eq!(http.delete(&path(&identity)).await.problem(409), "last_way_in");
    assert_eq!(identities(&http).await.len(), 1);
    // One of a provider that is switched off is none.
    describe(&app, idp.description("other")).await.expect(200);
    let trip = link(&http, "other").await;
    assert_eq!(said(&trip.arrive(&idp.approve(&trip.location)).await)["linked"], "other");
    let mut description = idp.description("other");
    description["enabled"] = json!(false);
    describe(&app, description).await.expect(200);
    assert_eq!(http.delete(&path(&identity)).await.problem(409), "last_way_in");
    http.put("/v1/users/me/password", json!({ "password": PASSWORD })).await.expect(204);
    let others = identities(&http).await;
    for identity in others {
        assert_eq!(http.delete(&path(&identity)).await.status, 204);
    }
    // Nor does the password go then.
    assert_eq!(http.delete("/v1/users/me/password").await.problem(409), "last_way_in");
}

/// A provider whose tokens are kept, and somebody who has linked it.
async fn kept() -> (TestApp, Idp, Person, String) {
    let (app, idp) = (app().await, Idp::start().await);
    let mut description = idp.description("acme");
    description["keep_tokens"] = json!(true);
    description["revocation_endpoint"] = format!("{}/revoke", idp.url).into();
    describe(&app, description).await.expect(200);
    let ada = app.person("ada@home.example").await;
    let identity = linked(&idp, &ada.http).await;
    let tokens = format!("{}/access-tokens", path(&identity));
    (app, idp, ada, tokens)
}

async fn let_it_expire(app: &TestApp) {
    sql::run(app, "UPDATE auth.oauth_tokens SET access_expires_at = now() + interval '30 seconds'").await;
}

#[tokio::test]
async fn a_providers_token_is_kept_sealed_and_handed_out_while_it_is_good() {
    let (app, idp, ada, tokens) = kept().await;
    let answer = ada.http.post(&tokens, Value::Null).await;
    assert_eq!(answer.header("cache-control"), "no-store");
    let answer = answer.expect(201);
    assert_eq!((&answer["access_token"], &answer["token_type"]), (&json!("access-token"), &json!("Bearer")));
    assert!(answer["expires_at"].is_string());
    assert_eq!(idp.asked("/token"), 1);
    for secret in ["access-token", "refresh-token"] {
        let query = format!(
            "SELECT count(*) FROM auth.oauth_tokens
             WHERE position(convert_to('{secret}', 'UTF8') IN sealed_tokens) > 0 OR oauth_tokens::text LIKE '%{secret}%'"
        );
        assert_eq!(sql::number(&app, &query).await, 0, "{secret}");
    }
    // Only where the operator keeps them.
    describe(&app, idp.description("acme")).await.expect(200);
    assert_eq!(ada.http.post(&tokens, Value::Null).await.problem(409), "tokens_not_kept");
    // Nobody who acts as the person gets one.
    let acting = format!("/v1/admin/users/{}/impersonations", ada.id);
    let acting = app.admin.post(&acting, json!({ "actor": "support" })).await.expect(201);
    let acting = app.http.with_bearer(acting["session"]["token"].as_str().unwrap());
    assert_eq!(acting.post(&tokens, Value::Null).await.problem(403), "impersonated_session");
}

#[tokio::test]
async fn an_expired_token_is_renewed_once_however_many_ask() {
    let (app, idp, ada, tokens) = kept().await;
    let second = TestApp::with(app.database.clone(), {
        let mut config = crate::support::app::config(&app.database);
        config.outbound_allow = vec![OutboundRule::parse("127.0.0.1").unwrap()];
        config
    })
    .await;
    let_it_expire(&app).await;
    {
        let mut inner = idp.lock();
        let answer = json!({ "access_token": "second", "token_type": "bearer", "expires_in": 600, "refresh_token": "next" });
        inner.script.instead.insert("/token", Instead::body(answer.to_string()));
        inner.script.delay.insert("/token", Duration::from_millis(300));
    }
    let other = second.http.with_bearer(&ada.token);
    let asking = (0..20)
        .map(|n| if n % 2 == 0 { &ada.http } else { &other })
        .map(|http| http.post(&tokens, Value::Null));
    for answer in futures::future::join_all(asking).await {
        assert_eq!(answer.expect(201)["access_token"], "second");
    }
    assert_eq!(idp.asked("/token"), 2);
    let heard = idp.heard("/token");
    assert_eq!(
        (heard["grant_type"].as_str(), heard["refresh_token"].as_str()),
        ("refresh_token", "refresh-token")
    );
    // A refresh token that was replaced is not used again.
    let_it_expire(&app).await;
    ada.http.post(&tokens, Value::Null).await.expect(201);
    assert_eq!(idp.heard("/token")["refresh_token"], "next");
}

#[tokio::test]
async fn a_provider_that_does_not_renew_is_told_from_one_that_will_not() {
    let (app, idp, ada, tokens) = kept().await;
    let_it_expire(&app).await;
    let instead = |instead| idp.lock().script.instead.insert("/token", instead);
    for bad in [Instead::status(500), Instead::body("{}"), Instead::body("<html>")] {
        instead(bad);
        let answer = ada.http.post(&tokens, Value::Null).await;
        assert_eq!(answer.problem(503), "provider_unavailable");
        assert!(!answer.header("retry-after").is_empty());
    }
    idp.lock().script.instead.insert(
        "/token",
        Instead { status: 400, body: br#"{"error": "invalid_grant"}"#.to_vec(), ..Instead::default() },
    );
    assert_eq!(ada.http.post(&tokens, Value::Null).await.problem(409), "grant_ended");
    let asked = idp.asked("/token");
    assert_eq!(ada.http.post(&tokens, Value::Null).await.problem(409), "grant_ended");
    assert_eq!(idp.asked("/token"), asked, "nobody asks again for what has ended");
    // Whoever signs in with it again has one again.
    idp.lock().script.instead.clear();
    sign_in(&app, &idp, "acme").await.expect(201);
    assert_eq!(ada.http.post(&tokens, Value::Null).await.expect(201)["access_token"], "access-token");
}

/// Waits until no tokens wait to be revoked.
async fn given_back(app: &TestApp) {
    for _ in 0..1_500 {
        if sql::number(app, "SELECT count(*) FROM auth.oauth_tokens").await == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the tokens are still there");
}

#[tokio::test]
async fn what_was_handed_out_is_given_back_once_the_identity_is_gone() {
    let (app, idp, ada, tokens) = kept().await;
    idp.lock().script.instead.insert("/revoke", Instead::status(503));
    let identity = tokens.trim_end_matches("/access-tokens").to_owned();
    assert_eq!(ada.http.delete(&identity).await.status, 204);
    // The provider is away: somebody tries again, later.
    for _ in 0..1_500 {
        if idp.asked("/revoke") > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(idp.asked("/revoke"), 1);
    assert_eq!(
        sql::number(&app, "SELECT count(*) FROM auth.oauth_tokens WHERE identity_id IS NULL").await,
        1
    );
    idp.lock().script.instead.insert("/revoke", Instead::status(200));
    sql::run(&app, "UPDATE auth.oauth_tokens SET revoke_at = now()").await;
    app.running.app.unlinked.notify_one();
    given_back(&app).await;
    let heard = idp.heard("/revoke");
    assert_eq!(
        (heard["token"].as_str(), heard["token_type_hint"].as_str()),
        ("refresh-token", "refresh_token")
    );
    assert_eq!(
        sql::number(&app, "SELECT count(*) FROM auth.audit_events WHERE action = 'provider_tokens.revoked'")
            .await,
        1
    );
}

#[tokio::test]
async fn a_deleted_account_leaves_nothing_at_the_provider() {
    let (app, idp, ada, _) = kept().await;
    idp.lock().script.instead.insert("/revoke", Instead::status(200));
    idp.lock().script.delay.insert("/revoke", Duration::from_secs(8));
    let began = std::time::Instant::now();
    let answer = ada.http.send(ada.http.request(Method::DELETE, "/v1/users/me")).await;
    assert_eq!(answer.status, 204);
    assert!(began.elapsed() < Duration::from_secs(7), "nobody waits for the provider");
    given_back(&app).await;
    assert_eq!(idp.heard("/revoke")["token"], "refresh-token");
}
