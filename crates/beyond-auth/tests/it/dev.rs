//! `beyond-auth dev` as a newcomer meets it: the real binary, its banner, its Postgres, its messages.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::dev_postgres::{alive, folder, gone, kill};
use crate::readme::{assert_tour, take_tour};
use crate::support::app::PASSWORD;
use crate::support::client::Http;

/// The command on a port of the system's choice, deaf to the settings of whoever runs the tests.
pub fn command(data_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_beyond-auth"));
    for name in ["ADDRESS", "DATA_DIR", "DATABASE_URL", "LOG_LEVEL", "PG_BIN_DIR", "PG_MIRROR"] {
        command.env_remove(name);
    }
    command.args(["dev", "--address", "127.0.0.1:0", "--data-dir"]).arg(data_dir);
    command
}

/// A run that is up. Killed when dropped; its watchdog then stops its Postgres.
pub struct Dev {
    child: Child,
    banner: Vec<String>,
    data_dir: PathBuf,
    took: Duration,
}

impl Dev {
    /// Starts it and reads the banner to its end, the `curl`.
    fn start(data_dir: &Path) -> Self {
        Self::run(command(data_dir), data_dir)
    }

    /// The same with further arguments.
    pub fn run(mut command: Command, data_dir: &Path) -> Self {
        let log = data_dir.with_extension("log");
        let began = Instant::now();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut banner = Vec::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            let last = line.trim_start().starts_with("curl ");
            banner.push(line);
            if last {
                let took = began.elapsed();
                return Self { child, banner, data_dir: data_dir.to_owned(), took };
            }
        }
        let status = child.wait().unwrap();
        panic!("it did not start ({status}): {}", fs::read_to_string(log).unwrap());
    }

    /// The value of a line of the banner, up to a blank.
    pub fn told(&self, name: &str) -> &str {
        let line = self.banner.iter().find_map(|line| line.trim_start().strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in {:#?}", self.banner)).split_whitespace().next().unwrap()
    }

    fn http(&self) -> Http {
        Http::new(self.told("Service"))
    }

    fn postgres(&self) -> u32 {
        let file = self.data_dir.join("postgres/data/postmaster.pid");
        fs::read_to_string(file).unwrap().lines().next().unwrap().parse().unwrap()
    }

    /// As Ctrl-C in a terminal, or as a supervisor does it.
    fn stop(&mut self, signal: Signal) -> ExitStatus {
        kill(self.child.id(), signal);
        wait(&mut self.child)
    }

    /// A session of somebody new.
    async fn session(&self, email: &str) -> String {
        let http = self.http();
        http.post("/v1/users", json!({ "email": email, "password": PASSWORD })).await.expect(202);
        let code = self.code_for(email).await;
        let proof = json!({ "email": email, "code": code });
        http.post("/v1/email-verifications/redemptions", proof).await.expect(200);
        let body = json!({ "method": "password", "email": email, "password": PASSWORD });
        let body = http.post("/v1/sessions", body).await.expect(201);
        body["session"]["token"].as_str().unwrap().to_owned()
    }

    async fn code_for(&self, email: &str) -> String {
        let http = self.http();
        let began = Instant::now();
        loop {
            let body = http.get("/dev/mailbox.json").await.expect(200);
            let mails = body["mails"].as_array().unwrap();
            if let Some(mail) = mails.iter().find(|mail| mail["to"] == email) {
                return mail["code"].as_str().unwrap().to_owned();
            }
            assert!(began.elapsed() < Duration::from_mins(1), "no mail came: {body}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn is_valid(&self, token: &str) -> Value {
        self.http().with_bearer(token).get("/v1/sessions/current").await.expect(200)
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wait(child: &mut Child) -> ExitStatus {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(began.elapsed() < Duration::from_mins(1), "it is still running after a minute");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The exit code and the words of a run that must not come up.
fn refusal(command: &mut Command) -> (Option<i32>, String) {
    let mut child =
        command.stdin(Stdio::null()).stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let status = wait(&mut child);
    let output = child.wait_with_output().unwrap();
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    (status.code(), String::from_utf8(output.stderr).unwrap())
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_gets_through_the_tour_of_the_readme_and_ctrl_c_stops_everything() {
    let folder = folder();
    let data_dir = folder.path().join("data");
    let mut dev = Dev::start(&data_dir);
    eprintln!("first start to ready: {:?}", dev.took);
    let banner = dev.banner.join("\n");
    assert!(dev.banner.len() <= 12, "{banner}");
    assert!(!banner.contains('\u{1b}'), "colours without a terminal: {banner}");
    let password = fs::read_to_string(data_dir.join("postgres/password")).unwrap();
    assert!(!banner.contains(password.trim()), "{banner}");
    let base = dev.told("Service").to_owned();
    let port: u16 = base.rsplit_once(':').unwrap().1.parse().unwrap();
    assert_ne!(port, 0);
    assert_eq!(dev.told("Mailbox"), format!("{base}/dev/mailbox"));
    assert_eq!(dev.told("API browser"), format!("{base}/v1/docs"));
    for page in ["/dev/mailbox", "/v1/docs", "/v1/openapi.json"] {
        assert_eq!(dev.http().get(page).await.status, 200, "{page}");
    }

    let tour = tokio::task::spawn_blocking(move || take_tour(&base)).await.unwrap();
    assert_tour(&tour);
    let output = Command::new("bash").arg("-c").arg(dev.banner.last().unwrap()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("verification_sent"), "the banner's curl: {said}");
    // The link of the mail leads back here.
    let mails = dev.http().get("/dev/mailbox.json").await.expect(200);
    let link = mails["mails"][0]["link"].as_str().unwrap();
    assert!(link.starts_with(&format!("http://localhost:{port}/auth/verify-email#token=")), "{link}");

    assert_eq!(mode(&data_dir.join("secrets")), 0o700);
    for file in ["secrets/admin-secret", "secrets/key-encryption-key", "postgres/password"] {
        assert_eq!(mode(&data_dir.join(file)), 0o600, "{file}");
    }
    let admin = fs::read_to_string(data_dir.join("secrets/admin-secret")).unwrap();
    dev.http().with_bearer(admin.trim()).get("/v1/admin/users").await.expect(200);

    let postgres = dev.postgres();
    assert!(dev.stop(Signal::INT).success());
    assert!(!alive(postgres) && !data_dir.join("postgres/data/postmaster.pid").exists());
}

#[tokio::test]
async fn a_session_outlives_a_crash_and_a_restart() {
    let folder = folder();
    let data_dir = folder.path().join("data");
    let mut dev = Dev::start(&data_dir);
    let token = dev.session("ada@example.com").await;
    let before = dev.postgres();
    dev.stop(Signal::KILL);

    let mut dev = Dev::start(&data_dir);
    eprintln!("start after kill -9 to ready: {:?}", dev.took);
    assert_ne!(dev.postgres(), before);
    assert_eq!(dev.is_valid(&token).await["user"]["email"], "ada@example.com");
    let database = dev.told("Database").to_owned();
    assert!(dev.stop(Signal::TERM).success());
    gone(|| !alive(before)).await;

    let mut dev = Dev::start(&data_dir);
    eprintln!("second start to ready: {:?}", dev.took);
    assert!(dev.took < Duration::from_mins(1), "took {:?}", dev.took);
    dev.is_valid(&token).await;
    assert_eq!(dev.told("Database"), database, "an address that somebody noted");
    assert!(dev.stop(Signal::INT).success());
}

#[tokio::test]
async fn it_ends_with_a_word_when_its_database_ends() {
    let folder = folder();
    let data_dir = folder.path().join("data");
    let mut dev = Dev::start(&data_dir);
    kill(dev.postgres(), Signal::INT);
    assert_eq!(wait(&mut dev.child).code(), Some(1));
    let log = fs::read_to_string(data_dir.with_extension("log")).unwrap();
    assert!(log.contains("Postgres ended by itself") && log.contains("postgres.log"), "{log}");
}

#[tokio::test]
async fn a_second_run_in_the_same_folder_is_refused_and_harms_nothing() {
    let folder = folder();
    let data_dir = folder.path().join("data");
    let mut dev = Dev::start(&data_dir);
    let (code, text) = refusal(&mut command(&data_dir));
    assert_eq!(code, Some(1));
    assert!(text.contains(&dev.child.id().to_string()) && text.contains("--data-dir"), "{text}");
    dev.http().get("/readyz").await.expect(200);
    assert!(dev.stop(Signal::INT).success());
}

#[tokio::test]
async fn a_lost_key_is_told_and_the_database_left_as_it_is() {
    let folder = folder();
    let data_dir = folder.path().join("data");
    let mut dev = Dev::start(&data_dir);
    let token = dev.session("ada@example.com").await;
    assert!(dev.stop(Signal::INT).success());
    let file = data_dir.join("secrets/key-encryption-key");
    let key = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    let (code, text) = refusal(&mut command(&data_dir));
    assert_eq!(code, Some(1));
    assert!(text.contains("key-encryption-key") && text.contains("--data-dir"), "{text}");
    assert!(!data_dir.join("postgres/data/postmaster.pid").exists(), "its Postgres is stopped");

    fs::write(&file, key).unwrap();
    let mut dev = Dev::start(&data_dir);
    dev.is_valid(&token).await;
    assert!(dev.stop(Signal::INT).success());
}

#[test]
fn an_address_that_others_can_reach_is_refused() {
    let folder = folder();
    let data_dir = folder.path().join("data");
    let mut command = Command::new(env!("CARGO_BIN_EXE_beyond-auth"));
    command.args(["dev", "--address", "0.0.0.0:0", "--data-dir"]).arg(&data_dir);
    let (code, text) = refusal(&mut command);
    assert_eq!(code, Some(2));
    assert!(text.contains("--address / ADDRESS") && text.contains("loopback"), "{text}");
    assert!(!data_dir.exists());
}

#[test]
fn a_taken_port_is_told_before_anything_is_made() {
    let folder = folder();
    let data_dir = folder.path().join("data");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_beyond-auth"));
    command.args(["dev", "--address", &address, "--data-dir"]).arg(&data_dir).env_remove("DATABASE_URL");
    let (code, text) = refusal(&mut command);
    assert_eq!(code, Some(1));
    assert!(
        text.contains(&address) && text.contains("Stop what uses it") && text.contains("--address"),
        "{text}"
    );
    assert!(!data_dir.exists());
}

#[test]
fn data_of_another_major_version_is_told_with_what_to_do() {
    let folder = folder();
    let data_dir = folder.path().join("data");
    let cluster = data_dir.join("postgres/data");
    fs::create_dir_all(&cluster).unwrap();
    fs::write(cluster.join("PG_VERSION"), "11\n").unwrap();
    fs::write(data_dir.join("postgres/password"), "of that time\n").unwrap();
    let (code, text) = refusal(&mut command(&data_dir));
    assert_eq!(code, Some(1));
    for part in ["PostgreSQL 11", "--pg-bin-dir", "pg_dump", "rm -r"] {
        assert!(text.contains(part), "{part} is missing in: {text}");
    }
    assert_eq!(fs::read_to_string(cluster.join("PG_VERSION")).unwrap(), "11\n");
}

#[test]
fn a_folder_that_cannot_be_written_to_is_told_with_a_way_out() {
    let folder = folder();
    // Nothing is closed to root, except what the kernel makes up.
    let closed = if rustix::process::geteuid().is_root() {
        PathBuf::from("/sys")
    } else {
        let closed = folder.path().join("closed");
        fs::create_dir(&closed).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o555)).unwrap();
        closed
    };
    let (code, text) = refusal(&mut command(&closed.join("data")));
    assert_eq!(code, Some(1));
    assert!(text.contains("Cannot write to") && text.contains("--data-dir"), "{text}");
}
