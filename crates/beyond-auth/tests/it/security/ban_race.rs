//! Keeping a session although it was ended: by a race, or on another instance.

use futures::future::{join, join_all};
use serde_json::json;

use super::{OTHER_PASSWORD, count, forget_attempts, redeem_token, sign_in, sign_up, token_in};
use crate::support::app::{PASSWORD, Person};
use crate::support::client::Answer;
use crate::support::{TestApp, app};

async fn ban(app: &TestApp, id: &str) {
    app.admin.put(&format!("/v1/admin/users/{id}/ban"), json!({})).await.expect(200);
}

/// Sign-ins at the same moment, some before and some after the thing they race with.
async fn sign_ins(app: &TestApp, email: &str) -> Vec<Answer> {
    let answers = join_all((0..8).map(async |turn| {
        let http = app.stranger();
        tokio::time::sleep(std::time::Duration::from_millis(turn * 2)).await;
        sign_in(&http, email, PASSWORD).await
    }))
    .await;
    for answer in &answers {
        assert!([201, 401].contains(&answer.status.as_u16()), "{}: {}", answer.status, answer.text);
    }
    answers
}

#[tokio::test]
async fn a_ban_leaves_no_session_of_sign_ins_at_the_same_moment() {
    let app = TestApp::start().await;
    for round in 0..6 {
        let person = app.person(&format!("ada{round}@example.com")).await;
        forget_attempts(&app).await;
        let late = async {
            tokio::time::sleep(std::time::Duration::from_millis(3 * round)).await;
            ban(&app, &person.id).await;
        };
        let (answers, ()) = join(sign_ins(&app, &person.email), late).await;
        assert_eq!(count(&app, "SELECT count(*) FROM auth.sessions").await, 0, "round {round}");
        for answer in answers.iter().filter(|answer| answer.status == 201) {
            let token = answer.json()["session"]["token"].as_str().unwrap().to_owned();
            app.http.with_bearer(&token).get("/v1/sessions/current").await.problem(401);
        }
    }
}

#[tokio::test]
async fn a_changed_password_leaves_no_session_of_sign_ins_with_the_old_one() {
    let app = TestApp::start().await;
    for round in 0..6 {
        let person = app.person(&format!("ada{round}@example.com")).await;
        forget_attempts(&app).await;
        let change = async {
            tokio::time::sleep(std::time::Duration::from_millis(2 * round)).await;
            change_password(&person).await
        };
        let (answers, changed) = join(sign_ins(&app, &person.email), change).await;
        changed.expect(204);
        person.http.get("/v1/sessions/current").await.expect(200);
        for answer in answers.iter().filter(|answer| answer.status == 201) {
            let token = answer.json()["session"]["token"].as_str().unwrap().to_owned();
            app.http.with_bearer(&token).get("/v1/sessions/current").await.problem(401);
        }
    }
}

#[tokio::test]
async fn sign_ins_that_bring_a_better_hash_do_not_wait_for_each_other_for_ever() {
    let app = TestApp::start().await;
    let person = app.person("ada@example.com").await;
    // The same password under a weaker cost than the present one.
    let worker = beyond_auth::platform::crypto::password::PasswordHasher::new(
        beyond_auth::platform::crypto::password::HasherConfig {
            cost: beyond_auth::platform::crypto::password::Cost::TRIVIAL,
            ..app::cheap_hashes()
        },
    );
    let weak = worker.hash(PASSWORD.into()).await.unwrap();
    let mut conn = app.running.app.db.acquire().await.unwrap();
    sqlx::query("UPDATE auth.passwords SET hash = $1").bind(&weak).execute(&mut conn).await.unwrap();
    drop(conn);
    forget_attempts(&app).await;
    let answers =
        join_all((0..8).map(async |_| sign_in(&app.stranger(), &person.email, PASSWORD).await.status)).await;
    // Whoever finds another hash than was checked is refused; nobody waits for a deadlock to be found.
    assert!(answers.iter().all(|status| [201, 401].contains(&status.as_u16())), "{answers:?}");
    assert!(answers.iter().any(|status| *status == 201));
    let mut conn = app.running.app.db.acquire().await.unwrap();
    let hash: String =
        sqlx::query_scalar("SELECT hash FROM auth.passwords").fetch_one(&mut conn).await.unwrap();
    assert_ne!(hash, weak);
}

async fn change_password(person: &Person) -> Answer {
    let body = json!({ "current_password": PASSWORD, "password": OTHER_PASSWORD });
    person.http.put("/v1/users/me/password", body).await
}

