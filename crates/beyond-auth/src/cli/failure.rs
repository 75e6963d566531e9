//! How a command fails, and with which exit code.

use std::fmt;
use std::process::ExitCode;

use crate::platform::config::{ConfigError, LoadError};

/// A command's failure. Its text says what to do next and holds no secret.
#[derive(Debug)]
pub enum Failure {
    /// Exit code 1: something went wrong while running.
    Runtime(String),
    /// Exit code 2: missing or malformed settings.
    Config(ConfigError),
    /// Exit code 2: anything else about how the command was called.
    Usage(String),
    /// Exit code 3: the database does not answer.
    DatabaseUnreachable(String),
    /// Exit code 4: the database answers, but its schema could not be brought up to date.
    Migration(String),
}

impl Failure {
    /// The exit code promised for this kind.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Runtime(_) => 1,
            Self::Config(_) | Self::Usage(_) => 2,
            Self::DatabaseUnreachable(_) => 3,
            Self::Migration(_) => 4,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => {
                write!(f, "{error}\n\nThe command's --help explains every setting")
            }
            Self::Runtime(text)
            | Self::Usage(text)
            | Self::DatabaseUnreachable(text)
            | Self::Migration(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Failure {}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Invalid(error) => Self::Config(error),
            LoadError::Metadata(error) => Self::Runtime(error.to_string()),
        }
    }
}

impl From<crate::platform::db::migrate::Error> for Failure {
    fn from(error: crate::platform::db::migrate::Error) -> Self {
        use crate::platform::db::migrate::Error;
        match error {
            Error::Unreachable(_) => Self::DatabaseUnreachable(format!(
                "{error}. Check --database-url / DATABASE_URL, and that Postgres runs and accepts this role"
            )),
            _ => Self::Migration(error.to_string()),
        }
    }
}

impl From<crate::dev::Error> for Failure {
    fn from(error: crate::dev::Error) -> Self {
        use crate::dev::Error;
        use crate::dev::postgres::Error as PostgresError;
        match error {
            Error::Start(error) => error.into(),
            Error::Postgres(PostgresError::Locate(_) | PostgresError::Offline) => {
                Self::Usage(error.to_string())
            }
            _ => Self::Runtime(error.to_string()),
        }
    }
}
