//! The mailbox of `dev`: every mail the service sends, to read in a browser instead of being delivered.
//!
//! `GET /dev/mailbox` lists, `GET /dev/mailbox/{number}` shows one, `GET /dev/mailbox.json` is for scripts.
//! Anybody who can reach these pages can read everybody's links and codes, so only `dev` mounts them, and
//! `dev` listens on loopback only.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Json, Response};
use axum::routing::get;
use minijinja::{Environment, context};
use serde::Serialize;

use crate::platform::mail::memory::{MemoryTransport, ReceivedMail};

/// No scripts, no requests to anywhere; inline styles, which mails are made of. The frame inherits this.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'";

static PAGES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut pages = Environment::new();
    for (name, source) in [
        ("list.html", include_str!("../../templates/dev/mailbox_list.html")),
        ("mail.html", include_str!("../../templates/dev/mailbox_mail.html")),
    ] {
        if let Err(error) = pages.add_template(name, source) {
            tracing::error!(name, %error, "a page of the mailbox is broken");
        }
    }
    pages
});

/// The pages over what `mailbox` has received.
pub fn router(mailbox: Arc<MemoryTransport>) -> Router {
    Router::new()
        .route("/dev/mailbox", get(list))
        .route("/dev/mailbox/{number}", get(show))
        .route("/dev/mailbox.json", get(list_json))
        .with_state(mailbox)
}

/// A mail as scripts see it.
#[derive(Serialize)]
struct MailBody<'a> {
    #[serde(flatten)]
    mail: &'a ReceivedMail,
    /// The first link of the text part.
    link: Option<&'a str>,
    /// The first six-digit code of the text part.
    code: Option<&'a str>,
}

async fn list(State(mailbox): State<Arc<MemoryTransport>>) -> Response {
    let mails: Vec<_> = mailbox
        .received()
        .iter()
        .rev()
        .map(|mail| {
            context! {
                number => mail.number, to => &mail.to, subject => &mail.subject,
                code => mail.code(), at => mail.received_at.format("%H:%M:%S").to_string(),
            }
        })
        .collect();
    page("list.html", context! { mails })
}

async fn show(State(mailbox): State<Arc<MemoryTransport>>, Path(number): Path<u64>) -> Response {
    let Some(mail) = mailbox.find(number) else {
        return (StatusCode::NOT_FOUND, page("list.html", context! { missing => number })).into_response();
    };
    // Links open a page of their own: inside the frame, nothing may run.
    let html = mail.html.replacen("<head>", "<head><base target=\"_blank\">", 1);
    page(
        "mail.html",
        context! {
            number => mail.number, from => &mail.from, to => &mail.to, subject => &mail.subject,
            text => &mail.text, html, link => mail.link(), code => mail.code(),
            at => mail.received_at.format("%Y-%m-%d %H:%M:%S UTC").to_string(),
        },
    )
}

/// Newest first, as the page.
async fn list_json(State(mailbox): State<Arc<MemoryTransport>>) -> Response {
    let mails = mailbox.received();
    let mails: Vec<_> =
        mails.iter().rev().map(|mail| MailBody { mail, link: mail.link(), code: mail.code() }).collect();
    ([(header::CACHE_CONTROL, "no-store")], Json(serde_json::json!({ "mails": mails }))).into_response()
}

fn page(name: &str, context: minijinja::Value) -> Response {
    let rendered = PAGES.get_template(name).and_then(|page| page.render(context));
    match rendered {
        Ok(html) => {
            ([(header::CONTENT_SECURITY_POLICY, POLICY), (header::CACHE_CONTROL, "no-store")], Html(html))
                .into_response()
        }
        Err(error) => {
            tracing::error!(name, %error, "a page of the mailbox failed");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::mail::render::Rendered;
    use crate::platform::mail::{Mail, Transport as _};
    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    async fn mailbox() -> Router {
        let mailbox = Arc::new(MemoryTransport::default());
        let rendered = Rendered {
            subject: "<script>alert(1)</script>".into(),
            text: "Code\n\n    123456\n\nhttps://auth.example/verify#token=1\n<b>".into(),
            html: "<html><head></head><body onload=\"x\">'quoted' <script>alert(2)</script></body></html>"
                .into(),
        };
        let from = "no-reply@shop.example".parse().unwrap();
        let mail = Mail::new(&from, "ada@example.org", "1.1", rendered).unwrap();
        mailbox.send(&mail).await.unwrap();
        router(mailbox)
    }

    async fn fetch(path: &str) -> (StatusCode, http::HeaderMap, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let (parts, body) = mailbox().await.oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn the_list_shows_mails_and_escapes_what_they_say() {
        let (status, headers, body) = fetch("/dev/mailbox").await;
        assert_eq!(status, StatusCode::OK);
        assert!(headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap().starts_with("default-src 'none'"));
        assert!(
            body.contains("ada@example.org") && body.contains("/dev/mailbox/1") && body.contains("123456")
        );
        assert!(!body.contains("<script>"));
    }

    #[tokio::test]
    async fn a_mail_is_shown_as_text_and_in_a_frame_that_runs_nothing() {
        let (status, _, body) = fetch("/dev/mailbox/1").await;
        assert_eq!(status, StatusCode::OK);
        assert!(body.contains("sandbox=\"allow-popups allow-popups-to-escape-sandbox\""));
        assert!(!body.contains("<script>") && !body.contains("onload=\"x\""));
        assert!(body.contains("&lt;base target=&quot;_blank&quot;&gt;"));
    }

    #[tokio::test]
    async fn a_mail_that_is_not_there_is_not_found() {
        assert_eq!(fetch("/dev/mailbox/2").await.0, StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn scripts_find_link_and_code() {
        let (_, _, body) = fetch("/dev/mailbox.json").await;
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        let mail = &body["mails"][0];
        assert_eq!(mail["link"], "https://auth.example/verify#token=1");
        assert_eq!(mail["code"], "123456");
        assert_eq!(mail["to"], "ada@example.org");
    }
}
