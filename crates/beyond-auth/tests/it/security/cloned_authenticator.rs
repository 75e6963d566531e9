//! Signing in with a copy of somebody's key.

use super::count;
use crate::passkeys::{options, present, register, sign_in};
use crate::support::TestApp;
use crate::support::authenticator::Authenticator;

const REGRESSIONS: &str = "SELECT count(*) FROM auth.audit_events
    WHERE action = 'sign_in.refused' AND details ->> 'reason' = 'counter_went_back' AND user_id IS NOT NULL";

#[tokio::test]
async fn a_counter_that_does_not_go_forward_is_refused_and_recorded() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let mut key = Authenticator::security_key(&app, true);
    register(&ada, &mut key).await;
    key.held[0].counter = 10;
    sign_in(&app.stranger(), &mut key).await.expect(201);
    // The copy was made a while ago; then it counts on to where the original is; then there is none at all.
    for counter in [3, 11, 0] {
        let offered = options(&app.http).await;
        let credential = key.assert_as(&offered, |draft| draft.counter = counter);
        let answer = present(&app.stranger(), &offered, credential).await;
        assert_eq!(answer.problem(401), "invalid_credentials", "{counter}");
    }
    assert_eq!(count(&app, REGRESSIONS).await, 3);
    assert_eq!(count(&app, "SELECT sign_count FROM auth.passkeys").await, 11);
    sign_in(&app.stranger(), &mut key).await.expect(201);
    key.held[0].counter = u32::MAX - 1;
    sign_in(&app.stranger(), &mut key).await.expect(201);
}

#[tokio::test]
async fn of_two_copies_at_the_same_moment_only_one_gets_in() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let mut key = Authenticator::security_key(&app, true);
    register(&ada, &mut key).await;
    for round in 1..=10 {
        let (one, other) = (options(&app.http).await, options(&app.http).await);
        let same = |draft: &mut crate::support::authenticator::Draft| draft.counter = round * 10;
        let (first, second) = (key.assert_as(&one, same), key.assert_as(&other, same));
        let (here, there) = (app.stranger(), app.stranger());
        let (first, second) =
            futures::future::join(present(&here, &one, first), present(&there, &other, second)).await;
        let mut statuses = [first.status.as_u16(), second.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 401], "round {round}");
    }
    assert_eq!(count(&app, REGRESSIONS).await, 10);
}

#[tokio::test]
async fn nobody_without_the_key_raises_the_alarm() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let mut key = Authenticator::security_key(&app, true);
    register(&ada, &mut key).await;
    sign_in(&app.stranger(), &mut key).await.expect(201);
    let offered = options(&app.http).await;
    let mut credential = key.assert_as(&offered, |draft| draft.counter = 1);
    credential["response"]["signature"] = serde_json::json!("MEUCIQ");
    present(&app.stranger(), &offered, credential).await.problem(401);
    assert_eq!(count(&app, REGRESSIONS).await, 0);
}

#[tokio::test]
async fn a_counter_that_stays_zero_is_none() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let mut phone = Authenticator::new(&app);
    register(&ada, &mut phone).await;
    for _ in 0..3 {
        sign_in(&app.stranger(), &mut phone).await.expect(201);
    }
}
