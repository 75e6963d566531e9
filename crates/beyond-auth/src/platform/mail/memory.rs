//! Mail that stays in the process: for `dev`, whose mailbox page shows it, and for tests.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use serde::Serialize;
use tokio::sync::watch;

use super::{Mail, SendError, Transport};

/// How long [`MemoryTransport::wait_for`] waits.
const PATIENCE: Duration = Duration::from_mins(1);

/// A mail as its reader sees it.
#[derive(Clone, Serialize)]
pub struct ReceivedMail {
    /// Counts from 1 in order of arrival, never reused within a process.
    pub number: u64,
    /// When it arrived.
    pub received_at: DateTime<Utc>,
    /// The sender's address.
    pub from: String,
    /// The recipient's address.
    pub to: String,
    /// The subject line.
    pub subject: String,
    /// The text part.
    pub text: String,
    /// The HTML part.
    pub html: String,
}

impl fmt::Debug for ReceivedMail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceivedMail")
            .field("number", &self.number)
            .field("to", &self.to)
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}

impl ReceivedMail {
    /// The first link of the text part.
    pub fn link(&self) -> Option<&str> {
        self.text.split_whitespace().find(|word| word.starts_with("https://") || word.starts_with("http://"))
    }

    /// The first six-digit code of the text part.
    pub fn code(&self) -> Option<&str> {
        self.text.split_whitespace().find(|word| word.len() == 6 && word.bytes().all(|b| b.is_ascii_digit()))
    }
}

/// No such mail came in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such mail came within {} seconds", PATIENCE.as_secs())]
pub struct NotReceived;

/// A bounded ring of mails: the oldest makes room for the newest.
#[derive(Debug)]
pub struct MemoryTransport {
    capacity: usize,
    state: Mutex<State>,
    arrivals: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    mails: VecDeque<Arc<ReceivedMail>>,
    faults: VecDeque<SendError>,
    refusing: Option<SendError>,
    attempts: u64,
}

impl Default for MemoryTransport {
    fn default() -> Self {
        Self::new(500)
    }
}

impl MemoryTransport {
    /// Keeps the last `capacity` mails.
    pub fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), state: Mutex::default(), arrivals: watch::Sender::new(0) }
    }

    /// All mails that are still in the ring, oldest first.
    pub fn received(&self) -> Vec<Arc<ReceivedMail>> {
        self.lock().mails.iter().cloned().collect()
    }

    /// The mail of this number, unless it has left the ring.
    pub fn find(&self, number: u64) -> Option<Arc<ReceivedMail>> {
        self.lock().mails.iter().find(|mail| mail.number == number).cloned()
    }

    /// The newest mail to this address (ASCII case aside); waits for one if there is none yet.
    ///
    /// # Errors
    /// When none has come within a minute.
    pub async fn wait_for(&self, address: &str) -> Result<Arc<ReceivedMail>, NotReceived> {
        self.wait_until(|mail| mail.to.eq_ignore_ascii_case(address)).await
    }

    /// The newest mail that `matches`; waits for one if there is none yet.
    ///
    /// # Errors
    /// When none has come within a minute.
    pub async fn wait_until(
        &self,
        matches: impl Fn(&ReceivedMail) -> bool,
    ) -> Result<Arc<ReceivedMail>, NotReceived> {
        let mut arrivals = self.arrivals.subscribe();
        let looking = async {
            loop {
                arrivals.mark_unchanged();
                let found = self.lock().mails.iter().rev().find(|mail| matches(mail)).cloned();
                if let Some(mail) = found {
                    return mail;
                }
                if arrivals.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::time::timeout(PATIENCE, looking).await.map_err(|_| NotReceived)
    }

    /// Empties the ring.
    pub fn clear(&self) {
        self.lock().mails.clear();
    }

    /// How often a mail was handed over, refused ones included.
    pub fn attempts(&self) -> u64 {
        self.lock().attempts
    }

    /// Refuses the next mail with this error; may be called several times for several mails.
    pub fn fail_next(&self, error: SendError) {
        self.lock().faults.push_back(error);
    }

    /// Refuses every mail with this error (an outage) until called with `None`.
    pub fn refuse(&self, error: Option<SendError>) {
        self.lock().refusing = error;
    }

    fn take(&self, mail: &Mail) -> Result<(), SendError> {
        let mut state = self.lock();
        state.attempts += 1;
        if let Some(error) = state.faults.pop_front() {
            return Err(error);
        }
        if let Some(error) = &state.refusing {
            return Err(error.clone());
        }
        let number = *self.arrivals.borrow() + 1;
        if state.mails.len() >= self.capacity {
            state.mails.pop_front();
        }
        let from = mail.message.envelope().from().map(ToString::to_string).unwrap_or_default();
        state.mails.push_back(Arc::new(ReceivedMail {
            number,
            received_at: Utc::now(),
            from,
            to: mail.to.clone(),
            subject: mail.rendered.subject.clone(),
            text: mail.rendered.text.clone(),
            html: mail.rendered.html.clone(),
        }));
        // Within the lock, so that numbers rise in the order of the ring.
        self.arrivals.send_replace(number);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Transport for MemoryTransport {
    fn send<'a>(&'a self, mail: &'a Mail) -> BoxFuture<'a, Result<(), SendError>> {
        Box::pin(std::future::ready(self.take(mail)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::mail::render::Rendered;

    fn mail(to: &str, text: &str) -> Mail {
        let rendered = Rendered { subject: "Hi".into(), text: text.into(), html: String::new() };
        Mail::new(&"no-reply@shop.example".parse().unwrap(), to, "1.1", rendered).unwrap()
    }

    #[tokio::test]
    async fn the_ring_forgets_the_oldest_and_keeps_counting() {
        let transport = MemoryTransport::new(2);
        for to in ["a@example.org", "b@example.org", "c@example.org"] {
            transport.send(&mail(to, "")).await.unwrap();
        }
        let received = transport.received();
        assert_eq!(received.iter().map(|mail| mail.number).collect::<Vec<_>>(), [2, 3]);
        assert!(transport.find(1).is_none());
        assert_eq!(transport.find(3).unwrap().to, "c@example.org");
    }

    #[tokio::test]
    async fn a_mail_that_comes_later_ends_the_wait() {
        let transport = Arc::new(MemoryTransport::default());
        let waiting = tokio::spawn({
            let transport = Arc::clone(&transport);
            async move { transport.wait_for("Ada@example.org").await }
        });
        tokio::task::yield_now().await;
        transport.send(&mail("ada@example.org", "Code: 123456\nhttps://shop.example/#t=1")).await.unwrap();
        let received = waiting.await.unwrap().unwrap();
        assert_eq!(received.code(), Some("123456"));
        assert_eq!(received.link(), Some("https://shop.example/#t=1"));
    }

    #[tokio::test]
    async fn injected_faults_hit_one_mail_each_and_an_outage_hits_all() {
        let transport = MemoryTransport::default();
        let mail = mail("ada@example.org", "");
        transport.fail_next(SendError::Permanent("550".into()));
        assert_eq!(transport.send(&mail).await, Err(SendError::Permanent("550".into())));
        assert_eq!(transport.send(&mail).await, Ok(()));
        transport.refuse(Some(SendError::Temporary("away".into())));
        assert!(transport.send(&mail).await.is_err());
        assert!(transport.send(&mail).await.is_err());
        transport.refuse(None);
        assert_eq!(transport.send(&mail).await, Ok(()));
        assert_eq!(transport.attempts(), 5);
    }
}
