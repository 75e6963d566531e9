//! A file that pages load: kept by browsers, asked for again each time, sent again only once it has changed.

use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderValue};

/// A style or script, embedded in the binary.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asset {
    content_type: &'static str,
    body: &'static str,
}

impl Asset {
    /// A file as it is sent.
    pub(super) const fn new(content_type: &'static str, body: &'static str) -> Self {
        Self { content_type, body }
    }

    /// 200, or 304 where the browser has this very content.
    pub(super) fn serve(self, request: &HeaderMap) -> Response {
        let tag = self.tag();
        let mut response = if knows(request, &tag) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            let mut response = self.body.into_response();
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
            response
        };
        let headers = response.headers_mut();
        // "May be kept, but ask first": an upgraded service never runs with the scripts of the old one.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            headers.insert(header::ETAG, tag);
        }
        response
    }

    /// Length and FNV-1a of the content: only has to differ between versions of one file, which nobody but us writes.
    fn tag(self) -> String {
        let hash = self.body.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        format!("\"{:x}-{hash:016x}\"", self.body.len())
    }
}

/// `If-None-Match` (RFC 9110 §13.1.2), compared weakly: proxies that compress turn strong tags into weak ones.
fn knows(request: &HeaderMap, tag: &str) -> bool {
    request
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|known| known.trim().trim_start_matches("W/"))
        .any(|known| known == tag || known == "*")
}
