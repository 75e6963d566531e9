//! Whether a presented code is one of the account's: first looked at, then spent.

use super::flow;
use super::model::Code;
use super::store::{self, Which};
use crate::platform::crypto::envelope::Keyring;
use crate::platform::crypto::token::SecretHash;
use crate::platform::crypto::totp::{Seed, TotpCode};
use crate::platform::db::Conn;
use crate::platform::ids::{FactorId, UserId};

/// What a code seems to be, before it is spent.
#[derive(Debug)]
pub(super) enum Seen {
    /// A step of this factor.
    Step(FactorId, i64),
    /// Perhaps a recovery code: spending it tells.
    Recovery(SecretHash),
}

/// Looks at a code, outside any transaction. `None` when it is wrong for certain.
pub(super) async fn look_at(
    conn: &mut Conn,
    keyring: &Keyring,
    user: UserId,
    code: &Code,
    which: Which,
) -> Result<Option<Seen>, sqlx::Error> {
    match code {
        Code::Totp(code) => Ok(step_of(conn, keyring, user, code, which).await?),
        Code::Recovery(code) => Ok(Some(Seen::Recovery(code.hash(user.as_uuid())))),
    }
}

/// Spends what was seen, in the caller's transaction and behind the lock on the user's row. `false` when it was wrong
/// or somebody has just spent it.
pub(super) async fn spend(conn: &mut Conn, user: UserId, seen: &Seen) -> Result<bool, sqlx::Error> {
    match seen {
        Seen::Step(factor, step) => store::accept(conn, *factor, *step).await,
        Seen::Recovery(hash) => store::use_code(conn, user, hash).await,
    }
}

async fn step_of(
    conn: &mut Conn,
    keyring: &Keyring,
    user: UserId,
    code: &TotpCode,
    which: Which,
) -> Result<Option<Seen>, sqlx::Error> {
    for candidate in store::candidates(conn, user, which).await? {
        let row = candidate.id.to_string();
        let seed = keyring.open(&flow::SEALED_SEED.place(&row), &candidate.sealed_seed).map_err(|error| {
            tracing::error!(factor = row, %error, "the seed of a factor does not open");
            sqlx::Error::Decode(error.into())
        })?;
        let step =
            Seed::from_bytes(&seed).and_then(|seed| seed.step_of(code, candidate.now, candidate.last_step));
        if let Some(step) = step {
            return Ok(Some(Seen::Step(candidate.id, step)));
        }
    }
    Ok(None)
}
