//! Attempt limits hold across connections, to the last attempt.

use std::time::Duration;

use beyond_auth::platform::crypto::random;
use beyond_auth::platform::db::{Conn, DatabaseConfig, Db};
use beyond_auth::platform::limits::{self, Decision, Limit};
use futures::future::join_all;

use crate::support::{self, database_config};

const TEN: Limit = Limit { name: "test_ten", per: Duration::from_mins(1), max: 10 };
const TWO: Limit = Limit { name: "test_two", per: Duration::from_mins(1), max: 2 };

async fn database() -> Db {
    // `pass` moves the clock of every row, and fifty attempts at once need the database to themselves.
    let database = Box::leak(Box::new(support::database().await));
    let config = database_config(database.url.clone());
    Db::new(&DatabaseConfig { max_connections: 20, ..config }).unwrap()
}

fn allowed(decision: Decision) -> bool {
    matches!(decision, Decision::Allowed { .. })
}

/// Lets time pass for one subject, or rather: makes everything it waits for come sooner.
async fn pass(conn: &mut Conn, minutes: i32) {
    sqlx::query(
        "UPDATE auth.attempt_limits SET resets_at = resets_at - make_interval(mins => $1),
                                        blocked_until = blocked_until - make_interval(mins => $1)",
    )
    .bind(minutes)
    .execute(conn)
    .await
    .unwrap();
}

async fn wait_of(conn: &mut Conn, account: &[u8]) -> Option<Duration> {
    match limits::account_attempt(conn, account).await.unwrap() {
        Decision::Allowed { .. } => None,
        Decision::Limited { retry_after } => Some(retry_after),
    }
}

#[tokio::test]
async fn of_fifty_attempts_at_once_exactly_ten_pass() {
    let db = database().await;
    let subject = random::bytes::<16>();
    let decisions = join_all((0..50).map(async |_| {
        let mut conn = db.acquire().await.unwrap();
        limits::take(&mut conn, &TEN, &subject).await.unwrap()
    }))
    .await;
    assert_eq!(decisions.into_iter().filter(|decision| allowed(*decision)).count(), 10);
}

#[tokio::test]
async fn of_fifty_attempts_on_an_account_at_once_exactly_ten_pass() {
    let db = database().await;
    let account = random::bytes::<16>();
    let decisions = join_all((0..50).map(async |_| {
        let mut conn = db.acquire().await.unwrap();
        limits::account_attempt(&mut conn, &account).await.unwrap()
    }))
    .await;
    assert_eq!(decisions.into_iter().filter(|decision| allowed(*decision)).count(), 10);
}

#[tokio::test]
async fn attempts_against_several_limits_in_opposite_order_do_not_deadlock() {
    let db = database().await;
    let (a, b) = (random::bytes::<16>(), random::bytes::<16>());
    let decisions = join_all((0..40).map(async |turn| {
        let mut conn = db.acquire().await.unwrap();
        let asked: [(&Limit, &[u8]); 2] =
            if turn % 2 == 0 { [(&TEN, &a), (&TEN, &b)] } else { [(&TEN, &b), (&TEN, &a)] };
        limits::take_all(&mut conn, &asked).await
    }))
    .await;
    assert_eq!(decisions.into_iter().filter(|decision| allowed(*decision.as_ref().unwrap())).count(), 10);
}

#[tokio::test]
async fn the_remainder_counts_down_and_the_window_ends() {
    let mut conn = database().await.acquire().await.unwrap();
    let subject = random::bytes::<16>();
    let take = async |conn: &mut Conn| limits::take(conn, &TWO, &subject).await.unwrap();
    assert_eq!(take(&mut conn).await, Decision::Allowed { remaining: 1 });
    assert_eq!(take(&mut conn).await, Decision::Allowed { remaining: 0 });
    let Decision::Limited { retry_after } = take(&mut conn).await else { panic!("the third passed") };
    assert!((55..=60).contains(&retry_after.as_secs()), "{retry_after:?}");
    pass(&mut conn, 1).await;
    assert_eq!(take(&mut conn).await, Decision::Allowed { remaining: 1 });
}

