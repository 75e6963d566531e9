//! Sealing columns: AES-256-GCM under a keyring.
//!
//! A sealed value is bound to the place it was written to. Its associated data names format version, table,
//! column, row and key, so that somebody who can write to the database cannot move a ciphertext to where its
//! plaintext would mean something else.
//!
//! Layout: version (1 byte) ‖ key id (8) ‖ nonce (12) ‖ ciphertext ‖ tag (16). The nonce is random, drawn from
//! the operating system for each value; at 96 bits one key is good for 2³² values (NIST SP 800-38D section
//! 8.3), far more than a deployment seals.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::{aead, digest, hkdf, hmac};
use base64::Engine as _;
use base64::alphabet::{self, Alphabet};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::{Zeroize as _, Zeroizing};

use crate::platform::crypto::random;

const VERSION: u8 = 1;
const KEY_LEN: usize = 32;
const KEY_ID_LEN: usize = 8;
const NONCE_AT: usize = 1 + KEY_ID_LEN;
const CIPHERTEXT_AT: usize = NONCE_AT + aead::NONCE_LEN;
const TAG_LEN: usize = 16;

/// Longest text looked at as a key. A 32-byte key takes 44 characters.
const LONGEST_KEY_TEXT: usize = 1024;

/// Which key sealed something: the first 8 bytes of the key's SHA-256. Not secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId([u8; KEY_ID_LEN]);

impl KeyId {
    /// The bytes, as they stand in a sealed value.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn of(key: &[u8; KEY_LEN]) -> Self {
        let mut id = [0; KEY_ID_LEN];
        id.copy_from_slice(&digest::digest(&digest::SHA256, key).as_ref()[..KEY_ID_LEN]);
        Self(id)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// A text is not a key-encryption key. Never repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Neither standard nor URL-safe base64.
    #[error("must be base64 (standard or URL-safe)")]
    NotBase64,
    /// Base64 of something else than 32 bytes; carries how many.
    #[error("must be 32 bytes in base64, but it is {0} bytes")]
    WrongLength(usize),
}

/// A sealed value did not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Sealed under a key that is not in the ring; an old key may be missing from the configuration.
    #[error("sealed under key {0}, which is not configured")]
    UnknownKey(KeyId),
    /// Changed, cut, or moved from another row, column or table.
    #[error("the sealed value was changed or moved")]
    Tampered,
    /// Not a sealed value at all, or one of a later format.
    #[error("not a sealed value of a known format")]
    Malformed,
}

/// Where a sealed value lives. Part of what is authenticated, so it must not change during the value's life.
#[derive(Clone, Copy, Debug)]
pub struct SealContext<'a> {
    /// Qualified table name.
    pub table: &'a str,
    /// Column name.
    pub column: &'a str,
    /// The row's primary key, as text.
    pub row: &'a str,
}

impl SealContext<'_> {
    /// Every part is preceded by its length, so that no two places share one encoding.
    fn associated_data(&self, key: KeyId) -> Vec<u8> {
        let mut data = vec![VERSION];
        for part in [self.table.as_bytes(), self.column.as_bytes(), self.row.as_bytes(), &key.0] {
            data.extend_from_slice(&(part.len() as u64).to_be_bytes());
            data.extend_from_slice(part);
        }
        data
    }
}

/// The key-encryption keys: the first seals, any opens. Cheap to clone.
#[derive(Clone)]
pub struct Keyring {
    /// Current key first; never empty.
    keys: Arc<[Key]>,
}

struct Key {
    id: KeyId,
    aead: aead::LessSafeKey,
    /// What per-purpose MAC keys are expanded from, so that one key never serves two algorithms.
    derive: hkdf::Prk,
}

impl Key {
    fn new(bytes: &Zeroizing<[u8; KEY_LEN]>) -> Self {
        let Ok(unbound) = aead::UnboundKey::new(&aead::AES_256_GCM, bytes.as_slice()) else {
            unreachable!("AES-256 takes every 32-byte key")
        };
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"beyond-auth keyring v1");
        Self {
            id: KeyId::of(bytes),
            aead: aead::LessSafeKey::new(unbound),
            derive: salt.extract(bytes.as_slice()),
        }
    }

    fn mac_key(&self, purpose: &'static str) -> hmac::Key {
        let info = [b"mac:".as_slice(), purpose.as_bytes()];
        let Ok(derived) = self.derive.expand(&info, hmac::HMAC_SHA256) else {
            unreachable!("HKDF-SHA256 yields up to 8,160 bytes, 32 are asked for")
        };
        hmac::Key::from(derived)
    }
}

