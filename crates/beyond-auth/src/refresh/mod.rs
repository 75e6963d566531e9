//! Refresh tokens: long-lived credentials of applications, which renew sessions.
//!
//! A family is what descends from one sign-in or one call of `POST /v1/refresh-tokens`. Each use of a token retires
//! it and makes its successor, so a stolen copy is noticed as soon as both copies are used.
//!
//! Invariants: the user's row is locked before the family's, and the family's before anything about its tokens is
//! decided; a family has one token that is not retired; a retired token gives its successor again during the grace,
//! and afterwards ends the family; the database holds only hashes, and a successor's secret is derived by a key that
//! is not in it; every decision about time is the database's.

pub mod flow;
pub mod model;
pub mod routes;
pub mod store;

pub use model::{Families, Issued, Redeemed};
