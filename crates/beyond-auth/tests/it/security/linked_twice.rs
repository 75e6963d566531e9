//! Linking what is somebody else's: an identity has one owner, whoever comes second and however fast.

use serde_json::Value;

use crate::support::sql;
use crate::support::trip::{link, said, sign_in, world};

#[tokio::test]
async fn an_identity_of_somebody_else_cannot_be_linked() {
    let (app, idp) = world().await;
    let (ada, eve) = (app.person("ada@home.example").await, app.person("eve@home.example").await);
    let trip = link(&ada.http, "acme").await;
    said(&trip.arrive(&idp.approve(&trip.location)).await);

    let trip = link(&eve.http, "acme").await;
    let said = said(&trip.arrive(&idp.approve(&trip.location)).await);
    assert_eq!(said.get("error").map(String::as_str), Some("identity_taken"), "{said:?}");
    let hers = eve.http.get("/v1/users/me/identities").await.expect(200);
    assert_eq!(hers["data"], Value::Array(Vec::new()));
    // It still opens the same door.
    assert_eq!(sign_in(&app, &idp, "acme").await.expect(201)["user"]["id"], ada.id.as_str());
    assert_eq!(sql::number(&app, "SELECT count(*) FROM auth.identities").await, 1);
}

#[tokio::test]
async fn of_many_who_link_the_same_at_once_one_has_it() {
    let (app, idp) = world().await;
    let mut trips = Vec::new();
    for n in 0..8 {
        let person = app.person(&format!("p{n}@home.example")).await;
        let trip = link(&person.http, "acme").await;
        let back = idp.approve(&trip.location);
        trips.push((trip, back));
    }
    let arriving = trips.iter().map(|(trip, back)| trip.arrive(back));
    let said: Vec<_> = futures::future::join_all(arriving).await.iter().map(said).collect();
    let linked = said.iter().filter(|said| said.contains_key("linked")).count();
    let refused = said.iter().filter(|said| said.get("error").map(String::as_str) == Some("identity_taken"));
    assert_eq!((linked, refused.count()), (1, 7), "{said:?}");
    assert_eq!(sql::number(&app, "SELECT count(*) FROM auth.identities").await, 1);
}

#[tokio::test]
async fn an_answer_links_in_the_browser_that_was_sent_out_and_nowhere_else() {
    let (app, idp) = world().await;
    let (ada, eve) = (app.person("ada@home.example").await, app.person("eve@home.example").await);
    // Eve has been at the provider, and hands Ada the address that she was to come back to: it would tie Eve's account
    // there to Ada's here.
    let (hers, adas) = (link(&eve.http, "acme").await, link(&ada.http, "acme").await);
    let back = idp.approve(&hers.location);
    let victim = crate::support::trip::Trip { cookie: adas.cookie.clone(), ..adas };
    assert_eq!(victim.arrive(&back).await.problem(400), "invalid_state");
    let without = crate::support::trip::Trip { cookie: String::new(), ..victim };
    assert_eq!(without.arrive(&back).await.problem(400), "invalid_state");
    assert_eq!(sql::number(&app, "SELECT count(*) FROM auth.identities").await, 0);
}
