//! Around the bodies: methods, paths, headers, bytes that are no HTTP.

use http::Method;
use http::header::{self, HeaderValue};
use serde_json::json;

use super::{assert_refused, assert_security_headers, operations};
use crate::support::TestApp;
use crate::support::app::PASSWORD;
use crate::support::raw::{exchange, status};

#[tokio::test]
async fn a_method_that_a_path_does_not_have_is_405_with_those_that_it_has() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let all = operations();
    for operation in &all {
        let path = operation.path_of(&ada);
        let mut has: Vec<&str> = all
            .iter()
            .filter(|other| other.path == operation.path)
            .map(|other| other.method.as_str())
            .collect();
        if has.contains(&"GET") {
            has.push("HEAD");
        }
        has.sort_unstable();
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "HEAD"] {
            if has.contains(&method) {
                continue;
            }
            let method: Method = method.parse().unwrap();
            let answer = app.http.send(app.http.request(method.clone(), &path)).await;
            assert_eq!(answer.status, 405, "{method} {path}");
            let allow = answer.header("allow");
            let mut allowed: Vec<&str> = allow.split(',').map(str::trim).collect();
            allowed.sort_unstable();
            assert_eq!(allowed, has, "{method} {path}");
            if method == Method::HEAD {
                assert_eq!(answer.text, "");
            } else {
                assert_eq!(answer.problem(405), "method_not_allowed", "{method} {path}");
            }
            assert_security_headers(&answer, &path);
        }
    }
}

#[tokio::test]
async fn a_path_that_is_not_there_is_404_for_every_method() {
    let app = TestApp::start().await;
    for path in [
        "/",
        "/v1",
        "/v1/",
        "/v1/nothing",
        "/v1/users/",
        "//v1/users",
        "/V1/users",
        "/v1/users/me/",
        "/.env",
        "/%00",
    ] {
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS]
        {
            let answer = app.http.send(app.http.request(method.clone(), path)).await;
            assert_eq!(answer.problem(404), "not_found", "{method} {path}");
            assert_security_headers(&answer, path);
        }
    }
}

#[tokio::test]
async fn head_is_get_without_its_body() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    for operation in operations().into_iter().filter(|operation| operation.method == Method::GET) {
        let path = operation.path_of(&ada);
        let http = operation.client(&app, &ada);
        let get = http.get(&path).await;
        let head = http.send(http.request(Method::HEAD, &path)).await;
        assert_eq!(head.status, get.status, "{path}");
        assert_eq!(head.text, "", "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{path}");
        let length = head.header("content-length");
        assert!(length.is_empty() || length == get.header("content-length"), "{path}: {length}");
        assert_security_headers(&head, &path);
    }
    let refused = app.http.send(app.http.request(Method::HEAD, "/v1/sessions/current")).await;
    assert_eq!((refused.status.as_u16(), refused.text.as_str()), (401, ""));
    assert!(refused.header("www-authenticate").starts_with("Bearer"));
}

#[tokio::test]
async fn the_security_headers_are_on_every_kind_of_response() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let sign_up = json!({ "email": "bob@example.com", "password": PASSWORD });
    let sign_in = json!({ "method": "password", "email": ada.email, "password": PASSWORD });
    let with_cookie =
        json!({ "method": "password", "email": ada.email, "password": PASSWORD, "cookie": true });
    let passwords = json!({ "current_password": PASSWORD, "password": "eight quiet rivers" });
    let answers = [
        (200, app.http.get("/healthz").await),
        (200, app.http.get("/readyz").await),
        (200, app.http.get("/v1/openapi.json").await),
        (200, ada.http.get("/v1/users/me").await),
        (202, app.stranger().post("/v1/users", sign_up).await),
        (201, app.stranger().post("/v1/sessions", sign_in).await),
        (201, app.stranger().post("/v1/sessions", with_cookie).await),
        (200, app.admin.get("/v1/admin/settings").await),
        (204, ada.http.put("/v1/users/me/password", passwords).await),
        (204, ada.http.delete("/v1/sessions/current").await),
        (401, ada.http.get("/v1/sessions/current").await),
        (404, app.admin.get("/v1/admin/users/018f6f5e-7c3a-7b2c-9d1e-0f1a2b3c4d5e").await),
        (422, app.stranger().post("/v1/users", json!({})).await),
    ];
    for (status, answer) in answers {
        answer.expect(status);
        assert_security_headers(&answer, &format!("{status} {:.60}", answer.text));
    }
    // One more than a minute takes.
    let stranger = app.stranger();
    let wrong =
        json!({ "method": "password", "email": "nobody@example.com", "password": "not the password" });
    let mut limited = None;
    for _ in 0..25 {
        let answer = stranger.post("/v1/sessions", wrong.clone()).await;
        if answer.status == 429 {
            limited = Some(answer);
            break;
        }
    }
    let limited = limited.expect("a limit");
    assert_eq!(limited.problem(429), "too_many_requests");
    assert!(limited.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert!(!limited.header("ratelimit").is_empty());
    assert_security_headers(&limited, "429");
}

