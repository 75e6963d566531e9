//! Every operation is tried without the right to it. A new one without a case fails.

use std::collections::{BTreeMap, BTreeSet};

use beyond_auth::platform::crypto::token::{self, Kind, PREFIXES, Token};
use beyond_auth::router;
use http::Method;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::passkeys;
use crate::support::TestApp;
use crate::support::app::{ADMIN_SECRET, PASSWORD, Person};
use crate::support::authenticator::Authenticator;
use crate::support::client::{Answer, Http};
use crate::support::mailed;
use crate::support::otp_app::enrol;
use crate::support::sql;

/// Who may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Public,
    /// A live session.
    Session,
    /// A session that was verified lately.
    Fresh,
    /// The admin secret.
    Admin,
    /// The admin secret, or a key of the project with the scope.
    Server,
}
use Who::{Admin, Fresh, Public, Server, Session};

/// Whose id stands in the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Id {
    None,
    /// A session of another user.
    Session,
    /// A refresh token of another user.
    RefreshToken,
    /// An address of another user.
    Email,
    /// A key that signs JWTs.
    SigningKey,
    /// A passkey of another user.
    Passkey,
    /// An identity of another user.
    Identity,
    /// An identity provider.
    Provider,
    /// Another user.
    User,
    /// A second factor of another user.
    Factor,
    /// Another user and a second factor of that one.
    UserFactor,
    /// An API key of another user.
    ApiKey,
    /// An organization of another user, that user, and what belongs to it.
    Organization,
}

/// One operation: method, path, who may call it, whose id is in the path, a body that would be accepted.
type Case = (&'static str, &'static str, Who, Id, fn() -> Value);

fn none() -> Value {
    Value::Null
}

