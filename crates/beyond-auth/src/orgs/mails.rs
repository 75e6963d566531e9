//! The mail of this slice: the link is minted when it is sent.

use futures::future::BoxFuture;
use secrecy::ExposeSecret as _;
use serde_json::json;
use url::Url;

use super::store::invitations;
use crate::platform::crypto::token::{self, Token};
use crate::platform::db::Conn;
use crate::platform::ids::InvitationId;
use crate::platform::mail::outbox::{Claimed, Composed, Destination};
use crate::platform::mail::worker::{Compose, ComposeError};
use crate::settings::links::MailFrame;

/// Outbox kind of the mail that invites into an organization.
pub const INVITATION: &str = "invitation";

/// How long an invitation is valid; `invitations::mint` says it to the database.
const VALID_DAYS: u32 = 7;

/// Composes [`INVITATION`].
#[derive(Clone, Debug)]
pub struct Invite {
    /// Base of the link where the settings name none.
    pub public_url: Url,
}

impl Compose for Invite {
    fn compose<'a>(
        &'a self,
        conn: &'a mut Conn,
        mail: &'a Claimed,
    ) -> BoxFuture<'a, Result<Option<Composed>, ComposeError>> {
        Box::pin(async move {
            let Destination::Address(to) = &mail.destination else { return Ok(None) };
            let id: InvitationId = serde_json::from_value(mail.payload["invitation"].clone())?;
            let Some(invitation) = invitations::describe(conn, id).await? else { return Ok(None) };
            // Nobody stands behind it any more.
            let Some(inviter) = invitation.invited_by else { return Ok(None) };
            let token: Token<token::Invitation> = Token::mint_for(id.as_uuid());
            if !invitations::mint(conn, id, &token.hash()).await? {
                return Ok(None);
            }
            let frame = MailFrame::load(conn, &self.public_url).await?;
            let fragment = format!("token={}", token.reveal().expose_secret());
            let context = json!({
                "link": frame.link("/auth/invitation", Some(&fragment)),
                "inviter": inviter,
                "organization": invitation.organization.name,
                "days": VALID_DAYS,
            });
            Ok(Some(Composed { to: to.clone(), template: INVITATION, context: frame.fill(context) }))
        })
    }
}