#[tokio::test]
async fn no_page_of_another_origin_may_read_anything() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    for method in [Method::GET, Method::OPTIONS] {
        let request = ada
            .http
            .request(method, "/v1/sessions/current")
            .header(header::ORIGIN, "https://evil.example")
            .header("access-control-request-method", "GET");
        let answer = ada.http.send(request).await;
        assert_eq!(answer.header("access-control-allow-origin"), "");
    }
}

#[tokio::test]
async fn a_request_id_is_echoed_where_it_is_harmless_and_replaced_where_not() {
    let app = TestApp::start().await;
    let asked = async |id: &[u8]| {
        let id = HeaderValue::from_bytes(id).unwrap();
        let request = app.http.request(Method::GET, "/v1/sessions/current").header("x-request-id", id);
        let answer = app.http.send(request).await;
        // `problem` compares body and header.
        answer.problem(401);
        answer.header("x-request-id")
    };
    for id in ["0123abcd", "01a21037-bcef-797a-8a40-8ad9e22c2408", &"a".repeat(64), "a.b_c-d.e"] {
        assert_eq!(asked(id.as_bytes()).await, id);
    }
    let too_long = "a".repeat(65);
    for id in [
        &b"short"[..],
        b"",
        b"with blank",
        b"\"quoted\"",
        b"<script>",
        b"caf\xc3\xa9-caf\xc3\xa9",
        too_long.as_bytes(),
    ] {
        let given = asked(id).await;
        assert_eq!(given.len(), 36, "{given}");
    }
    assert_ne!(asked(b"").await, asked(b"").await);
}

#[tokio::test]
async fn odd_headers_harm_nobody() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let odd: [(&str, Vec<u8>); 10] = [
        ("x-forwarded-for", b"\xff, unknown, 999.1.1.1, [::".to_vec()),
        ("x-forwarded-for", "1.2.3.4, ".repeat(1_500).into_bytes()),
        ("forwarded", b"for=\"_gazonk\"".to_vec()),
        ("user-agent", b"\xff\xfe\x80".to_vec()),
        ("user-agent", "a".repeat(9_000).into_bytes()),
        ("accept-language", b"\xff;q=9999,,,-".to_vec()),
        ("accept", b"application/xml".to_vec()),
        ("host", b"evil.example".to_vec()),
        ("range", b"bytes=0-1".to_vec()),
        ("if-none-match", b"*".to_vec()),
    ];
    for (name, value) in odd {
        let value = HeaderValue::from_bytes(&value).unwrap();
        let sign_in = json!({ "method": "password", "email": ada.email, "password": PASSWORD });
        let request =
            app.stranger().request(Method::POST, "/v1/sessions").header(name, value.clone()).json(&sign_in);
        let status = app.http.send(request).await.status.as_u16();
        // A forged chain of proxies falls back to the one address of all tests of this app.
        assert!([201, 429].contains(&status), "{name}: {status}");
        let answer =
            app.http.send(ada.http.request(Method::GET, "/v1/sessions/current").header(name, value)).await;
        answer.expect(200);
    }
    for tag in ["", "x", "\"", "W/\"1\"", "\"99999999999999999999\"", "\"1\", \"2\""] {
        let request = app.admin.request(Method::PATCH, "/v1/admin/settings").header(header::IF_MATCH, tag);
        let answer = app.admin.send(request.json(&json!({ "sign_up": { "enabled": false } }))).await;
        assert_refused(&answer, tag);
        assert_eq!(answer.status, 412, "{tag}");
    }
}

