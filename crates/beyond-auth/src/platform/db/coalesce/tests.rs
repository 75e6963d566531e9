//! The coalescer on a database that does as it is told.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};

use super::{Backend, Coalescer, Error, Options};

/// What happens to the next statement or attempt to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Lost,
    Broken,
    Panic,
    Miscount,
}

/// A key finds ten times itself; keys from 1000 up are not there.
#[derive(Clone)]
struct Fake {
    sent: mpsc::UnboundedSender<Vec<u32>>,
    /// One permit lets one statement end.
    gate: Arc<Semaphore>,
    fates: Arc<Mutex<VecDeque<Fate>>>,
    connects: Arc<AtomicUsize>,
    away: Arc<Mutex<bool>>,
}

/// Counts connections that are open.
struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn lost() -> sqlx::Error {
    sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into())
}

impl Backend for Fake {
    type Connection = Open;
    type Key = u32;
    type Answer = u32;

    async fn connect(&self) -> Result<Open, sqlx::Error> {
        if *self.away.lock().unwrap() {
            return Err(lost());
        }
        self.connects.fetch_add(1, Ordering::SeqCst);
        Ok(Open(Arc::clone(&self.connects)))
    }

    async fn look_up(&self, _: &mut Open, keys: &[u32]) -> Result<Vec<Option<u32>>, sqlx::Error> {
        self.sent.send(keys.to_vec()).unwrap();
        self.gate.acquire().await.unwrap().forget();
        let fate = self.fates.lock().unwrap().pop_front();
        match fate {
            Some(Fate::Lost) => Err(lost()),
            Some(Fate::Broken) => Err(sqlx::Error::RowNotFound),
            Some(Fate::Panic) => panic!("told to"),
            Some(Fate::Miscount) => Ok(Vec::new()),
            None => Ok(keys.iter().map(|key| (*key < 1000).then_some(key * 10)).collect()),
        }
    }
}

struct Stage {
    coalescer: Arc<Coalescer<u32, u32>>,
    fake: Fake,
    sent: mpsc::UnboundedReceiver<Vec<u32>>,
}

type Asking = tokio::task::JoinHandle<Result<Option<u32>, Error>>;

impl Stage {
    fn new(options: Options) -> Self {
        let (sender, sent) = mpsc::unbounded_channel();
        let fake = Fake {
            sent: sender,
            gate: Arc::new(Semaphore::new(0)),
            fates: Arc::default(),
            connects: Arc::default(),
            away: Arc::default(),
        };
        Self { coalescer: Arc::new(Coalescer::start(fake.clone(), options)), fake, sent }
    }

    /// Asks, and returns once the question is in the queue.
    async fn ask(&self, key: u32) -> Asking {
        let coalescer = Arc::clone(&self.coalescer);
        let asking = tokio::spawn(async move { coalescer.get(key).await });
        settle().await;
        asking
    }

    async fn next_sent(&mut self) -> Vec<u32> {
        self.sent.recv().await.unwrap()
    }

    fn let_through(&self, statements: usize) {
        self.fake.gate.add_permits(statements);
    }

    fn fates(&self, fates: &[Fate]) {
        self.fake.fates.lock().unwrap().extend(fates);
    }

    fn open(&self) -> usize {
        self.fake.connects.load(Ordering::SeqCst)
    }
}

/// Lets every other task run as far as it can: each of these tests has one thread.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

fn one_lane() -> Options {
    Options { lanes: 1, ..Options::default() }
}

#[tokio::test]
async fn a_lone_request_waits_for_nobody() {
    let mut stage = Stage::new(Options::default());
    let first = stage.ask(1).await;
    assert_eq!(stage.next_sent().await, [1]);
    stage.let_through(1);
    assert_eq!(first.await.unwrap().unwrap(), Some(10));
}

