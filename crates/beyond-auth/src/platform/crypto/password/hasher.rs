//! The hashing threads: a fixed number, a short queue, and no way around either.
//!
//! Argon2 is meant to be slow. On the runtime's threads it would stall every other request, and on
//! `spawn_blocking` a burst of sign-ins would run hundreds at once, 19 MiB each. Here a job belongs to its
//! thread from start to end: a client that hangs up does not free a place for its next try.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::oneshot;

use super::argon::{Cost, Verdict, Worker};
use super::policy::normalise;

/// How much hashing at once, and what a hash costs.
#[derive(Clone, Copy, Debug)]
pub struct HasherConfig {
    /// Cost of new hashes; weaker stored ones ask to be made again.
    pub cost: Cost,
    /// Hashes at once.
    pub threads: usize,
    /// Jobs that may wait for a thread.
    pub queue: usize,
    /// How long a job may wait for a thread.
    pub wait: Duration,
}

impl Default for HasherConfig {
    /// All cores but one (at least one), 32 waiting for at most 2 seconds, [`Cost::default`].
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Self {
            cost: Cost::default(),
            threads: cores.saturating_sub(1).max(1),
            queue: 32,
            wait: Duration::from_secs(2),
        }
    }
}

/// No hash was computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// Too many wait already, or the wait was too long. Trying again later is worth it (503, Retry-After).
    #[error("too many passwords are being hashed")]
    Busy,
    /// The hashing itself failed, which is a defect or a lack of memory.
    #[error("password hashing failed")]
    Failed,
}

/// Hashes and verifies passwords on threads of its own. Cheap to clone; the threads end with the last clone.
#[derive(Clone)]
pub struct PasswordHasher {
    queue: SyncSender<Job>,
    wait: Duration,
    computed: Arc<AtomicU64>,
}

struct Job {
    /// Set by whoever comes first: the thread that begins it, or the waiter that gives it up.
    claimed: Arc<AtomicBool>,
    password: SecretString,
    task: Task,
}

enum Task {
    Hash {
        answer: oneshot::Sender<Result<String, HashError>>,
    },
    Verify {
        stored: Option<String>,
        answer: oneshot::Sender<Result<Verdict, HashError>>,
    },
    #[cfg(test)]
    Run {
        what: Box<dyn FnOnce() + Send>,
        answer: oneshot::Sender<Result<(), HashError>>,
    },
}

impl PasswordHasher {
    /// Starts the threads.
    pub fn new(config: HasherConfig) -> Self {
        let (queue, jobs) = sync_channel(config.queue);
        let jobs = Arc::new(Mutex::new(jobs));
        let computed = Arc::<AtomicU64>::default();
        for number in 0..config.threads.max(1) {
            let (jobs, computed) = (Arc::clone(&jobs), Arc::clone(&computed));
            let thread = thread::Builder::new().name(format!("password-{number}"));
            if let Err(error) = thread.spawn(move || work(&jobs, config.cost, &computed)) {
                tracing::error!(%error, "cannot start a thread for password hashing");
            }
        }
        Self { queue, wait: config.wait, computed }
    }

    /// Hashes a password (normalised first) under a fresh salt; the result is a PHC string to be stored.
    pub async fn hash(&self, password: SecretString) -> Result<String, HashError> {
        self.submit(password, |answer| Task::Hash { answer }).await
    }

    /// Compares a password (normalised first) with a stored PHC string.
    ///
    /// With `None`, for an account that does not exist or has no password, the same work is done and the
    /// answer is a mismatch, so that time does not tell the two apart.
    pub async fn verify(&self, password: SecretString, stored: Option<String>) -> Result<Verdict, HashError> {
        self.submit(password, |answer| Task::Verify { stored, answer }).await
    }

    /// How many hashes were computed since the start, in vain or not.
    pub fn computed(&self) -> u64 {
        self.computed.load(Ordering::Relaxed)
    }

