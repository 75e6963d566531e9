//! Files that hold a secret.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use super::account::Account;

/// Writes a file that only its owner reads, complete or not at all.
pub(super) fn write(file: &Path, text: &str, owner: Option<&Account>) -> io::Result<()> {
    let beside = file.with_extension("new");
    let _ = fs::remove_file(&beside);
    let mut handle = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    handle.write_all(text.as_bytes())?;
    handle.sync_all()?;
    if let Some(owner) = owner {
        std::os::unix::fs::chown(&beside, Some(owner.uid), Some(owner.gid))?;
    }
    fs::rename(beside, file)
}
