//! `POST /v1/users`: making an account.
//!
//! Invariants: whoever asks cannot tell whether the address has an account (same answer, same work; the mail
//! tells its reader); every sign-up is an account of its own with its own claim on the address, so nobody's
//! claim blocks or changes another's.

pub mod flow;
pub mod routes;
