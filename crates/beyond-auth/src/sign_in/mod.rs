//! The one door: every way of signing in ends in [`flow::finish`], and renewing a session goes through
//! [`renewal`].
//!
//! Invariants: no other code mints a session; whether a person may come in is decided here, on the user's row,
//! in the transaction that mints; the answer to a refused person is the same whatever the reason.

pub mod flow;
pub mod model;
pub mod renewal;

pub use flow::{finish, step_up};
pub use model::{Error, Proof, SignedIn, Wish};
