//! What the authenticator wrote: authenticator data (section 6.1) and the attestation object around it (section 6.5.4).

use ciborium::Value;
use uuid::Uuid;

use super::Refusal;

/// Deeper CBOR serves nobody.
const MAX_DEPTH: usize = 8;
/// Longest credential id (section 7.1, step 25).
const MAX_CREDENTIAL_ID: usize = 1023;

/// Longest public key that is kept, in bytes: RSA's take about 550.
const MAX_PUBLIC_KEY: usize = 2048;

/// Authenticator data, read to the last byte.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "they are flags on the wire")]
pub(super) struct AuthenticatorData<'a> {
    pub(super) rp_id_hash: &'a [u8],
    pub(super) user_present: bool,
    pub(super) user_verified: bool,
    pub(super) backup_eligible: bool,
    pub(super) backed_up: bool,
    pub(super) sign_count: u32,
    pub(super) credential: Option<AttestedCredential<'a>>,
}

/// The new credential (section 6.5.1).
#[derive(Debug)]
pub(super) struct AttestedCredential<'a> {
    pub(super) aaguid: Uuid,
    pub(super) id: &'a [u8],
    /// The bytes of the `COSE_Key`.
    pub(super) public_key: &'a [u8],
}

const USER_PRESENT: u8 = 1;
const USER_VERIFIED: u8 = 1 << 2;
const BACKUP_ELIGIBLE: u8 = 1 << 3;
const BACKED_UP: u8 = 1 << 4;
const ATTESTED: u8 = 1 << 6;
const EXTENSIONS: u8 = 1 << 7;

impl<'a> AuthenticatorData<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Refusal> {
        let mut rest = Reader(bytes);
        let rp_id_hash = rest.take(32)?;
        let [flags] = rest.array()?;
        let sign_count = u32::from_be_bytes(rest.array()?);
        let has = |flag: u8| flags & flag != 0;
        let credential = if has(ATTESTED) { Some(rest.credential()?) } else { None };
        if has(EXTENSIONS) && !rest.value()?.0.is_map() {
            return Err(Refusal::AuthenticatorData);
        }
        if !rest.0.is_empty() {
            return Err(Refusal::AuthenticatorData);
        }
        Ok(Self {
            rp_id_hash,
            user_present: has(USER_PRESENT),
            user_verified: has(USER_VERIFIED),
            backup_eligible: has(BACKUP_ELIGIBLE),
            backed_up: has(BACKED_UP),
            sign_count,
            credential,
        })
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], Refusal> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Refusal::AuthenticatorData)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Refusal> {
        self.take(N)?.try_into().map_err(|_| Refusal::AuthenticatorData)
    }

    fn credential(&mut self) -> Result<AttestedCredential<'a>, Refusal> {
        let aaguid = Uuid::from_bytes(self.array()?);
        let len = usize::from(u16::from_be_bytes(self.array()?));
        if !(1..=MAX_CREDENTIAL_ID).contains(&len) {
            return Err(Refusal::AuthenticatorData);
        }
        let id = self.take(len)?;
        let (_, public_key) = self.value()?;
        if public_key.len() > MAX_PUBLIC_KEY {
            return Err(Refusal::AuthenticatorData);
        }
        Ok(AttestedCredential { aaguid, id, public_key })
    }

    /// One item of CBOR, and the bytes that it was.
    fn value(&mut self) -> Result<(Value, &'a [u8]), Refusal> {
        let before = self.0;
        let value = ciborium::de::from_reader_with_recursion_limit(&mut self.0, MAX_DEPTH);
        let value = value.map_err(|_| Refusal::AuthenticatorData)?;
        Ok((value, &before[..before.len() - self.0.len()]))
    }
}

/// The authenticator data within an attestation object.
pub(super) fn attested_data(object: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut reader = Reader(object);
    let (Value::Map(map), _) = reader.value()? else { return Err(Refusal::AuthenticatorData) };
    if !reader.0.is_empty() {
        return Err(Refusal::AuthenticatorData);
    }
    let (mut format, mut statement, mut data) = (None, None, None);
    for (key, value) in map {
        let slot = match key.as_text() {
            Some("fmt") => &mut format,
            Some("attStmt") => &mut statement,
            Some("authData") => &mut data,
            _ => continue,
        };
        if slot.replace(value).is_some() {
            return Err(Refusal::AuthenticatorData);
        }
    }
    match (format, statement, data) {
        (Some(Value::Text(format)), Some(Value::Map(statement)), Some(Value::Bytes(data)))
            // Section 8.7: `none` says nothing.
            if format != "none" || statement.is_empty() =>
        {
            Ok(data)
        }
        _ => Err(Refusal::AuthenticatorData),
    }
}

