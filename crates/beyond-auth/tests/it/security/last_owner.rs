//! Leaving an organization without an owner, by doing two things at once that are right each for itself.

use futures::future::{join, join_all};
use serde_json::json;

use super::{count, sql};
use crate::orgs::{create, join as join_organization, people, promote};
use crate::support::TestApp;

const OWNERS: &str = "SELECT count(*) FROM auth.organization_members WHERE role = 'owner'";

#[tokio::test]
async fn of_two_owners_who_leave_or_step_back_at_once_one_stays() {
    let app = TestApp::start().await;
    let second = TestApp::on(app.database.clone()).await;
    let [ada, ben, _] = people(&app).await;
    for turn in 0..8 {
        let path = create(&ada, &format!("Acme {turn}")).await;
        join_organization(&app, &path, &ben, "owner").await;
        let me = format!("{path}/members/me");
        let elsewhere = second.http.with_bearer(&ben.token);
        let step_back = json!({ "role": "member" });
        let (one, other) = if turn % 2 == 0 {
            join(ada.http.delete(&me), elsewhere.delete(&me)).await
        } else {
            join(ada.http.delete(&me), elsewhere.patch(&me, step_back)).await
        };
        let refused: Vec<_> = [&one, &other].into_iter().filter(|answer| answer.status == 409).collect();
        assert_eq!(refused.len(), 1, "{} {}", one.text, other.text);
        assert_eq!(refused[0].problem(409), "last_owner");
        assert_eq!(count(&app, OWNERS).await, 1);
        sql(&app, "DELETE FROM auth.organizations").await;
    }
}

#[tokio::test]
async fn two_owners_cannot_remove_or_demote_each_other() {
    let app = TestApp::start().await;
    let [ada, ben, _] = people(&app).await;
    for turn in 0..8 {
        let path = create(&ada, &format!("Acme {turn}")).await;
        join_organization(&app, &path, &ben, "owner").await;
        let (adas, bens) = (format!("{path}/members/{}", ada.id), format!("{path}/members/{}", ben.id));
        let demotion = json!({ "role": "member" });
        join(ada.http.delete(&bens), ben.http.patch(&adas, demotion)).await;
        assert_eq!(count(&app, OWNERS).await, 1);
        sql(&app, "DELETE FROM auth.organizations").await;
    }
}

#[tokio::test]
async fn accounts_deleted_at_once_leave_an_owner_or_no_organization() {
    let app = TestApp::start().await;
    for turn in 0..6 {
        let ada = app.person(&format!("ada{turn}@example.com")).await;
        let ben = app.person(&format!("ben{turn}@example.com")).await;
        let path = create(&ada, &format!("Acme {turn}")).await;
        join_organization(&app, &path, &ben, "owner").await;
        let admin = format!("/v1/admin/users/{}", ben.id);
        let (one, other) = join(ada.http.delete("/v1/users/me"), app.admin.delete(&admin)).await;
        let mut statuses = [one.status.as_u16(), other.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [204, 409], "{} {}", one.text, other.text);
        assert_eq!(count(&app, OWNERS).await, 1);
        sql(&app, "DELETE FROM auth.organizations").await;
    }
}

#[tokio::test]
async fn whoever_becomes_the_only_owner_while_being_deleted_is_not_deleted() {
    let app = TestApp::start().await;
    for turn in 0..6 {
        let ada = app.person(&format!("ada{turn}@example.com")).await;
        let ben = app.person(&format!("ben{turn}@example.com")).await;
        let path = create(&ada, &format!("Acme {turn}")).await;
        join_organization(&app, &path, &ben, "member").await;
        let hand_over = async {
            let member = format!("{path}/members/{}", ben.id);
            // Refused where Ben is gone already; then Ada is the last one.
            ada.http.patch(&member, json!({ "role": "owner" })).await;
            ada.http.delete(&format!("{path}/members/me")).await;
        };
        join(hand_over, ben.http.delete("/v1/users/me")).await;
        assert_eq!(count(&app, OWNERS).await, 1, "turn {turn}");
        sql(&app, "DELETE FROM auth.organizations").await;
    }
}

#[tokio::test]
async fn a_crowd_that_leaves_at_once_deadlocks_nobody() {
    let app = TestApp::start().await;
    let [ada, ben, cat] = people(&app).await;
    let path = create(&ada, "Acme").await;
    for person in [&ben, &cat] {
        join_organization(&app, &path, person, "member").await;
        promote(&ada.http, &path, person, "owner").await;
    }
    let all = [&ada, &ben, &cat];
    let calls = all.into_iter().flat_map(|by| all.into_iter().map(move |on| (by, on)));
    let answers = join_all(calls.map(async |(by, on)| {
        by.http.patch(&format!("{path}/members/{}", on.id), json!({ "role": "admin" })).await
    }))
    .await;
    for answer in &answers {
        assert!([200, 403, 409].contains(&answer.status.as_u16()), "{}", answer.text);
    }
    assert_eq!(count(&app, OWNERS).await, 1);
}
