//! Who manages keys, and how far that goes.

use super::model::{Error, Owner};
use super::scopes::{self, Scopes};
use crate::audit::{self, Event};
use crate::orgs;
use crate::orgs::model::OrganizationRef;
use crate::orgs::permissions::{Grants, Permission};
use crate::platform::db::Conn;
use crate::platform::ids::UserId;
use crate::sessions::Live;
use crate::users;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub enum By<'a> {
    /// A person, about own keys and those of organizations.
    Person(&'a Live),
    /// The operator, about any key.
    Operator,
}

impl By<'_> {
    /// Who it is, where it is a person.
    pub fn user(self) -> Option<UserId> {
        match self {
            Self::Person(live) => Some(live.user.id),
            Self::Operator => None,
        }
    }

    /// Whoever acts as somebody else is not to be left with a key of that one's.
    pub fn in_person(self) -> Result<(), Error> {
        match self {
            Self::Person(live) if live.session.impersonator.is_some() => Err(Error::Impersonated),
            Self::Person(_) | Self::Operator => Ok(()),
        }
    }

    /// The beginning of a record of what was done.
    pub fn event(self, action: &'static str) -> Event<'static> {
        match self {
            Self::Person(live) => {
                Event::new(action, audit::Actor::User(live.user.id)).session(live.session.id)
            }
            Self::Operator => Event::new(action, audit::Actor::Admin),
        }
    }
}

/// A caller who may see the keys of one owner. To a stranger there are none.
#[derive(Debug)]
pub enum Manager {
    /// The person whose they are.
    Owner,
    /// A member of the organization whose they are.
    Member(Box<orgs::Actor>),
    /// The operator.
    Operator,
}

impl Manager {
    /// The caller as of now, for what only reads.
    pub async fn find(conn: &mut Conn, by: By<'_>, owner: Owner) -> Result<Self, Error> {
        match (by, owner) {
            (By::Operator, _) => Ok(Self::Operator),
            (By::Person(live), Owner::User(user)) if user == live.user.id => Ok(Self::Owner),
            (By::Person(live), Owner::Organization(id)) => {
                Ok(Self::Member(Box::new(orgs::Actor::find(conn, live, &OrganizationRef::Id(id)).await?)))
            }
            (By::Person(_), Owner::User(_) | Owner::Project) => Err(Error::NotFound),
        }
    }

    /// The caller for what changes something, in the caller's transaction: behind the lock on the person, whose session
    /// must still live, and on the organization, if the keys are one's.
    pub async fn lock(conn: &mut Conn, by: By<'_>, owner: Owner) -> Result<Self, Error> {
        match (by, owner) {
            (By::Person(live), Owner::User(user)) if user == live.user.id => {
                let lives = users::flow::lock_session(conn, live.holder()).await?;
                if lives { Ok(Self::Owner) } else { Err(Error::Ended) }
            }
            (By::Person(live), Owner::Organization(id)) => {
                Ok(Self::Member(Box::new(orgs::Actor::lock(conn, live, &OrganizationRef::Id(id)).await?)))
            }
            (By::Operator, _) | (By::Person(_), Owner::User(_) | Owner::Project) => {
                Self::find(conn, by, owner).await
            }
        }
    }

    /// Whether the caller may do that with the keys.
    pub fn require(&self, permission: Permission) -> Result<(), Error> {
        match self {
            Self::Member(actor) => Ok(actor.require(permission)?),
            Self::Owner | Self::Operator => Ok(()),
        }
    }

    /// The same for a key that was named by its id: a member who may see none is not told that there is this one.
    pub fn require_for_one(&self, permission: Permission) -> Result<(), Error> {
        let sees = |actor: &orgs::Actor| {
            let grants = &actor.role().grants;
            grants.holds(Permission::ApiKeysRead) || grants.holds(Permission::ApiKeysManage)
        };
        match self {
            Self::Member(actor) if !sees(actor) => Err(Error::NotFound),
            _ => self.require(permission),
        }
    }

    /// Whether the caller may give these scopes to a key of that owner, or have a key that holds them.
    pub fn covers<'s>(&self, owner: Owner, scopes: impl IntoIterator<Item = &'s str>) -> Result<(), Error> {
        // The service's own scopes reach beyond any one owner.
        let may = |name: &str| match self {
            Self::Operator if owner == Owner::Project => true,
            _ if scopes::is_built_in(name) => false,
            Self::Member(actor) => actor.role().grants.covers(&Grants::of_stored(&[name.to_owned()])),
            Self::Owner | Self::Operator => true,
        };
        match scopes.into_iter().find(|name| !may(name)) {
            Some(name) => Err(Error::Exceeds(name.to_owned())),
            None => Ok(()),
        }
    }

    /// The same for scopes that were just checked.
    pub fn may_grant(&self, owner: Owner, scopes: &Scopes) -> Result<(), Error> {
        self.covers(owner, scopes.names())
    }
}
