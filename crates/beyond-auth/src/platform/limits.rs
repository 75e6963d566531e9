//! Attempt limits, counted in Postgres by the database's clock.
//!
//! Call these on a connection outside any transaction, before the thing that is limited. A count inside a
//! transaction that rolls back never happened, and one that stays open makes every other attempt on the same
//! subject wait for it.
//!
//! Subjects are stored as SHA-256, which keeps addresses out of the table and its backups. It does not hide an
//! IPv4 address from somebody who tries all of them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use aws_lc_rs::digest;

use crate::platform::db::Conn;

/// At most `max` attempts in a window of length `per`, which begins with the first of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Keeps subjects of different limits apart; changing it forgets what was counted.
    pub name: &'static str,
    /// Length of the window.
    pub per: Duration,
    /// Attempts allowed in it.
    pub max: u32,
}

/// Whether an attempt may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "an attempt that is limited must not go on"]
pub enum Decision {
    /// It may, and was counted.
    Allowed {
        /// How many more are allowed before the window ends.
        remaining: u32,
    },
    /// It may not.
    Limited {
        /// When trying again is worth it; whole seconds, at least one.
        retry_after: Duration,
    },
}

/// Failed attempts of one account in a quarter of an hour before delays begin.
const ACCOUNT_BUDGET: i32 = 10;
const ACCOUNT_WINDOW: Duration = Duration::from_mins(15);
/// The delay after the last free attempt; doubles with each further one.
const FIRST_DELAY: Duration = Duration::from_mins(1);
const LONGEST_DELAY: Duration = Duration::from_hours(1);
/// An account that was delayed gets its free attempts back after a day without any. Sooner would let a patient
/// guesser take ten an hour instead of one.
const DELAYS_FORGOTTEN_AFTER: Duration = Duration::from_hours(24);
const ACCOUNT: &str = "account";

/// Counts one attempt of `subject`, unless the limit is reached.
pub async fn take(conn: &mut Conn, limit: &Limit, subject: &[u8]) -> Result<Decision, sqlx::Error> {
    take_all(conn, &[(limit, subject)]).await
}

/// Counts one attempt against every limit named, in one statement, unless one of them is reached already: then
/// none is counted, so that a client which is limited by one cannot use up another.
///
/// `Allowed` carries the smallest remainder, `Limited` the longest wait.
pub async fn take_all(conn: &mut Conn, asked: &[(&Limit, &[u8])]) -> Result<Decision, sqlx::Error> {
    // By key: one statement cannot count the same row twice.
    let asked: BTreeMap<[u8; 32], &Limit> =
        asked.iter().map(|(limit, subject)| (key(limit.name, subject), *limit)).collect();
    let keys: Vec<Vec<u8>> = asked.keys().map(|key| key.to_vec()).collect();
    let seconds: Vec<f64> = asked.values().map(|limit| limit.per.as_secs_f64()).collect();
    let most: Vec<i32> = asked.values().map(|limit| i32::try_from(limit.max).unwrap_or(i32::MAX)).collect();
    // Rows are taken in the order of their keys, so that two statements never wait for each other.
    let rows = sqlx::query!(
        r#"WITH asked AS (
               SELECT * FROM unnest($1::bytea[], $2::float8[], $3::int4[]) AS asked (key_hash, seconds, most)
           ), reached AS (
               SELECT kept.key_hash, kept.hits, kept.resets_at, asked.most
               FROM auth.attempt_limits AS kept
               JOIN asked ON asked.key_hash = kept.key_hash
               WHERE kept.hits >= asked.most AND kept.resets_at > statement_timestamp()
           ), counted AS (
               INSERT INTO auth.attempt_limits AS kept (key_hash, hits, resets_at)
               SELECT key_hash, 1, statement_timestamp() + make_interval(secs => seconds)
               FROM asked
               WHERE NOT EXISTS (SELECT FROM reached)
               ORDER BY key_hash
               ON CONFLICT (key_hash) DO UPDATE SET
                   hits = CASE WHEN kept.resets_at <= statement_timestamp() THEN 1
                               ELSE LEAST(kept.hits, 2147483646) + 1 END,
                   resets_at = CASE WHEN kept.resets_at <= statement_timestamp() THEN excluded.resets_at
                                    ELSE kept.resets_at END
               RETURNING kept.key_hash, kept.hits, kept.resets_at
           )
           SELECT asked.most - counted.hits AS "remaining!",
                  EXTRACT(EPOCH FROM counted.resets_at - statement_timestamp())::float8 AS "seconds!"
           FROM counted JOIN asked ON asked.key_hash = counted.key_hash
           UNION ALL
           SELECT -1, EXTRACT(EPOCH FROM reached.resets_at - statement_timestamp())::float8
           FROM reached"#,
        &keys,
        &seconds,
        &most,
    )
    .fetch_all(&mut *conn)
    .await?;
    let longest = rows.iter().filter(|row| row.remaining < 0).map(|row| row.seconds).reduce(f64::max);
    Ok(match longest {
        Some(seconds) => Decision::Limited { retry_after: whole_seconds(seconds) },
        None => Decision::Allowed {
            remaining: rows
                .iter()
                .map(|row| u32::try_from(row.remaining).unwrap_or(0))
                .min()
                .unwrap_or(u32::MAX),
        },
    })
}

