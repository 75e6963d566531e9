//! A file that pages load: kept by browsers, asked for again each time, sent again only once it has changed.

use std::io::Write as _;
use std::sync::LazyLock;

use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// A style or script, embedded in the binary.
#[derive(Debug)]
pub(super) struct Asset {
    content_type: &'static str,
    body: &'static str,
    /// Packed when first asked for: it holds nothing secret that its length could tell about.
    packed: LazyLock<Option<Bytes>, Pack>,
}

/// What fills [`Asset::packed`].
type Pack = Box<dyn FnOnce() -> Option<Bytes> + Send>;

impl Asset {
    /// A file as it is sent.
    pub(super) fn new(content_type: &'static str, body: &'static str) -> Self {
        Self { content_type, body, packed: LazyLock::new(Box::new(|| pack(body))) }
    }

    /// 200, or 304 where the browser has this very content.
    pub(super) fn serve(&self, request: &HeaderMap) -> Response {
        let packed = if takes_gzip(request) { self.packed.as_ref() } else { None };
        let tag = self.tag(packed.is_some());
        let mut response = match packed {
            _ if knows(request, &tag) => StatusCode::NOT_MODIFIED.into_response(),
            Some(packed) => self.send(packed.clone(), Some("gzip")),
            None => self.send(Bytes::from_static(self.body.as_bytes()), None),
        };
        let headers = response.headers_mut();
        // "May be kept, but ask first": an upgraded service never runs with the scripts of the old one.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.append(header::VARY, HeaderValue::from_static("accept-encoding"));
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            headers.insert(header::ETAG, tag);
        }
        response
    }

    fn send(&self, body: Bytes, encoding: Option<&'static str>) -> Response {
        let mut response = body.into_response();
        let headers = response.headers_mut();
        let mut set = |name: HeaderName, value| headers.insert(name, HeaderValue::from_static(value));
        set(header::CONTENT_TYPE, self.content_type);
        if let Some(encoding) = encoding {
            set(header::CONTENT_ENCODING, encoding);
        }
        response
    }

    /// Length and FNV-1a of the content: only has to differ between versions of one file, which nobody but us writes.
    fn tag(&self, packed: bool) -> String {
        let hash = self.body.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        format!("\"{:x}-{hash:016x}{}\"", self.body.len(), if packed { "-gz" } else { "" })
    }
}

/// Packs a text: one that holds nothing secret that its length could tell about.
pub(super) fn pack(body: &str) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body.as_bytes()).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

/// Whether `Accept-Encoding` names gzip and does not refuse it (RFC 9110 §12.5.3).
pub(super) fn takes_gzip(request: &HeaderMap) -> bool {
    let values = request.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|choice| {
        let (coding, weight) = choice.split_once(';').unwrap_or((choice, ""));
        let weight = weight.trim().strip_prefix("q=").map_or(Ok(1.0), str::parse::<f32>);
        coding.trim().eq_ignore_ascii_case("gzip") && weight.is_ok_and(|weight| weight > 0.0)
    })
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
