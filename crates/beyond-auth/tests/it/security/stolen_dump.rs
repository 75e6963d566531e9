//! Reading a copy of the database.

use std::collections::BTreeSet;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use serde_json::json;
use sqlx::{AssertSqlSafe, Row as _};

use super::{OTHER_PASSWORD, redeem_code, redeem_token, sign_in, sign_up, token_in, wrong_code};
use crate::api_keys::{introspect, make, make_for_project, rotate, text};
use crate::support::TestApp;
use crate::support::app::{ADMIN_SECRET, PASSWORD};
use crate::support::mailed::{ask_link, ask_reset, code_sign_in, kind_to};

/// Everything in schema `auth`, a row a line, as `pg_dump` would write it: text as text, bytes in hexadecimal.
pub(super) async fn dump(app: &TestApp) -> String {
    let mut conn = app.running.app.db.acquire().await.unwrap();
    let tables = "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                  WHERE n.nspname = 'auth' AND c.relkind IN ('r', 'p', 'm') ORDER BY 1";
    let tables = sqlx::query(tables).fetch_all(&mut conn).await.unwrap();
    assert!(tables.len() > 8);
    let mut lines = Vec::new();
    for table in tables {
        let table: String = table.get(0);
        let rows = AssertSqlSafe(format!("SELECT to_jsonb(t)::text FROM auth.{table} t"));
        for row in sqlx::query(rows).fetch_all(&mut conn).await.unwrap() {
            lines.push(format!("{table} {}", row.get::<String, _>(0)));
        }
    }
    lines.join("\n")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest(&SHA256, bytes).as_ref().to_vec()
}

/// The forms in which a text could lie about.
fn forms(text: &[u8]) -> Vec<String> {
    let base64 = base64::engine::general_purpose::STANDARD_NO_PAD.encode(text);
    vec![hex(text), base64, URL_SAFE_NO_PAD.encode(text)]
}

