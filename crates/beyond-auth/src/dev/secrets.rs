//! The key-encryption key and the admin secret of `dev`: drawn once, kept beside the data they belong to.
//!
//! A database is bound to its key, so a later start must find the same one; that is also what keeps sessions
//! and links alive over a restart.

use std::{
    fs::{self, DirBuilder},
    io::ErrorKind,
    os::unix::fs::DirBuilderExt as _,
    path::Path,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::{Error, fetch::download::hex, private_file};
use crate::platform::{
    config::AdminSecrets,
    crypto::{envelope::Keyring, random},
};

/// What `dev` draws where a deployment is told.
#[derive(Debug)]
pub(super) struct Secrets {
    pub keyring: Keyring,
    pub admin: AdminSecrets,
}

/// Where the admin secret lies in the folder.
pub(super) const ADMIN_SECRET: &str = "admin-secret";
/// Where the key-encryption key lies in the folder.
pub(super) const KEY: &str = "key-encryption-key";

/// Reads the secrets in `folder`; draws those that are not there.
pub(super) fn open(folder: &Path) -> Result<Secrets, Error> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(Error::disk(folder)(error)),
        _ => {}
    }
    let malformed = |name, reason| Error::Secret { path: folder.join(name), reason };
    let key = read_or_draw(&folder.join(KEY), || {
        SecretString::from(URL_SAFE_NO_PAD.encode(*Zeroizing::new(random::bytes::<32>())))
    })?;
    let key = Keyring::parse_key(key.expose_secret()).map_err(|error| malformed(KEY, error.to_string()))?;
    let admin = read_or_draw(&folder.join(ADMIN_SECRET), || {
        SecretString::from(hex(&*Zeroizing::new(random::bytes::<32>())))
    })?;
    let admin = AdminSecrets::parse(admin.expose_secret())
        .map_err(|error| malformed(ADMIN_SECRET, error.to_string()))?;
    Ok(Secrets { keyring: Keyring::new(*key, Vec::new()), admin })
}

fn read_or_draw(file: &Path, draw: impl FnOnce() -> SecretString) -> Result<SecretString, Error> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(SecretString::from(Zeroizing::new(text).trim())),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let drawn = draw();
            private_file::write(file, drawn.expose_secret(), None).map_err(Error::disk(file))?;
            Ok(drawn)
        }
        Err(error) => Err(Error::disk(file)(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn secrets_are_drawn_once_and_only_their_owner_reads_them() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("secrets");
        let first = open(&folder).unwrap();
        let admin = fs::read_to_string(folder.join(ADMIN_SECRET)).unwrap();
        let second = open(&folder).unwrap();
        assert_eq!(first.keyring.current_key_id(), second.keyring.current_key_id());
        assert!(first.admin.matches(&admin) && second.admin.matches(&admin));
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder), 0o700);
        assert_eq!(mode(&folder.join(KEY)), 0o600);
        assert_eq!(mode(&folder.join(ADMIN_SECRET)), 0o600);
    }

    #[test]
    fn a_file_with_something_else_in_it_is_named_and_not_repeated() {
        let root = tempfile::tempdir().unwrap();
        open(root.path()).unwrap();
        fs::write(root.path().join(KEY), "hunter2").unwrap();
        let text = open(root.path()).unwrap_err().to_string();
        assert!(text.contains(KEY) && !text.contains("hunter2"), "{text}");
        assert_eq!(fs::read_to_string(root.path().join(KEY)).unwrap(), "hunter2");
    }
}
