//! Pages for people: what they may load, that opening one does nothing, that they stay small.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use http::Method;
use serde_json::json;

use crate::support::TestApp;
use crate::support::client::Answer;

/// What people see first; each is a template of `templates/pages`.
const AUTH_PAGES: &[&str] = &[
    "/auth/sign-in",
    "/auth/sign-up",
    "/auth/sign-out",
    "/auth/verify-email",
    "/auth/magic-link",
    "/auth/forgot-password",
    "/auth/reset-password",
    "/auth/invitation",
    "/auth/account",
];

/// What a browser that was signed in once sends; whether it is still good is for the API to say.
const STALE_COOKIE: &str = "beyond_session=session_of_old";

/// A page as a browser with a session gets it: without one, the account sends people to sign in.
async fn page(app: &TestApp, path: &str) -> Answer {
    app.http.send(app.http.request(Method::GET, path).header("cookie", STALE_COOKIE)).await
}

/// Every page there is.
fn pages() -> impl Iterator<Item = &'static str> {
    AUTH_PAGES.iter().copied().chain(["/v1/docs"])
}

/// The scripts and styles there are, by the names of their files.
fn assets() -> Vec<(String, &'static str)> {
    let kind = |name: &str| match name.rsplit_once('.')?.1 {
        "css" => Some("text/css; charset=utf-8"),
        "js" => Some("text/javascript; charset=utf-8"),
        _ => None,
    };
    let names = files().into_keys();
    names.filter_map(|name| Some((format!("/auth/assets/{name}"), kind(&name)?))).collect()
}

#[tokio::test]
async fn a_page_is_html_that_runs_nothing_but_its_own_scripts_and_is_kept_nowhere() {
    let app = TestApp::start().await;
    for path in pages() {
        let answer = page(&app, path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert_eq!(answer.header("x-frame-options"), "DENY");
        let policy = answer.header("content-security-policy");
        let allowed: BTreeMap<&str, &str> =
            policy.split(';').filter_map(|rule| rule.trim().split_once(' ')).collect();
        for closed in ["default-src", "base-uri", "form-action", "frame-ancestors"] {
            assert_eq!(allowed.get(closed), Some(&"'none'"), "{closed} in {policy}");
        }
        for own in ["script-src", "style-src", "connect-src"] {
            assert_eq!(allowed.get(own), Some(&"'self'"), "{own} in {policy}");
        }
    }
}

#[tokio::test]
async fn a_page_finds_all_it_loads_here() {
    let app = TestApp::start().await;
    app.set(json!({ "branding": { "name": "Engines", "primary_color": "#ffd400" } })).await;
    for path in pages() {
        let html = page(&app, path).await.text;
        let loaded = references(&html);
        assert!(!loaded.is_empty(), "{path} loads nothing");
        for asset in loaded {
            assert!(asset.starts_with('/') && !asset.starts_with("//"), "{path} loads {asset}");
            let answer = app.http.get(&asset).await;
            assert!([200, 303].contains(&answer.status.as_u16()), "{path} loads {asset}: {}", answer.status);
        }
    }
    // What scripts import is there too.
    for (name, text) in files().iter().filter(|(name, _)| has_ending(name, "js")) {
        for imported in text.split("from \"./").chain(text.split("import \"./")).skip(1) {
            let Some((imported, _)) = imported.split_once("\";").filter(|(file, _)| !file.contains(' '))
            else {
                continue;
            };
            let answer = app.http.get(&format!("/auth/assets/{imported}")).await;
            assert_eq!(answer.status, 200, "{name} imports {imported}");
        }
    }
}

#[tokio::test]
async fn a_page_shows_the_projects_own_name_and_colour_and_nothing_that_is_none() {
    let app = TestApp::start().await;
    let plain = app.http.get("/auth/sign-in").await.text;
    assert!(plain.contains("<title>Sign in</title>") && !plain.contains("class=\"brand"), "{plain}");
    assert!(!plain.contains("brand.css"), "{plain}");

    let name = "<script>alert(1)</script>\"'";
    let logo = "https://cdn.example.com/logo.svg?a=\"><b>";
    let branding = json!({ "name": name, "primary_color": "#ffd400", "logo_url": logo });
    app.set(json!({ "branding": branding })).await;
    for path in AUTH_PAGES {
        let answer = page(&app, path).await;
        assert!(!answer.text.contains("<script>alert") && !answer.text.contains("\"><b>"), "{}", answer.text);
        assert!(answer.text.contains("https:&#x2f;&#x2f;cdn.example.com&#x2f;logo.svg"), "{}", answer.text);
        let policy = answer.header("content-security-policy");
        assert!(policy.contains("img-src 'self' data: https://cdn.example.com;"), "{policy}");
        assert!(policy.contains("script-src 'self';") && policy.contains("default-src 'none';"), "{policy}");
    }
    let style = app.http.get("/auth/assets/brand.css").await;
    assert_eq!(style.header("content-type"), "text/css; charset=utf-8");
    assert!(style.text.starts_with(":root{--fill:#ffd400;--on-fill:#000000;"), "{}", style.text);
}

#[tokio::test]
async fn a_page_offers_what_is_switched_on() {
    let app = TestApp::start().await;
    let all = app.http.get("/auth/sign-in").await.text;
    for part in ["id=\"password\"", "id=\"passkey\"", "id=\"mail-me\"", "/auth/sign-up"] {
        assert!(all.contains(part), "{part} in {all}");
    }
    let off = json!({ "enabled": false });
    app.set(json!({ "password": off, "passkeys": off, "sign_up": off })).await;
    let some = app.http.get("/auth/sign-in").await.text;
    for part in ["id=\"password\"", "id=\"passkey\"", "id=\"mail-me\"", "/auth/sign-up", "class=\"or\""] {
        assert!(!some.contains(part), "{part} in {some}");
    }
    // What is left is the way of the form itself.
    assert!(some.contains("Email me a link or code"), "{some}");
    let closed = app.http.get("/auth/sign-up").await.text;
    assert!(!closed.contains("id=\"sign-up\""), "{closed}");
}

#[tokio::test]
async fn a_page_speaks_the_language_of_its_reader() {
    let app = TestApp::start().await;
    for (accepted, language, title) in
        [("de-CH, en;q=0.5", "de", "Anmelden"), ("en-GB", "en", "Sign in"), ("fr", "en", "Sign in")]
    {
        let request = app.http.request(Method::GET, "/auth/sign-in").header("accept-language", accepted);
        let html = app.http.send(request).await.text;
        assert!(html.contains(&format!("<html lang=\"{language}\">")), "{accepted}: {html}");
        assert!(html.contains(&format!("<title>{title}</title>")), "{accepted}: {html}");
    }
}

#[tokio::test]
async fn the_account_is_for_those_who_may_be_signed_in() {
    let app = TestApp::start().await;
    let answer = app.http.get("/auth/account").await;
    assert_eq!((answer.status.as_u16(), answer.header("location").as_str()), (303, "/auth/sign-in"));
    let answer = app.http.get("/auth/second-factor").await;
    assert_eq!((answer.status.as_u16(), answer.header("location").as_str()), (303, "/auth/sign-in"));
    assert!(!page(&app, "/auth/account").await.text.contains("session_of_old"));
}

#[tokio::test]
async fn an_asset_is_sent_again_only_after_it_has_changed() {
    let app = TestApp::start().await;
    let mut tags = BTreeSet::new();
    let assets = assets();
    for (path, content_type) in &assets {
        let answer = app.http.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("content-type"), *content_type, "{path}");
        assert_eq!(answer.header("cache-control"), "no-cache");
        let tag = answer.header("etag");
        for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
            let request = app.http.request(Method::GET, path).header("if-none-match", &known);
            let again = app.http.send(request).await;
            assert_eq!((again.status.as_u16(), again.text.as_str()), (304, ""), "{path} {known}");
            assert_eq!(again.header("etag"), tag);
        }
        let request = app.http.request(Method::GET, path).header("if-none-match", "\"older\"");
        assert_eq!(app.http.send(request).await.text, answer.text);
        tags.insert(tag);
    }
    assert_eq!(tags.len(), assets.len());
}

