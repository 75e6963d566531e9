//! `dev`: everything on one machine.

use super::Failure;
use crate::dev;
use crate::platform::config::args::DevArgs;
use crate::platform::config::{DevOptions, Environment};
use crate::platform::telemetry;

pub(super) async fn run(args: &DevArgs) -> Result<(), Failure> {
    let options = DevOptions::from_args(args)?;
    telemetry::install(Environment::Development, &options.log_level);
    Ok(dev::run(options).await?)
}
