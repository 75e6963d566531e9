//! What is wrong with a configuration, all of it at once.

use std::fmt;

/// The command that makes the secrets a deployment needs.
pub(super) const MAKE_SECRETS: &str = "beyond-auth keys generate";

/// A setting by the name of its flag without dashes; the variable has the same name in upper case.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Setting(pub(super) &'static str);

impl Setting {
    /// Where to listen.
    pub const ADDRESS: Self = Self("address");
    /// The key that seals.
    pub const SIGNING_KEY_ENCRYPTION_KEY: Self = Self("signing-key-encryption-key");
    /// The mail server.
    pub const SMTP_URL: Self = Self("smtp-url");
    /// The operator's own templates.
    pub const MAIL_TEMPLATES: Self = Self("mail-templates");

    /// The environment variable, such as `DATABASE_URL`. Also the key in MMDS.
    pub fn variable(self) -> String {
        self.0.to_ascii_uppercase().replace('-', "_")
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--{} / {}", self.0, self.variable())
    }
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One thing wrong with one setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which setting.
    pub setting: Setting,
    /// What is wrong and what to do; continues the setting's name ("is not set; …"). Holds no secret.
    pub message: String,
}

/// A configuration that cannot be used, with every reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    problems: Vec<Problem>,
}

impl ConfigError {
    pub(super) fn new(problems: Vec<Problem>) -> Self {
        Self { problems }
    }

    /// A single problem.
    pub fn of(setting: Setting, message: impl Into<String>) -> Self {
        Self::new(vec![Problem { setting, message: message.into() }])
    }

    /// All of them, in the order of the help; at least one.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.problems.len();
        write!(f, "{count} {} to put right", if count == 1 { "setting" } else { "settings" })?;
        for Problem { setting, message } in &self.problems {
            write!(f, "\n  {setting}\n      {message}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}
