//! What an organization asks of whoever acts for it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::model::Error;
use crate::platform::http::FieldErrors;
use crate::sessions::model::MemberLimits;

const DAY: u32 = 24 * 60 * 60;

/// A way of signing in that an organization may insist on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// By password.
    Password,
    /// By a mailed link or code.
    MagicLink,
    /// By a passkey.
    Passkey,
    /// By an identity provider.
    Oauth,
}

impl Method {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::MagicLink => "magic_link",
            Self::Passkey => "passkey",
            Self::Oauth => "oauth",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Password, Self::MagicLink, Self::Passkey, Self::Oauth]
            .into_iter()
            .find(|method| method.name() == name)
    }

    /// Whether a session has shown it, at sign-in or since. A mailed code and that of an authenticator app go by the
    /// same word; the app's never comes first.
    fn is_in(self, amr: &[String]) -> bool {
        let any = |words: &[&str]| amr.iter().any(|shown| words.contains(&shown.as_str()));
        match self {
            Self::Password => any(&["pwd"]),
            Self::MagicLink => any(&["email"]) || amr.first().is_some_and(|first| first == "otp"),
            Self::Passkey => any(&["swk", "hwk"]),
            Self::Oauth => any(&["fed", "oauth"]),
        }
    }
}

/// What an organization asks of whoever acts for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = OrganizationPolicy)]
pub struct Policy {
    /// Assurance level that a session must have reached to act for the organization: 1 or 2.
    pub required_aal: i16,
    /// Ways of signing in, one of which the session must have shown; `null`: any.
    pub allowed_methods: Option<Vec<Method>>,
    /// How long sessions of members live at most.
    pub sessions: SessionPolicy,
}

/// How long sessions of members live at most, in seconds; `null`: as the project says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct SessionPolicy {
    /// Without use.
    pub idle_seconds: Option<u32>,
    /// Since a credential was presented.
    pub absolute_seconds: Option<u32>,
}

impl From<SessionPolicy> for MemberLimits {
    fn from(policy: SessionPolicy) -> Self {
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        Self { idle: policy.idle_seconds.map(seconds), absolute: policy.absolute_seconds.map(seconds) }
    }
}

impl Policy {
    /// What an organization asks that has not said anything.
    pub fn open() -> Self {
        Self { required_aal: 1, allowed_methods: None, sessions: SessionPolicy::default() }
    }

    /// From what is stored. A method that this version does not know is asked for all the same, and shown by nobody.
    pub fn of_stored(
        required_aal: i16,
        allowed_methods: Option<&[String]>,
        idle_seconds: Option<i32>,
        absolute_seconds: Option<i32>,
    ) -> Self {
        let seconds = |stored: Option<i32>| stored.and_then(|stored| u32::try_from(stored).ok());
        Self {
            required_aal,
            allowed_methods: allowed_methods
                .map(|names| names.iter().filter_map(|name| Method::parse(name)).collect()),
            sessions: SessionPolicy {
                idle_seconds: seconds(idle_seconds),
                absolute_seconds: seconds(absolute_seconds),
            },
        }
    }

    /// Checks every bound.
    pub fn check(&self, errors: &mut FieldErrors) {
        if !(1..=2).contains(&self.required_aal) {
            errors.push("/policy/required_aal", "out_of_range", "must be 1 or 2");
        }
        if self.allowed_methods.as_ref().is_some_and(Vec::is_empty) {
            errors.push("/policy/allowed_methods", "required", "must name a method, or be null");
        }
        let bounds = [
            ("/policy/sessions/idle_seconds", self.sessions.idle_seconds, 365 * DAY),
            ("/policy/sessions/absolute_seconds", self.sessions.absolute_seconds, 5 * 365 * DAY),
        ];
        for (pointer, seconds, most) in bounds {
            if seconds.is_some_and(|seconds| !(60..=most).contains(&seconds)) {
                errors.push(pointer, "out_of_range", format!("must be from 60 to {most}"));
            }
        }
    }

    /// Whether a session that has shown this may act for the organization.
    pub fn admits(&self, aal: i16, amr: &[String]) -> Result<(), Error> {
        if let Some(methods) = &self.allowed_methods
            && !methods.iter().any(|method| method.is_in(amr))
        {
            return Err(Error::Method(methods.iter().map(|method| method.name().to_owned()).collect()));
        }
        if aal < self.required_aal { Err(Error::Assurance) } else { Ok(()) }
    }
}

/// A change of policy; what is left out stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = OrganizationPolicyChange)]
pub struct PolicyChange {
    /// 1 or 2.
    pub required_aal: Option<i16>,
    /// `null` lets any count.
    #[serde(default, deserialize_with = "crate::users::routes::sent")]
    #[schema(value_type = Option<Vec<Method>>)]
    pub allowed_methods: Option<Option<Vec<Method>>>,
    /// How long sessions of members live at most.
    pub sessions: Option<SessionPolicyChange>,
}

/// A change of how long sessions of members live at most, in seconds; `null` leaves it to the project.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionPolicyChange {
    /// Without use.
    #[serde(default, deserialize_with = "crate::users::routes::sent")]
    #[schema(value_type = Option<u32>)]
    pub idle_seconds: Option<Option<u32>>,
    /// Since a credential was presented.
    #[serde(default, deserialize_with = "crate::users::routes::sent")]
    #[schema(value_type = Option<u32>)]
    pub absolute_seconds: Option<Option<u32>>,
}

impl PolicyChange {
    /// The policy after the change.
    pub fn apply(&self, to: &Policy) -> Policy {
        let sessions = self.sessions.as_ref();
        Policy {
            required_aal: self.required_aal.unwrap_or(to.required_aal),
            allowed_methods: self.allowed_methods.clone().unwrap_or_else(|| to.allowed_methods.clone()),
            sessions: SessionPolicy {
                idle_seconds: sessions
                    .and_then(|change| change.idle_seconds)
                    .unwrap_or(to.sessions.idle_seconds),
                absolute_seconds: sessions
                    .and_then(|change| change.absolute_seconds)
                    .unwrap_or(to.sessions.absolute_seconds),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_shown_by_its_words() {
        let amr = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert!(Method::Password.is_in(&amr(&["pwd", "otp", "mfa"])));
        assert!(!Method::MagicLink.is_in(&amr(&["pwd", "otp", "mfa"])));
        assert!(Method::MagicLink.is_in(&amr(&["otp"])) && Method::MagicLink.is_in(&amr(&["pwd", "email"])));
        assert!(Method::Passkey.is_in(&amr(&["pwd", "hwk", "mfa"])) && !Method::Passkey.is_in(&amr(&[])));
    }

    #[test]
    fn what_a_change_leaves_out_stays() {
        let policy = Policy {
            required_aal: 2,
            allowed_methods: Some(vec![Method::Passkey]),
            sessions: SessionPolicy { idle_seconds: Some(60), absolute_seconds: Some(600) },
        };
        assert_eq!(PolicyChange::default().apply(&policy), policy);
        let change: PolicyChange = serde_json::from_value(serde_json::json!({
            "allowed_methods": null, "sessions": { "idle_seconds": null }
        }))
        .unwrap();
        let changed = change.apply(&policy);
        assert_eq!((changed.required_aal, changed.allowed_methods), (2, None));
        assert_eq!(changed.sessions, SessionPolicy { idle_seconds: None, absolute_seconds: Some(600) });
    }
}
