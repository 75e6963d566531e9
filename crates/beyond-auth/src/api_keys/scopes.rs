//! What a key may do: calls of the service itself, and names that mean something to the application alone.

use std::collections::BTreeSet;

use crate::orgs::permissions;
use crate::platform::http::FieldErrors;

macro_rules! scopes {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)+) => {
        /// A scope that the service itself asks for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Scope {
            $($(#[$doc])* $name),+
        }

        impl Scope {
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

// Whoever holds one of these sees what belongs to everybody, so only keys of the project are given them. A new call
// brings its scope along; a name that opens nothing yet cannot be granted, lest it open something later.
scopes! {
    /// Ask about session tokens.
    SessionsIntrospect = "sessions:introspect";
    /// Ask about API keys.
    ApiKeysIntrospect = "api_keys:introspect";
    /// Read the feed of revocations.
    RevocationsRead = "revocations:read";
}

/// Scopes that a key may have.
pub const MOST_SCOPES: usize = 50;

/// What one key may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes(BTreeSet<String>);

impl Scopes {
    /// What is stored of a key. A name that this version does not know opens nothing.
    pub fn of_stored(names: Vec<String>) -> Self {
        Self(names.into_iter().collect())
    }

    /// Checks names that somebody wants a key to have.
    pub fn parse(names: Vec<String>, errors: &mut FieldErrors) -> Self {
        if names.len() > MOST_SCOPES {
            errors.push("/scopes", "too_long", format!("at most {MOST_SCOPES} scopes"));
            return Self::default();
        }
        for (index, name) in names.iter().enumerate() {
            if !permissions::is_app(name) && !is_built_in(name) {
                let what = "must be a scope of the service, or of the form app:name";
                errors.push(format!("/scopes/{index}"), "unknown_scope", what);
            }
        }
        Self::of_stored(names)
    }

    /// Whether the key may do it.
    pub fn holds(&self, scope: Scope) -> bool {
        self.0.contains(scope.name())
    }

    /// As they are written.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// As they are stored.
    pub fn into_names(self) -> Vec<String> {
        self.0.into_iter().collect()
    }
}

/// Whether the service itself asks for it.
pub fn is_built_in(name: &str) -> bool {
    Scope::ALL.iter().any(|scope| scope.name() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(names: &[&str]) -> Result<Scopes, String> {
        let mut errors = FieldErrors::default();
        let scopes = Scopes::parse(names.iter().map(|name| (*name).to_owned()).collect(), &mut errors);
        match errors.finish() {
            Ok(()) => Ok(scopes),
            Err(problem) => Err(problem.errors()[0].pointer.clone()),
        }
    }

    #[test]
    fn only_what_is_known_or_the_applications_is_a_scope() {
        let scopes = parse(&["app:invoices.read", "sessions:introspect", "app:invoices.read"]).unwrap();
        assert!(scopes.holds(Scope::SessionsIntrospect) && !scopes.holds(Scope::RevocationsRead));
        assert_eq!(scopes.into_names(), ["app:invoices.read", "sessions:introspect"]);
        for name in ["", "*", "app:", "app:*", "admin", "api_keys:manage", "Sessions:introspect", "app:A b"] {
            assert_eq!(parse(&["app:fine", name]), Err("/scopes/1".to_owned()), "{name}");
        }
        assert_eq!(parse(&["app:a"; MOST_SCOPES + 1]), Err("/scopes".to_owned()));
    }

    #[test]
    fn a_stored_name_that_nobody_knows_opens_nothing() {
        let scopes = Scopes::of_stored(vec!["future:thing".to_owned()]);
        assert!(Scope::ALL.iter().all(|scope| !scopes.holds(*scope)));
    }
}
