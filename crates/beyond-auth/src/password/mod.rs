//! Passwords: at most one per user, Argon2id, checked on threads of their own.
//!
//! Invariants: unknown address and wrong password take the same time and give the same answer; the budget of
//! guesses is charged before the guess is checked; no transaction is open while a hash is computed; a changed
//! password ends every other session in the same transaction; a reset ends all of them and gives none; a password is
//! removed only where another way in remains.

mod breach;
pub mod flow;
pub mod mails;
pub mod reset;
pub mod routes;
pub mod store;
