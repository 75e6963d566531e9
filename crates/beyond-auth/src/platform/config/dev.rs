//! What `dev` is told, checked.

use std::net::SocketAddr;
use std::path::PathBuf;

use secrecy::SecretString;
use url::Url;

use super::args::{DEFAULT_DATA_DIR, DEFAULT_DEV_ADDRESS, DEFAULT_LOG_LEVEL, DevArgs};
use super::network::parse_address;
use super::problem::{ConfigError, Problem, Setting};
use super::reader::{given, is_given};
use super::resolve::{check_database_url, check_log_level};

/// What `dev` is told, checked.
#[derive(Clone, Debug)]
pub struct DevOptions {
    /// Where to listen; loopback.
    pub address: SocketAddr,
    /// Folder for the database and the generated secrets.
    pub data_dir: PathBuf,
    /// A Postgres to use instead of starting one.
    pub database_url: Option<SecretString>,
    /// Folder with `initdb` and `postgres`.
    pub pg_bin_dir: Option<PathBuf>,
    /// Where to fetch Postgres from instead of the built-in address.
    pub pg_mirror: Option<Url>,
    /// Never fetch anything.
    pub offline: bool,
    /// A log filter that has been checked to parse.
    pub log_level: String,
}

impl DevOptions {
    /// Checks the flags; every problem is in the error.
    pub fn from_args(args: &DevArgs) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let mut refuse = |name, message: String| problems.push(Problem { setting: Setting(name), message });

        let address = parse_address(given(&args.address).unwrap_or(DEFAULT_DEV_ADDRESS))
            .and_then(|address| {
                if address.ip().is_loopback() {
                    return Ok(address);
                }
                Err(format!(
                    "is {address}, which others can reach; `dev` listens on loopback only, as its mailbox and \
                     its secrets are open to whoever connects. Use `beyond-auth serve` to be reachable"
                ))
            })
            .map_err(|message| refuse("address", message));
        let database_url = args.database_url.clone().filter(is_given);
        if let Some(Err(message)) = database_url.as_ref().map(check_database_url) {
            refuse("database-url", message);
        }
        let pg_mirror = args.pg_mirror.as_deref().and_then(given).and_then(|text| match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => Some(url),
            _ => {
                refuse("pg-mirror", "is not a URL with http or https".to_owned());
                None
            }
        });
        let log_level = given(&args.log_level).unwrap_or(DEFAULT_LOG_LEVEL).to_owned();
        if let Err(message) = check_log_level(&log_level) {
            refuse("log-level", message);
        }
        let Ok(address) = address else { return Err(ConfigError::new(problems)) };
        if !problems.is_empty() {
            return Err(ConfigError::new(problems));
        }
        Ok(Self {
            address,
            data_dir: given(&args.data_dir).unwrap_or(DEFAULT_DATA_DIR).into(),
            database_url,
            pg_bin_dir: args.pg_bin_dir.as_deref().and_then(given).map(PathBuf::from),
            pg_mirror,
            offline: args.offline,
            log_level,
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches};

    use super::*;

    fn options(flags: &[&str]) -> Result<DevOptions, ConfigError> {
        let command = DevArgs::augment_args(clap::Command::new("dev"));
        let flags = std::iter::once("dev").chain(flags.iter().copied());
        DevOptions::from_args(&DevArgs::from_arg_matches(&command.get_matches_from(flags)).unwrap())
    }

    #[test]
    fn addresses_that_others_can_reach_are_refused() {
        for address in ["0.0.0.0:8080", "[::]:8080", "192.168.1.5:8080"] {
            let refusal = options(&["--address", address]).unwrap_err().to_string();
            assert!(refusal.contains("--address / ADDRESS"), "{refusal}");
            assert!(refusal.contains("loopback"), "{refusal}");
        }
        assert!(options(&["--address", "[::1]:0"]).is_ok());
        assert!(options(&["--address", "127.0.0.2:0"]).is_ok());
    }

    #[test]
    fn every_problem_is_told_at_once() {
        let refusal = options(&[
            "--address",
            "x",
            "--pg-mirror",
            "ftp://x",
            "--log-level",
            "a=b=c",
            "--database-url",
            "x",
        ])
        .unwrap_err();
        assert_eq!(refusal.problems().len(), 4, "{refusal}");
    }
}
