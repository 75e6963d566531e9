//! The supervisor of the private Postgres, on real servers.
//!
//! Some cases need the supervising process to die; they run this test binary again, with
//! [`a_supervisor_that_is_killed`] as the only test, and kill that.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use beyond_auth::dev::{
    postgres::{Error, Options, Postgres},
    progress::Silent,
};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::{Connection as _, PgConnection, Row as _};

const FOLDER_VARIABLE: &str = "BEYOND_AUTH_TEST_SUPERVISED_FOLDER";

/// A folder that the account Postgres runs under can reach, gone afterwards.
pub fn folder() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn options(home: &Path) -> Options {
    Options { max_connections: 20, progress: Arc::new(Silent), ..Options::new(home) }
}

async fn query(url: &SecretString, sql: &'static str) -> String {
    let mut connection = PgConnection::connect(url.expose_secret()).await.unwrap();
    let row = sqlx::raw_sql(sql).fetch_optional(&mut connection).await.unwrap();
    row.map(|row| row.get::<String, _>(0)).unwrap_or_default()
}

pub fn alive(pid: u32) -> bool {
    Pid::from_raw(i32::try_from(pid).unwrap()).is_some_and(|pid| test_kill_process(pid).is_ok())
}

pub fn kill(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), signal).unwrap();
}

pub async fn gone(what: impl Fn() -> bool) {
    let began = Instant::now();
    while !what() {
        assert!(began.elapsed() < Duration::from_mins(1), "it is still there after a minute");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_second_start_is_quick_and_keeps_data_password_and_port() {
    let folder = folder();
    let home = folder.path().join("postgres");
    let first = Postgres::start(options(&home)).await.unwrap();
    let url = first.url("postgres");
    query(&url, "CREATE TABLE kept (word text); INSERT INTO kept VALUES ('here')").await;
    assert_eq!(query(&url, "SHOW listen_addresses").await, "127.0.0.1");
    assert_eq!(query(&url, "SHOW unix_socket_directories").await, "");
    assert_eq!(query(&url, "SHOW server_encoding").await, "UTF8");
    let pid = first.pid();
    first.stop().await;
    assert!(!alive(pid));

    let began = Instant::now();
    let second = Postgres::start(options(&home)).await.unwrap();
    // Some 0.2 s on an idle machine; the bound allows for a busy one.
    assert!(began.elapsed() < Duration::from_mins(1), "took {:?}", began.elapsed());
    assert_eq!(second.url("postgres").expose_secret(), url.expose_secret());
    assert_eq!(query(&url, "SELECT word FROM kept").await, "here");
    second.stop().await;
}

#[tokio::test]
async fn a_wrong_password_is_not_let_in() {
    let folder = folder();
    let postgres = Postgres::start(options(&folder.path().join("postgres"))).await.unwrap();
    let url = format!("postgres://postgres:wrong@127.0.0.1:{}/postgres", postgres.port());
    let error = PgConnection::connect(&url).await.unwrap_err();
    let code = error.as_database_error().and_then(|error| error.code().map(|code| code.to_string()));
    assert_eq!(code.as_deref(), Some("28P01"));
    postgres.stop().await;
}

#[tokio::test]
async fn throwaway_data_is_removed_with_its_server() {
    let folder = folder();
    let home = folder.path().join("postgres");
    let postgres = Postgres::start(Options { durable: false, ..options(&home) }).await.unwrap();
    assert_eq!(query(&postgres.url("postgres"), "SHOW fsync").await, "off");
    drop(postgres);
    gone(|| !home.exists()).await;
}

#[tokio::test]
async fn one_folder_is_not_run_twice() {
    let folder = folder();
    let home = folder.path().join("postgres");
    let postgres = Postgres::start(options(&home)).await.unwrap();
    let error = Postgres::start(options(&home)).await.unwrap_err();
    assert!(matches!(error, Error::InUse { .. }), "{error}");
    postgres.stop().await;
}

#[tokio::test]
async fn a_stale_pid_file_is_cleaned_even_when_its_process_id_is_taken() {
    let folder = folder();
    let home = folder.path().join("postgres");
    Postgres::start(options(&home)).await.unwrap().stop().await;
    // This test process stands for whoever was given the dead server's id.
    let stale = format!("{}\n/elsewhere\n1700000000\n5432\n\n127.0.0.1\n1 1\nready\n", std::process::id());
    fs::write(home.join("data/postmaster.pid"), stale).unwrap();
    let postgres = Postgres::start(options(&home)).await.unwrap();
    assert!(!postgres.was_adopted());
    assert_eq!(query(&postgres.url("postgres"), "SHOW listen_addresses").await, "127.0.0.1");
    postgres.stop().await;
}

#[tokio::test]
async fn data_of_another_major_version_is_refused_and_left_alone() {
    let folder = folder();
    let home = folder.path().join("postgres");
    Postgres::start(options(&home)).await.unwrap().stop().await;
    fs::write(home.join("data/PG_VERSION"), "11\n").unwrap();
    let error = Postgres::start(options(&home)).await.unwrap_err();
    assert!(matches!(error, Error::OtherMajor { data_major: 11, .. }), "{error}");
    assert!(error.to_string().contains("pg_dump"), "{error}");
    assert_eq!(fs::read_to_string(home.join("data/PG_VERSION")).unwrap(), "11\n");
}

#[tokio::test]
async fn a_lost_password_file_is_told_and_not_replaced() {
    let folder = folder();
    let home = folder.path().join("postgres");
    Postgres::start(options(&home)).await.unwrap().stop().await;
    fs::remove_file(home.join("password")).unwrap();
    let error = Postgres::start(options(&home)).await.unwrap_err();
    assert!(matches!(error, Error::Password { .. }), "{error}");
    assert!(!home.join("password").exists());
}

#[tokio::test]
async fn a_taken_port_is_replaced_by_another() {
    let folder = folder();
    let home = folder.path().join("postgres");
    let first = Postgres::start(options(&home)).await.unwrap();
    let port = first.port();
    first.stop().await;
    let _taken = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let second = Postgres::start(options(&home)).await.unwrap();
    assert_ne!(second.port(), port);
    second.stop().await;
}

/// Not a test of its own: the process that the next tests kill. Prints the server's process id and URL.
#[tokio::test]
#[ignore = "run by other tests, in a process of its own"]
async fn a_supervisor_that_is_killed() {
    let Some(home) = std::env::var_os(FOLDER_VARIABLE).map(PathBuf::from) else { return };
    let postgres = Postgres::start(options(&home)).await.unwrap();
    println!("server {} {}", postgres.pid(), postgres.was_adopted());
    std::future::pending::<()>().await;
}

/// Starts that process and waits for its server; `true` when it took over a running one.
fn supervisor(home: &Path) -> (Child, u32, bool) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "dev_postgres::a_supervisor_that_is_killed", "--ignored", "--nocapture"])
        .env(FOLDER_VARIABLE, home)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.map_while(Result::ok).find(|line| line.contains("server ")).expect("it should start");
    let mut words = line.split_once("server ").unwrap().1.split(' ');
    let pid = words.next().unwrap().parse().unwrap();
    (child, pid, words.next() == Some("true"))
}

