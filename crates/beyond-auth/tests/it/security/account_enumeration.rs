//! Asking the service who has an account.

use std::sync::Arc;
use std::time::{Duration, Instant};

use beyond_auth::platform::crypto::password::HasherConfig;
use serde_json::json;

use super::{OTHER_PASSWORD, WRONG_PASSWORD, forget_attempts, redeem_code, shape, sign_in, sign_up};
use crate::support::app::{PASSWORD, config};
use crate::support::{TestApp, database};

/// Addresses about which a stranger must learn nothing.
const ADDRESSES: [&str; 5] = [
    "known@example.com",
    "unverified@example.com",
    "banned@example.com",
    "passwordless@example.com",
    "unknown@example.com",
];

async fn populate(app: &TestApp) {
    app.person("known@example.com").await;
    sign_up(&app.stranger(), "unverified@example.com", PASSWORD).await.expect(202);
    let banned = app.person("banned@example.com").await;
    app.admin.put(&format!("/v1/admin/users/{}/ban", banned.id), json!({})).await.expect(200);
    app.admin.post("/v1/admin/users", json!({ "email": "passwordless@example.com" })).await.expect(201);
    app.mail_to("unverified@example.com").await;
    forget_attempts(app).await;
}

#[tokio::test]
async fn a_refused_sign_in_looks_the_same_for_every_address() {
    let app = TestApp::start().await;
    populate(&app).await;
    let unknown = shape(&sign_in(&app.stranger(), "unknown@example.com", WRONG_PASSWORD).await);
    assert_eq!(unknown.0, 401);
    for email in ADDRESSES {
        assert_eq!(shape(&sign_in(&app.stranger(), email, WRONG_PASSWORD).await), unknown, "{email}");
    }
    // Nor does the right password tell of a ban or a missing proof.
    for email in ["unverified@example.com", "banned@example.com"] {
        assert_eq!(shape(&sign_in(&app.stranger(), email, PASSWORD).await), unknown, "{email}");
    }
}

#[tokio::test]
async fn sign_up_looks_the_same_for_every_address() {
    let app = TestApp::start().await;
    populate(&app).await;
    let new = shape(&sign_up(&app.stranger(), "new@example.com", OTHER_PASSWORD).await);
    assert_eq!(new.0, 202);
    for email in ADDRESSES {
        assert_eq!(shape(&sign_up(&app.stranger(), email, OTHER_PASSWORD).await), new, "{email}");
        let without_password = app.stranger().post("/v1/users", json!({ "email": email })).await;
        assert_eq!(shape(&without_password), new, "{email}");
        let weak = app.stranger().post("/v1/users", json!({ "email": email, "password": "password" })).await;
        assert_eq!(weak.problem(422), "validation_failed", "{email}");
    }
    // The account stays what it was.
    sign_in(&app.stranger(), "known@example.com", PASSWORD).await.expect(201);
    sign_in(&app.stranger(), "known@example.com", OTHER_PASSWORD).await.expect(401);
}

#[tokio::test]
async fn a_refused_code_looks_the_same_for_every_address() {
    let app = TestApp::start().await;
    populate(&app).await;
    // Six digits that no mail can hold: the one in the mail is another.
    let mail = app.mail_to("unverified@example.com").await;
    let code = super::wrong_code(mail.code().unwrap());
    let unknown = shape(&redeem_code(&app.stranger(), "unknown@example.com", &code).await);
    assert_eq!(unknown.0, 400);
    for email in ADDRESSES {
        assert_eq!(shape(&redeem_code(&app.stranger(), email, &code).await), unknown, "{email}");
    }
}

#[tokio::test]
async fn every_sign_in_and_every_sign_up_computes_one_hash() {
    let app = TestApp::start().await;
    populate(&app).await;
    let hasher = &app.running.app.hasher;
    for email in ADDRESSES {
        let before = hasher.computed();
        sign_in(&app.stranger(), email, WRONG_PASSWORD).await.expect(401);
        assert_eq!(hasher.computed() - before, 1, "sign-in of {email}");
        sign_up(&app.stranger(), email, OTHER_PASSWORD).await.expect(202);
        assert_eq!(hasher.computed() - before, 2, "sign-up of {email}");
        let without_password = app.stranger().post("/v1/users", json!({ "email": email })).await;
        without_password.expect(202);
        assert_eq!(hasher.computed() - before, 2, "sign-up of {email} without a password");
    }
    // The right password of somebody who may not come in costs the same as well.
    for email in ["unverified@example.com", "banned@example.com"] {
        let before = hasher.computed();
        sign_in(&app.stranger(), email, PASSWORD).await.expect(401);
        assert_eq!(hasher.computed() - before, 1, "{email}");
    }
}

/// Everything that is compared is measured in turns, so that other load on the machine meets all alike. The bounds are
/// wide: they find work that is left out, such as the hash, and not the time of a statement.
#[tokio::test]
async fn the_time_of_an_answer_does_not_tell_who_has_an_account() {
    const ROUNDS: usize = 21;
    let database = Arc::new(database().await);
    let app = TestApp::with_hasher(Arc::clone(&database), config(&database), HasherConfig::default()).await;
    populate(&app).await;
    let (mut sign_ins, mut sign_ups) = ([(); 5].map(|()| vec![]), [(); 5].map(|()| vec![]));
    for _ in 0..ROUNDS {
        forget_attempts(&app).await;
        for (number, email) in ADDRESSES.into_iter().enumerate() {
            let (one, other) = (app.stranger(), app.stranger());
            let begun = Instant::now();
            sign_in(&one, email, WRONG_PASSWORD).await.expect(401);
            sign_ins[number].push(begun.elapsed());
            let begun = Instant::now();
            sign_up(&other, email, OTHER_PASSWORD).await.expect(202);
            sign_ups[number].push(begun.elapsed());
        }
    }
    for (what, times) in [("sign-in", sign_ins), ("sign-up", sign_ups)] {
        let medians = times.map(median);
        println!("{what}: {medians:?}");
        let (shortest, longest) = (medians.iter().min().unwrap(), medians.iter().max().unwrap());
        assert!(*longest < *shortest * 2, "{what}: {medians:?} for {ADDRESSES:?}");
    }
}

/// The middle of an odd number of measurements.
fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
