//! Every route of the product.

use std::sync::Arc;

use axum::Router;
use axum::middleware;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::cors::cors;
use crate::platform::http::middleware::{Edge, edge};
use crate::platform::http::{openapi, problem};
use crate::{
    admin, api_keys, door, emails, health, identities, magic_link, oauth, orgs, pages, passkeys, password,
    refresh, sessions, sign_out, sign_up, signing_keys, totp, users,
};

/// The routes, each registered together with its documentation.
fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(openapi::frame())
        // Discovery and operations.
        .routes(routes!(health::alive))
        .routes(routes!(health::ready))
        .routes(routes!(pages::contract::document))
        .routes(routes!(door::routes::client_config::client_config))
        .routes(routes!(signing_keys::routes::jwks))
        .routes(routes!(signing_keys::routes::well_known_jwks))
        // Users, sessions.
        .routes(routes!(sign_up::routes::sign_up))
        .routes(routes!(users::routes::me, users::routes::update_me, users::routes::delete_me))
        .routes(routes!(door::routes::create, sessions::routes::list, sign_out::routes::revoke_several))
        .routes(routes!(sessions::routes::verify, orgs::routes::session::update, sign_out::routes::current))
        .routes(routes!(sign_out::routes::revoke))
        .routes(routes!(door::routes::step_up))
        .routes(routes!(sessions::introspection::introspect))
        .routes(routes!(sessions::revocations::feed))
        .routes(routes!(refresh::routes::create, refresh::routes::list))
        .routes(routes!(refresh::routes::revoke))
        .routes(routes!(door::routes::renewal::rotate))
        .routes(routes!(signing_keys::routes::exchange))
        // Email, password.
        .routes(routes!(emails::routes::list, emails::routes::add))
        .routes(routes!(emails::routes::remove))
        .routes(routes!(emails::routes::choose_primary))
        .routes(routes!(emails::routes::verify_again))
        .routes(routes!(emails::routes::redeem))
        .routes(routes!(magic_link::routes::request))
        .routes(routes!(password::routes::change, password::routes::remove))
        .routes(routes!(password::routes::request_reset))
        .routes(routes!(password::routes::redeem_reset))
        .routes(routes!(password::routes::check))
        // Passkeys.
        .routes(routes!(passkeys::routes::registration_options))
        .routes(routes!(passkeys::routes::list, passkeys::routes::register))
        .routes(routes!(passkeys::routes::rename, passkeys::routes::remove))
        .routes(routes!(passkeys::routes::authentication_options))
        .routes(routes!(passkeys::routes::related_origins))
        // Providers.
        .routes(routes!(oauth::routes::authorize))
        .routes(routes!(oauth::routes::callback, oauth::routes::posted_callback))
        .routes(routes!(identities::routes::list, oauth::routes::identities::link))
        .routes(routes!(identities::routes::unlink))
        .routes(routes!(oauth::routes::identities::access_token))
        // Second factors.
        .routes(routes!(totp::routes::list, totp::routes::enrol))
        .routes(routes!(totp::routes::update, totp::routes::remove))
        .routes(routes!(totp::routes::activate))
        .routes(routes!(totp::routes::codes_left, totp::routes::renew_codes))
        // Organizations.
        .routes(routes!(orgs::routes::list, orgs::routes::create))
        .routes(routes!(orgs::routes::get, orgs::routes::update, orgs::routes::delete))
        .routes(routes!(orgs::routes::members::list))
        .routes(routes!(orgs::routes::members::update, orgs::routes::members::remove))
        .routes(routes!(orgs::routes::roles::list, orgs::routes::roles::create))
        .routes(routes!(orgs::routes::roles::update, orgs::routes::roles::remove))
        .routes(routes!(orgs::routes::invitations::list, orgs::routes::invitations::create))
        .routes(routes!(orgs::routes::invitations::cancel))
        .routes(routes!(orgs::routes::invitations::deliver))
        .routes(routes!(orgs::routes::invitations::list_received))
        .routes(routes!(orgs::routes::invitations::introspect))
        .routes(routes!(orgs::routes::invitations::redeem))
        .routes(routes!(orgs::routes::invitations::decline))
        // API keys.
        .routes(routes!(api_keys::routes::list, api_keys::routes::create))
        .routes(routes!(api_keys::routes::get, api_keys::routes::update, api_keys::routes::revoke))
        .routes(routes!(api_keys::routes::rotate))
        .routes(routes!(api_keys::introspection::introspect))
        // The operator's side.
        .routes(routes!(admin::users::list, admin::users::create))
        .routes(routes!(admin::users::get, admin::users::update, admin::users::delete))
        .routes(routes!(admin::users::ban, admin::users::lift_ban))
        .routes(routes!(admin::users::end_sessions))
        .routes(routes!(admin::users::impersonate))
        .routes(routes!(admin::passkeys::remove))
        .routes(routes!(admin::factors::list))
        .routes(routes!(admin::factors::remove))
        .routes(routes!(admin::oauth_providers::list, admin::oauth_providers::put))
        .routes(routes!(admin::oauth_providers::remove))
        .routes(routes!(admin::api_keys::list, admin::api_keys::create))
        .routes(routes!(admin::api_keys::get, admin::api_keys::update, admin::api_keys::revoke))
        .routes(routes!(admin::api_keys::rotate))
        .routes(routes!(admin::signing_keys::list))
        .routes(routes!(admin::signing_keys::rotate))
        .routes(routes!(admin::signing_keys::remove))
        .routes(routes!(admin::kek_rotations::create))
        .routes(routes!(admin::settings::get, admin::settings::patch))
        .routes(routes!(admin::sign_in_traces::list))
}

/// The contract: OpenAPI 3.1, generated from the routes.
pub fn document() -> OpenApi {
    openapi::with_problems(routes().split_for_parts().1)
}

/// The contract as it is committed and served: indented, with a newline at its end.
pub fn write(document: &OpenApi) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(document).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// The whole service. `extra` is what `dev` adds.
pub fn router(app: &App, extra: Router) -> Router {
    let edge_state = Edge {
        trusted_proxies: app.config.trusted_proxies.clone().into(),
        activity: Arc::clone(&app.activity),
    };
    let (api, contract) = routes().split_for_parts();
    pages::contract::publish(write(&openapi::with_problems(contract)));
    api.merge(pages::router())
        .with_state(app.clone())
        .merge(extra)
        .fallback(problem::fallback)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(middleware::from_fn_with_state(app.clone(), cors))
        .layer(middleware::from_fn_with_state(edge_state, edge))
}
