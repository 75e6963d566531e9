//! Delivery to a mail server over SMTP (RFC 5321), with STARTTLS (RFC 3207) or TLS from the start (RFC 8314).
//!
//! Connections are kept here rather than in lettre's own pool, for two reasons. A connection whose future
//! was dropped halfway (a time limit) must never be used again: the next mail would read the answers to the
//! last one and count as sent without being so. And a pool that wakes up every minute to tidy is work
//! in a process that should be able to sleep.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use secrecy::{ExposeSecret as _, SecretString};
use url::{Host, Url};

use super::{Mail, SendError, Transport};

/// Limit of each step: connecting (TLS and sign-in included), asking a kept connection whether it lives,
/// handing over one mail.
const STEP_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections kept open for the next mail.
const KEPT_CONNECTIONS: usize = 4;
/// A connection unused for this long is closed. Servers close theirs after a minute or more.
const KEPT_FOR: Duration = Duration::from_secs(20);
/// Longest text of a server that ends up in a log or in the outbox, in characters.
const REPLY_LIMIT: usize = 200;

/// The SMTP URL cannot be used. Never holds the URL, which carries a password.
#[derive(Debug, thiserror::Error)]
pub enum SmtpUrlError {
    /// Not a URL at all.
    #[error("is not a URL; expected smtp://user:password@host:587 or smtps://user:password@host:465")]
    Malformed,
    /// Neither `smtp` nor `smtps`.
    #[error("must begin with smtp:// (STARTTLS) or smtps:// (TLS from the start)")]
    Scheme,
    /// No host.
    #[error("has no host")]
    Host,
    /// User without password, or the percent-encoding is not UTF-8.
    #[error("must hold both user and password, percent-encoded, or neither")]
    Credentials,
    /// An unknown query parameter or value.
    #[error("has an unknown parameter: allowed are tls=required|opportunistic|none (smtp only) and ca=PATH")]
    Parameter,
    /// The file of `ca` could not be used.
    #[error("names a certificate file that cannot be used: {path}: {reason}", path = path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// rustls refused its parameters.
    #[error("leads to TLS settings that cannot be used: {0}")]
    Tls(String),
}

/// How a connection becomes private.
#[derive(Clone)]
enum Security {
    /// `smtps`: TLS before the first byte.
    Implicit(TlsParameters),
    /// `smtp`: STARTTLS, or no mail at all. The default.
    Required(TlsParameters),
    /// `smtp` with `?tls=opportunistic`: an attacker on the path can strip it.
    Opportunistic(TlsParameters),
    /// `smtp` with `?tls=none`: for a relay on the same machine.
    None,
}

/// A mail server.
pub struct SmtpTransport {
    server: Server,
    kept: Arc<Mutex<Vec<Kept>>>,
}

struct Server {
    host: String,
    port: u16,
    security: Security,
    credentials: Option<Credentials>,
    hello: ClientId,
}

struct Kept {
    connection: AsyncSmtpConnection,
    since: Instant,
}

impl std::fmt::Debug for SmtpTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SmtpTransport")
            .field("host", &self.server.host)
            .field("port", &self.server.port)
            .finish_non_exhaustive()
    }
}