#[tokio::test]
async fn opening_the_link_of_a_mail_spends_nothing_until_a_person_confirms() {
    let app = TestApp::start().await;
    app.http.post("/v1/users", json!({ "email": "ada@example.com" })).await.expect(202);
    let mail = app.mail_to("ada@example.com").await;
    let (page, token) = mail.link().unwrap().split_once("#token=").unwrap();
    assert!(page.ends_with("/auth/verify-email"), "{page}");

    // Scanners open links; some put the fragment where it does not belong.
    for page in AUTH_PAGES.iter().filter(|page| **page != "/auth/account") {
        for path in [(*page).to_owned(), format!("{page}?token={token}")] {
            for method in [Method::GET, Method::HEAD, Method::GET] {
                let answer = app.http.send(app.http.request(method, &path)).await;
                assert_eq!(answer.status, 200, "{path}");
                assert!(!answer.text.contains(token) && !answer.headers.contains_key("set-cookie"), "{path}");
            }
        }
        let posted = app.http.post(page, json!({ "token": token })).await;
        assert_eq!(posted.problem(405), "method_not_allowed");
    }

    let redeem =
        async || app.http.post("/v1/email-verifications/redemptions", json!({ "token": token })).await;
    assert_eq!(redeem().await.expect(200)["email"], "ada@example.com");
    assert_eq!(redeem().await.problem(400), "invalid_verification");
}

#[tokio::test]
async fn password_managers_are_sent_to_the_account_page() {
    let app = TestApp::start().await;
    let answer = app.http.get("/.well-known/change-password").await;
    assert_eq!((answer.status.as_u16(), answer.header("location").as_str()), (303, "/auth/account"));
    // How they find out whether to trust the answer above.
    let probe = "/.well-known/resource-that-should-not-exist-whose-status-code-should-not-be-200";
    app.http.get(probe).await.problem(404);
}

