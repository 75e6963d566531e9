//! Who waits, in the order of arrival.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

use super::Error;

/// A key and who asked for it.
pub(super) struct Waiter<K, V> {
    pub key: K,
    pub answer: oneshot::Sender<Result<Option<V>, Error>>,
}

/// Waiters up to a bound.
pub(super) struct Queue<K, V> {
    state: Mutex<State<K, V>>,
    bound: usize,
    news: Notify,
}

struct State<K, V> {
    waiting: VecDeque<Waiter<K, V>>,
    closed: bool,
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
    pub fn new(bound: usize) -> Self {
        let state = Mutex::new(State { waiting: VecDeque::new(), closed: false });
        Self { state, bound, news: Notify::new() }
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
        drop(state);
        // The lane that waits since the shortest: it is warm, and the others may close their connections.
        self.news.notify_last();
        Ok(())
    }

    /// The longest-waiting keys, at most `limit`; waits until there are some. `None` when closed and empty.
    ///
    /// Whatever is pushed after this returned belongs to a later batch.
    pub async fn next(&self, limit: usize) -> Option<Batch<K, V>> {
        loop {
            let news = self.news.notified();
            if let Some(batch) = self.take(limit) {
                return (!batch.keys.is_empty()).then_some(batch);
            }
            news.await;
        }
    }

    /// `None` when there is nothing yet; an empty batch when there never will be.
    fn take(&self, limit: usize) -> Option<Batch<K, V>> {
        let mut state = self.state();
        let count = state.waiting.len().min(limit);
        let mut batch = Batch { keys: Vec::with_capacity(count), askers: Vec::with_capacity(count) };
        while batch.keys.len() < limit
            && let Some(waiter) = state.waiting.pop_front()
        {
            // Whoever has given up needs no answer.
            if !waiter.answer.is_closed() {
                batch.keys.push(waiter.key);
                batch.askers.push(waiter.answer);
            }
        }
        let left = !state.waiting.is_empty();
        let closed = state.closed;
        drop(state);
        if left {
            // More than one statement's worth: another lane may begin at once.
            self.news.notify_last();
        }
        (!batch.keys.is_empty() || closed).then_some(batch)
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
