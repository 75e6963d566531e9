//! What a refresh token is, stored and shown.

use chrono::{DateTime, Utc};
use ipnetwork::IpNetwork;
use secrecy::SecretString;

use crate::platform::crypto::token::{self, Token};
use crate::platform::ids::{OrganizationId, RefreshFamilyId, RefreshTokenId, SessionId, UserId};

/// Where a family comes from.
#[derive(Clone, Copy, Debug)]
pub enum Origin {
    /// It renews this session, which came into being with it.
    SignIn(SessionId),
    /// It was made through this session, which may be one of a family.
    Session(SessionId, Option<RefreshFamilyId>),
}

/// A family about to be made.
#[derive(Debug)]
pub struct NewFamily<'a> {
    /// Drawn beforehand: the session of a sign-in names it.
    pub id: RefreshFamilyId,
    /// Whose it is.
    pub user_id: UserId,
    /// Where it comes from.
    pub origin: Origin,
    /// What the sign-in had proven.
    pub proven: &'a Proven,
    /// The owner's own name for what holds the token.
    pub label: Option<&'a str>,
}

/// What a sign-in has proven, and when; renewing adds nothing.
#[derive(Clone, Debug)]
pub struct Proven {
    /// Assurance that was reached.
    pub aal: i16,
    /// Methods that were used.
    pub amr: Vec<String>,
    /// When a credential was last presented.
    pub verified_at: DateTime<Utc>,
    /// When a second factor was.
    pub second_verified_at: Option<DateTime<Utc>>,
}

/// A token that has just been made, or is handed out once more.
#[derive(Clone, Debug)]
pub struct Issued {
    /// Also the id part of the token; worth nothing by itself.
    pub id: RefreshTokenId,
    /// What it descends from.
    pub family_id: RefreshFamilyId,
    /// Shown once.
    pub token: SecretString,
    /// When this token was made.
    pub created_at: DateTime<Utc>,
    /// Ends then unless used before.
    pub idle_expires_at: DateTime<Utc>,
    /// The family ends then in any case.
    pub expires_at: DateTime<Utc>,
}

/// The live token of a family, as its owner sees it in the list.
#[derive(Debug)]
pub struct Listed {
    /// The token that will be presented next.
    pub id: RefreshTokenId,
    /// Stays the same over rotations.
    pub family_id: RefreshFamilyId,
    /// The owner's own name for what holds it.
    pub label: Option<String>,
    /// Assurance of the sessions it renews.
    pub aal: i16,
    /// Methods that had been used.
    pub amr: Vec<String>,
    /// As sent when the family was made, capped.
    pub user_agent: Option<String>,
    /// Where it was made from.
    pub address: Option<IpNetwork>,
    /// When the family was made.
    pub created_at: DateTime<Utc>,
    /// When it last renewed a session.
    pub last_used_at: Option<DateTime<Utc>>,
    /// Ends then unless used before.
    pub idle_expires_at: DateTime<Utc>,
    /// Ends then in any case.
    pub expires_at: DateTime<Utc>,
}

/// Whose token was presented. Says nothing yet about whether it may be used.
#[derive(Clone, Copy, Debug)]
pub struct Holder {
    /// The user.
    pub user_id: UserId,
    /// The family.
    pub family_id: RefreshFamilyId,
}

/// What came of presenting a token.
#[derive(Debug)]
pub enum Redeemed {
    /// It was retired; its successor waits for a session to be made with it.
    Rotated(Box<Successor>),
    /// It had been retired a moment ago: here is the same successor.
    Repeated(Repetition),
    /// It had been retired long ago: somebody else used it. The family has been ended; commit that.
    Reused,
    /// Unknown, expired or revoked.
    Invalid,
    /// It was retired a moment ago by an instance whose key this one does not have.
    Underivable,
}

/// A new token, and the session to be made with it.
#[derive(Debug)]
pub struct Successor {
    /// The new token.
    pub issued: Issued,
    /// Opens the session to be made.
    pub session_token: Token<token::Session>,
    /// The session that it replaces.
    pub replaced: Option<SessionId>,
    /// When that session, or the token, was last used.
    pub last_used_at: DateTime<Utc>,
    /// What it stands for.
    pub proven: Proven,
    /// The owner's own name for the device.
    pub label: Option<String>,
    /// The organization that the person acts for.
    pub organization_id: Option<OrganizationId>,
}

/// A successor that was handed out before.
#[derive(Debug)]
pub struct Repetition {
    /// The same token as before.
    pub issued: Issued,
    /// The session that came with it.
    pub session_id: SessionId,
    /// One of these opens it.
    pub session_tokens: Vec<Token<token::Session>>,
}

/// Which families of a user to end, always with the families made through their sessions.
#[derive(Clone, Copy, Debug)]
pub enum Families {
    /// The one that renews this session, and those made through it.
    Of(SessionId, Option<RefreshFamilyId>),
    /// All, except perhaps this one.
    AllBut(Option<RefreshFamilyId>),
    /// This one.
    One(RefreshFamilyId),
}

/// Why a family ended before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// By the owner, the operator, or with something else.
    Revoked,
    /// A retired token came back.
    Reused,
}

impl Because {
    /// As stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::Reused => "reused",
        }
    }
}
