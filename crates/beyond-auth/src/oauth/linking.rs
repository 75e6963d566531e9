//! Whose account it is that somebody at a provider comes for.
//!
//! A known identity says it. An unknown one leads to an existing account only by an address that the provider calls
//! proven, in the same document, being the authority over it, and trusted by the operator; and only where the account has
//! proven that address, or where nobody has and what was planted goes with this first proof.

use super::assertion::Assertion;
use super::model::{Kind, LinkPolicy, Provider};
use super::refusal::{Code, Error, Refusal};
use crate::app::App;
use crate::audit::{self, Actor, Event};
use crate::emails::{self, By, Email};
use crate::identities;
use crate::platform::db::Conn;
use crate::platform::http::Client;
use crate::platform::ids::{IdentityId, UserId};
use crate::settings::Settings;
use crate::users::model::Profile;
use crate::users::{self, Holder, Standing};

/// Somebody with an account here.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// Who.
    pub user: UserId,
    /// By which identity.
    pub identity: IdentityId,
}

/// Finds or makes the account of somebody who comes in, in the caller's transaction.
pub async fn admit(
    app: &App,
    conn: &mut Conn,
    settings: &Settings,
    provider: &Provider,
    assertion: &Assertion,
    client: &Client,
) -> Result<Known, Error> {
    check_domain(provider, assertion)?;
    let profile = assertion.profile(&provider.id);
    if let Some(found) = identities::flow::find(conn, &profile).await? {
        return known(conn, found.user_id, provider, assertion).await;
    }
    let email =
        vouched(provider, assertion).ok_or(Refusal::new(Code::EmailUnverified, "email_unverified"))?;
    let holder = emails::flow::lock_holder(conn, email).await?;
    // Somebody may have come in by the same identity while we waited.
    if let Some(found) = identities::flow::find(conn, &profile).await? {
        return known(conn, found.user_id, provider, assertion).await;
    }
    let links = provider.definition.link_policy == LinkPolicy::VerifiedEmail;
    let mut new = false;
    let user = match holder {
        Some(holder) if links => {
            if users::flow::lock_standing(conn, holder.user_id).await? != Some(Standing::Good) {
                return Err(Refusal::new(Code::SignInRefused, "user_banned").into());
            }
            prove(app, conn, &holder, client).await?;
            holder.user_id
        }
        // An unproven claim blocks nobody.
        Some(holder) if holder.verified_at.is_some() => {
            return Err(Refusal::new(Code::AccountExists, "link_policy").into());
        }
        _ => {
            new = true;
            create(conn, settings, provider, assertion, email, client).await?
        }
    };
    let identity = link(conn, user, provider, assertion, client).await?;
    if !new {
        identities::flow::tell_linked(app, conn, &profile, client).await?;
    }
    Ok(Known { user, identity })
}

/// Links an identity to the account of whoever went to fetch it, in the caller's transaction.
pub async fn attach(
    app: &App,
    conn: &mut Conn,
    holder: Holder,
    provider: &Provider,
    assertion: &Assertion,
    client: &Client,
) -> Result<Known, Error> {
    check_domain(provider, assertion)?;
    if !users::flow::lock_session(conn, holder).await? {
        return Err(Refusal::new(Code::SessionEnded, "session_ended").into());
    }
    let profile = assertion.profile(&provider.id);
    if let Some(found) = identities::flow::find(conn, &profile).await? {
        if found.user_id != holder.user {
            return Err(Refusal::new(Code::IdentityTaken, "identity_taken").into());
        }
        identities::flow::touch(conn, found.id, &profile).await?;
        return Ok(Known { user: holder.user, identity: found.id });
    }
    let identity = link(conn, holder.user, provider, assertion, client).await?;
    identities::flow::tell_linked(app, conn, &profile, client).await?;
    Ok(Known { user: holder.user, identity })
}

