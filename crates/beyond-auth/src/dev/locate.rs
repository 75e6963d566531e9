//! Finds Postgres server binaries on this machine.
//!
//! A folder counts when it has `postgres` and `initdb`, and `postgres --version` runs under the account that
//! the server would run under: that one call proves at once that the folder can be reached, that the shared
//! libraries are there, and which version it is.

use std::{
    cmp::Reverse,
    ffi::OsStr,
    fmt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::account::{self, Account};

/// The oldest major version this service supports.
pub const OLDEST_MAJOR: u32 = 14;

/// Set to anything but `0` to pass over what is installed and use the cache or a fetch. For trying the
/// fetch on a machine that has Postgres.
pub const IGNORE_INSTALLED_VARIABLE: &str = "BEYOND_AUTH_IGNORE_INSTALLED_POSTGRES";

/// Whether [`IGNORE_INSTALLED_VARIABLE`] is set.
pub fn ignore_installed_from_environment() -> bool {
    std::env::var_os(IGNORE_INSTALLED_VARIABLE).is_some_and(|value| !value.is_empty() && value != "0")
}

/// Where packages put server binaries: Debian and Ubuntu, Homebrew on both processors, Postgres.app, PGDG's
/// RPMs, openSUSE, Alpine, a build from source.
const WELL_KNOWN: [&str; 10] = [
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
    "/usr/lib/postgresql*/bin",
    "/usr/libexec/postgresql*",
    "/usr/local/pgsql*/bin",
    "/opt/local/lib/postgresql*/bin",
    "/opt/bitnami/postgresql*/bin",
];

/// Server binaries that run here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// The folder with `postgres` and `initdb`.
    pub bin_dir: PathBuf,
    /// Their version.
    pub version: Version,
}

/// A Postgres version: `15.18`, or `19` for a development build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The part that decides which data folders it can read.
    pub major: u32,
    /// The part that only brings fixes.
    pub minor: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl Version {
    /// Reads `postgres --version`: `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
    fn parse(output: &str) -> Option<Self> {
        let number = output.split_once("(PostgreSQL) ")?.1.split_whitespace().next()?;
        let leading = |text: &str| {
            let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
            text[..digits].parse().ok()
        };
        let (major, minor) = number.split_once('.').unwrap_or((number, "0"));
        Some(Self { major: leading(major)?, minor: leading(minor).unwrap_or(0) })
    }
}

/// Why a folder given by the user cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No `postgres` or no `initdb` in it, or they do not run.
    #[error("{} holds no usable Postgres server: {reason}\nGive the folder that has `postgres` and `initdb` in it, for example /usr/lib/postgresql/17/bin.", bin_dir.display())]
    Unusable {
        /// The folder as given.
        bin_dir: PathBuf,
        /// What was wrong with it.
        reason: String,
    },
    /// Older than this service supports.
    #[error("{} is PostgreSQL {version}; {OLDEST_MAJOR} or newer is needed.", bin_dir.display())]
    TooOld {
        /// The folder as given.
        bin_dir: PathBuf,
        /// What is in it.
        version: Version,
    },
}

/// The folder the user named; an error when it does not serve.
pub fn given(bin_dir: &Path, account: Option<&Account>) -> Result<Installation, Error> {
    let found =
        probe(bin_dir, account).map_err(|reason| Error::Unusable { bin_dir: bin_dir.to_owned(), reason })?;
    if found.version.major < OLDEST_MAJOR {
        return Err(Error::TooOld { bin_dir: bin_dir.to_owned(), version: found.version });
    }
    Ok(found)
}

/// Everything usable that is installed, newest first: on `PATH`, where `pg_config` points, and in the
/// folders that packages use.
pub fn installed(account: Option<&Account>) -> Vec<Installation> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    usable(
        on_path(&path).chain(from_pg_config(&path)).chain(WELL_KNOWN.iter().flat_map(|p| expand(p))),
        account,
    )
}

/// Earlier fetches in the cache folder, newest first.
pub fn cached(cache_dir: &Path, account: Option<&Account>) -> Vec<Installation> {
    usable(expand(&format!("{}/postgresql-*/bin", cache_dir.display())).into_iter(), account)
}

fn usable(folders: impl Iterator<Item = PathBuf>, account: Option<&Account>) -> Vec<Installation> {
    let mut seen = Vec::new();
    let mut found: Vec<Installation> = Vec::new();
    for folder in folders {
        // Links such as /usr/local/bin/postgres → /usr/lib/postgresql/15/bin/postgres lead to one place.
        let Ok(server) = folder.join("postgres").canonicalize() else { continue };
        if seen.contains(&server) {
            continue;
        }
        if let Some(installation) = server.parent().and_then(|real| probe(real, account).ok())
            && installation.version.major >= OLDEST_MAJOR
        {
            found.push(installation);
        }
        seen.push(server);
    }
    // Stable: of two equal versions the one found first stays first.
    found.sort_by_key(|installation| Reverse(installation.version));
    found
}

