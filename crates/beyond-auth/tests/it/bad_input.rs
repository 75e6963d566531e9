//! What must not be sent: each answer is a proper problem that says what is wrong and where, never a 5xx.

mod edge;
mod memory;

use http::header::{self, HeaderValue};
use http::{HeaderMap, Method};
use serde_json::{Value, json};

use crate::support::TestApp;
use crate::support::app::{PASSWORD, Person};
use crate::support::client::{Answer, Http};

/// An operation of the contract.
struct Operation {
    method: Method,
    path: String,
    takes_body: bool,
    admin: bool,
}

/// Every operation that is published.
fn operations() -> Vec<Operation> {
    let document = serde_json::to_value(beyond_auth::router::document()).unwrap();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let Ok(method) = method.to_ascii_uppercase().parse::<Method>() else { continue };
            if !operation.is_object() {
                continue;
            }
            found.push(Operation {
                method,
                path: path.clone(),
                takes_body: operation["requestBody"]["content"].get("application/json").is_some(),
                admin: operation["security"].to_string().contains("admin"),
            });
        }
    }
    assert!(found.len() > 15);
    found
}

impl Operation {
    /// The path with a real id in it.
    fn path_of(&self, person: &Person) -> String {
        let parts: Vec<&str> = self
            .path
            .split('/')
            .map(|part| if part.starts_with('{') { person.id.as_str() } else { part })
            .collect();
        parts.join("/")
    }

    /// A client that may call it, from an address of its own.
    fn client(&self, app: &TestApp, person: &Person) -> Http {
        app.stranger().with_bearer(if self.admin { crate::support::app::ADMIN_SECRET } else { &person.token })
    }
}

async fn send(http: &Http, method: Method, path: &str, body: impl Into<Vec<u8>>) -> Answer {
    let request = http.request(method, path).header(header::CONTENT_TYPE, "application/json");
    http.send(request.body(body.into())).await
}

/// A refusal of the caller's making, in the one shape.
#[track_caller]
fn assert_refused(answer: &Answer, what: &str) {
    let status = answer.status.as_u16();
    assert!((400..500).contains(&status), "{what}: {status} {}", answer.text);
    let code = answer.problem(status);
    assert_ne!(code, "too_many_requests", "{what}: the test ran into a limit");
    assert_security_headers(answer, what);
}

/// The headers of every response.
#[track_caller]
fn assert_security_headers(answer: &Answer, what: &str) {
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("x-frame-options", "DENY"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(answer.header(name), value, "{what}: {name}");
    }
    // Public keys are the same for everybody, and edges are to keep them.
    let cached = what.contains("jwks.json") && answer.status.is_success();
    let caching = if cached { "public, max-age=3600" } else { "no-store" };
    assert_eq!(answer.header("cache-control"), caching, "{what}");
    let hsts = answer.header("strict-transport-security");
    assert!(hsts.starts_with("max-age=") && hsts.contains("includeSubDomains"), "{what}: {hsts}");
    let policy = answer.header("content-security-policy");
    assert!(
        policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
        "{what}: {policy}"
    );
    assert!(!policy.contains("unsafe"), "{what}: {policy}");
    assert!(!answer.header("x-request-id").is_empty(), "{what}");
    assert_eq!(answer.header("server"), "", "{what}");
}

