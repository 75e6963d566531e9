//! `serve`: the service itself.

use std::pin::pin;
use std::sync::Arc;

use super::Failure;
use super::config_check::place;
use crate::platform::config::args::ServeArgs;
use crate::platform::config::{Config, ConfigError, Environment, MailTransport, Setting, load};
use crate::platform::db::migrate;
use crate::platform::mail::memory::MemoryTransport;
use crate::platform::mail::smtp::SmtpTransport;
use crate::platform::mail::{NoServer, Transport};
use crate::platform::telemetry;
use crate::serve::{self, Options, StartError};

pub(super) async fn run(args: &ServeArgs) -> Result<(), Failure> {
    telemetry::install(Environment::parse(args.telemetry.environment.trim()), &args.telemetry.log_level);
    let config = load(args).await?;
    let transport = transport(&config)?;
    let database = place(&config.database);
    let public_url = config.public_url.clone();
    // One waiting from the start on: a signal between two waits would be lost.
    let mut stop = pin!(serve::told_to_stop());
    let running = tokio::select! {
        biased;
        // Starting can take long: migrations wait for those of another instance.
        told = &mut stop => return told.map_err(signals),
        running = serve::start(config, transport, Options::default()) => running?,
    };
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        address = %running.address,
        %public_url,
        %database,
        "ready"
    );
    let told = stop.await.map_err(signals);
    tracing::info!("stopping: finishing what is in flight");
    running.stop().await;
    told
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn signals(error: std::io::Error) -> Failure {
    Failure::Runtime(format!("cannot listen for signals: {error}"))
}

/// Who carries the mail.
fn transport(config: &Config) -> Result<Arc<dyn Transport>, Failure> {
    Ok(match &config.mail.transport {
        MailTransport::Smtp(url) => Arc::new(
            SmtpTransport::from_url(url)
                .map_err(|why| ConfigError::of(Setting::SMTP_URL, why.to_string()))?,
        ),
        MailTransport::Memory => Arc::new(MemoryTransport::default()),
        MailTransport::None => Arc::new(NoServer),
    })
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Migrate(error) => error.into(),
            StartError::Database(error) => migrate::Error::Unreachable(error).into(),
            StartError::KeyEncryptionKey(why) => {
                Self::Config(ConfigError::of(Setting::SIGNING_KEY_ENCRYPTION_KEY, why.to_string()))
            }
            StartError::Templates(why) => {
                Self::Config(ConfigError::of(Setting::MAIL_TEMPLATES, why.to_string()))
            }
            StartError::Listen { .. } => Self::Runtime(error.to_string()),
        }
    }
}
