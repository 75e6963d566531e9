//! The one door: every way of signing in ends in [`flow::finish`], and renewing a session goes through
//! [`renewal`].
//!
//! Invariants: no other code mints a session; whether a person may come in is decided here, on the user's row,
//! in the transaction that mints; the answer to a refused person is the same whatever the reason; whether a second
//! factor is due is decided here too, and a half-finished sign-in ([`attempts`]) opens nothing but the way to it.

pub mod attempts;
pub mod cookie;
pub mod devices;
pub mod flow;
pub mod model;
pub mod renewal;
pub mod store;

pub use attempts::{IssuedAttempt, OpenAttempt, finish_attempt};
pub use flow::{finish, step_up, step_up_second};
pub use model::{Error, Factor, Outcome, Proof, SignedIn, Wish};