#[tokio::test]
async fn headers_beyond_the_limit_are_refused_and_the_service_stays() {
    let app = TestApp::start().await;
    let address = app.running.address;
    let fits = format!(
        "GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-long: {}\r\n\r\n",
        "a".repeat(30_000)
    );
    assert_eq!(status(&exchange(address, fits.as_bytes()).await), Some(200));
    for request in [
        format!("GET /healthz HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n", "a".repeat(40_000)),
        format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(40_000)),
        format!("GET /healthz HTTP/1.1\r\nhost: x\r\n{}\r\n", "x-many: 1\r\n".repeat(5_000)),
        format!("GET /healthz HTTP/1.1\r\nhost: x\r\nx-endless: {}", "a".repeat(4_000_000)),
    ] {
        let answer = exchange(address, request.as_bytes()).await;
        let refused = status(&answer).is_none_or(|status| [400, 414, 431].contains(&status));
        assert!(refused, "{}", answer.lines().next().unwrap_or_default());
    }
    // Where it could be read, the refusal is a problem like any other.
    let answer =
        app.http.send(app.http.request(Method::GET, "/healthz").header("x-long", "a".repeat(33_000))).await;
    assert_eq!(answer.problem(431), "headers_too_large");
    assert_security_headers(&answer, "431");
    app.http.get("/healthz").await.expect(200);
}

#[tokio::test]
async fn a_refusal_arrives_although_the_body_was_not_read() {
    let app = TestApp::start().await;
    for (path, content_type, status) in [
        ("/v1/users", "application/json", 413),
        ("/v1/users", "text/plain", 415),
        ("/v1/nothing", "application/json", 404),
        ("/v1/admin/users", "application/json", 401),
    ] {
        for _ in 0..20 {
            let request = app.http.request(Method::POST, path).header(header::CONTENT_TYPE, content_type);
            let answer = app.http.send(request.body("a".repeat(6 << 20))).await;
            answer.problem(status);
            assert_eq!(answer.header("connection"), "close", "{path}");
        }
    }
}

#[tokio::test]
async fn bytes_that_are_no_http_end_their_connection_and_nothing_else() {
    let app = TestApp::start().await;
    let address = app.running.address;
    let json = "content-type: application/json\r\nhost: x\r\n";
    for request in [
        "\r\n\r\n\r\n".to_owned(),
        "\0\0\0\0".to_owned(),
        "GET\r\n\r\n".to_owned(),
        "GET / HTTP/9.9\r\n\r\n".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        "\u{16}\u{3}\u{1}\0\u{5}hello".to_owned(),
        "OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(),
        "CONNECT example.com:443 HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(),
        "GET http://evil.example/healthz HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(),
        format!("POST /v1/users HTTP/1.1\r\n{json}content-length: -1\r\n\r\n{{}}"),
        format!("POST /v1/users HTTP/1.1\r\n{json}content-length: 2\r\ncontent-length: 3\r\n\r\n{{}}"),
        format!("POST /v1/users HTTP/1.1\r\n{json}content-length: 99999999999999999999\r\n\r\n{{}}"),
        format!(
            "POST /v1/users HTTP/1.1\r\n{json}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
        ),
        format!("POST /v1/users HTTP/1.1\r\n{json}transfer-encoding: gzip\r\n\r\n{{}}"),
        format!("POST /v1/users HTTP/1.1\r\n{json}transfer-encoding: chunked\r\n\r\nZZ\r\n{{}}\r\n0\r\n\r\n"),
        format!(
            "POST /v1/users HTTP/1.1\r\n{json}transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n{{}}"
        ),
        "GET /healthz HTTP/1.1\r\nhost: x\r\nx y: 1\r\n\r\n".to_owned(),
        "GET /healthz HTTP/1.1\r\nhost: x\r\n folded: 1\r\n\r\n".to_owned(),
    ] {
        let answer = exchange(address, request.as_bytes()).await;
        let fine = status(&answer).is_none_or(|status| status < 500);
        assert!(fine, "{request:?}: {answer}");
    }
    app.http.get("/readyz").await.expect(200);
}
