//! The contract: committed, served, and of the shape that tools expect.

use std::collections::BTreeSet;

use beyond_auth::router;
use serde_json::Value;

use crate::support::TestApp;
use crate::support::golden::agree;
use crate::support::program::{program, run};

/// Operations that anybody may call. A new one is added here, in sight.
const PUBLIC: &[&str] = &[
    "get_client_config",
    "get_healthz",
    "get_jwks_json",
    "get_oauth_provider_authorize",
    "get_oauth_provider_callback",
    "get_openapi_json",
    "get_readyz",
    "get_well_known_jwks_json",
    "get_well_known_webauthn",
    "post_email_verifications_redemptions",
    "post_invitations_introspections",
    "post_magic_links",
    "post_oauth_provider_callback",
    "post_passkeys_authentication_options",
    "post_password_checks",
    "post_password_resets",
    "post_password_resets_redemptions",
    "post_refresh_tokens_rotations",
    "post_sessions",
    "post_users",
];

fn document() -> Value {
    serde_json::to_value(router::document()).unwrap()
}

/// Every operation with its method and path.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if operation.get("responses").is_some() {
                found.push((format!("{method} {path}"), operation));
            }
        }
    }
    assert!(found.len() > 20);
    found
}

/// Calls `visit` with every object below a value.
fn walk<'v>(value: &'v Value, visit: &mut impl FnMut(&'v serde_json::Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            visit(object);
            object.values().for_each(|value| walk(value, visit));
        }
        Value::Array(values) => values.iter().for_each(|value| walk(value, visit)),
        _ => {}
    }
}

#[test]
fn the_committed_contract_has_not_drifted_from_the_routes() {
    let generated = String::from_utf8(router::write(&router::document())).unwrap();
    agree("openapi.json", &generated);
}

#[tokio::test]
async fn the_contract_is_served_and_printed_as_it_is_committed() {
    let committed = router::write(&router::document());
    let app = TestApp::start().await;
    let served = app.http.get("/v1/openapi.json").await;
    served.expect(200);
    assert_eq!(served.header("content-type"), "application/json");
    assert!(served.text.as_bytes() == committed, "served and generated differ");
    let printed = run(program(&["openapi"]));
    assert_eq!(printed.code, Some(0), "{}", printed.stderr);
    assert!(printed.stdout.as_bytes() == committed, "printed and generated differ");
}

#[test]
fn the_contract_is_openapi_3_1_with_every_reference_resolved() {
    let document = document();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    assert_eq!(document["info"]["title"], "beyond-auth");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    assert!(document["info"]["license"]["identifier"].is_string());
    let mut dangling = BTreeSet::new();
    walk(&document, &mut |object| {
        if let Some(Value::String(reference)) = object.get("$ref")
            && document.pointer(reference.trim_start_matches('#')).is_none()
        {
            dangling.insert(reference.clone());
        }
    });
    assert_eq!(dangling, BTreeSet::new());
}

#[test]
fn every_operation_has_its_own_name_and_says_who_may_call_it() {
    let document = document();
    let schemes: BTreeSet<&str> =
        document["components"]["securitySchemes"].as_object().unwrap().keys().map(String::as_str).collect();
    let mut ids = BTreeSet::new();
    let mut public = BTreeSet::new();
    for (name, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap_or_else(|| panic!("{name}: no operationId"));
        assert!(ids.insert(id), "{name}: {id} is taken");
        assert!(!operation["summary"].as_str().unwrap_or_default().is_empty(), "{name}: no summary");
        assert_eq!(operation["tags"].as_array().map(Vec::len), Some(1), "{name}: one tag");
        let security = operation["security"].as_array().unwrap_or_else(|| panic!("{name}: no security"));
        if security.is_empty() {
            public.insert(id);
        }
        for requirement in security {
            let requirement = requirement.as_object().unwrap();
            assert!(!requirement.is_empty(), "{name}: an optional credential");
            assert!(
                requirement.keys().all(|scheme| schemes.contains(scheme.as_str())),
                "{name}: {requirement:?}"
            );
        }
    }
    assert_eq!(public, PUBLIC.iter().copied().collect());
}

#[test]
fn every_operation_answers_with_a_success_and_the_one_shape_of_problem() {
    let document = document();
    for (name, operation) in operations(&document) {
        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.keys().any(|status| status.starts_with('2') || status.starts_with('3')), "{name}");
        for (status, response) in responses {
            // The description may be empty, but it must be there.
            assert!(response["description"].is_string(), "{name} {status}: no description");
        }
        let problem = &responses["default"]["content"]["application/problem+json"]["schema"]["$ref"];
        assert_eq!(problem, "#/components/schemas/Problem", "{name}");
    }
}

#[test]
fn every_parameter_in_a_path_is_described_and_reads_send_no_body() {
    let document = document();
    for (name, operation) in operations(&document) {
        let path = name.split(' ').nth(1).unwrap();
        let in_path: BTreeSet<&str> =
            path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let described: BTreeSet<&str> = parameters
            .iter()
            .filter(|parameter| parameter["in"] == "path")
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        assert_eq!(described, in_path, "{name}");
        let reads = name.starts_with("get ") || name.starts_with("head ") || name.starts_with("delete ");
        // Proof of the factor that is removed, which must stand in no path or query.
        let reads = reads && name != "delete /v1/users/me/factors/{id}";
        assert!(!(reads && operation.get("requestBody").is_some()), "{name} takes a body");
        assert!(path.starts_with('/') && !path.ends_with('/'), "{name}");
    }
}

#[test]
fn every_object_that_is_sent_refuses_unknown_members() {
    let document = document();
    for (name, operation) in operations(&document) {
        let Some(schema) = operation.pointer("/requestBody/content/application~1json/schema") else {
            continue;
        };
        let Some(reference) = schema["$ref"].as_str() else { continue };
        let schema = document.pointer(reference.trim_start_matches('#')).unwrap();
        if schema["type"] == "object" {
            assert_eq!(
                schema["additionalProperties"], false,
                "{name}: {reference} lets unknown members pass"
            );
        }
    }
}

#[test]
fn no_object_is_closed_within_a_composition_that_nothing_could_satisfy() {
    let document = document();
    walk(&document, &mut |object| {
        for part in object.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            let part = match part["$ref"].as_str() {
                Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
                None => part,
            };
            assert_ne!(part["additionalProperties"], false, "{object:?}");
        }
    });
    let methods = document["components"]["schemas"]["CreateSessionRequest"]["oneOf"].as_array().unwrap();
    for method in methods {
        assert_eq!(method["additionalProperties"], false);
        assert!(method["required"].as_array().unwrap().iter().any(|name| name == "method"), "{method}");
    }
}
