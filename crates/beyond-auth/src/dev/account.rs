//! Which system account Postgres runs under, and what that account can reach.
//!
//! Postgres refuses to run as root, and root is who one is in most containers and CI jobs. There the server
//! is started under `postgres` when that account exists, else under `nobody`.

use std::{
    fs::Metadata,
    io,
    os::unix::{fs::MetadataExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::Command,
};

/// A system account, as far as starting a process under it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Login name, or `uid N` where only the number is known. For messages.
    pub name: String,
    /// Numeric user.
    pub uid: u32,
    /// Numeric main group.
    pub gid: u32,
}

/// Root without an account to drop to.
#[derive(Debug, thiserror::Error)]
#[error(
    "Postgres does not run as root, and /etc/passwd has neither a `postgres` nor a `nobody` account to run \
     it under.\nRun this as an ordinary user, or give a database with --database-url."
)]
pub struct NoAccount;

impl Account {
    /// The account to drop to; `None` when this process is not root and can run Postgres itself.
    pub fn to_drop_to() -> Result<Option<Self>, NoAccount> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        pick(&passwd).map(Some).ok_or(NoAccount)
    }

    /// The owner of a file or folder.
    pub fn owner_of(metadata: &Metadata) -> Self {
        Self { name: format!("uid {}", metadata.uid()), uid: metadata.uid(), gid: metadata.gid() }
    }

    fn may_enter(&self, folder: &Metadata) -> bool {
        let execute = if folder.uid() == self.uid {
            0o100
        } else if folder.gid() == self.gid {
            0o010
        } else {
            0o001
        };
        folder.mode() & execute != 0
    }
}

/// `name:password:uid:gid:…`, the first of the wanted names that is there and is not root in disguise.
fn pick(passwd: &str) -> Option<Account> {
    let find = |wanted: &str| {
        passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next().filter(|name| *name == wanted)?;
            let (_password, uid, gid) = (fields.next()?, fields.next()?, fields.next()?);
            let account = Account { name: name.to_owned(), uid: number(uid)?, gid: number(gid)? };
            (account.uid != 0).then_some(account)
        })
    };
    ["postgres", "_postgres", "nobody"].into_iter().find_map(find)
}

/// macOS writes `nobody` as `-2`, the same 32 bits read as signed.
fn number(field: &str) -> Option<u32> {
    field.parse().ok().or_else(|| field.parse::<i32>().ok().map(i32::cast_unsigned))
}

/// The first folder on the way to `path` (itself included) that `account` may not enter.
///
/// Permission bits only: access lists are not read, so a folder opened by one is taken for closed.
pub fn blocked_at(path: &Path, account: Option<&Account>) -> io::Result<Option<PathBuf>> {
    let Some(account) = account else { return Ok(None) };
    let path = path.canonicalize()?;
    let mut way: Vec<&Path> = path.ancestors().collect();
    way.reverse();
    for folder in way {
        if !account.may_enter(&folder.metadata()?) {
            return Ok(Some(folder.to_owned()));
        }
    }
    Ok(None)
}

/// A command under `account`, in a process group of its own so that Ctrl-C reaches this process alone,
/// with no Postgres variables of the surrounding shell and with untranslated messages.
pub fn command(program: &Path, account: Option<&Account>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"PG") {
            command.env_remove(name);
        }
    }
    // The working folder may be one the account cannot enter.
    command.env("LC_ALL", "C").current_dir("/").process_group(0);
    if let Some(account) = account {
        // Also clears the supplementary groups: std does so when root sets another uid.
        command.uid(account.uid).gid(account.gid);
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn postgres_is_preferred_to_nobody() {
        let passwd = "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534:::\npostgres:x:101:104:::\n";
        assert_eq!(pick(passwd), Some(Account { name: "postgres".into(), uid: 101, gid: 104 }));
    }

    #[test]
    fn a_negative_nobody_is_understood() {
        assert_eq!(pick("nobody:*:-2:-2::/:/usr/bin/false").map(|account| account.uid), Some(4_294_967_294));
    }

    #[test]
    fn an_account_that_is_root_by_another_name_is_not_taken() {
        assert_eq!(pick("postgres:x:0:0:::\n"), None);
    }

    #[test]
    fn a_closed_parent_folder_is_named() {
        use std::os::unix::fs::PermissionsExt as _;
        let root = tempfile::tempdir().unwrap();
        let closed = root.path().join("closed");
        let inner = closed.join("inner");
        std::fs::create_dir_all(&inner).unwrap();
        std::fs::set_permissions(root.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).unwrap();
        let stranger = Account { name: "stranger".into(), uid: 4_000_000, gid: 4_000_000 };
        assert_eq!(blocked_at(&inner, Some(&stranger)).unwrap(), Some(closed.canonicalize().unwrap()));
        assert_eq!(blocked_at(&inner, None).unwrap(), None);
    }
}
