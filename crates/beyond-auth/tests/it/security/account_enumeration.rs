//! Asking the service who has an account.

use std::sync::Arc;
use std::time::{Duration, Instant};

use beyond_auth::platform::crypto::password::HasherConfig;
use serde_json::json;

use super::{OTHER_PASSWORD, WRONG_PASSWORD, forget_attempts, redeem_code, shape, sign_in, sign_up};
use crate::support::app::{PASSWORD, config};
use crate::support::client::Answer;
use crate::support::mailed::{ask_link, code_sign_in};
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

/// The shape of an answer that names a fresh id or token: those are compared by their length.
fn masked(answer: &Answer, members: &[&str]) -> (u16, Vec<(String, String)>, serde_json::Value) {
    let (status, headers, mut body) = shape(answer);
    for member in members {
        let value = body.pointer_mut(member).unwrap_or_else(|| panic!("{member} in {}", answer.text));
        *value = value.as_str().unwrap().len().into();
    }
    (status, headers, body)
}

#[tokio::test]
async fn asking_for_a_mail_looks_the_same_for_every_address() {
    let app = TestApp::start().await;
    populate(&app).await;
    for email in ADDRESSES {
        let ask = async |path| app.stranger().post(path, json!({ "email": email })).await;
        let link = masked(&ask("/v1/magic-links").await, &["/request_token"]);
        assert_eq!((link.0, &link.2), (202, &json!({ "status": "sent", "request_token": 80 })), "{email}");
        let reset = shape(&ask("/v1/password-resets").await);
        assert_eq!((reset.0, &reset.2), (202, &json!({ "status": "sent" })), "{email}");
        let nobody = json!({ "email": "nobody@example.com" });
        assert_eq!(
            link,
            masked(&app.stranger().post("/v1/magic-links", nobody.clone()).await, &["/request_token"])
        );
        assert_eq!(reset, shape(&app.stranger().post("/v1/password-resets", nobody).await));
        forget_attempts(&app).await;
    }
    // One row for each, with nothing in it that tells; and limits answer alike.
    for email in ["known@example.com", "unknown@example.com"] {
        for _ in 0..5 {
            ask_link(&app.stranger(), email).await;
        }
        for path in ["/v1/magic-links", "/v1/password-resets"] {
            let answer = app.stranger().post(path, json!({ "email": email })).await;
            assert_eq!(answer.problem(429), "too_many_requests", "{email}");
        }
    }
}

#[tokio::test]
async fn a_refused_mailed_code_looks_the_same_for_every_address() {
    let app = TestApp::start().await;
    populate(&app).await;
    let unknown = {
        let request = ask_link(&app.stranger(), "unknown@example.com").await;
        shape(&code_sign_in(&app.stranger(), "unknown@example.com", "000000", Some(&request)).await)
    };
    assert_eq!(unknown.0, 401);
    for email in ADDRESSES {
        let request = ask_link(&app.stranger(), email).await;
        // Seven tries, so that the request's own five run out on the way.
        for _ in 0..7 {
            let answer = code_sign_in(&app.stranger(), email, "000000", Some(&request)).await;
            assert_eq!(shape(&answer), unknown, "{email}");
        }
        assert_eq!(shape(&code_sign_in(&app.stranger(), email, "000000", None).await), unknown, "{email}");
    }
}

#[tokio::test]
async fn adding_an_address_does_not_tell_whether_another_account_has_it() {
    let app = TestApp::start().await;
    populate(&app).await;
    let eve = app.person("eve@example.com").await;
    let members = ["/email/id", "/email/address", "/email/created_at"];
    let mut known = Vec::new();
    // Of one length: the answer repeats the address.
    for email in ["known@example.com", "fresh@example.com"] {
        let added = eve.http.post("/v1/users/me/emails", json!({ "email": email })).await;
        let id = added.expect(201)["email"]["id"].as_str().unwrap().to_owned();
        let again = eve.http.post(&format!("/v1/users/me/emails/{id}/verifications"), json!({})).await;
        let twice = eve.http.post("/v1/users/me/emails", json!({ "email": email })).await;
        let code = redeem_code(&app.stranger(), email, "000000").await;
        let link = format!("/v1/users/me/emails/{id}/primary");
        let primary = eve.http.put(&link, json!({})).await;
        known.push((masked(&added, &members), [again, twice, code, primary].map(|answer| shape(&answer))));
    }
    assert_eq!(known[0], known[1]);
    let listed = eve.http.get("/v1/users/me/emails").await.expect(200);
    let claims: Vec<_> =
        listed["data"].as_array().unwrap()[1..].iter().map(|row| &row["verified_at"]).collect();
    assert_eq!(claims, [&json!(null); 2]);
    // The owner hears of it and nobody else can prove it.
    let mail =
        app.mailbox.wait_until(|mail| mail.to == "known@example.com" && mail.subject.contains("named")).await;
    assert!(mail.unwrap().code().is_none());
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

#[tokio::test]
async fn guesses_tell_nothing_of_a_pending_sign_up() {
    let app = TestApp::start().await;
    populate(&app).await;
    for email in ADDRESSES {
        forget_attempts(&app).await;
        for _ in 0..10 {
            sign_in(&app.stranger(), email, WRONG_PASSWORD).await.problem(401);
        }
        // Whoever has the address, passwords and codes count together.
        let body = json!({ "method": "email_code", "email": email, "code": "000000" });
        assert_eq!(app.stranger().post("/v1/sessions", body).await.status, 429, "{email}");
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
    let (mut links, mut resets) = ([(); 5].map(|()| vec![]), [(); 5].map(|()| vec![]));
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
            for (path, times) in [("/v1/magic-links", &mut links), ("/v1/password-resets", &mut resets)] {
                let begun = Instant::now();
                other.post(path, json!({ "email": email })).await.expect(202);
                times[number].push(begun.elapsed());
            }
        }
    }
    for (what, times) in
        [("sign-in", sign_ins), ("sign-up", sign_ups), ("magic link", links), ("reset", resets)]
    {
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
