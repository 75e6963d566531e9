//! The folder of one cluster: `data/` (Postgres's own), `password`, `port`, `lock`, `postgres.log`.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io::{self, ErrorKind, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use secrecy::{ExposeSecret as _, SecretString};

use super::error::Error;
use crate::dev::{
    account::{self, Account},
    fetch::download::hex,
    private_file,
    progress::Progress,
};
use crate::platform::crypto::random;

/// Where root's clusters go when the folder asked for is closed to the account that Postgres runs under.
const SYSTEM_HOME: &str = "/var/lib/beyond-auth";
/// How long a run that is being ended may take to let go.
const HANDOVER: Duration = Duration::from_secs(30);

/// A cluster's folder, locked to this process.
#[derive(Debug)]
pub(super) struct Home {
    pub path: PathBuf,
    /// `None` on file systems without locks.
    pub lock: Option<File>,
}

impl Home {
    pub(super) async fn open(
        wanted: &Path,
        account: Option<&Account>,
        progress: &dyn Progress,
    ) -> Result<Self, Error> {
        let path = settle(wanted, account, Path::new(SYSTEM_HOME), progress)?;
        let path = path.canonicalize().map_err(Error::at(&path))?;
        let lock = lock(&path).await?;
        Ok(Self { path, lock })
    }

    pub(super) fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.path.join("postgres.log")
    }

    pub(super) fn password_file(&self) -> PathBuf {
        self.path.join("password")
    }

    /// The major version that wrote the data; `None` while there is none.
    pub(super) fn data_major(&self) -> Result<Option<u32>, Error> {
        let data = self.data();
        match fs::read_to_string(data.join("PG_VERSION")) {
            Ok(text) => text.trim().parse().map(Some).map_err(|_| Error::NotData { data }),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let occupied = fs::read_dir(&data).is_ok_and(|mut entries| entries.next().is_some());
                if occupied { Err(Error::NotData { data }) } else { Ok(None) }
            }
            Err(source) => Err(Error::Io { path: data, source }),
        }
    }

    /// Who runs the server on existing data: its owner, since Postgres insists on that.
    pub(super) fn data_owner(&self, account: Option<&Account>) -> Result<Option<Account>, Error> {
        let data = self.data();
        let metadata = data.metadata().map_err(Error::at(&data))?;
        match account {
            // Made by an ordinary user before, and run by root now: run as that user.
            Some(account) if metadata.uid() != 0 && metadata.uid() != account.uid => {
                Ok(Some(Account::owner_of(&metadata)))
            }
            Some(account) if metadata.uid() == 0 => {
                chown_tree(&data, account).map_err(Error::at(&data))?;
                Ok(Some(account.clone()))
            }
            Some(account) => Ok(Some(account.clone())),
            None if metadata.uid() != rustix::process::geteuid().as_raw() => {
                Err(Error::OtherOwner { data, owner: metadata.uid() })
            }
            None => Ok(None),
        }
    }

    /// The superuser's password, drawn when there is none yet.
    pub(super) fn password(&self, new: bool) -> Result<SecretString, Error> {
        let file = self.password_file();
        match fs::read_to_string(&file) {
            Ok(text) if !text.trim().is_empty() => return Ok(SecretString::from(text.trim())),
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(Error::at(&file)(error)),
            _ if !new => return Err(Error::Password { password: file, home: self.path.clone() }),
            _ => {}
        }
        let password = SecretString::from(hex(&random::bytes::<24>()));
        private_file::write(&file, password.expose_secret(), None).map_err(Error::at(&file))?;
        Ok(password)
    }

    /// The port of the last run, so that an address somebody noted stays right.
    pub(super) fn last_port(&self) -> Option<u16> {
        fs::read_to_string(self.path.join("port")).ok()?.trim().parse().ok()
    }

    pub(super) fn remember_port(&self, port: u16) -> Result<(), Error> {
        let file = self.path.join("port");
        fs::write(&file, format!("{port}\n")).map_err(Error::at(&file))
    }
}

pub(super) fn chown_tree(path: &Path, owner: &Account) -> io::Result<()> {
    std::os::unix::fs::lchown(path, Some(owner.uid), Some(owner.gid))?;
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            chown_tree(&entry?.path(), owner)?;
        }
    }
    Ok(())
}

