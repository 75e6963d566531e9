//! The way up: folder, adoption, binaries, `initdb`, server, readiness.

use std::{
    ffi::OsString,
    fs::{self, DirBuilder, OpenOptions},
    net::TcpListener,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::{
    Connection as _, Row as _,
    postgres::{PgConnectOptions, PgConnection, PgSslMode},
};

use super::{Error, Home, Options, PidFile, Postgres, USER, Watchdog, home};
use crate::dev::{
    account::{self, Account},
    fetch,
    locate::{self, Installation},
    private_file,
};

/// Recovery after a crash included.
const START_WITHIN: Duration = Duration::from_mins(2);
const ADOPT_WITHIN: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(10);

pub(super) async fn start(options: &Options) -> Result<Postgres, Error> {
    let account = Account::to_drop_to()?;
    let home = Home::open(&options.data_dir, account.as_ref(), options.progress.as_ref()).await?;
    let data = home.data();
    let data_major = home.data_major()?;
    let password = home.password(data_major.is_none())?;
    let account = if data_major.is_some() { home.data_owner(account.as_ref())? } else { account };
    if let Some(closed) = account::blocked_at(&home.path, account.as_ref()).map_err(Error::at(&home.path))? {
        let account = account.map(|account| account.name).unwrap_or_default();
        return Err(Error::Closed { closed, account });
    }
    if data_major.is_some()
        && let Some(adopted) = adopt(&home, &password).await?
    {
        return finish(home, options, adopted, password, None);
    }
    let binaries = binaries(options, &data, data_major, account.as_ref()).await?;
    if data_major.is_none() {
        initdb(&home, &binaries, &password, account.as_ref(), options).await?;
    }
    let mut port = home.last_port().filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    for _ in 0..5 {
        let chosen = match port.take() {
            Some(port) => port,
            None => free_port()?,
        };
        let mut child = spawn(&home, &binaries, chosen, account.as_ref(), options)?;
        // Before waiting: a crash recovery can take long, and this process could be killed meanwhile.
        let remove = (!options.durable).then_some(home.path.as_path());
        let watchdog =
            Watchdog::spawn(&data, child.id(), remove, home.lock.as_ref()).map_err(Error::at(&home.path))?;
        match until_ready(&home, &mut child, chosen, &password).await? {
            Started::Ready(pid) => {
                home.remember_port(chosen)?;
                let running = Running { pid, port: chosen, bin_dir: binaries.bin_dir };
                return finish(home, options, running, password, Some((child, watchdog)));
            }
            // Somebody took the port between the choice and the start. The watchdog would remove throwaway
            // data now, so it is put down without a word.
            Started::PortTaken => watchdog.dismiss(),
        }
    }
    Err(Error::NoPort)
}

/// A server that answers.
struct Running {
    pid: u32,
    port: u16,
    bin_dir: PathBuf,
}

fn finish(
    home: Home,
    options: &Options,
    running: Running,
    password: SecretString,
    own: Option<(Child, Watchdog)>,
) -> Result<Postgres, Error> {
    let Running { pid, port, bin_dir } = running;
    let (child, watchdog) = if let Some((child, watchdog)) = own {
        (Some(child), watchdog)
    } else {
        let remove = (!options.durable).then_some(home.path.as_path());
        let watchdog = Watchdog::spawn(&home.data(), pid, remove, home.lock.as_ref());
        (None, watchdog.map_err(Error::at(&home.path))?)
    };
    Ok(Postgres { home, bin_dir, port, pid, password, child, watchdog })
}

/// Takes over a server that an earlier run left behind; cleans a pid file that nobody stands behind.
async fn adopt(home: &Home, password: &SecretString) -> Result<Option<Running>, Error> {
    let data = home.data();
    let began = Instant::now();
    while let Some(file) = PidFile::read(&data) {
        if !file.is_server_of(&data) {
            tracing::debug!(pid = file.pid, "removing the pid file of a server that is gone");
            let path = data.join("postmaster.pid");
            return match fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::at(&path)(error)),
                _ => Ok(None),
            };
        }
        if let Some(port) = file.port.filter(|_| file.ready) {
            match answers(port, password).await {
                Answer::Yes(folder) if folder.canonicalize().is_ok_and(|folder| folder == data) => {
                    tracing::debug!(pid = file.pid, "taking over the Postgres server of an earlier run");
                    return Ok(Some(Running { pid: file.pid, port, bin_dir: binaries_of_running(&data) }));
                }
                Answer::WrongPassword => {
                    return Err(Error::Password { password: home.password_file(), home: home.path.clone() });
                }
                Answer::Yes(_) | Answer::NotYet => {}
            }
        }
        // Starting, recovering or stopping.
        if began.elapsed() > ADOPT_WITHIN {
            return Err(Error::Stuck { data, pid: file.pid });
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(None)
}

/// The first word of `postmaster.opts` is the program that was started.
fn binaries_of_running(data: &Path) -> PathBuf {
    let line = fs::read_to_string(data.join("postmaster.opts")).unwrap_or_default();
    let program = line.split(" \"").next().unwrap_or_default().trim().trim_matches('"');
    Path::new(program).parent().map(Path::to_owned).unwrap_or_default()
}

/// Binaries that can read the data: given, installed, cached, fetched.
async fn binaries(
    options: &Options,
    data: &Path,
    data_major: Option<u32>,
    account: Option<&Account>,
) -> Result<Installation, Error> {
    let fits = |found: &Installation| data_major.is_none_or(|major| major == found.version.major);
    let other = |data_major: u32, found: &Installation| Error::OtherMajor {
        data: data.to_owned(),
        data_major,
        found_major: found.version.major,
        found: found.bin_dir.clone(),
    };
    if let Some(bin_dir) = &options.bin_dir {
        let found = locate::given(bin_dir, account)?;
        return match data_major {
            Some(major) if !fits(&found) => Err(other(major, &found)),
            _ => Ok(found),
        };
    }
    let mut passed_over = None;
    if !options.ignore_installed {
        let mut installed = locate::installed(account).into_iter();
        passed_over = installed.as_slice().first().cloned();
        if let Some(found) = installed.find(fits) {
            return Ok(found);
        }
    }
    let cache_dir = match &options.cache_dir {
        Some(given) => fetch::prepare(given, account)
            .map(|()| given.clone())
            .map_err(|source| fetch::Error::Cache { path: given.clone(), source })?,
        None => fetch::cache_dir(account)?,
    };
    if let Some(found) = locate::cached(&cache_dir, account).into_iter().find(fits) {
        return Ok(found);
    }
    if let Some(major) = data_major.filter(|major| *major != fetch::pins::MAJOR) {
        let nothing = Installation {
            bin_dir: cache_dir.clone(),
            version: locate::Version { major: fetch::pins::MAJOR, minor: 0 },
        };
        return Err(other(major, passed_over.as_ref().unwrap_or(&nothing)));
    }
    if options.offline {
        return Err(match (data_major, &passed_over) {
            (Some(major), Some(found)) => other(major, found),
            _ => Error::Offline,
        });
    }
    let _turn = fetch::turn(&cache_dir).await;
    if let Some(found) = locate::cached(&cache_dir, account).into_iter().find(fits) {
        return Ok(found);
    }
    let progress = options.progress.as_ref();
    let request =
        fetch::Request { cache_dir: &cache_dir, mirror: options.mirror.as_ref(), account, progress };
    Ok(fetch::fetch(&request).await?)
}

/// Makes the data beside its place and moves it there when it is whole.
async fn initdb(
    home: &Home,
    binaries: &Installation,
    password: &SecretString,
    account: Option<&Account>,
    options: &Options,
) -> Result<(), Error> {
    let unfinished = home.path.join("data.new");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).map_err(Error::at(&unfinished))?;
    }
    DirBuilder::new().mode(0o700).create(&unfinished).map_err(Error::at(&unfinished))?;
    // Read by the account that Postgres runs under, which may not read ours.
    let password_file = home.path.join("password-for-initdb");
    private_file::write(&password_file, password.expose_secret(), account)
        .map_err(Error::at(&password_file))?;
    if let Some(account) = account {
        home::chown_tree(&unfinished, account).map_err(Error::at(&unfinished))?;
    }
    let program = binaries.bin_dir.join("initdb");
    let mut command = tokio::process::Command::from(account::command(&program, account));
    command.arg("-D").arg(&unfinished).arg("--pwfile").arg(&password_file);
    command.args(["--username", USER, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"]);
    command.stdin(Stdio::null()).kill_on_drop(true);
    options.progress.begin("Making the database", None);
    let output = command.output().await;
    options.progress.end();
    let _ = fs::remove_file(&password_file);
    let failed = |said: String| Error::Initdb { program: program.display().to_string(), said };
    let output = output.map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        let _ = fs::remove_dir_all(&unfinished);
        return Err(failed(end_of(&String::from_utf8_lossy(&output.stderr))));
    }
    let data = home.data();
    if data.exists() {
        // Empty, or `Home::data_major` would have objected.
        fs::remove_dir(&data).map_err(Error::at(&data))?;
    }
    fs::rename(&unfinished, &data).map_err(Error::at(&data))
}

