//! The feed of what was revoked, for edge verifiers that hold JWTs.
//!
//! A reader that passes the cursor it was given last sees every revocation exactly once, in an order in which
//! no commit can slip in behind the cursor: rows of a transaction appear only when every older transaction has
//! ended.

use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::store;
use crate::app::App;
use crate::caller::{ReadRevocations, Server};
use crate::platform::http::{Json, Problem, Query};

/// Something that must not be accepted any more.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Revocation {
    /// `session`, `user` (banned or deleted) or `api_key`.
    pub kind: String,
    /// The id of the session, user or key.
    pub id: Uuid,
    /// Whose it was.
    pub user_id: Option<Uuid>,
    /// When.
    pub revoked_at: DateTime<Utc>,
}

/// Where in the feed a reader stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Transaction, as the 64-bit number of `xid8`.
    pub xid: i64,
    /// Within the transaction.
    pub position: i64,
}

impl Position {
    fn open(cursor: &str) -> Option<Self> {
        let bytes: [u8; 16] = URL_SAFE_NO_PAD.decode(cursor).ok()?.try_into().ok()?;
        let (xid, position) = bytes.split_at(8);
        Some(Self {
            xid: i64::from_be_bytes(xid.try_into().ok()?),
            position: i64::from_be_bytes(position.try_into().ok()?),
        })
    }

    fn write(self) -> String {
        let bytes = [self.xid.to_be_bytes(), self.position.to_be_bytes()].concat();
        URL_SAFE_NO_PAD.encode(bytes)
    }
}

/// Where to begin.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RevocationsQuery {
    /// `next_cursor` of the last answer; everything still kept where absent.
    pub after: Option<String>,
    /// Items an answer: 1 to 1,000.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    pub limit: Option<u32>,
}

/// A stretch of the feed.
#[derive(Debug, Serialize, ToSchema)]
pub struct RevocationsResponse {
    /// Oldest first.
    pub data: Vec<Revocation>,
    /// Pass as `after` next time, whether or not there was anything new.
    pub next_cursor: String,
}

/// Read what was revoked since the last time.
#[utoipa::path(get, path = "/v1/revocations", tag = "sessions", security(("admin" = []), ("api_key" = [])),
    params(RevocationsQuery), responses((status = 200, body = RevocationsResponse)))]
pub async fn feed(
    _: Server<ReadRevocations>,
    State(app): State<App>,
    Query(query): Query<RevocationsQuery>,
) -> Result<Json<RevocationsResponse>, Problem> {
    let limit = query.limit.unwrap_or(100);
    if !(1..=1000).contains(&limit) {
        return Err(Problem::invalid(vec![]).with_error("?limit", "out_of_range", "must be from 1 to 1000"));
    }
    let after = match query.after.as_deref() {
        None | Some("") => Position::default(),
        Some(cursor) => Position::open(cursor).ok_or_else(|| {
            Problem::invalid(vec![]).with_error("?after", "invalid_cursor", "is not a cursor of this feed")
        })?,
    };
    let mut conn = app.db.acquire().await?;
    let rows = store::revocations(&mut conn, after, i64::from(limit)).await?;
    let end = rows.last().map_or(after, |(position, _)| *position);
    let data = rows.into_iter().map(|(_, revocation)| revocation).collect();
    Ok(Json(RevocationsResponse { data, next_cursor: end.write() }))
}
