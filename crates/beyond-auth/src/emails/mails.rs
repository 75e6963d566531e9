//! The mails of this slice: what is minted when one is sent.

use futures::future::BoxFuture;
use secrecy::ExposeSecret as _;
use serde_json::json;
use url::Url;

use super::code::Code;
use super::flow::{CODE_PURPOSE, code_message};
use super::store;
use crate::platform::crypto::envelope::Keyring;
use crate::platform::crypto::token::{self, Token};
use crate::platform::db::Conn;
use crate::platform::ids::VerificationId;
use crate::platform::mail::outbox::{Claimed, Composed, Destination};
use crate::platform::mail::worker::{Compose, ComposeError};
use crate::settings::links::MailFrame;
use crate::users::{self, Standing};

/// Outbox kind of the mail that lets a person prove an address.
pub const VERIFY_EMAIL: &str = "verify_email";
/// The same for an address that is to stand beside others: another template.
const ATTACH_EMAIL: &str = "attach_email";
/// Outbox kind of the mail to somebody whose address was used to sign up again, or was named by another account.
pub const ADDRESS_TAKEN: &str = "address_taken";
/// The same where another account named it: another template.
const ADDRESS_CLAIMED: &str = "address_claimed";
/// Outbox kind of the mail that tells of a further proven address.
pub const EMAIL_ADDED: &str = "email_added";
/// Outbox kind of the mail that tells of an address that is gone.
pub const EMAIL_REMOVED: &str = "email_removed";
/// Outbox kind of the mail that tells the old primary address of the new one.
pub const PRIMARY_CHANGED: &str = "primary_changed";

/// How long a verification is valid.
const VALID_HOURS: u32 = 24;

/// Composes [`VERIFY_EMAIL`]: mints link and code now, so that neither ever waits in a queue.
#[derive(Clone, Debug)]
pub struct VerifyEmail {
    /// Authenticates the code.
    pub keyring: Keyring,
    /// Base of the link where the settings name none.
    pub public_url: Url,
}

impl Compose for VerifyEmail {
    fn compose<'a>(
        &'a self,
        conn: &'a mut Conn,
        mail: &'a Claimed,
    ) -> BoxFuture<'a, Result<Option<Composed>, ComposeError>> {
        Box::pin(async move {
            let Destination::Email(email_id) = &mail.destination else { return Ok(None) };
            let Some(email) = store::find(conn, *email_id).await? else { return Ok(None) };
            // Held until the proof is stored: whoever ends what is pending sees it, or we see that it has ended.
            if users::flow::lock_standing(conn, email.user_id).await? != Some(Standing::Good) {
                return Ok(None);
            }
            let Some(email) = store::find(conn, *email_id).await? else { return Ok(None) };
            if email.verified_at.is_some() {
                return Ok(None);
            }
            let token: Token<token::EmailVerification> = Token::mint();
            let id = VerificationId::from(token.id());
            let code = Code::draw();
            let mac = self.keyring.mac(CODE_PURPOSE, &code_message(id, &code));
            store::insert_verification(conn, id, email.id, &token.hash(), &mac).await?;
            let frame = MailFrame::load(conn, &self.public_url).await?;
            let fragment = format!("token={}", token.reveal().expose_secret());
            let link = frame.link("/auth/verify-email", Some(&fragment));
            let context = json!({ "link": link, "code": code.expose_secret(), "hours": VALID_HOURS });
            let template = if email.primary { VERIFY_EMAIL } else { ATTACH_EMAIL };
            Ok(Some(Composed { to: email.address, template, context: frame.fill(context) }))
        })
    }
}

/// Composes [`ADDRESS_TAKEN`].
#[derive(Clone, Debug)]
pub struct AddressTaken {
    /// Base of the links where the settings name none.
    pub public_url: Url,
}

impl Compose for AddressTaken {
    fn compose<'a>(
        &'a self,
        conn: &'a mut Conn,
        mail: &'a Claimed,
    ) -> BoxFuture<'a, Result<Option<Composed>, ComposeError>> {
        Box::pin(async move {
            let Destination::Email(email_id) = &mail.destination else { return Ok(None) };
            let Some(email) = store::find(conn, *email_id).await? else { return Ok(None) };
            let frame = MailFrame::load(conn, &self.public_url).await?;
            let mut context = json!({ "sign_in_url": frame.link("/auth/sign-in", None) });
            let attached = mail.payload["occasion"] == "attach";
            if frame.settings.password.enabled && !attached {
                context["reset_url"] = frame.link("/auth/reset-password", None).as_str().into();
            }
            let template = if attached { ADDRESS_CLAIMED } else { ADDRESS_TAKEN };
            Ok(Some(Composed { to: email.address, template, context: frame.fill(context) }))
        })
    }
}

/// Word of a change to an account, with nothing to redeem: whatever slice it is of, what the row carries and the way to
/// the account.
#[derive(Clone, Debug)]
pub struct Notice {
    /// Which of them.
    pub template: &'static str,
    /// Base of the link where the settings name none.
    pub public_url: Url,
}

impl Compose for Notice {
    fn compose<'a>(
        &'a self,
        conn: &'a mut Conn,
        mail: &'a Claimed,
    ) -> BoxFuture<'a, Result<Option<Composed>, ComposeError>> {
        Box::pin(async move {
            let to = match &mail.destination {
                Destination::Email(id) => store::find(conn, *id).await?.map(|email| email.address),
                Destination::Address(address) => Some(address.clone()),
            };
            let Some(to) = to else { return Ok(None) };
            let frame = MailFrame::load(conn, &self.public_url).await?;
            let mut context = mail.payload.clone();
            context["account_url"] = frame.link("/auth/account", None).as_str().into();
            Ok(Some(Composed { to, template: self.template, context: frame.fill(context) }))
        })
    }
}
