//! Asking for a mail to sign in with, over HTTP; it is redeemed at the one door.

use std::fmt;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::cookie;
use super::flow::{self, Error};
use crate::app::App;
use crate::emails::Email;
use crate::platform::http::{Client, FieldErrors, Json, Problem, throttle};

/// Who wants to sign in by mail.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MagicLinkRequest {
    /// The address; a mail goes there if it has an account.
    pub email: String,
    /// Where the page of the link sends the person afterwards: an address of an origin in `allowed_origins`.
    #[schema(max_length = 512)]
    pub redirect_to: Option<String>,
    /// Put `request_token` into the browser's cookie instead of the body.
    #[serde(default)]
    pub cookie: bool,
}

/// A mail is on its way, if there is anybody to send it to.
#[derive(Serialize, ToSchema)]
pub struct MagicLinkResponse {
    /// `sent`, whoever asks for whomever.
    pub status: &'static str,
    /// Belongs with the code of the mail: `POST /v1/sessions` takes neither alone. Absent when it went into the cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_token: Option<String>,
}

/// The token is half of a secret.
impl fmt::Debug for MagicLinkResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MagicLinkResponse").finish_non_exhaustive()
    }
}

/// Ask for a mail to sign in with.
///
/// 202 for everybody. The mail holds a link, which signs in wherever it is opened, and six digits, which work only
/// together with the `request_token` of this answer. Both are valid for 10 minutes and work once; a newer request ends
/// the older. Nobody gets an account by it.
#[utoipa::path(post, path = "/v1/magic-links", tag = "sessions", request_body = MagicLinkRequest,
    responses((status = 202, body = MagicLinkResponse)))]
pub async fn request(
    State(app): State<App>,
    client: Client,
    Json(body): Json<MagicLinkRequest>,
) -> Result<Response, Problem> {
    let mut errors = FieldErrors::default();
    let email = errors.take("/email", Email::parse(&body.email));
    errors.finish()?;
    let email = email.ok_or_else(Problem::internal)?;
    throttle::enforce(&app.db, &[(&throttle::MAIL_SENDING, &throttle::address_key(client.address))]).await?;
    let token = flow::request(&app, &email, body.redirect_to.as_deref(), &client).await?;
    let set_cookie = body.cookie.then(|| cookie::header(&app, &token)).flatten();
    let request_token = (!body.cookie).then(|| token.expose_secret().to_owned());
    let body = MagicLinkResponse { status: "sent", request_token };
    let mut response = (StatusCode::ACCEPTED, Json(body)).into_response();
    if let Some(value) = set_cookie {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    Ok(response)
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Disabled => crate::sign_in::Error::MethodDisabled.into(),
            Error::Redirect => Self::invalid(vec![]).with_error(
                "/redirect_to",
                "redirect_not_allowed",
                "must be a URL of the service itself or of an origin in `allowed_origins`",
            ),
            Error::Limited(decision) => decision.into(),
            Error::Database(error) => error.into(),
        }
    }
}
