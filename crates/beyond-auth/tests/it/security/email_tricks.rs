//! Addresses that two parsers read differently.

use serde_json::json;

use super::{OTHER_PASSWORD, count, sign_in, sign_up};
use crate::support::TestApp;
use crate::support::app::PASSWORD;
use crate::support::mailed::{add_proven, ask_link, ask_reset};

#[tokio::test]
async fn an_address_that_could_mean_another_is_refused() {
    let app = TestApp::start().await;
    for email in [
        // Look-alikes that lower-casing or a lenient mail server folds into another address.
        "ad\u{131}@example.com",
        "\u{130}da@example.com",
        "\u{430}da@example.com",
        "ada\u{200b}@example.com",
        "ada\u{202e}@example.com",
        "ada\u{ff20}evil.example@example.com",
        "ada@evil.example\u{ff20}example.com",
        // Header injection.
        "ada@example.com\r\nBcc: eve@example.com",
        "ada@example.com\nBcc: eve@example.com",
        "ada@example.com\u{2028}Bcc: eve@example.com",
        "ada\t@example.com",
        // Lists, names, comments, quotes.
        "ada@example.com,eve@example.com",
        "ada@example.com;eve@example.com",
        "ada@example.com eve@example.com",
        "Ada <ada@example.com>",
        "<ada@example.com>",
        "ada(eve@example.com)@example.com",
        "ada@(comment)example.com",
        "ada@example.com(comment)",
        "\"ada\"@example.com",
        "\"a@b\"@example.com",
        // Routes and hosts that lead inwards.
        "@relay.example:ada@example.com",
        "ada@localhost",
        "ada@127.0.0.1",
        "ada@[127.0.0.1]",
        "ada@[IPv6:::1]",
        "ada@2130706433",
        "ada@example.com.",
        "ada@.example.com",
        "ada@-example.com",
    ] {
        let answer = sign_up(&app.stranger(), email, PASSWORD).await;
        assert_eq!(answer.problem(422), "validation_failed", "{email:?}");
        assert_eq!(answer.pointer(), "/email", "{email:?}");
        let answer = app.admin.post("/v1/admin/users", json!({ "email": email })).await;
        assert_eq!(answer.problem(422), "validation_failed", "{email:?}");
        sign_in(&app.stranger(), email, PASSWORD).await.problem(422);
        for path in ["/v1/magic-links", "/v1/password-resets"] {
            let answer = app.stranger().post(path, json!({ "email": email })).await;
            assert_eq!(
                (answer.problem(422), answer.pointer()),
                ("validation_failed".into(), "/email".into()),
                "{email:?}"
            );
        }
    }
    let nul = sign_up(&app.stranger(), "ada@example.com\0", PASSWORD).await;
    assert_eq!((nul.problem(422), nul.pointer()), ("validation_failed".into(), "/email".into()));
    assert_eq!(count(&app, "SELECT count(*) FROM auth.users").await, 0);
    assert_eq!(count(&app, "SELECT count(*) FROM auth.outbox").await, 0);
}

#[tokio::test]
async fn every_spelling_of_an_address_reaches_its_one_owner() {
    let app = TestApp::start().await;
    let kay = app.person("kay@example.com").await;
    for email in [
        "KAY@EXAMPLE.COM",
        "kay\u{ff20}example.com",
        "\u{ff4b}ay@example\u{ff0e}com",
        // The Kelvin sign: a K to Unicode, to a database that folds case, and to us.
        "\u{212a}ay@example.com",
        "kay@ex\u{ad}ample.com",
    ] {
        super::forget_attempts(&app).await;
        let known: Vec<u64> = app.mailbox.received().iter().map(|mail| mail.number).collect();
        sign_up(&app.stranger(), email, OTHER_PASSWORD).await.expect(202);
        let mail = app.mailbox.wait_until(|mail| !known.contains(&mail.number)).await.unwrap();
        assert!(mail.to.eq_ignore_ascii_case("kay@example.com"), "{email}: {}", mail.to);
        assert!(mail.code().is_none(), "{email}: the address is taken, there is nothing to prove");
        assert_eq!(app.sign_in(email, PASSWORD).await.id, kay.id);
    }
    assert_eq!(count(&app, "SELECT count(*) FROM auth.users").await, 1);
}

#[tokio::test]
async fn whatever_the_spelling_mail_goes_to_the_stored_address() {
    let app = TestApp::start().await;
    let kay = app.person("Kay@xn--bcher-kva.example").await;
    add_proven(&app, &kay.http, "kay@example.com").await;
    for (stored, spellings) in [
        (
            "Kay@xn--bcher-kva.example",
            [
                "KAY@B\u{dc}CHER.EXAMPLE",
                "kay@bu\u{308}cher.example",
                "kay\u{ff20}xn--bcher-kva\u{ff0e}example",
            ],
        ),
        ("kay@example.com", ["KAY@EXAMPLE.COM", "\u{212a}ay@example\u{3002}com", "kay@ex\u{ad}ample.com"]),
    ] {
        for spelling in spellings {
            super::forget_attempts(&app).await;
            app.mailbox.clear();
            ask_link(&app.stranger(), spelling).await;
            ask_reset(&app.stranger(), spelling).await;
            for prefix in ["ml_", "pwr_"] {
                let mark = format!("#token={prefix}");
                let mail = app.mailbox.wait_until(|mail| mail.text.contains(&mark)).await.unwrap();
                assert_eq!(mail.to, stored, "{spelling}");
            }
        }
    }
    // A domain that only looks the same is another one, of which nobody has an account.
    super::forget_attempts(&app).await;
    app.mailbox.clear();
    for lookalike in ["kay@b\u{fc}ch\u{435}r.example", "kay@ex\u{430}mple.com"] {
        ask_link(&app.stranger(), lookalike).await;
        ask_reset(&app.stranger(), lookalike).await;
    }
    app.person("behind@example.com").await;
    assert!(app.mailbox.received().iter().all(|mail| mail.to == "behind@example.com"));
}
