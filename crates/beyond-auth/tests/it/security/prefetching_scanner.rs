//! Mail scanners and link previews that open every link they see.

use http::Method;

use super::{redeem_token, sign_up, token_in};
use crate::support::TestApp;
use crate::support::app::PASSWORD;

/// Where something is redeemed. A new redemption belongs here.
const REDEMPTIONS: [&str; 1] = ["/v1/email-verifications/redemptions"];

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
