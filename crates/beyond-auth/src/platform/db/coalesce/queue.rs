//! Who waits, in the order of arrival.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout_at};

use super::{Error, Options};

/// A key and who asked for it.
pub(super) struct Waiter<K, V> {
    pub key: K,
    pub answer: oneshot::Sender<Result<Option<V>, Error>>,
}

/// Waiters up to a bound.
pub(super) struct Queue<K, V> {
    state: Mutex<State<K, V>>,
    bound: usize,
    batch: usize,
    spread: usize,
    patience: Duration,
    news: Notify,
}

struct State<K, V> {
    waiting: VecDeque<Waiter<K, V>>,
    /// Since when the queue has not been empty.
    since: Instant,
    /// Batches that were handed out and are not finished.
    in_flight: usize,
    closed: bool,
}

/// What a lane is to do next.
enum Next<K, V> {
    /// Send this.
    Send(Batch<K, V>),
    /// Wait for news.
    Wait,
    /// Wait for news, but look again then.
    WaitUntil(Instant),
    /// Nothing will ever come.
    End,
}

/// Why a waiter was not taken on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Full,
    Closed,
}

/// What one statement is to answer: keys and askers at the same positions.
pub(super) struct Batch<K, V> {
    pub keys: Vec<K>,
    pub askers: Vec<oneshot::Sender<Result<Option<V>, Error>>>,
}

impl<K, V> Queue<K, V> {
    pub fn new(options: &Options) -> Self {
        let state = State { waiting: VecDeque::new(), since: Instant::now(), in_flight: 0, closed: false };
        Self {
            state: Mutex::new(state),
            bound: options.queue,
            batch: options.batch,
            spread: options.spread,
            patience: options.patience,
            news: Notify::new(),
        }
    }

    pub fn push(&self, waiter: Waiter<K, V>) -> Result<(), Refused> {
        let mut state = self.state();
        if state.closed {
            return Err(Refused::Closed);
        }
        if state.waiting.len() >= self.bound {
            return Err(Refused::Full);
        }
        state.waiting.push_back(waiter);
        let first = state.waiting.len() == 1;
        if first {
            state.since = Instant::now();
        }
        // The first one starts an idle lane's clock, if it does not start the lane itself.
        let news = first || state.in_flight == 0 || state.waiting.len() >= self.spread;
        drop(state);
        if news {
            // The lane that waits since the shortest: it is warm, and the others may close their connections.
            self.news.notify_last();
        }
        Ok(())
    }

    /// The longest-waiting keys, at most a batch; waits until there are some. `None` when closed and empty.
    /// [`Self::finished`] is to be called once they are answered.
    ///
    /// Whatever is pushed after this returned belongs to a later batch.
    pub async fn next(&self) -> Option<Batch<K, V>> {
        loop {
            let news = self.news.notified();
            match self.take() {
                Next::Send(batch) => return Some(batch),
                Next::End => return None,
                Next::Wait => news.await,
                Next::WaitUntil(then) => drop(timeout_at(then, news).await),
            }
        }
    }

    /// A batch was answered.
    pub fn finished(&self) {
        self.state().in_flight -= 1;
    }

    fn take(&self) -> Next<K, V> {
        let mut state = self.state();
        // Whoever has given up needs no answer.
        while state.waiting.front().is_some_and(|waiter| waiter.answer.is_closed()) {
            state.waiting.pop_front();
        }
        if state.waiting.is_empty() {
            return if state.closed { Next::End } else { Next::Wait };
        }
        let now = Instant::now();
        let due = state.since + self.patience;
        let alone = state.in_flight == 0 || state.closed;
        if !alone && state.waiting.len() < self.spread && now < due {
            return Next::WaitUntil(due);
        }
        let count = state.waiting.len().min(self.batch);
        let mut batch = Batch { keys: Vec::with_capacity(count), askers: Vec::with_capacity(count) };
        while batch.keys.len() < self.batch
            && let Some(waiter) = state.waiting.pop_front()
        {
            if !waiter.answer.is_closed() {
                batch.keys.push(waiter.key);
                batch.askers.push(waiter.answer);
            }
        }
        state.in_flight += 1;
        state.since = now;
        let left = !state.waiting.is_empty();
        drop(state);
        if left {
            // More than one statement's worth: another lane may begin at once.
            self.news.notify_last();
        }
        Next::Send(batch)
    }

    pub fn close(&self) {
        self.state().closed = true;
        // Lanes that wait now, and the one that may be about to; it wakes the next.
        self.news.notify_waiters();
        self.news.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State<K, V>> {
        // Nothing in here panics half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, V> Batch<K, V> {
    /// Tells everybody the same bad news.
    pub fn fail(self, error: &Error) {
        for asker in self.askers {
            drop(asker.send(Err(error.clone())));
        }
    }

    /// Gives each asker the answer at its position.
    pub fn answer(self, answers: Vec<Option<V>>) {
        for (asker, answer) in self.askers.into_iter().zip(answers) {
            drop(asker.send(Ok(answer)));
        }
    }
}