#[tokio::test]
async fn a_dump_after_a_full_journey_holds_nothing_that_opens_anything() {
    let app = TestApp::start().await;
    let (mut tokens, mut codes) = (Vec::new(), Vec::new());

    // One proves by link, one by code, one not at all, one tries wrongly, one is told that the address is taken.
    for email in ["link@example.com", "code@example.com", "pending@example.com"] {
        sign_up(&app.stranger(), email, PASSWORD).await.expect(202);
        let mail = app.mail_to(email).await;
        tokens.push(token_in(&mail));
        codes.push(mail.code().unwrap().to_owned());
    }
    redeem_token(&app.stranger(), &tokens[0]).await.expect(200);
    redeem_code(&app.stranger(), "code@example.com", &codes[1]).await.expect(200);
    redeem_code(&app.stranger(), "pending@example.com", &wrong_code(&codes[2])).await.problem(400);
    sign_up(&app.stranger(), "link@example.com", PASSWORD).await.expect(202);
    sign_in(&app.stranger(), "link@example.com", "guessed wrong twice").await.problem(401);
    sign_in(&app.stranger(), "nobody@example.com", "guessed wrong twice").await.problem(401);

    let ada = app.sign_in("link@example.com", PASSWORD).await;
    tokens.push(ada.token.clone());
    let body = json!({ "current_password": PASSWORD, "password": OTHER_PASSWORD });
    ada.http.put("/v1/users/me/password", body).await.expect(204);
    let body =
        json!({ "method": "password", "email": ada.email, "password": OTHER_PASSWORD, "cookie": true });
    let cookie = app.stranger().post("/v1/sessions", body).await.header("set-cookie");
    tokens.push(cookie.split(['=', ';']).nth(1).unwrap().to_owned());
    // Secrets pasted where they do not belong.
    ada.http.get(&format!("/v1/sessions/{}", tokens[3])).await;
    ada.http.get(&format!("/v1/sessions?token={}", tokens[3])).await;
    let pasted = app.http.request(Method::GET, "/v1/users/me").header("user-agent", "a browser");
    app.http.send(pasted.header("x-request-id", &tokens[3][..64])).await;
    app.admin
        .post("/v1/admin/users", json!({ "email": "made@example.com", "password": PASSWORD }))
        .await
        .expect(201);
    app.set(json!({ "branding": { "name": "Shop" } })).await;
    app.mailbox.wait_until(|mail| mail.subject.contains("was changed")).await.unwrap();
    // Keys, one of them with two secrets at once, and one used.
    let key = make(&ada.http, json!({ "name": "A", "metadata": { "note": "nothing secret" } })).await;
    let rotated = rotate(&ada.http, &key, 600).await.expect(201)["api_key"].clone();
    let of_project = make_for_project(&app, &["api_keys:introspect"]).await;
    let http = app.http.with_bearer(text(&of_project));
    assert_eq!(introspect(&http, text(&rotated)).await["active"], true);
    tokens.extend([&key, &rotated, &of_project].map(|key| text(key).to_owned()));
    // What is mailed to sign in or to set a password, waiting to be redeemed; and the half that stays with who asked.
    let request = ask_link(&app.stranger(), "link@example.com").await;
    ask_reset(&app.stranger(), "link@example.com").await;
    for prefix in ["ml_", "pwr_"] {
        let mail = kind_to(&app, "link@example.com", prefix).await;
        tokens.push(token_in(&mail));
        codes.extend(mail.code().map(str::to_owned));
    }
    let wrong = wrong_code(codes.last().unwrap());
    code_sign_in(&app.stranger(), "link@example.com", &wrong, Some(&request)).await.problem(401);
    tokens.push(request);
    let path = crate::orgs::create(&ada, "Acme").await;
    crate::invitations::invite(&ada.http, &path, "guest@example.com", "member").await;
    tokens.push(crate::invitations::invitation_token(&app, "guest@example.com").await);

    let dump = dump(&app).await;
    assert!(dump.contains("link@example.com"), "the dump is of the right database");
    for token in &tokens {
        let (head, secret) = token.split_at(token.len() - 43);
        let bytes = URL_SAFE_NO_PAD.decode(secret).unwrap();
        assert!(!dump.contains(secret), "the secret of a token {head}…");
        for form in forms(&bytes).into_iter().chain(forms(token.as_bytes())) {
            assert!(!dump.contains(&form), "the secret of a token {head}… as {form}");
        }
    }
    for password in [PASSWORD, OTHER_PASSWORD, "guessed wrong twice", ADMIN_SECRET] {
        assert!(!dump.contains(password), "{password}");
        for form in forms(password.as_bytes()).into_iter().chain(forms(&sha256(password.as_bytes()))) {
            assert!(!dump.contains(&form), "{password} as {form}");
        }
    }
    assert!(!dump.contains(&hex(&crate::support::app::KEY)), "the key-encryption key");
    no_code(&dump, &codes);
    let outbox: Vec<&str> = dump.lines().filter(|line| line.starts_with("outbox ")).collect();
    assert!(outbox.len() >= 4);
    for line in outbox {
        let payload = line.split("\"payload\": ").nth(1).unwrap();
        let named = ["{}", "{\"request\": \"", "{\"invitation\": \""];
        assert!(named.iter().any(|begin| payload.starts_with(begin)), "{line}");
        assert!(!["ev_", "inv_", "ml_", "pwr_"].iter().any(|prefix| line.contains(prefix)), "{line}");
    }
}

/// Six digits can be tried in a moment: neither they nor any hash that needs no key may be there.
fn no_code(dump: &str, codes: &[String]) {
    let words: BTreeSet<&str> = dump.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let ids: Vec<&str> = dump
        .lines()
        .filter(|line| line.starts_with("email_verifications ") || line.starts_with("magic_links "))
        .map(|line| line.split("\"id\": \"").nth(1).unwrap().split('"').next().unwrap())
        .collect();
    assert!(ids.len() >= 4);
    let hashes: BTreeSet<String> = codes
        .iter()
        .flat_map(|code| {
            let bound = ids.iter().flat_map(|id| {
                let plain = id.replace('-', "");
                [
                    format!("{id}:{code}"),
                    format!("{id}{code}"),
                    format!("{plain}{code}"),
                    format!("{code}{id}"),
                ]
            });
            bound.chain([code.clone()]).map(|text| hex(&sha256(text.as_bytes()))).collect::<Vec<_>>()
        })
        .collect();
    for code in codes {
        assert!(!words.contains(code.as_str()), "a code");
    }
    for hash in hashes {
        assert!(!dump.contains(&hash), "a hash of a code");
    }
}
