//! The mails of this slice: the owner hears of every passkey that comes or goes.

/// Outbox kind of the mail that tells of a new passkey.
pub const PASSKEY_ADDED: &str = "passkey_added";
/// Outbox kind of the mail that tells of a removed passkey.
pub const PASSKEY_REMOVED: &str = "passkey_removed";