/// Counts one attempt to prove who one is (password, code, second factor) against an account, before it is
/// checked. `account` is the user's id or, where no such user exists, what stands for one: both must be
/// limited alike.
///
/// Ten attempts in a quarter of an hour are free. Each further one doubles a delay, from a minute to an hour;
/// the account is never locked for good. Success is reported with [`clear_account`].
pub async fn account_attempt(conn: &mut Conn, account: &[u8]) -> Result<Decision, sqlx::Error> {
    let key = key(ACCOUNT, account);
    let row = sqlx::query!(
        r#"WITH waiting AS (
               SELECT blocked_until FROM auth.attempt_limits
               WHERE key_hash = $1 AND blocked_until > statement_timestamp()
           ), counted AS (
               INSERT INTO auth.attempt_limits AS kept (key_hash, hits, resets_at)
               SELECT $1, 1, statement_timestamp() + make_interval(secs => $2)
               WHERE NOT EXISTS (SELECT FROM waiting)
               ON CONFLICT (key_hash) DO UPDATE SET (hits, resets_at, blocked_until) = (
                   SELECT next.hits,
                          CASE WHEN next.hits >= $3 THEN statement_timestamp() + next.delay + make_interval(secs => $6)
                               WHEN next.hits = 1 THEN excluded.resets_at
                               ELSE kept.resets_at END,
                          CASE WHEN next.hits >= $3 THEN statement_timestamp() + next.delay END
                   FROM (SELECT hits, make_interval(secs => LEAST($4 * 2 ^ LEAST(hits - $3, 20), $5)) AS delay
                         FROM (SELECT CASE WHEN kept.resets_at <= statement_timestamp() THEN 1
                                           ELSE LEAST(kept.hits, 1000000) + 1 END AS hits) AS counting) AS next)
               -- Somebody else's attempt, a moment ago, may have begun a delay.
               WHERE kept.blocked_until IS NULL OR kept.blocked_until <= statement_timestamp()
               RETURNING kept.hits
           )
           SELECT (SELECT hits FROM counted) AS hits,
                  (SELECT EXTRACT(EPOCH FROM blocked_until - statement_timestamp())::float8 FROM waiting) AS seconds"#,
        &key[..],
        ACCOUNT_WINDOW.as_secs_f64(),
        ACCOUNT_BUDGET,
        FIRST_DELAY.as_secs_f64(),
        LONGEST_DELAY.as_secs_f64(),
        DELAYS_FORGOTTEN_AFTER.as_secs_f64(),
    )
    .fetch_one(&mut *conn)
    .await?;
    Ok(match row.hits {
        Some(hits) => Decision::Allowed { remaining: u32::try_from(ACCOUNT_BUDGET - hits).unwrap_or(0) },
        // Without a row of its own to read the delay from, it began just now.
        None => Decision::Limited { retry_after: row.seconds.map_or(FIRST_DELAY, whole_seconds) },
    })
}

/// Forgets an account's attempts: the person proved who they are, with every factor that was asked for. After a
/// first factor alone it would hand whoever knows the password endless tries at the second.
pub async fn clear_account(conn: &mut Conn, account: &[u8]) -> Result<(), sqlx::Error> {
    let key = key(ACCOUNT, account);
    sqlx::query!("DELETE FROM auth.attempt_limits WHERE key_hash = $1", &key[..]).execute(&mut *conn).await?;
    Ok(())
}

/// Takes back one attempt that was no guess: right, but not the end of a sign-in, so it forgives nothing else.
pub async fn give_back(conn: &mut Conn, account: &[u8]) -> Result<(), sqlx::Error> {
    let key = key(ACCOUNT, account);
    sqlx::query!(
        "WITH gone AS (DELETE FROM auth.attempt_limits WHERE key_hash = $1 AND hits <= 1)
         UPDATE auth.attempt_limits SET hits = hits - 1, blocked_until = NULL WHERE key_hash = $1 AND hits > 1",
        &key[..]
    )
    .execute(&mut *conn)
    .await?;
    Ok(())
}

/// Deletes at most `batch` rows that mean nothing any more; returns how many. Safe on several instances at once.
pub async fn purge(conn: &mut Conn, batch: u32) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "DELETE FROM auth.attempt_limits WHERE key_hash IN (
             SELECT key_hash FROM auth.attempt_limits
             WHERE resets_at <= statement_timestamp()
             ORDER BY resets_at
             LIMIT $1
             FOR UPDATE SKIP LOCKED)",
        i64::from(batch),
    )
    .execute(&mut *conn)
    .await?;
    Ok(done.rows_affected())
}

/// What stands for a client in limits per address: an IPv4 address, or the /64 of an IPv6 address, since a
/// household or a rented machine has a whole /64 to try from. IPv4 in IPv6 (`::ffff:a.b.c.d`) counts as IPv4.
pub fn network_of(address: IpAddr) -> Vec<u8> {
    match address.to_canonical() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets()[..8].to_vec(),
    }
}

fn key(name: &str, subject: &[u8]) -> [u8; 32] {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(&(name.len() as u64).to_be_bytes());
    hash.update(name.as_bytes());
    hash.update(subject);
    let mut key = [0; 32];
    key.copy_from_slice(hash.finish().as_ref());
    key
}

/// Rounds up, because a client that comes back a moment early is refused again.
fn whole_seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.ceil()).unwrap_or_default().max(Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_network_are_one_client() {
        let of = |text: &str| network_of(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
    }

    #[test]
    fn a_name_and_a_subject_cannot_be_divided_differently() {
        assert_ne!(key("sign_in", b"x"), key("sign_i", b"nx"));
        assert_eq!(key("sign_in", b"x"), key("sign_in", b"x"));
    }

    #[test]
    fn a_wait_is_rounded_up_to_whole_seconds() {
        let seconds = Duration::from_secs;
        for (given, rounded) in [(0.2, 1), (1.0, 1), (1.1, 2), (-3.0, 1), (0.0, 1)] {
            assert_eq!(whole_seconds(given), seconds(rounded));
        }
    }
}