#[tokio::test]
async fn what_ends_a_session_ends_it_on_every_instance_at_the_next_request() {
    let app = TestApp::start().await;
    let second = TestApp::on(app.database.clone()).await;
    let on_second = |person: &Person| second.http.with_bearer(&person.token);
    let people = ["banned", "deleted", "self-deleted", "signed-out", "ended", "others", "all", "changed"];
    for what in people {
        let email = format!("{what}@example.com");
        let person = app.person(&email).await;
        let here = app.sign_in(&email, PASSWORD).await;
        on_second(&person).get("/v1/sessions/current").await.expect(200);
        let user = format!("/v1/admin/users/{}", person.id);
        let (mut ended, mut kept) = (vec![&person, &here], vec![]);
        match what {
            "banned" => ban(&app, &person.id).await,
            "deleted" => drop(app.admin.delete(&user).await.expect(204)),
            "self-deleted" => drop(here.http.delete("/v1/users/me").await.expect(204)),
            "ended" => drop(app.admin.delete(&format!("{user}/sessions")).await.expect(200)),
            "all" => drop(here.http.delete("/v1/sessions?scope=all").await.expect(200)),
            "signed-out" => {
                here.http.delete("/v1/sessions/current").await.expect(204);
                kept.push(ended.remove(0));
            }
            "others" => {
                here.http.delete("/v1/sessions?scope=others").await.expect(200);
                kept.push(ended.remove(1));
            }
            _ => {
                change_password(&here).await.expect(204);
                kept.push(ended.remove(1));
            }
        }
        for person in ended {
            on_second(person).get("/v1/sessions/current").await.problem(401);
            on_second(person).get("/v1/users/me").await.problem(401);
        }
        for person in kept {
            on_second(person).get("/v1/sessions/current").await.expect(200);
        }
    }
}

#[tokio::test]
async fn a_ban_ends_what_is_pending() {
    let app = TestApp::start().await;
    sign_up(&app.stranger(), "ada@example.com", PASSWORD).await.expect(202);
    let mail = app.mail_to("ada@example.com").await;
    let users = app.admin.get("/v1/admin/users?email=ada@example.com").await.expect(200);
    let id = users["data"][0]["id"].as_str().unwrap();
    ban(&app, id).await;
    redeem_token(&app.stranger(), &token_in(&mail)).await.problem(400);
    app.admin.delete(&format!("/v1/admin/users/{id}/ban")).await.expect(204);
    redeem_token(&app.stranger(), &token_in(&mail)).await.problem(400);
}

#[tokio::test]
async fn nobody_acts_as_somebody_banned() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let impersonations = format!("/v1/admin/users/{}/impersonations", ada.id);
    let acting = app.admin.post(&impersonations, json!({ "actor": "support" })).await.expect(201);
    let acting = app.http.with_bearer(acting["session"]["token"].as_str().unwrap());
    acting.get("/v1/sessions/current").await.expect(200);
    ban(&app, &ada.id).await;
    acting.get("/v1/sessions/current").await.problem(401);
    let answer = app.admin.post(&impersonations, json!({ "actor": "support" })).await;
    assert_eq!(answer.problem(409), "user_banned");
    assert_eq!(count(&app, "SELECT count(*) FROM auth.sessions").await, 0);
}

#[tokio::test]
async fn a_step_up_does_not_outlive_a_ban_or_a_changed_password() {
    let app = TestApp::start().await;
    for round in 0..6 {
        let person = app.person(&format!("ada{round}@example.com")).await;
        let other = app.sign_in(&person.email, PASSWORD).await;
        forget_attempts(&app).await;
        let body = json!({ "method": "password", "password": PASSWORD });
        let step_up = other.http.post("/v1/sessions/current/verifications", body);
        let end = async {
            if round % 2 == 0 {
                ban(&app, &person.id).await;
            } else {
                change_password(&person).await.expect(204);
            }
        };
        let (stepped, ()) = join(step_up, end).await;
        assert!([200, 401].contains(&stepped.status.as_u16()), "{}", stepped.text);
        if stepped.status == 200 {
            let token = stepped.json()["session"]["token"].as_str().unwrap().to_owned();
            app.http.with_bearer(&token).get("/v1/sessions/current").await.problem(401);
        }
        other.http.get("/v1/sessions/current").await.problem(401);
    }
}

#[tokio::test]
async fn a_ban_that_ends_beyond_all_calendars_is_refused() {
    let app = TestApp::start().await;
    let person = app.person("ada@example.com").await;
    let ban = format!("/v1/admin/users/{}/ban", person.id);
    for year in ["+262000", "-200000", "-0001", "0000", "1969", "+10000"] {
        let body = json!({ "expires_at": format!("{year}-01-01T00:00:00Z") });
        let answer = app.admin.put(&ban, body).await;
        assert_eq!(answer.problem(422), "validation_failed", "{year}");
        assert_eq!(answer.pointer(), "/expires_at", "{year}");
    }
    app.admin.put(&ban, json!({ "expires_at": "9999-12-31T23:59:59Z" })).await.expect(200);
}
