//! What a role may do: permissions of the service itself, and names that mean something to the application alone.

use std::collections::BTreeSet;

use crate::platform::http::FieldErrors;
use crate::platform::ids::OrganizationRoleId;

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)+) => {
        /// A permission that the service itself asks for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Permission {
            $($(#[$doc])* $name),+
        }

        impl Permission {
            /// Every one of them.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// As it is written.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text),+
                }
            }
        }
    };
}

permissions! {
    /// Change name, slug and metadata.
    OrganizationUpdate = "organization:update";
    /// Delete the organization: owners alone, by no other role.
    OrganizationDelete = "organization:delete";
    /// Change what the organization asks of those who act for it.
    PolicyManage = "policy:manage";
    /// See who belongs to it, and which roles there are.
    MembersRead = "members:read";
    /// Give members another role.
    MembersUpdate = "members:update";
    /// Remove members.
    MembersRemove = "members:remove";
    /// Make, change and remove roles.
    RolesManage = "roles:manage";
    /// See who is invited.
    InvitationsRead = "invitations:read";
    /// Invite people, and send invitations again.
    InvitationsCreate = "invitations:create";
    /// Take invitations back.
    InvitationsCancel = "invitations:cancel";
    /// See the organization's API keys.
    ApiKeysRead = "api_keys:read";
    /// Make, change and revoke the organization's API keys.
    ApiKeysManage = "api_keys:manage";
}

impl Permission {
    fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|permission| permission.name() == text).copied()
    }
}

/// What begins a permission of the application's own.
const APP: &str = "app:";
/// Longest name of such a permission behind its beginning.
const APP_LIMIT: usize = 64;
/// Permissions that a role may have.
pub const MOST_PERMISSIONS: usize = 100;

/// Permissions of the application's own.
#[derive(Clone, Debug, PartialEq, Eq)]
enum App {
    /// Whichever the application may think of.
    Every,
    /// These.
    These(BTreeSet<String>),
}

/// A set of permissions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grants {
    own: BTreeSet<Permission>,
    app: App,
}

impl Grants {
    fn built_in(own: impl Fn(Permission) -> bool, every_app: bool) -> Self {
        let app = if every_app { App::Every } else { App::These(BTreeSet::new()) };
        Self { own: Permission::ALL.iter().copied().filter(|permission| own(*permission)).collect(), app }
    }

    /// What is stored of a role. A name that this version does not know grants nothing.
    pub fn of_stored(names: &[String]) -> Self {
        let app = names.iter().filter(|name| name.starts_with(APP)).cloned().collect();
        Self { own: names.iter().filter_map(|name| Permission::parse(name)).collect(), app: App::These(app) }
    }

    /// Checks names that somebody wants a role to have.
    pub fn parse(names: &[String], errors: &mut FieldErrors) -> Self {
        if names.len() > MOST_PERMISSIONS {
            errors.push("/permissions", "too_long", format!("at most {MOST_PERMISSIONS} permissions"));
        }
        for (index, name) in names.iter().take(MOST_PERMISSIONS).enumerate() {
            let own = Permission::parse(name).is_some_and(|own| own != Permission::OrganizationDelete);
            if !own && !is_app(name) {
                errors.push(
                    format!("/permissions/{index}"),
                    "unknown_permission",
                    "must be a permission that can be granted, or of the form app:name",
                );
            }
        }
        Self::of_stored(names)
    }

    /// Whether the permission is in the set.
    pub fn holds(&self, permission: Permission) -> bool {
        self.own.contains(&permission)
    }

    /// Whether everything in the other set is in this one.
    pub fn covers(&self, other: &Self) -> bool {
        let app = match (&self.app, &other.app) {
            (App::Every, _) => true,
            (App::These(_), App::Every) => false,
            (App::These(own), App::These(other)) => other.is_subset(own),
        };
        app && other.own.is_subset(&self.own)
    }

    /// As they are written; `app:*` stands for whatever the application may think of.
    pub fn names(&self) -> Vec<String> {
        let own = self.own.iter().map(|permission| permission.name().to_owned());
        match &self.app {
            App::Every => own.chain(["app:*".to_owned()]).collect(),
            App::These(names) => own.chain(names.iter().cloned()).collect(),
        }
    }
}

