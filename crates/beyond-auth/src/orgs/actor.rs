//! Who acts in an organization, and how far that goes.

use super::model::{Error, Membership, OrganizationRef};
use super::permissions::{Permission, Role};
use super::policy::Policy;
use super::store;
use crate::audit;
use crate::platform::db::Conn;
use crate::platform::ids::{OrganizationId, UserId};
use crate::sessions::{self, Live, Session};
use crate::settings;
use crate::users;

/// A caller with a role in the organization that the address names. A stranger is none: to a stranger there is no such
/// organization.
///
/// Today it is a member with a session. An API key of the organization will be another kind of caller, with the
/// permissions that the key was given; what asks an actor for permissions need not know.
#[derive(Clone, Debug)]
pub struct Actor {
    /// The organization, with the caller's role in it.
    pub membership: Membership,
    /// Who the caller is.
    user: UserId,
    /// What has been shown to get here.
    session: Session,
}

impl Actor {
    /// The caller as of now, for what only reads.
    pub async fn find(conn: &mut Conn, live: &Live, organization: &OrganizationRef) -> Result<Self, Error> {
        let membership =
            store::find_membership(conn, live.user.id, organization).await?.ok_or(Error::NotFound)?;
        Ok(Self { membership, user: live.user.id, session: live.session.clone() })
    }

    /// The caller for what changes something, in the caller's transaction: locks the user, asks once more whether the
    /// session lives, locks the organization's row, and reads the role behind that lock.
    ///
    /// Whoever changes anything about an organization, its members, roles or invitations holds that row, so that two
    /// changes that are right each for itself cannot be wrong together.
    pub async fn lock(conn: &mut Conn, live: &Live, organization: &OrganizationRef) -> Result<Self, Error> {
        if !users::flow::lock_session(conn, live.holder()).await? {
            return Err(Error::Ended);
        }
        // Asked first without a lock: strangers must not be able to hold others up.
        let found = Self::find(conn, live, organization).await?;
        let id = found.membership.id;
        if !store::lock(conn, id).await? {
            return Err(Error::NotFound);
        }
        Self::find(conn, live, &OrganizationRef::Id(id)).await
    }

    /// The organization.
    pub fn organization(&self) -> OrganizationId {
        self.membership.id
    }

    /// Who acts.
    pub fn user(&self) -> UserId {
        self.user
    }

    /// The caller's role.
    pub fn role(&self) -> &Role {
        &self.membership.role
    }

    /// Through which session.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The actor in the record of who did what.
    pub fn audited(&self) -> audit::Actor {
        audit::Actor::User(self.user)
    }

    /// Whether the caller may do it: the role holds the permission, and the session is what the organization asks for.
    pub fn require(&self, permission: Permission) -> Result<(), Error> {
        if !self.role().grants.holds(permission) {
            return Err(Error::Forbidden(permission));
        }
        self.satisfies(&self.membership.policy)
    }

    /// Whether the session is what a policy asks for.
    pub fn satisfies(&self, policy: &Policy) -> Result<(), Error> {
        policy.admits(self.session.aal, &self.session.amr)
    }

    /// Whether the caller may make or unmake an owner: in person, and signed in lately. A stolen session must not hand the
    /// organization to somebody else.
    pub async fn may_change_owners(&self, conn: &mut Conn, live: &Live) -> Result<(), Error> {
        if self.session.impersonator.is_some() {
            return Err(Error::Impersonated);
        }
        let settings = settings::load(conn).await?;
        sessions::flow::stale(conn, &settings, live).await?.map_or(Ok(()), |stale| Err(stale.into()))
    }

    /// Whether the caller may give, change or take away that role: it holds no more than the caller's own.
    pub fn covers(&self, role: &Role) -> Result<(), Error> {
        if self.role().grants.covers(&role.grants) { Ok(()) } else { Err(Error::Exceeds) }
    }
}
