//! The mails of this slice: the owner learns of every change, and of every recovery code that was used.

use serde_json::json;
use url::Url;

use super::store;
use crate::app::App;
use crate::emails;
use crate::platform::db::Conn;
use crate::platform::http::Client;
use crate::platform::ids::UserId;
use crate::platform::mail::outbox::NewMail;
use crate::platform::mail::worker::Composers;

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
    let mail =
        NewMail::to_email(notice.kind(), email).about(user).with_payload(json!({ "codes_left": left }));
    app.outbox.enqueue(conn, mail.in_language(client.language.as_deref())).await?;
    Ok(())
}

/// Adds a composer for each notice.
pub fn register(composers: Composers, public_url: &Url) -> Composers {
    Notice::ALL.into_iter().fold(composers, |composers, notice| {
        let template = notice.kind();
        composers.with(template, emails::mails::Notice { template, public_url: public_url.clone() })
    })
}
