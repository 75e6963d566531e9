//! An address row.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::platform::ids::{EmailId, UserId};

/// An address of a user.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Email)]
pub struct EmailRow {
    /// The row.
    pub id: EmailId,
    /// Whose it is, or is claimed to be.
    #[serde(skip)]
    pub user_id: UserId,
    /// Where mail goes.
    pub address: String,
    /// Whether it stands for the user.
    pub primary: bool,
    /// When it was proven; `null` while it is a mere claim.
    pub verified_at: Option<DateTime<Utc>>,
    /// When it was added.
    pub created_at: DateTime<Utc>,
}