#[tokio::test]
async fn a_client_that_is_limited_does_not_use_up_another_limit() {
    let mut conn = database().await.acquire().await.unwrap();
    let (client, mailbox) = (random::bytes::<16>(), random::bytes::<16>());
    let asked: [(&Limit, &[u8]); 2] = [(&TWO, &client), (&TEN, &mailbox)];
    assert_eq!(limits::take_all(&mut conn, &asked).await.unwrap(), Decision::Allowed { remaining: 1 });
    for _ in 0..20 {
        let _ = limits::take_all(&mut conn, &asked).await.unwrap();
    }
    assert!(!allowed(limits::take_all(&mut conn, &asked).await.unwrap()));
    assert_eq!(limits::take(&mut conn, &TEN, &mailbox).await.unwrap(), Decision::Allowed { remaining: 7 });
}

#[tokio::test]
async fn the_same_limit_named_twice_counts_once_and_none_is_no_limit() {
    let mut conn = database().await.acquire().await.unwrap();
    let subject = random::bytes::<16>();
    let twice: [(&Limit, &[u8]); 2] = [(&TWO, &subject), (&TWO, &subject)];
    assert_eq!(limits::take_all(&mut conn, &twice).await.unwrap(), Decision::Allowed { remaining: 1 });
    assert!(allowed(limits::take_all(&mut conn, &[]).await.unwrap()));
}

#[tokio::test]
async fn an_account_is_delayed_ever_longer_up_to_an_hour_and_never_locked() {
    let mut conn = database().await.acquire().await.unwrap();
    let account = random::bytes::<16>();
    for _ in 0..10 {
        assert_eq!(wait_of(&mut conn, &account).await, None);
    }
    for minutes in [1, 2, 4, 8, 16, 32, 60, 60] {
        let wait = wait_of(&mut conn, &account).await.unwrap().as_secs();
        assert!((minutes * 60 - 5..=minutes * 60).contains(&wait), "{minutes} min, not {wait} s");
        pass(&mut conn, i32::try_from(minutes).unwrap()).await;
        assert_eq!(wait_of(&mut conn, &account).await, None, "after {minutes} min");
    }
    // A day and the last delay later, all is forgotten.
    pass(&mut conn, 25 * 60).await;
    for _ in 0..10 {
        assert_eq!(wait_of(&mut conn, &account).await, None);
    }
}

#[tokio::test]
async fn few_attempts_are_forgotten_after_a_quarter_of_an_hour_and_after_success() {
    let mut conn = database().await.acquire().await.unwrap();
    let account = random::bytes::<16>();
    for forget_by_success in [false, true, false] {
        for left in (1..10).rev() {
            let decision = limits::account_attempt(&mut conn, &account).await.unwrap();
            assert_eq!(decision, Decision::Allowed { remaining: left });
        }
        if forget_by_success {
            limits::clear_account(&mut conn, &account).await.unwrap();
        } else {
            pass(&mut conn, 15).await;
        }
    }
}

#[tokio::test]
async fn what_means_nothing_any_more_is_purged_in_batches() {
    let mut conn = database().await.acquire().await.unwrap();
    for _ in 0..3 {
        let _ = limits::take(&mut conn, &TEN, &random::bytes::<16>()).await.unwrap();
    }
    pass(&mut conn, 1).await;
    let alive = random::bytes::<16>();
    let _ = limits::take(&mut conn, &TEN, &alive).await.unwrap();
    assert_eq!(limits::purge(&mut conn, 2).await.unwrap(), 2);
    while limits::purge(&mut conn, 100).await.unwrap() > 0 {}
    assert_eq!(limits::take(&mut conn, &TEN, &alive).await.unwrap(), Decision::Allowed { remaining: 8 });
}
