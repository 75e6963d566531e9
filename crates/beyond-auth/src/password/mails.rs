//! The mails of this slice: what is minted when one is sent.

use futures::future::BoxFuture;
use secrecy::ExposeSecret as _;
use serde_json::json;
use url::Url;

use super::store;
use crate::emails;
use crate::platform::crypto::token::{self, Token};
use crate::platform::db::Conn;
use crate::platform::ids::PasswordResetId;
use crate::platform::mail::outbox::{Claimed, Composed, Destination};
use crate::platform::mail::worker::{Compose, ComposeError};
use crate::settings::links::MailFrame;
use crate::users::{self, Standing};

/// Outbox kind of the mail that tells of a changed password.
pub const PASSWORD_CHANGED: &str = "password_changed";
/// Outbox kind of the mail that tells of a removed password.
pub const PASSWORD_REMOVED: &str = "password_removed";
/// Outbox kind of the mail to set a new password with.
pub const PASSWORD_RESET: &str = "password_reset";

/// The page that asks for a reset, or takes the link's.
const RESET_PAGE: &str = "/auth/reset-password";
/// How long a reset is valid; `store::mint_reset` says it to the database.
const VALID_MINUTES: u32 = 30;

/// Composes [`PASSWORD_CHANGED`] and [`PASSWORD_REMOVED`]: word of a change, and how to take the account back.
#[derive(Clone, Debug)]
pub struct Notice {
    /// Which of them.
    pub template: &'static str,
    /// Base of the links where the settings name none.
    pub public_url: Url,
}

impl Compose for Notice {
    fn compose<'a>(
        &'a self,
        conn: &'a mut Conn,
        mail: &'a Claimed,
    ) -> BoxFuture<'a, Result<Option<Composed>, ComposeError>> {
        Box::pin(async move {
            let Destination::Email(id) = &mail.destination else { return Ok(None) };
            let Some(to) = emails::flow::address_of(conn, *id).await? else { return Ok(None) };
            let frame = MailFrame::load(conn, &self.public_url).await?;
            let context = json!({ "reset_url": frame.link(RESET_PAGE, None) });
            Ok(Some(Composed { to, template: self.template, context: frame.fill(context) }))
        })
    }
}

/// Composes [`PASSWORD_RESET`]: mints the link now, so that it never waits in a queue.
#[derive(Clone, Debug)]
pub struct ResetPassword {
    /// Base of the link where the settings name none.
    pub public_url: Url,
}

impl Compose for ResetPassword {
    fn compose<'a>(
        &'a self,
        conn: &'a mut Conn,
        mail: &'a Claimed,
    ) -> BoxFuture<'a, Result<Option<Composed>, ComposeError>> {
        Box::pin(async move {
            let Destination::Email(email_id) = &mail.destination else { return Ok(None) };
            let Some(user) = mail.user_id else { return Ok(None) };
            if users::flow::lock_standing(conn, user).await? != Some(Standing::Good) {
                return Ok(None);
            }
            let Some(to) = emails::flow::address_of(conn, *email_id).await? else { return Ok(None) };
            let id: PasswordResetId = serde_json::from_value(mail.payload["request"].clone())?;
            let token: Token<token::PasswordReset> = Token::mint_for(id.as_uuid());
            if !store::mint_reset(conn, id, &token.hash()).await? {
                return Ok(None);
            }
            let frame = MailFrame::load(conn, &self.public_url).await?;
            let fragment = format!("token={}", token.reveal().expose_secret());
            let link = frame.link(RESET_PAGE, Some(&fragment));
            let context = json!({ "link": link, "minutes": VALID_MINUTES });
            Ok(Some(Composed { to, template: PASSWORD_RESET, context: frame.fill(context) }))
        })
    }
}
