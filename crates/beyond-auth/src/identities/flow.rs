//! Finding, making and remembering identities, in the transactions of others.

use super::model::{Identity, Profile};
use super::store;
use crate::platform::db::{Conn, Constraint as _};
use crate::platform::ids::{IdentityId, UserId};

/// Why an identity was not linked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody has it already.
    #[error("the identity belongs to an account")]
    Taken,
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Finds whose a subject at a provider is.
pub async fn find(conn: &mut Conn, profile: &Profile<'_>) -> Result<Option<Identity>, sqlx::Error> {
    store::find(conn, profile).await
}

/// Links an identity to a user, in the caller's transaction, which has locked the user.
///
/// # Errors
/// [`Error::Taken`] when it is linked already, to whomever; the transaction is of no more use then.
pub async fn link(conn: &mut Conn, user: UserId, profile: &Profile<'_>) -> Result<IdentityId, Error> {
    store::insert(conn, user, profile).await.map_err(|error| {
        if error.violates("identities_subject_key") { Error::Taken } else { Error::Database(error) }
    })
}

/// Notes that somebody came in with an identity, and what the provider says about it now.
pub async fn touch(conn: &mut Conn, id: IdentityId, profile: &Profile<'_>) -> Result<(), sqlx::Error> {
    store::touch(conn, id, profile).await
}
