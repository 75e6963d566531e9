//! Recovery codes: how many are left, and new ones.

use secrecy::SecretString;

use super::mails::{self, Notice};
use super::model::{Error, RECOVERY_CODES, has_factor};
use super::store;
use crate::app::App;
use crate::audit::{self, Actor, Event};
use crate::platform::crypto::recovery_code::RecoveryCode;
use crate::platform::db::Conn;
use crate::platform::http::Client;
use crate::platform::ids::UserId;
use crate::sessions::{self, Live};
use crate::settings;
use crate::sign_in::attempts;
use crate::users;

/// How many a user has left.
pub async fn left(app: &App, user: UserId) -> Result<i64, Error> {
    let mut conn = app.db.acquire().await?;
    Ok(store::count_codes(&mut conn, user).await?)
}

/// Makes a new set; the former one opens nothing any more.
pub async fn renew(app: &App, live: &Live, client: &Client) -> Result<Vec<SecretString>, Error> {
    let user = live.user.id;
    let mut tx = app.db.begin("totp.renew_recovery_codes").await?;
    if !users::flow::lock_session(&mut tx, live.holder()).await? {
        return Err(Error::Ended);
    }
    if !has_factor(&attempts::factors_of(&mut tx, user).await?) {
        return Err(Error::None);
    }
    let settings = settings::load(&mut tx).await?;
    if sessions::flow::second_due(&mut tx, &settings, live).await? {
        return Err(Error::SecondDue);
    }
    let codes = issue(&mut tx, user).await?;
    let event = Event::new("recovery_codes.renewed", Actor::User(user)).session(live.session.id).from(client);
    audit::record(&mut tx, event).await?;
    mails::tell(app, &mut tx, user, Notice::RecoveryCodesRenewed, client).await?;
    tx.commit().await?;
    app.outbox.wake();
    Ok(codes)
}

/// Draws a set in the place of the former one, in the caller's transaction.
pub(super) async fn issue(conn: &mut Conn, user: UserId) -> Result<Vec<SecretString>, sqlx::Error> {
    let codes: Vec<RecoveryCode> = (0..RECOVERY_CODES).map(|_| RecoveryCode::draw()).collect();
    let hashes: Vec<_> = codes.iter().map(|code| code.hash(user.as_uuid())).collect();
    store::replace_codes(conn, user, &hashes).await?;
    Ok(codes.iter().map(RecoveryCode::reveal).collect())
}

/// Draws a set for an account that has none left.
pub(super) async fn issue_first(conn: &mut Conn, user: UserId) -> Result<Vec<SecretString>, sqlx::Error> {
    if store::count_codes(conn, user).await? > 0 { Ok(Vec::new()) } else { issue(conn, user).await }
}
