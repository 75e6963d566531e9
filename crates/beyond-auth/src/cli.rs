//! The command line: what can be said, and how each command ends.
//!
//! Exit codes are a promise to supervisors and scripts: see [`Failure`]. What a command produces goes to
//! standard output; logs, hints and errors go to standard error.

mod config_check;
mod dev;
mod doctor;
mod failure;
mod healthcheck;
mod keys;
mod mail;
mod migrate;
mod openapi;
mod serve;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;

use crate::platform::config::args::{DevArgs, MigrateArgs, ServeArgs};

pub use failure::Failure;

const EXAMPLES: &str = "\
Examples:
  Try it on this machine, database included:
    beyond-auth dev

  Make the two secrets a deployment needs:
    beyond-auth keys generate

  Run it:
    export DATABASE_URL=postgres://user:password@host:5432/dbname
    export SIGNING_KEY_ENCRYPTION_KEY=… ADMIN_SECRET=…   # from `keys generate`
    beyond-auth serve --webauthn-rp-id example.com --webauthn-rp-origin https://example.com

Exit codes: 0 ok, 1 runtime failure, 2 usage or configuration, 3 database unreachable, 4 migration failed";

const SERVE_EXAMPLES: &str = "\
Examples:
  Secrets from files (systemd credentials, mounted secrets) instead of variables:
    beyond-auth serve --database-url-file /run/secrets/database-url \\
      --signing-key-encryption-key-file /run/secrets/kek --admin-secret-file /run/secrets/admin \\
      --webauthn-rp-id example.com --webauthn-rp-origin https://login.example.com

  Behind pgbouncer in transaction mode, with a direct connection for migrations:
    beyond-auth serve --database-pooler transaction \\
      --database-url postgres://auth@pgbouncer:6432/app --migrate-database-url postgres://owner@db:5432/app …

  Replace the key-encryption key without downtime: the new one first, the old one still opens:
    SIGNING_KEY_ENCRYPTION_KEY=$NEW SIGNING_KEY_ENCRYPTION_KEY_OLD=$OLD beyond-auth serve …

An empty variable counts as one that is not set. A flag wins over its variable. Flags are visible to other
users of the machine (ps): prefer variables or files for secrets.
Secrets have no default: make them with `beyond-auth keys generate`.";

/// Authenticate users, issue tokens and manage sessions, on your own Postgres.
#[derive(Debug, Parser)]
#[command(name = "beyond-auth", version, after_help = EXAMPLES, arg_required_else_help = true)]
#[command(propagate_version = false, max_term_width = 110)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service; migrates the database first
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(Box<ServeArgs>),

    /// Bring the database's schema `auth` up to date and exit
    ///
    /// Safe to run from any number of places at once, and on a database that is up to date already.
    #[command(after_help = "Example:\n  beyond-auth migrate --database-url \"postgres://…\"")]
    Migrate(Box<MigrateArgs>),

    /// Run everything on this machine for development: database, secrets, mailbox
    #[command(
        after_help = "Examples:\n  beyond-auth dev\n  beyond-auth dev --address 127.0.0.1:9090 --data-dir /tmp/try-it"
    )]
    Dev(Box<DevArgs>),

    /// Make keys and secrets
    #[command(subcommand)]
    Keys(keys::KeysCommand),

    /// Look at the mails that the service sends
    #[command(subcommand)]
    Mail(mail::MailCommand),

    /// Look at the configuration
    #[command(subcommand)]
    Config(ConfigCommand),

    /// Check configuration, database, clock and migrations, and say what to do about each
    #[command(after_help = SERVE_EXAMPLES)]
    Doctor(Box<ServeArgs>),

    /// Ask a running service on this machine whether it is alive (for images without curl)
    Healthcheck(healthcheck::HealthcheckArgs),

    /// Print the OpenAPI description of the HTTP API
    Openapi,

    /// Print a completion script for a shell
    #[command(after_help = "Example:\n  beyond-auth completions bash > /etc/bash_completion.d/beyond-auth")]
    Completions {
        /// Which shell
        shell: Shell,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Read the configuration as `serve` would, and show the result without its secrets
    #[command(after_help = SERVE_EXAMPLES)]
    Check(Box<ServeArgs>),
}

/// Every command, flag and variable, as clap knows them.
pub fn definition() -> clap::Command {
    Cli::command()
}

/// Parses `words` (the program's name first). What ends here already, such as `--help` or a flag that does
/// not exist, has been printed and yields its exit code.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Cli, ExitCode> {
    definition()
        .try_get_matches_from(words)
        .and_then(|mut matches| Cli::from_arg_matches_mut(&mut matches))
        .map_err(|error| {
            let error = without_stray_value(error);
            // Nobody is left to tell when even this cannot be printed.
            drop(error.print());
            u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
        })
}

/// A word that belongs to no flag is not repeated: it may be the second half of a list of secrets that was
/// written with a blank after the comma.
fn without_stray_value(mut error: clap::Error) -> clap::Error {
    if error.kind() != ErrorKind::UnknownArgument {
        return error;
    }
    if let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidArg)
        && !word.starts_with("--")
    {
        let hint = "<a value without a flag; is there a blank in a list?>".to_owned();
        error.insert(ContextKind::InvalidArg, ContextValue::String(hint));
        error.remove(ContextKind::Suggested);
    }
    error
}

/// Carries out what was asked for.
pub async fn run(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Command::Serve(args) => serve::run(&args).await,
        Command::Migrate(args) => migrate::run(&args).await,
        Command::Dev(args) => dev::run(&args).await,
        Command::Keys(keys::KeysCommand::Generate) => keys::generate(),
        Command::Mail(command) => mail::run(&command),
        Command::Config(ConfigCommand::Check(args)) => config_check::run(&args).await,
        Command::Doctor(args) => doctor::run(&args).await,
        Command::Healthcheck(args) => healthcheck::run(&args).await,
        Command::Openapi => openapi::run(),
        Command::Completions { shell } => completions(shell),
    }
}

fn completions(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut definition(), "beyond-auth", &mut script);
    write_out(&script)
}

/// Writes a command's result to standard output. A reader that has seen enough (`| head`) is no failure.
fn write_out(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Runtime(format!("cannot write the result: {error}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "cli/reference_tests.rs"]
mod reference_tests;
