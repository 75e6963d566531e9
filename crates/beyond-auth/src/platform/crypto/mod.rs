//! Everything cryptographic: randomness, tokens, sealing, signing, password hashing.

pub mod envelope;
pub mod jwt;
pub mod password;
pub mod random;
pub mod token;
