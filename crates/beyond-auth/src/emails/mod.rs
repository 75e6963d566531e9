//! Addresses of users, and proof that their owner reads mail there.
//!
//! Invariants: only verified addresses identify a user, and a verified address belongs to exactly one user; an
//! unverified row is a claim that blocks nobody; the first proof of an address ends every other claim on it;
//! a verification mail proves only the row it was sent for; a user with a proven address has a proven primary one;
//! what was mailed to an address ends with it.

pub mod address;
pub mod addresses;
pub mod code;
pub mod flow;
pub mod mails;
pub mod model;
pub mod routes;
pub mod store;

pub use address::Email;
pub use model::By;
