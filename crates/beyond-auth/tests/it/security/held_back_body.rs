//! A stolen session begins a call and holds back the last byte of its body until the owner has signed it out.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{OTHER_PASSWORD, count};
use crate::passkeys::{self, PASSKEYS};
use crate::support::TestApp;
use crate::support::app::{PASSWORD, Person};
use crate::support::authenticator::Authenticator;
use crate::support::raw;

/// A call whose head has been heard and whose body lacks its last byte.
struct Held {
    stream: TcpStream,
    last: u8,
}

impl Held {
    async fn begin(app: &TestApp, thief: &Person, method: &str, path: &str, body: &Value) -> Self {
        let body = body.to_string();
        let (last, begun) = body.as_bytes().split_last().unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            thief.token,
            body.len()
        );
        let mut stream = TcpStream::connect(app.running.address).await.unwrap();
        stream.write_all(&[head.as_bytes(), begun].concat()).await.unwrap();
        Self { stream, last: *last }
    }

    async fn finish(mut self) -> String {
        self.stream.write_all(&[self.last]).await.unwrap();
        let mut answer = String::new();
        self.stream.read_to_string(&mut answer).await.unwrap();
        answer
    }
}

#[tokio::test]
async fn what_was_begun_before_the_sign_out_plants_nothing_after_it() {
    let app = TestApp::start().await;
    let owner = app.person("ada@example.com").await;
    let thief = app.sign_in(&owner.email, PASSWORD).await;
    let options = passkeys::registration(&thief.http).await;
    let credential = Authenticator::new(&app).register(&options);
    let factor =
        thief.http.post("/v1/users/me/factors", json!({ "type": "totp" })).await.expect(201)["factor"]
            .clone();
    let code = crate::support::otp_app::OtpApp::scan(&factor).code();
    let activation = format!("/v1/users/me/factors/{}/activations", factor["id"].as_str().unwrap());
    let organization = crate::orgs::create(&owner, "Owners").await;
    let invitations = format!("{organization}/invitations");
    let key = crate::api_keys::make(&owner.http, json!({ "name": "Owners" })).await;
    let key = crate::api_keys::path(&key);
    let rotation = format!("{key}/rotations");
    let renaming = format!("/v1/users/me/factors/{}", factor["id"].as_str().unwrap());
    app.set(json!({ "jwt": { "enabled": true } })).await;
    let calls = [
        ("POST", PASSKEYS, json!({ "challenge_id": options["challenge_id"], "credential": credential })),
        ("POST", activation.as_str(), json!({ "code": code })),
        ("POST", "/v1/users/me/factors", json!({ "type": "totp" })),
        ("POST", "/v1/users/me/emails", json!({ "email": "thief@example.com" })),
        ("PUT", "/v1/users/me/password", json!({ "current_password": PASSWORD, "password": OTHER_PASSWORD })),
        ("POST", "/v1/refresh-tokens", json!({ "label": "of the thief" })),
        ("POST", "/v1/organizations", json!({ "name": "Thieves" })),
        ("POST", invitations.as_str(), json!({ "email": "thief@example.com", "role": "owner" })),
        ("PATCH", organization.as_str(), json!({ "name": "Thieves" })),
        ("POST", "/v1/api-keys", json!({ "name": "of the thief" })),
        (
            "POST",
            "/v1/api-keys",
            json!({ "name": "of the thief", "organization_id": crate::orgs::id_of(&organization) }),
        ),
        ("PATCH", key.as_str(), json!({ "name": "of the thief" })),
        ("POST", rotation.as_str(), json!({ "overlap_seconds": 0 })),
        ("POST", "/v1/sessions/current/jwts", json!({ "audience": "thief" })),
        ("PATCH", "/v1/users/me", json!({ "name": "Thief" })),
        ("PATCH", renaming.as_str(), json!({ "name": "of the thief" })),
    ];
    let mut held = Vec::new();
    for (method, path, body) in &calls {
        held.push((path, Held::begin(&app, &thief, method, path, body).await));
    }
    // Long enough for each of them to have been let in with the session that is still there.
    tokio::time::sleep(Duration::from_millis(500)).await;
    owner.http.delete("/v1/sessions?scope=others").await.expect(200);

    for (path, call) in held {
        let answer = call.finish().await;
        assert_eq!(raw::status(&answer), Some(401), "{path}: {answer}");
    }
    assert_eq!(count(&app, "SELECT count(*) FROM auth.passkeys").await, 0);
    assert_eq!(count(&app, "SELECT count(*) FROM auth.totp_factors WHERE activated_at IS NOT NULL").await, 0);
    assert_eq!(count(&app, "SELECT count(*) FROM auth.emails").await, 1);
    assert_eq!(count(&app, "SELECT count(*) FROM auth.users WHERE name = 'Thief'").await, 0);
    assert_eq!(count(&app, "SELECT count(*) FROM auth.refresh_families").await, 0);
    assert_eq!(count(&app, "SELECT count(*) FROM auth.organization_invitations").await, 0);
    assert_eq!(count(&app, "SELECT count(*) FROM auth.organizations WHERE name = 'Owners'").await, 1);
    assert_eq!(count(&app, "SELECT count(*) FROM auth.api_keys WHERE updated_at = created_at").await, 1);
    assert_eq!(count(&app, "SELECT count(*) FROM auth.api_keys").await, 1);
    app.sign_in(&owner.email, PASSWORD).await;
}

/// The token of the thief is a copy. When the owner steps up it dies, and what was begun with it must not get the
/// fresher and stronger session.
#[tokio::test]
async fn what_was_begun_before_the_owners_step_up_gets_nothing_of_it() {
    let app = TestApp::start().await;
    let ada = app.enrolled("ada@example.com").await;
    let (owner, thief) = (&ada.person.http, &ada.person);
    super::sql(
        &app,
        "UPDATE auth.sessions SET aal = 1, verified_at = now() - interval '1 day', second_verified_at = NULL",
    )
    .await;
    let calls = [
        ("/v1/refresh-tokens", json!({ "label": "of the thief" })),
        ("/v1/sessions/current/verifications", json!({ "method": "password", "password": PASSWORD })),
    ];
    let mut held = Vec::new();
    for (path, body) in &calls {
        held.push((path, Held::begin(&app, thief, "POST", path, body).await));
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let step_up = json!({ "method": "totp", "code": ada.device.code() });
    let stepped = owner.post("/v1/sessions/current/verifications", step_up).await.expect(200);
    for (path, call) in held {
        let answer = call.finish().await;
        assert_eq!(raw::status(&answer), Some(401), "{path}: {answer}");
    }
    assert_eq!(count(&app, "SELECT count(*) FROM auth.refresh_families").await, 0);
    let owner = app.stranger().with_bearer(stepped["session"]["token"].as_str().unwrap());
    let session = owner.get("/v1/sessions/current").await.expect(200)["session"].clone();
    assert_eq!((&session["aal"], &session["amr"]), (&json!(2), &json!(["pwd", "otp", "mfa"])));
}
