//! Attacks, one a file, named after what the attacker does.

mod account_enumeration;
mod ban_race;
mod challenge_confusion;
mod cloned_authenticator;
mod code_phishing;
mod cookie_tossing;
mod cross_tenant;
mod email_tricks;
mod factor_guessing;
mod foreign_keys;
mod former_member;
mod granted_scopes;
mod guessing;
mod held_back_body;
mod host_header;
mod inward_requests;
mod last_owner;
mod leaky_logs;
mod linked_twice;
mod lockout_of_the_owner;
mod mail_outage;
mod mass_assignment;
mod noauth;
mod oauth_account_takeover;
mod oauth_code_theft;
mod oauth_forged_tokens;
mod oauth_hostile_provider;
mod oauth_inward_requests;
mod oauth_login_csrf;
mod oauth_mix_up;
mod oauth_open_redirect;
mod oauth_secret_theft;
mod open_redirect;
mod parallel_redemption;
mod parallel_unlink;
mod passkey_replay;
mod planted_account;
mod planted_passkey;
mod posted_callback;
mod prefetching_scanner;
mod recovery_code_reuse;
mod role_escalation;
mod second_factor_bypass;
mod session_fixation;
mod slug_confusion;
mod stolen_dump;
mod stolen_invitation;
mod superseded_links;
mod token_confusion;
mod token_forgery;
mod totp_replay;
mod unverified_primary;
mod webauthn_malformed;

use std::sync::Arc;

use beyond_auth::platform::mail::memory::ReceivedMail;
use serde_json::{Value, json};

use crate::support::app::config;
use crate::support::client::{Answer, Http};
use crate::support::proxy::Proxy;
use crate::support::{TestApp, database};

/// Another password that the policy accepts.
const OTHER_PASSWORD: &str = "nine loud mountains";
/// A password that nobody has.
const WRONG_PASSWORD: &str = "four wrong forests";

/// Changes the database behind the service's back.
async fn sql(app: &TestApp, statement: &'static str) {
    let mut conn = app.running.app.db.acquire().await.unwrap();
    sqlx::query(statement).execute(&mut conn).await.unwrap();
}

/// A number from the database.
async fn count(app: &TestApp, query: &'static str) -> i64 {
    let mut conn = app.running.app.db.acquire().await.unwrap();
    sqlx::query_scalar(query).fetch_one(&mut conn).await.unwrap()
}

/// A service whose way to the database can be cut.
async fn behind_a_proxy() -> (TestApp, Proxy) {
    let database = Arc::new(database().await);
    let proxy = Proxy::to(&database.url).await;
    let mut config = config(&database);
    config.database.url = proxy.url(&database.url);
    (TestApp::with(database, config).await, proxy)
}

/// Forgets every attempt, for tests that are not about limits.
async fn forget_attempts(app: &TestApp) {
    sql(app, "DELETE FROM auth.attempt_limits").await;
}

/// Makes everything that is waited for come sooner.
async fn pass_minutes(app: &TestApp, minutes: i32) {
    let mut conn = app.running.app.db.acquire().await.unwrap();
    sqlx::query(
        "UPDATE auth.attempt_limits SET resets_at = resets_at - make_interval(mins => $1),
                                        blocked_until = blocked_until - make_interval(mins => $1)",
    )
    .bind(minutes)
    .execute(&mut conn)
    .await
    .unwrap();
}

async fn sign_up(http: &Http, email: &str, password: &str) -> Answer {
    http.post("/v1/users", json!({ "email": email, "password": password })).await
}

async fn sign_in(http: &Http, email: &str, password: &str) -> Answer {
    http.post("/v1/sessions", json!({ "method": "password", "email": email, "password": password })).await
}

async fn redeem_token(http: &Http, token: &str) -> Answer {
    http.post("/v1/email-verifications/redemptions", json!({ "token": token })).await
}

async fn redeem_code(http: &Http, email: &str, code: &str) -> Answer {
    http.post("/v1/email-verifications/redemptions", json!({ "email": email, "code": code })).await
}

/// The token in a mail's link.
fn token_in(mail: &ReceivedMail) -> String {
    mail.link().unwrap().split_once("#token=").unwrap().1.to_owned()
}

/// Another code than this.
fn wrong_code(code: &str) -> String {
    let digits: u32 = code.parse().unwrap();
    format!("{:06}", (digits + 1) % 1_000_000)
}

/// The next mail to an address that is not one of those known already.
async fn further_mail(app: &TestApp, address: &str, known: &[u64]) -> Arc<ReceivedMail> {
    app.mailbox.wait_until(|mail| mail.to == address && !known.contains(&mail.number)).await.unwrap()
}

/// What an observer sees of an answer: all but what differs each time.
fn shape(answer: &Answer) -> (u16, Vec<(String, String)>, Value) {
    let mut headers: Vec<_> = answer
        .headers
        .iter()
        .filter(|(name, _)| !["x-request-id", "date"].contains(&name.as_str()))
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    headers.sort();
    let mut body = answer.json();
    if let Some(body) = body.as_object_mut() {
        body.remove("request_id");
    }
    (answer.status.as_u16(), headers, body)
}
