//! The limits of the HTTP edge, by name, and the answer to whoever hits one.

use std::net::IpAddr;
use std::time::Duration;

use super::problem::Problem;
use crate::platform::db::Db;
use crate::platform::limits::{self, Decision, Limit};

/// Sign-ins, by network address.
pub const SIGN_IN: Limit = Limit { name: "sign_in", per: Duration::from_mins(1), max: 20 };
/// Second factors, by network address.
pub const SECOND_FACTOR: Limit = Limit { name: "second_factor", per: Duration::from_mins(1), max: 10 };
/// Sign-ups, by network address.
pub const SIGN_UP: Limit = Limit { name: "sign_up", per: Duration::from_hours(1), max: 10 };
/// Redemptions of links and codes, by network address.
pub const REDEMPTION: Limit = Limit { name: "redemption", per: Duration::from_mins(1), max: 30 };
/// Uses of refresh tokens, by network address. A token cannot be guessed; this bounds the work, and servers renew for
/// many users from one address.
pub const ROTATION: Limit = Limit { name: "refresh_token_rotation", per: Duration::from_mins(1), max: 300 };
/// Password checks while typing, by network address.
pub const PASSWORD_CHECK: Limit = Limit { name: "password_check", per: Duration::from_mins(1), max: 60 };
/// Challenges for passkeys, by network address: every sign-in page that is opened asks for one.
pub const PASSKEY_OPTIONS: Limit = Limit { name: "passkey_options", per: Duration::from_mins(1), max: 60 };
/// Departures to and returns from identity providers, by network address.
pub const OAUTH: Limit = Limit { name: "oauth", per: Duration::from_mins(1), max: 60 };
/// Organizations made, by user.
pub const ORGANIZATIONS: Limit = Limit { name: "organizations", per: Duration::from_hours(1), max: 20 };
/// API keys made, by user: a revoked one stays on record for a while.
pub const API_KEYS: Limit = Limit { name: "api_keys", per: Duration::from_hours(1), max: 100 };
/// Invitations mailed, by organization.
pub const INVITATIONS_OF_ORGANIZATION: Limit =
    Limit { name: "invitations_of_organization", per: Duration::from_hours(1), max: 100 };
/// Invitations mailed, by whoever sends them, whatever the organization.
pub const INVITATIONS_BY_USER: Limit =
    Limit { name: "invitations_by_user", per: Duration::from_hours(1), max: 100 };
/// Requests that send a mail, by network address.
pub const MAIL_SENDING: Limit = Limit { name: "mail_sending", per: Duration::from_hours(1), max: 10 };
/// Mails to one mailbox in an hour, whoever asked for them.
pub const MAILBOX_HOUR: Limit = Limit { name: "mailbox_hour", per: Duration::from_hours(1), max: 5 };
/// Mails to one mailbox in a day, whoever asked for them.
pub const MAILBOX_DAY: Limit = Limit { name: "mailbox_day", per: Duration::from_hours(24), max: 20 };

/// What is charged for a mail to an address, by its canonical form or what stands for it.
pub fn mailbox(subject: &[u8]) -> [(&'static Limit, &[u8]); 2] {
    [(&MAILBOX_HOUR, subject), (&MAILBOX_DAY, subject)]
}

/// By what an address is counted: itself, or its /64 in IPv6.
pub fn address_key(address: IpAddr) -> Vec<u8> {
    limits::network_of(address)
}

/// Counts one attempt against each limit; answers 429 when one is reached.
pub async fn enforce(db: &Db, asked: &[(&Limit, &[u8])]) -> Result<(), Problem> {
    let mut conn = db.acquire().await?;
    match limits::take_all(&mut conn, asked).await? {
        Decision::Allowed { .. } => Ok(()),
        limited @ Decision::Limited { .. } => Err(limited.into()),
    }
}

impl From<Decision> for Problem {
    fn from(decision: Decision) -> Self {
        let seconds = match decision {
            Decision::Limited { retry_after } => retry_after.as_secs(),
            Decision::Allowed { .. } => 0,
        };
        Self::too_many(seconds)
    }
}
