//! The mails of this slice: the owner hears of every account elsewhere that is linked or unlinked.

use futures::future::BoxFuture;
use serde_json::json;
use url::Url;

use crate::emails;
use crate::platform::db::Conn;
use crate::platform::mail::outbox::{Claimed, Composed, Destination};
use crate::platform::mail::worker::{Compose, ComposeError};
use crate::settings::links::MailFrame;

/// Outbox kind of the mail that tells of a linked identity.
pub const IDENTITY_ADDED: &str = "identity_added";
/// Outbox kind of the mail that tells of an unlinked identity.
pub const IDENTITY_REMOVED: &str = "identity_removed";

/// Composes [`IDENTITY_ADDED`] and [`IDENTITY_REMOVED`].
#[derive(Clone, Debug)]
pub struct IdentityChanged {
    /// Which of them.
    pub template: &'static str,
    /// Base of the link where the settings name none.
    pub public_url: Url,
}

impl Compose for IdentityChanged {
    fn compose<'a>(
        &'a self,
        conn: &'a mut Conn,
        mail: &'a Claimed,
    ) -> BoxFuture<'a, Result<Option<Composed>, ComposeError>> {
        Box::pin(async move {
            let Destination::Email(id) = &mail.destination else { return Ok(None) };
            let Some(to) = emails::flow::address_of(conn, *id).await? else { return Ok(None) };
            let frame = MailFrame::load(conn, &self.public_url).await?;
            let context = json!({
                "provider_name": mail.payload["provider_name"],
                "identity_email": mail.payload["identity_email"],
                "account_url": frame.link("/auth/account", None),
            });
            Ok(Some(Composed { to, template: self.template, context: frame.fill(context) }))
        })
    }
}
