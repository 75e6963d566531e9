//! The keys by which a provider signs: as last read, and read again when a token names one that is new.

use std::time::Duration;

use serde_json::{Map, Value};
use url::Url;

use super::documents::{self, Wanted};
use super::refusal::{Error, Refusal};
use crate::app::App;
use crate::platform::crypto::jws::{self, KeySet};

/// A key that the provider has taken back signs no longer than this here.
const FRESH: Duration = Duration::from_hours(1);
/// And no longer than this while the provider does not answer.
const LAST_GOOD: Duration = Duration::from_hours(24);

/// The claims of a token that a key of the provider has signed.
pub async fn verify(app: &App, provider: &str, url: &Url, token: &str) -> Result<Map<String, Value>, Error> {
    let mut wanted = Wanted { provider, url, fresh: FRESH, last_good: LAST_GOOD, check: &check };
    let keys = parse(&documents::read(app, &wanted).await?)?;
    let verified = match keys.verify(token) {
        Err(jws::Error::UnknownKey) => {
            // New since the keys were read, or made up: whichever, they are not read more often than every ten seconds.
            wanted.fresh = Duration::from_secs(10);
            match documents::renew(app, &wanted).await? {
                Some(body) => parse(&body)?.verify(token),
                None => Err(jws::Error::UnknownKey),
            }
        }
        verified => verified,
    };
    Ok(verified.map_err(|error| {
        Refusal::invalid(match error {
            jws::Error::Malformed => "id_token_malformed",
            jws::Error::Kind => "id_token_kind",
            jws::Error::Algorithm => "id_token_algorithm",
            jws::Error::UnknownKey => "id_token_key",
            jws::Error::Signature => "id_token_signature",
        })
    })?)
}

/// Whether a document is a set of keys with something to verify with.
pub fn check(body: &[u8]) -> Result<(), Refusal> {
    if parse(body)?.is_empty() { Err(Refusal::invalid("keys_empty")) } else { Ok(()) }
}

fn parse(body: &[u8]) -> Result<KeySet, Refusal> {
    KeySet::parse(body).map_err(|_| Refusal::invalid("keys_malformed"))
}