impl Keyring {
    /// `current` seals; `old` keys only open. A key given twice counts once.
    pub fn new(current: [u8; KEY_LEN], old: Vec<[u8; KEY_LEN]>) -> Self {
        let mut keys: Vec<Key> = Vec::with_capacity(1 + old.len());
        let old = Zeroizing::new(old);
        let current = Zeroizing::new(current);
        for bytes in std::iter::once(&*current).chain(old.iter()) {
            let key = Key::new(&Zeroizing::new(*bytes));
            if !keys.iter().any(|known| known.id == key.id) {
                keys.push(key);
            }
        }
        Self { keys: keys.into() }
    }

    /// Reads a 32-byte key from base64: standard or URL-safe alphabet, padded or not.
    ///
    /// White space around it is ignored, since files end in a line break.
    pub fn parse_key(text: &str) -> Result<Zeroizing<[u8; KEY_LEN]>, KeyError> {
        let text = text.trim_ascii();
        if text.len() > LONGEST_KEY_TEXT {
            return Err(KeyError::NotBase64);
        }
        let alphabet: &Alphabet =
            if text.contains(['-', '_']) { &alphabet::URL_SAFE } else { &alphabet::STANDARD };
        let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
        let mut decoded = Zeroizing::new([0; LONGEST_KEY_TEXT]);
        let len = GeneralPurpose::new(alphabet, config)
            .decode_slice(text, decoded.as_mut_slice())
            .map_err(|_| KeyError::NotBase64)?;
        if len != KEY_LEN {
            return Err(KeyError::WrongLength(len));
        }
        let mut key = Zeroizing::new([0; KEY_LEN]);
        key.copy_from_slice(&decoded[..KEY_LEN]);
        Ok(key)
    }

