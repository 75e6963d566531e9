//! Lookups that share statements, on real Postgres: never stale, never wrong about a token, soon back.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use beyond_auth::{
    dev::{
        postgres::{Options, Postgres},
        progress::Silent,
    },
    platform::{
        config::{AdminSecrets, Config},
        crypto::envelope::Keyring,
        mail::memory::MemoryTransport,
    },
    serve,
};
use rustix::process::{Pid, Signal, kill_process};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::{Connection as _, PgConnection};

use crate::support::{
    TestApp,
    app::{ADMIN_SECRET, KEY, cheap_hashes},
    client::Http,
    database_config,
};

/// The secret half of the token of session `number`, which SQL can compute.
const SECRET: &str = "lpad(to_hex(n), 12, '0') || repeat('A', 31)";

fn token(number: u32) -> String {
    format!("session_0194{number:08x}700080000000{number:08x}_{number:012x}{}", "A".repeat(31))
}

/// One user with `count` sessions.
async fn sessions(url: &SecretString, count: u32) {
    let mut connection = PgConnection::connect(url.expose_secret()).await.unwrap();
    let user = "0190c0de-0000-7000-8000-000000000001";
    let sql = format!(
        "INSERT INTO auth.users (id, name) VALUES ('{user}', 'Ada');
         INSERT INTO auth.sessions (id, user_id, secret_hash, aal, amr, idle_expires_at, expires_at)
         SELECT ('0194' || lpad(to_hex(n), 8, '0') || '70008000' || lpad(to_hex(n), 12, '0'))::uuid, '{user}',
                sha256(decode({SECRET} || '=', 'base64')), 1, '{{pwd}}',
                now() + interval '1 day', now() + interval '1 day'
         FROM generate_series(1, {count}) n;
         ANALYZE auth.sessions"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
}

/// Asks without end, with tokens that `choose` names, until told to stop; counts answers by status.
struct Load {
    stop: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    answers: Arc<Answers>,
}

#[derive(Default)]
struct Answers {
    ok: AtomicU64,
    unavailable: AtomicU64,
    refused: AtomicU64,
    other: AtomicU64,
}

impl Load {
    fn start(http: &Http, connections: usize, choose: impl Fn(usize) -> u32 + Send + Sync + 'static) -> Self {
        let (stop, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(Answers::default()));
        let choose = Arc::new(choose);
        let tasks = (0..connections).map(|number| {
            let (stop, answers, choose) = (Arc::clone(&stop), Arc::clone(&answers), Arc::clone(&choose));
            let http = http.clone();
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let answer = http.with_bearer(&token(choose(number))).get("/v1/sessions/current").await;
                    let counter = match answer.status.as_u16() {
                        200 => &answers.ok,
                        503 => {
                            assert!(!answer.header("retry-after").is_empty());
                            &answers.unavailable
                        }
                        401 => &answers.refused,
                        _ => &answers.other,
                    };
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            })
        });
        Self { tasks: tasks.collect(), stop, answers }
    }

    async fn stop(self) -> Arc<Answers> {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
        self.answers
    }
}

/// More of them (2000, say) by hand; each takes a while in a debug build under load.
const ROUNDS: u32 = 500;
const WORKERS: u32 = 8;

