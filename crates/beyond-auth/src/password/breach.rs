//! Asking whether a password is known from a breach, where the project names somebody to ask.

use std::time::Duration;

use secrecy::ExposeSecret as _;
use url::Url;

use crate::app::App;
use crate::platform::crypto::password::{PolicyViolation, Question, normalise};
use crate::settings::Settings;

/// A person waits: whoever does not answer by then is passed over.
const PATIENCE: Duration = Duration::from_secs(3);

/// Why the password may not be used; `None` also where nobody answered, since a collection that is away must not keep
/// people from choosing a password.
pub(super) async fn check(app: &App, settings: &Settings, password: &str) -> Option<PolicyViolation> {
    let base = settings.password.breach_check_url.as_deref()?;
    let password = normalise(password);
    let question = Question::about(password.expose_secret());
    let url = Url::parse(&format!("{}/{}", base.trim_end_matches('/'), question.prefix)).ok()?;
    // Answers of one length, so that not even that tells an observer what was asked.
    let answer = app.outbound.get(&url, &[("add-padding", "true")]);
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(Ok(answer)) => question.answered_by(&answer),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the collection of breached passwords does not answer; the password was not checked");
            None
        }
        Err(_) => {
            tracing::warn!("the collection of breached passwords is slow; the password was not checked");
            None
        }
    }
}
