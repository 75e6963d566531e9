//! What passes between service, browser and authenticator: options out, answers in, every promise checked again.
//!
//! Written against W3C Web Authentication Level 3, sections 7.1 and 7.2, whose steps the comments name. Attestation
//! is neither asked for nor believed, so nothing here judges an authenticator's make.

mod authenticator_data;
mod client_data;
mod response;

use serde_json::{Value, json};
use uuid::Uuid;

use self::authenticator_data::{AuthenticatorData, attested_data};
use self::client_data::ClientData;
pub use self::response::{AssertionResponse, RegistrationResponse};
use crate::platform::config::Config;
use crate::platform::crypto::cose::{self, Algorithm, KeyError, PublicKey};
use crate::platform::ids::UserId;
use crate::settings::Settings;

/// Length of a challenge, in bytes.
pub const CHALLENGE_LEN: usize = 32;
/// How long browsers wait for the person, in milliseconds; the challenge lives as long.
const TIMEOUT_MS: u32 = 300_000;

/// Who asks: the relying party and the origins of its pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelyingParty {
    /// Domain that passkeys are bound to.
    pub id: String,
    /// What browsers show.
    pub name: String,
    /// Origins whose pages may run ceremonies, serialised as browsers do.
    pub origins: Vec<String>,
}

impl RelyingParty {
    /// From the deployment's configuration and the project's settings, never from a request.
    pub fn new(config: &Config, settings: &Settings) -> Self {
        let id = config.webauthn.rp_id.clone();
        let mut origins = vec![config.webauthn.rp_origin.origin().ascii_serialization()];
        let own = config.public_url.origin().ascii_serialization();
        for origin in std::iter::once(&own).chain(&settings.allowed_origins) {
            if !origins.contains(origin) {
                origins.push(origin.clone());
            }
        }
        let name = settings.branding.name.clone().unwrap_or_else(|| id.clone());
        Self { id, name, origins }
    }

    fn id_hash(&self) -> [u8; 32] {
        cose::sha256(self.id.as_bytes())
    }
}

/// Who is about to get a passkey.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    /// Becomes the user handle.
    pub id: UserId,
    /// Tells accounts apart in the authenticator's list.
    pub name: &'a str,
    /// For people.
    pub display_name: &'a str,
}

/// A passkey that browsers are told of.
#[derive(Clone, Debug)]
pub struct Descriptor {
    /// The authenticator's name for it.
    pub credential_id: Vec<u8>,
    /// How to reach the authenticator.
    pub transports: Vec<String>,
}

/// Whether the authenticator must have verified its user (PIN, fingerprint), or may do with a touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserVerification {
    /// It must.
    Required,
    /// It may do without: something else has been proven before.
    Preferred,
}

/// `PublicKeyCredentialCreationOptionsJSON` (section 5.1.9).
pub fn creation_options(
    rp: &RelyingParty,
    owner: Owner<'_>,
    challenge: &[u8; CHALLENGE_LEN],
    exclude: &[Descriptor],
) -> Value {
    let algorithms =
        Algorithm::ALL.map(|algorithm| json!({ "type": "public-key", "alg": algorithm.number() }));
    json!({
        "rp": { "id": rp.id, "name": rp.name },
        "user": {
            "id": response::encode(owner.id.as_uuid().as_bytes()),
            "name": owner.name,
            "displayName": owner.display_name,
        },
        "challenge": response::encode(challenge),
        "pubKeyCredParams": algorithms,
        "timeout": TIMEOUT_MS,
        "excludeCredentials": descriptors(exclude),
        "authenticatorSelection": {
            "residentKey": "preferred",
            "requireResidentKey": false,
            "userVerification": "preferred",
        },
        "attestation": "none",
        "extensions": { "credProps": true },
    })
}