fn free_port() -> Result<u16, Error> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|_| Error::NoPort)?;
    listener.local_addr().map(|address| address.port()).map_err(|_| Error::NoPort)
}

fn spawn(
    home: &Home,
    binaries: &Installation,
    port: u16,
    account: Option<&Account>,
    options: &Options,
) -> Result<Child, Error> {
    let log = home.log();
    let file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(&log)
        .map_err(Error::at(&log))?;
    let copy = file.try_clone().map_err(Error::at(&log))?;
    let program = binaries.bin_dir.join("postgres");
    let mut command = account::command(&program, account);
    command.arg("-D").arg(home.data()).args(settings(port, options));
    command.stdin(Stdio::null()).stdout(file).stderr(copy);
    command.spawn().map_err(Error::at(&program))
}

fn settings(port: u16, options: &Options) -> Vec<OsString> {
    let mut settings = vec![
        "listen_addresses=127.0.0.1".to_owned(),
        format!("port={port}"),
        // Distributions put the sockets into a folder that only their own account may write to.
        "unix_socket_directories=".to_owned(),
        format!("max_connections={}", options.max_connections),
        "password_encryption=scram-sha-256".to_owned(),
        "timezone=UTC".to_owned(),
        "log_timezone=UTC".to_owned(),
    ];
    if !options.durable {
        settings.extend(
            [
                "fsync=off",
                "synchronous_commit=off",
                "full_page_writes=off",
                "wal_level=minimal",
                "max_wal_senders=0",
            ]
            .map(str::to_owned),
        );
    }
    settings.into_iter().flat_map(|setting| ["-c".into(), setting.into()]).collect()
}

