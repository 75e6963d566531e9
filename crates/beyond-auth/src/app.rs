//! The only state of the process: handles, nothing that a restart could lose.

use std::ops::Deref;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api_keys::Verification as ApiKeyVerification;
use crate::platform::config::Config;
use crate::platform::crypto::envelope::Keyring;
use crate::platform::crypto::password::PasswordHasher;
use crate::platform::db::Db;
use crate::platform::mail::outbox::Outbox;
use crate::platform::outbound::Outbound;
use crate::sessions::Verification;

/// What every handler and job works with. Cheap to clone.
#[derive(Clone, Debug)]
pub struct App(Arc<Handles>);

/// The handles behind [`App`].
#[derive(Debug)]
pub struct Handles {
    /// The validated configuration.
    pub config: Config,
    /// The database.
    pub db: Db,
    /// Verifies sessions on connections of its own.
    pub verification: Verification,
    /// Verifies API keys on connections of its own.
    pub api_keys: ApiKeyVerification,
    /// Seals and opens columns.
    pub keyring: Keyring,
    /// Hashes passwords on threads of its own.
    pub hasher: PasswordHasher,
    /// Calls others, such as a collection of breached passwords.
    pub outbound: Outbound,
    /// Queues mail; wake it after the commit.
    pub outbox: Outbox,
    /// Notified with every request: housekeeping runs only where there is use.
    pub activity: Arc<Notify>,
    /// Notified where identities may have gone: what providers handed out for them is to be revoked.
    pub unlinked: Arc<Notify>,
    /// Work that outlives its request; waited for at shutdown.
    pub tasks: TaskTracker,
    /// Cancelled when the process is to end.
    pub shutdown: CancellationToken,
}

impl App {
    /// Shares the handles.
    pub fn new(handles: Handles) -> Self {
        Self(Arc::new(handles))
    }
}

impl Deref for App {
    type Target = Handles;
    fn deref(&self) -> &Handles {
        &self.0
    }
}
