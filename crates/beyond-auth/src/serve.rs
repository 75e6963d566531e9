//! Starting and stopping the service.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api_keys;
use crate::app::{App, Handles};
use crate::platform::config::Config;
use crate::platform::crypto::password::{HasherConfig, PasswordHasher};
use crate::platform::db::{DatabaseConfig, Db, migrate};
use crate::platform::http::server;
use crate::platform::key_check;
use crate::platform::mail::Transport;
use crate::platform::mail::outbox::Outbox;
use crate::platform::mail::render::{LoadError, Templates};
use crate::platform::mail::worker::Schedule;
use crate::platform::outbound::Outbound;
use crate::sessions::Verification;
use crate::{jobs, router};

/// Why the service did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Migrations could not be applied.
    #[error(transparent)]
    Migrate(#[from] migrate::Error),
    /// The database did not answer.
    #[error("the database cannot be reached: {0}")]
    Database(#[from] sqlx::Error),
    /// The key-encryption key is not the one the database was sealed with.
    #[error(transparent)]
    KeyEncryptionKey(key_check::Error),
    /// A mail template of the operator's is broken.
    #[error(transparent)]
    Templates(#[from] LoadError),
    /// The address cannot be listened on.
    #[error(
        "cannot listen on {address}: {source}. Stop what uses it, or choose another with --address / ADDRESS"
    )]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
}

impl From<key_check::Error> for StartError {
    fn from(error: key_check::Error) -> Self {
        match error {
            key_check::Error::Database(error) => Self::Database(error),
            wrong @ key_check::Error::WrongKey => Self::KeyEncryptionKey(wrong),
        }
    }
}

/// Parts that tests and `dev` choose differently from production.
#[derive(Debug, Default)]
pub struct Options {
    /// Cost of password hashes.
    pub hasher: HasherConfig,
    /// How mail is retried.
    pub mail: Schedule,
    /// Further routes.
    pub extra: Router,
    /// A listener of [`bind`], in place of one on the configuration's address.
    pub listener: Option<TcpListener>,
}

/// A running service.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its state.
    pub app: App,
    server: tokio::task::JoinHandle<()>,
}

/// Listens on an address; port 0 lets the system choose.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })
}

/// Migrates, checks the keys, starts the jobs and listens.
pub async fn start(
    config: Config,
    transport: Arc<dyn Transport>,
    options: Options,
) -> Result<Running, StartError> {
    let templates = Arc::new(Templates::load(config.mail.templates.as_deref())?);
    // Before anything is touched: a taken port is the most common mistake.
    let listener = match options.listener {
        Some(listener) => listener,
        None => bind(config.address).await?,
    };
    let address =
        listener.local_addr().map_err(|source| StartError::Listen { address: config.address, source })?;

    // Verification has its own share, so that no other request can hold it up.
    let most = config.database.max_connections;
    let own = Verification::connections(most) + api_keys::Verification::connections(most);
    let others = most.saturating_sub(own).max(1);
    let db = Db::new(&DatabaseConfig { max_connections: others, ..config.database.clone() })?;
    prepare(&db, &config).await?;

    let verification = Verification::new(&config.database)?;
    let api_keys = api_keys::Verification::new(&config.database)?;
    let app = App::new(Handles {
        keyring: config.keyring.clone(),
        outbox: Outbox::new(&config.public_url),
        outbound: Outbound::new(&config.outbound_allow),
        config,
        db,
        verification,
        api_keys,
        hasher: PasswordHasher::new(options.hasher),
        activity: Arc::default(),
        unlinked: Arc::default(),
        tasks: TaskTracker::new(),
        shutdown: CancellationToken::new(),
    });
    jobs::spawn(&app, transport, templates, options.mail);
    let service = router::router(&app, options.extra);
    let server = tokio::spawn(server::serve(listener, service, app.shutdown.clone()));
    Ok(Running { address, app, server })
}

/// Migrates and checks the keys: with a wrong key, not even a migration is written.
async fn prepare(db: &Db, config: &Config) -> Result<(), StartError> {
    if let Ok(mut conn) = db.acquire().await {
        key_check::refuse_wrong(&mut conn, &config.keyring).await?;
    }
    // Where there was no connection, this says why better than the pool can.
    let report = migrate::run(&config.database, config.allow_newer_schema).await?;
    tracing::info!(applied = report.applied, version = report.version, "schema `auth` is up to date");
    let mut conn = db.acquire().await?;
    Ok(key_check::ensure(&mut conn, &config.keyring).await?)
}

/// Jobs have this long to end after the last request was answered.
const JOBS_TIMEOUT: Duration = Duration::from_secs(11);

impl Running {
    /// Stops accepting, lets requests and mails in flight finish, closes the pool.
    pub async fn stop(self) {
        self.app.shutdown.cancel();
        if let Err(error) = self.server.await {
            tracing::error!(%error, "the server ended badly");
        }
        self.app.tasks.close();
        if tokio::time::timeout(JOBS_TIMEOUT, self.app.tasks.wait()).await.is_err() {
            tracing::warn!("background work was cut off");
        }
        self.app.verification.close().await;
        self.app.api_keys.close().await;
        self.app.db.close().await;
    }
}

/// Returns when the system asks the process to end.
pub async fn told_to_stop() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        Ok(())
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}