#[tokio::test]
async fn every_call_of_the_contract_has_a_name_of_its_own() {
    let app = TestApp::start().await;
    let contract = app.http.get("/v1/openapi.json").await.expect(200);
    let mut names = BTreeSet::new();
    for (path, item) in contract["paths"].as_object().unwrap() {
        for (method, call) in item.as_object().unwrap() {
            let name = call["operationId"].as_str().unwrap();
            assert!(names.insert(name.to_owned()), "{method} {path} shares the name {name}");
        }
    }
    assert!(names.contains("post_users") && names.contains("delete_admin_users_id_ban"), "{names:?}");
}

#[test]
fn no_page_holds_a_script_or_style_of_its_own_text() {
    for (name, text) in files().iter().filter(|(name, _)| has_ending(name, "html")) {
        let tags = text.split('<').skip(1).filter_map(|rest| rest.split_once('>'));
        for (tag, after) in tags {
            assert!(!tag.starts_with("style"), "{name}: {tag}");
            let inline_script = tag.starts_with("script") && (!tag.contains(" src=\"") || !after.is_empty());
            assert!(!inline_script, "{name}: {tag}");
            for attribute in tag.split_whitespace().skip(1) {
                let inline = attribute.starts_with("style=") || attribute.starts_with("on");
                assert!(!inline && !attribute.contains("javascript:"), "{name}: {tag}");
            }
        }
    }
}

#[test]
fn no_script_makes_markup_or_code_out_of_text() {
    let sinks =
        ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(", "srcdoc"];
    for (name, text) in files() {
        for sink in sinks {
            assert!(!text.contains(sink), "{name}: {sink}");
        }
    }
}

#[test]
fn pages_name_no_other_host() {
    for (name, text) in files() {
        for (at, _) in text.match_indices("://") {
            // The one exception is an example value, which nothing loads.
            assert!(
                text[at..].starts_with("://app.example.com"),
                "{name}: {}",
                text[at..].lines().next().unwrap()
            );
        }
        let loads = has_ending(&name, "css") && (text.contains("url(") || text.contains("@import"));
        assert!(!loads && !text.contains("\"//"), "{name}");
    }
}

#[tokio::test]
async fn pages_are_small() {
    const LIMIT: usize = 60 * 1024;
    let app = TestApp::start().await;
    let sent = async |path: &str| {
        let request = app.http.request(Method::GET, path).header("accept-encoding", "gzip");
        let answer = app.http.send(request.header("cookie", STALE_COOKIE)).await;
        if path.starts_with("/auth/assets/") {
            assert_eq!(answer.header("content-encoding"), "gzip", "{path}");
            assert_eq!(answer.header("vary"), "accept-encoding", "{path}");
        }
        answer.header("content-length").parse::<usize>().unwrap()
    };
    // All pages for people with all they load, in all languages, as it is sent.
    let browser = ["contract.css", "contract.js", "schema.js"];
    let of_people = |path: &str| !browser.iter().any(|name| path.ends_with(&format!("/{name}")));
    let mut sizes = BTreeMap::new();
    for path in
        AUTH_PAGES.iter().map(|path| (*path).to_owned()).chain(assets().into_iter().map(|asset| asset.0))
    {
        if of_people(&path) {
            sizes.insert(path.clone(), sent(&path).await);
        }
    }
    let all = sizes.values().sum::<usize>();
    eprintln!("all pages: {all} bytes");
    assert!(all <= LIMIT, "{all} {sizes:?}");
    // What somebody who signs in waits for, as it is written.
    let files = files();
    let signing_in =
        ["page.css", "sign_in.html", "layout.html", "second_factor.html", "texts.en.js", "api.js", "ui.js"]
            .iter()
            .chain(&["webauthn.js", "second_factor.js", "password.js", "sign_in.js"])
            .map(|name| files[*name].len())
            .sum::<usize>();
    assert!(signing_in <= 48 * 1024, "{signing_in}");
    let browser = browser.iter().chain(&["contract.html"]).map(|name| files[*name].len()).sum::<usize>();
    assert!(browser <= 24 * 1024, "{browser}");
}

/// The templates of the pages, by name.
fn files() -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/pages");
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read_to_string(&path).unwrap())
        })
        .collect()
}

fn has_ending(name: &str, ending: &str) -> bool {
    Path::new(name).extension().is_some_and(|found| found == ending)
}

/// What a page links to or loads, apart from places within it and inline data.
fn references(html: &str) -> Vec<String> {
    let attributes = ["src=\"", "href=\""].iter().flat_map(|attribute| html.split(attribute).skip(1));
    attributes
        .filter_map(|rest| rest.split('"').next())
        .filter(|target| !target.starts_with('#') && *target != "data:,")
        .map(str::to_owned)
        .collect()
}
