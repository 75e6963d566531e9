//! The contract, generated from the code: what every operation shares is added here, once.

use std::collections::BTreeMap;

use http::StatusCode;
use utoipa::openapi::schema::{AdditionalProperties, Object, Schema, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Ref, RefOr,
    Response, ResponseBuilder, tag::TagBuilder,
};

use super::problem::ProblemBody;

/// Security scheme of a signed-in person.
pub const SESSION: &str = "session";
/// Security scheme of the operator.
pub const ADMIN: &str = "admin";

/// Security scheme of a server that holds a key of the project.
pub const API_KEY: &str = "api_key";

/// The groups that a reader finds the calls in, in this order.
const TAGS: &[(&str, &str)] = &[
    ("users", "Accounts of people: signing up, one's own profile."),
    ("sessions", "Signing in and out, verifying a session, the list of devices."),
    ("tokens", "Refresh tokens, JWTs, and the keys that verify them."),
    ("emails", "Addresses of a user, and proof that they are the user's."),
    ("password", "Setting, changing and checking passwords."),
    ("identities", "Accounts elsewhere that a user signs in with."),
    ("organizations", "Teams with members and roles, and invitations into them."),
    ("api-keys", "Keys of servers: making, rotating, revoking and verifying them."),
    ("admin", "The operator's side: users, keys and settings of the project."),
    ("operations", "Health of the service, and this document."),
];

/// The frame that the routes are put into.
pub fn frame() -> OpenApi {
    let bearer = |format: &str, text: &str| {
        SecurityScheme::Http(
            HttpBuilder::new()
                .scheme(HttpAuthScheme::Bearer)
                .bearer_format(format)
                .description(Some(text))
                .build(),
        )
    };
    let (name, schema) = schema_of::<ProblemBody>();
    let components = ComponentsBuilder::new()
        .schema(name, schema)
        .schemas_from_iter([schema_of::<super::FieldError>()])
        .security_scheme(SESSION, bearer("session_{id}_{secret}", "A session token."))
        .security_scheme(
            "cookie",
            SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::with_description(
                super::credentials::SESSION_COOKIE,
                "The session token in the browser's cookie. Writes also need a same-origin `Origin`.",
            ))),
        )
        .security_scheme(ADMIN, bearer("opaque", "The admin secret of the deployment."))
        .security_scheme(
            API_KEY,
            bearer("key_{id}_{secret}", "An API key of the project with the call's scope."),
        )
        .build();
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("beyond-auth")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(
                    "Authenticate users, issue tokens and manage sessions, on your own Postgres.",
                ))
                .license(Some(
                    LicenseBuilder::new().name("AGPL-3.0-only").identifier(Some("AGPL-3.0-only")).build(),
                ))
                .build(),
        )
        .components(Some(components))
        .tags(Some(
            TAGS.iter().map(|(name, text)| TagBuilder::new().name(*name).description(Some(*text)).build()),
        ))
        .build()
}

fn schema_of<T: utoipa::ToSchema>() -> (String, utoipa::openapi::RefOr<utoipa::openapi::Schema>) {
    (T::name().into_owned(), T::schema())
}

/// Gives each operation a name of its own, its word on who may call (an empty list: anybody) and the one shape
/// of error.
pub fn with_problems(mut document: OpenApi) -> OpenApi {
    if let Some(components) = &mut document.components {
        let known = components.schemas.clone();
        components.schemas.values_mut().for_each(|schema| close(schema, &known));
    }
    let problem = ResponseBuilder::new()
        .description("A problem (RFC 9457); `code` says which.")
        .content(
            "application/problem+json",
            ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build(),
        )
        .build();
    for (path, item) in &mut document.paths.paths {
        let operations = [
            ("get", &mut item.get),
            ("put", &mut item.put),
            ("post", &mut item.post),
            ("delete", &mut item.delete),
            ("patch", &mut item.patch),
            ("head", &mut item.head),
            ("options", &mut item.options),
        ];
        for (method, operation) in operations {
            let Some(operation) = operation else { continue };
            operation.operation_id = Some(operation_id(method, path));
            operation.security.get_or_insert_default();
            for (status, response) in &mut operation.responses.responses {
                describe(status, response);
            }
            operation.responses.responses.insert("default".into(), problem.clone().into());
        }
    }
    document
}

/// Puts together what composes a closed object with more members: nothing satisfies both halves of such an `allOf`, as
/// each closed half refuses the other's members (JSON Schema 2020-12, Core §10.3.2.3).
fn close(schema: &mut RefOr<Schema>, known: &BTreeMap<String, RefOr<Schema>>) {
    match schema {
        RefOr::T(Schema::OneOf(one)) => one.items.iter_mut().for_each(|item| close(item, known)),
        RefOr::T(Schema::AllOf(all)) => {
            let parts: Option<Vec<&Object>> = all.items.iter().map(|item| object(item, known)).collect();
            let Some(parts) = parts.filter(|parts| parts.iter().any(|part| is_closed(part))) else { return };
            let mut whole = Object::with_type(Type::Object);
            whole.description.clone_from(&all.description);
            for part in parts {
                whole.properties.extend(part.properties.clone());
                whole.required.extend(part.required.iter().cloned());
            }
            whole.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
            *schema = RefOr::T(Schema::Object(whole));
        }
        _ => {}
    }
}

fn object<'s>(schema: &'s RefOr<Schema>, known: &'s BTreeMap<String, RefOr<Schema>>) -> Option<&'s Object> {
    match schema {
        RefOr::T(Schema::Object(object)) => Some(object),
        RefOr::Ref(reference) => object(known.get(reference.ref_location.rsplit('/').next()?)?, known),
        RefOr::T(_) => None,
    }
}

fn is_closed(object: &Object) -> bool {
    matches!(object.additional_properties.as_deref(), Some(AdditionalProperties::FreeForm(false)))
}

/// A response must have a description (OpenAPI 3.1 §4.8.17); where there is no better one, its status says it.
fn describe(status: &str, response: &mut RefOr<Response>) {
    if let RefOr::T(response) = response
        && response.description.is_empty()
    {
        let status = status.parse().ok().and_then(|code: u16| StatusCode::from_u16(code).ok());
        let reason = status.and_then(|status| status.canonical_reason());
        reason.unwrap_or("The answer.").clone_into(&mut response.description);
    }
}

/// `delete /v1/admin/users/{id}/ban` is `delete_admin_users_id_ban`. Names of functions would clash between slices,
/// and change when code is tidied; clients are generated from these, so they follow from what is frozen.
fn operation_id(method: &str, path: &str) -> String {
    let path = path.strip_prefix("/v1").unwrap_or(path);
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    std::iter::once(method).chain(words).collect::<Vec<_>>().join("_")
}
