//! Making the service call what only it can reach (SSRF), or keeping it busy with an answer without end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use beyond_auth::platform::config::OutboundRule;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::app::config;
use crate::support::{TestApp, database};

/// What the server inside answers.
#[derive(Clone)]
enum Says {
    Text(String),
    RedirectTo(String),
    Endless,
    Nothing,
}

/// A server that must not be called, or only with leave; counts who comes.
async fn inside(says: Says) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            let says = says.clone();
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                let head = match &says {
                    Says::Text(text) => format!(
                        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{text}",
                        text.len()
                    ),
                    Says::RedirectTo(to) => {
                        format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n")
                    }
                    Says::Endless => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
                    Says::Nothing => String::new(),
                };
                let _ = stream.write_all(head.as_bytes()).await;
                let chunk = format!("10000\r\n{}\r\n", "A".repeat(0x1_0000));
                if matches!(says, Says::Endless) {
                    while stream.write_all(chunk.as_bytes()).await.is_ok() {}
                }
                if matches!(says, Says::Nothing) {
                    tokio::time::sleep(Duration::from_secs(30)).await;
                }
            });
        }
    });
    (address, calls)
}

async fn app_with(allow: &[&str]) -> TestApp {
    let database = Arc::new(database().await);
    let mut config = config(&database);
    config.outbound_allow = allow.iter().map(|rule| OutboundRule::parse(rule).unwrap()).collect();
    TestApp::with(database, config).await
}

/// The verdict on a password that nothing but a breach speaks against.
async fn acceptable(app: &TestApp, url: &str) -> bool {
    app.set(json!({ "password": { "breach_check_url": url } })).await;
    let body = json!({ "password": "seven quiet rivers" });
    let verdict = app.stranger().post("/v1/password-checks", body).await.expect(200);
    if verdict["acceptable"] == false {
        assert_eq!(verdict["errors"][0]["code"], "password_breached");
    }
    verdict["acceptable"].as_bool().unwrap()
}

/// SHA-1 of "seven quiet rivers", less its first five digits.
fn breached() -> String {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, b"seven quiet rivers");
    let hex = hash.as_ref().iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02X}"));
    format!("{}:7\r\n", &hex[5..])
}

#[tokio::test]
async fn nothing_inside_is_called_without_leave() {
    let (address, calls) = inside(Says::Text(breached())).await;
    let port = address.rsplit_once(':').unwrap().1;
    let app = app_with(&[]).await;
    for url in [
        format!("http://{address}/range"),
        format!("https://{address}/range"),
        format!("http://localhost:{port}/range"),
        format!("http://[::ffff:127.0.0.1]:{port}/range"),
        format!("http://2130706433:{port}/range"),
        format!("http://user@{address}/range"),
        "http://169.254.169.254/latest".to_owned(),
    ] {
        // Nobody to ask is no reason to refuse a password.
        assert!(acceptable(&app, &url).await, "{url}");
    }
    assert_eq!(calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn with_leave_a_breached_password_is_refused_wherever_one_is_chosen() {
    let (address, calls) = inside(Says::Text(breached())).await;
    let app = app_with(&["127.0.0.0/8"]).await;
    let ada = app.person("ada@example.com").await;
    assert!(!acceptable(&app, &format!("http://{address}/range/")).await);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    let password = "seven quiet rivers";
    let body = json!({ "email": "eve@example.com", "password": password });
    let refused = app.stranger().post("/v1/users", body).await;
    assert_eq!((refused.problem(422), refused.pointer()), ("validation_failed".into(), "/password".into()));
    let body = json!({ "current_password": password, "password": password });
    ada.http.put("/v1/users/me/password", body).await.problem(422);
    // Who has it already still gets in.
    app.sign_in("ada@example.com", password).await;
    assert!(calls.load(Ordering::SeqCst) >= 2);
}

#[tokio::test]
async fn a_redirect_leads_nowhere() {
    let (target, reached) = inside(Says::Text(breached())).await;
    let (address, _) = inside(Says::RedirectTo(format!("http://{target}/range"))).await;
    let app = app_with(&["127.0.0.0/8"]).await;
    assert!(acceptable(&app, &format!("http://{address}/range")).await);
    assert_eq!(reached.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_endless_answer_or_none_is_given_up() {
    let app = app_with(&["127.0.0.0/8"]).await;
    for says in [Says::Endless, Says::Nothing] {
        let (address, calls) = inside(says).await;
        let begun = Instant::now();
        assert!(acceptable(&app, &format!("http://{address}/range")).await);
        assert!(begun.elapsed() < Duration::from_secs(25), "{:?}", begun.elapsed());
        assert_eq!(calls.load(Ordering::SeqCst), 1);
    }
}
