//! The operator's side: users, bans, settings, keys, behind the admin secret.
//!
//! Invariants: every route takes [`Admin`](crate::caller::Admin); every act is recorded in its own transaction; no
//! secret is ever returned.

pub mod api_keys;
pub mod factors;
pub mod flow;
pub mod kek_rotations;
pub mod oauth_providers;
pub mod passkeys;
pub mod settings;
pub mod sign_in_traces;
pub mod signing_keys;
pub mod store;
pub mod users;