    async fn submit<T>(
        &self,
        password: SecretString,
        task: impl FnOnce(oneshot::Sender<Result<T, HashError>>) -> Task,
    ) -> Result<T, HashError> {
        let (answer, mut answered) = oneshot::channel();
        let claimed = Arc::new(AtomicBool::new(false));
        let job = Job { claimed: Arc::clone(&claimed), password, task: task(answer) };
        self.queue.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => HashError::Busy,
            TrySendError::Disconnected(_) => HashError::Failed,
        })?;
        let answer = match tokio::time::timeout(self.wait, &mut answered).await {
            Ok(answer) => answer,
            Err(_) if !claimed.swap(true, Ordering::AcqRel) => return Err(HashError::Busy),
            // It has begun: the work is being paid for, so its result is worth waiting for.
            Err(_) => answered.await,
        };
        answer.unwrap_or(Err(HashError::Failed))
    }
}

impl std::fmt::Debug for PasswordHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PasswordHasher").finish_non_exhaustive()
    }
}

/// A thread's life: take a job, do it, until nobody can send any more.
fn work(jobs: &Mutex<Receiver<Job>>, cost: Cost, computed: &AtomicU64) {
    let mut worker = Worker::new(cost);
    loop {
        // The lock is held while waiting, and released before the job begins.
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        if job.claimed.swap(true, Ordering::AcqRel) || job.task.is_abandoned() {
            continue;
        }
        computed.fetch_add(1, Ordering::Relaxed);
        if catch_unwind(AssertUnwindSafe(|| job.perform(&mut worker))).is_err() {
            // The waiter sees its answer dropped. The memory's state is unknown: start with none.
            tracing::error!("password hashing panicked");
            worker = Worker::new(cost);
        }
    }
}

impl Job {
    fn perform(self, worker: &mut Worker) {
        let password = normalise(self.password.expose_secret());
        let password = password.expose_secret().as_bytes();
        // An answer that nobody waits for any more is dropped.
        match self.task {
            Task::Hash { answer } => {
                let _ = answer.send(worker.hash(password).map_err(failed));
            }
            Task::Verify { stored, answer } => {
                let _ = answer.send(worker.verify(password, stored.as_deref()).map_err(failed));
            }
            #[cfg(test)]
            Task::Run { what, answer } => {
                what();
                let _ = answer.send(Ok(()));
            }
        }
    }
}

impl Task {
    fn is_abandoned(&self) -> bool {
        match self {
            Self::Hash { answer } => answer.is_closed(),
            Self::Verify { answer, .. } => answer.is_closed(),
            #[cfg(test)]
            Self::Run { answer, .. } => answer.is_closed(),
        }
    }
}

