//! Proving an address over HTTP.

use axum::extract::State;
use http::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::address::Email;
use super::addresses;
use super::code::Code;
use super::flow::{self, Error, Proven};
use super::model::EmailRow;
use crate::app::App;
use crate::platform::crypto::token::{self, Token};
use crate::platform::http::{Client, FieldErrors, Json, Path, Problem, throttle};
use crate::platform::ids::EmailId;
use crate::sessions::{CurrentSession, FreshSession};
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
    let data = flow::list(&mut conn, live.user.id).await?;
    Ok(Json(EmailsResponse { data, next_cursor: None }))
}

/// An address to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddEmailRequest {
    /// The address; a mail goes there.
    pub email: String,
}

/// One address.
#[derive(Debug, Serialize, ToSchema)]
pub struct EmailResponse {
    /// The address.
    pub email: EmailRow,
}

/// Add an address.
///
/// It is a mere claim until it is proven by the mail that goes there. The answer is the same where another account has
/// the address: only its owner learns of it, by mail. At most 10 addresses. Needs a recent authentication.
#[utoipa::path(post, path = "/v1/users/me/emails", tag = "emails", security(("session" = []), ("cookie" = [])),
    request_body = AddEmailRequest, responses((status = 201, body = EmailResponse)))]
pub async fn add(
    State(app): State<App>,
    FreshSession(live): FreshSession,
    client: Client,
    Json(body): Json<AddEmailRequest>,
) -> Result<(StatusCode, Json<EmailResponse>), Problem> {
    let mut errors = FieldErrors::default();
    let email = errors.take("/email", Email::parse(&body.email));
    errors.finish()?;
    let email = email.ok_or_else(Problem::internal)?;
    throttle::enforce(&app.db, &[(&throttle::MAIL_SENDING, &throttle::address_key(client.address))]).await?;
    let email = addresses::attach(&app, live.holder(), &email, &client).await?;
    Ok((StatusCode::CREATED, Json(EmailResponse { email })))
}

/// Remove an address.
///
/// The primary one stays until another is chosen. Whatever was mailed to the address ends with it. Needs a recent
/// authentication.
#[utoipa::path(delete, path = "/v1/users/me/emails/{id}", tag = "emails", params(("id" = EmailId, Path)),
    security(("session" = []), ("cookie" = [])), responses((status = 204, description = "Gone.")))]
pub async fn remove(
    State(app): State<App>,
    FreshSession(live): FreshSession,
    Path(id): Path<EmailId>,
    client: Client,
) -> Result<StatusCode, Problem> {
    addresses::remove(&app, live.holder(), id, &client).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Choose the primary address.
///
/// It must be proven. The old one gets a mail. Needs a recent authentication.
#[utoipa::path(put, path = "/v1/users/me/emails/{id}/primary", tag = "emails", params(("id" = EmailId, Path)),
    security(("session" = []), ("cookie" = [])), responses((status = 200, body = EmailResponse)))]
pub async fn choose_primary(
    State(app): State<App>,
    FreshSession(live): FreshSession,
    Path(id): Path<EmailId>,
    client: Client,
) -> Result<Json<EmailResponse>, Problem> {
    let email = addresses::choose_primary(&app, live.holder(), id, &client).await?;
    Ok(Json(EmailResponse { email }))
}

/// A mail is on its way.
#[derive(Debug, Serialize, ToSchema)]
pub struct VerificationSentResponse {
    /// `verification_sent`.
    pub status: &'static str,
}

/// Send the verification mail again.
///
/// The newer mail supersedes the older.
#[utoipa::path(post, path = "/v1/users/me/emails/{id}/verifications", tag = "emails",
    params(("id" = EmailId, Path)), security(("session" = []), ("cookie" = [])),
    responses((status = 202, body = VerificationSentResponse)))]
pub async fn verify_again(
    State(app): State<App>,
    CurrentSession(live): CurrentSession,
    Path(id): Path<EmailId>,
    client: Client,
) -> Result<(StatusCode, Json<VerificationSentResponse>), Problem> {
    throttle::enforce(&app.db, &[(&throttle::MAIL_SENDING, &throttle::address_key(client.address))]).await?;
    addresses::verify_again(&app, live.holder(), id, &client).await?;
    Ok((StatusCode::ACCEPTED, Json(VerificationSentResponse { status: "verification_sent" })))
}

impl From<addresses::Error> for Problem {
    fn from(error: addresses::Error) -> Self {
        use addresses::Error;
        match error {
            Error::NotFound => Self::not_found(),
            Error::Ended => Self::unauthenticated("invalid_token", "The session has ended."),
            Error::Present => {
                Self::new(StatusCode::CONFLICT, "email_present", "You have added this address already.")
            }
            Error::TooMany => Self::new(
                StatusCode::CONFLICT,
                "too_many_emails",
                "You have as many addresses as one may have. Remove one first.",
            ),
            Error::Verified => {
                Self::new(StatusCode::CONFLICT, "email_verified", "The address is proven already.")
            }
            Error::NotVerified => Self::new(
                StatusCode::CONFLICT,
                "email_not_verified",
                "Prove the address first: only a proven one can be the primary one.",
            ),
            Error::Last => Self::new(
                StatusCode::CONFLICT,
                "last_email",
                "The last proven address stays. Add and prove another one first.",
            ),
            Error::Primary => Self::new(
                StatusCode::CONFLICT,
                "primary_email",
                "The primary address stays. Choose another one as primary first.",
            ),
            Error::Limited(decision) => decision.into(),
            Error::Database(error) => error.into(),
        }
    }
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