const CASES: &[Case] = &[
    ("GET", "/healthz", Public, Id::None, none),
    ("GET", "/readyz", Public, Id::None, none),
    ("GET", "/v1/openapi.json", Public, Id::None, none),
    ("GET", "/v1/client-config", Public, Id::None, none),
    ("GET", "/v1/jwks.json", Public, Id::None, none),
    ("GET", "/.well-known/jwks.json", Public, Id::None, none),
    ("POST", "/v1/users", Public, Id::None, none),
    ("GET", "/v1/users/me", Session, Id::None, none),
    ("PATCH", "/v1/users/me", Session, Id::None, || json!({ "name": "Eve" })),
    ("DELETE", "/v1/users/me", Fresh, Id::None, none),
    ("POST", "/v1/sessions", Public, Id::None, none),
    ("GET", "/v1/sessions", Session, Id::None, none),
    ("DELETE", "/v1/sessions", Fresh, Id::None, none),
    ("GET", "/v1/sessions/current", Session, Id::None, none),
    ("PATCH", "/v1/sessions/current", Session, Id::None, || json!({ "label": "Eve's" })),
    ("DELETE", "/v1/sessions/current", Session, Id::None, none),
    (
        "POST",
        "/v1/sessions/current/verifications",
        Session,
        Id::None,
        || json!({ "method": "password", "password": PASSWORD }),
    ),
    ("POST", "/v1/sessions/introspections", Server, Id::None, || json!({ "token": "session_x" })),
    ("GET", "/v1/revocations", Server, Id::None, none),
    ("DELETE", "/v1/sessions/{id}", Session, Id::Session, none),
    ("POST", "/v1/sessions/current/jwts", Session, Id::None, || json!({})),
    ("POST", "/v1/refresh-tokens", Session, Id::None, || json!({})),
    ("GET", "/v1/refresh-tokens", Session, Id::None, none),
    ("DELETE", "/v1/refresh-tokens/{id}", Session, Id::RefreshToken, none),
    // Its credential is no session; see refresh.rs.
    ("POST", "/v1/refresh-tokens/rotations", Public, Id::None, none),
    ("GET", "/v1/users/me/emails", Session, Id::None, none),
    ("POST", "/v1/users/me/emails", Fresh, Id::None, || json!({ "email": "more@example.com" })),
    ("DELETE", "/v1/users/me/emails/{id}", Fresh, Id::Email, none),
    ("PUT", "/v1/users/me/emails/{id}/primary", Fresh, Id::Email, none),
    ("POST", "/v1/users/me/emails/{id}/verifications", Session, Id::Email, none),
    ("POST", "/v1/magic-links", Public, Id::None, none),
    ("POST", "/v1/password-resets", Public, Id::None, none),
    ("POST", "/v1/password-resets/redemptions", Public, Id::None, none),
    ("DELETE", "/v1/users/me/password", Fresh, Id::None, none),
    ("POST", "/v1/email-verifications/redemptions", Public, Id::None, none),
    (
        "PUT",
        "/v1/users/me/password",
        Fresh,
        Id::None,
        || json!({ "current_password": PASSWORD, "password": "nine loud mountains" }),
    ),
    ("GET", "/v1/users/me/factors", Session, Id::None, none),
    ("POST", "/v1/users/me/factors", Fresh, Id::None, || json!({ "name": "Eve's" })),
    ("PATCH", "/v1/users/me/factors/{id}", Fresh, Id::Factor, || json!({ "name": "Eve's" })),
    ("DELETE", "/v1/users/me/factors/{id}", Fresh, Id::Factor, || json!({ "code": "123456" })),
    ("POST", "/v1/users/me/factors/{id}/activations", Session, Id::Factor, || json!({ "code": "123456" })),
    ("GET", "/v1/users/me/recovery-codes", Session, Id::None, none),
    ("POST", "/v1/users/me/recovery-codes", Fresh, Id::None, none),
    ("POST", "/v1/password-checks", Public, Id::None, none),
    ("POST", "/v1/users/me/passkeys/registration-options", Fresh, Id::None, || json!({})),
    ("POST", "/v1/users/me/passkeys", Fresh, Id::None, none),
    ("GET", "/v1/users/me/passkeys", Session, Id::None, none),
    ("PATCH", "/v1/users/me/passkeys/{id}", Fresh, Id::Passkey, || json!({ "name": "Eve's" })),
    ("DELETE", "/v1/users/me/passkeys/{id}", Fresh, Id::Passkey, none),
    ("POST", "/v1/passkeys/authentication-options", Public, Id::None, none),
    ("GET", "/.well-known/webauthn", Public, Id::None, none),
    ("GET", "/v1/oauth/{provider}/authorize", Public, Id::None, none),
    ("GET", "/v1/oauth/{provider}/callback", Public, Id::None, none),
    ("POST", "/v1/oauth/{provider}/callback", Public, Id::None, none),
    ("GET", "/v1/users/me/identities", Session, Id::None, none),
    (
        "POST",
        "/v1/users/me/identities",
        Fresh,
        Id::None,
        || json!({ "provider": "acme", "redirect_to": "http://localhost:8080/auth/account" }),
    ),
    ("DELETE", "/v1/users/me/identities/{id}", Fresh, Id::Identity, none),
    ("POST", "/v1/users/me/identities/{id}/access-tokens", Session, Id::Identity, none),
    ("GET", "/v1/organizations", Session, Id::None, none),
    ("POST", "/v1/organizations", Session, Id::None, || json!({ "name": "Eve's" })),
    ("GET", "/v1/organizations/{org}", Session, Id::Organization, none),
    ("PATCH", "/v1/organizations/{org}", Session, Id::Organization, || json!({ "name": "Eve's" })),
    ("DELETE", "/v1/organizations/{org}", Fresh, Id::Organization, none),
    ("GET", "/v1/organizations/{org}/members", Session, Id::Organization, none),
    (
        "PATCH",
        "/v1/organizations/{org}/members/{user}",
        Session,
        Id::Organization,
        || json!({ "role": "member" }),
    ),
    ("DELETE", "/v1/organizations/{org}/members/{user}", Session, Id::Organization, none),
    ("GET", "/v1/organizations/{org}/roles", Session, Id::Organization, none),
    (
        "POST",
        "/v1/organizations/{org}/roles",
        Session,
        Id::Organization,
        || json!({ "name": "eves", "permissions": [] }),
    ),
    (
        "PATCH",
        "/v1/organizations/{org}/roles/{role}",
        Session,
        Id::Organization,
        || json!({ "permissions": [] }),
    ),
    ("DELETE", "/v1/organizations/{org}/roles/{role}", Session, Id::Organization, none),
    ("GET", "/v1/organizations/{org}/invitations", Session, Id::Organization, none),
    (
        "POST",
        "/v1/organizations/{org}/invitations",
        Session,
        Id::Organization,
        || json!({ "email": "mallory@example.com", "role": "member" }),
    ),
    ("DELETE", "/v1/organizations/{org}/invitations/{id}", Session, Id::Organization, none),
    ("POST", "/v1/organizations/{org}/invitations/{id}/deliveries", Session, Id::Organization, none),
    ("GET", "/v1/users/me/invitations", Session, Id::None, none),
    ("POST", "/v1/invitations/introspections", Public, Id::None, none),
    ("POST", "/v1/invitations/redemptions", Session, Id::None, || json!({ "token": "inv_x" })),
    ("POST", "/v1/invitations/{id}/declines", Session, Id::Organization, none),
    ("GET", "/v1/api-keys", Session, Id::None, none),
    ("POST", "/v1/api-keys", Fresh, Id::None, || json!({ "name": "Eve's" })),
    ("GET", "/v1/api-keys/{id}", Session, Id::ApiKey, none),
    ("PATCH", "/v1/api-keys/{id}", Fresh, Id::ApiKey, || json!({ "name": "Eve's" })),
    ("DELETE", "/v1/api-keys/{id}", Session, Id::ApiKey, none),
    ("POST", "/v1/api-keys/{id}/rotations", Fresh, Id::ApiKey, || json!({ "overlap_seconds": 0 })),
    ("POST", "/v1/api-keys/introspections", Server, Id::None, || json!({ "key": "key_x" })),
    ("GET", "/v1/admin/api-keys", Admin, Id::None, none),
    ("POST", "/v1/admin/api-keys", Admin, Id::None, || json!({ "name": "Eve's" })),
    ("GET", "/v1/admin/api-keys/{id}", Admin, Id::ApiKey, none),
    ("PATCH", "/v1/admin/api-keys/{id}", Admin, Id::ApiKey, || json!({ "name": "Eve's" })),
    ("DELETE", "/v1/admin/api-keys/{id}", Admin, Id::ApiKey, none),
    ("POST", "/v1/admin/api-keys/{id}/rotations", Admin, Id::ApiKey, || json!({ "overlap_seconds": 0 })),
    ("GET", "/v1/admin/users", Admin, Id::None, none),
    ("POST", "/v1/admin/users", Admin, Id::None, || json!({ "email": "eve@example.com" })),
    ("GET", "/v1/admin/users/{id}", Admin, Id::User, none),
    ("PATCH", "/v1/admin/users/{id}", Admin, Id::User, || json!({ "name": "Eve" })),
    ("DELETE", "/v1/admin/users/{id}", Admin, Id::User, none),
    ("PUT", "/v1/admin/users/{id}/ban", Admin, Id::User, || json!({})),
    ("DELETE", "/v1/admin/users/{id}/ban", Admin, Id::User, none),
    ("DELETE", "/v1/admin/users/{id}/sessions", Admin, Id::User, none),
    ("POST", "/v1/admin/users/{id}/impersonations", Admin, Id::User, || json!({ "actor": "Eve" })),
    ("DELETE", "/v1/admin/users/{id}/passkeys/{passkey_id}", Admin, Id::User, none),
    ("GET", "/v1/admin/users/{id}/factors", Admin, Id::User, none),
    ("DELETE", "/v1/admin/users/{id}/factors/{factor_id}", Admin, Id::UserFactor, none),
    ("GET", "/v1/admin/oauth-providers", Admin, Id::None, none),
    (
        "PUT",
        "/v1/admin/oauth-providers",
        Admin,
        Id::None,
        || json!({ "id": "eves", "kind": "github", "client_id": "x", "client_secret": "y" }),
    ),
    ("DELETE", "/v1/admin/oauth-providers/{id}", Admin, Id::Provider, none),
    ("GET", "/v1/admin/signing-keys", Admin, Id::None, none),
    ("POST", "/v1/admin/signing-keys/rotations", Admin, Id::None, || json!({ "immediate": true })),
    ("DELETE", "/v1/admin/signing-keys/{kid}", Admin, Id::SigningKey, none),
    ("POST", "/v1/admin/kek-rotations", Admin, Id::None, none),
    ("GET", "/v1/admin/settings", Admin, Id::None, none),
    ("GET", "/v1/admin/sign-in-traces", Admin, Id::None, none),
    ("PATCH", "/v1/admin/settings", Admin, Id::None, || json!({ "sign_up": { "enabled": false } })),
];

