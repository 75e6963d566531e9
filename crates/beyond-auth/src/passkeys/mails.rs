//! The mails of this slice: the owner hears of every passkey that comes or goes.

use futures::future::BoxFuture;
use serde_json::json;
use url::Url;

use crate::emails;
use crate::platform::db::Conn;
use crate::platform::mail::outbox::{Claimed, Composed, Destination};
use crate::platform::mail::worker::{Compose, ComposeError};

/// Outbox kind of the mail that tells of a new passkey.
pub const PASSKEY_ADDED: &str = "passkey_added";
/// Outbox kind of the mail that tells of a removed passkey.
pub const PASSKEY_REMOVED: &str = "passkey_removed";

/// Composes [`PASSKEY_ADDED`] and [`PASSKEY_REMOVED`].
#[derive(Clone, Debug)]
pub struct PasskeyChanged {
    /// Which of them.
    pub template: &'static str,
    /// Base of the link: from configuration, never from a request.
    pub public_url: Url,
}

impl Compose for PasskeyChanged {
    fn compose<'a>(
        &'a self,
        conn: &'a mut Conn,
        mail: &'a Claimed,
    ) -> BoxFuture<'a, Result<Option<Composed>, ComposeError>> {
        Box::pin(async move {
            let Destination::Email(id) = &mail.destination else { return Ok(None) };
            let Some(to) = emails::flow::address_of(conn, *id).await? else { return Ok(None) };
            let context = json!({
                "passkey_name": mail.payload["passkey_name"],
                "account_url": self.public_url.join("/auth/account")?,
            });
            Ok(Some(Composed { to, template: self.template, context }))
        })
    }
}
