//! How mail leaves the service.

use std::path::PathBuf;

use lettre::message::Mailbox;
use secrecy::SecretString;

/// Outgoing mail.
#[derive(Clone, Debug)]
pub struct MailConfig {
    /// Who carries it.
    pub transport: MailTransport,
    /// Sender of every message.
    pub from: Mailbox,
    /// Folder whose templates stand in for the built-in ones, template by template.
    pub templates: Option<PathBuf>,
}

/// Who carries the mail.
#[derive(Clone, Debug)]
pub enum MailTransport {
    /// A mail server. The URL holds its password; it has been checked to make an
    /// [`SmtpTransport`](crate::platform::mail::smtp::SmtpTransport).
    Smtp(SecretString),
    /// A mailbox in this process: development and tests.
    Memory,
    /// Nobody: messages wait in the outbox until a server is configured.
    None,
}