impl SmtpTransport {
    /// Reads `smtp[s]://[user:password@]host[:port][?tls=…&ca=…]` and the certificate file, if one is named.
    /// Connects only when there is a mail to send.
    ///
    /// Ports default to 587 (`smtp`) and 465 (`smtps`). `ca` names a PEM file of the only authorities to
    /// trust, for servers with a private one; without it the Mozilla roots compiled in count.
    ///
    /// # Errors
    /// When anything in the URL is not understood: nothing falls back to something weaker.
    pub fn from_url(url: &SecretString) -> Result<Self, SmtpUrlError> {
        let url = Url::parse(url.expose_secret()).map_err(|_| SmtpUrlError::Malformed)?;
        let implicit = match url.scheme() {
            "smtps" => true,
            "smtp" => false,
            _ => return Err(SmtpUrlError::Scheme),
        };
        let host = match url.host() {
            Some(Host::Domain(name)) if !name.is_empty() => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            _ => return Err(SmtpUrlError::Host),
        };
        if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return Err(SmtpUrlError::Malformed);
        }
        let mut mode = None;
        let mut authority = None;
        for (name, value) in url.query_pairs() {
            match name.as_ref() {
                "tls" if mode.is_none() => mode = Some(value.into_owned()),
                "ca" if authority.is_none() => authority = Some(PathBuf::from(value.as_ref())),
                _ => return Err(SmtpUrlError::Parameter),
            }
        }
        let security = match (implicit, mode.as_deref()) {
            (true, None) => Security::Implicit(tls_parameters(&host, authority)?),
            (false, None | Some("required")) => Security::Required(tls_parameters(&host, authority)?),
            (false, Some("opportunistic")) => Security::Opportunistic(tls_parameters(&host, authority)?),
            (false, Some("none")) if authority.is_none() => Security::None,
            _ => return Err(SmtpUrlError::Parameter),
        };
        let server = Server {
            port: url.port().unwrap_or(if implicit { 465 } else { 587 }),
            security,
            credentials: credentials(&url)?,
            hello: ClientId::default(),
            host,
        };
        Ok(Self { server, kept: Arc::default() })
    }

    /// Connects, signs in and hangs up: tells an operator whether the settings work.
    ///
    /// # Errors
    /// What went wrong, without the credentials.
    pub async fn probe(&self) -> Result<(), SendError> {
        let mut connection = self.server.connect().await?;
        connection.abort().await;
        Ok(())
    }

    /// A kept connection that still answers, or a new one.
    async fn connection(&self) -> Result<AsyncSmtpConnection, SendError> {
        loop {
            let Some(mut kept) = self.lock().pop() else { break };
            if kept.since.elapsed() < KEPT_FOR
                && matches!(
                    tokio::time::timeout(STEP_TIMEOUT, kept.connection.test_connected()).await,
                    Ok(true)
                )
            {
                return Ok(kept.connection);
            }
        }
        self.server.connect().await
    }

    /// Keeps the connection for the next mail, and closes it when none comes.
    fn keep(&self, connection: AsyncSmtpConnection) {
        let mut kept = self.lock();
        if kept.len() >= KEPT_CONNECTIONS {
            return;
        }
        kept.push(Kept { connection, since: Instant::now() });
        let ring = Arc::downgrade(&self.kept);
        tokio::spawn(async move {
            tokio::time::sleep(KEPT_FOR).await;
            let Some(ring) = ring.upgrade() else { return };
            let old: Vec<Kept> = {
                let mut kept = ring.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extract_if(.., |kept| kept.since.elapsed() >= KEPT_FOR).collect()
            };
            for mut kept in old {
                // QUIT is a courtesy: a server that does not answer it is left alone.
                let _ = tokio::time::timeout(STEP_TIMEOUT, kept.connection.abort()).await;
            }
        });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Transport for SmtpTransport {
    fn send<'a>(&'a self, mail: &'a Mail) -> BoxFuture<'a, Result<(), SendError>> {
        Box::pin(async move {
            let mut connection = self.connection().await?;
            let bytes = mail.message.formatted();
            let sending = connection.send(mail.message.envelope(), &bytes);
            match tokio::time::timeout(STEP_TIMEOUT, sending).await {
                Ok(Ok(_)) => {
                    self.keep(connection);
                    Ok(())
                }
                // Whatever state the connection is in: it is dropped, never kept.
                Ok(Err(error)) => Err(refusal(&error)),
                Err(_) => Err(SendError::Temporary("the mail server did not answer in time".into())),
            }
        })
    }
}

impl Server {
    /// Connects, secures the connection, signs in. Every failure here is temporary for the mail at hand: it
    /// is the server or the configuration that is at fault, and both can be put right while mail waits.
    async fn connect(&self) -> Result<AsyncSmtpConnection, SendError> {
        match tokio::time::timeout(STEP_TIMEOUT, self.dial()).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err((step, error))) => Err(SendError::Temporary(format!("{step}: {}", reason(&error)))),
            Err(_) => Err(SendError::Temporary("connecting to the mail server took too long".into())),
        }
    }

    async fn dial(&self) -> Result<AsyncSmtpConnection, (&'static str, lettre::transport::smtp::Error)> {
        let implicit = match &self.security {
            Security::Implicit(parameters) => Some(parameters.clone()),
            _ => None,
        };
        let peer = (self.host.as_str(), self.port);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(peer, Some(STEP_TIMEOUT), &self.hello, implicit, None)
                .await
                .map_err(|error| ("connecting to the mail server failed", error))?;
        match &self.security {
            Security::Required(parameters) => {
                connection
                    .starttls(parameters.clone(), &self.hello)
                    .await
                    .map_err(|error| ("STARTTLS failed, so nothing was sent", error))?;
            }
            Security::Opportunistic(parameters) if connection.can_starttls() => {
                connection
                    .starttls(parameters.clone(), &self.hello)
                    .await
                    .map_err(|error| ("STARTTLS failed", error))?;
            }
            _ => {}
        }
        if let Some(credentials) = &self.credentials {
            connection
                .auth(DEFAULT_MECHANISMS, credentials)
                .await
                .map_err(|error| ("signing in to the mail server failed", error))?;
        }
        Ok(connection)
    }
}

fn tls_parameters(host: &str, authority: Option<PathBuf>) -> Result<TlsParameters, SmtpUrlError> {
    let mut builder = TlsParameters::builder(host.to_owned());
    if let Some(path) = authority {
        let bad = |reason: String| SmtpUrlError::Certificate { path: path.clone(), reason };
        let pem = std::fs::read(&path).map_err(|error| bad(error.to_string()))?;
        if !pem.windows(27).any(|window| window == b"-----BEGIN CERTIFICATE-----") {
            return Err(bad("holds no PEM certificate".into()));
        }
        let certificate = Certificate::from_pem(&pem).map_err(|error| bad(error.to_string()))?;
        builder = builder.certificate_store(CertificateStore::None).add_root_certificate(certificate);
    }
    builder.build().map_err(|error| SmtpUrlError::Tls(error.to_string()))
}

