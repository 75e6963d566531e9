//! Slipping a second session cookie in from a sibling domain.

use std::sync::Arc;

use http::Method;

use crate::support::TestApp;
use crate::support::app::config;
use crate::support::client::Answer;
use crate::support::database;

async fn served_over_https() -> TestApp {
    let database = Arc::new(database().await);
    let mut config = config(&database);
    config.public_url = "https://auth.example.com/".parse().unwrap();
    TestApp::with(database, config).await
}

async fn current(app: &TestApp, cookies: &[String]) -> Answer {
    let mut request = app.http.request(Method::GET, "/v1/sessions/current");
    for cookie in cookies {
        request = request.header("cookie", cookie);
    }
    app.http.send(request).await
}

#[tokio::test]
async fn a_disguised_name_is_not_the_protected_cookie() {
    let app = served_over_https().await;
    let eve = app.person("eve@example.com").await;
    for name in [
        // Browsers protect `__Host-` by its spelling; a server that decodes the name afterwards undoes it.
        "%5F%5FHost-beyond_session",
        "__Host%2Dbeyond_session",
        "__Host-beyond%5Fsession",
        "__host-beyond_session",
        "__HOST-BEYOND_SESSION",
        "$Version=1; \"__Host-beyond_session\"",
        "beyond_session",
    ] {
        let answer = current(&app, &[format!("{name}={}", eve.token)]).await;
        assert_eq!(answer.problem(401), "missing_credentials", "{name}");
    }
    let answer = current(&app, &[format!("__Host-beyond_session={}", eve.token)]).await;
    assert_eq!(answer.expect(200)["user"]["id"], eve.id);
}

#[tokio::test]
async fn two_different_session_cookies_are_refused() {
    let app = served_over_https().await;
    let (ada, eve) = (app.person("ada@example.com").await, app.person("eve@example.com").await);
    let (ada, eve) = (&ada.token, &eve.token);
    for cookies in [
        vec![format!("__Host-beyond_session={ada}; __Host-beyond_session={eve}")],
        vec![format!("__Host-beyond_session={eve};__Host-beyond_session={ada}")],
        vec![format!("__Host-beyond_session={ada}"), format!("__Host-beyond_session={eve}")],
        vec![format!("__Host-beyond_session={ada}; x=y; __Host-beyond_session=")],
    ] {
        assert_eq!(current(&app, &cookies).await.problem(400), "ambiguous_credentials", "{cookies:?}");
    }
    // So are a cookie and a header that disagree.
    let request = app.http.with_bearer(ada).request(Method::GET, "/v1/sessions/current");
    let answer = app.http.send(request.header("cookie", format!("__Host-beyond_session={eve}"))).await;
    assert_eq!(answer.problem(400), "ambiguous_credentials");
    let request = app.http.with_bearer(ada).request(Method::GET, "/v1/sessions/current");
    let answer = app.http.send(request.header("authorization", format!("Bearer {eve}"))).await;
    assert_eq!(answer.problem(400), "ambiguous_credentials");
}
