//! Passing one provider's answer off as another's, or an answer of one's own making.

use url::Url;

use crate::support::idp::Idp;
use crate::support::trip::{HOME, Home, authorize, depart, describe, reason, redeem, world};
use crate::support::{TestApp, sql};

/// Comes back with these parameters beside the right state.
async fn back_with(app: &TestApp, idp: &Idp, said: &[(&str, &str)]) -> Home {
    let trip = depart(app, "acme").await;
    let mut back = idp.approve(&trip.location);
    let state = back.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    back.query_pairs_mut().clear().append_pair("state", &state).extend_pairs(said);
    Home::of(&trip.arrive(&back).await)
}

#[tokio::test]
async fn an_answer_says_whose_it_is() {
    let (app, idp) = world().await;
    let url = idp.url.clone();
    for (said, code, expected) in [
        (&[("code", "x"), ("iss", "https://evil.example")][..], "invalid_provider_response", "answer_issuer"),
        (
            &[("error", "access_denied"), ("iss", "https://evil.example")],
            "invalid_provider_response",
            "answer_issuer",
        ),
        (&[("code", "x")], "invalid_provider_response", "answer_issuer_missing"),
        (&[("error", "access_denied")], "invalid_provider_response", "answer_issuer_missing"),
        (&[("iss", &url)], "invalid_provider_response", "answer_without_code"),
        (&[("iss", &url), ("code", "")], "invalid_provider_response", "answer_without_code"),
        (&[("iss", &url), ("iss", &url), ("code", "x")], "invalid_provider_response", "answer_ambiguous"),
        (&[("iss", &url), ("code", "x"), ("code", "y")], "invalid_provider_response", "answer_ambiguous"),
        (&[("iss", &url), ("error", "access_denied")], "access_denied", "authorization_error"),
        (&[("iss", &url), ("error", "access_denied"), ("code", "x")], "access_denied", "authorization_error"),
        (&[("iss", &url), ("error", "server_error")], "provider_error", "authorization_error"),
        (
            &[("iss", &url), ("error", "<script>alert(1)</script>\r\n\u{0}")],
            "provider_error",
            "authorization_error",
        ),
        (&[("iss", &url), ("code", "made up")], "provider_error", "token_error"),
    ] {
        let home = back_with(&app, &idp, said).await;
        assert_eq!(home.error(), code, "{said:?}");
        assert_eq!(reason(&app).await, expected, "{said:?}");
        assert_eq!(home.state.as_deref(), Some("the application's"));
    }
    assert_eq!(sql::number(&app, "SELECT count(*) FROM auth.users").await, 0);
    // Where nothing is announced, nothing is asked for.
    idp.lock().script.discovery = Some(Box::new(|document| {
        document.remove("authorization_response_iss_parameter_supported");
    }));
    describe(&app, idp.description("acme")).await.expect(200);
    let trip = depart(&app, "acme").await;
    let back = idp.approve(&trip.location);
    let kept: Vec<_> = back.query_pairs().into_owned().filter(|(name, _)| name != "iss").collect();
    let mut back = back.clone();
    back.query_pairs_mut().clear().extend_pairs(kept);
    Home::of(&trip.arrive(&back).await).code();
}

#[tokio::test]
async fn a_code_of_another_sign_in_is_refused_by_its_verifier() {
    let (app, idp) = world().await;
    let (victim, attacker) = (depart(&app, "acme").await, depart(&app, "acme").await);
    let theirs = idp.approve(&victim.location);
    let code = theirs.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let mut back = idp.approve(&attacker.location);
    let state = back.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    back.query_pairs_mut()
        .clear()
        .append_pair("state", &state)
        .append_pair("code", &code)
        .append_pair("iss", &idp.url);
    assert_eq!(Home::of(&attacker.arrive(&back).await).error(), "provider_error");
    assert_eq!(reason(&app).await, "token_error");
}

#[tokio::test]
async fn what_changes_under_way_ends_the_flow() {
    let (app, idp) = world().await;
    // Switched off.
    let trip = depart(&app, "acme").await;
    let back = idp.approve(&trip.location);
    let mut description = idp.description("acme");
    description["enabled"] = false.into();
    describe(&app, description.clone()).await.expect(200);
    assert_eq!(Home::of(&trip.arrive(&back).await).error(), "provider_disabled");
    assert_eq!(reason(&app).await, "provider_disabled");
    description["enabled"] = true.into();
    describe(&app, description.clone()).await.expect(200);
    // Described anew: the code would go to another place than the person has seen.
    let trip = depart(&app, "acme").await;
    let back = idp.approve(&trip.location);
    describe(&app, description.clone()).await.expect(200);
    assert_eq!(Home::of(&trip.arrive(&back).await).error(), "provider_disabled");
    assert_eq!(reason(&app).await, "provider_changed");
    assert_eq!(idp.asked("/token"), 0);
    // While it is being asked.
    let trip = depart(&app, "acme").await;
    let back = idp.approve(&trip.location);
    idp.lock().script.delay.insert("/token", std::time::Duration::from_secs(2));
    let (answer, ()) = futures::future::join(trip.arrive(&back), async {
        tokio::time::sleep(std::time::Duration::from_millis(700)).await;
        describe(&app, description).await.expect(200);
    })
    .await;
    assert_eq!(Home::of(&answer).error(), "provider_disabled");
    idp.lock().script.delay.clear();
    // Deleted: nobody knows where to go.
    let trip = depart(&app, "acme").await;
    let back = idp.approve(&trip.location);
    app.admin.delete("/v1/admin/oauth-providers/acme").await;
    assert_eq!(trip.arrive(&back).await.problem(400), "invalid_state");
    for table in ["users", "identities", "oauth_codes"] {
        assert_eq!(sql::number(&app, &format!("SELECT count(*) FROM auth.{table}")).await, 0, "{table}");
    }
}

#[tokio::test]
async fn the_operators_parameters_do_not_touch_the_protocol() {
    let (app, idp) = world().await;
    let mut description = idp.description("acme");
    description["authorize_params"] = serde_json::json!({ "prompt": "login", "ui_locales": "de en" });
    description["authorization_endpoint"] = format!("{}/authorize?tenant=a", idp.url).into();
    describe(&app, description).await.expect(200);
    let answer = app.stranger().get(&authorize("acme", HOME)).await;
    let url = Url::parse(&answer.header("location")).unwrap();
    let count = |name: &str| url.query_pairs().filter(|(found, _)| found == name).count();
    for name in
        ["tenant", "prompt", "ui_locales", "state", "nonce", "client_id", "redirect_uri", "code_challenge"]
    {
        assert_eq!(count(name), 1, "{name} {url}");
    }
    let trip = depart(&app, "acme").await;
    redeem(&app.stranger(), trip.round(&idp).await.code()).await.expect(201);
}
