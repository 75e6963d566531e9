//! The mails of this slice.

use futures::future::BoxFuture;
use serde_json::json;

use crate::emails;
use crate::platform::db::Conn;
use crate::platform::mail::outbox::{Claimed, Composed, Destination};
use crate::platform::mail::worker::{Compose, ComposeError};

/// Outbox kind of the mail that tells of a changed password.
pub const PASSWORD_CHANGED: &str = "password_changed";

/// Composes [`PASSWORD_CHANGED`].
#[derive(Clone, Copy, Debug)]
pub struct PasswordChanged;

impl Compose for PasswordChanged {
    fn compose<'a>(
        &'a self,
        conn: &'a mut Conn,
        mail: &'a Claimed,
    ) -> BoxFuture<'a, Result<Option<Composed>, ComposeError>> {
        Box::pin(async move {
            let Destination::Email(id) = &mail.destination else { return Ok(None) };
            let Some(to) = emails::flow::address_of(conn, *id).await? else { return Ok(None) };
            Ok(Some(Composed { to, template: PASSWORD_CHANGED, context: json!({}) }))
        })
    }
}
