//! The mails of this slice: the owner hears of every account elsewhere that is linked or unlinked.

/// Outbox kind of the mail that tells of a linked identity.
pub const IDENTITY_ADDED: &str = "identity_added";
/// Outbox kind of the mail that tells of an unlinked identity.
pub const IDENTITY_REMOVED: &str = "identity_removed";
