//! Second factors: codes from an authenticator app, and the recovery codes for when it is lost.
//!
//! Invariants: an app is no factor until a code has proven that it has the seed; a step's code is accepted once, on
//! whichever instance, and no older one after it; a recovery code works once; a factor goes only with a code of it or
//! a recovery code, or by the operator; every guess is counted, before it is looked at, in the one budget that the
//! account has for all of its factors.

pub mod flow;
pub mod mails;
pub mod model;
pub mod recovery;
pub mod routes;
pub mod second;
pub mod store;
mod verify;

pub use flow::SEALED_SEED;
