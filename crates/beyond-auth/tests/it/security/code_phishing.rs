//! Having a code read out: on the phone, or into a page that looks like ours.

use super::{count, forget_attempts, wrong_code};
use crate::support::TestApp;
use crate::support::mailed::{ask_link, code_sign_in, kind_to, link_sign_in, next_to, token_in};

const ADA: &str = "ada@example.com";

#[tokio::test]
async fn a_code_read_out_to_a_stranger_opens_nothing() {
    let app = TestApp::start().await;
    app.person(ADA).await;
    app.person("eve@example.com").await;
    forget_attempts(&app).await;
    let adas_request = ask_link(&app.stranger(), ADA).await;
    let code = kind_to(&app, ADA, "ml_").await.code().unwrap().to_owned();

    let eve = app.stranger();
    let eves_own = ask_link(&eve, "eve@example.com").await;
    let unknown = ask_link(&eve, "nobody@example.com").await;
    let (head, tail) = adas_request.split_at(36);
    // The id of Ada's request may be known, its secret is not.
    let guessed = format!("{head}{}", tail.chars().map(|_| 'A').collect::<String>());
    for request in [None, Some(""), Some("x"), Some(&*eves_own), Some(&*unknown), Some(&*guessed)] {
        code_sign_in(&eve, ADA, &code, request).await.problem(401);
    }
    // None of it cost Ada anything.
    code_sign_in(&app.stranger(), ADA, &code, Some(&adas_request)).await.expect(201);
}

#[tokio::test]
async fn asking_for_a_code_oneself_ends_the_one_that_was_asked_for_before() {
    let app = TestApp::start().await;
    app.person(ADA).await;
    forget_attempts(&app).await;
    let adas_request = ask_link(&app.stranger(), ADA).await;
    let adas_mail = kind_to(&app, ADA, "ml_").await;
    // Eve asks for Ada and gets the half of the secret that is not in the mail.
    let eves_request = ask_link(&app.stranger(), ADA).await;
    let eves_mail = next_to(&app, ADA, "ml_", &adas_mail).await;
    // Ada, who waits for a code, may read either out; only the newest is worth something, and only with Eve's half.
    code_sign_in(&app.stranger(), ADA, adas_mail.code().unwrap(), Some(&eves_request)).await.problem(401);
    code_sign_in(&app.stranger(), ADA, eves_mail.code().unwrap(), Some(&adas_request)).await.problem(401);
    // That is what the mail warns of: "never give the code to anybody".
    assert!(eves_mail.text.contains("Never give the code"), "{}", eves_mail.text);
}

#[tokio::test]
async fn the_code_of_one_address_is_not_the_code_of_another() {
    let app = TestApp::start().await;
    app.person(ADA).await;
    app.person("eve@example.com").await;
    forget_attempts(&app).await;
    let request = ask_link(&app.stranger(), "eve@example.com").await;
    let code = kind_to(&app, "eve@example.com", "ml_").await.code().unwrap().to_owned();
    code_sign_in(&app.stranger(), ADA, &code, Some(&request)).await.problem(401);
    let body = code_sign_in(&app.stranger(), "EVE@example.com", &code, Some(&request)).await.expect(201);
    assert_eq!(body["user"]["email"], "eve@example.com");
}

#[tokio::test]
async fn five_wrong_codes_kill_the_code_and_ten_delay_the_account() {
    let app = TestApp::start().await;
    app.person(ADA).await;
    forget_attempts(&app).await;
    let request = ask_link(&app.stranger(), ADA).await;
    let mail = kind_to(&app, ADA, "ml_").await;
    let code = mail.code().unwrap();
    for _ in 0..5 {
        code_sign_in(&app.stranger(), ADA, &wrong_code(code), Some(&request)).await.problem(401);
    }
    code_sign_in(&app.stranger(), ADA, code, Some(&request)).await.problem(401);
    assert_eq!(count(&app, "SELECT max(attempts)::int8 FROM auth.magic_links").await, 5);

    // Another request brings another code, not another budget.
    let request = ask_link(&app.stranger(), ADA).await;
    let next = next_to(&app, ADA, "ml_", &mail).await;
    for _ in 0..4 {
        code_sign_in(&app.stranger(), ADA, &wrong_code(next.code().unwrap()), Some(&request))
            .await
            .problem(401);
    }
    let limited = code_sign_in(&app.stranger(), ADA, next.code().unwrap(), Some(&request)).await;
    assert_eq!(limited.problem(429), "too_many_requests");
    // Guesses of the password are the same guesses.
    super::sign_in(&app.stranger(), ADA, crate::support::app::PASSWORD).await.problem(429);
    // The link needs no guess and is not delayed.
    link_sign_in(&app.stranger(), &token_in(&next)).await.expect(201);
}
