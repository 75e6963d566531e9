//! A link to our own page that leads people on to somebody else's.

use serde_json::json;
use url::form_urlencoded::Serializer;

use crate::support::TestApp;

const PAGES: [&str; 3] = ["/auth/sign-in", "/auth/sign-up", "/auth/sign-out"];

fn to(page: &str, target: &str) -> String {
    let query = Serializer::new(String::new()).append_pair("redirect_to", target).finish();
    format!("{page}?{query}")
}

#[tokio::test]
async fn a_page_leads_to_a_listed_origin_as_it_was_parsed() {
    let app = TestApp::start().await;
    app.set(json!({ "allowed_origins": ["https://app.example.com"] })).await;
    let html = app.http.get(&to("/auth/sign-in", "https://APP.example.com:443/a?b=c")).await.text;
    assert!(html.contains("data-return=\"https:&#x2f;&#x2f;app.example.com&#x2f;a?b=c\""), "{html}");
    let carried = "href=\"/auth/sign-up?redirect_to=https%3A%2F%2Fapp.example.com%2Fa%3Fb%3Dc\"";
    assert!(html.contains(carried), "{html}");
    let out = app.http.get(&to("/auth/sign-out", "https:\\\\app.example.com\\a")).await.text;
    assert!(out.contains("href=\"https:&#x2f;&#x2f;app.example.com&#x2f;a\""), "{out}");
}

#[tokio::test]
async fn a_page_leads_nowhere_else() {
    let app = TestApp::start().await;
    app.set(json!({ "allowed_origins": ["https://app.example.com"] })).await;
    let own = app.http.url("/auth/account");
    let evils = [
        "https://evil.test",
        "//evil.test",
        "/\\evil.test",
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com@evil.test",
        "https://evil.test#@app.example.com",
        "https://app.example.com.evil.test",
        "https://app.example.com%2eevil.test",
        "https://user:pass@app.example.com",
        "javascript:alert(1)//https://app.example.com",
        "data:text/html,<script>",
        "blob:https://app.example.com/1",
        "\"><script>alert(1)</script>",
        own.as_str(),
    ];
    for (page, evil) in PAGES.iter().flat_map(|page| evils.map(|evil| (page, evil))) {
        let html = app.http.get(&to(page, evil)).await.text;
        assert!(html.contains("data-return=\"\" data-carry=\"\""), "{evil}: {html}");
        assert!(
            !html.contains("redirect_to") && !html.contains("evil") && !html.contains("alert("),
            "{html}"
        );
    }
    // Two readers could take different ones.
    let twice = "redirect_to=https://app.example.com/&redirect_to=https://evil.test/";
    let html = app.http.get(&format!("/auth/sign-in?{twice}")).await.text;
    assert!(html.contains("data-return=\"\""), "{html}");
}
