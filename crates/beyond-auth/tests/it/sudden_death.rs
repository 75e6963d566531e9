//! kill -9 of an instance in the middle of its work: what it acknowledged is there, and nothing is half done.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use futures::future::join_all;
use http::Method;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use sqlx::Connection as _;

use crate::support::app::{ADMIN_SECRET, KEY, PASSWORD, Person};
use crate::support::client::Http;
use crate::support::cluster::Database;
use crate::support::program::{Running, program};
use crate::support::smtp::{Options, SmtpServer};
use crate::support::{TestApp, database, sql};

/// Deaths, each at another moment.
const DEATHS: u64 = 4;
/// Busy clients of each kind when it happens.
const CLIENTS: usize = 4;
/// The last moment of a death, in milliseconds after the first request.
const LATEST: u64 = 120;

/// An instance in a process of its own.
struct Victim {
    process: Running,
    http: Http,
}

impl Victim {
    async fn start(app: &TestApp) -> Self {
        let public_url = app.running.app.config.public_url.as_str();
        Self::on(&app.database, public_url, &[]).await
    }

    async fn on(database: &Database, public_url: &str, more: &[(&str, &str)]) -> Self {
        // Free a moment ago; whoever takes it first, the health check below tells.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = program(&["serve"]);
        command
            .env("DATABASE_URL", database.url.expose_secret())
            .env("ADDRESS", address.to_string())
            .env("PUBLIC_URL", public_url)
            .env("SIGNING_KEY_ENCRYPTION_KEY", STANDARD.encode(KEY))
            .env("ADMIN_SECRET", ADMIN_SECRET)
            .env("WEBAUTHN_RP_ID", "localhost")
            .env("WEBAUTHN_RP_ORIGIN", "http://localhost:8080")
            .env("TRUSTED_PROXIES", "127.0.0.1/32")
            .envs(more.iter().copied())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        let process = Running(command.spawn().unwrap());
        let http = Http::new(format!("http://{address}"));
        let began = Instant::now();
        while http.request(Method::GET, "/readyz").send().await.is_err() {
            assert!(began.elapsed() < Duration::from_mins(1), "the instance does not start");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Self { process, http }
    }

    /// One call: the body of a success, or nothing when the instance died over it.
    async fn call(http: &Http, method: Method, path: &str, body: Option<Value>) -> Option<(u16, Value)> {
        let mut request = http.request(method, path);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.ok()?;
        let status = response.status().as_u16();
        // An acknowledgement counts only once all of it has arrived.
        let text = response.text().await.ok()?;
        Some((status, serde_json::from_str(&text).unwrap_or(Value::Null)))
    }
}

/// A sign-in with a refresh token.
struct Device {
    session: String,
    refresh: String,
}

impl Device {
    async fn sign_in(app: &TestApp, person: &Person) -> Self {
        let body = json!({ "method": "password", "email": person.email, "password": PASSWORD, "refresh_token": true });
        let body = app.stranger().post("/v1/sessions", body).await.expect(201);
        Self { session: text(&body["session"]["token"]), refresh: text(&body["refresh_token"]["token"]) }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// Revokes one session after the other; says of each whether that was acknowledged.
async fn revoke(victim: Http, devices: Vec<Device>) -> Vec<(Device, bool)> {
    let mut revoked = Vec::new();
    for device in devices {
        let http = victim.with_bearer(&device.session);
        let acknowledged = match Victim::call(&http, Method::DELETE, "/v1/sessions/current", None).await {
            Some((204, _)) => true,
            Some((status, body)) => panic!("{status} {body}"),
            None => false,
        };
        revoked.push((device, acknowledged));
    }
    revoked
}

/// Rotates until the instance is gone; answers the last token that was acknowledged and how often that was.
async fn rotate(victim: Http, mut refresh: String) -> (String, u32) {
    let mut rotations = 0;
    loop {
        let body = json!({ "refresh_token": refresh });
        match Victim::call(&victim, Method::POST, "/v1/refresh-tokens/rotations", Some(body)).await {
            Some((201, body)) => refresh = text(&body["refresh_token"]["token"]),
            Some((status, body)) => panic!("{status} {body}"),
            None => return (refresh, rotations),
        }
        rotations += 1;
    }
}

/// Exchanges until the instance is gone; answers every JWT that it gave out.
async fn exchange(victim: Http, session: String) -> Vec<String> {
    let http = victim.with_bearer(&session);
    let mut jwts = Vec::new();
    loop {
        match Victim::call(&http, Method::POST, "/v1/sessions/current/jwts", Some(json!({}))).await {
            Some((201, body)) => jwts.push(text(&body["token"])),
            Some((status, body)) => panic!("{status} {body}"),
            None => return jwts,
        }
    }
}

async fn status_of(app: &TestApp, session: &str) -> u16 {
    app.http.with_bearer(session).get("/v1/sessions/current").await.status.as_u16()
}

async fn devices(app: &TestApp, person: &Person, count: usize) -> Vec<Device> {
    join_all((0..count).map(|_| Device::sign_in(app, person))).await
}

fn key_id(jwt: &str) -> String {
    let header = URL_SAFE_NO_PAD.decode(jwt.split('.').next().unwrap()).unwrap();
    text(&serde_json::from_slice::<Value>(&header).unwrap()["kid"])
}

#[tokio::test]
async fn what_an_instance_acknowledged_outlives_its_sudden_death() {
    let app = TestApp::start().await;
    app.set(json!({ "jwt": { "enabled": true, "default_audience": "app" } })).await;
    let person = app.person("ada@example.com").await;
    let (mut revocations, mut all_rotations, mut exchanges) = (0, 0, 0);
    for death in 0..DEATHS {
        let mut victim = Victim::start(&app).await;
        let mut revokers = Vec::new();
        let mut rotators = Vec::new();
        let mut exchanging = Vec::new();
        for _ in 0..CLIENTS {
            let http = victim.http.clone();
            revokers.push(tokio::spawn(revoke(http.clone(), devices(&app, &person, 4).await)));
            rotators.push(tokio::spawn(rotate(http.clone(), Device::sign_in(&app, &person).await.refresh)));
            exchanging.push(tokio::spawn(exchange(http, Device::sign_in(&app, &person).await.session)));
        }
        // Spread over the whole time, and never twice the same.
        let jitter = u64::from(std::process::id()) * 31 + death * 17;
        let moment = death * LATEST / DEATHS + jitter % (LATEST / DEATHS);
        tokio::time::sleep(Duration::from_millis(moment)).await;
        victim.process.0.kill().unwrap();
        victim.process.0.wait().unwrap();

        for revoked in join_all(revokers).await {
            for (device, acknowledged) in revoked.unwrap() {
                let lives = match status_of(&app, &device.session).await {
                    200 => true,
                    401 => false,
                    other => panic!("{other}"),
                };
                assert!(!(lives && acknowledged), "an acknowledged revocation was lost");
                // The session and what renews it end together or not at all.
                let body = json!({ "refresh_token": device.refresh });
                let renewal = app.stranger().post("/v1/refresh-tokens/rotations", body).await;
                assert_eq!(renewal.status.as_u16(), if lives { 201 } else { 401 }, "{}", renewal.text);
                revocations += u32::from(acknowledged);
            }
        }
        for rotated in join_all(rotators).await {
            // Whether or not the last rotation was committed, whoever got no answer asks again and gets one.
            let (refresh, rotations) = rotated.unwrap();
            let body = json!({ "refresh_token": refresh });
            let body = app.stranger().post("/v1/refresh-tokens/rotations", body).await.expect(201);
            assert_eq!(status_of(&app, &text(&body["session"]["token"])).await, 200);
            let body = json!({ "refresh_token": body["refresh_token"]["token"] });
            app.stranger().post("/v1/refresh-tokens/rotations", body).await.expect(201);
            all_rotations += rotations;
        }
        let keys = app.http.get("/v1/jwks.json").await.expect(200);
        let known: Vec<&str> =
            keys["keys"].as_array().unwrap().iter().filter_map(|key| key["kid"].as_str()).collect();
        for jwts in join_all(exchanging).await {
            for jwt in jwts.unwrap() {
                let kid = key_id(&jwt);
                assert!(known.contains(&kid.as_str()), "{kid} signed, but is not among {known:?}");
                exchanges += 1;
            }
        }
    }
    // Where nothing had been acknowledged, nothing would have been tested.
    assert!(
        revocations > 0 && all_rotations > 0 && exchanges > 0,
        "{revocations} {all_rotations} {exchanges}"
    );
    let branches = "SELECT count(*) FROM (
                        SELECT FROM auth.refresh_tokens t JOIN auth.refresh_families f ON f.id = t.family_id
                        WHERE f.revoked_at IS NULL GROUP BY f.id
                        HAVING count(*) FILTER (WHERE t.retired_at IS NULL) <> 1) AS broken";
    assert_eq!(sql::number(&app, branches).await, 0, "each family has one live branch");
}

#[tokio::test]
async fn a_mail_whose_instance_died_over_it_is_sent_by_another() {
    const PUBLIC_URL: &str = "https://auth.example.com";
    let database = database().await;
    let mut conn = sqlx::PgConnection::connect(database.url.expose_secret()).await.unwrap();
    let mut server = SmtpServer::start(Options::default()).await;
    server.fault("hang").await;
    let url = server.url();
    let mail = [("SMTP_URL", url.expose_secret()), ("MAIL_FROM", "Example <no-reply@example.com>")];
    let mut victim = Victim::on(&database, PUBLIC_URL, &mail).await;
    let body = json!({ "email": "ada@example.com", "password": PASSWORD });
    victim.http.post("/v1/users", body).await.expect(202);
    // Claimed, and on its way to a server that does not answer.
    let claimed =
        "SELECT count(*) FROM auth.outbox WHERE attempts = 1 AND locked_until > now() AND sent_at IS NULL";
    while sqlx::query_scalar::<_, i64>(claimed).fetch_one(&mut conn).await.unwrap() == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    victim.process.0.kill().unwrap();
    victim.process.0.wait().unwrap();
    server.fault("none").await;
    // Nobody waits for the dead for longer than the lease.
    sqlx::query("UPDATE auth.outbox SET locked_until = now()").execute(&mut conn).await.unwrap();
    let successor = Victim::on(&database, PUBLIC_URL, &mail).await;
    server.wait_for("ada@example.com").await;
    let unsent = "SELECT count(*) FROM auth.outbox WHERE sent_at IS NULL";
    while sqlx::query_scalar::<_, i64>(unsent).fetch_one(&mut conn).await.unwrap() > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(server.mails().len(), 1);
    // What it says is good: the proof was minted anew.
    let text = server.mails()[0]["text"].to_string();
    let token: String = text
        .split_once("#token=")
        .unwrap()
        .1
        .chars()
        .take_while(|c| *c != '\\' && !c.is_whitespace())
        .collect();
    let redemption = json!({ "token": token });
    successor.http.post("/v1/email-verifications/redemptions", redemption).await.expect(200);
}
