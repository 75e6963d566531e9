//! The way out: ends sessions together with whatever could renew them.
//!
//! Invariants: nobody else ends a session of a user who stays; a session never ends without the refresh tokens
//! that came with it or were made through it; all of it happens in one transaction, behind the lock on the
//! user's row, so that no renewal slips through.

pub mod flow;
pub mod routes;
