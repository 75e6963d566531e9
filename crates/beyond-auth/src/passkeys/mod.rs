//! Passkeys (W3C Web Authentication, Level 3): registering them, signing in with them, presenting them as a second
//! factor or to step up.
//!
//! Invariants: what an answer must say is known to the server alone and checked in full by [`ceremony`], the only
//! room that reads what authenticators write; a challenge serves one answer for one purpose, and is gone by its
//! use; whose a passkey is follows from the passkey, never from the request; a passkey opens the door alone only
//! where its authenticator has verified the person; a counter that goes back is a copy and is refused.

pub mod authentication;
pub mod ceremony;
pub mod flow;
pub mod mails;
pub mod model;
pub mod names;
pub mod routes;
pub mod store;

pub use authentication::{second_factor, sign_in, step_up};
pub use model::Error;