enum Started {
    Ready(u32),
    PortTaken,
}

/// Waits for the server's own word in its pid file, and then asks it: nothing is sent to a port before the
/// server is known to be the one that listens there.
async fn until_ready(
    home: &Home,
    child: &mut Child,
    port: u16,
    password: &SecretString,
) -> Result<Started, Error> {
    let (data, log) = (home.data(), home.log());
    let began = Instant::now();
    loop {
        let ended = child.try_wait().map_err(Error::at(&log))?.is_some();
        if ended || began.elapsed() > START_WITHIN {
            let said = fs::read_to_string(&log).unwrap_or_default();
            if ended && said.contains("Address already in use") {
                return Ok(Started::PortTaken);
            }
            return Err(Error::Start { log, said: end_of(&said) });
        }
        if let Some(file) = PidFile::read(&data).filter(|file| file.ready && file.port == Some(port)) {
            match answers(port, password).await {
                Answer::Yes(_) => return Ok(Started::Ready(file.pid)),
                Answer::WrongPassword => {
                    return Err(Error::Password { password: home.password_file(), home: home.path.clone() });
                }
                Answer::NotYet => {}
            }
        }
        tokio::time::sleep(POLL).await;
    }
}

enum Answer {
    /// And its data folder is this one.
    Yes(PathBuf),
    WrongPassword,
    NotYet,
}

async fn answers(port: u16, password: &SecretString) -> Answer {
    let options = PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(port)
        .username(USER)
        .password(password.expose_secret())
        .database("postgres")
        .ssl_mode(PgSslMode::Disable);
    let ask = async {
        let mut connection = PgConnection::connect_with(&options).await?;
        let row = sqlx::query("SELECT current_setting('data_directory')").fetch_one(&mut connection).await?;
        let folder: String = row.try_get(0)?;
        connection.close().await?;
        Ok::<_, sqlx::Error>(folder)
    };
    match tokio::time::timeout(Duration::from_secs(5), ask).await {
        Ok(Ok(folder)) => Answer::Yes(folder.into()),
        // invalid_password and invalid_authorization_specification.
        Ok(Err(sqlx::Error::Database(error)))
            if matches!(error.code().as_deref(), Some("28P01" | "28000")) =>
        {
            Answer::WrongPassword
        }
        _ => Answer::NotYet,
    }
}

fn end_of(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}