/// The documented operations with the names of the credentials that they say they take.
fn documented() -> BTreeMap<(String, String), BTreeSet<String>> {
    let document = serde_json::to_value(router::document()).unwrap();
    let mut found = BTreeMap::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let schemes = operation["security"].as_array().into_iter().flatten();
            let schemes = schemes.flat_map(|scheme| scheme.as_object().unwrap().keys().cloned()).collect();
            found.insert((method.to_uppercase(), path.clone()), schemes);
        }
    }
    found
}

#[test]
fn every_operation_has_a_case_and_says_who_may_call_it() {
    let documented = documented();
    let cases: BTreeSet<(String, String)> =
        CASES.iter().map(|(method, path, ..)| ((*method).to_owned(), (*path).to_owned())).collect();
    assert_eq!(cases.len(), CASES.len(), "a case is there twice");
    let operations: BTreeSet<(String, String)> = documented.keys().cloned().collect();
    let missing: Vec<_> = operations.symmetric_difference(&cases).collect();
    assert!(missing.is_empty(), "without a case, or a case without an operation: {missing:?}");
    for (method, path, who, ..) in CASES {
        let says = &documented[&((*method).to_owned(), (*path).to_owned())];
        let expected: &[&str] = match who {
            Public => &[],
            Session | Fresh => &["cookie", "session"],
            Admin => &["admin"],
            Server => &["admin", "api_key"],
        };
        assert!(
            says.iter().map(String::as_str).eq(expected.iter().copied()),
            "{method} {path} says {says:?}"
        );
    }
}

