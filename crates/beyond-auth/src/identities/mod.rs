//! Identities: accounts elsewhere by which people are known here.
//!
//! Invariants: an identity is known by provider, issuer and subject, never by an address; it belongs to one user; what
//! the provider says about it beside that is shown and decides nothing.

pub mod flow;
pub mod mails;
pub mod model;
pub mod routes;
pub mod store;

pub use model::{Identity, Profile};
