//! The JSON in which browsers hand over an authenticator's answer: `RegistrationResponseJSON` and
//! `AuthenticationResponseJSON` (sections 5.1.7 and 5.1.8).
//!
//! Members that are not known are passed over, unlike elsewhere: the browser writes this, and a newer one may say more.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::Refusal;

/// Base64url without padding (RFC 4648 section 5).
pub(super) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Bytes, written in base64url without padding and in no other way.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Base64Url(Vec<u8>);

impl AsRef<[u8]> for Base64Url {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// An answer is good for a sign-in until it has been used.
impl fmt::Debug for Base64Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl<'de> Deserialize<'de> for Base64Url {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        let bytes = URL_SAFE_NO_PAD.decode(text.as_bytes());
        bytes.map(Self).map_err(|_| D::Error::custom("must be base64url without padding"))
    }
}

/// The one type of credential there is.
#[derive(Clone, Copy, Debug, Deserialize)]
enum CredentialType {
    #[serde(rename = "public-key")]
    PublicKey,
}

/// What both answers have in common.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<R> {
    id: Base64Url,
    raw_id: Base64Url,
    #[serde(rename = "type")]
    _type: CredentialType,
    response: R,
    #[serde(default)]
    client_extension_results: Option<ExtensionResults>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExtensionResults {
    #[serde(default)]
    cred_props: Option<CredentialProperties>,
}

/// Section 10.1.3.
#[derive(Clone, Debug, Default, Deserialize)]
struct CredentialProperties {
    #[serde(default)]
    rk: Option<bool>,
}

/// The answer to a registration.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct RegistrationResponse(Envelope<Attestation>);

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Attestation {
    #[serde(rename = "clientDataJSON")]
    client_data: Base64Url,
    attestation_object: Base64Url,
    #[serde(default)]
    transports: Option<Vec<String>>,
}

/// Transports that are kept; browsers pass over what they do not know, so nothing else is worth keeping.
const TRANSPORTS: [&str; 6] = ["usb", "nfc", "ble", "smart-card", "hybrid", "internal"];

impl RegistrationResponse {
    pub(super) fn check_ids(&self) -> Result<(), Refusal> {
        if self.0.id == self.0.raw_id { Ok(()) } else { Err(Refusal::CredentialId) }
    }

    pub(super) fn credential_id(&self) -> &[u8] {
        self.0.raw_id.as_ref()
    }

    pub(super) fn client_data(&self) -> &[u8] {
        self.0.response.client_data.as_ref()
    }

    pub(super) fn attestation_object(&self) -> &[u8] {
        self.0.response.attestation_object.as_ref()
    }

    pub(super) fn transports(&self) -> Vec<String> {
        let told = self.0.response.transports.as_deref().unwrap_or_default();
        let known = TRANSPORTS.into_iter().filter(|known| told.iter().any(|told| told == known));
        known.map(str::to_owned).collect()
    }

    pub(super) fn discoverable(&self) -> Option<bool> {
        self.0.client_extension_results.as_ref()?.cred_props.as_ref()?.rk
    }
}

/// The answer to a sign-in.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct AssertionResponse(Envelope<Assertion>);

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Assertion {
    #[serde(rename = "clientDataJSON")]
    client_data: Base64Url,
    authenticator_data: Base64Url,
    signature: Base64Url,
    #[serde(default)]
    user_handle: Option<Base64Url>,
}

impl AssertionResponse {
    pub(super) fn check_ids(&self) -> Result<(), Refusal> {
        if self.0.id == self.0.raw_id { Ok(()) } else { Err(Refusal::CredentialId) }
    }

    /// Which passkey it claims to come from.
    pub fn credential_id(&self) -> &[u8] {
        self.0.raw_id.as_ref()
    }

    pub(super) fn client_data(&self) -> &[u8] {
        self.0.response.client_data.as_ref()
    }

    pub(super) fn authenticator_data(&self) -> &[u8] {
        self.0.response.authenticator_data.as_ref()
    }

    pub(super) fn signature(&self) -> &[u8] {
        self.0.response.signature.as_ref()
    }

    /// `None` where there is none; some pages write the absent handle as an empty text.
    pub(super) fn user_handle(&self) -> Option<&[u8]> {
        self.0.response.user_handle.as_ref().map(AsRef::as_ref).filter(|handle: &&[u8]| !handle.is_empty())
    }
}
