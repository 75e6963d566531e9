//! Lists: keyset paging by id, stable under inserts.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::problem::Problem;

const DEFAULT_LIMIT: u32 = 20;
const MAX_LIMIT: u32 = 100;

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// The items, in the list's order.
    pub data: Vec<T>,
    /// Pass as `cursor` for the next page; `null` on the last.
    pub next_cursor: Option<String>,
}

/// Which page is asked for.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Items a page: 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 20)]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// A checked page request.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Items a page.
    pub limit: u32,
    /// Only items beyond this id.
    pub after: Option<Uuid>,
}

impl PageQuery {
    /// Checks the numbers and opens the cursor.
    pub fn window(&self) -> Result<Window, Problem> {
        window(self.limit, self.cursor.as_deref())
    }
}

/// Checks `limit` and opens `cursor`.
pub fn window(limit: Option<u32>, cursor: Option<&str>) -> Result<Window, Problem> {
    let limit = limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Problem::invalid(vec![]).with_error(
            "?limit",
            "out_of_range",
            format!("must be from 1 to {MAX_LIMIT}"),
        ));
    }
    let after = cursor.map(open).transpose()?;
    Ok(Window { limit, after })
}

fn open(cursor: &str) -> Result<Uuid, Problem> {
    URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| Uuid::from_slice(&bytes).ok()).ok_or_else(|| {
        Problem::invalid(vec![]).with_error("?cursor", "invalid_cursor", "is not a cursor of this list")
    })
}

impl Window {
    /// How many rows to read: one more than shown tells whether there is a next page.
    pub fn fetch(self) -> i64 {
        i64::from(self.limit) + 1
    }

    /// Cuts the surplus row off and makes the cursor from the last item shown.
    pub fn page<R, T>(self, mut rows: Vec<R>, id: impl Fn(&R) -> Uuid, item: impl FnMut(R) -> T) -> Page<T> {
        let shown = self.limit as usize;
        let more = rows.len() > shown;
        rows.truncate(shown);
        let next_cursor = rows.last().filter(|_| more).map(|row| URL_SAFE_NO_PAD.encode(id(row).as_bytes()));
        Page { data: rows.into_iter().map(item).collect(), next_cursor }
    }
}
