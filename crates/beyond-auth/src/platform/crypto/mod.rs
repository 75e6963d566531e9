//! Everything cryptographic: randomness, tokens, sealing, signing, password hashing, public keys of authenticators and of
//! identity providers.

pub mod cose;
pub mod envelope;
pub mod es256;
pub mod jws;
pub mod jwt;
pub mod password;
pub mod pkce;
pub mod random;
pub mod recovery_code;
pub mod token;
pub mod totp;
