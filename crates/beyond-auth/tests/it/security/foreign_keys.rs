//! Reaching for keys of somebody else; passing keys off as sessions, and sessions as keys.

use futures::future::join_all;
use http::Method;
use serde_json::{Value, json};

use crate::api_keys::{KEYS, introspect, is_active, make, make_for_project, path, rotate, text};
use crate::orgs::{create, id_of, join, people};
use crate::support::TestApp;

#[tokio::test]
async fn a_stranger_finds_no_key_by_any_way() {
    let app = TestApp::start().await;
    let [ada, ben, eve] = people(&app).await;
    let acme = create(&ada, "Acme").await;
    join(&app, &acme, &ben, "owner").await;
    let of_acme = json!({ "name": "acme", "organization_id": id_of(&acme) });
    let keys = [
        make(&ada.http, json!({ "name": "adas" })).await,
        make(&ben.http, of_acme).await,
        make_for_project(&app, &["revocations:read"]).await,
    ];
    // One who was there, and a neighbour with an organization of her own.
    ben.http.delete(&format!("{acme}/members/me")).await.expect(204);
    create(&eve, "Neighbours").await;
    let nowhere = format!("{KEYS}/01a2b3c4-d5e6-7f01-8a2b-3c4d5e6f7081");
    let calls = [
        (Method::GET, "", Value::Null),
        (Method::PATCH, "", json!({ "name": "Mine" })),
        (Method::DELETE, "", Value::Null),
        (Method::POST, "/rotations", json!({ "overlap_seconds": 0 })),
    ];
    for key in &keys {
        for person in [&eve, &ben] {
            for (method, behind, body) in &calls {
                let mut bodies = Vec::new();
                for at in [&path(key), &nowhere] {
                    let mut request = person.http.request(method.clone(), &format!("{at}{behind}"));
                    if !body.is_null() {
                        request = request.json(body);
                    }
                    let answer = person.http.send(request).await;
                    assert_eq!(answer.problem(404), "not_found", "{method} {behind}");
                    let mut body = answer.json();
                    body["request_id"].take();
                    bodies.push(body);
                }
                assert_eq!(bodies[0], bodies[1], "word for word as of one that does not exist");
            }
        }
        assert!(is_active(&app, text(key)).await);
    }
    assert_eq!(eve.http.get(KEYS).await.expect(200)["data"], json!([]));
}

#[tokio::test]
async fn a_key_is_no_session_and_a_session_no_key() {
    let app = TestApp::start().await;
    let [ada, ..] = people(&app).await;
    let key = make_for_project(&app, &["sessions:introspect", "api_keys:introspect"]).await;
    let (_, tail) = text(&key).split_once('_').unwrap();
    let (_, of_session) = ada.token.split_once('_').unwrap();
    for token in [text(&key).to_owned(), format!("session_{tail}")] {
        let answer = app.http.with_bearer(&token).get("/v1/sessions/current").await;
        assert_eq!(answer.problem(401), "invalid_token");
        let seen = app.admin.post("/v1/sessions/introspections", json!({ "token": token })).await.expect(200);
        assert_eq!(seen, json!({ "active": false }));
    }
    for text in [ada.token.clone(), format!("key_{of_session}"), "key_".to_owned(), "\u{fffd}".repeat(80)] {
        assert_eq!(introspect(&app.admin, &text).await, json!({ "active": false }));
        let answer = app.http.with_bearer(&format!("key_{of_session}")).get("/v1/revocations").await;
        assert_eq!(answer.problem(401), "invalid_token");
    }
    // Knowing an id is knowing nothing; neither is another key's secret under it.
    let other = make(&ada.http, json!({ "name": "A" })).await;
    let mixed = format!("{}{}", &text(&key)[..37], &text(&other)[37..]);
    assert_eq!(introspect(&app.admin, &mixed).await, json!({ "active": false }));
}

#[tokio::test]
async fn a_key_in_the_cookie_or_beside_a_session_counts_for_nothing() {
    let app = TestApp::start().await;
    let [ada, ..] = people(&app).await;
    let key = make_for_project(&app, &["revocations:read"]).await;
    let get = |path: &str, bearer: Option<&str>, cookie: &str| {
        let http = bearer.map_or(app.http.clone(), |bearer| app.http.with_bearer(bearer));
        let cookie = format!("beyond_session={cookie}");
        let request = http.request(Method::GET, path).header("cookie", cookie);
        async move { http.send(request).await }
    };
    let answer = get("/v1/revocations", None, text(&key)).await;
    assert_eq!(answer.problem(401), "missing_credentials");
    assert_eq!(get("/v1/sessions/current", None, text(&key)).await.problem(401), "invalid_token");
    for (bearer, cookie) in [(text(&key), ada.token.as_str()), (ada.token.as_str(), text(&key))] {
        for path in ["/v1/revocations", "/v1/sessions/current"] {
            let answer = get(path, Some(bearer), cookie).await;
            assert_eq!(answer.problem(400), "ambiguous_credentials");
        }
    }
    let http = app.http.with_bearer(text(&key));
    let request = http.request(Method::GET, "/v1/revocations").bearer_auth(&ada.token);
    assert_eq!(http.send(request).await.problem(400), "ambiguous_credentials");
}

#[tokio::test]
async fn of_fifty_rotations_at_once_on_two_instances_one_succeeds_and_no_secret_is_lost() {
    let app = TestApp::start().await;
    let second = TestApp::on(app.database.clone()).await;
    let [ada, ..] = people(&app).await;
    let key = make(&ada.http, json!({ "name": "A" })).await;
    let elsewhere = second.http.with_bearer(&ada.token);
    let answers = join_all((0..50).map(async |turn| {
        let http = if turn % 2 == 0 { &ada.http } else { &elsewhere };
        rotate(http, &key, 600).await
    }))
    .await;
    let won: Vec<_> = answers.iter().filter(|answer| answer.status == 201).collect();
    assert_eq!(won.len(), 1);
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!(answer.problem(409), "rotation_pending");
    }
    let successor = won[0].json()["api_key"].clone();
    assert!(is_active(&app, text(&key)).await && is_active(&second, text(&successor)).await);

    // Without an overlap each ends all before it, so one lives in the end.
    let answers = join_all((0..10).map(async |_| rotate(&ada.http, &key, 0).await)).await;
    let mut alive = 0;
    for answer in &answers {
        alive += usize::from(is_active(&app, text(&answer.expect(201)["api_key"])).await);
    }
    assert_eq!(alive, 1);
    assert!(!is_active(&app, text(&key)).await && !is_active(&app, text(&successor)).await);
}

#[tokio::test]
async fn a_revocation_during_rotations_wins() {
    let app = TestApp::start().await;
    let [ada, ..] = people(&app).await;
    let key = make(&ada.http, json!({ "name": "A" })).await;
    let rotations = join_all((0..10).map(async |_| rotate(&ada.http, &key, 0).await));
    let at = path(&key);
    let (answers, revoked) = tokio::join!(rotations, ada.http.delete(&at));
    revoked.expect(204);
    assert!(!is_active(&app, text(&key)).await);
    for answer in answers.iter().filter(|answer| answer.status == 201) {
        assert!(!is_active(&app, text(&answer.json()["api_key"])).await);
    }
}
