//! The guarded HTTP client: it calls where strangers say, and only on the public internet.
//!
//! A host is looked at before every request, and every address it resolves to at the moment it is connected to, so that
//! a name that changes its mind in between (DNS rebinding) gains nothing. It follows no redirect and heeds no proxy.

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use sendwright_workflows::webhook::{self, SigningSecret, check_host, is_public};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// Most bytes of an answer that are read.
const MOST: usize = 16 * 1024;
/// Most bytes of an answer that are kept.
const KEPT: usize = 1_024;
/// How long connecting may take, the handshake of TLS included.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a silence may be while the answer is read.
const SILENCE: Duration = Duration::from_secs(10);
/// How long all of it may take.
const WHOLE: Duration = Duration::from_secs(15);
/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_secs(30);

/// The client. One for a process.
pub struct Http {
    client: reqwest::Client,
    allow_private: bool,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// `Retry-After`, as it stands.
    pub retry_after: Option<String>,
    /// The first bytes of the body, as text.
    pub text: String,
}

/// Why nothing came back, by class: no more is told, so that nobody maps a network by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The host, or an address it resolved to, may not be called.
    #[error("the address is not one of the public internet")]
    Blocked,
    /// No connection, or no TLS.
    #[error("no connection")]
    NoConnection,
    /// It took too long.
    #[error("no answer in time")]
    Timeout,
    /// The connection broke while it was used.
    #[error("the connection broke")]
    Broken,
}

impl Http {
    /// A client; `allow_private` is for development: it may call anybody.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(allow_private: bool) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let client = builder()?
            .dns_resolver(Arc::new(Guarded { allow_private }))
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .timeout(WHOLE)
            .pool_idle_timeout(IDLE)
            .build()?;
        Ok(Self { client, allow_private })
    }

    /// One POST.
    ///
    /// # Errors
    /// The class of what went wrong.
    pub async fn post(&self, url: Url, headers: HeaderMap, body: Vec<u8>) -> Result<Answer, Fault> {
        // An address that is written in the URL is never resolved: it is looked at here.
        if !self.allow_private && check_host(&url).is_err() {
            return Err(Fault::Blocked);
        }
        let request = self.client.post(url).headers(headers).body(body);
        let mut response = request.send().await.map_err(|error| class(&error))?;
        let status = response.status().as_u16();
        let retry_after = response.headers().get(RETRY_AFTER);
        let retry_after = retry_after.and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mut read = Vec::new();
        // An answer that is too long, or breaks off behind its status, has said what counts.
        while let Ok(Some(chunk)) = response.chunk().await {
            read.extend_from_slice(&chunk);
            if read.len() >= MOST {
                break;
            }
        }
        read.truncate(KEPT);
        let text = String::from_utf8_lossy(&read).replace('\0', "\u{fffd}");
        Ok(Answer { status, retry_after, text })
    }
}

/// A client that trusts what the system trusts, follows no redirect, heeds no proxy and repeats nothing by itself.
///
/// # Errors
/// TLS cannot be set up.
pub(crate) fn builder() -> Result<reqwest::ClientBuilder, Box<dyn Error + Send + Sync>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(reqwest::Client::builder()
        .tls_backend_preconfigured(tls.with_root_certificates(roots).with_no_client_auth())
        .user_agent(concat!("sendwright/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy())
}

/// The headers of a webhook, signed for an instant; `None` where the id is no header's text.
pub fn signed(secrets: &[SigningSecret], id: &str, seconds: i64, body: &[u8]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(webhook::ID, HeaderValue::from_str(id).ok()?);
    headers.insert(webhook::TIMESTAMP, HeaderValue::from(seconds));
    let signature = webhook::sign(secrets, id, seconds, body);
    headers.insert(webhook::SIGNATURE, HeaderValue::from_str(&signature).ok()?);
    Some(headers)
}

fn class(error: &reqwest::Error) -> Fault {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        if inner.downcast_ref::<Fault>().is_some() {
            return Fault::Blocked;
        }
        cause = inner.source();
    }
    match error {
        error if error.is_timeout() => Fault::Timeout,
        error if error.is_connect() => Fault::NoConnection,
        _ => Fault::Broken,
    }
}

/// Resolves names to addresses of the public internet alone.
struct Guarded {
    allow_private: bool,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let found: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let open: Vec<_> = found.iter().filter(|a| allow_private || is_public(a.ip())).copied().collect();
            match open.is_empty() && !found.is_empty() {
                true => Err(Fault::Blocked.into()),
                false => Ok(Box::new(open.into_iter()) as Addrs),
            }
        })
    }
}
