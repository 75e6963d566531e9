//! Reads settings one by one and collects what is wrong with them.

use std::fmt::Display;
use std::io::Read;

use secrecy::{ExposeSecret, SecretString};

use super::mmds::Metadata;
use super::problem::{ConfigError, Problem, Setting};

/// Longest secret file read, in bytes: a wrong path (a disk, a log) must not fill the memory.
const MAX_SECRET_FILE_BYTES: u64 = 64 * 1024;

/// Reads settings one by one; what cannot be read yields `None` and leaves a problem.
pub(super) struct Reader<'a> {
    metadata: &'a Metadata,
    pub(super) problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(metadata: &'a Metadata) -> Self {
        Self { metadata, problems: Vec::new() }
    }

    pub(super) fn refuse(&mut self, name: &'static str, message: impl Into<String>) {
        self.problems.push(Problem { setting: Setting(name), message: message.into() });
    }

    pub(super) fn finish<T>(self, read: Option<T>) -> Result<T, ConfigError> {
        match read {
            Some(read) if self.problems.is_empty() => Ok(read),
            _ => Err(ConfigError::new(self.problems)),
        }
    }

    /// A setting with a default.
    pub(super) fn parsed<T, E: Display>(
        &mut self,
        name: &'static str,
        text: &str,
        default: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        parse(given(text).unwrap_or(default)).map_err(|why| self.refuse(name, why.to_string())).ok()
    }

    /// A setting that may be left out: the inner option is the value, the outer one whether it could be read.
    #[expect(clippy::option_option, reason = "absent and unreadable differ, and both are ordinary here")]
    pub(super) fn optional<T, E: Display>(
        &mut self,
        name: &'static str,
        text: Option<&String>,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<Option<T>> {
        match text.and_then(|text| given(text)).map(parse) {
            None => Some(None),
            Some(Ok(value)) => Some(Some(value)),
            Some(Err(why)) => {
                self.refuse(name, why.to_string());
                None
            }
        }
    }

    /// A setting that must be given; `missing` continues "is not set".
    pub(super) fn required<T, E: Display>(
        &mut self,
        name: &'static str,
        text: Option<&String>,
        missing: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let value = self.optional(name, text, parse)?;
        if value.is_none() {
            self.refuse(name, format!("is not set; {missing}"));
        }
        value
    }

    /// A comma-separated list; blanks and empty entries do not count. Each bad entry is a problem of its own.
    pub(super) fn list<T>(
        &mut self,
        name: &'static str,
        text: Option<&String>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let before = self.problems.len();
        let mut entries = Vec::new();
        for entry in items(text.map_or("", String::as_str)) {
            match parse(entry) {
                Ok(entry) => entries.push(entry),
                Err(why) => self.refuse(name, why),
            }
        }
        (self.problems.len() == before).then_some(entries)
    }

    pub(super) fn switch(&mut self, name: &'static str, text: &str) -> Option<bool> {
        self.parsed(name, text, "false", |text| match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Ok(true),
            "false" | "no" | "off" | "0" => Ok(false),
            _ => Err("is neither true nor false"),
        })
    }

    /// A secret: MMDS has it, or it is given as such, or it is in a file, in this order.
    #[expect(clippy::option_option, reason = "absent and unreadable differ, and both are ordinary here")]
    pub(super) fn secret(
        &mut self,
        name: &'static str,
        inline: Option<&SecretString>,
        file: Option<&String>,
    ) -> Option<Option<SecretString>> {
        if let Some(secret) = self.metadata.get(&Setting(name).variable()) {
            return Some(Some(secret.clone()));
        }
        let inline = inline.filter(|secret| is_given(secret));
        match (inline, file.and_then(|path| given(path))) {
            (None, None) => Some(None),
            (Some(secret), None) => Some(Some(secret.clone())),
            (None, Some(path)) => match read_secret_file(path) {
                Ok(secret) => Some(Some(secret)),
                Err(why) => {
                    self.refuse(name, why);
                    None
                }
            },
            (Some(_), Some(_)) => {
                let variable = Setting(name).variable();
                self.refuse(
                    name,
                    format!(
                        "is given twice, as a value and by --{name}-file / {variable}_FILE; leave one out"
                    ),
                );
                None
            }
        }
    }

    /// A secret that must be given.
    pub(super) fn required_secret(
        &mut self,
        name: &'static str,
        inline: Option<&SecretString>,
        file: Option<&String>,
        missing: &str,
    ) -> Option<SecretString> {
        let secret = self.secret(name, inline, file)?;
        if secret.is_none() {
            self.refuse(name, format!("is not set; {missing}"));
        }
        secret
    }

    /// Puts a secret that could be read through a check.
    #[expect(clippy::option_option, reason = "absent and unreadable differ, and both are ordinary here")]
    pub(super) fn checked<E: Into<String>>(
        &mut self,
        name: &'static str,
        secret: Option<Option<SecretString>>,
        check: impl FnOnce(&SecretString) -> Result<(), E>,
    ) -> Option<Option<SecretString>> {
        let secret = secret?;
        if let Some(Err(why)) = secret.as_ref().map(check) {
            self.refuse(name, why);
            return None;
        }
        Some(secret)
    }
}

/// The text without blanks around it, unless nothing is left: an empty variable is one that is not set.
pub(super) fn given(text: &str) -> Option<&str> {
    Some(text.trim()).filter(|text| !text.is_empty())
}

pub(super) fn is_given(secret: &SecretString) -> bool {
    given(secret.expose_secret()).is_some()
}

/// The entries of a comma-separated list.
pub(super) fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').filter_map(given)
}

/// The content of a secret file without the newline editors leave at its end.
fn read_secret_file(path: &str) -> Result<SecretString, String> {
    let mut text = zeroize::Zeroizing::new(String::new());
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(MAX_SECRET_FILE_BYTES + 1).read_to_string(&mut text))
        .map_err(|why| format!("cannot be read from the file {path:?}: {why}"))?;
    if read as u64 > MAX_SECRET_FILE_BYTES {
        return Err(format!("cannot be read from the file {path:?}: it is larger than 64 KiB"));
    }
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        return Err(format!("cannot be read from the file {path:?}: it is empty"));
    }
    Ok(SecretString::from(secret))
}
