//! Every setting, its default and its bounds.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;
use utoipa::ToSchema;

use crate::platform::http::FieldErrors;

/// The project's settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Who may make an account.
    pub sign_up: SignUp,
    /// How long sessions live.
    pub sessions: Sessions,
    /// How long refresh tokens live.
    pub refresh_tokens: RefreshTokens,
    /// Stateless verification.
    pub jwt: Jwt,
    /// Keys that sign JWTs.
    pub signing_keys: SigningKeys,
    /// Sign-in by password.
    pub password: Password,
    /// Sign-in by mailed link or code.
    pub magic_link: Switch,
    /// Sign-in by passkey.
    pub passkeys: Switch,
    /// Second factors.
    pub mfa: Mfa,
    /// Origins whose pages may call with the session cookie and be returned to.
    pub allowed_origins: Vec<String>,
    /// Where mailed links lead.
    pub links: Links,
    /// How pages and mails look.
    pub branding: Branding,
    /// The relation engine.
    pub authz: Authz,
    /// The audit log.
    pub audit: Audit,
}

/// Who may make an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SignUp {
    /// Whether strangers may sign up.
    pub enabled: bool,
    /// Whether an address must be proven before its account can be used.
    pub require_verification: bool,
}

/// How long sessions live, in seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sessions {
    /// Without use.
    pub idle_seconds: u32,
    /// In any case.
    pub absolute_seconds: u32,
    /// How recent an authentication sensitive calls ask for.
    pub fresh_seconds: u32,
}

impl Sessions {
    /// Ends after this long without use.
    pub fn idle(&self) -> Duration {
        Duration::from_secs(self.idle_seconds.into())
    }

    /// Ends after this long in any case.
    pub fn absolute(&self) -> Duration {
        Duration::from_secs(self.absolute_seconds.into())
    }

    /// How recent an authentication sensitive calls ask for.
    pub fn fresh(&self) -> Duration {
        Duration::from_secs(self.fresh_seconds.into())
    }
}

/// How long refresh tokens live, in seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RefreshTokens {
    /// Without use.
    pub idle_seconds: u32,
    /// In any case.
    pub absolute_seconds: u32,
    /// How long a retry of a rotation gets the same successor.
    pub grace_seconds: u32,
}

impl RefreshTokens {
    /// Ends after this long without use.
    pub fn idle(&self) -> Duration {
        Duration::from_secs(self.idle_seconds.into())
    }

    /// Ends after this long in any case.
    pub fn absolute(&self) -> Duration {
        Duration::from_secs(self.absolute_seconds.into())
    }

    /// How long a retry of a rotation gets the same successor.
    pub fn grace(&self) -> Duration {
        Duration::from_secs(self.grace_seconds.into())
    }
}

/// Stateless verification.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Jwt {
    /// Whether sessions may be exchanged for JWTs.
    pub enabled: bool,
    /// Life of a JWT, in seconds.
    pub lifetime_seconds: u32,
    /// `aud` where the request names none.
    pub default_audience: Option<String>,
    /// Claim name to fixed value, or to `{"user_metadata": "key"}`.
    #[schema(value_type = Object)]
    pub custom_claims: Map<String, Value>,
}

/// Keys that sign JWTs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SigningKeys {
    /// A new key every so many days.
    pub rotation_days: u32,
}

/// Sign-in by password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Password {
    /// Whether passwords may be used.
    pub enabled: bool,
    /// Shortest password, in code points.
    pub min_length: u32,
    /// Whom to ask whether a password is known from a breach: a k-anonymity range API such as
    /// `https://api.pwnedpasswords.com/range`, called with the first five digits of the SHA-1. Nobody where `null`.
    pub breach_check_url: Option<String>,
}

/// On or off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Switch {
    /// Whether the method may be used.
    pub enabled: bool,
}

/// Second factors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Mfa {
    /// Whether they are off, for those who want, or for everybody.
    pub policy: MfaPolicy,
}

/// Whether second factors are off, for those who want, or for everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MfaPolicy {
    /// Nobody is asked for one.
    Off,
    /// Those who enrolled are asked.
    Optional,
    /// Everybody must enrol.
    Required,
}

/// Where mailed links lead.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Links {
    /// Base of mailed links; the service's own pages where `null`.
    pub base_url: Option<String>,
}

/// How pages and mails look.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Branding {
    /// Product name.
    pub name: Option<String>,
    /// Logo, by https.
    pub logo_url: Option<String>,
    /// `#rrggbb`.
    pub primary_color: Option<String>,
}

/// The relation engine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Authz {
    /// The audit of decisions.
    pub traces: Traces,
}

/// The audit of decisions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Traces {
    /// Share of allowed decisions to keep, 0 to 1.
    pub sample_allowed: f64,
    /// Share of denied decisions to keep, 0 to 1.
    pub sample_denied: f64,
    /// Days to keep them.
    pub retention_days: u32,
}

/// The audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Audit {
    /// Days to keep events.
    pub retention_days: u32,
}

macro_rules! defaults {
    ($($type:ident { $($field:ident: $value:expr),+ $(,)? })+) => {$(
        impl Default for $type {
            fn default() -> Self {
                Self { $($field: $value),+ }
            }
        }
    )+};
}

const DAY: u32 = 24 * 60 * 60;

