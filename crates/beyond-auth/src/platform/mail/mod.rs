//! Mail: templates become a [`Mail`], a [`Transport`] hands it over, the [`outbox`] decides when.
//!
//! A flow queues a row in its own transaction ([`outbox::Outbox::enqueue`]); the [`worker`] claims it, lets
//! the feature's composer mint what the mail needs, renders ([`render`]) and sends. Nothing secret waits
//! in the queue, and no request ever waits for a mail server.

pub mod memory;
pub mod outbox;
pub mod render;
pub mod smtp;
pub mod worker;

use std::fmt;

use futures::future::BoxFuture;
use lettre::Message;
use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use url::Url;

use self::render::Rendered;

/// Something that takes mails: a server reached over SMTP, or a ring in memory.
pub trait Transport: Send + Sync {
    /// Hands one mail over. `Ok` means that the other side has taken responsibility for it.
    ///
    /// The future may be dropped at any time; the mail may then have been taken or not.
    fn send<'a>(&'a self, mail: &'a Mail) -> BoxFuture<'a, Result<(), SendError>>;
}

/// Nobody to hand mails to: what waits goes on waiting. The jobs do not even try while this is configured.
#[derive(Clone, Copy, Debug)]
pub struct NoServer;

impl Transport for NoServer {
    fn send<'a>(&'a self, _: &'a Mail) -> BoxFuture<'a, Result<(), SendError>> {
        Box::pin(async { Err(SendError::Temporary("no mail server is configured".to_owned())) })
    }
}

/// Why a mail was not taken. The text is for operators: no credentials, no content of the mail.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Worth another try: an outage, a 4xx reply, or something the operator can put right.
    #[error("{0}")]
    Temporary(String),
    /// This mail will never be taken: a 5xx reply to the recipient or to the content.
    #[error("{0}")]
    Permanent(String),
}

/// One mail, ready to go. Its content carries secrets, hence no telling `Debug`.
#[derive(Clone)]
pub struct Mail {
    /// The address it goes to, with an ASCII domain.
    pub to: String,
    /// Its readable parts, for transports that show mail rather than move it.
    pub rendered: Rendered,
    /// The same as RFC 5322 bytes and an SMTP envelope.
    pub message: Message,
}

impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mail").field("to", &self.to).finish_non_exhaustive()
    }
}

/// No mail can be made for this recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// The address cannot be written into an envelope.
    #[error("the recipient's address cannot be used in SMTP")]
    Recipient,
    /// The parts did not go together.
    #[error("the message could not be put together")]
    Message,
}

impl Mail {
    /// Puts a multipart/alternative message together. `reference` makes the `Message-ID` unique; a repeated
    /// attempt must bring another one, since mail programs hide what they have seen before.
    ///
    /// # Errors
    /// When `to` is no address.
    pub fn new(from: &Mailbox, to: &str, reference: &str, rendered: Rendered) -> Result<Self, MailError> {
        let address = recipient(to)?;
        let to = address.to_string();
        let message = Message::builder()
            .from(from.clone())
            // The bare address: a display name chosen by whoever signs up has no place in a header.
            .to(Mailbox::new(None, address))
            .subject(rendered.subject.clone())
            .message_id(Some(format!("<{reference}@{}>", from.email.domain())))
            .header(AutoSubmitted)
            .multipart(MultiPart::alternative_plain_html(rendered.text.clone(), rendered.html.clone()))
            .map_err(|_| MailError::Message)?;
        Ok(Self { to, rendered, message })
    }
}

/// Parses an address and brings its domain into ASCII form (RFC 5891), so that only a non-ASCII local part
/// asks for SMTPUTF8.
fn recipient(address: &str) -> Result<lettre::Address, MailError> {
    let (local, domain) = address.rsplit_once('@').ok_or(MailError::Recipient)?;
    let domain = idna::domain_to_ascii_strict(domain).map_err(|_| MailError::Recipient)?;
    lettre::Address::new(local, domain).map_err(|_| MailError::Recipient)
}

/// Which deployment a queued mail belongs to: the origin of the public URL.
pub fn deployment(public_url: &Url) -> String {
    public_url.origin().ascii_serialization()
}

/// `Auto-Submitted: auto-generated` (RFC 3834 section 5): keeps holiday notices from answering.
#[derive(Clone, Copy)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(subject: &str) -> Rendered {
        Rendered { subject: subject.into(), text: "Hello".into(), html: "<p>Hello</p>".into() }
    }

    #[test]
    fn a_mail_carries_both_parts_and_says_that_it_is_automatic() {
        let from = "Shop <no-reply@shop.example>".parse().unwrap();
        let mail = Mail::new(&from, "ada@example.org", "1.1", rendered("Hi")).unwrap();
        let bytes = String::from_utf8(mail.message.formatted()).unwrap();
        for part in [
            "To: ada@example.org\r\n",
            "Message-ID: <1.1@shop.example>\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "text/plain",
            "text/html",
        ] {
            assert!(bytes.contains(part), "{part} is missing from {bytes}");
        }
    }

    #[test]
    fn a_domain_in_another_script_travels_in_ascii() {
        let from = "no-reply@shop.example".parse().unwrap();
        let mail = Mail::new(&from, "ada@bücher.example", "1.1", rendered("Hi")).unwrap();
        assert_eq!(mail.to, "ada@xn--bcher-kva.example");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let from = "no-reply@shop.example".parse().unwrap();
        for to in
            ["", "ada", "@example.org", "ada@", "a da@example.org", "ada@example.org\r\nBcc: eve@example.org"]
        {
            assert_eq!(
                Mail::new(&from, to, "1.1", rendered("Hi")).unwrap_err(),
                MailError::Recipient,
                "{to:?}"
            );
        }
    }

    #[test]
    fn the_content_of_a_mail_is_not_in_its_debug_form() {
        let from = "no-reply@shop.example".parse().unwrap();
        let mail = Mail::new(&from, "ada@example.org", "1.1", rendered("secret")).unwrap();
        assert!(!format!("{mail:?}").contains("secret"));
    }

    #[test]
    fn a_deployment_is_the_origin_of_its_public_url() {
        assert_eq!(
            deployment(&"https://Auth.Example.org/base?x=1".parse().unwrap()),
            "https://auth.example.org"
        );
    }
}
