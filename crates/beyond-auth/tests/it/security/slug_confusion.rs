//! Organizations whose names in addresses look like those of others, or like something else.

use serde_json::json;

use crate::orgs::{ORGANIZATIONS, create, id_of, people};
use crate::support::TestApp;

#[tokio::test]
async fn no_slug_can_be_mistaken_for_another_or_for_an_id() {
    let app = TestApp::start().await;
    let [ada, _, eve] = people(&app).await;
    let acme = create(&ada, "Acme").await;
    let upper = id_of(&acme).to_uppercase();
    let bare = id_of(&acme).replace('-', "");
    for slug in [
        "Acme",
        "ACME",
        "acme ",
        "acme\u{200b}",
        "\u{430}cme",
        "acm\u{435}",
        "ac\u{131}me",
        "acme.",
        "acme/members",
        "..",
        "%61cme",
        id_of(&acme),
        upper.as_str(),
        bare.as_str(),
        "00000000-0000-0000-0000-000000000000",
        "acme--2",
        "-acme",
    ] {
        let answer = eve.http.post(ORGANIZATIONS, json!({ "name": "Evil", "slug": slug })).await;
        assert_eq!(answer.problem(422), "validation_failed", "{slug:?}");
        assert_eq!(answer.pointer(), "/slug");
        let own = eve.http.get("/v1/organizations?limit=1").await.expect(200);
        assert_eq!(own["data"], json!([]));
    }
    let own = create(&eve, "Evil").await;
    for slug in ["Evil", "acme", upper.as_str()] {
        let answer = eve.http.patch(&own, json!({ "slug": slug })).await;
        assert!([409, 422].contains(&answer.status.as_u16()), "{slug}: {}", answer.text);
    }
}

#[tokio::test]
async fn an_address_leads_to_exactly_one_spelling() {
    let app = TestApp::start().await;
    let [ada, ..] = people(&app).await;
    create(&ada, "Acme").await;
    ada.http.get("/v1/organizations/acme").await.expect(200);
    for slug in
        ["Acme", "ACME", "acme%20", "%20acme", "acme%00", "acme%2F", "acme%e2%80%8b", "%d0%b0cme", "acme-"]
    {
        assert_eq!(
            ada.http.get(&format!("{ORGANIZATIONS}/{slug}")).await.problem(404),
            "not_found",
            "{slug}"
        );
    }
}

#[tokio::test]
async fn a_slug_that_was_given_up_leads_nobody_to_its_new_owner_by_right_of_the_old_one() {
    let app = TestApp::start().await;
    let [ada, _, eve] = people(&app).await;
    let acme = create(&ada, "Acme").await;
    ada.http.patch(&acme, json!({ "slug": "acme-new" })).await.expect(200);
    let taken = json!({ "name": "Evil", "slug": "acme" });
    eve.http.post(ORGANIZATIONS, taken).await.expect(201);
    // Ada's link of old shows her nothing of Eve's.
    ada.http.get("/v1/organizations/acme").await.problem(404);
    ada.http.get(&acme).await.expect(200);
}
