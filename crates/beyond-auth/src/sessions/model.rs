//! What a session is, stored and shown.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::platform::crypto::token::SecretHash;
use crate::platform::http::FieldErrors;
use crate::platform::ids::{OrganizationId, RefreshFamilyId, SessionId, UserId};
use crate::users::{Holder, User};

/// A session as its owner sees it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Session {
    /// Also the id part of the token; worth nothing by itself.
    pub id: SessionId,
    /// Whose it is.
    pub user_id: UserId,
    /// Authenticator assurance level reached (NIST SP 800-63B): 1 or 2.
    pub aal: i16,
    /// Authentication methods used (RFC 8176 where it has a word).
    pub amr: Vec<String>,
    /// The owner's own name for the device.
    pub label: Option<String>,
    /// When it was signed in.
    pub created_at: DateTime<Utc>,
    /// Last use, exact to a minute.
    pub last_seen_at: DateTime<Utc>,
    /// When a credential was last presented; calls that need freshness count from here.
    pub verified_at: DateTime<Utc>,
    /// Ends then unless used before.
    pub idle_expires_at: DateTime<Utc>,
    /// Ends then in any case.
    pub expires_at: DateTime<Utc>,
    /// The organization that the person acts for.
    pub organization_id: Option<OrganizationId>,
    /// Who acts as the user, in the operator's words; `null` for the user in person.
    pub impersonator: Option<String>,
}

/// Longest name of a device, in characters.
pub const LABEL_LIMIT: usize = 100;

/// Checks a person's own name for a device: printable, of bounded length, `None` when nothing is left of it.
pub fn check_label(label: Option<&str>, errors: &mut FieldErrors) -> Option<String> {
    let label = label?.trim();
    if label.chars().count() > LABEL_LIMIT {
        errors.push("/label", "too_long", format!("at most {LABEL_LIMIT} characters"));
    }
    if label.chars().any(char::is_control) {
        errors.push("/label", "invalid_character", "must not contain control characters");
    }
    (!label.is_empty()).then(|| label.to_owned())
}

/// What a sign-in has proven, about to become a session.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Who signed in.
    pub user_id: UserId,
    /// Assurance reached.
    pub aal: i16,
    /// Methods used.
    pub amr: Vec<String>,
    /// Ends after this long without use.
    pub idle: Duration,
    /// Ends after this long in any case.
    pub absolute: Duration,
    /// Who acts as the user, if it is not the user in person.
    pub impersonator: Option<String>,
    /// Which refresh tokens renew it.
    pub family: Option<RefreshFamilyId>,
    /// What it takes over, where it renews an earlier one.
    pub inherited: Option<Inherited>,
    /// What the organizations of the user ask for.
    pub limits: MemberLimits,
}

/// How long sessions of a user live at most, by the wish of organizations that the user belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemberLimits {
    /// Without use.
    pub idle: Option<Duration>,
    /// Since a credential was presented.
    pub absolute: Option<Duration>,
}

/// A session that acts for an organization.
#[derive(Clone, Debug)]
pub struct Active {
    /// Which.
    pub id: SessionId,
    /// Assurance reached.
    pub aal: i16,
    /// Methods used.
    pub amr: Vec<String>,
}

/// What a renewed session takes over: renewing proves nothing anew.
#[derive(Clone, Debug)]
pub struct Inherited {
    /// When a credential was last presented.
    pub verified_at: DateTime<Utc>,
    /// When a second factor was.
    pub second_verified_at: Option<DateTime<Utc>>,
    /// The owner's own name for the device.
    pub label: Option<String>,
    /// The organization that the person acts for.
    pub organization_id: Option<OrganizationId>,
    /// It ends then at the latest.
    pub ends_by: DateTime<Utc>,
}

/// What a session stands for, apart from its life.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Assurance reached.
    pub aal: i16,
    /// Methods used.
    pub amr: Vec<String>,
    /// When a credential was last presented.
    pub verified_at: DateTime<Utc>,
    /// When a second factor was.
    pub second_verified_at: Option<DateTime<Utc>>,
    /// When it was last used.
    pub last_seen_at: DateTime<Utc>,
    /// The owner's own name for the device.
    pub label: Option<String>,
    /// The organization that the person acts for.
    pub organization_id: Option<OrganizationId>,
}

impl Standing {
    /// Whether a credential was presented since `at`.
    pub fn stepped_up_since(&self, at: DateTime<Utc>) -> bool {
        self.verified_at > at || self.second_verified_at.is_some_and(|second| second > at)
    }
}

/// What a session lacks for what takes a recent sign-in; carries within how many seconds it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stale {
    /// Any credential, presented lately.
    #[error("a credential was last presented too long ago")]
    Credential(u64),
    /// The second factor of the account.
    #[error("the second factor was last presented too long ago")]
    SecondFactor(u64),
}

/// A session that was alive when the database looked, and its owner.
#[derive(Clone, Debug)]
pub struct Live {
    /// Of the secret that it was opened with: replaced when its owner steps up, and then whoever holds the former one
    /// may not go on.
    pub secret_hash: SecretHash,
    /// The session.
    pub session: Session,
    /// Its owner.
    pub user: User,
    /// Seconds since a credential was last presented, by the database's clock.
    pub age_seconds: i64,
    /// Whether last-seen is old enough to be written again.
    pub stale: bool,
}

impl Live {
    /// Who acts with it.
    pub fn holder(&self) -> Holder {
        Holder { user: self.user.id, session: self.session.id, secret_hash: self.secret_hash }
    }
}

/// Which sessions of a user to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Just this one.
    One(SessionId),
    /// All but this one.
    Others(SessionId),
    /// All.
    All,
}