defaults! {
    SignUp { enabled: true, require_verification: true }
    Sessions { idle_seconds: 7 * DAY, absolute_seconds: 30 * DAY, fresh_seconds: 600 }
    RefreshTokens { idle_seconds: 14 * DAY, absolute_seconds: 30 * DAY, grace_seconds: 10 }
    Jwt { enabled: false, lifetime_seconds: 300, default_audience: None, custom_claims: Map::new() }
    SigningKeys { rotation_days: 90 }
    Password { enabled: true, min_length: 8, breach_check_url: None }
    Switch { enabled: true }
    Mfa { policy: MfaPolicy::Optional }
    Traces { sample_allowed: 0.0, sample_denied: 1.0, retention_days: 30 }
    Audit { retention_days: 90 }
}

/// Claims that the service sets itself; a custom claim must not shadow one.
const RESERVED_CLAIMS: [&str; 12] =
    ["iss", "sub", "aud", "exp", "iat", "nbf", "jti", "sid", "aal", "amr", "org_id", "act"];

/// Whether a text may stand as the `aud` of a JWT: 1 to 255 printable characters, no space at either end.
pub fn is_audience(text: &str) -> bool {
    (1..=255).contains(&text.chars().count()) && text.trim() == text && !text.chars().any(char::is_control)
}

impl Settings {
    /// Checks every bound; all errors at once.
    pub fn check(&self, errors: &mut FieldErrors) {
        let mut range = |pointer: &str, value: u32, from: u32, to: u32| {
            if !(from..=to).contains(&value) {
                errors.push(pointer, "out_of_range", format!("must be from {from} to {to}"));
            }
        };
        range("/sessions/idle_seconds", self.sessions.idle_seconds, 1, 365 * DAY);
        range("/sessions/absolute_seconds", self.sessions.absolute_seconds, 1, 5 * 365 * DAY);
        range("/sessions/fresh_seconds", self.sessions.fresh_seconds, 1, DAY);
        range("/refresh_tokens/idle_seconds", self.refresh_tokens.idle_seconds, 1, 365 * DAY);
        range("/refresh_tokens/absolute_seconds", self.refresh_tokens.absolute_seconds, 1, 5 * 365 * DAY);
        range("/refresh_tokens/grace_seconds", self.refresh_tokens.grace_seconds, 0, 60);
        range("/jwt/lifetime_seconds", self.jwt.lifetime_seconds, 30, 3600);
        range("/signing_keys/rotation_days", self.signing_keys.rotation_days, 1, 3650);
        range("/password/min_length", self.password.min_length, 8, 64);
        range("/authz/traces/retention_days", self.authz.traces.retention_days, 1, 3650);
        range("/audit/retention_days", self.audit.retention_days, 1, 3650);
        self.check_texts(errors);
    }

    fn check_texts(&self, errors: &mut FieldErrors) {
        for (pointer, share) in [
            ("/authz/traces/sample_allowed", self.authz.traces.sample_allowed),
            ("/authz/traces/sample_denied", self.authz.traces.sample_denied),
        ] {
            if !(0.0..=1.0).contains(&share) {
                errors.push(pointer, "out_of_range", "must be from 0 to 1");
            }
        }
        for (index, origin) in self.allowed_origins.iter().enumerate() {
            let exact = Url::parse(origin)
                .is_ok_and(|url| url.has_host() && url.origin().ascii_serialization() == *origin);
            if !exact {
                errors.push(
                    format!("/allowed_origins/{index}"),
                    "invalid_origin",
                    "must be an exact origin such as https://app.example.com",
                );
            }
        }
        let mut url = |pointer: &str, value: Option<&str>| {
            let fine = value.is_none_or(|value| {
                Url::parse(value).is_ok_and(|url| matches!(url.scheme(), "https" | "http") && url.has_host())
            });
            if !fine {
                errors.push(pointer, "invalid_url", "must be an http or https URL");
            }
        };
        url("/password/breach_check_url", self.password.breach_check_url.as_deref());
        url("/links/base_url", self.links.base_url.as_deref());
        url("/branding/logo_url", self.branding.logo_url.as_deref());
        if self.branding.name.as_deref().is_some_and(|name| {
            name.trim().is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control)
        }) {
            errors.push("/branding/name", "invalid_value", "must be 1 to 100 printable characters");
        }
        let hex = |color: &str| {
            color.len() == 7 && color.starts_with('#') && color[1..].bytes().all(|b| b.is_ascii_hexdigit())
        };
        if self.branding.primary_color.as_deref().is_some_and(|color| !color.is_ascii() || !hex(color)) {
            errors.push("/branding/primary_color", "invalid_color", "must be written #rrggbb");
        }
        if self.jwt.default_audience.as_deref().is_some_and(|audience| !is_audience(audience)) {
            errors.push("/jwt/default_audience", "invalid_audience", "must be 1 to 255 printable characters");
        }
        for claim in self.jwt.custom_claims.keys() {
            if RESERVED_CLAIMS.contains(&claim.as_str()) {
                errors.push(
                    format!("/jwt/custom_claims/{claim}"),
                    "reserved_claim",
                    "is set by the service itself",
                );
            }
        }
    }
}

/// Applies a JSON merge patch (RFC 7396).
pub fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(target) = target else { return };
    for (key, value) in patch {
        if value.is_null() {
            target.remove(&key);
        } else {
            merge(target.entry(key).or_insert(Value::Null), value);
        }
    }
}
