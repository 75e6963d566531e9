//! `beyond-auth dev`: everything on one machine with one command.

pub mod account;
pub mod fetch;
pub mod locate;
pub mod mailbox;
pub mod postgres;
pub mod progress;

mod banner;
mod private_file;
mod run;
mod secrets;

pub use run::{Error, run};
