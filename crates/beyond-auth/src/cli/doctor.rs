//! `doctor`: what is wrong, and what to do about it.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sqlx::Connection;
use sqlx::postgres::PgConnection;

use super::{Failure, write_out};
use crate::platform::config::args::ServeArgs;
use crate::platform::config::{DatabaseConfig, Environment, load};
use crate::platform::db::{connect_options, migrate};
use crate::platform::telemetry;

/// Skew of clocks that is worth a word. Expiry is the database's alone, so skew breaks no session; it
/// breaks signed tokens and the reading of logs.
const TOLERATED_SKEW: Duration = Duration::from_secs(5);
/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs the checks in order; a check whose ground is missing is not made. The first failure decides the
/// exit code.
pub(super) async fn run(args: &ServeArgs) -> Result<(), Failure> {
    telemetry::install(Environment::parse(args.telemetry.environment.trim()), &args.telemetry.log_level);
    let config = load(args).await?;
    report("ok", "configuration", "complete")?;
    let mut conn = connect(&config.database).await?;
    report("ok", "database", "reached")?;
    check_clock(&mut conn).await?;
    check_migrations(&mut conn).await
}

async fn connect(database: &DatabaseConfig) -> Result<PgConnection, Failure> {
    let unreachable = |why: String| {
        Failure::DatabaseUnreachable(format!(
            "the database cannot be reached: {why}. Check --database-url / DATABASE_URL, and that Postgres runs \
             and accepts this role"
        ))
    };
    let options =
        connect_options(&database.url, database.pooler).map_err(|error| unreachable(error.to_string()))?;
    tokio::time::timeout(CONNECT_TIMEOUT, PgConnection::connect_with(&options))
        .await
        .map_err(|_| unreachable(format!("no answer within {} s", CONNECT_TIMEOUT.as_secs())))?
        .map_err(|error| unreachable(error.to_string()))
}

async fn check_clock(conn: &mut PgConnection) -> Result<(), Failure> {
    let before = since_epoch();
    let database: f64 = sqlx::query_scalar("SELECT extract(epoch FROM clock_timestamp())::float8")
        .persistent(false)
        .fetch_one(conn)
        .await
        .map_err(|error| Failure::DatabaseUnreachable(format!("the database does not answer: {error}")))?;
    // The database read its clock somewhere between the two readings of ours.
    let skew = skew(database, before.as_secs_f64(), since_epoch().as_secs_f64());
    if skew > TOLERATED_SKEW {
        let text = format!(
            "this machine and the database differ by {:.0} s; let both follow a time server (NTP)",
            skew.as_secs_f64()
        );
        return report("warning", "clock", &text);
    }
    report("ok", "clock", "agrees with the database's")
}

/// Distance of a reading from the span in which it was made, in seconds since the epoch.
fn skew(reading: f64, before: f64, after: f64) -> Duration {
    Duration::from_secs_f64((before - reading).max(reading - after).max(0.0))
}

async fn check_migrations(conn: &mut PgConnection) -> Result<(), Failure> {
    let known = migrate::known_version();
    match migrate::applied_version(conn).await? {
        Some(found) if found == known => report("ok", "migrations", &format!("up to date (version {found})")),
        Some(found) if found > known => Err(Failure::Migration(format!(
            "schema `auth` is at version {found}, this build knows up to {known}: deploy the newer version, or \
             start with --allow-newer-schema"
        ))),
        found => {
            let found = found.map_or_else(|| "nothing".to_owned(), |found| format!("version {found}"));
            let text = format!(
                "{found} of {known} is applied; `beyond-auth serve` or `beyond-auth migrate` will do it"
            );
            report("warning", "migrations", &text)
        }
    }
}

fn since_epoch() -> Duration {
    // A clock before 1970 shows as a skew of decades, which is what it is.
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn report(state: &str, subject: &str, text: &str) -> Result<(), Failure> {
    let mut line = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(line, "{state:<9}{subject:<15}{text}");
    write_out(line.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_within_its_span_is_no_skew() {
        assert_eq!(skew(10.5, 10.0, 11.0), Duration::ZERO);
        assert_eq!(skew(4.0, 10.0, 11.0), Duration::from_secs(6));
        assert_eq!(skew(20.0, 10.0, 11.0), Duration::from_secs(9));
    }
}
