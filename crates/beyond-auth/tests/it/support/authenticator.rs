//! An authenticator in software, honest unless told otherwise: the browser and the key behind it.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ciborium::{Value as Cbor, cbor};
use serde_json::{Value, json};

use super::TestApp;

pub const USER_PRESENT: u8 = 1;
pub const USER_VERIFIED: u8 = 1 << 2;
pub const BACKUP_ELIGIBLE: u8 = 1 << 3;
pub const BACKED_UP: u8 = 1 << 4;
pub const ATTESTED: u8 = 1 << 6;
pub const EXTENSIONS: u8 = 1 << 7;

/// What a new key signs with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    EdDsa,
    Es256,
    Rs256,
}

enum Key {
    EdDsa(Ed25519KeyPair),
    Es256(EcdsaKeyPair),
    Rs256(RsaKeyPair),
}

/// A key that the authenticator holds.
pub struct Held {
    pub id: Vec<u8>,
    pub user_handle: Vec<u8>,
    pub counter: u32,
    key: Key,
}

/// Browser and authenticator in one.
pub struct Authenticator {
    pub kind: Kind,
    pub origin: String,
    /// Verifies its user: has a PIN, reads fingerprints.
    pub verifies: bool,
    /// Keeps a counter for each key; many keep none.
    pub counts: bool,
    pub backup_eligible: bool,
    pub backed_up: bool,
    pub aaguid: [u8; 16],
    pub held: Vec<Held>,
}

/// What is about to be signed and handed over. A test may change all of it.
pub struct Draft {
    pub client_data: Value,
    pub rp_id: String,
    pub flags: u8,
    pub counter: u32,
    pub credential_id: Vec<u8>,
    pub user_handle: Option<Vec<u8>>,
    /// Follows the authenticator data.
    pub tail: Vec<u8>,
    /// Registration alone.
    pub aaguid: [u8; 16],
    pub public_key: Cbor,
    pub format: Cbor,
    pub statement: Cbor,
}

pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub fn decode(text: &Value) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text.as_str().unwrap()).unwrap()
}

pub fn cbor_bytes(value: &Cbor) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).unwrap();
    bytes
}

impl Key {
    fn generate(kind: Kind) -> Self {
        match kind {
            Kind::EdDsa => Self::EdDsa(Ed25519KeyPair::generate().unwrap()),
            Kind::Es256 => Self::Es256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap()),
            Kind::Rs256 => Self::Rs256(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()),
        }
    }

    fn cose(&self) -> Cbor {
        let bytes = |bytes: &[u8]| Cbor::Bytes(bytes.to_vec());
        match self {
            Self::EdDsa(pair) => {
                cbor!({ 1 => 1, 3 => -8, -1 => 6, -2 => bytes(pair.public_key().as_ref()) })
            }
            Self::Es256(pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = (bytes(&point[1..33]), bytes(&point[33..]));
                cbor!({ 1 => 2, 3 => -7, -1 => 1, -2 => x, -3 => y })
            }
            Self::Rs256(pair) => {
                let public = pair.public_key();
                let (n, e) = (
                    bytes(public.modulus().big_endian_without_leading_zero()),
                    bytes(public.exponent().big_endian_without_leading_zero()),
                );
                cbor!({ 1 => 3, 3 => -257, -1 => n, -2 => e })
            }
        }
        .unwrap()
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::EdDsa(pair) => pair.sign(message).as_ref().to_vec(),
            Self::Es256(pair) => pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
            Self::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).unwrap();
                signature
            }
        }
    }
}

impl Authenticator {
    /// A phone that syncs its passkeys and verifies its user, on a page of the service's own.
    pub fn new(app: &TestApp) -> Self {
        Self {
            kind: Kind::Es256,
            origin: app.running.app.config.webauthn.rp_origin.origin().ascii_serialization(),
            verifies: true,
            counts: false,
            backup_eligible: true,
            backed_up: true,
            aaguid: [0; 16],
            held: Vec::new(),
        }
    }

    /// A security key that counts, keeps its keys to itself, and has a PIN or not.
    pub fn security_key(app: &TestApp, verifies: bool) -> Self {
        Self { verifies, counts: true, backup_eligible: false, backed_up: false, ..Self::new(app) }
    }

