//! One bounded HTTP exchange with a model's server, as the service under async-openai's client.
//!
//! It stands in for that client's own service, which would retry in place, read without bound and log the
//! bodies it cannot read. Here one call is one request, and what comes back is known to parse.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use async_openai::{error::OpenAIError, middleware::HttpRequestFactory};
use bytes::BytesMut;
use reqwest::{Response, StatusCode, header::HeaderMap};
use serde::Deserialize;

/// Longest pause a server may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// The part of a chat completion that is read. Everything may be missing: compatible servers differ.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Completion {
    pub model: Option<String>,
    pub choices: Vec<Choice>,
    pub usage: Option<Usage>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Choice {
    pub message: Option<Message>,
    pub finish_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Message {
    pub content: Option<String>,
    pub refusal: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Usage {
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
}

/// Why an exchange gave no completion. No text of a message or an answer is in it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(super) enum Fault {
    #[error("it answered {status}{}", code.as_deref().map(|code| format!(" ({code})")).unwrap_or_default())]
    Status { status: u16, code: Option<String>, after: Option<Duration> },
    #[error("its answer is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("its answer is no chat completion")]
    NoCompletion,
    #[error("it did not answer in time")]
    Timeout,
    #[error("it could not be reached")]
    Unreachable,
    #[error("the connection to it broke")]
    Broken,
    #[error("the request could not be built")]
    Request,
}

impl From<Fault> for OpenAIError {
    fn from(fault: Fault) -> Self {
        Self::Boxed(Box::new(fault))
    }
}

impl From<OpenAIError> for Fault {
    fn from(error: OpenAIError) -> Self {
        match error {
            OpenAIError::Boxed(error) => error.downcast().map_or(Self::Broken, |fault| *fault),
            OpenAIError::Reqwest(error) => network(&error),
            _ => Self::Request,
        }
    }
}

fn network(error: &reqwest::Error) -> Fault {
    if error.is_timeout() {
        Fault::Timeout
    } else if error.is_connect() {
        Fault::Unreachable
    } else {
        Fault::Broken
    }
}

/// The service: sends a request once and reads at most `limit` bytes of its answer.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    http: reqwest::Client,
    limit: usize,
}

impl Transport {
    pub(super) fn new(http: reqwest::Client, limit: usize) -> Self {
        Self { http, limit }
    }

    async fn exchange(self, request: HttpRequestFactory) -> Result<Response, Fault> {
        let request = request.build().await?;
        let mut response = self.http.execute(request).await.map_err(|error| network(&error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| network(&error))? {
            body.extend_from_slice(&chunk);
            if body.len() > self.limit {
                break;
            }
        }
        if !status.is_success() {
            return Err(Fault::Status {
                status: status.as_u16(),
                code: error_code(&body),
                after: pause(&headers),
            });
        }
        if body.len() > self.limit {
            return Err(Fault::TooLarge { limit: self.limit });
        }
        match serde_json::from_slice::<Completion>(&body) {
            Ok(completion) if !completion.choices.is_empty() => {}
            _ => return Err(Fault::NoCompletion),
        }
        let mut response = http::Response::new(body.freeze());
        *response.status_mut() = StatusCode::OK;
        Ok(response.into())
    }
}

impl tower::Service<HttpRequestFactory> for Transport {
    type Response = Response;
    type Error = Fault;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Fault>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: HttpRequestFactory) -> Self::Future {
        Box::pin(self.clone().exchange(request))
    }
}

/// A client without retries and redirects that trusts the system's roots. `direct` passes by any proxy of
/// the environment, as a server on this machine must.
pub(super) fn http_client(direct: bool) -> Result<reqwest::Client, Box<dyn std::error::Error + Send + Sync>> {
    let mut roots = rustls::RootCertStore::empty();
    // Without a root, https fails at the handshake and a local http server still works.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls.with_root_certificates(roots).with_no_client_auth())
        .connect_timeout(Duration::from_secs(10))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never());
    Ok(if direct { client.no_proxy() } else { client }.build()?)
}

/// `Retry-After` in seconds (RFC 9110, 10.2.3), or the finer `retry-after-ms` of some servers.
fn pause(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
    let seconds = number("retry-after-ms").map(|ms| ms / 1000.0).or_else(|| number("retry-after"))?;
    let pause = Duration::try_from_secs_f64(seconds).ok()?;
    Some(pause.min(LONGEST_PAUSE))
}

/// The code in an error body, where it is a plain word: messages may quote the key or the prompt.
fn error_code(body: &[u8]) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let error = body.get("error")?;
    let code = error.get("code").and_then(|code| code.as_str()).or_else(|| error.get("type")?.as_str())?;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    (code.len() <= 60 && code.chars().all(plain)).then(|| code.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_read_in_seconds_and_bounded() {
        let read = |name: &'static str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            pause(&headers)
        };
        assert_eq!(read("retry-after", "7"), Some(Duration::from_secs(7)));
        assert_eq!(read("retry-after-ms", "1500"), Some(Duration::from_millis(1500)));
        assert_eq!(read("retry-after", "999999999"), Some(LONGEST_PAUSE));
        for nonsense in ["-1", "soon", "NaN", "inf", ""] {
            assert_eq!(read("retry-after", nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn an_error_tells_its_code_and_never_its_message() {
        let body = br#"{"error":{"message":"Incorrect key sk-abc","code":"invalid_api_key"}}"#;
        assert_eq!(error_code(body).as_deref(), Some("invalid_api_key"));
        assert_eq!(error_code(br#"{"error":{"code":"Bearer sk-abc"}}"#), None);
        assert_eq!(error_code(b"<html>"), None);
    }
}