/// Whether it is a name for a permission of the application's own.
pub fn is_app(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-.:".contains(&b);
    name.strip_prefix(APP).is_some_and(|name| (1..=APP_LIMIT).contains(&name.len()) && name.bytes().all(fits))
}

/// Which role it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Holds everything.
    Owner,
    /// Holds everything but deleting the organization and its policy.
    Admin,
    /// Sees who else is there.
    Member,
    /// One that the organization has made.
    Custom(OrganizationRoleId),
}

impl Kind {
    /// As stored.
    pub fn parts(self) -> (&'static str, Option<OrganizationRoleId>) {
        match self {
            Self::Owner => ("owner", None),
            Self::Admin => ("admin", None),
            Self::Member => ("member", None),
            Self::Custom(id) => ("custom", Some(id)),
        }
    }
}

/// A role with what it holds.
#[derive(Clone, Debug)]
pub struct Role {
    /// Which.
    pub kind: Kind,
    /// What people and programs call it.
    pub name: String,
    /// What it holds.
    pub grants: Grants,
}

/// Names of the roles that every organization has.
pub const BUILT_IN: [&str; 3] = ["owner", "admin", "member"];

impl Role {
    /// One of those that every organization has.
    pub fn built_in(name: &str) -> Option<Self> {
        let (kind, grants) = match name {
            "owner" => (Kind::Owner, Grants::built_in(|_| true, true)),
            "admin" => {
                let withheld = [Permission::OrganizationDelete, Permission::PolicyManage];
                (Kind::Admin, Grants::built_in(|permission| !withheld.contains(&permission), true))
            }
            "member" => {
                (Kind::Member, Grants::built_in(|permission| permission == Permission::MembersRead, false))
            }
            _ => return None,
        };
        Some(Self { kind, name: name.to_owned(), grants })
    }

    /// From a row that names a role: its kind, and the custom role's row where it is one. What cannot be read holds
    /// nothing.
    pub fn of_stored(
        kind: &str,
        id: Option<OrganizationRoleId>,
        name: Option<String>,
        permissions: Option<&[String]>,
    ) -> Self {
        if let Some(role) = Self::built_in(kind) {
            return role;
        }
        let grants = Grants::of_stored(permissions.unwrap_or_default());
        let kind = id.map_or(Kind::Member, Kind::Custom);
        Self { kind, name: name.unwrap_or_default(), grants }
    }

    /// Whether it is the role that an organization cannot be without.
    pub fn is_owner(&self) -> bool {
        self.kind == Kind::Owner
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn custom(held: &[&str]) -> Grants {
        let mut errors = FieldErrors::default();
        let grants = Grants::parse(&names(held), &mut errors);
        errors.finish().unwrap();
        grants
    }

    #[test]
    fn roles_cover_what_is_below_them_and_nothing_above() {
        let [owner, admin, member] = BUILT_IN.map(|name| Role::built_in(name).unwrap().grants);
        assert!(owner.covers(&owner) && owner.covers(&admin) && admin.covers(&member));
        assert!(!admin.covers(&owner) && !member.covers(&admin));
        let billing = custom(&["app:billing", "members:read"]);
        assert!(admin.covers(&billing) && billing.covers(&member) && !member.covers(&billing));
        assert!(!billing.covers(&admin) && !admin.covers(&custom(&["policy:manage"])));
        assert!(!billing.covers(&custom(&["app:billing:read"])));
    }

    #[test]
    fn only_what_is_known_or_the_applications_can_be_granted() {
        for name in [
            "",
            "*",
            "app:",
            "app:*",
            "app:A",
            "app:a b",
            "organization:delete",
            "owner",
            "members:Read",
            "APP:a",
        ] {
            let mut errors = FieldErrors::default();
            Grants::parse(&names(&["app:fine", name]), &mut errors);
            let problem = errors.finish().expect_err(name);
            assert_eq!(problem.errors()[0].pointer, "/permissions/1", "{name}");
        }
        custom(&["app:invoices.read", "app:a:b-c_d", "members:update"]);
    }

    #[test]
    fn a_stored_name_that_nobody_knows_grants_nothing() {
        let grants = Grants::of_stored(&names(&["future:thing", "members:read"]));
        assert_eq!(grants.names(), ["members:read"]);
        let lost = Role::of_stored("custom", None, None, None);
        assert!(lost.grants.names().is_empty());
    }
}
