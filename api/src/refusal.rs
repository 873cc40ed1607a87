//! Why a request was not done. Operations and extractors speak this; a dialect gives it status and shape.

use crate::answer::Answer;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use sendwright_workflows::spec::{self, FieldError};
use serde_json::Value;
use std::sync::Arc;

/// As much of what a caller sent as an answer may quote.
pub fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}

/// A refusal, by what the caller can do about it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refusal {
    /// The request does not read: 400 everywhere. A code and a sentence.
    #[error("{1}")]
    Malformed(&'static str, String),
    /// Fields break rules: every one of them.
    #[error("{}", sendwright_workflows::spec::sentence(.0))]
    Invalid(Vec<FieldError>),
    /// No key, or none that opens: one text for all of them (S1-54).
    #[error("Invalid API key")]
    Unauthorized,
    /// No key, where it would take one to know whose request this is.
    #[error(
        "several accounts are here, and a request without a key belongs to none of them: make a key of one \
         with `sendwright key create --account NAME`, and send it as X-API-Key"
    )]
    WhichAccount,
    /// The key's user or account is inactive (S1-55).
    #[error("User account is inactive")]
    Inactive,
    /// The key may not do this.
    #[error("this key has no scope `{0}`")]
    Scope(&'static str),
    /// Another tenant's row and a missing one are the same.
    #[error("{0}")]
    NotFound(String),
    /// The path has other methods; the router has named them in `Allow`.
    #[error("this path does not take this method")]
    Method,
    /// The same thing is there already.
    #[error("{0}")]
    Duplicate(String),
    /// Its present state forbids it. A code and a sentence.
    #[error("{1}")]
    Conflict(&'static str, String),
    /// The `Idempotency-Key` belongs to another request.
    #[error("this Idempotency-Key was used for another request; use a new one")]
    OtherRequest,
    /// More bytes than this path takes.
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    /// Not JSON by its own word.
    #[error("send Content-Type: application/json, without Content-Encoding")]
    MediaType,
    /// Not an e-mail by its own word.
    #[error("send Content-Type: message/rfc822, without Content-Encoding")]
    NotMail,
    /// Not a form with a file by its own word.
    #[error("send multipart/form-data with one file, without Content-Encoding")]
    NotUpload,
    /// Not a form by its own word.
    #[error("send Content-Type: application/x-www-form-urlencoded, without Content-Encoding")]
    NotForm,
    /// A callback that nobody vouches for.
    #[error(
        "the signature does not match: it is made with the provider's token over the public URL and the form"
    )]
    Signature,
    /// Over the limit; seconds after which it may succeed.
    #[error("too many requests; try again in {0} s")]
    TooMany(u64),
    /// The database, or its clock, is away: nothing was done, try again.
    #[error("the service is not available for the moment; nothing was done, try again")]
    Unavailable,
    /// It crossed another request in the database: nothing was done, and it may go well the next time.
    #[error("this crossed another request; nothing was done, try again")]
    Crossed,
    /// It took longer than it may: nothing was done. What to do.
    #[error("{0}")]
    TooSlow(String),
    /// A defect; the log knows more.
    #[error("internal server error")]
    Internal,
    /// No refusal at all: this key has had its answer, here it is again.
    #[error("answered before")]
    Replayed(Answer),
}

impl Refusal {
    /// The stable code of the error, the same in every dialect.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::Malformed(code, _) | Refusal::Conflict(code, _) => code,
            Refusal::Invalid(errors) => match errors.as_slice() {
                [only] => only.code,
                _ => "validation_error",
            },
            Refusal::Unauthorized => "invalid_api_key",
            Refusal::WhichAccount => "api_key_required",
            Refusal::Inactive => "user_inactive",
            Refusal::Scope(_) => "insufficient_scope",
            Refusal::NotFound(_) => "not_found",
            Refusal::Method => "method_not_allowed",
            Refusal::Duplicate(_) => "duplicate",
            Refusal::OtherRequest => "idempotency_key_reused",
            Refusal::TooLarge(_) => "too_large",
            Refusal::MediaType | Refusal::NotMail | Refusal::NotForm | Refusal::NotUpload => {
                "unsupported_media_type"
            }
            Refusal::Signature => "invalid_signature",
            Refusal::TooMany(_) => "rate_limit_exceeded",
            Refusal::Unavailable | Refusal::Crossed => "unavailable",
            Refusal::TooSlow(_) => "timeout",
            Refusal::Internal | Refusal::Replayed(_) => "internal_error",
        }
    }

    /// One field that breaks one rule.
    pub fn field(field: &str, code: &'static str, message: impl Into<String>) -> Self {
        Refusal::Invalid(vec![FieldError::new(field, code, message)])
    }

    /// Faults of a body. Where all that is wrong is a row it refers to, that row is what is not found.
    pub fn faults(errors: Vec<FieldError>) -> Self {
        match errors.as_slice() {
            [only] if only.code == "reference_not_found" => Refusal::NotFound(only.message.clone()),
            _ => Refusal::Invalid(errors),
        }
    }

    /// The same, with what the body has in their places (see [`spec::provided`]).
    pub fn faults_of(body: &Value, errors: Vec<FieldError>) -> Self {
        Refusal::faults(spec::provided(errors, body))
    }

    /// The external contract's words for a campaign that is not there (S1-56).
    pub fn no_campaign(face: impl std::fmt::Display) -> Self {
        Refusal::NotFound(format!("Campaign {face} not found or inactive"))
    }
}

impl From<sendwright_store::Error> for Refusal {
    fn from(error: sendwright_store::Error) -> Self {
        // The cause's own sentence and no more: its details may quote a row.
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        if error.passes() {
            tracing::warn!(%error, cause, "the database did not do it");
            let is_crossed = matches!(error, sendwright_store::Error::Again(_));
            return if is_crossed { Refusal::Crossed } else { Refusal::Unavailable };
        }
        tracing::error!(%error, cause, "the store refused");
        Refusal::Internal
    }
}

/// The response carries the refusal itself; the layer of its prefix gives it status and body.
impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = axum::http::StatusCode::INTERNAL_SERVER_ERROR;
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}
