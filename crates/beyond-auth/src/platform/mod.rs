//! Plumbing: knows no feature, is used by all of them.

pub mod config;
pub mod crypto;
pub mod db;
pub mod http;
pub mod ids;
pub mod key_check;
pub mod limits;
pub mod mail;
pub mod outbound;
pub mod qr;
pub mod sealed;
pub mod telemetry;
