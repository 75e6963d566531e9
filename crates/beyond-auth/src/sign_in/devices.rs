//! Browsers that somebody has signed in from before, so that whoever guesses at an account does not lock its owner out.
//!
//! After a sign-in by cookie the browser keeps a second cookie that outlives the session. It proves nothing about who
//! sits there and opens nothing; a sign-in that presents it for the same account has a guessing budget of its own, which
//! the guesses of strangers do not touch, and which its own guesses use up just as well (OWASP, "Slow Down Online
//! Guessing Attacks with Device Cookies"). It is bound to the account, to the present password and to the newest
//! authenticator app: when one of them changes, devices are strangers until they have signed in again.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};

use super::store;
use crate::platform::crypto::envelope::Keyring;
use crate::platform::crypto::random;
use crate::platform::db::Conn;
use crate::platform::http::Client;
use crate::platform::ids::UserId;

/// Purpose under which devices are authenticated.
const PURPOSE: &str = "sign_in.device";
const ID: usize = 16;
const MAC: usize = 32;

/// A device that has just been signed in from.
#[derive(Clone, Copy, Debug)]
pub struct Device {
    user: UserId,
    id: [u8; ID],
    /// Which password it came with, and which second factor.
    epoch: [i64; 2],
}

impl Device {
    pub(super) async fn draw(conn: &mut Conn, user: UserId) -> Result<Self, sqlx::Error> {
        Ok(Self { user, id: random::bytes(), epoch: store::credential_epoch(conn, user).await? })
    }

    /// The cookie's value.
    pub fn seal(&self, keyring: &Keyring) -> SecretString {
        let mac = keyring.mac(PURPOSE, &self.message());
        let mut value = Vec::with_capacity(2 * ID + MAC);
        value.extend_from_slice(self.user.as_uuid().as_bytes());
        value.extend_from_slice(&self.id);
        value.extend_from_slice(&mac);
        URL_SAFE_NO_PAD.encode(value).into()
    }

    /// Every part has one length, so no two devices share a message.
    fn message(&self) -> Vec<u8> {
        [
            self.user.as_uuid().as_bytes().as_slice(),
            &self.id,
            &self.epoch[0].to_be_bytes(),
            &self.epoch[1].to_be_bytes(),
        ]
        .concat()
    }
}

/// What a guess at a first factor is charged to, as the subject of `limits::account_attempt`: the account, or the device
/// that it comes from where the account knows it.
pub async fn budget(
    conn: &mut Conn,
    keyring: &Keyring,
    client: &Client,
    user: UserId,
) -> Result<Vec<u8>, sqlx::Error> {
    let account = user.as_uuid().as_bytes().to_vec();
    Ok(match known(conn, keyring, client, user).await? {
        Some(id) => [account.as_slice(), id.as_slice()].concat(),
        None => account,
    })
}

/// What a mail to an address is charged to, as the subject of `throttle::mailbox`: the address, or the device that asks
/// where `owner`'s account knows it, so that nobody keeps a mailbox shut by asking for mails to it.
pub async fn mailbox(
    conn: &mut Conn,
    keyring: &Keyring,
    client: &Client,
    owner: Option<UserId>,
    canonical: &str,
) -> Result<Vec<u8>, sqlx::Error> {
    let subject = canonical.as_bytes();
    let Some(owner) = owner else { return Ok(subject.to_vec()) };
    Ok(match known(conn, keyring, client, owner).await? {
        Some(id) => [subject, b"\0", id.as_slice()].concat(),
        None => subject.to_vec(),
    })
}

/// The device that a request comes from, if the account knows it.
async fn known(
    conn: &mut Conn,
    keyring: &Keyring,
    client: &Client,
    user: UserId,
) -> Result<Option<[u8; ID]>, sqlx::Error> {
    let Some((id, mac)) = client.device.as_ref().and_then(|value| presented(value, user)) else {
        return Ok(None);
    };
    let device = Device { user, id, epoch: store::credential_epoch(conn, user).await? };
    Ok(keyring.verify_mac(PURPOSE, &device.message(), &mac).then_some(id))
}

/// The id and the MAC of a cookie for this user.
fn presented(value: &SecretString, user: UserId) -> Option<([u8; ID], [u8; MAC])> {
    let bytes: [u8; 2 * ID + MAC] =
        URL_SAFE_NO_PAD.decode(value.expose_secret()).ok()?.as_slice().try_into().ok()?;
    let (owner, rest) = bytes.split_at(ID);
    let (id, mac) = rest.split_at(ID);
    (owner == user.as_uuid().as_bytes()).then_some((id.try_into().ok()?, mac.try_into().ok()?))
}
