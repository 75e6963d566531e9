//! Bearer tokens: `{prefix}_{id}_{secret}`.
//!
//! `id` is a `UUIDv7` as 32 lower-case hexadecimal digits; it finds the row and is worth nothing alone. `secret`
//! is 32 random bytes in base64url without padding (RFC 4648 section 5), 43 characters; only its SHA-256 is
//! stored. A plain hash is enough because the secret has 256 bits: there is nothing to guess, so nothing to
//! slow down.
//!
//! A token has exactly one spelling. Two traps of the format are closed here: base64url itself contains `_`,
//! so the parts are found by position, never by splitting at every underscore; and 43 characters carry two
//! bits more than 32 bytes need, so only the spelling with those bits zero is a token.

use std::fmt;
use std::marker::PhantomData;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;
use subtle::ConstantTimeEq as _;
use uuid::Uuid;
use zeroize::{Zeroize as _, Zeroizing};

use crate::platform::crypto::envelope::Keyring;
use crate::platform::crypto::random;
use crate::platform::ids;

const ID_LEN: usize = uuid::fmt::Simple::LENGTH;
const SECRET_BYTES: usize = 32;
const SECRET_LEN: usize = 43;

/// What a token is for. Kinds are types, so that one cannot be redeemed as another.
pub trait Kind: Send + Sync + 'static {
    /// The text before the first underscore, on the wire and forever.
    const PREFIX: &'static str;
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)+) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub struct $name;

            impl Kind for $name {
                const PREFIX: &'static str = $prefix;
            }
        )+

        /// Every prefix there is.
        pub const PREFIXES: &[&str] = &[$($prefix),+];
    };
}

kinds! {
    /// An end user's session.
    Session = "session";
    /// A long-lived refresh token.
    Refresh = "rt";
    /// Server-to-server access.
    ApiKey = "key";
    /// Signing in by mail.
    MagicLink = "ml";
    /// Whoever asked for a mail to sign in with: the code in it works for nobody else. Opens nothing by itself.
    SignInRequest = "req";
    /// Setting a new password.
    PasswordReset = "pwr";
    /// Proving an address.
    EmailVerification = "ev";
    /// Joining an organization.
    Invitation = "inv";
    /// A sign-in that still waits for a second factor; opens nothing else.
    Attempt = "att";
}

/// The text is not a token of the wanted kind. Says no more: it may be somebody's secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed token")]
pub struct MalformedToken;

/// A token as its holder sees it. Shown once, never stored; see [`SecretHash`] for what is stored.
pub struct Token<K> {
    id: Uuid,
    secret: Zeroizing<[u8; SECRET_BYTES]>,
    kind: PhantomData<fn() -> K>,
}

impl<K: Kind> Token<K> {
    const LEN: usize = K::PREFIX.len() + 1 + ID_LEN + 1 + SECRET_LEN;

    /// A new token with a new id.
    pub fn mint() -> Self {
        Self::mint_for(ids::draw())
    }

    /// A new token for a row whose id is known. The id must be a `UUIDv7`, or the text will not parse again.
    pub fn mint_for(id: Uuid) -> Self {
        debug_assert_eq!(id.get_version_num(), 7, "a token's id is a UUIDv7");
        Self { id, secret: Zeroizing::new(random::bytes()), kind: PhantomData }
    }

    /// Reads the one canonical spelling. Anything else costs no query, and an over-long text no work at all.
    pub fn parse(text: &str) -> Result<Self, MalformedToken> {
        if text.len() != Self::LEN {
            return Err(MalformedToken);
        }
        let rest = text.as_bytes().strip_prefix(K::PREFIX.as_bytes()).ok_or(MalformedToken)?;
        let rest = rest.strip_prefix(b"_").ok_or(MalformedToken)?;
        let (id, rest) = rest.split_at_checked(ID_LEN).ok_or(MalformedToken)?;
        let secret = rest.strip_prefix(b"_").ok_or(MalformedToken)?;
        Ok(Self { id: parse_id(id)?, secret: parse_secret(secret)?, kind: PhantomData })
    }

