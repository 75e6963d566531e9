//! The single integration binary: behaviour through HTTP, on real Postgres.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod architecture;
mod bad_input;
mod browser;
mod client_config;
mod coalesce;
mod config;
mod dev;
mod dev_postgres;
mod documents;
mod emails;
mod errors;
mod import;
mod jwt;
mod kek;
mod limits;
mod magic_link;
mod mail;
mod mail_preview;
mod mfa;
mod openapi;
mod outage;
mod pages;
mod passkeys;
mod password_reset;
mod readme;
mod refresh;
mod schema;
mod security;
mod sessions;
mod sign_up;
mod start;
mod sudden_death;
mod support;
mod totp;
mod unauthorized;
