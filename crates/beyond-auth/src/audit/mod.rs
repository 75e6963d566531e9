//! The record of who did what.
//!
//! Invariants: an event is written in the transaction of the act it records, or not at all; it carries no
//! secret; nothing updates or deletes one.

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use serde_json::{Value, json};

use crate::platform::db::Conn;
use crate::platform::http::Client;
use crate::platform::ids::{AuditEventId, SessionId, UserId};

/// Who acted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A person, through a session or by a credential just presented.
    User(UserId),
    /// The operator, by the admin secret.
    Admin,
    /// The service itself.
    System,
}

impl Actor {
    fn kind(self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::Admin => "admin",
            Self::System => "system",
        }
    }

    fn id(self) -> Option<uuid::Uuid> {
        match self {
            Self::User(id) => Some(id.as_uuid()),
            Self::Admin | Self::System => None,
        }
    }
}

/// One act, about to be recorded.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    action: &'static str,
    actor: Actor,
    user: Option<UserId>,
    session: Option<SessionId>,
    client: Option<&'a Client>,
    details: Value,
}

impl<'a> Event<'a> {
    /// An act: dotted, past tense, such as `user.created`.
    pub fn new(action: &'static str, actor: Actor) -> Self {
        let user = match actor {
            Actor::User(id) => Some(id),
            Actor::Admin | Actor::System => None,
        };
        Self { action, actor, user, session: None, client: None, details: json!({}) }
    }

    /// Whom it was done to.
    #[must_use]
    pub fn on(mut self, user: UserId) -> Self {
        self.user = Some(user);
        self
    }

    /// Through or on which session.
    #[must_use]
    pub fn session(mut self, session: SessionId) -> Self {
        self.session = Some(session);
        self
    }

    /// From where.
    #[must_use]
    pub fn from(mut self, client: &'a Client) -> Self {
        self.client = Some(client);
        self
    }

    /// Small facts; never a secret.
    #[must_use]
    pub fn details(mut self, details: Value) -> Self {
        self.details = details;
        self
    }
}

/// Writes the event in the caller's transaction.
pub async fn record(conn: &mut Conn, event: Event<'_>) -> Result<(), sqlx::Error> {
    let address = event.client.map(|client| IpNetwork::from(client.address as IpAddr));
    sqlx::query!(
        "INSERT INTO auth.audit_events
             (id, action, actor_kind, actor_id, user_id, session_id, address, user_agent, request_id, details)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        AuditEventId::new().as_uuid(),
        event.action,
        event.actor.kind(),
        event.actor.id(),
        event.user.map(|id| id.as_uuid()),
        event.session.map(|id| id.as_uuid()),
        address,
        event.client.and_then(|client| client.user_agent.as_deref()),
        event.client.map(|client| client.request_id.as_str()),
        event.details,
    )
    .execute(&mut *conn)
    .await?;
    Ok(())
}
