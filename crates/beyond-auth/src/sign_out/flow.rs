//! Ending sessions.

use crate::app::App;
use crate::audit::{self, Actor, Event};
use crate::platform::db::Conn;
use crate::platform::http::Client;
use crate::platform::ids::UserId;
use crate::refresh::{self, Families};
use crate::sessions::{self, Live, Scope};
use crate::sign_in;
use crate::users;

/// Ends sessions of a user and the refresh tokens that could renew them, in the caller's transaction; says how
/// many sessions there were. Whoever ends more than one session also ends the sign-ins that are half-way.
///
/// The user's row is locked first, as signing in and renewing do: each either comes before and is ended here, or
/// waits and finds its session or refresh token gone.
pub async fn end(conn: &mut Conn, user: UserId, scope: Scope) -> Result<u64, sqlx::Error> {
    users::flow::lock_standing(conn, user).await?;
    if !matches!(scope, Scope::One(_)) {
        sign_in::attempts::cancel(conn, user).await?;
    }
    let families = match scope {
        Scope::One(id) => match sessions::flow::family_of(conn, user, id).await? {
            Some(family) => Families::Of(id, family),
            None => return Ok(0),
        },
        Scope::Others(id) => Families::AllBut(sessions::flow::family_of(conn, user, id).await?.flatten()),
        Scope::All => Families::AllBut(None),
    };
    let ended = refresh::flow::end(conn, user, families).await?;
    let renewed = sessions::flow::end_families(conn, user, &ended).await?;
    Ok(renewed + sessions::flow::end(conn, user, scope).await?)
}

/// Signs out, by the owner's wish.
pub async fn revoke(app: &App, live: &Live, scope: Scope, client: &Client) -> Result<u64, sqlx::Error> {
    let user = live.user.id;
    let mut tx = app.db.begin("sign_out.revoke").await?;
    let ended = end(&mut tx, user, scope).await?;
    if ended > 0 {
        let session = match scope {
            Scope::One(id) => id,
            Scope::Others(_) | Scope::All => live.session.id,
        };
        let event = Event::new("session.revoked", Actor::User(user))
            .session(session)
            .from(client)
            .details(serde_json::json!({ "count": ended }));
        audit::record(&mut tx, event).await?;
    }
    tx.commit().await?;
    Ok(ended)
}