/// What is in the database before, and must be there after.
struct World {
    app: TestApp,
    /// The one who tries.
    eve: Person,
    /// The one who is tried upon.
    ada: Person,
    adas_session: String,
    adas_refresh_token: String,
    adas_factor: String,
    adas_email: String,
    signing_key: String,
    adas_passkey: String,
    adas_identity: String,
    adas_api_key: String,
    adas_organization: String,
    adas_invitation: String,
}

impl World {
    async fn new() -> Self {
        let app = TestApp::start().await;
        let ada = app.person("ada@example.com").await;
        let passkey = passkeys::register(&ada, &mut Authenticator::new(&app)).await;
        let adas_passkey = passkey["id"].as_str().unwrap().to_owned();
        let (adas_factor, device) = enrol(&ada.http).await;
        let path = format!("/v1/users/me/factors/{adas_factor}/activations");
        ada.http.post(&path, json!({ "code": device.code() })).await.expect(200);
        let eve = app.person("eve@example.com").await;
        let current = ada.http.get("/v1/sessions/current").await.expect(200);
        let adas_session = current["session"]["id"].as_str().unwrap().to_owned();
        let made = ada.http.post("/v1/refresh-tokens", json!({})).await.expect(201);
        let adas_refresh_token = made["refresh_token"]["id"].as_str().unwrap().to_owned();
        let adas_email = mailed::add_proven(&app, &ada.http, "ada.second@example.com").await;
        let keys = app.admin.post("/v1/admin/signing-keys/rotations", json!({})).await.expect(201);
        let signing_key = keys["data"][0]["kid"].as_str().unwrap().to_owned();
        let adas_identity = uuid::Uuid::now_v7().to_string();
        sql::run(
            &app,
            "INSERT INTO auth.oauth_providers (id, kind, name, client_id, definition)
             VALUES ('acme', 'github', 'Acme', 'beyond', '{\"keep_tokens\": true, \"token_auth\": \"none\"}')",
        )
        .await;
        let identity = format!(
            "INSERT INTO auth.identities (id, user_id, provider_id, issuer, subject)
             VALUES ('{adas_identity}', '{}', 'acme', 'https://github.com', '1')",
            ada.id
        );
        sql::run(&app, &identity).await;
        let made = ada.http.post("/v1/api-keys", json!({ "name": "Server" })).await.expect(201);
        let adas_api_key = made["api_key"]["id"].as_str().unwrap().to_owned();
        let made = ada.http.post("/v1/organizations", json!({ "name": "Engines" })).await.expect(201);
        let adas_organization = made["organization"]["id"].as_str().unwrap().to_owned();
        let path = format!("/v1/organizations/{adas_organization}/roles");
        let role = json!({ "name": "billing", "permissions": ["app:billing"] });
        ada.http.post(&path, role).await.expect(201);
        let path = format!("/v1/organizations/{adas_organization}/invitations");
        let invitation = json!({ "email": "ben@example.com", "role": "member" });
        let made = ada.http.post(&path, invitation).await.expect(201);
        let adas_invitation = made["invitation"]["id"].as_str().unwrap().to_owned();
        Self {
            app,
            eve,
            ada,
            adas_session,
            adas_refresh_token,
            adas_factor,
            adas_email,
            signing_key,
            adas_passkey,
            adas_identity,
            adas_api_key,
            adas_organization,
            adas_invitation,
        }
    }