/// The watchdog that looks after a server.
fn watchdog_of(home: &Path) -> u32 {
    let data = home.join("data");
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        if words.iter().any(|word| *word == b"beyond-auth-watchdog")
            && words.iter().any(|word| *word == data.as_os_str().as_encoded_bytes())
        {
            return entry.file_name().to_str().unwrap().parse().unwrap();
        }
    }
    panic!("no watchdog for {}", home.display());
}

#[tokio::test]
async fn the_server_stops_when_its_supervisor_is_killed() {
    let folder = folder();
    let home = folder.path().join("postgres");
    let (mut child, pid, _) = supervisor(&home);
    child.kill().unwrap();
    child.wait().unwrap();
    gone(|| !home.join("data/postmaster.pid").exists() && !alive(pid)).await;
    let log = fs::read_to_string(home.join("postgres.log")).unwrap();
    assert!(log.contains("received fast shutdown request"), "{log}");
}

#[tokio::test]
async fn the_next_run_waits_for_a_server_that_is_still_stopping() {
    let folder = folder();
    let home = folder.path().join("postgres");
    let (mut child, before, _) = supervisor(&home);
    child.kill().unwrap();
    child.wait().unwrap();
    let postgres = Postgres::start(options(&home)).await.unwrap();
    assert!(!postgres.was_adopted());
    assert_ne!(postgres.pid(), before);
    postgres.stop().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_server_that_outlived_supervisor_and_watchdog_is_adopted_and_then_stopped() {
    let folder = folder();
    let home = folder.path().join("postgres");
    let (mut child, pid, _) = supervisor(&home);
    kill(watchdog_of(&home), Signal::KILL);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(alive(pid));

    let adopted = Postgres::start(options(&home)).await.unwrap();
    assert!(adopted.was_adopted());
    assert_eq!(adopted.pid(), pid);
    assert!(adopted.bin_dir().join("postgres").is_file(), "{}", adopted.bin_dir().display());
    assert_eq!(query(&adopted.url("postgres"), "SHOW listen_addresses").await, "127.0.0.1");
    adopted.stop().await;
    gone(|| !home.join("data/postmaster.pid").exists()).await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_server_that_was_killed_too_recovers() {
    let folder = folder();
    let home = folder.path().join("postgres");
    let (mut child, pid, _) = supervisor(&home);
    let word = fs::read_to_string(home.join("password")).unwrap();
    let port = fs::read_to_string(home.join("port")).unwrap();
    let url = format!("postgres://postgres:{}@127.0.0.1:{}/postgres", word.trim(), port.trim()).into();
    query(&url, "CREATE TABLE kept (word text); INSERT INTO kept VALUES ('here')").await;
    kill(watchdog_of(&home), Signal::KILL);
    kill(pid, Signal::KILL);
    child.kill().unwrap();
    child.wait().unwrap();
    let recovered = Postgres::start(options(&home)).await.unwrap();
    assert_eq!(query(&recovered.url("postgres"), "SELECT word FROM kept").await, "here");
    recovered.stop().await;
}
