//! Signing in with an account elsewhere: OpenID Connect and OAuth 2 as a client of providers that the operator names.
//!
//! Invariants: an answer counts only in the browser that was sent out for it, once, for the purpose and the provider it
//! was sent out for; every answer is bound to our own PKCE verifier, and an identity token to our nonce; issuer, keys and
//! endpoints come from the stored configuration, never from what a visitor or a token says; who somebody is follows from
//! issuer and subject alone, and an address counts only where the provider vouches for it by a boolean of the same
//! document and the operator trusts the provider with addresses; no connection of the database is held while a provider
//! is asked; visitors learn that they were refused, the operator learns why.

pub mod assertion;
pub mod check;
pub mod cookie;
pub mod discovery;
pub mod documents;
pub mod exchange;
pub mod flow;
pub mod id_token;
pub mod keys;
pub mod kinds;
pub mod linking;
pub mod model;
pub mod providers;
pub mod redemption;
pub mod redirect;
pub mod refusal;
pub mod revocation;
pub mod routes;
pub mod store;
pub mod tokens;

pub use assertion::{Assertion, Claims, Evidence};
pub use model::{Definition, Kind, Provider};
pub use refusal::{Code, Error, Refusal};

pub use providers::SEALED_SECRET;
pub use tokens::SEALED_TOKENS;
