//! The HTTP edge: one shape of error, strict bodies, who is calling, and the server that carries it.

pub mod client;
pub mod credentials;
pub mod extract;
pub mod fields;
pub mod json;
pub mod middleware;
pub mod openapi;
pub mod pagination;
pub mod problem;
pub mod server;
pub mod throttle;

pub use client::Client;
pub use extract::{Json, Path, Query};
pub use fields::{FieldError, FieldErrors};
pub use pagination::{Page, PageQuery};
pub use problem::Problem;