    pub fn with_kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    fn draft(&self, ceremony: &str, options: &Value) -> Draft {
        let mut flags = USER_PRESENT;
        for (set, flag) in [
            (self.verifies, USER_VERIFIED),
            (self.backup_eligible, BACKUP_ELIGIBLE),
            (self.backed_up, BACKED_UP),
        ] {
            flags |= if set { flag } else { 0 };
        }
        let rp_id = options["rpId"].as_str().or_else(|| options["rp"]["id"].as_str()).unwrap();
        Draft {
            client_data: json!({
                "type": ceremony,
                "challenge": options["challenge"],
                "origin": self.origin,
                "crossOrigin": false,
            }),
            rp_id: rp_id.to_owned(),
            flags,
            counter: 0,
            credential_id: Vec::new(),
            user_handle: None,
            tail: Vec::new(),
            aaguid: self.aaguid,
            public_key: Cbor::Null,
            format: "none".into(),
            statement: Cbor::Map(Vec::new()),
        }
    }

    /// `navigator.credentials.create(options).toJSON()`.
    pub fn register(&mut self, options: &Value) -> Value {
        self.register_as(options, |_| {})
    }

    /// The same, with something changed before it is written down.
    pub fn register_as(&mut self, options: &Value, change: impl FnOnce(&mut Draft)) -> Value {
        let options = public_key(options);
        let key = Key::generate(self.kind);
        let mut draft = self.draft("webauthn.create", options);
        draft.flags |= ATTESTED;
        draft.counter = u32::from(self.counts);
        draft.credential_id = key_id();
        draft.public_key = key.cose();
        let (id, user_handle) = (draft.credential_id.clone(), decode(&options["user"]["id"]));
        change(&mut draft);
        self.held.push(Held { id, user_handle, counter: draft.counter, key });
        let mut data = draft.head();
        if draft.flags & ATTESTED != 0 {
            data.extend(draft.aaguid);
            data.extend(u16::try_from(draft.credential_id.len()).unwrap().to_be_bytes());
            data.extend(&draft.credential_id);
            data.extend(cbor_bytes(&draft.public_key));
        }
        data.extend(&draft.tail);
        let object = cbor_bytes(&Cbor::Map(vec![
            ("fmt".into(), draft.format),
            ("attStmt".into(), draft.statement),
            ("authData".into(), Cbor::Bytes(data)),
        ]));
        let id = encode(&draft.credential_id);
        json!({
            "id": id,
            "rawId": id,
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "response": {
                "clientDataJSON": encode(draft.client_data.to_string()),
                "attestationObject": encode(object),
                "transports": ["internal", "hybrid"],
            },
            "clientExtensionResults": { "credProps": { "rk": true } },
        })
    }

    /// `navigator.credentials.get(options).toJSON()`.
    pub fn assert(&mut self, options: &Value) -> Value {
        self.assert_as(options, |_| {})
    }

    /// The same, with something changed before it is signed.
    pub fn assert_as(&mut self, options: &Value, change: impl FnOnce(&mut Draft)) -> Value {
        let options = public_key(options);
        let allowed: Vec<Vec<u8>> = options["allowCredentials"]
            .as_array()
            .unwrap()
            .iter()
            .map(|allow| decode(&allow["id"]))
            .collect();
        let mut draft = self.draft("webauthn.get", options);
        let held = self.held.iter_mut().rev().find(|held| allowed.is_empty() || allowed.contains(&held.id));
        let held = held.expect("the authenticator holds none of the passkeys that are asked for");
        if self.counts {
            held.counter += 1;
        }
        draft.counter = held.counter;
        draft.credential_id.clone_from(&held.id);
        draft.user_handle = Some(held.user_handle.clone());
        change(&mut draft);
        let client_data = draft.client_data.to_string();
        let mut data = draft.head();
        data.extend(&draft.tail);
        let signed = [&data, digest(&SHA256, client_data.as_bytes()).as_ref()].concat();
        let id = encode(&draft.credential_id);
        json!({
            "id": id,
            "rawId": id,
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "response": {
                "clientDataJSON": encode(&client_data),
                "authenticatorData": encode(&data),
                "signature": encode(held.key.sign(&signed)),
                "userHandle": draft.user_handle.map(encode),
            },
            "clientExtensionResults": {},
        })
    }
}

impl Draft {
    fn head(&self) -> Vec<u8> {
        let hash = digest(&SHA256, self.rp_id.as_bytes());
        [hash.as_ref(), &[self.flags], &self.counter.to_be_bytes()].concat()
    }
}

fn key_id() -> Vec<u8> {
    beyond_auth::platform::crypto::random::bytes::<32>().to_vec()
}

/// The options within an answer of the service, or bare ones.
fn public_key(options: &Value) -> &Value {
    options.pointer("/options/publicKey").unwrap_or(options)
}
