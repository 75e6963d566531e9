//! Every background job of the service. None of them asks the database anything while nobody uses the service.

use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use crate::platform::config::MailTransport;
use crate::platform::limits;
use crate::platform::mail::Transport;
use crate::platform::mail::outbox;
use crate::platform::mail::render::Templates;
use crate::platform::mail::worker::{Composers, Schedule, Worker};
use crate::{
    api_keys, emails, identities, magic_link, oauth, orgs, passkeys, password, refresh, sessions, sign_in,
    signing_keys, totp,
};

/// Expired rows may lie about this long; nothing reads them.
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_mins(10);
/// Rows deleted by one statement: short locks, small transactions.
const BATCH: i64 = 500;
/// Sent mails stay listed this long.
const KEEP_SENT_MAIL: Duration = Duration::from_hours(7 * 24);

/// Who fills in which mail.
pub fn composers(app: &App) -> Composers {
    let public_url = app.config.public_url.clone();
    let verify = emails::mails::VerifyEmail { keyring: app.keyring.clone(), public_url: public_url.clone() };
    let notice = |template| emails::mails::Notice { template, public_url: public_url.clone() };
    let changed = |template| password::mails::Notice { template, public_url: public_url.clone() };
    let composers = Composers::new()
        .with(emails::mails::EMAIL_ADDED, notice(emails::mails::EMAIL_ADDED))
        .with(emails::mails::EMAIL_REMOVED, notice(emails::mails::EMAIL_REMOVED))
        .with(emails::mails::PRIMARY_CHANGED, notice(emails::mails::PRIMARY_CHANGED))
        .with(emails::mails::VERIFY_EMAIL, verify)
        .with(emails::mails::ADDRESS_TAKEN, emails::mails::AddressTaken { public_url: public_url.clone() })
        .with(
            magic_link::mails::MAGIC_LINK,
            magic_link::mails::MagicLink { keyring: app.keyring.clone(), public_url: public_url.clone() },
        )
        .with(orgs::mails::INVITATION, orgs::mails::Invite { public_url: public_url.clone() })
        .with(password::mails::PASSWORD_CHANGED, changed(password::mails::PASSWORD_CHANGED))
        .with(password::mails::PASSWORD_REMOVED, changed(password::mails::PASSWORD_REMOVED))
        .with(
            password::mails::PASSWORD_RESET,
            password::mails::ResetPassword { public_url: public_url.clone() },
        )
        .with(identities::mails::IDENTITY_ADDED, notice(identities::mails::IDENTITY_ADDED))
        .with(identities::mails::IDENTITY_REMOVED, notice(identities::mails::IDENTITY_REMOVED))
        .with(passkeys::mails::PASSKEY_ADDED, notice(passkeys::mails::PASSKEY_ADDED))
        .with(passkeys::mails::PASSKEY_REMOVED, notice(passkeys::mails::PASSKEY_REMOVED));
    totp::mails::register(composers, &app.config.public_url)
}

/// Starts the jobs on the app's task tracker; they end with its shutdown.
pub fn spawn(app: &App, transport: Arc<dyn Transport>, templates: Arc<Templates>, schedule: Schedule) {
    let worker = Worker {
        db: app.db.clone(),
        outbox: app.outbox.clone(),
        transport,
        templates,
        composers: composers(app),
        from: app.config.mail.from.clone(),
        product_name: app.config.public_url.host_str().unwrap_or("beyond-auth").to_owned(),
        public_url: app.config.public_url.clone(),
        schedule,
    };
    if matches!(app.config.mail.transport, MailTransport::None) {
        // Tokens are minted when a mail leaves, so what waits is as good as new when a server is there.
        tracing::warn!(
            "no mail server is configured (--smtp-url / SMTP_URL): mails wait in the outbox, and nobody can verify an address"
        );
    } else {
        app.tasks.spawn(worker.run(app.shutdown.clone()));
    }
    app.tasks.spawn(housekeeping(app.clone()));
    app.tasks.spawn(oauth::revocation::run(app.clone()));
    app.tasks.spawn(sessions::verification::write_last_seen(app.clone()));
    app.tasks.spawn(api_keys::verification::write_last_used(app.clone()));
}

/// Deletes what has expired: after activity, and then not again for a while.
async fn housekeeping(app: App) {
    loop {
        tokio::select! {
            () = app.shutdown.cancelled() => return,
            () = app.activity.notified() => {}
        }
        if let Err(error) = purge(&app).await {
            tracing::debug!(%error, "housekeeping will try again later");
        }
        // Identities may have gone on an instance that went right after.
        app.unlinked.notify_one();
        if let Err(error) = signing_keys::flow::keep_rotating(&app).await {
            tracing::debug!(%error, "the next signing key will be published later");
        }
        tokio::select! {
            () = app.shutdown.cancelled() => return,
            () = tokio::time::sleep(HOUSEKEEPING_INTERVAL) => {}
        }
    }
}

/// One round of housekeeping over every table that has rows to expire.
pub async fn purge(app: &App) -> Result<(), sqlx::Error> {
    let batch = u64::try_from(BATCH).unwrap_or(u64::MAX);
    loop {
        let mut conn = app.db.acquire().await?;
        let counts = [
            sessions::flow::purge(&mut conn, BATCH).await?,
            sessions::flow::purge_revocations(&mut conn, BATCH).await?,
            refresh::flow::purge(&mut conn, BATCH).await?,
            passkeys::flow::purge(&mut conn, BATCH).await?,
            sign_in::attempts::purge(&mut conn, BATCH).await?,
            totp::flow::purge(&mut conn, BATCH).await?,
            signing_keys::flow::purge(&mut conn, BATCH).await?,
            emails::flow::purge(&mut conn, BATCH).await?,
            magic_link::flow::purge(&mut conn, BATCH).await?,
            password::reset::purge(&mut conn, BATCH).await?,
            oauth::flow::purge(&mut conn, BATCH).await?,
            orgs::invitations::purge(&mut conn, BATCH).await?,
            api_keys::flow::purge(&mut conn, BATCH).await?,
            outbox::purge(&mut conn, KEEP_SENT_MAIL, BATCH).await?,
            limits::purge(&mut conn, u32::try_from(BATCH).unwrap_or(u32::MAX)).await?,
        ];
        if counts.into_iter().all(|count| count < batch) || app.shutdown.is_cancelled() {
            return Ok(());
        }
    }
}