#[cfg(test)]
mod tests {
    use ciborium::cbor;

    use super::*;

    fn encode(value: &Value) -> Vec<u8> {
        let mut bytes = Vec::new();
        ciborium::into_writer(value, &mut bytes).unwrap();
        bytes
    }

    /// Authenticator data with these flags and this after the counter.
    fn data(flags: u8, rest: &[u8]) -> Vec<u8> {
        [&[9; 32][..], &[flags], &7_u32.to_be_bytes(), rest].concat()
    }

    #[test]
    fn flags_and_counter_are_read() {
        let bytes = data(0x1d, &[]);
        let read = AuthenticatorData::parse(&bytes).unwrap();
        assert_eq!((read.rp_id_hash, read.sign_count), (&[9; 32][..], 7));
        assert!(read.user_present && read.user_verified && read.backup_eligible && read.backed_up);
        let bytes = data(0, &[]);
        let read = AuthenticatorData::parse(&bytes).unwrap();
        assert!(!(read.user_present || read.user_verified || read.backup_eligible || read.backed_up));
    }

    #[test]
    fn a_credential_ends_where_its_key_ends() {
        let key = encode(&cbor!({ 1 => 1, 3 => -8 }).unwrap());
        let extensions = encode(&cbor!({ "credProtect" => 2 }).unwrap());
        let credential = [&[5; 16][..], &[0, 3], b"abc", &key].concat();
        let bytes = data(0xc1, &[&credential[..], &extensions].concat());
        let read = AuthenticatorData::parse(&bytes).unwrap().credential.unwrap();
        assert_eq!((read.id, read.public_key), (&b"abc"[..], &key[..]));
        assert_eq!(read.aaguid, Uuid::from_bytes([5; 16]));
        // The same without the flag that announces the extensions: something is left over.
        let bytes = data(0x41, &[&credential[..], &extensions].concat());
        assert_eq!(AuthenticatorData::parse(&bytes).unwrap_err(), Refusal::AuthenticatorData);
    }

    #[test]
    fn whatever_is_cut_short_or_goes_on_is_refused() {
        let key = encode(&cbor!({ 1 => 1, 3 => -8 }).unwrap());
        let whole = data(0x41, &[&[5; 16][..], &[0, 3], b"abc", &key].concat());
        assert!(AuthenticatorData::parse(&whole).is_ok());
        for len in 0..whole.len() {
            assert!(AuthenticatorData::parse(&whole[..len]).is_err(), "{len}");
        }
        assert!(AuthenticatorData::parse(&[&whole[..], &[0]].concat()).is_err());
        // A credential id of no bytes, and one longer than allowed.
        for len in [0_u16, 1024] {
            let rest = [&[5; 16][..], &len.to_be_bytes(), &vec![1; len.into()], &key].concat();
            assert!(AuthenticatorData::parse(&data(0x41, &rest)).is_err(), "{len}");
        }
    }

    #[test]
    fn an_attestation_object_has_its_three_members_once() {
        let bytes = || Value::Bytes(vec![1, 2, 3]);
        let good = cbor!({ "fmt" => "none", "attStmt" => {}, "authData" => bytes() }).unwrap();
        assert_eq!(attested_data(&encode(&good)).unwrap(), [1, 2, 3]);
        let mut twice = good.clone().into_map().unwrap();
        twice.push((Value::from("authData"), bytes()));
        let deep = [[0xa1, 0x01].repeat(100), vec![0]].concat();
        for object in [
            vec![],
            [encode(&good), vec![0]].concat(),
            encode(&Value::Map(twice)),
            encode(&cbor!({ "fmt" => "none", "attStmt" => {} }).unwrap()),
            encode(&cbor!({ "fmt" => 1, "attStmt" => {}, "authData" => bytes() }).unwrap()),
            encode(&cbor!({ "fmt" => "none", "attStmt" => { "x" => 1 }, "authData" => bytes() }).unwrap()),
            encode(&cbor!({ "fmt" => "none", "attStmt" => {}, "authData" => "text" }).unwrap()),
            deep,
        ] {
            assert_eq!(attested_data(&object), Err(Refusal::AuthenticatorData), "{object:?}");
        }
    }
}