    async fn call(&self, http: &Http, case: &Case, decorate: impl FnOnce(Request) -> Request) -> Answer {
        let (method, path, _, id, body) = case;
        let path = match id {
            Id::None => (*path).to_owned(),
            Id::Session => path.replace("{id}", &self.adas_session),
            Id::RefreshToken => path.replace("{id}", &self.adas_refresh_token),
            Id::Email => path.replace("{id}", &self.adas_email),
            Id::SigningKey => path.replace("{kid}", &self.signing_key),
            Id::Passkey => path.replace("{id}", &self.adas_passkey),
            Id::Identity => path.replace("{id}", &self.adas_identity),
            Id::Provider => path.replace("{id}", "acme"),
            Id::ApiKey => path.replace("{id}", &self.adas_api_key),
            Id::User => path.replace("{id}", &self.ada.id).replace("{passkey_id}", &self.adas_passkey),
            Id::Factor => path.replace("{id}", &self.adas_factor),
            Id::UserFactor => path.replace("{id}", &self.ada.id).replace("{factor_id}", &self.adas_factor),
            Id::Organization => path
                .replace("{org}", &self.adas_organization)
                .replace("{user}", &self.ada.id)
                .replace("{role}", "billing")
                .replace("{id}", &self.adas_invitation),
        };
        // Parameters that would be accepted, so that nothing but the missing right refuses.
        let path = if (*method, path.as_str()) == ("DELETE", "/v1/sessions") {
            "/v1/sessions?scope=all"
        } else {
            &path
        };
        let mut request = http.request(Method::from_bytes(method.as_bytes()).unwrap(), path);
        let body = body();
        if !body.is_null() {
            request = request.json(&body);
        }
        http.send(decorate(request)).await
    }

