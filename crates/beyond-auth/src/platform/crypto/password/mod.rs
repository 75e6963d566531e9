//! Passwords: what may be one ([`check_policy`]), one spelling of it ([`normalise`]), and the slow hash that
//! is stored ([`PasswordHasher`]).

mod argon;
mod blocklist;
mod breach;
mod hasher;
mod imported;
mod policy;

pub use argon::{Cost, InvalidCost, Verdict, check_imported};
pub use breach::Question;
pub use hasher::{HashError, HasherConfig, PasswordHasher};
pub use imported::Unusable;
pub use policy::{
    MAX_BYTES, MAX_LENGTH, MIN_LENGTH, PasswordPolicy, PolicyViolation, check_policy, normalise,
};
