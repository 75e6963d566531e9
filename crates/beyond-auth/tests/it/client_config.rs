//! What a login page is told.

use serde_json::json;

use crate::support::TestApp;

#[tokio::test]
async fn a_login_page_learns_what_is_switched_on() {
    let app = TestApp::start().await;
    let config = app.stranger().get("/v1/client-config").await.expect(200);
    assert_eq!(config["methods"], json!({ "password": true, "magic_link": true, "passkeys": true }));
    assert_eq!(config["sign_up"], json!({ "enabled": true, "require_verification": true }));
    assert_eq!(config["password"], json!({ "min_length": 8, "max_length": 256 }));
    assert_eq!(config["mfa"], json!({ "policy": "optional" }));
    assert_eq!(config["providers"], json!([]));
}

#[tokio::test]
async fn a_changed_setting_is_in_the_next_answer() {
    let app = TestApp::start().await;
    app.set(json!({
        "magic_link": { "enabled": false },
        "password": { "min_length": 15 },
        "branding": { "name": "Acme", "primary_color": "#336699" },
        "allowed_origins": ["https://app.example.com"],
    }))
    .await;
    let config = app.stranger().get("/v1/client-config").await.expect(200);
    assert_eq!(config["methods"]["magic_link"], json!(false));
    assert_eq!(config["password"]["min_length"], json!(15));
    assert_eq!(config["branding"]["name"], json!("Acme"));
    assert_eq!(config["allowed_origins"], json!(["https://app.example.com"]));
}

#[tokio::test]
async fn what_is_not_for_strangers_stays_inside() {
    let app = TestApp::start().await;
    let config = app.stranger().get("/v1/client-config").await.expect(200);
    for inner in ["jwt", "sessions", "refresh_tokens", "signing_keys", "authz", "audit", "links"] {
        assert!(config.get(inner).is_none(), "{inner}");
    }
}
