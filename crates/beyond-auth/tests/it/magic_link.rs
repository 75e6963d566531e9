//! Signing in by mail.

use http::Method;
use serde_json::json;

use crate::support::app::{PASSWORD, config};
use crate::support::mailed::{
    ask_link, ask_reset, code_sign_in, kind_to, link_sign_in, next_to, redeem_reset, redeem_verification,
    token_in,
};
use crate::support::{TestApp, database, sql};

#[tokio::test]
async fn a_link_signs_in_and_a_code_signs_in() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let mine = app.stranger();
    let request = ask_link(&mine, "Ada@Example.com").await;
    assert!(request.starts_with("req_"));
    let mail = kind_to(&app, "ada@example.com", "ml_").await;
    // The link works in any browser.
    let token = token_in(&mail);
    let signed_in = link_sign_in(&app.stranger(), &token).await.expect(201);
    assert_eq!(signed_in["user"]["id"], ada.id.as_str());
    assert_eq!((&signed_in["session"]["amr"], &signed_in["session"]["aal"]), (&json!(["email"]), &json!(1)));
    // Once; and the code went with it.
    assert_eq!(link_sign_in(&app.stranger(), &token).await.problem(401), "invalid_credentials");
    code_sign_in(&mine, "ada@example.com", mail.code().unwrap(), Some(&request)).await.problem(401);

    let request = ask_link(&mine, "ada@example.com").await;
    let next = next_to(&app, "ada@example.com", "ml_", &mail).await;
    let body = json!({ "method": "email_code", "email": "ada@example.com", "code": next.code().unwrap(),
                       "request_token": request, "refresh_token": true });
    let signed_in = mine.post("/v1/sessions", body).await.expect(201);
    assert_eq!(signed_in["session"]["amr"], json!(["otp"]));
    assert!(signed_in["refresh_token"]["token"].as_str().unwrap().starts_with("rt_"));
    link_sign_in(&app.stranger(), &token_in(&next)).await.problem(401);
    // Whoever signs in so keeps the password.
    app.sign_in("ada@example.com", PASSWORD).await;
}

#[tokio::test]
async fn a_browser_keeps_its_half_of_the_code_in_a_cookie() {
    let app = TestApp::start().await;
    app.person("ada@example.com").await;
    let body = json!({ "email": "ada@example.com", "cookie": true });
    let asked = app.stranger().post("/v1/magic-links", body).await;
    assert_eq!(asked.expect(202), json!({ "status": "sent" }));
    let cookie = asked.header("set-cookie");
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=900"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    let pair = cookie.split(';').next().unwrap().to_owned();
    assert!(pair.starts_with("beyond_sign_in=req_"), "{pair}");
    let mail = kind_to(&app, "ada@example.com", "ml_").await;
    let body = json!({ "method": "email_code", "email": "ada@example.com", "code": mail.code().unwrap(), "cookie": true });
    app.stranger().post("/v1/sessions", body.clone()).await.problem(401);
    let request = app.stranger().request(Method::POST, "/v1/sessions").header("cookie", &pair).json(&body);
    let signed_in = app.http.send(request).await;
    assert!(signed_in.expect(201)["session"].get("token").is_none());
    assert!(signed_in.header("set-cookie").starts_with("beyond_session=session_"));
}

#[tokio::test]
async fn over_https_the_cookie_is_bound_to_the_host() {
    let database = std::sync::Arc::new(database().await);
    let mut config = config(&database);
    config.public_url = "https://auth.example.com".parse().unwrap();
    let app = TestApp::with(database, config).await;
    let body = json!({ "email": "nobody@example.com", "cookie": true });
    let cookie = app.http.post("/v1/magic-links", body).await.header("set-cookie");
    assert!(cookie.starts_with("__Host-beyond_sign_in=req_") && cookie.contains("Secure"), "{cookie}");
}

#[tokio::test]
async fn link_and_code_are_valid_for_ten_minutes() {
    let app = TestApp::start().await;
    app.person("ada@example.com").await;
    let request = ask_link(&app.stranger(), "ada@example.com").await;
    let mail = kind_to(&app, "ada@example.com", "ml_").await;
    let lives = "SELECT extract(epoch FROM expires_at - now())::int8 FROM auth.magic_links";
    assert!((590..=600).contains(&sql::number(&app, lives).await));
    sql::run(&app, "UPDATE auth.magic_links SET expires_at = now()").await;
    link_sign_in(&app.stranger(), &token_in(&mail)).await.problem(401);
    code_sign_in(&app.stranger(), "ada@example.com", mail.code().unwrap(), Some(&request)).await.problem(401);
}

#[tokio::test]
async fn a_banned_person_stays_out_and_gets_no_mail() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    ask_link(&app.stranger(), "ada@example.com").await;
    let token = token_in(&*kind_to(&app, "ada@example.com", "ml_").await);
    app.admin.put(&format!("/v1/admin/users/{}/ban", ada.id), json!({})).await.expect(200);
    link_sign_in(&app.stranger(), &token).await.problem(401);
    app.mailbox.clear();
    ask_link(&app.stranger(), "ada@example.com").await;
    ask_reset(&app.stranger(), "ada@example.com").await;
    // A mail behind them has come: theirs were dropped.
    app.person("eve@example.com").await;
    assert!(app.mailbox.received().iter().all(|mail| mail.to != "ada@example.com"));
}