#[tokio::test]
async fn a_key_joins_the_next_statement_never_the_one_in_flight() {
    let mut stage = Stage::new(one_lane());
    let first = stage.ask(1).await;
    assert_eq!(stage.next_sent().await, [1]);
    let others = [stage.ask(1).await, stage.ask(2).await, stage.ask(1000).await];
    assert!(stage.sent.try_recv().is_err());
    stage.let_through(1);
    assert_eq!(first.await.unwrap().unwrap(), Some(10));
    assert_eq!(stage.next_sent().await, [1, 2, 1000]);
    settle().await;
    assert!(others.iter().all(|asking| !asking.is_finished()), "answered by an earlier statement");
    stage.let_through(1);
    let mut answers = Vec::new();
    for asking in others {
        answers.push(asking.await.unwrap().unwrap());
    }
    assert_eq!(answers, [Some(10), Some(20), None]);
}

#[tokio::test]
async fn lanes_send_side_by_side_and_whoever_came_first_is_sent_first() {
    let mut stage = Stage::new(Options { lanes: 2, batch: 2, spread: 1, ..Options::default() });
    let mut askings = Vec::new();
    for key in 1..=7 {
        askings.push(stage.ask(key).await);
    }
    assert_eq!([stage.next_sent().await, stage.next_sent().await], [vec![1], vec![2]]);
    settle().await;
    assert!(stage.sent.try_recv().is_err(), "more statements than lanes");
    stage.let_through(3);
    let later = [stage.next_sent().await, stage.next_sent().await, stage.next_sent().await];
    assert_eq!(later, [vec![3, 4], vec![5, 6], vec![7]]);
    stage.let_through(2);
    for (key, asking) in (1..).zip(askings) {
        assert_eq!(asking.await.unwrap().unwrap(), Some(key * 10));
    }
}

#[tokio::test]
async fn few_wait_for_the_statement_in_flight_and_many_get_one_beside_it() {
    let patience = Duration::from_hours(1);
    let mut stage = Stage::new(Options { lanes: 2, spread: 3, patience, ..Options::default() });
    let mut askings = vec![stage.ask(1).await, stage.ask(2).await, stage.ask(3).await];
    assert_eq!(stage.next_sent().await, [1]);
    settle().await;
    assert!(stage.sent.try_recv().is_err(), "two were sent beside it");
    askings.push(stage.ask(4).await);
    assert_eq!(stage.next_sent().await, [2, 3, 4]);
    askings.push(stage.ask(5).await);
    stage.let_through(1);
    askings.push(stage.ask(6).await);
    assert!(stage.sent.try_recv().is_err(), "one is still in flight");
    stage.let_through(1);
    assert_eq!(stage.next_sent().await, [5, 6]);
    stage.let_through(1);
    for (key, asking) in (1..).zip(askings) {
        assert_eq!(asking.await.unwrap().unwrap(), Some(key * 10));
    }
}

#[tokio::test]
async fn nobody_waits_long_for_a_statement_in_flight_while_a_lane_is_idle() {
    let patience = Duration::from_millis(20);
    let mut stage = Stage::new(Options { lanes: 2, spread: 100, patience, ..Options::default() });
    let stuck = stage.ask(1).await;
    assert_eq!(stage.next_sent().await, [1]);
    let asked = std::time::Instant::now();
    let others = [stage.ask(2).await, stage.ask(3).await];
    assert_eq!(stage.next_sent().await, [2, 3]);
    assert!(asked.elapsed() >= patience);
    stage.let_through(2);
    for asking in others {
        assert!(asking.await.unwrap().is_ok());
    }
    assert_eq!(stuck.await.unwrap().unwrap(), Some(10));
}

#[tokio::test]
async fn whoever_gives_up_harms_nobody() {
    let mut stage = Stage::new(one_lane());
    let in_flight = stage.ask(1).await;
    let (gone, stays) = (stage.ask(2).await, stage.ask(3).await);
    in_flight.abort();
    gone.abort();
    settle().await;
    stage.let_through(2);
    assert_eq!(stage.next_sent().await, [1]);
    assert_eq!(stage.next_sent().await, [3], "nobody waits for 2 any more");
    assert_eq!(stays.await.unwrap().unwrap(), Some(30));
}

