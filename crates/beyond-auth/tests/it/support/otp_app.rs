//! An authenticator app, and people who have one.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use totp_rs::{Builder, Secret, Totp};

use super::TestApp;
use super::app::{PASSWORD, Person};
use super::client::{Answer, Http};

/// Shows codes for one seed.
#[derive(Debug)]
pub struct OtpApp(Totp);

impl OtpApp {
    /// Scans what an enrolment shows.
    pub fn scan(factor: &Value) -> Self {
        let secret = Secret::try_from_base32(factor["secret"].as_str().unwrap()).unwrap();
        Self(Builder::new().with_secret(secret).build().unwrap())
    }

    /// The code that is shown now.
    pub fn code(&self) -> String {
        self.code_in(0)
    }

    /// The code that is shown so many steps from now.
    pub fn code_in(&self, steps: i64) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        self.0.generate(now.checked_add_signed(steps * 30).unwrap()).to_string()
    }

    /// A code that it shows at no time near now.
    pub fn wrong(&self) -> String {
        let near: Vec<String> = (-3..=3).map(|steps| self.code_in(steps)).collect();
        (0..10).map(|code| format!("{code:06}")).find(|code| !near.contains(code)).unwrap()
    }
}

/// A person with a second factor.
#[derive(Debug)]
pub struct Enrolled {
    pub person: Person,
    pub factor: String,
    pub device: OtpApp,
    pub recovery_codes: Vec<String>,
}

impl TestApp {
    /// Somebody who is signed in and has enrolled a factor since. Codes may be used again: the test begins afresh.
    pub async fn enrolled(&self, email: &str) -> Enrolled {
        let person = self.person(email).await;
        let (factor, device) = enrol(&person.http).await;
        let path = format!("/v1/users/me/factors/{factor}/activations");
        let activated = person.http.post(&path, json!({ "code": device.code() })).await.expect(200);
        self.forget_steps().await;
        Enrolled { person, factor, device, recovery_codes: strings(&activated["recovery_codes"]) }
    }

    /// Lets every code be accepted once more, and forgets what was counted.
    pub async fn forget_steps(&self) {
        super::sql::run(self, "UPDATE auth.totp_factors SET last_step = 0").await;
        super::sql::run(self, "DELETE FROM auth.attempt_limits").await;
    }

    /// The way in by password as far as the second factor: the attempt's token.
    pub async fn half_way(&self, email: &str) -> String {
        let body = json!({ "method": "password", "email": email, "password": PASSWORD });
        let body = self.stranger().post("/v1/sessions", body).await.expect(202);
        body["attempt"]["token"].as_str().unwrap().to_owned()
    }
}

/// Enrols a factor without proving it.
pub async fn enrol(http: &Http) -> (String, OtpApp) {
    let body = http.post("/v1/users/me/factors", json!({})).await.expect(201);
    let factor = &body["factor"];
    (factor["id"].as_str().unwrap().to_owned(), OtpApp::scan(factor))
}

/// Presents a second factor at the door.
pub async fn finish(http: &Http, method: &str, attempt: &str, code: &str) -> Answer {
    http.post("/v1/sessions", json!({ "method": method, "attempt_token": attempt, "code": code })).await
}

/// The strings of a list.
pub fn strings(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}
