//! Proving an address over HTTP.

use axum::extract::State;
use http::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::address::Email;
use super::code::Code;
use super::flow::{self, Error, Proven};
use super::model::EmailRow;
use super::store;
use crate::app::App;
use crate::platform::crypto::token::{self, Token};
use crate::platform::http::{Client, FieldErrors, Json, Problem, throttle};
use crate::sessions::CurrentSession;
use crate::users::User;

/// Proof that one reads mail at an address: the link's token, or address and code.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RedeemVerificationRequest {
    /// From the link: `ev_…`.
    #[schema(value_type = Option<String>)]
    pub token: Option<SecretString>,
    /// The address, when a code is given.
    pub email: Option<String>,
    /// The six digits.
    #[schema(value_type = Option<String>)]
    pub code: Option<SecretString>,
}

/// Which address was proven, and whose it is.
#[derive(Debug, Serialize, ToSchema)]
pub struct RedeemVerificationResponse {
    /// The address; not always the user's primary one.
    pub email: String,
    /// The user.
    pub user: User,
}

/// Prove an address.
///
/// Gives no session: sign in through `POST /v1/sessions`. Works once; a newer mail supersedes the older.
#[utoipa::path(post, path = "/v1/email-verifications/redemptions", tag = "emails",
    request_body = RedeemVerificationRequest, responses((status = 200, body = RedeemVerificationResponse)))]
pub async fn redeem(
    State(app): State<App>,
    client: Client,
    Json(body): Json<RedeemVerificationRequest>,
) -> Result<Json<RedeemVerificationResponse>, Problem> {
    let proof = Proof::from_body(body)?;
    throttle::enforce(&app.db, &[(&throttle::REDEMPTION, &throttle::address_key(client.address))]).await?;
    let Proven { email, user } = match proof {
        Proof::Token(token) => flow::redeem_token(&app, &token, &client).await?,
        Proof::Code { email, code } => flow::redeem_code(&app, &email, &code, &client).await?,
    };
    Ok(Json(RedeemVerificationResponse { email, user }))
}

enum Proof {
    Token(Token<token::EmailVerification>),
    Code { email: Email, code: Code },
}

impl Proof {
    /// What cannot be a proof is refused here, before it costs a query.
    fn from_body(body: RedeemVerificationRequest) -> Result<Self, Problem> {
        match (body.token, body.email, body.code) {
            (Some(token), None, None) => {
                let token = Token::parse(token.expose_secret()).map_err(|_| Error::Invalid)?;
                Ok(Self::Token(token))
            }
            (None, Some(email), Some(code)) => {
                let mut errors = FieldErrors::default();
                let email = errors.take("/email", Email::parse(&email));
                errors.finish()?;
                let email = email.ok_or_else(Problem::internal)?;
                let code = Code::parse(code.expose_secret()).map_err(|_| Error::Invalid)?;
                Ok(Self::Code { email, code })
            }
            _ => Err(Problem::invalid(vec![]).with_error(
                "",
                "invalid_value",
                "give either `token`, or `email` and `code`",
            )),
        }
    }
}

/// A user's addresses.
#[derive(Debug, Serialize, ToSchema)]
pub struct EmailsResponse {
    /// The primary one first.
    pub data: Vec<EmailRow>,
    /// Always `null`: a user has few addresses.
    pub next_cursor: Option<String>,
}

/// List one's own addresses.
#[utoipa::path(get, path = "/v1/users/me/emails", tag = "emails", security(("session" = []), ("cookie" = [])),
    responses((status = 200, body = EmailsResponse)))]
pub async fn list(
    State(app): State<App>,
    CurrentSession(live): CurrentSession,
) -> Result<Json<EmailsResponse>, Problem> {
    let mut conn = app.db.acquire().await?;
    let data = store::list(&mut conn, live.user.id).await?;
    Ok(Json(EmailsResponse { data, next_cursor: None }))
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid => Self::new(
                StatusCode::BAD_REQUEST,
                "invalid_verification",
                "The link or code is not valid: it may have expired, been used, or been replaced by a newer mail.",
            ),
            Error::Taken => Self::new(
                StatusCode::CONFLICT,
                "email_taken",
                "Another account has proven this address meanwhile.",
            ),
            Error::Limited(decision) => decision.into(),
            Error::Database(error) => error.into(),
        }
    }
}
