//! API keys: what servers present, of a person, of an organization, or of the project itself.
//!
//! Invariants: the database holds only the SHA-256 of a key's secret, and of the one before while a rotation overlaps;
//! whether a key opens anything is decided by the database's clock in the statement that reads it, and nothing about a
//! key is kept in the process; whose it is comes from the key alone, never from what is sent along; nobody gives a key
//! more than he holds, and scopes of the service itself go to keys of the project alone.

pub mod flow;
pub mod introspection;
pub mod manager;
pub mod model;
pub mod routes;
pub mod scopes;
pub mod store;
pub mod verification;

pub use manager::By;
pub use model::{ApiKey, Key, Owner};
pub use scopes::Scope;
pub use verification::Verification;