/// `PublicKeyCredentialRequestOptionsJSON` (section 5.1.10). Without `allow` the authenticator offers what it has.
pub fn request_options(
    rp: &RelyingParty,
    challenge: &[u8; CHALLENGE_LEN],
    allow: &[Descriptor],
    user_verification: UserVerification,
) -> Value {
    json!({
        "challenge": response::encode(challenge),
        "timeout": TIMEOUT_MS,
        "rpId": rp.id,
        "allowCredentials": descriptors(allow),
        "userVerification": match user_verification {
            UserVerification::Required => "required",
            UserVerification::Preferred => "preferred",
        },
    })
}

fn descriptors(passkeys: &[Descriptor]) -> Vec<Value> {
    let descriptor = |passkey: &Descriptor| {
        let mut descriptor = json!({ "type": "public-key", "id": response::encode(&passkey.credential_id) });
        if !passkey.transports.is_empty() {
            descriptor["transports"] = json!(passkey.transports);
        }
        descriptor
    };
    passkeys.iter().map(descriptor).collect()
}

/// Why an answer does not count. The words are for the developer of a page and for the audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// `id` and `rawId` differ, or differ from what the authenticator wrote.
    #[error("`id`, `rawId` and the authenticator's own name for the credential must be the same")]
    CredentialId,
    /// Of no readable form.
    #[error("`clientDataJSON` cannot be read")]
    ClientData,
    /// Made for registering, presented for signing in, or the reverse.
    #[error("was made for another ceremony")]
    Type,
    /// Answers another challenge.
    #[error("answers another challenge")]
    Challenge,
    /// Made on a page that is none of ours.
    #[error("was made on a page whose origin is not one of this project's")]
    Origin,
    /// Made within a frame of another site's page.
    #[error("was made in a frame of another site's page")]
    CrossOrigin,
    /// Of no readable form.
    #[error("the authenticator's data cannot be read")]
    AuthenticatorData,
    /// Bound to another domain.
    #[error("is bound to another relying party")]
    RelyingParty,
    /// Nobody touched the authenticator.
    #[error("the authenticator did not see its user")]
    UserPresence,
    /// Nobody proved to the authenticator to be its user.
    #[error("the authenticator did not verify its user")]
    UserVerification,
    /// Backed up although it cannot be, or changed since it was registered.
    #[error("contradicts itself, or its registration, about being backed up")]
    Backup,
    /// Not a key, or not of an algorithm that was offered.
    #[error("the public key {0}")]
    Key(#[from] KeyError),
    /// Names another user.
    #[error("names another user")]
    UserHandle,
    /// Not signed by this passkey.
    #[error("the signature is not this passkey's")]
    Signature,
    /// The counter went back: there is a copy.
    #[error("the signature counter went back: there may be a copy of this passkey")]
    Counter,
}

/// What a registration brings.
#[derive(Clone, Debug)]
pub struct Registered {
    /// The authenticator's name for it.
    pub credential_id: Vec<u8>,
    /// `COSE_Key`.
    pub public_key: Vec<u8>,
    /// What it signs with.
    pub algorithm: Algorithm,
    /// Where the counter starts.
    pub sign_count: u32,
    /// Whether the key may leave its device.
    pub backup_eligible: bool,
    /// Whether it has.
    pub backed_up: bool,
    /// Whether the authenticator has verified its user.
    pub user_verified: bool,
    /// Whether it is found without being named, where the browser tells.
    pub discoverable: Option<bool>,
    /// How to reach the authenticator.
    pub transports: Vec<String>,
    /// Make of the authenticator, where it tells.
    pub aaguid: Option<Uuid>,
}

