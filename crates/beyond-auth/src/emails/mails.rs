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

/// Outbox kind of the mail that lets a person prove an address.
pub const VERIFY_EMAIL: &str = "verify_email";
/// Outbox kind of the mail to somebody whose address was used to sign up again.
pub const ADDRESS_TAKEN: &str = "address_taken";

/// Composes [`VERIFY_EMAIL`]: mints link and code now, so that neither ever waits in a queue.
#[derive(Clone, Debug)]
pub struct VerifyEmail {
    /// Authenticates the code.
    pub keyring: Keyring,
    /// Base of the link: from configuration, never from a request.
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
            let Some((email, _)) = store::find(conn, *email_id).await? else { return Ok(None) };
            if email.verified_at.is_some() {
                return Ok(None);
            }
            let token: Token<token::EmailVerification> = Token::mint();
            let id = VerificationId::from(token.id());
            let code = Code::draw();
            let mac = self.keyring.mac(CODE_PURPOSE, &code_message(id, &code));
            store::insert_verification(conn, id, email.id, &token.hash(), &mac).await?;
            let mut link = self.public_url.join("/auth/verify-email")?;
            link.set_fragment(Some(&format!("token={}", token.reveal().expose_secret())));
            Ok(Some(Composed {
                to: email.address,
                template: VERIFY_EMAIL,
                context: json!({ "link": link, "code": code.expose_secret(), "valid_for": "24 hours" }),
            }))
        })
    }
}

/// Composes [`ADDRESS_TAKEN`].
#[derive(Clone, Debug)]
pub struct AddressTaken {
    /// Base of the links.
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
            let Some((email, _)) = store::find(conn, *email_id).await? else { return Ok(None) };
            let context = json!({ "sign_in_url": self.public_url.join("/auth/sign-in")? });
            Ok(Some(Composed { to: email.address, template: ADDRESS_TAKEN, context }))
        })
    }
}
