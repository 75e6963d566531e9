//! What a provider says about somebody, once its answer has been verified.

use serde_json::{Map, Value};

use crate::emails::Email;
use crate::identities::Profile;

/// The claims of an identity token, or the members of a document.
pub type Claims = Map<String, Value>;

/// What has been verified or read with the person's access token; a kind makes an [`Assertion`] of it.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The issuer that the configuration expects; the identity token's has been compared.
    pub issuer: &'a str,
    /// The verified claims of the identity token, for kinds that have one.
    pub id_token: Option<&'a Claims>,
    /// What the kind asked to read (`kinds::documents`), in that order.
    pub documents: &'a [Value],
    /// What came as `user` with the callback itself (Apple, once): unsigned, good for a name and nothing else.
    pub posted_user: Option<&'a Value>,
}

/// Who somebody is at a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assertion {
    /// Who says so.
    pub issuer: String,
    /// Who it is there: stable and never given to anybody else.
    pub subject: String,
    /// The address there.
    pub email: Option<Email>,
    /// Whether the provider calls the address proven, by a boolean in the document that holds it.
    pub email_verified: bool,
    /// Whether the provider is the authority over the address (`gmail.com` at Google, not any address that a Google
    /// account may have). `true` where the kind knows of no difference.
    pub authoritative: bool,
    /// The organization's domain, where the provider says it beside the address (`hd`).
    pub hosted_domain: Option<String>,
    /// The name there.
    pub name: Option<String>,
    /// A picture there: an https URL.
    pub picture: Option<String>,
}

impl Assertion {
    /// As an identity is stored.
    pub fn profile<'a>(&'a self, provider: &'a str) -> Profile<'a> {
        Profile {
            provider,
            issuer: &self.issuer,
            subject: &self.subject,
            email: self.email.as_ref().map(Email::address),
            email_verified: self.email_verified,
            name: self.name.as_deref(),
            picture: self.picture.as_deref(),
        }
    }
}
