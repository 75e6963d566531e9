//! The binary's memory while it is sent what it must not keep.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;

use futures::future::join_all;
use http::{Method, header};
use secrecy::ExposeSecret as _;
use serde_json::Value;

use crate::support::app::ADMIN_SECRET;
use crate::support::client::Http;
use crate::support::database;
use crate::support::program::{Running, program};

/// What the service may keep of 400 MiB that it refuses. Buffers and the allocator's reserve take some.
const GROWTH_KIB: u64 = 24 * 1024;

#[tokio::test]
#[cfg(target_os = "linux")]
async fn hundreds_of_megabytes_that_are_refused_leave_no_memory_behind() {
    let database = database().await;
    let mut command = program(&["serve"]);
    command
        .env("ADDRESS", "127.0.0.1:0")
        .env("DATABASE_URL", database.url.expose_secret())
        .env("ADMIN_SECRET", ADMIN_SECRET)
        .env("SIGNING_KEY_ENCRYPTION_KEY", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
        .env("WEBAUTHN_RP_ID", "localhost")
        .env("WEBAUTHN_RP_ORIGIN", "http://localhost:8080");
    let mut service = Running(command.spawn().unwrap());
    let address = ready(&mut service);
    let http = Http::new(format!("http://{address}"));

    let round = async || {
        let password = format!(r#"{{"email": "a@example.com", "password": "{}"}}"#, "a".repeat(1 << 20));
        let deep = "[".repeat(100_000);
        let within_the_limit = "[".repeat(16_000);
        for body in [password, deep, within_the_limit] {
            let sent = join_all((0..20).map(async |_| {
                let request =
                    http.request(Method::POST, "/v1/users").header(header::CONTENT_TYPE, "application/json");
                http.send(request.body(body.clone())).await
            }));
            for answer in sent.await {
                assert!([400, 413].contains(&answer.status.as_u16()), "{}", answer.text);
            }
        }
    };
    // Connections, threads and the allocator's pools are there after some rounds.
    for _ in 0..3 {
        round().await;
    }
    let before = service.resident();
    for _ in 0..20 {
        round().await;
    }
    let after = service.resident();
    assert!(after < before + GROWTH_KIB, "{before} KiB before, {after} KiB after");
    http.get("/readyz").await.expect(200);
}

/// Waits for the line that says where the service listens, and lets the rest of its log flow away.
fn ready(service: &mut Running) -> SocketAddr {
    let mut lines = BufReader::new(service.0.stderr.take().unwrap()).lines();
    let mut log = Vec::new();
    let address = loop {
        let line = lines.next().unwrap_or_else(|| panic!("it ended: {log:#?}")).unwrap();
        let entry: Value = serde_json::from_str(&line).unwrap_or_default();
        let found = entry.to_string().contains("\"ready\"").then(|| find(&entry, "address")).flatten();
        log.push(line);
        if let Some(address) = found {
            break address.parse().unwrap();
        }
    };
    std::thread::spawn(move || lines.for_each(drop));
    address
}

/// The text of a field, wherever the log's format puts it.
fn find(entry: &Value, name: &str) -> Option<String> {
    let object = entry.as_object()?;
    match object.get(name) {
        Some(Value::String(text)) => Some(text.clone()),
        _ => object.values().find_map(|value| find(value, name)),
    }
}
