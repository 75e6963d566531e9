//! Signing in with a passkey, presenting one as the second factor, stepping up.
//!
//! In each of them the challenge is spent first, whatever the answer turns out to be; the answer is verified outside
//! any transaction; and what it proved is recorded behind the lock on the user's row, in the transaction that acts
//! on it.

use secrecy::SecretString;

use super::ceremony::{self, AssertionResponse, Refusal, RelyingParty, Used, UserVerification};
use super::flow::{enabled, offer};
use super::model::{Error, Offer, Purpose, Stored};
use super::store;
use crate::app::App;
use crate::audit::{self, Actor, Event};
use crate::platform::db::Conn;
use crate::platform::http::Client;
use crate::platform::ids::{ChallengeId, UserId};
use crate::sessions::Live;
use crate::sessions::flow::Elevated;
use crate::settings::Settings;
use crate::sign_in::{self, Outcome, Proof, SignedIn, Wish, attempts};

/// What an answer is to a challenge: the challenge's id and the browser's JSON.
#[derive(Debug)]
pub struct Presented {
    /// Which challenge it answers.
    pub challenge_id: ChallengeId,
    /// What the authenticator signed.
    pub answer: AssertionResponse,
}

/// A challenge for a sign-in. The same for everybody: nobody is named, so nobody is given away.
pub async fn begin_sign_in(app: &App) -> Result<Offer, Error> {
    let mut conn = app.db.acquire().await?;
    let settings = enabled(&mut conn).await?;
    let rp = RelyingParty::new(&app.config, &settings);
    offer(&mut conn, Purpose::SignIn, |challenge| {
        ceremony::request_options(&rp, challenge, &[], UserVerification::Required)
    })
    .await
}

/// A challenge for the second factor of a half-finished sign-in. Something was proven before, so a touch will do.
pub async fn begin_second_factor(app: &App, attempt: &SecretString) -> Result<Offer, Error> {
    let mut conn = app.db.acquire().await?;
    let settings = enabled(&mut conn).await?;
    let attempt = attempts::open_text(&mut conn, attempt).await?;
    let allow = store::descriptors(&mut conn, attempt.user_id).await?;
    let rp = RelyingParty::new(&app.config, &settings);
    offer(&mut conn, Purpose::SecondFactor(attempt.id), |challenge| {
        ceremony::request_options(&rp, challenge, &allow, UserVerification::Preferred)
    })
    .await
}

/// A challenge for stepping up a session. The session was signed in somehow, so a touch will do here too.
pub async fn begin_step_up(app: &App, live: &Live) -> Result<Offer, Error> {
    let mut conn = app.db.acquire().await?;
    let settings = enabled(&mut conn).await?;
    let allow = store::descriptors(&mut conn, live.user.id).await?;
    let rp = RelyingParty::new(&app.config, &settings);
    offer(&mut conn, Purpose::StepUp(live.session.id), |challenge| {
        ceremony::request_options(&rp, challenge, &allow, UserVerification::Preferred)
    })
    .await
}

/// Signs in with a passkey alone: its authenticator has verified the person, which makes two factors in one.
pub async fn sign_in(
    app: &App,
    presented: &Presented,
    wish: Wish,
    client: &Client,
) -> Result<Outcome, Error> {
    let mut conn = app.db.acquire().await?;
    let settings = enabled(&mut conn).await?;
    let challenge = spend(&mut conn, presented, Purpose::SignIn).await?;
    let found = store::find_by_credential(&mut conn, presented.answer.credential_id()).await?;
    drop(conn);
    let attempt = Attempt { presented, client, user: None };
    let verified = attempt.verify(app, &settings, &challenge, found, UserVerification::Required);
    let (passkey, used) = attempt.or_refuse(app, verified).await?;

    let mut tx = app.db.begin("passkeys.sign_in").await?;
    let proof = Proof { user_id: passkey.known.user_id, amr: passkey.amr(), multi_factor: true };
    let outcome = match sign_in::finish(&mut tx, &settings, &proof, wish, client).await {
        Ok(outcome) => outcome,
        Err(sign_in::Error::Refused) => {
            tx.rollback().await?;
            return Err(attempt.refuse(app, Some(&passkey), "not_admitted").await);
        }
        Err(error) => return Err(error.into()),
    };
    if !store::record_use(&mut tx, passkey.id, used).await? {
        tx.rollback().await?;
        return Err(attempt.refuse(app, Some(&passkey), reason(Refusal::Counter)).await);
    }
    tx.commit().await?;
    Ok(outcome)
}

/// Finishes a half-finished sign-in with a passkey of the same user.
pub async fn second_factor(
    app: &App,
    attempt_token: &SecretString,
    refresh_token: bool,
    presented: &Presented,
    client: &Client,
) -> Result<SignedIn, Error> {
    let mut conn = app.db.acquire().await?;
    let settings = enabled(&mut conn).await?;
    let mut open = attempts::open_text(&mut conn, attempt_token).await?;
    open.wish.refresh_token |= refresh_token;
    attempts::count_try(&mut conn, &open).await?;
    let challenge = spend(&mut conn, presented, Purpose::SecondFactor(open.id)).await?;
    let found = store::find_by_credential(&mut conn, presented.answer.credential_id()).await?;
    drop(conn);
    let attempt = Attempt { presented, client, user: Some(open.user_id) };
    let verified = attempt.verify(app, &settings, &challenge, found, UserVerification::Preferred);
    let (passkey, used) = attempt.or_refuse(app, verified).await?;

    let mut tx = app.db.begin("passkeys.second_factor").await?;
    let signed_in = sign_in::finish_attempt(&mut tx, &settings, &open, passkey.amr(), client).await?;
    if !store::record_use(&mut tx, passkey.id, used).await? {
        tx.rollback().await?;
        return Err(attempt.refuse(app, Some(&passkey), reason(Refusal::Counter)).await);
    }
    tx.commit().await?;
    Ok(signed_in)
}