fn failed(error: argon2::Error) -> HashError {
    tracing::error!(%error, "password hashing failed");
    HashError::Failed
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    const CONFIG: HasherConfig =
        HasherConfig { cost: Cost::TRIVIAL, threads: 1, queue: 2, wait: Duration::from_mins(1) };

    fn secret(text: &str) -> SecretString {
        SecretString::from(text)
    }

    /// Occupies the only thread until the returned sender is dropped.
    async fn occupy(hasher: &PasswordHasher) -> std::sync::mpsc::Sender<()> {
        let (release, held) = std::sync::mpsc::channel::<()>();
        let (started, begun) = oneshot::channel();
        let what = move || {
            let _ = started.send(());
            let _ = held.recv();
        };
        let hasher = hasher.clone();
        tokio::spawn(async move { run(&hasher, what).await });
        begun.await.unwrap();
        release
    }

    async fn run(hasher: &PasswordHasher, what: impl FnOnce() + Send + 'static) -> Result<(), HashError> {
        hasher.submit(secret(""), |answer| Task::Run { what: Box::new(what), answer }).await
    }

    #[tokio::test]
    async fn a_password_is_hashed_and_verified() {
        let hasher = PasswordHasher::new(CONFIG);
        let phc = hasher.hash(secret("a secret")).await.unwrap();
        let verdict = hasher.verify(secret("a secret"), Some(phc.clone())).await;
        assert_eq!(verdict, Ok(Verdict::Match { needs_rehash: false }));
        assert_eq!(hasher.verify(secret("A secret"), Some(phc)).await, Ok(Verdict::Mismatch));
        assert_eq!(hasher.verify(secret("a secret"), None).await, Ok(Verdict::Mismatch));
    }

    #[tokio::test]
    async fn both_spellings_of_an_accented_letter_are_one_password() {
        let hasher = PasswordHasher::new(CONFIG);
        let phc = hasher.hash(secret("cafe\u{301} au lait")).await.unwrap();
        let verdict = hasher.verify(secret("caf\u{e9} au lait"), Some(phc)).await;
        assert_eq!(verdict, Ok(Verdict::Match { needs_rehash: false }));
    }

    #[tokio::test]
    async fn a_full_queue_is_busy_at_once() {
        let hasher = PasswordHasher::new(CONFIG);
        let release = occupy(&hasher).await;
        let waiting: Vec<_> = (0..CONFIG.queue)
            .map(|_| {
                let hasher = hasher.clone();
                tokio::spawn(async move { hasher.hash(secret("waiting")).await })
            })
            .collect();
        tokio::task::yield_now().await;
        assert_eq!(hasher.hash(secret("one too many")).await, Err(HashError::Busy));
        drop(release);
        for job in waiting {
            assert!(job.await.unwrap().is_ok());
        }
    }

    #[tokio::test]
    async fn a_job_that_waits_too_long_is_busy_and_never_runs() {
        let hasher = PasswordHasher::new(HasherConfig { wait: Duration::from_millis(30), ..CONFIG });
        let release = occupy(&hasher).await;
        let ran = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&ran);
        let late = run(&hasher, move || {
            counter.fetch_add(1, Ordering::SeqCst);
        });
        assert_eq!(late.await, Err(HashError::Busy));
        drop(release);
        while hasher.hash(secret("next")).await.is_err() {}
        assert_eq!(ran.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn a_job_whose_waiter_left_is_skipped_but_one_that_began_runs_to_its_end() {
        let hasher = PasswordHasher::new(CONFIG);
        let release = occupy(&hasher).await;
        let ran = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&ran);
        let waiting = run(&hasher, move || {
            counter.fetch_add(1, Ordering::SeqCst);
        });
        assert!(tokio::time::timeout(Duration::from_millis(10), waiting).await.is_err());
        drop(release);
        hasher.hash(secret("next")).await.unwrap();
        assert_eq!(ran.load(Ordering::SeqCst), 0);

        let (release, held) = std::sync::mpsc::channel::<()>();
        let counter = Arc::clone(&ran);
        let begun = run(&hasher, move || {
            let _ = held.recv();
            counter.fetch_add(1, Ordering::SeqCst);
        });
        assert!(tokio::time::timeout(Duration::from_millis(50), begun).await.is_err());
        drop(release);
        hasher.hash(secret("next")).await.unwrap();
        assert_eq!(ran.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_slow_hash_that_has_begun_is_awaited_beyond_the_limit_for_waiting() {
        let hasher = PasswordHasher::new(HasherConfig { wait: Duration::from_millis(20), ..CONFIG });
        let slow = run(&hasher, || thread::sleep(Duration::from_millis(100)));
        assert_eq!(slow.await, Ok(()));
    }

    #[tokio::test]
    async fn a_panic_fails_its_job_and_the_thread_goes_on() {
        let hasher = PasswordHasher::new(CONFIG);
        assert_eq!(run(&hasher, || panic!("in a test")).await, Err(HashError::Failed));
        assert!(hasher.hash(secret("next")).await.is_ok());
    }

    #[test]
    fn the_defaults_leave_one_core_to_the_rest() {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let config = HasherConfig::default();
        assert_eq!(config.threads, (cores - 1).max(1));
        assert_eq!((config.queue, config.wait), (32, Duration::from_secs(2)));
    }
}