fn credentials(url: &Url) -> Result<Option<Credentials>, SmtpUrlError> {
    match (url.username(), url.password()) {
        ("", None) => Ok(None),
        (user, Some(password)) if !user.is_empty() => {
            Ok(Some(Credentials::new(percent_decode(user)?, percent_decode(password)?)))
        }
        _ => Err(SmtpUrlError::Credentials),
    }
}

/// RFC 3986 section 2.1. `form_urlencoded` would read `+` as a space.
fn percent_decode(text: &str) -> Result<String, SmtpUrlError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        if first == b'%' {
            let digits = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
            let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
            bytes.push(byte.ok_or(SmtpUrlError::Credentials)?);
            rest = &tail[2..];
        } else {
            bytes.push(first);
        }
    }
    String::from_utf8(bytes).map_err(|_| SmtpUrlError::Credentials)
}

/// Sorts the failure of handing over one mail.
fn refusal(error: &lettre::transport::smtp::Error) -> SendError {
    let text = reason(error);
    // 530, 534, 535, 538 (RFC 4954 section 6) speak of our sign-in, not of this mail.
    let ours = error.status().is_some_and(|code| {
        let code = code.to_string();
        ["530", "534", "535", "538"].contains(&code.as_str())
    });
    // A client error here means that the mail needs an extension that the server lacks (SMTPUTF8).
    if (error.is_permanent() && !ours) || error.is_client() {
        SendError::Permanent(text)
    } else {
        SendError::Temporary(text)
    }
}

/// The error with its cause, shortened and cleaned: some filters quote the link they dislike, and links
/// carry tokens.
fn reason(error: &lettre::transport::smtp::Error) -> String {
    clean_reply(&error.to_string())
}

/// Leaves out words that look like links or tokens and runs of digits as long as a code.
pub(super) fn clean_reply(text: &str) -> String {
    let mut cleaned = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !cleaned.is_empty() {
            cleaned.push(' ');
        }
        let digits = word.split(|c: char| !c.is_ascii_digit()).map(str::len).max().unwrap_or_default();
        if word.contains("://") || word.contains('#') || word.len() > 48 || digits >= 6 {
            cleaned.push('…');
        } else {
            cleaned.push_str(word);
        }
    }
    cleaned.chars().take(REPLY_LIMIT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transport(url: &str) -> Result<SmtpTransport, SmtpUrlError> {
        SmtpTransport::from_url(&SecretString::from(url.to_owned()))
    }

    #[test]
    fn a_plain_scheme_requires_starttls_unless_told_otherwise() {
        let required = transport("smtp://mail.example.org").unwrap();
        assert!(matches!(required.server.security, Security::Required(_)));
        assert_eq!(required.server.port, 587);
        let none = transport("smtp://127.0.0.1:2525?tls=none").unwrap();
        assert!(matches!(none.server.security, Security::None));
        assert_eq!((none.server.host.as_str(), none.server.port), ("127.0.0.1", 2525));
        let implicit = transport("smtps://mail.example.org").unwrap();
        assert!(matches!(implicit.server.security, Security::Implicit(_)));
        assert_eq!(implicit.server.port, 465);
    }

    #[test]
    fn user_and_password_are_percent_decoded() {
        let server = transport("smtp://a%40b.org:p%2Fw%3A+%C3%A9@mail.example.org").unwrap().server;
        assert!(server.credentials == Some(Credentials::new("a@b.org".into(), "p/w:+é".into())));
    }

    #[test]
    fn what_is_not_understood_is_refused_without_quoting_the_password() {
        for url in [
            "mail.example.org:587",
            "http://mail.example.org",
            "smtp://",
            "smtp://user@mail.example.org",
            "smtp://user:hunter2%@mail.example.org",
            "smtp://user:hunter2@mail.example.org?tls=maybe",
            "smtp://user:hunter2@mail.example.org?tls=none&tls=required",
            "smtps://user:hunter2@mail.example.org?tls=none",
            "smtp://user:hunter2@mail.example.org?insecure=1",
            "smtp://user:hunter2@mail.example.org/path",
            "smtp://user:hunter2@mail.example.org?ca=/does/not/exist.pem",
        ] {
            let error = transport(url).expect_err(url);
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{url}");
        }
    }

    #[test]
    fn the_password_is_not_in_the_debug_form() {
        let transport = transport("smtp://user:hunter2@mail.example.org").unwrap();
        assert!(!format!("{transport:?}").contains("hunter2"));
    }

    #[test]
    fn links_tokens_and_codes_are_cleaned_out_of_what_a_server_says() {
        let text = clean_reply(
            "permanent error (550): 5.7.1 blocked\r\nhttps://shop.example/#token=ev_0190 code 123456 \
             ev_01a2b3c4d5e67f018a2b3c4d5e6f7081_AAAAAAAAAAAAAAAAAAAAAAAA done",
        );
        assert_eq!(text, "permanent error (550): 5.7.1 blocked … code … … done");
    }
}
