//! Signing in by mail: a link for this or another device, six digits for the browser that asked.
//!
//! Invariants: whoever asks cannot tell whether the address has an account (same answer, same work; only the mail is
//! missing); link and code are minted when the mail leaves, work once and for ten minutes, and a newer request ends the
//! older; the code works only together with the secret of the request that asked for it, so read out to a stranger it is
//! worth nothing; nobody gets an account by it; redeeming proves the address.

pub mod cookie;
pub mod flow;
pub mod mails;
pub mod routes;
pub mod store;

pub use flow::Presented;
