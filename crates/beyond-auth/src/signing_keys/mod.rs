//! Signing keys, and the JWTs signed with them: an opt-in for verification at the edge, without asking the service.
//!
//! Invariants: a private half leaves the database only sealed and is opened for one signature; which key signs is
//! read from the database for each JWT, by its clock; at most one key has no successor, by a unique index; a key is
//! published before it signs and until the last token it signed has expired; changes of keys happen one at a time,
//! under an advisory lock; a JWT never outlives its session.

pub mod exchange;
pub mod flow;
pub mod model;
pub mod routes;
pub mod store;

pub use flow::SEALED_PRIVATE;
pub use model::{Listed, State};