/// Bodies that no operation takes, with the code of the refusal where it is the same for all.
fn bodies() -> Vec<(&'static str, Vec<u8>, Option<&'static str>)> {
    let text = |text: &str| text.as_bytes().to_vec();
    vec![
        ("cut off", text("{\"email\": \"ada@"), Some("malformed_json")),
        ("text behind it", text("{} {}"), Some("malformed_json")),
        ("no JSON", text("email=ada@example.com"), Some("malformed_json")),
        ("not UTF-8", b"{\"email\": \"\xff\xfe\"}".to_vec(), Some("malformed_json")),
        ("a byte order mark", b"\xef\xbb\xbf{}".to_vec(), Some("malformed_json")),
        ("a lone surrogate", text(r#"{"email": "\ud800"}"#), Some("malformed_json")),
        ("surrogates in the wrong order", text(r#"{"email": "\udc00\ud800"}"#), Some("malformed_json")),
        ("a raw NUL", b"{\"email\": \"a\0b\"}".to_vec(), Some("malformed_json")),
        ("an escaped NUL", text(r#"{"email": "a\u0000b"}"#), Some("validation_failed")),
        ("a NUL in a name", text(r#"{"a\u0000b": 1}"#), Some("validation_failed")),
        ("a number out of range", text(r#"{"email": 1e999}"#), Some("malformed_json")),
        ("not a number", text(r#"{"email": NaN}"#), Some("malformed_json")),
        (
            "a name twice",
            text(r#"{"email": "a@example.com", "email": "b@example.com"}"#),
            Some("duplicate_key"),
        ),
        ("a name twice, once escaped", text(r#"{"email": "a", "\u0065mail": "b"}"#), Some("duplicate_key")),
        (
            "a name twice, deep down",
            text(r#"{"metadata": {"a": [{"b": 1, "b": 2}]}}"#),
            Some("duplicate_key"),
        ),
        ("deep arrays", "[".repeat(16_000).into_bytes(), Some("json_too_deep")),
        ("deep objects", "{\"a\":".repeat(3_000).into_bytes(), Some("json_too_deep")),
        ("100,000 arrays in each other", "[".repeat(100_000).into_bytes(), Some("body_too_large")),
        (
            "a password of 1 MiB",
            format!(r#"{{"password": "{}"}}"#, "a".repeat(1 << 20)).into_bytes(),
            Some("body_too_large"),
        ),
        ("a list", text("[]"), None),
        ("a list of texts", text(r#"["ada@example.com", "seven quiet rivers", "Ada", {}]"#), None),
        ("null", text("null"), None),
        ("a number", text("1"), None),
        ("a text", text("\"ada@example.com\""), None),
        ("an unknown member", text(r#"{"__proto__": {"admin": true}}"#), None),
    ]
}

#[tokio::test]
async fn no_operation_takes_a_malformed_body_and_each_says_where_it_is_wrong() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let operations: Vec<Operation> =
        operations().into_iter().filter(|operation| operation.takes_body).collect();
    for operation in &operations {
        let path = operation.path_of(&ada);
        for (name, body, code) in bodies() {
            let what = format!("{} {path}, {name}", operation.method);
            let answer = send(&operation.client(&app, &ada), operation.method.clone(), &path, body).await;
            assert_refused(&answer, &what);
            let problem = answer.json();
            if let Some(code) = code {
                assert_eq!(problem["code"], code, "{what}");
            }
            assert!(problem["errors"][0]["pointer"].is_string(), "{what}: {problem}");
        }
    }
    // Nothing of it has left a trace.
    ada.http.get("/v1/sessions/current").await.expect(200);
    assert_eq!(app.admin.get("/v1/admin/users").await.expect(200)["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_body_of_another_kind_is_415_everywhere() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    for operation in operations().into_iter().filter(|operation| operation.takes_body) {
        let path = operation.path_of(&ada);
        for (content_type, encoding) in [
            (None, None),
            (Some("text/plain"), None),
            (Some("application/x-www-form-urlencoded"), None),
            (Some("multipart/form-data; boundary=x"), None),
            (Some("application/xml"), None),
            (Some("application/jsonp"), None),
            (Some("application/json"), Some("gzip")),
            (Some("application/json"), Some("br")),
            (Some("application/json"), Some("identity, gzip")),
        ] {
            let http = operation.client(&app, &ada);
            let mut request = http.request(operation.method.clone(), &path).body("{\"no\": 1}");
            if let Some(value) = content_type {
                request = request.header(header::CONTENT_TYPE, value);
            }
            if let Some(value) = encoding {
                request = request.header(header::CONTENT_ENCODING, value);
            }
            let what = format!("{} {path}, {content_type:?} {encoding:?}", operation.method);
            let answer = http.send(request).await;
            assert_refused(&answer, &what);
            assert_eq!(answer.status, 415, "{what}");
        }
    }
}

#[tokio::test]
async fn the_one_form_that_is_posted_is_bounded_too() {
    const FORM: &str = "application/x-www-form-urlencoded";
    let app = TestApp::start().await;
    let post = async |content_type: &str, encoding: Option<&str>, body: Vec<u8>| {
        let request = app.stranger().request(Method::POST, "/v1/oauth/acme/callback");
        let request = request.header(header::CONTENT_TYPE, content_type).body(body);
        let request = match encoding {
            Some(encoding) => request.header(header::CONTENT_ENCODING, encoding),
            None => request,
        };
        let answer = app.http.send(request).await;
        assert_refused(&answer, content_type);
        answer
    };
    for other in ["application/json", "text/plain", "multipart/form-data; boundary=x", ""] {
        assert_eq!(post(other, None, b"state=x".to_vec()).await.problem(415), "unsupported_media_type");
    }
    assert_eq!(post(FORM, Some("gzip"), Vec::new()).await.status, 415);
    assert_eq!(post(FORM, None, vec![b'a'; 17 * 1024]).await.problem(413), "body_too_large");
    for body in [
        &b""[..],
        b"&&&",
        b"state",
        b"state=%00&user=%00",
        b"\xff=\xff&state=%ff",
        b"user=[[[[",
        b"state=a&state=b",
    ] {
        assert_eq!(post(FORM, None, body.to_vec()).await.problem(400), "invalid_state");
    }
}

#[tokio::test]
async fn what_the_server_owns_is_refused_by_name() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let owned = [
        "id",
        "created_at",
        "updated_at",
        "email_verified",
        "verified_at",
        "banned_at",
        "ban_reason",
        "user_id",
        "is_admin",
        "role",
        "aal",
        "amr",
        "password_hash",
        "used_unproven",
        "organization_id",
        "expires_at",
    ];
    for field in owned {
        let sign_up = json!({ "email": "eve@example.com", "password": PASSWORD, field: "x" });
        let sign_in =
            json!({ "method": "password", "email": "ada@example.com", "password": PASSWORD, field: "x" });
        let profile = json!({ "name": "Ada", field: "x" });
        let created = json!({ "email": "eve@example.com", "password": PASSWORD, field: "x" });
        let by_admin = app.stranger().with_bearer(crate::support::app::ADMIN_SECRET);
        let mut answers = vec![
            app.stranger().post("/v1/users", sign_up).await,
            app.stranger().post("/v1/sessions", sign_in).await,
            ada.http.patch("/v1/users/me", profile.clone()).await,
            by_admin.patch(&format!("/v1/admin/users/{}", ada.id), profile).await,
            by_admin.patch("/v1/admin/settings", json!({ "sessions": { field: 1 } })).await,
        ];
        // The operator may vouch for an address, and bring a hash from elsewhere.
        if !["email_verified", "password_hash"].contains(&field) {
            answers.push(by_admin.post("/v1/admin/users", created).await);
        }
        for answer in answers {
            assert_eq!(answer.problem(422), "validation_failed");
            let error = &answer.json()["errors"][0];
            assert!(error["pointer"].as_str().unwrap().ends_with(&format!("/{field}")), "{error}");
            assert_eq!(error["code"], "unknown_field");
        }
    }
    let profile = ada.http.get("/v1/users/me").await.expect(200);
    assert_eq!(profile["user"]["name"], Value::Null);
}

#[tokio::test]
async fn an_object_cannot_be_written_as_a_list_of_its_values() {
    let app = TestApp::start().await;
    let list = json!(["eve@example.com", PASSWORD, "Eve", {}]);
    let answer = app.stranger().post("/v1/users", list).await;
    assert_eq!((answer.problem(422).as_str(), answer.pointer().as_str()), ("validation_failed", ""));
    let nested = json!({ "sessions": [3600, 7200, 60] });
    let answer = app.admin.patch("/v1/admin/settings", nested).await;
    assert_eq!((answer.problem(422).as_str(), answer.pointer().as_str()), ("validation_failed", "/sessions"));
}

#[tokio::test]
async fn values_at_and_beyond_their_bounds_are_told_apart() {
    let app = TestApp::start().await;
    let sign_up = async |body: Value| app.stranger().post("/v1/users", body).await;
    for (body, pointer) in [
        (json!({}), "/email"),
        (json!({ "email": null }), "/email"),
        (json!({ "email": "" }), "/email"),
        (json!({ "email": "ada" }), "/email"),
        (json!({ "email": format!("{}@example.com", "a".repeat(400)) }), "/email"),
        (json!({ "email": ["ada@example.com"] }), "/email"),
        (json!({ "email": "ada@example.com\r\nBcc: eve@example.com" }), "/email"),
        (json!({ "email": "a@example.com", "password": "a".repeat(1_025) }), "/password"),
        (json!({ "email": "a@example.com", "password": "é".repeat(257) }), "/password"),
        (json!({ "email": "a@example.com", "password": "" }), "/password"),
        (json!({ "email": "a@example.com", "password": 12_345_678 }), "/password"),
        (json!({ "email": "a@example.com", "name": "a".repeat(201) }), "/name"),
        (json!({ "email": "a@example.com", "name": "a\u{7}b" }), "/name"),
        (json!({ "email": "a@example.com", "metadata": [] }), "/metadata"),
        (json!({ "email": "a@example.com", "metadata": { "a": "a".repeat(9_000) } }), "/metadata"),
    ] {
        let answer = sign_up(body.clone()).await;
        assert_eq!(answer.problem(422), "validation_failed", "{body}");
        assert_eq!(answer.pointer(), pointer, "{body}");
    }
    let all = json!({ "email": "no", "name": "a".repeat(201), "metadata": { "a": "a".repeat(9_000) } });
    assert_eq!(sign_up(all).await.json()["errors"].as_array().unwrap().len(), 3, "all errors at once");

    // What is merely unusual passes.
    let mut deep = json!("x");
    for _ in 0..29 {
        deep = json!({ "d": deep });
    }
    for body in [
        json!({ "email": "a.b+c@example.com", "name": "a".repeat(200), "metadata": { "\u{1f980}": [1.5, -0.0, 1e300] } }),
        json!({ "email": "deep@example.com", "metadata": deep }),
        json!({ "email": "odd@example.com", "password": "\u{202e}\u{fffd}\u{10ffff}pässwörd 漢字", "name": "\u{202e}evil" }),
    ] {
        assert_eq!(sign_up(body.clone()).await.status, 202, "{body}");
    }
}

#[tokio::test]
async fn queries_and_paths_that_make_no_sense_are_refused() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let lists = [("/v1/sessions", &ada.http), ("/v1/admin/users", &app.admin)];
    for (path, http) in lists {
        for query in [
            "limit=0",
            "limit=101",
            "limit=-1",
            "limit=x",
            "limit=1e2",
            "limit=99999999999999999999",
            "limit=",
            "limit=1&limit=2",
            "cursor=x",
            "cursor=%00",
            "cursor=AAAA",
            "unknown=1",
            "%ff=1",
            "limit=%ff",
            "cursor=%E2%82",
            "=",
        ] {
            let answer = http.get(&format!("{path}?{query}")).await;
            assert_refused(&answer, &format!("{path}?{query}"));
            assert_eq!(answer.status, 422, "{path}?{query}");
            assert!(answer.pointer().starts_with('?'), "{path}?{query}: {}", answer.text);
        }
    }
    for query in ["q=%00", "email=no", "email=a@example.com&q=a"] {
        assert_refused(&app.admin.get(&format!("/v1/admin/users?{query}")).await, query);
    }
    // A search for anything is a search.
    for query in
        ["q=%25", "q=_", "q=%27%3B--", "q=%ff", "q=%F4%8F%BF%BF", "q=", &format!("q={}", "a".repeat(9_000))]
    {
        app.admin.get(&format!("/v1/admin/users?{query}")).await.expect(200);
    }
    let simple = ada.id.replace('-', "");
    let long = "a".repeat(8_000);
    for id in ["x", "%00", "%ff", "..", "..%2f..", "%2e%2e", "'", "-1", "me", &simple, &long] {
        let answer = app.admin.get(&format!("/v1/admin/users/{id}")).await;
        assert_refused(&answer, id);
        assert!([404, 405].contains(&answer.status.as_u16()), "{id}: {}", answer.text);
        assert_refused(&ada.http.delete(&format!("/v1/sessions/{id}x")).await, id);
    }
}

#[tokio::test]
async fn more_than_one_credential_is_refused_and_odd_ones_are_401() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let bob = app.person("bob@example.com").await;
    let bearer = |token: &str| HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
    let cookie = |text: String| HeaderValue::from_str(&text).unwrap();
    let own = format!("beyond_session={}", ada.token);
    let ambiguous: Vec<Vec<(header::HeaderName, HeaderValue)>> = vec![
        vec![(header::AUTHORIZATION, bearer(&ada.token)), (header::AUTHORIZATION, bearer(&bob.token))],
        vec![(header::AUTHORIZATION, bearer(&ada.token)), (header::AUTHORIZATION, bearer(&ada.token))],
        vec![(header::AUTHORIZATION, bearer(&bob.token)), (header::COOKIE, cookie(own.clone()))],
        vec![(header::COOKIE, cookie(format!("{own}; beyond_session={}", bob.token)))],
        vec![
            (header::COOKIE, cookie(own.clone())),
            (header::COOKIE, cookie(format!("beyond_session={}", bob.token))),
        ],
    ];
    for headers in ambiguous {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, value);
        }
        for path in ["/v1/sessions/current", "/v1/admin/users"] {
            let answer = app.http.send(app.http.request(Method::GET, path).headers(map.clone())).await;
            assert_eq!(answer.problem(400), "ambiguous_credentials", "{path}");
            assert_security_headers(&answer, path);
        }
    }
    let odd: [&[u8]; 12] = [
        b"",
        b"Bearer",
        b"Bearer ",
        b"Bearer  ",
        b"Basic YTpi",
        b"bearer\xff\xfe",
        b"Bearer \xff",
        b"Token x",
        b"Bearer session_",
        b"Bearer null",
        b"Bearer a b",
        b",",
    ];
    for value in odd {
        let value = HeaderValue::from_bytes(value).unwrap();
        for path in ["/v1/sessions/current", "/v1/admin/users"] {
            let request = app.http.request(Method::GET, path).header(header::AUTHORIZATION, value.clone());
            let answer = app.http.send(request).await;
            assert_eq!(answer.status, 401, "{value:?}: {}", answer.text);
            assert_refused(&answer, "an odd credential");
            assert!(answer.header("www-authenticate").starts_with("Bearer"), "{value:?}");
        }
    }
    let long = app.http.with_bearer(&format!("session_{}", "a".repeat(20_000)));
    assert_eq!(long.get("/v1/sessions/current").await.problem(401), "invalid_token");
}