/// Runs the binaries of a folder far enough to know that they work.
///
/// # Errors
/// What is wrong, in words: the loader's own message names a missing library.
pub fn probe(bin_dir: &Path, account: Option<&Account>) -> Result<Installation, String> {
    if !bin_dir.join("initdb").is_file() {
        return Err("there is no `initdb` in it".to_owned());
    }
    let output = account::command(&bin_dir.join("postgres"), account)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("`postgres --version` does not start: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("`postgres --version` failed ({}): {}", output.status, said.trim()));
    }
    let said = String::from_utf8_lossy(&output.stdout);
    let version = Version::parse(&said).ok_or_else(|| format!("it calls itself {:?}", said.trim()))?;
    Ok(Installation { bin_dir: bin_dir.to_owned(), version })
}

fn on_path(path: &OsStr) -> impl Iterator<Item = PathBuf> {
    std::env::split_paths(path).filter(|folder| folder.is_absolute())
}

fn from_pg_config(path: &OsStr) -> Option<PathBuf> {
    let program = on_path(path).map(|folder| folder.join("pg_config")).find(|file| file.is_file())?;
    let output = Command::new(program).arg("--bindir").stderr(Stdio::null()).output().ok()?;
    let folder = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    (output.status.success() && folder.is_absolute()).then_some(folder)
}

/// Expands the one `*` of a pattern against the file system; folders that exist, by name.
fn expand(pattern: &str) -> Vec<PathBuf> {
    let Some((before, after)) = pattern.split_once('*') else { return vec![PathBuf::from(pattern)] };
    let (parent, prefix) = before.rsplit_once('/').unwrap_or(("", before));
    let Ok(entries) = std::fs::read_dir(if parent.is_empty() { "/" } else { parent }) else {
        return Vec::new();
    };
    let mut folders: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| entry.file_name().as_encoded_bytes().starts_with(prefix.as_bytes()))
        .map(|entry| entry.path().join(after.trim_start_matches('/')))
        .filter(|folder| folder.is_dir())
        .collect();
    folders.sort();
    folders
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    /// A folder whose `postgres` prints a version, as far as this module looks.
    fn fake(root: &Path, name: &str, version: &str) -> PathBuf {
        let bin = root.join(name).join("bin");
        fs::create_dir_all(&bin).unwrap();
        for program in ["postgres", "initdb"] {
            let file = bin.join(program);
            fs::write(&file, format!("#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n")).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        bin
    }

    #[test]
    fn versions_of_all_shapes_are_read() {
        let read = |text: &str| Version::parse(text).map(|version| version.to_string());
        assert_eq!(read("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n").as_deref(), Some("15.18"));
        assert_eq!(read("postgres (PostgreSQL) 18beta1").as_deref(), Some("18.0"));
        assert_eq!(read("postgres (PostgreSQL) 19devel").as_deref(), Some("19.0"));
        assert_eq!(read("postgres (PostgreSQL) 9.6.24").as_deref(), Some("9.6"));
        assert_eq!(read("some other program"), None);
    }

    #[test]
    fn the_newest_comes_first_and_one_place_counts_once() {
        let root = tempfile::tempdir().unwrap();
        let older = fake(root.path(), "15", "15.4");
        let newer = fake(root.path(), "16", "16.1");
        let too_old = fake(root.path(), "13", "13.9");
        let linked = root.path().join("linked");
        fs::create_dir(&linked).unwrap();
        std::os::unix::fs::symlink(older.join("postgres"), linked.join("postgres")).unwrap();
        let found = usable([linked, older.clone(), too_old, newer.clone()].into_iter(), None);
        let folders: Vec<_> = found.iter().map(|found| found.bin_dir.clone()).collect();
        assert_eq!(folders, [newer.canonicalize().unwrap(), older.canonicalize().unwrap()]);
    }

    #[test]
    fn a_folder_without_initdb_is_not_taken() {
        let root = tempfile::tempdir().unwrap();
        let bin = fake(root.path(), "15", "15.4");
        fs::remove_file(bin.join("initdb")).unwrap();
        assert!(probe(&bin, None).unwrap_err().contains("initdb"));
        assert!(matches!(given(&bin, None), Err(Error::Unusable { .. })));
    }

    #[test]
    fn a_given_folder_that_is_too_old_is_refused_with_both_versions() {
        let root = tempfile::tempdir().unwrap();
        let text = given(&fake(root.path(), "13", "13.9"), None).unwrap_err().to_string();
        assert!(text.contains("13.9") && text.contains("14"), "{text}");
    }

    #[test]
    fn fetched_folders_in_the_cache_are_found() {
        let cache = tempfile::tempdir().unwrap();
        fake(cache.path(), "postgresql-18.6.0-abc", "18.6");
        fake(cache.path(), ".fetching-postgresql-19", "19.1");
        let found = cached(cache.path(), None);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].version, Version { major: 18, minor: 6 });
    }
}
