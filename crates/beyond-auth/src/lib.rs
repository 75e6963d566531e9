//! Authentication and authorization on the project's own Postgres.
//!
//! Map and arrows: `main → cli → app, router, jobs → slices → platform`. A slice never reaches into
//! another slice's `store`; `tests/it/architecture.rs` holds the allowed arrows as a table.

// The house: one process object, one page of routes, one page of jobs.
pub mod app;
pub mod caller;
pub mod cli;
pub mod cors;
pub mod dev;
pub mod health;
pub mod jobs;
pub mod router;
pub mod serve;

// Plumbing that knows no feature.
pub mod platform;

// Slices: one folder per URL noun.
pub mod admin;
pub mod api_keys;
pub mod audit;
pub mod door;
pub mod emails;
pub mod identities;
pub mod magic_link;
pub mod oauth;
pub mod orgs;
pub mod pages;
pub mod passkeys;
pub mod password;
pub mod refresh;
pub mod sessions;
pub mod settings;
pub mod sign_in;
pub mod sign_out;
pub mod sign_up;
pub mod signing_keys;
pub mod totp;
pub mod users;
