//! `keys`: secrets for a deployment, so that nobody needs openssl or invents one.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Subcommand;
use zeroize::Zeroizing;

use super::{Failure, write_out};
use crate::platform::crypto::random;

#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// Print a new key-encryption key and admin secret, as variables ready to paste
    #[command(after_help = "Example:\n  (umask 077; beyond-auth keys generate > beyond-auth.env)")]
    Generate,
}

/// Prints two lines and nothing else, so that the output is an environment file.
pub(super) fn generate() -> Result<(), Failure> {
    write_out(assignments().as_bytes())?;
    if io::stdout().is_terminal() {
        // Lost advice is no failure.
        drop(io::Write::write_all(
            &mut io::stderr(),
            b"\nKeep both out of the database and out of version control. Without the key, what it sealed is lost.\n",
        ));
    }
    Ok(())
}

fn assignments() -> Zeroizing<String> {
    let key = Zeroizing::new(random::bytes::<32>());
    let admin_secret = Zeroizing::new(random::bytes::<32>());
    let mut text = Zeroizing::new(String::with_capacity(160));
    text.push_str("SIGNING_KEY_ENCRYPTION_KEY=");
    text.push_str(&Zeroizing::new(URL_SAFE_NO_PAD.encode(*key)));
    text.push_str("\nADMIN_SECRET=");
    for byte in *admin_secret {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::config::AdminSecrets;
    use crate::platform::crypto::envelope::Keyring;

    #[test]
    fn generated_secrets_are_ones_that_serve_accepts_and_differ_each_time() {
        let text = assignments();
        let lines: Vec<_> = text.lines().map(|line| line.split_once('=').unwrap()).collect();
        let [("SIGNING_KEY_ENCRYPTION_KEY", key), ("ADMIN_SECRET", secret)] = lines[..] else {
            panic!("two assignments");
        };
        assert!(Keyring::parse_key(key).is_ok());
        assert!(AdminSecrets::parse(secret).is_ok());
        assert_ne!(*text, *assignments());
    }
}