#[tokio::test(flavor = "multi_thread")]
async fn what_one_instance_has_revoked_the_next_request_on_another_is_refused_under_load() {
    let here = TestApp::start().await;
    let there = TestApp::on(Arc::clone(&here.database)).await;
    sessions(&here.database.url, ROUNDS).await;

    // The load asks for just the sessions that are being revoked, so that their keys are always in flight.
    let current: Arc<Vec<AtomicU64>> = Arc::new((0..WORKERS).map(|_| AtomicU64::new(1)).collect());
    let slots = Arc::clone(&current);
    let load = Load::start(&there.http, 64, move |number| {
        u32::try_from(slots[number % slots.len()].load(Ordering::Relaxed)).unwrap()
    });
    let workers = (0..WORKERS).map(|worker| {
        let (here, there, current) = (here.http.clone(), there.http.clone(), Arc::clone(&current));
        tokio::spawn(async move {
            let mut stale = 0;
            for number in (worker + 1..=ROUNDS).step_by(WORKERS as usize) {
                current[worker as usize].store(u64::from(number), Ordering::Relaxed);
                let (here, there) = (here.with_bearer(&token(number)), there.with_bearer(&token(number)));
                there.get("/v1/sessions/current").await.expect(200);
                here.delete("/v1/sessions/current").await.expect(204);
                if there.get("/v1/sessions/current").await.status != 401 {
                    stale += 1;
                }
            }
            stale
        })
    });
    let mut stale = 0;
    for worker in workers.collect::<Vec<_>>() {
        stale += worker.await.unwrap();
    }
    let answers = load.stop().await;
    assert_eq!(stale, 0, "of {ROUNDS} revocations were not seen at once");
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    assert_eq!((count(&answers.unavailable), count(&answers.other)), (0, 0));
    assert!(count(&answers.ok) > u64::from(ROUNDS), "there was no load");
}

async fn postgres(home: &Path) -> Postgres {
    let options = Options { max_connections: 40, progress: Arc::new(Silent), ..Options::new(home) };
    Postgres::start(options).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_is_dead_every_answer_is_503_and_soon_after_its_return_none_is() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    // Postgres may run under another account.
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let home = folder.path().join("postgres");
    let mut database = postgres(&home).await;
    let url = database.url("postgres");

    let secrets = AdminSecrets::parse(ADMIN_SECRET).unwrap();
    let address = "127.0.0.1:0".parse().unwrap();
    let config = Config::local(address, database_config(url.clone()), Keyring::new(KEY, Vec::new()), secrets);
    let options = serve::Options { hasher: cheap_hashes(), ..serve::Options::default() };
    let running = serve::start(config, Arc::new(MemoryTransport::new(10)), options).await.unwrap();
    let http = Http::new(format!("http://{}", running.address));
    sessions(&url, 100).await;

    let next = AtomicU64::new(0);
    let load = Load::start(&http, 64, move |_| {
        u32::try_from(next.fetch_add(1, Ordering::Relaxed) % 100).unwrap() + 1
    });
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        // As a crash does: nobody is told, the log is replayed at the next start.
        kill_process(Pid::from_raw(i32::try_from(database.pid()).unwrap()).unwrap(), Signal::QUIT).unwrap();
        database.exited().await;
        drop(database);
        // Refused at once or after a while, but never as if the token were wrong.
        let answer = http.with_bearer(&token(1)).get("/v1/sessions/current").await;
        assert_eq!(answer.problem(503), "unavailable");
        assert!(!answer.header("retry-after").is_empty());
        tokio::time::sleep(Duration::from_millis(500)).await;
        database = postgres(&home).await;

        let back = Instant::now();
        while http.with_bearer(&token(1)).get("/v1/sessions/current").await.status != 200 {
            assert!(back.elapsed() < Duration::from_mins(1), "still not served a minute after the return");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // Every lane finds its way back, too: soon no request in many is refused.
        let mut served;
        loop {
            let unavailable = load.answers.unavailable.load(Ordering::Relaxed);
            served = load.answers.ok.load(Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(500)).await;
            if load.answers.unavailable.load(Ordering::Relaxed) == unavailable {
                break;
            }
            assert!(back.elapsed() < Duration::from_mins(1), "still refused a minute after the return");
        }
        assert!(load.answers.ok.load(Ordering::Relaxed) > served, "the load is stuck");
    }
    let answers = load.stop().await;
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    assert_eq!((count(&answers.refused), count(&answers.other)), (0, 0), "401s or worse in an outage");
    assert!(count(&answers.unavailable) > 0);

    running.stop().await;
    let mut connection = PgConnection::connect(url.expose_secret()).await.unwrap();
    let left: i64 =
        sqlx::query_scalar("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'beyond-auth'")
            .fetch_one(&mut connection)
            .await
            .unwrap();
    connection.close().await.unwrap();
    assert_eq!(left, 0, "a stopped service holds connections");
    database.stop().await;
}