/// Makes the folder and returns its real place.
///
/// Root's own folder is mostly closed to other accounts. Then the cluster lives below `system_home`, and
/// `wanted` becomes a link to it.
fn settle(
    wanted: &Path,
    account: Option<&Account>,
    system_home: &Path,
    progress: &dyn Progress,
) -> Result<PathBuf, Error> {
    let at = Error::at(wanted);
    if let Ok(target) = fs::read_link(wanted)
        && target.starts_with(system_home)
        && !target.exists()
    {
        make(&target, account).map_err(Error::at(&target))?;
    }
    make(wanted, account).map_err(Error::at(wanted))?;
    let path = wanted.canonicalize().map_err(at)?;
    let Some(account) = account else { return Ok(path) };
    // The data's owner decides later who runs the server; only a folder without data is moved.
    if path.join("data").exists() {
        return Ok(path);
    }
    let Some(closed) = account::blocked_at(&path, Some(account)).map_err(Error::at(&path))? else {
        return Ok(path);
    };
    let blocked = || Error::Closed { closed: closed.clone(), account: account.name.clone() };
    // A new name each time: who removed the link wanted to begin anew.
    let elsewhere = system_home.join(hex(&random::bytes::<8>()));
    make(&elsewhere, Some(account)).map_err(|_| blocked())?;
    if account::blocked_at(&elsewhere, Some(account)).ok() != Some(None) {
        return Err(blocked());
    }
    // Empty but for a lock, since it has no data; anything else in it stops the move.
    let _ = fs::remove_file(path.join("lock"));
    fs::remove_dir(&path).map_err(|_| blocked())?;
    std::os::unix::fs::symlink(&elsewhere, &path).map_err(Error::at(&path))?;
    progress.note(&format!(
        "The account `{}` may not enter {}, so the database is kept in {}.",
        account.name,
        closed.display(),
        elsewhere.display()
    ));
    Ok(elsewhere)
}

/// A folder that under root the dropped account can pass through, and else nobody but us.
fn make(folder: &Path, account: Option<&Account>) -> io::Result<()> {
    if folder.exists() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent)?;
    }
    let mode = if account.is_some() { 0o755 } else { 0o700 };
    DirBuilder::new().mode(0o700).create(folder)?;
    // Apart, because the umask trims what creation asks for.
    fs::set_permissions(folder, Permissions::from_mode(mode))
}

/// Takes the folder's lock, waiting for a run that has ended to finish stopping its server: that run's
/// watchdog holds the lock until then.
async fn lock(home: &Path) -> Result<Option<File>, Error> {
    let path = home.join("lock");
    let began = Instant::now();
    loop {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(Error::at(&path))?;
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0).map_err(Error::at(&path))?;
                writeln!(file, "{}", std::process::id()).map_err(Error::at(&path))?;
                return Ok(Some(file));
            }
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let _ = file.read_to_string(&mut text);
                let holder = text.trim().parse().ok();
                let alive = holder.is_some_and(super::process_exists);
                if alive || began.elapsed() > HANDOVER {
                    return Err(Error::InUse { home: home.to_owned(), holder: holder.filter(|_| alive) });
                }
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
            // Some network and sandbox file systems have no locks; the server's own pid file still guards.
            Err(TryLockError::Error(error)) => {
                tracing::debug!(%error, "no lock on the data folder");
                return Ok(None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dev::progress::Silent;

    #[test]
    fn a_password_is_drawn_once_and_only_its_owner_reads_it() {
        let root = tempfile::tempdir().unwrap();
        let home = Home { path: root.path().to_owned(), lock: None };
        let drawn = home.password(true).unwrap();
        assert_eq!(drawn.expose_secret().len(), 48);
        assert_eq!(home.password(false).unwrap().expose_secret(), drawn.expose_secret());
        assert_eq!(home.password_file().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn existing_data_without_its_password_is_not_given_a_new_one() {
        let root = tempfile::tempdir().unwrap();
        let home = Home { path: root.path().to_owned(), lock: None };
        assert!(matches!(home.password(false), Err(Error::Password { .. })));
        assert!(!home.password_file().exists());
    }

    #[test]
    fn a_folder_of_other_things_is_not_taken_for_data() {
        let root = tempfile::tempdir().unwrap();
        let home = Home { path: root.path().to_owned(), lock: None };
        assert!(home.data_major().unwrap().is_none());
        fs::create_dir(home.data()).unwrap();
        assert!(home.data_major().unwrap().is_none());
        fs::write(home.data().join("thesis.tex"), "").unwrap();
        assert!(matches!(home.data_major(), Err(Error::NotData { .. })));
    }

    #[tokio::test]
    async fn a_folder_in_use_is_told_with_the_process_that_uses_it() {
        let root = tempfile::tempdir().unwrap();
        let held = lock(root.path()).await.unwrap();
        let error = lock(root.path()).await.unwrap_err();
        assert!(
            matches!(error, Error::InUse { holder: Some(pid), .. } if pid == std::process::id()),
            "{error}"
        );
        drop(held);
        lock(root.path()).await.unwrap();
    }

    #[test]
    fn a_closed_folder_is_replaced_by_a_link_to_an_open_one() {
        let root = tempfile::tempdir().unwrap();
        fs::set_permissions(root.path(), Permissions::from_mode(0o755)).unwrap();
        let closed = root.path().join("root");
        fs::create_dir(&closed).unwrap();
        fs::set_permissions(&closed, Permissions::from_mode(0o700)).unwrap();
        let open = root.path().join("var");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, Permissions::from_mode(0o755)).unwrap();
        let stranger = Account { name: "stranger".into(), uid: 4_000_000, gid: 4_000_000 };
        let wanted = closed.join("postgres");
        let settled = settle(&wanted, Some(&stranger), &open, &Silent).unwrap();
        assert_eq!(settled.parent(), Some(open.as_path()));
        assert_eq!(fs::read_link(&wanted).unwrap(), settled);
        assert_eq!(
            settle(&wanted, Some(&stranger), &open, &Silent).unwrap(),
            settled.canonicalize().unwrap()
        );
    }
}
