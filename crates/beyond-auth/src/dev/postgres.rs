//! A private Postgres, supervised: made, started, adopted after a crash, stopped with us.
//!
//! It listens on 127.0.0.1 alone, on a port of its own, with a password drawn here. Who started it holds a
//! lock on its folder; a watchdog stops it should that process end without stopping it. When both were
//! killed, the next run finds the server alive and takes it over.

mod error;
mod home;
mod pid_file;
mod start;
mod watchdog;

use std::{
    path::{Path, PathBuf},
    process::Child,
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

pub use self::error::Error;
use self::{home::Home, pid_file::PidFile, watchdog::Watchdog};
use super::{
    locate,
    progress::{Progress, Terminal},
};

/// The superuser of the private cluster.
pub const USER: &str = "postgres";

/// How to run a private Postgres. [`Options::new`] has what `dev` wants.
#[derive(Debug, Clone)]
pub struct Options {
    /// The cluster's folder; made when missing. Postgres's own files are in `data` below it.
    pub data_dir: PathBuf,
    /// The folder with `postgres` and `initdb`, in place of any search.
    pub bin_dir: Option<PathBuf>,
    /// Where fetched binaries are kept; by default the user's cache folder.
    pub cache_dir: Option<PathBuf>,
    /// Fetch nothing.
    pub offline: bool,
    /// Where to fetch from instead of the releases.
    pub mirror: Option<Url>,
    /// Pass over installed binaries.
    pub ignore_installed: bool,
    /// `false` for data that may go: nothing is forced to disk, and `data_dir` is removed when the server
    /// stops.
    pub durable: bool,
    /// Postgres's `max_connections`.
    pub max_connections: u32,
    /// Where long steps are shown.
    pub progress: Arc<dyn Progress>,
}

impl Options {
    /// A durable cluster with binaries found in the usual order, reporting on standard error.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            bin_dir: None,
            cache_dir: None,
            offline: false,
            mirror: None,
            ignore_installed: locate::ignore_installed_from_environment(),
            durable: true,
            max_connections: 100,
            progress: Arc::new(Terminal::default()),
        }
    }
}

/// A running private Postgres. Dropping it stops the server, without waiting; [`Postgres::stop`] waits.
#[derive(Debug)]
pub struct Postgres {
    home: Home,
    bin_dir: PathBuf,
    port: u16,
    pid: u32,
    password: SecretString,
    /// `None` for a server that an earlier run started.
    child: Option<Child>,
    watchdog: Watchdog,
}

impl Postgres {
    /// Starts the cluster in `options.data_dir`, making it and fetching binaries where needed, or takes over
    /// its server when that still runs.
    pub async fn start(options: Options) -> Result<Self, Error> {
        start::start(&options).await
    }

    /// How to connect as the superuser. Contains the password.
    pub fn url(&self, database: &str) -> SecretString {
        let (password, port) = (self.password.expose_secret(), self.port);
        format!("postgres://{USER}:{password}@127.0.0.1:{port}/{database}").into()
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder with the binaries, `pg_dump` often among them.
    pub fn bin_dir(&self) -> &Path {
        &self.bin_dir
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The server's log file.
    pub fn log(&self) -> PathBuf {
        self.home.log()
    }

    /// Whether an earlier run had started this server.
    pub fn was_adopted(&self) -> bool {
        self.child.is_none()
    }

    /// Waits until the server is gone by itself.
    pub async fn exited(&mut self) {
        while self.is_running() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Stops the server and waits for it: open transactions are rolled back (a "fast" shutdown), and after
    /// ten seconds it is ended the hard way, which the next start recovers from.
    pub async fn stop(mut self) {
        self.signal(Signal::INT);
        if !self.wait_until_gone(Duration::from_secs(10)).await {
            tracing::warn!(pid = self.pid, "Postgres does not stop; ending it at once");
            self.signal(Signal::QUIT);
            self.wait_until_gone(Duration::from_secs(5)).await;
        }
        let began = Instant::now();
        while !self.watchdog.release() && began.elapsed() < Duration::from_secs(5) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn signal(&mut self, signal: Signal) {
        // Once the server is gone its id may be another process's.
        if self.is_running()
            && let Some(pid) = raw(self.pid)
        {
            let _ = kill_process(pid, signal);
        }
    }

    async fn wait_until_gone(&mut self, longest: Duration) -> bool {
        let began = Instant::now();
        while self.is_running() {
            if began.elapsed() > longest {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        true
    }

    fn is_running(&mut self) -> bool {
        match &mut self.child {
            Some(child) => matches!(child.try_wait(), Ok(None)),
            // Not our child, and in a container perhaps reaped by nobody: a server that has ended well has
            // removed its pid file.
            None => {
                PidFile::read(&self.home.data()).is_some_and(|file| file.pid == self.pid)
                    && process_exists(self.pid)
            }
        }
    }
}

fn raw(pid: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(pid).ok()?)
}

fn process_exists(pid: u32) -> bool {
    raw(pid).is_some_and(|pid| match test_kill_process(pid) {
        Ok(()) => true,
        // Alive, and not ours to signal.
        Err(error) => error == rustix::io::Errno::PERM,
    })
}
