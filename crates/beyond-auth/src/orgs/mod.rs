//! Organizations: who belongs to which, with which role; what they ask of whoever acts for them; invitations.
//!
//! Invariants: to a stranger an organization does not exist; it always has an owner; nobody grants, changes or takes
//! away more than their own role holds, as it is behind the lock on the organization's row; a session acts for an
//! organization only while its user is a member, which the database itself sees to; an invitation is accepted once, by
//! whoever has proven its address, while its inviter could still make it.

pub mod active;
pub mod actor;
pub mod flow;
pub mod invitations;
pub mod mails;
pub mod members;
pub mod model;
pub mod permissions;
pub mod policy;
pub mod roles;
pub mod routes;
pub mod store;

pub use actor::Actor;
pub use model::Error;
