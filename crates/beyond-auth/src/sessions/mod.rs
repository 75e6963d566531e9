//! Sessions: sign-ins that last, one per device.
//!
//! Invariants: the database holds only the SHA-256 of a token's secret; whether a session lives is decided
//! by the database's clock in the statement that reads it; a revoked session has no row; nothing about a
//! session is kept in the process.

pub mod cookie;
pub mod device;
pub mod extract;
pub mod flow;
pub mod introspection;
pub mod model;
pub mod revocations;
pub mod routes;
pub mod store;
pub mod verification;

pub use extract::{CurrentSession, FreshSession};
pub use model::{Live, NewSession, Scope, Session};
pub use verification::Verification;
