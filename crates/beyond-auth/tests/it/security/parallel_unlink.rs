//! Locking the owner out: of two ways in that are taken away at the same moment, one stays.

use serde_json::json;

use crate::support::TestApp;
use crate::support::sql;
use crate::support::trip::{describe, link, said, sign_in, world};

#[tokio::test]
async fn of_two_identities_that_are_unlinked_at_once_one_stays() {
    let (app, idp) = world().await;
    let second = TestApp::on(app.database.clone()).await;
    describe(&app, idp.description("other")).await.expect(200);
    app.set(json!({ "magic_link": { "enabled": false } })).await;
    for round in 0..8 {
        idp.says("sub", Some(format!("somebody {round}").into()));
        idp.says("email", Some(format!("p{round}@example.com").into()));
        let signed_in = sign_in(&app, &idp, "acme").await.expect(201);
        let token = signed_in["session"]["token"].as_str().unwrap();
        let http = app.stranger().with_bearer(token);
        let trip = link(&http, "other").await;
        said(&trip.arrive(&idp.approve(&trip.location)).await);
        let found = http.get("/v1/users/me/identities").await.expect(200);
        let ids: Vec<&str> = found["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|identity| identity["id"].as_str().unwrap())
            .collect();
        let [one, other] = [ids[0], ids[1]].map(|id| format!("/v1/users/me/identities/{id}"));
        let elsewhere = second.http.with_bearer(token);
        let (one, other) = tokio::join!(http.delete(&one), elsewhere.delete(&other));
        let mut statuses = [one.status.as_u16(), other.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [204, 409], "{} {}", one.text, other.text);
        let user = signed_in["user"]["id"].as_str().unwrap();
        let left = format!("SELECT count(*) FROM auth.identities WHERE user_id = '{user}'");
        assert_eq!(sql::number(&app, &left).await, 1);
    }
}

#[tokio::test]
async fn of_an_identity_and_a_password_that_go_at_once_one_stays() {
    let (app, idp) = world().await;
    app.set(json!({ "magic_link": { "enabled": false } })).await;
    for round in 0..8 {
        idp.says("sub", Some(format!("somebody {round}").into()));
        idp.says("email", Some(format!("p{round}@example.com").into()));
        let signed_in = sign_in(&app, &idp, "acme").await.expect(201);
        let http = app.stranger().with_bearer(signed_in["session"]["token"].as_str().unwrap());
        let password = json!({ "password": crate::support::app::PASSWORD });
        http.put("/v1/users/me/password", password).await.expect(204);
        let found = http.get("/v1/users/me/identities").await.expect(200);
        let identity = format!("/v1/users/me/identities/{}", found["data"][0]["id"].as_str().unwrap());
        let (one, other) = tokio::join!(http.delete(&identity), http.delete("/v1/users/me/password"));
        let mut statuses = [one.status.as_u16(), other.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [204, 409], "{} {}", one.text, other.text);
    }
}
