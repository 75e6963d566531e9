//! Pages for people: what they may load, that opening one does nothing, that they stay small.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use http::Method;
use serde_json::json;

use crate::support::TestApp;

const PAGES: &[&str] = &["/auth/verify-email", "/v1/docs"];
const ASSETS: &[(&str, &str)] = &[
    ("/auth/assets/page.css", "text/css; charset=utf-8"),
    ("/auth/assets/verify_email.js", "text/javascript; charset=utf-8"),
    ("/auth/assets/contract.css", "text/css; charset=utf-8"),
    ("/auth/assets/contract.js", "text/javascript; charset=utf-8"),
    ("/auth/assets/schema.js", "text/javascript; charset=utf-8"),
];

#[tokio::test]
async fn a_page_is_html_that_runs_nothing_but_its_own_scripts_and_is_kept_nowhere() {
    let app = TestApp::start().await;
    for page in PAGES {
        let answer = app.http.get(page).await;
        assert_eq!(answer.status, 200, "{page}");
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
    for page in PAGES {
        let html = app.http.get(page).await.text;
        let loaded = references(&html);
        assert!(!loaded.is_empty(), "{page} loads nothing");
        for path in loaded {
            assert!(path.starts_with('/') && !path.starts_with("//"), "{page} loads {path}");
            assert_eq!(app.http.get(&path).await.status, 200, "{page} loads {path}");
        }
    }
}

#[tokio::test]
async fn an_asset_is_sent_again_only_after_it_has_changed() {
    let app = TestApp::start().await;
    let mut tags = BTreeSet::new();
    for (path, content_type) in ASSETS {
        let answer = app.http.get(path).await;
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
    assert_eq!(tags.len(), ASSETS.len());
}

#[tokio::test]
async fn opening_the_link_of_a_mail_spends_nothing_until_a_person_confirms() {
    let app = TestApp::start().await;
    app.http.post("/v1/users", json!({ "email": "ada@example.com" })).await.expect(202);
    let mail = app.mail_to("ada@example.com").await;
    let (page, token) = mail.link().unwrap().split_once("#token=").unwrap();
    assert!(page.ends_with("/auth/verify-email"), "{page}");

    // Scanners open links; some put the fragment where it does not belong.
    for path in ["/auth/verify-email".to_owned(), format!("/auth/verify-email?token={token}")] {
        for method in [Method::GET, Method::HEAD, Method::GET] {
            assert_eq!(app.http.send(app.http.request(method, &path)).await.status, 200);
        }
    }
    let posted = app.http.post("/auth/verify-email", json!({ "token": token })).await;
    assert_eq!(posted.problem(405), "method_not_allowed");

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

#[test]
fn pages_are_small() {
    let sizes: BTreeMap<String, usize> = files().into_iter().map(|(name, text)| (name, text.len())).collect();
    assert!(sizes["page.css"] <= 6 * 1024, "{sizes:?}");
    let browser =
        ["contract.html", "contract.js", "schema.js"].iter().map(|name| sizes[*name]).sum::<usize>();
    assert!(browser <= 20 * 1024, "{browser} {sizes:?}");
    assert!(sizes.values().sum::<usize>() <= 60 * 1024, "{sizes:?}");
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