#[tokio::test]
async fn an_error_reaches_everybody_in_the_statement_and_nobody_else() {
    let mut stage = Stage::new(one_lane());
    let first = stage.ask(1).await;
    let second = [stage.ask(2).await, stage.ask(3).await];
    stage.fates(&[Fate::Broken]);
    stage.let_through(2);
    assert!(matches!(first.await.unwrap(), Err(Error::Database(_))));
    for asking in second {
        assert!(asking.await.unwrap().is_ok());
    }
    assert_eq!(stage.next_sent().await, [1]);
    assert_eq!(stage.next_sent().await, [2, 3]);
}

#[tokio::test]
async fn a_connection_that_died_while_idle_is_replaced_unnoticed() {
    let stage = Stage::new(one_lane());
    stage.let_through(3);
    assert!(stage.ask(1).await.await.unwrap().is_ok());
    stage.fates(&[Fate::Lost]);
    assert_eq!(stage.ask(2).await.await.unwrap().unwrap(), Some(20));
    assert_eq!(stage.open(), 1);
}

#[tokio::test]
async fn while_the_database_is_away_everybody_is_told_and_soon_after_its_return_it_is_found() {
    let stage = Stage::new(Options::default());
    stage.let_through(100);
    *stage.fake.away.lock().unwrap() = true;
    for key in 0..20 {
        let error = stage.ask(key).await.await.unwrap().unwrap_err();
        assert!(error.is_unavailable(), "{error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    *stage.fake.away.lock().unwrap() = false;
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(stage.ask(1).await.await.unwrap().unwrap(), Some(10));
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let mut stage = Stage::new(Options { lanes: 1, queue: 2, ..Options::default() });
    let first = stage.ask(1).await;
    let waiting = [stage.ask(2).await, stage.ask(3).await];
    let refused = stage.ask(4).await;
    assert!(refused.is_finished());
    let refused = refused.await.unwrap().unwrap_err();
    assert!(matches!(refused, Error::Full) && refused.is_unavailable());
    stage.let_through(2);
    assert_eq!(stage.next_sent().await, [1]);
    assert_eq!(stage.next_sent().await, [2, 3]);
    for asking in [first].into_iter().chain(waiting) {
        assert!(asking.await.unwrap().is_ok());
    }
}

#[tokio::test]
async fn a_statement_that_hangs_is_given_up_and_so_is_its_connection() {
    let stage = Stage::new(Options { timeout: Duration::from_millis(50), ..one_lane() });
    let asking = stage.ask(1).await;
    let error = asking.await.unwrap().unwrap_err();
    assert!(error.is_unavailable(), "{error}");
    assert_eq!(stage.open(), 0);
    stage.let_through(1);
    assert_eq!(stage.ask(2).await.await.unwrap().unwrap(), Some(20));
}

#[tokio::test]
async fn a_bug_in_a_lookup_does_not_take_the_lane_with_it() {
    let stage = Stage::new(one_lane());
    stage.let_through(3);
    stage.fates(&[Fate::Panic, Fate::Miscount]);
    assert!(stage.ask(1).await.await.unwrap().is_err());
    assert!(stage.ask(2).await.await.unwrap().is_err());
    assert_eq!(stage.ask(3).await.await.unwrap().unwrap(), Some(30));
}

#[tokio::test]
async fn idle_lanes_let_go_of_their_connections_and_connect_again() {
    let stage = Stage::new(Options { idle: Duration::from_millis(50), ..Options::default() });
    stage.let_through(2);
    assert!(stage.ask(1).await.await.unwrap().is_ok());
    assert_eq!(stage.open(), 1);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(stage.open(), 0);
    assert!(stage.ask(2).await.await.unwrap().is_ok());
}

#[tokio::test]
async fn closing_answers_who_waits_and_refuses_who_comes_after() {
    let stage = Stage::new(one_lane());
    let askings = [stage.ask(1).await, stage.ask(2).await];
    let coalescer = Arc::clone(&stage.coalescer);
    let closing = tokio::spawn(async move { coalescer.close().await });
    settle().await;
    assert!(matches!(stage.ask(3).await.await.unwrap(), Err(Error::Closed)));
    assert!(!closing.is_finished());
    stage.let_through(2);
    for asking in askings {
        assert!(asking.await.unwrap().is_ok());
    }
    closing.await.unwrap();
    assert_eq!(stage.open(), 0);
}