    /// Tokens of the row `id` that follow from this one: one for each key of the ring, the current key's first.
    ///
    /// Whoever holds this token and the ring can make them again; whoever holds only the database or only the
    /// ring cannot. `purpose` keeps apart what is derived for different ends.
    pub fn derive<D: Kind>(
        &self,
        keyring: &Keyring,
        purpose: &'static str,
        id: Uuid,
    ) -> impl Iterator<Item = Token<D>> {
        debug_assert_eq!(id.get_version_num(), 7, "a token's id is a UUIDv7");
        // Both parts have one length, so no two pairs share a message.
        let mut message = Zeroizing::new([0; SECRET_BYTES + 16]);
        message[..SECRET_BYTES].copy_from_slice(self.secret.as_slice());
        message[SECRET_BYTES..].copy_from_slice(id.as_bytes());
        let secrets: Vec<_> = keyring.mac_each(purpose, message.as_slice()).collect();
        secrets.into_iter().map(move |secret| Token { id, secret, kind: PhantomData })
    }

    /// Which row this token belongs to.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// What is stored of it.
    pub fn hash(&self) -> SecretHash {
        SecretHash::of(&[self.secret.as_slice()])
    }

    /// The text to hand to its holder.
    pub fn reveal(&self) -> SecretString {
        // Full capacity at once: growing would leave copies of the secret behind in freed memory.
        let mut text = String::with_capacity(Self::LEN);
        text.push_str(K::PREFIX);
        text.push('_');
        text.push_str(self.id.as_simple().encode_lower(&mut Uuid::encode_buffer()));
        text.push('_');
        URL_SAFE_NO_PAD.encode_string(self.secret.as_slice(), &mut text);
        SecretString::from(text)
    }
}

impl<K: Kind> fmt::Debug for Token<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({}_{}_[redacted])", K::PREFIX, self.id.as_simple())
    }
}

/// SHA-256 of a token's secret, as stored (32 bytes).
#[derive(Clone, Copy)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// Of parts whose lengths never vary: they are not framed.
    pub(super) fn of(parts: &[&[u8]]) -> Self {
        let mut digest = digest::Context::new(&digest::SHA256);
        for part in parts {
            digest.update(part);
        }
        let mut hash = [0; 32];
        hash.copy_from_slice(digest.finish().as_ref());
        Self(hash)
    }

    /// One that was read from where it is stored; `None` for what is none.
    pub fn stored(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The bytes to store.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether `stored` is this hash, in time that depends on neither's content.
    pub fn matches(&self, stored: &[u8]) -> bool {
        bool::from(self.0.as_slice().ct_eq(stored))
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash([redacted])")
    }
}

/// Which kind of token a text claims to be, by its prefix alone; the rest is not looked at.
///
/// Costs the same for any length. `None` when no kind has that prefix.
pub fn prefix_of(text: &str) -> Option<&'static str> {
    PREFIXES
        .iter()
        .copied()
        .find(|prefix| text.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('_')))
}

fn parse_id(hex: &[u8]) -> Result<Uuid, MalformedToken> {
    if !hex.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(MalformedToken);
    }
    let id = Uuid::try_parse_ascii(hex).map_err(|_| MalformedToken)?;
    if id.get_version_num() != 7 || id.get_variant() != uuid::Variant::RFC4122 {
        return Err(MalformedToken);
    }
    Ok(id)
}