    /// Nothing was done by all those tries.
    async fn assert_untouched(&self) {
        let current = self.ada.http.get("/v1/sessions/current").await.expect(200);
        assert_eq!(current["user"]["name"], Value::Null);
        let tokens = self.ada.http.get("/v1/refresh-tokens").await.expect(200);
        assert_eq!(tokens["data"].as_array().unwrap().len(), 1);
        let factors = self.ada.http.get("/v1/users/me/factors").await.expect(200);
        assert_eq!(factors["data"][0]["id"], self.adas_factor.as_str());
        assert_eq!(factors["data"][0]["name"], Value::Null);
        let codes = self.ada.http.get("/v1/users/me/recovery-codes").await.expect(200);
        assert_eq!(codes["remaining"], 10);
        let emails = self.ada.http.get("/v1/users/me/emails").await.expect(200);
        assert_eq!(emails["data"].as_array().unwrap().len(), 2);
        assert_eq!(emails["data"][0]["address"], "ada@example.com");
        let keys = self.app.admin.get("/v1/admin/signing-keys").await.expect(200);
        assert_eq!(keys["data"].as_array().unwrap().len(), 1);
        assert_eq!(keys["data"][0]["state"], "active");
        let passkeys = self.ada.http.get("/v1/users/me/passkeys").await.expect(200);
        assert_eq!(passkeys["data"][0]["name"], "Passkey");
        let identities = self.ada.http.get("/v1/users/me/identities").await.expect(200);
        assert_eq!(identities["data"][0]["id"], self.adas_identity.as_str());
        assert_eq!(sql::number(&self.app, "SELECT count(*) FROM auth.oauth_flows").await, 0);
        assert_eq!(sql::number(&self.app, "SELECT count(*) FROM auth.oauth_providers").await, 1);
        let users = self.app.admin.get("/v1/admin/users").await.expect(200);
        assert_eq!(users["data"].as_array().unwrap().len(), 2);
        assert!(users["data"].as_array().unwrap().iter().all(|user| user["banned_at"].is_null()));
        let organizations = self.ada.http.get("/v1/organizations").await.expect(200);
        assert_eq!(organizations["data"][0]["name"], "Engines");
        let roles = format!("/v1/organizations/{}/roles", self.adas_organization);
        let roles = self.ada.http.get(&roles).await.expect(200);
        assert_eq!(roles["data"][3]["permissions"], json!(["app:billing"]));
        assert_eq!(roles["data"].as_array().unwrap().len(), 4);
        let invitations = format!("/v1/organizations/{}/invitations", self.adas_organization);
        let invitations = self.ada.http.get(&invitations).await.expect(200);
        assert_eq!(invitations["data"][0]["id"], self.adas_invitation.as_str());
        assert_eq!(invitations["data"].as_array().unwrap().len(), 1);
        let keys = self.app.admin.get("/v1/admin/api-keys").await.expect(200);
        assert_eq!(keys["data"].as_array().unwrap().len(), 1);
        assert_eq!(keys["data"][0]["name"], "Server");
        assert_eq!(keys["data"][0]["created_at"], keys["data"][0]["updated_at"]);
        let settings = self.app.admin.get("/v1/admin/settings").await.expect(200);
        assert_eq!(settings["sign_up"]["enabled"], true);
    }
}

type Request = reqwest::RequestBuilder;

fn same(request: Request) -> Request {
    request
}

/// A token of a kind, never stored anywhere.
fn unknown<K: Kind>() -> String {
    Token::<K>::mint().reveal().expose_secret().to_owned()
}

