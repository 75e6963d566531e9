//! The course of `dev`: port, database, secrets, service, banner; then waiting, and everything down again.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
    time::Instant,
};

use secrecy::SecretString;
use url::Url;

use super::{
    banner::Banner,
    mailbox,
    postgres::{self, Postgres},
    secrets::{self, Secrets},
};
use crate::platform::config::{Config, DatabaseConfig, DevOptions, OutboundRule, Pooler};
use crate::platform::mail::memory::MemoryTransport;
use crate::serve::{self, Running, StartError};

/// Enough for one machine, and leaves connections to whoever looks into the database.
const MAX_CONNECTIONS: u32 = 10;
/// Below the data folder.
const POSTGRES: &str = "postgres";
const SECRETS: &str = "secrets";

/// Why `dev` did not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The private Postgres, or the folder it lives in.
    #[error(transparent)]
    Postgres(#[from] postgres::Error),
    /// A kept secret is not one.
    #[error(
        "The value in {} {reason}.\nPut the right one back, or remove the data folder to begin anew.",
        path.display()
    )]
    Secret {
        /// The file.
        path: PathBuf,
        /// What is wrong with it; does not repeat it.
        reason: String,
    },
    /// The kept key does not belong to the database.
    #[error(
        "The key in {} is not the one this database was set up with.\nPut the right one back, or use another \
         --data-dir, or remove {} to begin anew.",
        key.display(), data.display()
    )]
    OtherKey {
        /// The file with the key.
        key: PathBuf,
        /// The folder that holds the data; what to remove.
        data: PathBuf,
    },
    /// The service itself.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The database ended while it was needed.
    #[error("Postgres ended by itself. Its log says why: {}\nStart again to go on.", log.display())]
    Ended {
        /// The log file.
        log: PathBuf,
    },
    /// The system does not tell about Ctrl-C.
    #[error("cannot wait for signals: {0}")]
    Signals(#[source] io::Error),
}

impl Error {
    /// For `map_err` on file work: `Error::disk(path)`.
    pub(super) fn disk(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Postgres(postgres::Error::Io { path, source })
    }
}

/// Starts everything, says where it is, and runs until told to stop.
pub async fn run(options: DevOptions) -> Result<(), Error> {
    let mut stop = pin!(serve::told_to_stop());
    let started = tokio::select! {
        biased;
        // Fetching and making a database can take long: what has begun is dropped, and stops by that.
        told = &mut stop => return told.map_err(Error::Signals),
        started = start(options) => started?,
    };
    let Started { running, mut database } = started;
    let outcome = tokio::select! {
        told = &mut stop => told.map_err(Error::Signals),
        log = ended(database.as_mut()) => Err(Error::Ended { log }),
    };
    // Whoever presses Ctrl-C again does not want to wait; the watchdog then stops the database.
    tokio::select! {
        () = shut_down(running, database) => outcome,
        told = serve::told_to_stop() => told.map_err(Error::Signals),
    }
}

/// Everything that runs. Dropping it stops the database without waiting.
struct Started {
    running: Running,
    database: Option<Postgres>,
}

async fn shut_down(running: Running, database: Option<Postgres>) {
    running.stop().await;
    if let Some(database) = database {
        database.stop().await;
    }
}

/// Waits until a private database is gone; forever for one that is not ours.
async fn ended(database: Option<&mut Postgres>) -> PathBuf {
    match database {
        Some(database) => {
            database.exited().await;
            database.log()
        }
        None => std::future::pending().await,
    }
}

async fn start(options: DevOptions) -> Result<Started, Error> {
    let began = Instant::now();
    // First of all: a taken port is the most common mistake, and the links need to know theirs.
    let listener = serve::bind(options.address).await?;
    let address =
        listener.local_addr().map_err(|source| StartError::Listen { address: options.address, source })?;
    let data_dir = make(&options.data_dir)?;
    let (database, url) = if let Some(url) = options.database_url {
        (None, url)
    } else {
        let database = Postgres::start(postgres::Options {
            bin_dir: options.pg_bin_dir,
            mirror: options.pg_mirror,
            offline: options.offline,
            ..postgres::Options::new(data_dir.join(POSTGRES))
        })
        .await?;
        let url = database.url("postgres");
        (Some(database), url)
    };
    let mailbox = Arc::new(MemoryTransport::default());
    let serve_options = serve::Options {
        extra: mailbox::router(mailbox.clone()),
        listener: Some(listener),
        ..serve::Options::default()
    };
    let started = match secrets::open(&data_dir.join(SECRETS)) {
        Ok(secrets) => {
            let config = config(address, url.clone(), secrets, options.log_level);
            serve::start(config, mailbox, serve_options).await.map_err(|error| explain(error, &data_dir))
        }
        Err(error) => Err(error),
    };
    let running = match started {
        Ok(running) => running,
        Err(error) => {
            if let Some(database) = database {
                database.stop().await;
            }
            return Err(error);
        }
    };
    let password = data_dir.join(POSTGRES).join("password");
    let banner = Banner {
        base: &running.app.config.public_url,
        database: &url,
        password: database.is_some().then_some(password.as_path()),
        data_dir: &data_dir,
        took: began.elapsed(),
    };
    banner.print();
    Ok(Started { running, database })
}

/// The data folder with its real name. Others may pass through it: under root, Postgres runs under an account
/// that has to. What is in it is closed to them.
fn make(data_dir: &Path) -> Result<PathBuf, Error> {
    fs::create_dir_all(data_dir).map_err(Error::disk(data_dir))?;
    let data_dir = data_dir.canonicalize().map_err(Error::disk(data_dir))?;
    // Nobody wants to commit keys and a database, wherever the folder is.
    let ignore = data_dir.join(".gitignore");
    if !ignore.exists() {
        fs::write(&ignore, "*\n").map_err(Error::disk(&ignore))?;
    }
    Ok(data_dir)
}

fn config(address: SocketAddr, url: SecretString, secrets: Secrets, log_level: String) -> Config {
    let database =
        DatabaseConfig { url, migrate_url: None, pooler: Pooler::Session, max_connections: MAX_CONNECTIONS };
    let mut config = Config::local(address, database, secrets.keyring, secrets.admin);
    // `localhost` leads to these two alone; passkeys need a name, so it is used where it can be.
    if ![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)].contains(&address.ip())
        && let Ok(url) = Url::parse(&format!("http://{address}"))
    {
        config.public_url = url;
    }
    // A front-end server on this machine may stand in between and pass on who asks.
    config.trusted_proxies =
        vec![IpAddr::V4(Ipv4Addr::LOCALHOST).into(), IpAddr::V6(Ipv6Addr::LOCALHOST).into()];
    // An identity provider may run beside us as well.
    let here = ["127.0.0.0/8", "::1", "localhost"];
    config.outbound_allow = here.iter().filter_map(|text| OutboundRule::parse(text).ok()).collect();
    config.log_level = log_level;
    config
}

fn explain(error: StartError, data_dir: &Path) -> Error {
    match error {
        StartError::KeyEncryptionKey(_) => {
            Error::OtherKey { key: data_dir.join(SECRETS).join(secrets::KEY), data: data_dir.to_owned() }
        }
        error => Error::Start(error),
    }
}