fn parse_secret(text: &[u8]) -> Result<Zeroizing<[u8; SECRET_BYTES]>, MalformedToken> {
    // The engine wants room for the longest thing that many characters could mean: one byte more.
    let mut decoded = Zeroizing::new([0; SECRET_BYTES + 1]);
    let written = URL_SAFE_NO_PAD.decode_slice(text, decoded.as_mut_slice()).map_err(|_| MalformedToken)?;
    if written != SECRET_BYTES {
        return Err(MalformedToken);
    }
    let mut secret = Zeroizing::new([0; SECRET_BYTES]);
    secret.copy_from_slice(&decoded[..SECRET_BYTES]);
    decoded.zeroize();
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret as _;

    use super::*;

    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    fn text_of<K: Kind>(token: &Token<K>) -> String {
        token.reveal().expose_secret().to_owned()
    }

    fn same<K: Kind>(a: &Token<K>, b: &Token<K>) -> bool {
        a.id() == b.id() && a.hash().matches(b.hash().as_bytes())
    }

    fn token_from(id: [u8; 16], secret: [u8; 32]) -> Token<Session> {
        let id = uuid::Builder::from_bytes(id)
            .with_version(uuid::Version::SortRand)
            .with_variant(uuid::Variant::RFC4122)
            .into_uuid();
        Token { id, secret: Zeroizing::new(secret), kind: PhantomData }
    }

    #[test]
    fn a_derived_token_follows_from_its_parent_the_key_the_purpose_and_the_row() {
        let (keyring, other_ring) = (Keyring::new([1; 32], vec![]), Keyring::new([2; 32], vec![]));
        let (parent, row) = (Token::<Refresh>::mint(), ids::draw());
        let derive = |parent: &Token<Refresh>, keyring: &Keyring, purpose, row| {
            text_of(&parent.derive::<Refresh>(keyring, purpose, row).next().unwrap())
        };
        let derived = derive(&parent, &keyring, "a", row);
        assert_eq!(derived, derive(&parent, &keyring, "a", row));
        assert_eq!(Token::<Refresh>::parse(&derived).unwrap().id(), row);
        let sibling = Token::<Refresh>::mint_for(parent.id());
        for other in [
            derive(&sibling, &keyring, "a", row),
            derive(&parent, &other_ring, "a", row),
            derive(&parent, &keyring, "b", row),
            derive(&parent, &keyring, "a", ids::draw()),
        ] {
            assert_ne!(derived[derived.len() - SECRET_LEN..], other[other.len() - SECRET_LEN..]);
        }
    }

    fn try_every_kind(text: &str) -> Vec<&'static str> {
        fn is<K: Kind>(text: &str) -> Option<&'static str> {
            Token::<K>::parse(text).ok().map(|_| K::PREFIX)
        }
        [
            is::<Session>(text),
            is::<Refresh>(text),
            is::<ApiKey>(text),
            is::<MagicLink>(text),
            is::<PasswordReset>(text),
            is::<EmailVerification>(text),
            is::<Invitation>(text),
            is::<Attempt>(text),
            is::<SignInRequest>(text),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    proptest! {
        #[test]
        fn every_token_reads_back(id: [u8; 16], secret: [u8; 32]) {
            let token = token_from(id, secret);
            let text = text_of(&token);
            prop_assert_eq!(text.len(), Token::<Session>::LEN);
            prop_assert!(same(&token, &Token::parse(&text).unwrap()));
        }

        #[test]
        fn any_text_parses_to_itself_or_not_at_all(text in "session_[0-9a-f]{12}[67][0-9a-f]{3}[89ab0][0-9a-f]{15}_[A-Za-z0-9_-]{43}") {
            if let Ok(token) = Token::<Session>::parse(&text) {
                prop_assert_eq!(text_of(&token), text);
            }
        }

        #[test]
        fn arbitrary_text_never_panics(text: String) {
            prop_assert!(Token::<Session>::parse(&text).is_err());
            let _ = prefix_of(&text);
        }
    }

    #[test]
    fn every_one_character_change_fails_or_yields_another_token() {
        let token = Token::<Session>::mint();
        let text = text_of(&token);
        for position in 0..text.len() {
            for replacement in (0..=127_u8).chain(ALPHABET.iter().copied()) {
                let mut changed = text.clone().into_bytes();
                if changed[position] == replacement {
                    continue;
                }
                changed[position] = replacement;
                let changed = String::from_utf8(changed).unwrap();
                if let Ok(other) = Token::<Session>::parse(&changed) {
                    assert!(!same(&token, &other), "{position} {replacement}");
                    assert_eq!(text_of(&other), changed);
                }
            }
        }
    }

    #[test]
    fn every_shorter_or_longer_text_is_refused() {
        let text = text_of(&Token::<Session>::mint());
        for end in 0..text.len() {
            assert!(Token::<Session>::parse(&text[..end]).is_err());
        }
        for tail in ["=", "A", "_", " ", "\n", "\0"] {
            assert!(Token::<Session>::parse(&format!("{text}{tail}")).is_err());
            assert!(Token::<Session>::parse(&format!("{tail}{text}")).is_err());
        }
    }

    #[test]
    fn only_one_spelling_of_the_last_character_is_accepted() {
        let text = text_of(&Token::<Session>::mint());
        let (head, _) = text.split_at(text.len() - 1);
        let accepted = ALPHABET
            .iter()
            .filter(|last| Token::<Session>::parse(&format!("{head}{}", char::from(**last))).is_ok())
            .count();
        // Six bits, of which the last two must be zero.
        assert_eq!(accepted, 16);
    }

    #[test]
    fn an_id_in_another_spelling_or_version_is_refused() {
        let id = "01a2b3c4d5e67f018a2b3c4d5e6f7081";
        let secret = "A".repeat(SECRET_LEN);
        let with = |id: &str| Token::<Session>::parse(&format!("session_{id}_{secret}"));
        assert!(with(id).is_ok());
        assert!(with(&id.to_uppercase()).is_err());
        assert!(with("01a2b3c4-d5e6-7f01-8a2b-3c4d5e6f7081").is_err());
        assert!(with("01a2b3c4-d5e6-7f01-8a2b-3c4d5e6f").is_err());
        for version in "01234568 9abcdef".chars().filter(|c| *c != ' ') {
            assert!(with(&format!("01a2b3c4d5e6{version}f018a2b3c4d5e6f7081")).is_err(), "{version}");
        }
        for variant in "01234567cdef".chars() {
            assert!(with(&format!("01a2b3c4d5e67f01{variant}a2b3c4d5e6f7081")).is_err(), "{variant}");
        }
    }

    #[test]
    fn a_secret_may_contain_the_separator() {
        let secret = format!("{}A", "_".repeat(SECRET_LEN - 1));
        let text = format!("session_01a2b3c4d5e67f018a2b3c4d5e6f7081_{secret}");
        assert_eq!(text_of(&Token::<Session>::parse(&text).unwrap()), text);
    }

    #[test]
    fn no_kind_is_taken_for_another() {
        let rest = text_of(&Token::<Session>::mint()).strip_prefix("session").unwrap().to_owned();
        for prefix in PREFIXES {
            let text = format!("{prefix}{rest}");
            assert_eq!(try_every_kind(&text), [*prefix]);
            assert_eq!(prefix_of(&text), Some(*prefix));
        }
        for prefix in ["", "Session", "SESSION", "sess", "pk", "session_"] {
            assert!(try_every_kind(&format!("{prefix}{rest}")).is_empty(), "{prefix}");
        }
    }

    #[test]
    fn a_megabyte_is_refused_by_its_length() {
        let long = format!("session_{}", "a".repeat(1 << 20));
        assert!(Token::<Session>::parse(&long).is_err());
        assert_eq!(prefix_of(&long), Some("session"));
        assert_eq!(prefix_of(&long[8..]), None);
    }

    #[test]
    fn the_hash_is_sha_256_of_the_secret_bytes() {
        // SHA-256 of 32 zero bytes.
        let text = format!("rt_01a2b3c4d5e67f018a2b3c4d5e6f7081_{}", "A".repeat(SECRET_LEN));
        let hash = Token::<Refresh>::parse(&text).unwrap().hash();
        let hex = hash.as_bytes().iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        assert_eq!(hex, "66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925");
        assert!(hash.matches(hash.as_bytes()));
        assert!(!hash.matches(&[0; 32]));
        assert!(!hash.matches(&hash.as_bytes()[..31]));
        assert!(!hash.matches(&[]));
    }

    #[test]
    fn debug_output_shows_no_secret() {
        let token = Token::<ApiKey>::mint();
        let text = text_of(&token);
        let secret = &text[text.len() - SECRET_LEN..];
        let shown = format!("{token:?} {:?} {:?}", token.hash(), token.reveal());
        assert!(!shown.contains(secret));
        assert!(shown.contains("[redacted]"));
    }
}