/// Credentials that open nothing, whoever asks for what.
fn worthless(live: &str) -> Vec<String> {
    let (_, rest) = live.split_once('_').unwrap();
    let mut found = vec![
        "x".to_owned(),
        "null".to_owned(),
        "session".to_owned(),
        "session_".to_owned(),
        live[..live.len() - 1].to_owned(),
        format!("{live}="),
        rest.to_owned(),
        ADMIN_SECRET[1..].to_owned(),
        format!("{ADMIN_SECRET}x"),
        ADMIN_SECRET.to_uppercase(),
        unknown::<token::Session>(),
        unknown::<token::Refresh>(),
        unknown::<token::ApiKey>(),
        unknown::<token::MagicLink>(),
        unknown::<token::PasswordReset>(),
        unknown::<token::EmailVerification>(),
        unknown::<token::Invitation>(),
        unknown::<token::Attempt>(),
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.".to_owned(),
    ];
    // A live session's own id and secret under every other prefix.
    found.extend(
        PREFIXES.iter().filter(|prefix| **prefix != "session").map(|prefix| format!("{prefix}_{rest}")),
    );
    found
}

#[track_caller]
fn refused(answer: &Answer, case: &Case, how: &str) {
    let (method, path, ..) = case;
    assert_eq!(answer.status, 401, "{method} {path} with {how}: {}", answer.text);
    answer.problem(401);
    assert!(answer.header("www-authenticate").starts_with("Bearer"), "{method} {path} with {how}");
}

#[tokio::test]
async fn nothing_opens_without_a_credential_or_with_a_worthless_one() {
    let world = World::new().await;
    let expired = world.app.sign_in("eve@example.com", PASSWORD).await.token;
    let idle = world.app.sign_in("eve@example.com", PASSWORD).await.token;
    let signed_out = world.app.sign_in("eve@example.com", PASSWORD).await;
    signed_out.http.delete("/v1/sessions/current").await.expect(204);
    let mut conn = world.app.running.app.db.acquire().await.unwrap();
    for (token, sql) in [
        (&expired, "UPDATE auth.sessions SET expires_at = now() - interval '1 second' WHERE id = $1::uuid"),
        (&idle, "UPDATE auth.sessions SET idle_expires_at = now() - interval '1 second' WHERE id = $1::uuid"),
    ] {
        sqlx::query(sql).bind(&token[8..40]).execute(&mut conn).await.unwrap();
    }
    drop(conn);
    let mut credentials = worthless(&world.eve.token);
    credentials.extend([expired, idle, signed_out.token]);

    let http = &world.app.http;
    for case in CASES.iter().filter(|(_, _, who, ..)| *who != Public) {
        refused(&world.call(http, case, same).await, case, "nothing");
        for credential in &credentials {
            refused(&world.call(&http.with_bearer(credential), case, same).await, case, credential);
        }
        for authorization in [
            format!("Basic {}", world.eve.token),
            format!("bearer{}", world.eve.token),
            format!("Bearer  {}", world.eve.token),
            "Bearer".to_owned(),
            format!("Token {ADMIN_SECRET}"),
            world.eve.token.clone(),
        ] {
            let decorate = |request: Request| request.header("authorization", &authorization);
            refused(&world.call(http, case, decorate).await, case, &authorization);
        }
        // In the query, where proxies would log it.
        let (method, path, ..) = case;
        let path = format!("{path}?access_token={0}&token={0}", world.eve.token);
        let answer = http.send(http.request(Method::from_bytes(method.as_bytes()).unwrap(), &path)).await;
        refused(&answer, case, "a token in the query");
    }
    world.assert_untouched().await;
}

#[tokio::test]
async fn a_session_opens_no_admin_route_and_the_admin_secret_no_session_route() {
    let world = World::new().await;
    let origin = world.app.running.app.config.public_url.origin().ascii_serialization();
    for case in CASES {
        match case.2 {
            Public => {}
            Session | Fresh => {
                refused(&world.call(&world.app.admin, case, same).await, case, "the admin secret");
            }
            Admin | Server => {
                refused(&world.call(&world.eve.http, case, same).await, case, "a session");
                let cookie = format!("beyond_session={}", world.eve.token);
                let decorate = |request: Request| request.header("cookie", cookie).header("origin", &origin);
                refused(&world.call(&world.app.http, case, decorate).await, case, "a cookie");
            }
        }
    }
    world.assert_untouched().await;
}

