//! Mail scanners and link previews that open every link they see.

use http::Method;

use super::{OTHER_PASSWORD, redeem_token, sign_up, token_in};
use crate::support::TestApp;
use crate::support::app::PASSWORD;
use crate::support::mailed::{add, ask_link, ask_reset, kind_to, link_sign_in, redeem_reset};

/// Where something is redeemed. A new redemption belongs here.
const REDEMPTIONS: [&str; 2] = ["/v1/email-verifications/redemptions", "/v1/password-resets/redemptions"];

#[tokio::test]
async fn nothing_is_redeemed_by_reading() {
    let app = TestApp::start().await;
    sign_up(&app.http, "ada@example.com", PASSWORD).await.expect(202);
    let mail = app.mail_to("ada@example.com").await;
    let token = token_in(&mail);
    for path in REDEMPTIONS {
        for path in [path.to_owned(), format!("{path}?token={token}"), format!("{path}/{token}")] {
            for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
                let answer = app.http.send(app.http.request(method.clone(), &path)).await;
                assert!([404, 405].contains(&answer.status.as_u16()), "{method} {path}: {}", answer.status);
            }
        }
        let answer = app.http.get(path).await;
        assert_eq!(answer.problem(405), "method_not_allowed");
        assert_eq!(answer.header("allow"), "POST");
    }
    // The link itself, as a scanner opens it: once with the fragment in the path of a lenient one.
    let link = url::Url::parse(mail.link().unwrap()).unwrap();
    for path in [link.path().to_owned(), format!("{}?token={token}", link.path())] {
        for method in [Method::GET, Method::HEAD] {
            let answer = app.http.send(app.http.request(method, &path)).await;
            assert!(answer.status.is_success(), "{path}: {}", answer.status);
            assert!(!answer.text.contains(&token));
            assert!(answer.header("set-cookie").is_empty());
            assert_eq!(answer.header("referrer-policy"), "no-referrer");
            assert_eq!(answer.header("cache-control"), "no-store");
            assert!(answer.header("content-security-policy").contains("default-src 'none'"));
        }
    }
    redeem_token(&app.http, &token).await.expect(200);
}

/// A scanner opens the link, tries it with the fragment in the query or in the path, and every address of the API that
/// it can think of; then comes the person.
#[tokio::test]
async fn the_link_of_every_mail_still_works_after_a_scanner() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    ask_link(&app.stranger(), "ada@example.com").await;
    ask_reset(&app.stranger(), "ada@example.com").await;
    add(&ada.http, "second@example.com").await;
    let link = kind_to(&app, "ada@example.com", "ml_").await;
    let reset = kind_to(&app, "ada@example.com", "pwr_").await;
    let added = kind_to(&app, "second@example.com", "ev_").await;
    for mail in [&link, &reset, &added] {
        let (token, url) = (token_in(mail), url::Url::parse(mail.link().unwrap()).unwrap());
        assert!(url.query().is_none());
        assert!(!url.path().contains(&token));
        let landing = url.path();
        let mut paths =
            vec![landing.to_owned(), format!("{landing}?token={token}"), format!("{landing}/{token}")];
        for path in ["/v1/sessions", "/v1/magic-links", "/v1/password-resets"].into_iter().chain(REDEMPTIONS)
        {
            paths.push(format!("{path}?method=magic_link&token={token}&password={OTHER_PASSWORD}"));
            paths.push(format!("{path}/{token}"));
        }
        for path in paths {
            for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
                let answer = app.http.send(app.http.request(method.clone(), &path)).await;
                assert!(!answer.status.is_server_error(), "{method} {path}: {}", answer.status);
                assert!(answer.header("set-cookie").is_empty(), "{method} {path}");
                assert!(!answer.text.contains(&token), "{method} {path}");
            }
        }
    }
    redeem_token(&app.stranger(), &token_in(&added)).await.expect(200);
    link_sign_in(&app.stranger(), &token_in(&link)).await.expect(201);
    redeem_reset(&app.stranger(), &token_in(&reset), OTHER_PASSWORD).await.expect(204);
    app.sign_in("ada@example.com", OTHER_PASSWORD).await;
}

#[tokio::test]
async fn the_token_of_a_link_stays_out_of_what_servers_log() {
    let app = TestApp::start().await;
    sign_up(&app.http, "ada@example.com", PASSWORD).await.expect(202);
    let mail = app.mail_to("ada@example.com").await;
    let link = url::Url::parse(mail.link().unwrap()).unwrap();
    assert!(link.query().is_none());
    assert!(!link.path().contains("ev_"));
    assert!(link.fragment().unwrap().starts_with("token=ev_"));
}
