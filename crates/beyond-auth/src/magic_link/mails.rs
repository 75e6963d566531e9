//! The mail of this slice: link and code are minted when it is sent.

use futures::future::BoxFuture;
use secrecy::ExposeSecret as _;
use serde_json::json;
use url::{Url, form_urlencoded};

use super::flow::{CODE_PURPOSE, code_message};
use super::store;
use crate::emails;
use crate::emails::code::Code;
use crate::platform::crypto::envelope::Keyring;
use crate::platform::crypto::token::{self, Token};
use crate::platform::db::Conn;
use crate::platform::ids::MagicLinkId;
use crate::platform::mail::outbox::{Claimed, Composed, Destination};
use crate::platform::mail::worker::{Compose, ComposeError};
use crate::settings::links::{MailFrame, return_address};
use crate::users::{self, Standing};

/// Outbox kind of the mail to sign in with.
pub const MAGIC_LINK: &str = "magic_link";

/// How long link and code are valid; `store::mint` says it to the database.
const VALID_MINUTES: u32 = 10;

/// Composes [`MAGIC_LINK`].
#[derive(Clone, Debug)]
pub struct MagicLink {
    /// Authenticates the code.
    pub keyring: Keyring,
    /// Base of the link where the settings name none.
    pub public_url: Url,
}

impl Compose for MagicLink {
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
            let id: MagicLinkId = serde_json::from_value(mail.payload["request"].clone())?;
            let token: Token<token::MagicLink> = Token::mint_for(id.as_uuid());
            let code = Code::draw();
            let mac = self.keyring.mac(CODE_PURPOSE, &code_message(id, &code));
            let Some(return_to) = store::mint(conn, id, &token.hash(), &mac).await? else { return Ok(None) };

            let frame = MailFrame::load(conn, &self.public_url).await?;
            let mut fragment = format!("token={}", token.reveal().expose_secret());
            // Looked at again: an origin may have left the list while the mail waited.
            let allowed = return_to.and_then(|to| return_address(&frame.settings, &self.public_url, &to));
            if let Some(to) = allowed {
                fragment.push_str("&redirect_to=");
                fragment.extend(form_urlencoded::byte_serialize(to.as_str().as_bytes()));
            }
            let link = frame.link("/auth/magic-link", Some(&fragment));
            let context = json!({ "link": link, "code": code.expose_secret(), "minutes": VALID_MINUTES });
            Ok(Some(Composed { to, template: MAGIC_LINK, context: frame.fill(context) }))
        })
    }
}