/// Presents a passkey for a session that exists.
pub async fn step_up(
    app: &App,
    live: &Live,
    presented: &Presented,
    client: &Client,
) -> Result<Elevated, Error> {
    let mut conn = app.db.acquire().await?;
    let settings = enabled(&mut conn).await?;
    let challenge = spend(&mut conn, presented, Purpose::StepUp(live.session.id)).await?;
    let found = store::find_by_credential(&mut conn, presented.answer.credential_id()).await?;
    drop(conn);
    let attempt = Attempt { presented, client, user: Some(live.user.id) };
    let verified = attempt.verify(app, &settings, &challenge, found, UserVerification::Preferred);
    let (passkey, used) = attempt.or_refuse(app, verified).await?;

    let mut tx = app.db.begin("passkeys.step_up").await?;
    let elevated = sign_in::step_up(&mut tx, live, passkey.amr(), client).await?;
    if !store::record_use(&mut tx, passkey.id, used).await? {
        tx.rollback().await?;
        return Err(attempt.refuse(app, Some(&passkey), reason(Refusal::Counter)).await);
    }
    tx.commit().await?;
    Ok(elevated)
}

async fn spend(conn: &mut Conn, presented: &Presented, purpose: Purpose) -> Result<Vec<u8>, Error> {
    store::take_challenge(conn, presented.challenge_id, purpose).await?.ok_or(Error::Challenge)
}

/// Why a presented passkey was not taken, and whose it is where that is known.
struct NotTaken {
    passkey: Option<Stored>,
    reason: &'static str,
}

/// One presentation of a passkey.
struct Attempt<'a> {
    presented: &'a Presented,
    client: &'a Client,
    /// Whose passkey it must be, where that is known before.
    user: Option<UserId>,
}

impl Attempt<'_> {
    fn verify(
        &self,
        app: &App,
        settings: &Settings,
        challenge: &[u8],
        found: Option<Stored>,
        verification: UserVerification,
    ) -> Result<(Stored, Used), NotTaken> {
        let Some(passkey) = found else {
            return Err(NotTaken { passkey: None, reason: "unknown_passkey" });
        };
        let rp = RelyingParty::new(&app.config, settings);
        let answer = &self.presented.answer;
        let verdict = if self.user.is_some_and(|user| user != passkey.known.user_id) {
            Err("foreign_passkey")
        } else if verification == UserVerification::Required && !passkey.user_verified {
            // Whoever finds a key without a PIN can give it one: that verifies nobody.
            Err("second_factor_only")
        } else {
            ceremony::verify_assertion(&rp, challenge, &passkey.known, answer, verification).map_err(reason)
        };
        match verdict {
            Ok(used) => Ok((passkey, used)),
            Err(reason) => Err(NotTaken { passkey: Some(passkey), reason }),
        }
    }

    async fn or_refuse(
        &self,
        app: &App,
        verified: Result<(Stored, Used), NotTaken>,
    ) -> Result<(Stored, Used), Error> {
        match verified {
            Ok(verified) => Ok(verified),
            Err(NotTaken { passkey, reason }) => Err(self.refuse(app, passkey.as_ref(), reason).await),
        }
    }

    /// Records a refusal and gives the one answer for all of them.
    async fn refuse(&self, app: &App, passkey: Option<&Stored>, reason: &'static str) -> Error {
        let recorded = async {
            let mut conn = app.db.acquire().await?;
            let user = self.user.or(passkey.map(|passkey| passkey.known.user_id));
            let event =
                Event::new("sign_in.refused", Actor::System).from(self.client).details(serde_json::json!({
                    "amr": [passkey.map_or("swk", Stored::amr)],
                    "known": user.is_some(),
                    "reason": reason,
                    "passkey_id": passkey.map(|passkey| passkey.id),
                }));
            let event = match user {
                Some(user) => event.on(user),
                None => event,
            };
            audit::record(&mut conn, event).await
        };
        match recorded.await {
            Ok(()) => Error::SignIn(sign_in::Error::Refused),
            Err(error) => Error::Database(error),
        }
    }
}

/// For the audit log.
fn reason(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::CredentialId => "credential_id",
        Refusal::ClientData => "client_data",
        Refusal::Type => "type",
        Refusal::Challenge => "challenge",
        Refusal::Origin => "origin",
        Refusal::CrossOrigin => "cross_origin",
        Refusal::AuthenticatorData => "authenticator_data",
        Refusal::RelyingParty => "relying_party",
        Refusal::UserPresence => "user_presence",
        Refusal::UserVerification => "user_verification",
        Refusal::Backup => "backup_state",
        Refusal::Key(_) => "public_key",
        Refusal::UserHandle => "user_handle",
        Refusal::Signature => "signature",
        Refusal::Counter => "counter_went_back",
    }
}