#[tokio::test]
async fn a_sign_up_that_never_finished_is_finished_without_its_password() {
    let app = TestApp::start().await;
    let sign_up = json!({ "email": "ada@example.com", "password": PASSWORD });
    app.stranger().post("/v1/users", sign_up).await.expect(202);
    let verification = kind_to(&app, "ada@example.com", "ev_").await;
    ask_link(&app.stranger(), "ada@example.com").await;
    let mail = kind_to(&app, "ada@example.com", "ml_").await;
    let signed_in = link_sign_in(&app.stranger(), &token_in(&mail)).await.expect(201);
    assert_eq!(signed_in["user"]["email_verified"], true);
    // Whoever asked for the link need not be the one who chose the password.
    let body = json!({ "method": "password", "email": "ada@example.com", "password": PASSWORD });
    app.stranger().post("/v1/sessions", body).await.problem(401);
    redeem_verification(&app.stranger(), &token_in(&verification)).await.problem(400);
    // The person sets one by reset.
    ask_reset(&app.stranger(), "ada@example.com").await;
    let reset = token_in(&*kind_to(&app, "ada@example.com", "pwr_").await);
    redeem_reset(&app.stranger(), &reset, PASSWORD).await.expect(204);
    app.sign_in("ada@example.com", PASSWORD).await;
}

#[tokio::test]
async fn people_return_to_listed_origins_only() {
    let app = TestApp::start().await;
    app.person("ada@example.com").await;
    app.set(json!({ "allowed_origins": ["https://app.example.com"] })).await;
    for (number, to) in [
        "https://evil.example/",
        "https://app.example.com.evil.example/",
        "https://app.example.com@evil.example/",
        "https://app.example.com:8443/",
        "http://app.example.com/",
        "//app.example.com/",
        "/welcome",
        "javascript:alert(1)",
        "",
    ]
    .into_iter()
    .enumerate()
    {
        // The same for an address that nobody has.
        for email in ["ada@example.com", &format!("nobody{number}@example.com")] {
            let body = json!({ "email": email, "redirect_to": to });
            let answer = app.stranger().post("/v1/magic-links", body).await;
            assert_eq!(
                (answer.problem(422), answer.pointer()),
                ("validation_failed".into(), "/redirect_to".into()),
                "{to}"
            );
        }
    }
    let body = json!({ "email": "ada@example.com", "redirect_to": "https://APP.example.com/a/../b?c=d&e#f" });
    app.stranger().post("/v1/magic-links", body).await.expect(202);
    let mail = kind_to(&app, "ada@example.com", "ml_").await;
    let link = url::Url::parse(mail.link().unwrap()).unwrap();
    let fragment: Vec<(String, String)> =
        url::form_urlencoded::parse(link.fragment().unwrap().as_bytes()).into_owned().collect();
    assert_eq!((link.path(), link.query()), ("/auth/magic-link", None));
    assert_eq!(fragment[0].0, "token");
    assert_eq!(fragment[1], ("redirect_to".to_owned(), "https://app.example.com/b?c=d&e#f".to_owned()));
    assert_eq!(fragment.len(), 2);
    link_sign_in(&app.stranger(), &fragment[0].1).await.expect(201);
}

#[tokio::test]
async fn switched_off_it_gives_nothing_and_takes_nothing() {
    let app = TestApp::start().await;
    app.person("ada@example.com").await;
    let request = ask_link(&app.stranger(), "ada@example.com").await;
    let mail = kind_to(&app, "ada@example.com", "ml_").await;
    app.set(json!({ "magic_link": { "enabled": false } })).await;
    let body = json!({ "email": "ada@example.com" });
    assert_eq!(app.stranger().post("/v1/magic-links", body).await.problem(403), "method_disabled");
    assert_eq!(link_sign_in(&app.stranger(), &token_in(&mail)).await.problem(403), "method_disabled");
    let code = code_sign_in(&app.stranger(), "ada@example.com", mail.code().unwrap(), Some(&request)).await;
    assert_eq!(code.problem(403), "method_disabled");
}

#[tokio::test]
async fn a_mailed_link_or_code_of_ones_own_makes_a_session_fresh() {
    let app = TestApp::start().await;
    let (ada, eve) = (app.person("ada@example.com").await, app.person("eve@example.com").await);
    let path = "/v1/sessions/current/verifications";
    ask_link(&app.stranger(), "eve@example.com").await;
    let eves = token_in(&*kind_to(&app, "eve@example.com", "ml_").await);
    ada.http.post(path, json!({ "method": "magic_link", "token": eves })).await.problem(401);
    eve.http.post(path, json!({ "method": "magic_link", "token": eves })).await.expect(200);

    let request = ask_link(&app.stranger(), "ada@example.com").await;
    let mail = kind_to(&app, "ada@example.com", "ml_").await;
    let code = json!({ "method": "email_code", "email": "ada@example.com", "code": mail.code().unwrap(),
                       "request_token": request });
    let elevated = ada.http.post(path, code).await.expect(200);
    assert_eq!(
        (&elevated["session"]["amr"], &elevated["session"]["aal"]),
        (&json!(["pwd", "otp"]), &json!(1))
    );
    ada.http.get("/v1/sessions/current").await.problem(401);
}

#[tokio::test]
async fn links_lead_where_the_settings_say_and_mails_name_the_product() {
    let app = TestApp::start().await;
    app.person("ada@example.com").await;
    let settings = json!({ "links": { "base_url": "https://login.example.com/id/" },
                           "branding": { "name": "Shop & Co" } });
    app.set(settings).await;
    let request =
        app.stranger().request(Method::POST, "/v1/magic-links").header("accept-language", "de-AT,en;q=0.5");
    app.http.send(request.json(&json!({ "email": "ada@example.com" }))).await.expect(202);
    let mail = kind_to(&app, "ada@example.com", "ml_").await;
    assert!(mail.link().unwrap().starts_with("https://login.example.com/id/auth/magic-link#token=ml_"));
    assert!(mail.subject.ends_with("ist Ihr Code für Shop & Co"), "{}", mail.subject);
    assert!(mail.html.contains("Shop &amp; Co") && mail.html.contains("lang=\"de\""));
}
