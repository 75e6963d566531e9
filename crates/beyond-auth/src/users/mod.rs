//! Users: people, their profile, and whether they may come in.
//!
//! Invariants: a user is identified by id alone; deletion takes everything with it; a ban ends every session
//! in its own transaction and holds until lifted or expired, by the database's clock.

pub mod flow;
pub mod model;
pub mod routes;
pub mod store;

pub use model::{Holder, Standing, User};
