//! `openapi`: the HTTP API as a document.

use super::{Failure, write_out};
use crate::router;

pub(super) fn run() -> Result<(), Failure> {
    write_out(&router::write(&router::document()))
}