    /// Seals `plaintext` for the place `ctx` names, under the current key.
    pub fn seal(&self, ctx: &SealContext<'_>, plaintext: &[u8]) -> Vec<u8> {
        let key = self.current();
        let nonce = random::bytes();
        // Full capacity at once: growing would leave plaintext behind in freed memory.
        let mut sealed = Vec::with_capacity(CIPHERTEXT_AT + plaintext.len() + TAG_LEN);
        sealed.push(VERSION);
        sealed.extend_from_slice(&key.id.0);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plaintext);
        let tag = key.aead.seal_in_place_separate_tag(
            aead::Nonce::assume_unique_for_key(nonce),
            aead::Aad::from(ctx.associated_data(key.id)),
            &mut sealed[CIPHERTEXT_AT..],
        );
        let Ok(tag) = tag else { unreachable!("AES-GCM seals anything below 64 GiB") };
        sealed.extend_from_slice(tag.as_ref());
        sealed
    }

    /// Opens what [`Keyring::seal`] made for the same place, under whichever key of the ring sealed it.
    pub fn open(&self, ctx: &SealContext<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let id = Self::key_id_of(sealed)?;
        let key = self.keys.iter().find(|key| key.id == id).ok_or(OpenError::UnknownKey(id))?;
        let nonce = aead::Nonce::try_assume_unique_for_key(&sealed[NONCE_AT..CIPHERTEXT_AT])
            .map_err(|_| OpenError::Malformed)?;
        let mut plaintext = Zeroizing::new(sealed[CIPHERTEXT_AT..].to_vec());
        let len = key
            .aead
            .open_in_place(nonce, aead::Aad::from(ctx.associated_data(id)), plaintext.as_mut_slice())
            .map_err(|_| OpenError::Tampered)?
            .len();
        plaintext[len..].zeroize();
        plaintext.truncate(len);
        Ok(plaintext)
    }

    /// The id of the key that seals.
    pub fn current_key_id(&self) -> KeyId {
        self.current().id
    }

    /// The ids of all keys in the ring, the current one first.
    pub fn key_ids(&self) -> impl Iterator<Item = KeyId> {
        self.keys.iter().map(|key| key.id)
    }

    /// Which key a sealed value needs. Reads the header only.
    pub fn key_id_of(sealed: &[u8]) -> Result<KeyId, OpenError> {
        if sealed.len() < CIPHERTEXT_AT + TAG_LEN || sealed[0] != VERSION {
            return Err(OpenError::Malformed);
        }
        let mut id = [0; KEY_ID_LEN];
        id.copy_from_slice(&sealed[1..NONCE_AT]);
        Ok(KeyId(id))
    }

    /// HMAC-SHA256 of `message` under a key derived from the current key for this purpose alone.
    ///
    /// A message of several parts must be framed by the caller, or two messages may share one encoding.
    pub fn mac(&self, purpose: &'static str, message: &[u8]) -> [u8; 32] {
        let mut mac = [0; 32];
        mac.copy_from_slice(hmac::sign(&self.current().mac_key(purpose), message).as_ref());
        mac
    }

    /// What [`Keyring::mac`] gives under each key of the ring, the current one first: for values that are
    /// derived anew rather than stored, and must come out the same while the keys are being changed.
    pub fn mac_each(
        &self,
        purpose: &'static str,
        message: &[u8],
    ) -> impl Iterator<Item = Zeroizing<[u8; 32]>> {
        self.keys.iter().map(move |key| {
            let mut mac = Zeroizing::new([0; 32]);
            mac.copy_from_slice(hmac::sign(&key.mac_key(purpose), message).as_ref());
            mac
        })
    }

    /// Seals anew, under the current key, what another key of the ring had sealed for the same place. `None`
    /// when the current key sealed it already.
    pub fn rewrap(&self, ctx: &SealContext<'_>, sealed: &[u8]) -> Result<Option<Vec<u8>>, OpenError> {
        if Self::key_id_of(sealed)? == self.current_key_id() {
            return Ok(None);
        }
        let plaintext = self.open(ctx, sealed)?;
        Ok(Some(self.seal(ctx, &plaintext)))
    }

    /// Whether any key of the ring made `mac`. Each comparison takes constant time.
    pub fn verify_mac(&self, purpose: &'static str, message: &[u8], mac: &[u8]) -> bool {
        self.keys.iter().any(|key| hmac::verify(&key.mac_key(purpose), message, mac).is_ok())
    }

    fn current(&self) -> &Key {
        &self.keys[0]
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.key_ids()).finish()
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

    use super::*;

    const PLACE: SealContext<'static> = SealContext { table: "auth.totp", column: "seed", row: "1" };

    fn ring(current: u8, old: &[u8]) -> Keyring {
        Keyring::new([current; 32], old.iter().map(|byte| [*byte; 32]).collect())
    }

    #[test]
    fn what_is_sealed_opens_in_its_place() {
        let ring = ring(1, &[]);
        for plaintext in [b"".as_slice(), b"x", &[7; 4096]] {
            let sealed = ring.seal(&PLACE, plaintext);
            assert_eq!(sealed.len(), CIPHERTEXT_AT + plaintext.len() + TAG_LEN);
            assert_eq!(ring.open(&PLACE, &sealed).unwrap().as_slice(), plaintext);
        }
    }

    #[test]
    fn sealing_the_same_twice_gives_different_bytes() {
        let ring = ring(1, &[]);
        assert_ne!(ring.seal(&PLACE, b"seed"), ring.seal(&PLACE, b"seed"));
    }

    #[test]
    fn a_value_moved_to_another_row_column_or_table_does_not_open() {
        let ring = ring(1, &[]);
        let sealed = ring.seal(&PLACE, b"seed");
        let elsewhere = [
            SealContext { row: "2", ..PLACE },
            SealContext { row: "", ..PLACE },
            SealContext { column: "label", ..PLACE },
            SealContext { table: "auth.providers", ..PLACE },
            // The same letters, divided differently.
            SealContext { table: "auth.totps", column: "eed", ..PLACE },
            SealContext { column: "seed1", row: "", ..PLACE },
        ];
        for place in elsewhere {
            assert_eq!(ring.open(&place, &sealed).unwrap_err(), OpenError::Tampered, "{place:?}");
        }
    }

    #[test]
    fn an_old_key_opens_and_the_current_one_seals() {
        let sealed = ring(1, &[]).seal(&PLACE, b"seed");
        let rotated = ring(2, &[1]);
        assert_eq!(rotated.open(&PLACE, &sealed).unwrap().as_slice(), b"seed");
        let resealed = rotated.seal(&PLACE, b"seed");
        assert_eq!(Keyring::key_id_of(&resealed).unwrap(), rotated.current_key_id());
        assert_eq!(rotated.current_key_id(), ring(2, &[]).current_key_id());
    }

    #[test]
    fn rewrapping_moves_a_value_to_the_current_key_once() {
        let sealed = ring(1, &[]).seal(&PLACE, b"seed");
        let rotated = ring(2, &[1]);
        let rewrapped = rotated.rewrap(&PLACE, &sealed).unwrap().unwrap();
        assert_eq!(ring(2, &[]).open(&PLACE, &rewrapped).unwrap().as_slice(), b"seed");
        assert!(rotated.rewrap(&PLACE, &rewrapped).unwrap().is_none());
        assert!(rotated.rewrap(&SealContext { row: "2", ..PLACE }, &sealed).is_err());
        assert!(ring(2, &[]).rewrap(&PLACE, &sealed).is_err());
    }

    #[test]
    fn two_rings_that_know_each_others_key_have_a_mac_in_common() {
        let (before, after) = (ring(1, &[2]), ring(2, &[1]));
        let one: Vec<_> = before.mac_each("derive", b"x").map(|mac| *mac).collect();
        let other: Vec<_> = after.mac_each("derive", b"x").map(|mac| *mac).collect();
        assert_eq!(one[0], before.mac("derive", b"x"));
        assert_eq!((one[0], one[1]), (other[1], other[0]));
        assert_ne!(one[0], before.mac("another purpose", b"x"));
    }

    #[test]
    fn an_unknown_key_is_named() {
        let writer = ring(1, &[]);
        let sealed = writer.seal(&PLACE, b"seed");
        let id = writer.current_key_id();
        assert_eq!(ring(2, &[3]).open(&PLACE, &sealed).unwrap_err(), OpenError::UnknownKey(id));
    }

    #[test]
    fn any_changed_bit_is_noticed() {
        let ring = ring(1, &[2]);
        let sealed = ring.seal(&PLACE, b"seed");
        for position in 0..sealed.len() {
            for bit in 0..8 {
                let mut changed = sealed.clone();
                changed[position] ^= 1 << bit;
                assert!(ring.open(&PLACE, &changed).is_err(), "{position}.{bit}");
            }
        }
    }

    #[test]
    fn a_value_cannot_be_relabelled_to_another_key_of_the_ring() {
        let ring = ring(1, &[2]);
        let mut sealed = ring.seal(&PLACE, b"seed");
        sealed[1..NONCE_AT].copy_from_slice(&KeyId::of(&[2; 32]).0);
        assert_eq!(ring.open(&PLACE, &sealed).unwrap_err(), OpenError::Tampered);
    }

    #[test]
    fn a_cut_or_lengthened_value_does_not_open() {
        let ring = ring(1, &[]);
        let mut sealed = ring.seal(&PLACE, b"seed");
        for len in 0..sealed.len() {
            assert!(ring.open(&PLACE, &sealed[..len]).is_err(), "{len}");
        }
        sealed.push(0);
        assert_eq!(ring.open(&PLACE, &sealed).unwrap_err(), OpenError::Tampered);
    }

    #[test]
    fn a_key_is_read_from_four_spellings_of_base64() {
        // Bytes whose base64 holds both of the characters on which the alphabets differ.
        let key: [u8; 32] = std::array::from_fn(|i| if i % 2 == 0 { 0xfb } else { 0xff });
        for engine in [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD] {
            let text = engine.encode(key);
            assert_eq!(*Keyring::parse_key(&text).unwrap(), key);
            assert_eq!(*Keyring::parse_key(&format!(" {text}\n")).unwrap(), key);
        }
    }

    #[test]
    fn what_is_not_a_key_is_refused_without_being_repeated() {
        let short = STANDARD.encode([9; 31]);
        let long = STANDARD.encode([9; 33]);
        assert_eq!(Keyring::parse_key(&short).unwrap_err(), KeyError::WrongLength(31));
        assert_eq!(Keyring::parse_key(&long).unwrap_err(), KeyError::WrongLength(33));
        assert_eq!(Keyring::parse_key("").unwrap_err(), KeyError::WrongLength(0));
        let wordy = "correct horse battery staple";
        let error = Keyring::parse_key(wordy).unwrap_err();
        assert_eq!(error, KeyError::NotBase64);
        assert!(!format!("{error} {error:?}").contains("horse"));
        assert!(Keyring::parse_key(&"A".repeat(1 << 20)).is_err());
        // Both alphabets in one text.
        assert!(Keyring::parse_key(&format!("-/{}", "A".repeat(41))).is_err());
    }

    #[test]
    fn debug_output_shows_ids_only() {
        let ring = ring(0xab, &[0xcd, 0xab]);
        let shown = format!("{ring:?}");
        assert_eq!(shown, format!("[KeyId({}), KeyId({})]", KeyId::of(&[0xab; 32]), KeyId::of(&[0xcd; 32])));
    }

    #[test]
    fn a_mac_holds_for_its_purpose_message_and_ring() {
        let mac = ring(1, &[]).mac("cursor", b"page 2");
        assert!(ring(1, &[]).verify_mac("cursor", b"page 2", &mac));
        assert!(ring(2, &[1]).verify_mac("cursor", b"page 2", &mac));
        assert!(!ring(2, &[]).verify_mac("cursor", b"page 2", &mac));
        assert!(!ring(1, &[]).verify_mac("state", b"page 2", &mac));
        assert!(!ring(1, &[]).verify_mac("cursor", b"page 3", &mac));
        assert!(!ring(1, &[]).verify_mac("cursor", b"page 2", &mac[..31]));
        assert!(!ring(1, &[]).verify_mac("cursor", b"page 2", b""));
    }
}