#[tokio::test]
async fn an_id_in_the_path_opens_nothing_of_somebody_else() {
    let world = World::new().await;
    let mut tried = 0;
    for case in CASES.iter().filter(|(_, _, who, id, _)| [Session, Fresh].contains(who) && *id != Id::None) {
        let answer = world.call(&world.eve.http, case, same).await;
        assert_eq!(answer.problem(404), "not_found", "{} {}", case.0, case.1);
        // The same answer as for what does not exist at all.
        for id in
            ["01a2b3c4-d5e6-7f01-8a2b-3c4d5e6f7081", "x", "current%2F..", "01a2b3c4d5e67f018a2b3c4d5e6f7081"]
        {
            let path = case.1.replace("{id}", id).replace("{org}", id);
            let method = Method::from_bytes(case.0.as_bytes()).unwrap();
            let mut request = world.eve.http.request(method, &path);
            let body = (case.4)();
            if !body.is_null() {
                request = request.json(&body);
            }
            let missing = world.eve.http.send(request).await;
            assert_eq!(missing.problem(404), "not_found", "{} {path}", case.0);
        }
        tried += 1;
    }
    assert!(tried > 0);
    world.assert_untouched().await;
}

#[tokio::test]
async fn what_asks_for_a_recent_authentication_refuses_an_older_one() {
    let world = World::new().await;
    let mut conn = world.app.running.app.db.acquire().await.unwrap();
    sqlx::query("UPDATE auth.sessions SET verified_at = now() - interval '601 seconds'")
        .execute(&mut conn)
        .await
        .unwrap();
    drop(conn);
    for case in CASES.iter().filter(|(_, _, who, ..)| *who == Fresh) {
        let answer = world.call(&world.eve.http, case, same).await;
        assert_eq!(answer.problem(401), "insufficient_user_authentication", "{} {}", case.0, case.1);
        let challenge = answer.header("www-authenticate");
        assert!(challenge.contains("error=\"insufficient_user_authentication\""), "{challenge}");
        assert_eq!(answer.json()["max_age"], 600);
        assert!(answer.json()["acr_values"].is_string());
    }
    world.eve.http.get("/v1/sessions/current").await.expect(200);
    world.assert_untouched().await;
}

#[tokio::test]
async fn who_acts_as_somebody_else_does_nothing_that_takes_the_person() {
    let world = World::new().await;
    let path = format!("/v1/admin/users/{}/impersonations", world.eve.id);
    let acting = world.app.admin.post(&path, json!({ "actor": "support" })).await.expect(201);
    let acting = world.app.http.with_bearer(acting["session"]["token"].as_str().unwrap());
    acting.get("/v1/users/me").await.expect(200);
    for case in
        CASES.iter().filter(|(_, path, who, ..)| *who == Fresh || path.ends_with("/current/verifications"))
    {
        let answer = world.call(&acting, case, same).await;
        assert_eq!(answer.problem(403), "impersonated_session", "{} {}", case.0, case.1);
    }
    world.eve.http.get("/v1/sessions/current").await.expect(200);
    world.assert_untouched().await;
}

#[tokio::test]
async fn a_cookie_without_an_origin_writes_nothing() {
    let world = World::new().await;
    let cookie = format!("beyond_session={}", world.eve.token);
    let writes = |case: &&Case| [Session, Fresh].contains(&case.2) && case.0 != "GET";
    for case in CASES.iter().filter(writes) {
        for origin in [None, Some("null"), Some("https://evil.example")] {
            let decorate = |request: Request| match origin {
                Some(origin) => request.header("cookie", &cookie).header("origin", origin),
                None => request.header("cookie", &cookie),
            };
            let answer = world.call(&world.app.http, case, decorate).await;
            assert_eq!(answer.problem(403), "origin_not_allowed", "{} {}", case.0, case.1);
        }
    }
    world.eve.http.get("/v1/sessions/current").await.expect(200);
    world.assert_untouched().await;
}