/// Whoever has the identity, behind the lock on the user: it may just have been taken away.
async fn known(
    conn: &mut Conn,
    user: UserId,
    provider: &Provider,
    assertion: &Assertion,
) -> Result<Known, Error> {
    let gone = || Error::from(Refusal::new(Code::SignInRefused, "identity_gone"));
    // Bans are for the door to know.
    users::flow::lock_standing(conn, user).await?.ok_or_else(gone)?;
    let profile = assertion.profile(&provider.id);
    let found = identities::flow::find(conn, &profile).await?;
    let found = found.filter(|found| found.user_id == user).ok_or_else(gone)?;
    identities::flow::touch(conn, found.id, &profile).await?;
    Ok(Known { user, identity: found.id })
}

/// The address, where it counts as proven by the provider's word.
fn vouched<'a>(provider: &Provider, assertion: &'a Assertion) -> Option<&'a Email> {
    let trusted = provider.definition.trust_email && assertion.email_verified && assertion.authoritative;
    assertion.email.as_ref().filter(|_| trusted)
}

fn check_domain(provider: &Provider, assertion: &Assertion) -> Result<(), Refusal> {
    let allowed = &provider.definition.allowed_domains;
    if allowed.is_empty() {
        return Ok(());
    }
    let proven = assertion.email.as_ref().filter(|_| assertion.email_verified && assertion.authoritative);
    let domain = proven.and_then(|email| email.canonical().rsplit_once('@')).map(|(_, domain)| domain);
    // Google says which organization's account it is; the address may be an alias.
    let hosted = assertion.hosted_domain.as_deref().filter(|_| provider.kind == Kind::Google);
    let domain = hosted.or(domain);
    if domain.is_some_and(|domain| allowed.iter().any(|allowed| allowed == domain)) {
        Ok(())
    } else {
        Err(Refusal::new(Code::DomainNotAllowed, "domain_not_allowed"))
    }
}

/// The first proof of an address by somebody who need not be the one who signed up: all that was planted goes.
async fn prove(
    app: &App,
    conn: &mut Conn,
    holder: &emails::model::EmailRow,
    client: &Client,
) -> Result<(), Error> {
    match emails::flow::prove(conn, &app.outbox, holder, By::Provider, client).await {
        Ok(()) => Ok(()),
        Err(emails::flow::Error::Database(error)) => Err(error.into()),
        Err(_) => Err(Refusal::new(Code::SignInRefused, "address_contended").into()),
    }
}

async fn create(
    conn: &mut Conn,
    settings: &Settings,
    provider: &Provider,
    assertion: &Assertion,
    email: &Email,
    client: &Client,
) -> Result<UserId, Error> {
    if !settings.sign_up.enabled {
        return Err(Refusal::new(Code::SignUpDisabled, "sign_up_disabled").into());
    }
    if !provider.definition.allow_sign_up {
        return Err(Refusal::new(Code::SignUpDisabled, "provider_sign_up_disabled").into());
    }
    let profile = Profile { name: assertion.name.clone(), ..Profile::default() };
    let user = users::flow::create(conn, &profile).await?;
    match emails::flow::add(conn, user, email, true, true).await {
        Ok(_) => {}
        Err(emails::flow::Error::Database(error)) => return Err(error.into()),
        Err(_) => return Err(Refusal::new(Code::AccountExists, "address_contended").into()),
    }
    let details = serde_json::json!({ "by": "oauth", "provider": provider.id });
    audit::record(conn, Event::new("user.created", Actor::User(user)).from(client).details(details)).await?;
    Ok(user)
}

async fn link(
    conn: &mut Conn,
    user: UserId,
    provider: &Provider,
    assertion: &Assertion,
    client: &Client,
) -> Result<IdentityId, Error> {
    let profile = assertion.profile(&provider.id);
    let linked = identities::flow::link(conn, user, &profile).await;
    let identity = linked.map_err(|error| match error {
        identities::flow::Error::Taken => Refusal::new(Code::IdentityTaken, "identity_taken").into(),
        identities::flow::Error::Database(error) => Error::Database(error),
        _ => Refusal::new(Code::SignInRefused, "not_linked").into(),
    })?;
    identities::flow::touch(conn, identity, &profile).await?;
    let details = serde_json::json!({ "provider": provider.id, "identity_id": identity });
    let event = Event::new("identity.linked", Actor::User(user)).from(client).details(details);
    audit::record(conn, event).await?;
    Ok(identity)
}
