//! The mails of this slice: the owner learns of every change, and of every recovery code that was used.

use futures::future::BoxFuture;
use serde_json::{Value, json};
use url::Url;

use super::store;
use crate::app::App;
use crate::emails;
use crate::platform::db::Conn;
use crate::platform::http::Client;
use crate::platform::ids::UserId;
use crate::platform::mail::outbox::{Claimed, Composed, Destination, NewMail};
use crate::platform::mail::worker::{Compose, ComposeError, Composers};

/// What the owner is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A factor became active.
    FactorAdded,
    /// A factor is gone.
    FactorRemoved,
    /// Somebody presented a recovery code.
    RecoveryCodeUsed,
    /// There is a new set.
    RecoveryCodesRenewed,
}

impl Notice {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::FactorAdded, Self::FactorRemoved, Self::RecoveryCodeUsed, Self::RecoveryCodesRenewed];

    /// Outbox kind and template.
    pub fn kind(self) -> &'static str {
        match self {
            Self::FactorAdded => "factor_added",
            Self::FactorRemoved => "factor_removed",
            Self::RecoveryCodeUsed => "recovery_code_used",
            Self::RecoveryCodesRenewed => "recovery_codes_renewed",
        }
    }
}

/// Queues a notice to the primary address, in the caller's transaction.
pub(super) async fn tell(
    app: &App,
    conn: &mut Conn,
    user: UserId,
    notice: Notice,
    client: &Client,
) -> Result<(), sqlx::Error> {
    let Some(email) = emails::flow::primary(conn, user).await? else { return Ok(()) };
    let left = match notice {
        Notice::RecoveryCodeUsed => Some(store::count_codes(conn, user).await?),
        _ => None,
    };
    let mut mail =
        NewMail::to_email(notice.kind(), email).about(user).with_payload(json!({ "codes_left": left }));
    if let Some(language) = &client.language {
        mail.locale.clone_from(language);
    }
    app.outbox.enqueue(conn, mail).await?;
    Ok(())
}

/// Composes a [`Notice`].
#[derive(Clone, Debug)]
pub struct Notices {
    /// Which.
    pub notice: Notice,
    /// Base of the link.
    pub public_url: Url,
}

impl Notices {
    /// Adds a composer for each notice.
    pub fn register(composers: Composers, public_url: &Url) -> Composers {
        Notice::ALL.into_iter().fold(composers, |composers, notice| {
            composers.with(notice.kind(), Self { notice, public_url: public_url.clone() })
        })
    }
}

impl Compose for Notices {
    fn compose<'a>(
        &'a self,
        conn: &'a mut Conn,
        mail: &'a Claimed,
    ) -> BoxFuture<'a, Result<Option<Composed>, ComposeError>> {
        Box::pin(async move {
            let Destination::Email(id) = &mail.destination else { return Ok(None) };
            let Some(to) = emails::flow::address_of(conn, *id).await? else { return Ok(None) };
            let account_url = self.public_url.join("/auth/account")?;
            let left = mail.payload.get("codes_left").cloned().unwrap_or(Value::Null);
            let context = json!({ "account_url": account_url, "codes_left": left });
            Ok(Some(Composed { to, template: self.notice.kind(), context }))
        })
    }
}
