//! Making an account over HTTP.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::flow::{self, Error, NewUser, SignedUp};
use crate::app::App;
use crate::door;
use crate::emails::Email;
use crate::password::routes::field_errors;
use crate::platform::http::{Client, FieldErrors, Json, Problem, throttle};
use crate::users::model::{Profile, check_metadata, check_name};

/// Who wants to sign up.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignUpRequest {
    /// The address; a mail goes there.
    pub email: String,
    /// 8 to 256 characters, any Unicode. Optional: one can also sign in by other means.
    #[schema(value_type = Option<String>)]
    pub password: Option<SecretString>,
    /// Display name.
    #[schema(max_length = 200)]
    pub name: Option<String>,
    /// Free-form object of at most 8 KiB.
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Map<String, Value>>,
    /// Where signing up signs in at once: put the token into the browser's cookie instead of the body.
    #[serde(default)]
    pub cookie: bool,
}

/// A mail is on its way.
#[derive(Debug, Serialize, ToSchema)]
pub struct SignUpResponse {
    /// `verification_sent`, whether the address is new or taken: its reader learns which.
    pub status: &'static str,
}

/// Sign up.
///
/// 202 whether the address is new or taken. With the setting `sign_up.require_verification: false` it is 201 with
/// user and session, and a taken address is 409 `email_taken`, which lets anybody ask who has an account.
#[utoipa::path(post, path = "/v1/users", tag = "users", request_body = SignUpRequest,
    responses((status = 202, body = SignUpResponse), (status = 201, body = door::routes::CreateSessionResponse)))]
pub async fn sign_up(
    State(app): State<App>,
    client: Client,
    Json(body): Json<SignUpRequest>,
) -> Result<Response, Problem> {
    let mut errors = FieldErrors::default();
    let email = errors.take("/email", Email::parse(&body.email));
    let name = check_name(body.name.as_deref(), &mut errors);
    let metadata = body.metadata.unwrap_or_default();
    check_metadata(&metadata, &mut errors);
    errors.finish()?;
    let email = email.ok_or_else(Problem::internal)?;

    let address = throttle::address_key(client.address);
    throttle::enforce(&app.db, &[(&throttle::SIGN_UP, &address)]).await?;
    let new = NewUser { email, password: body.password, profile: Profile { name, metadata } };
    Ok(match flow::sign_up(&app, new, &client).await? {
        SignedUp::VerificationSent => {
            (StatusCode::ACCEPTED, Json(SignUpResponse { status: "verification_sent" })).into_response()
        }
        SignedUp::SignedIn(outcome) => door::routes::answer(&app, outcome, body.cookie),
    })
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Disabled => Self::new(
                StatusCode::FORBIDDEN,
                "sign_up_disabled",
                "Sign-up is switched off for the project.",
            ),
            Error::Taken => Self::new(
                StatusCode::CONFLICT,
                "email_taken",
                "The address has an account already. Sign in instead.",
            ),
            Error::Policy(violations) => Self::invalid(field_errors(violations, "/password")),
            Error::Limited(decision) => decision.into(),
            Error::Busy(_) => Self::unavailable(2),
            Error::SignIn(error) => error.into(),
            Error::Email(error) => error.into(),
            Error::Database(error) => error.into(),
        }
    }
}
