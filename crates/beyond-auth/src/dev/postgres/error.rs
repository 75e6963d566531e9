//! What can go wrong, each with what to do about it.

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use crate::dev::{account, fetch, locate};

/// Why Postgres did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Root, and nobody to be instead.
    #[error(transparent)]
    Account(#[from] account::NoAccount),
    /// The folder given for binaries does not serve.
    #[error(transparent)]
    Locate(#[from] locate::Error),
    /// Nothing installed, nothing fetched.
    #[error(transparent)]
    Fetch(#[from] fetch::Error),
    /// Nothing installed, and fetching was forbidden.
    #[error("No PostgreSQL server is installed, and --offline forbids fetching one.\n{}", fetch::INSTALL)]
    Offline,
    /// Something on disk went wrong.
    #[error("{}", explain(path, source))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Root's folder, closed to the account that Postgres runs under.
    #[error(
        "Postgres runs under the account `{account}` here, and that account may not enter {}.\nPut the data \
         elsewhere with --data-dir, or open that folder (chmod o+x), or run as an ordinary user.",
        closed.display()
    )]
    Closed {
        /// Where the account is stopped.
        closed: PathBuf,
        /// Its name.
        account: String,
    },
    /// Another process has this folder.
    #[error(
        "Another process{} is using {}.\nStop it first, or use another folder with --data-dir.",
        holder.map(|pid| format!(" ({pid})")).unwrap_or_default(),
        home.display()
    )]
    InUse {
        /// The folder.
        home: PathBuf,
        /// The other process, where it is known.
        holder: Option<u32>,
    },
    /// A folder with other things in it.
    #[error(
        "{} is not empty and holds no Postgres data.\nGive another folder with --data-dir, or empty this one.",
        data.display()
    )]
    NotData {
        /// The folder.
        data: PathBuf,
    },
    /// Data of another account.
    #[error(
        "{} belongs to another account (uid {owner}), perhaps from an earlier run as root.\nRun as that \
         account again, or hand it over (chown -R), or remove it to begin anew.",
        data.display()
    )]
    OtherOwner {
        /// The data folder.
        data: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// The data was written by another major version.
    #[error("{}", other_major(data, *data_major, *found_major, found))]
    OtherMajor {
        /// The data folder.
        data: PathBuf,
        /// Who wrote it.
        data_major: u32,
        /// What there is to run.
        found_major: u32,
        /// Where that is.
        found: PathBuf,
    },
    /// The password file is gone or is not that of the running server.
    #[error(
        "The password in {} does not open the database next to it.\nPut the right file back, or remove {} to \
         begin anew.",
        password.display(), home.display()
    )]
    Password {
        /// The password file.
        password: PathBuf,
        /// The folder with the data and the password.
        home: PathBuf,
    },
    /// A server of this data runs and does not answer.
    #[error(
        "A Postgres server (process {pid}) holds {} and does not answer.\nStop it with: kill -INT {pid}",
        data.display()
    )]
    Stuck {
        /// The data folder.
        data: PathBuf,
        /// The server.
        pid: u32,
    },
    /// `initdb` failed.
    #[error("Making the database failed ({program}):\n{said}")]
    Initdb {
        /// The program that failed.
        program: String,
        /// The end of what it wrote.
        said: String,
    },
    /// The server ended while starting.
    #[error("Postgres did not start. The end of its log ({}):\n{said}", log.display())]
    Start {
        /// The log file.
        log: PathBuf,
        /// The end of it.
        said: String,
    },
    /// No free port in several tries.
    #[error("No free port on 127.0.0.1 was found for Postgres.")]
    NoPort,
}

impl Error {
    /// For `map_err` on file work: `Error::at(path)`.
    pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

fn explain(path: &Path, source: &io::Error) -> String {
    let advice = match source.kind() {
        ErrorKind::ReadOnlyFilesystem => {
            "The disk is read-only. Give a folder on a writable disk with --data-dir, or a running database \
             with --database-url."
        }
        ErrorKind::PermissionDenied => {
            "This account may not write there. Give a folder of your own with --data-dir."
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "The disk is full. Free some space (200 MB will do), or give a folder on another disk with \
             --data-dir."
        }
        _ => return format!("{}: {source}", path.display()),
    };
    format!("Cannot write to {}: {source}.\n{advice}", path.display())
}

fn other_major(data: &Path, data_major: u32, found_major: u32, found: &Path) -> String {
    let (home, data) = (data.parent().unwrap_or(data).display(), data.display());
    format!(
        "{data} was written by PostgreSQL {data_major}, and only {found_major} is here ({found}).\n\
         A server reads the data of its own major version only. Either\n\
         - name binaries of version {data_major}: --pg-bin-dir /path/to/{data_major}/bin\n\
         - or carry the data over: start once with those binaries, and while it runs\n\
         \x20    pg_dump --schema=auth --file=auth.sql \"$DATABASE_URL\"   (the URL is in the banner)\n\
         \x20  then stop, move {home} away, start with version {found_major}, and\n\
         \x20    psql \"$DATABASE_URL\" --command='DROP SCHEMA auth CASCADE' --file=auth.sql\n\
         - or, if nothing in it matters, begin anew: rm -r {home}",
        found = found.display(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_only_disk_is_told_with_a_way_out() {
        let text = Error::at(Path::new("/x"))(io::Error::from(ErrorKind::ReadOnlyFilesystem)).to_string();
        assert!(text.contains("read-only") && text.contains("--data-dir"), "{text}");
    }

    #[test]
    fn another_major_version_is_told_with_the_recipe() {
        let text = other_major(Path::new("/p/.beyond-auth/postgres/data"), 14, 17, Path::new("/usr/bin"));
        for part in
            ["PostgreSQL 14", "17", "pg_dump --schema=auth", "--pg-bin-dir", "rm -r /p/.beyond-auth/postgres"]
        {
            assert!(text.contains(part), "{part} is missing in: {text}");
        }
    }
}
