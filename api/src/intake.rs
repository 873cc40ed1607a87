//! How a body comes in: JSON by its content type, within its size, read strictly; or none at all.

use crate::json;
use crate::refusal::Refusal;
use crate::work::Once;
use axum::body::{Body, BodyDataStream};
use axum::extract::multipart::{Multipart, MultipartRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use futures::Stream;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// Most bytes of a body.
pub const MOST_BYTES: usize = 2 << 20;
/// Most bytes of a body with many leads.
pub const MOST_BULK_BYTES: usize = 10 << 20;
/// How long a body may take to arrive, and each piece of a file.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A JSON body, and the `Idempotency-Key` that came with it.
pub struct Json<const MOST: usize = MOST_BYTES> {
    /// The value.
    pub value: Value,
    /// The key.
    pub once: Option<Once>,
}

impl<S: Sync, const MOST: usize> FromRequest<S> for Json<MOST> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        let (parts, body) = request.into_parts();
        check_media_type(&parts.headers)?;
        let bytes = read(&parts.headers, body, MOST).await?;
        let once = once(&parts, &bytes)?;
        Ok(Self { value: json::parse(&bytes)?, once })
    }
}

/// Most bytes of an inbound e-mail.
pub const MOST_MAIL_BYTES: usize = 10 << 20;

/// A raw e-mail, `message/rfc822`, and the `Idempotency-Key` that came with it.
pub struct Mime {
    /// The message as it came.
    pub raw: Bytes,
    /// The key.
    pub once: Option<Once>,
}

impl<S: Sync> FromRequest<S> for Mime {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        let (parts, body) = request.into_parts();
        if media_type(&parts.headers).as_deref() != Some("message/rfc822") {
            return Err(Refusal::NotMail);
        }
        let raw = read(&parts.headers, body, MOST_MAIL_BYTES).await?;
        if raw.iter().all(u8::is_ascii_whitespace) {
            return Err(Refusal::Malformed("empty_body", "send one e-mail as it came, headers first".into()));
        }
        let once = once(&parts, &raw)?;
        Ok(Self { raw, once })
    }
}

/// Most bytes of a provider's form.
const MOST_FORM_BYTES: usize = 64 << 10;

/// A form, `application/x-www-form-urlencoded`, as it came and field by field.
pub struct Form {
    /// The body.
    pub raw: Bytes,
    /// Its fields, in their order.
    pub fields: Vec<(String, String)>,
}

impl Form {
    /// Reads one.
    pub async fn read(headers: &HeaderMap, body: axum::body::Body) -> Result<Self, Refusal> {
        if media_type(headers).as_deref() != Some("application/x-www-form-urlencoded") {
            return Err(Refusal::NotForm);
        }
        let raw = read(headers, body, MOST_FORM_BYTES).await?;
        let fields = url::form_urlencoded::parse(&raw).into_owned().collect();
        Ok(Self { raw, fields })
    }

    /// The first field of a name, where it says anything.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }
}

/// A JSON body, or none at all: the same as an empty object.
pub struct MaybeJson(pub Json);

impl<S: Sync> FromRequest<S> for MaybeJson {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let is_empty = request.headers().get(header::CONTENT_TYPE).is_none()
            && axum::body::HttpBody::size_hint(request.body()).exact() == Some(0);
        if !is_empty {
            return Json::from_request(request, state).await.map(Self);
        }
        let (parts, _) = request.into_parts();
        Ok(Self(Json { value: Value::Object(Default::default()), once: once(&parts, &[])? }))
    }
}

/// No body is looked at; the `Idempotency-Key` alone.
pub struct NoBody(pub Option<Once>);

impl<S: Sync> FromRequestParts<S> for NoBody {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        Ok(Self(once(parts, &[])?))
    }
}

/// A form with a file, to be read as it comes, and the `Idempotency-Key` that came with it.
pub struct FileForm {
    /// Its parts.
    pub parts: Multipart,
    /// The key.
    pub once: Option<String>,
}

impl<S: Send + Sync> FromRequest<S> for FileForm {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        if media_type(request.headers()).as_deref() != Some("multipart/form-data") {
            return Err(Refusal::NotUpload);
        }
        let (parts, body) = request.into_parts();
        let once = once(&parts, &[])?.map(|once| once.key);
        let refused =
            |rejection: MultipartRejection| Refusal::Malformed("malformed_multipart", rejection.body_text());
        let body = Body::from_stream(Paced { body: body.into_data_stream(), rests: false });
        let parts =
            Multipart::from_request(Request::from_parts(parts, body), state).await.map_err(refused)?;
        Ok(Self { parts, once })
    }
}

/// A body that gives one piece and then rests: the reader of forms takes in whatever is ready before it gives anything
/// on, which may be all of a file.
struct Paced {
    body: BodyDataStream,
    rests: bool,
}

impl Stream for Paced {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.rests) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let next = Pin::new(&mut self.body).poll_next(context);
        self.rests = next.is_ready();
        next
    }
}

/// The size that a body says it has.
pub fn announced(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Reads a body of at most `most` bytes; one that says it is larger is not read at all.
pub async fn read(headers: &HeaderMap, body: axum::body::Body, most: usize) -> Result<Bytes, Refusal> {
    if announced(headers).is_some_and(|length| length > most) {
        return Err(Refusal::TooLarge(most));
    }
    match tokio::time::timeout(PATIENCE, axum::body::to_bytes(body, most)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if is_over(&error) => Err(Refusal::TooLarge(most)),
        Ok(Err(_)) => Err(Refusal::Malformed("broken_body", "the body ended before its length".into())),
        Err(_) => Err(Refusal::Malformed("slow_body", "the body took longer than 30 s to arrive".into())),
    }
}

fn is_over(error: &axum::Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.to_string().contains("length limit"))
}

fn check_media_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let kind = media_type(headers).unwrap_or_default();
    let is_json = kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"));
    if is_json { Ok(()) } else { Err(Refusal::MediaType) }
}

/// What a body says it is, without parameters; `None` where it is encoded besides.
fn media_type(headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().trim();
    let is_plain = matches!(text(header::CONTENT_ENCODING), "" | "identity");
    let kind = text(header::CONTENT_TYPE).split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    is_plain.then_some(kind)
}

/// The `Idempotency-Key` of a request, with what makes the request what it is.
fn once(parts: &Parts, body: &[u8]) -> Result<Option<Once>, Refusal> {
    let mut given = parts.headers.get_all("idempotency-key").iter();
    let Some(key) = given.next() else { return Ok(None) };
    let key = key.to_str().ok().filter(|k| (1..=255).contains(&k.len()) && given.next().is_none());
    let Some(key) = key else {
        let text = "Idempotency-Key takes 1 to 255 printable ASCII characters, once";
        return Err(Refusal::Malformed("invalid_idempotency_key", text.into()));
    };
    let path = parts.extensions.get::<axum::extract::OriginalUri>().map_or(&parts.uri, |uri| &uri.0);
    let hash = Sha256::new()
        .chain_update(parts.method.as_str())
        .chain_update(b"\n")
        .chain_update(path.to_string())
        .chain_update(b"\n")
        .chain_update(body)
        .finalize();
    Ok(Some(Once { key: key.to_owned(), request: hex::encode(hash) }))
}
