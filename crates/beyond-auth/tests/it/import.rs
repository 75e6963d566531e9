//! Users who bring the hash of their password along.

use serde_json::json;

use crate::support::{TestApp, sql};

/// Each of "correct horse"; made by other implementations (see `crypto/password/imported_tests.rs`).
const HASHES: &[(&str, &str)] = &[
    ("bcrypt", "$2b$06$abcdefghijklmnopqrstuud/5IuQmqhVO0kfNEbHJM.fJkPiliBzC"),
    ("scrypt", "$scrypt$ln=10,r=8,p=1$c2FsdHNhbHRzYWx0c2FsdA$A9lBa6RTbfBovWqamVIqXKovIl4Vk6OZyVojLJmYmSI"),
    (
        "pbkdf2",
        "$pbkdf2-sha256$i=1000,l=32$c2FsdHNhbHRzYWx0c2FsdA$BBs+1+PaslLtBPULUr8/lQicvVuHiEPMz0i8MjLCbzM",
    ),
    ("django", "pbkdf2_sha256$1000$saltsaltsaltsalt$BBs+1+PaslLtBPULUr8/lQicvVuHiEPMz0i8MjLCbzM="),
    ("ssha", "{SSHA}LhKrkM9Fy+zlstjdD7Kv2s6QvhBzYWx0"),
];
const PASSWORD: &str = "correct horse";

async fn sign_in(app: &TestApp, email: &str, password: &str) -> u16 {
    let body = json!({ "method": "password", "email": email, "password": password });
    app.stranger().post("/v1/sessions", body).await.status.as_u16()
}

#[tokio::test]
async fn an_imported_hash_opens_the_door_and_is_replaced_by_one_of_ours() {
    let app = TestApp::start().await;
    for (name, hash) in HASHES {
        let email = format!("{name}@example.com");
        app.admin.post("/v1/admin/users", json!({ "email": email, "password_hash": hash })).await.expect(201);
        assert_eq!(sign_in(&app, &email, "correct horsf").await, 401, "{name}");
        assert_eq!(sign_in(&app, &email, PASSWORD).await, 201, "{name}");
        let ours = format!(
            "SELECT count(*) FROM auth.passwords p JOIN auth.emails e USING (user_id)
             WHERE e.address = '{email}' AND p.hash LIKE '$argon2id$%'"
        );
        assert_eq!(sql::number(&app, &ours).await, 1, "{name}");
        assert_eq!(sign_in(&app, &email, PASSWORD).await, 201, "{name}");
        assert_eq!(sign_in(&app, &email, "correct horsf").await, 401, "{name}");
    }
}

#[tokio::test]
async fn a_hash_of_firebase_opens_the_door() {
    let app = TestApp::start().await;
    // The example of https://github.com/firebase/scrypt.
    let hash = "$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,\
         sk=jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==\
         $42xEC+ixf3L2lw==\
         $lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ==";
    let body = json!({ "email": "fire@example.com", "password_hash": hash });
    app.admin.post("/v1/admin/users", body).await.expect(201);
    assert_eq!(sign_in(&app, "fire@example.com", "user2password").await, 401);
    assert_eq!(sign_in(&app, "fire@example.com", "user1password").await, 201);
}

#[tokio::test]
async fn an_argon2_hash_from_elsewhere_is_taken_as_it_is() {
    let app = TestApp::start().await;
    let ours = app.running.app.hasher.hash(PASSWORD.to_owned().into()).await.unwrap();
    let body = json!({ "email": "argon@example.com", "password_hash": ours });
    app.admin.post("/v1/admin/users", body).await.expect(201);
    assert_eq!(sign_in(&app, "argon@example.com", PASSWORD).await, 201);
}

#[tokio::test]
async fn a_hash_that_cannot_be_verified_is_refused_without_being_repeated() {
    let app = TestApp::start().await;
    for hash in [
        "correct horse",
        "5f4dcc3b5aa765d61d8327deb882cf99",
        "$2b$31$abcdefghijklmnopqrstuud/5IuQmqhVO0kfNEbHJM.fJkPiliBzC",
        "$argon2id$v=19$m=4194304,t=99,p=1$c2FsdHNhbHRzYWx0c2FsdA$BBs+1+PaslLtBPULUr8/lQicvVuHiEPMz0i8MjLCbzM",
        "$argon2id$nonsense",
    ] {
        let body = json!({ "email": "bad@example.com", "password_hash": hash });
        let answer = app.admin.post("/v1/admin/users", body).await;
        assert_eq!(answer.problem(422), "validation_failed", "{hash}");
        assert_eq!(answer.pointer(), "/password_hash", "{hash}");
        assert!(!answer.text.contains(hash), "{}", answer.text);
    }
    let both =
        json!({ "email": "bad@example.com", "password": "seven quiet rivers", "password_hash": HASHES[0].1 });
    assert_eq!(app.admin.post("/v1/admin/users", both).await.pointer(), "/password_hash");
}

#[tokio::test]
async fn two_sign_ins_at_once_both_open_with_an_imported_hash() {
    let app = TestApp::start().await;
    for (name, hash) in HASHES {
        let email = format!("{name}@example.com");
        app.admin.post("/v1/admin/users", json!({ "email": email, "password_hash": hash })).await.expect(201);
        let both = futures::join!(sign_in(&app, &email, PASSWORD), sign_in(&app, &email, PASSWORD));
        assert_eq!(both, (201, 201), "{name}");
    }
}
