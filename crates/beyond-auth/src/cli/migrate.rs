//! `migrate`: the schema, without the service.

use super::Failure;
use crate::platform::config::args::MigrateArgs;
use crate::platform::config::{Environment, load_database};
use crate::platform::{db, telemetry};

pub(super) async fn run(args: &MigrateArgs) -> Result<(), Failure> {
    telemetry::install(Environment::parse(args.telemetry.environment.trim()), &args.telemetry.log_level);
    let (database, allow_newer_schema) = load_database(args).await?;
    let report = db::migrate::run(&database, allow_newer_schema).await?;
    tracing::info!(applied = report.applied, version = report.version, "schema `auth` is up to date");
    Ok(())
}