/// Checks the answer to [`creation_options`] (section 7.1).
pub fn verify_registration(
    rp: &RelyingParty,
    challenge: &[u8],
    answer: &RegistrationResponse,
) -> Result<Registered, Refusal> {
    answer.check_ids()?;
    // Steps 5 to 11.
    ClientData::parse(answer.client_data())?.check("webauthn.create", challenge, &rp.origins)?;
    // Step 13. The statement beside it says who made the authenticator; nobody asked (steps 21 to 24 fall away).
    let data = attested_data(answer.attestation_object())?;
    let data = AuthenticatorData::parse(&data)?;
    // Steps 14 to 19.
    check_flags(rp, &data, UserVerification::Preferred)?;
    let credential = data.credential.ok_or(Refusal::AuthenticatorData)?;
    if credential.id != answer.credential_id() {
        return Err(Refusal::CredentialId);
    }
    // Step 20, and that the key is one at all: RFC 9052 section 7 leaves that to the application.
    let key = PublicKey::parse(credential.public_key)?;
    Ok(Registered {
        credential_id: credential.id.to_vec(),
        public_key: credential.public_key.to_vec(),
        algorithm: key.algorithm(),
        sign_count: data.sign_count,
        backup_eligible: data.backup_eligible,
        backed_up: data.backed_up,
        user_verified: data.user_verified,
        discoverable: answer.discoverable(),
        transports: answer.transports(),
        aaguid: (!credential.aaguid.is_nil()).then_some(credential.aaguid),
    })
}

/// A registered passkey, as far as verifying its answers takes.
#[derive(Clone, Debug)]
pub struct Known {
    /// Whose it is.
    pub user_id: UserId,
    /// `COSE_Key`.
    pub public_key: Vec<u8>,
    /// The counter when it was last used.
    pub sign_count: u32,
    /// Whether the key may leave its device.
    pub backup_eligible: bool,
}

/// What the use of a passkey brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// The counter now.
    pub sign_count: u32,
    /// Whether it is backed up now.
    pub backed_up: bool,
    /// Whether the authenticator has verified its user.
    pub user_verified: bool,
}

/// Checks the answer to [`request_options`] by the passkey that it names (section 7.2).
pub fn verify_assertion(
    rp: &RelyingParty,
    challenge: &[u8],
    known: &Known,
    answer: &AssertionResponse,
    user_verification: UserVerification,
) -> Result<Used, Refusal> {
    answer.check_ids()?;
    // Step 6: whose it is follows from the passkey; what the answer says about it may only agree.
    if answer.user_handle().is_some_and(|handle| handle != known.user_id.as_uuid().as_bytes()) {
        return Err(Refusal::UserHandle);
    }
    // Steps 9 to 14.
    ClientData::parse(answer.client_data())?.check("webauthn.get", challenge, &rp.origins)?;
    // Steps 15 to 20.
    let data = AuthenticatorData::parse(answer.authenticator_data())?;
    check_flags(rp, &data, user_verification)?;
    if data.backup_eligible != known.backup_eligible {
        return Err(Refusal::Backup);
    }
    // Steps 21 and 22.
    let signed = [answer.authenticator_data(), &cose::sha256(answer.client_data())].concat();
    if !PublicKey::parse(&known.public_key)?.verifies(&signed, answer.signature()) {
        return Err(Refusal::Signature);
    }
    // Step 23. Behind the signature, so that nobody else can raise the alarm.
    if (data.sign_count > 0 || known.sign_count > 0) && data.sign_count <= known.sign_count {
        return Err(Refusal::Counter);
    }
    Ok(Used { sign_count: data.sign_count, backed_up: data.backed_up, user_verified: data.user_verified })
}

fn check_flags(
    rp: &RelyingParty,
    data: &AuthenticatorData<'_>,
    user_verification: UserVerification,
) -> Result<(), Refusal> {
    if data.rp_id_hash != rp.id_hash() {
        return Err(Refusal::RelyingParty);
    }
    if !data.user_present {
        return Err(Refusal::UserPresence);
    }
    if user_verification == UserVerification::Required && !data.user_verified {
        return Err(Refusal::UserVerification);
    }
    if data.backed_up && !data.backup_eligible {
        return Err(Refusal::Backup);
    }
    Ok(())
}
