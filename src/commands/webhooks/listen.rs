//! `webhooks listen`: a receiver for one's own machine. One JSON line on stdout for each that arrives.

use crate::cli::ListenArgs;
use crate::failure::Failure;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use sendwright_store::clock::wall_millis;
use sendwright_worker::http::Http;
use sendwright_workflows::clock::rfc3339;
use sendwright_workflows::webhook::{self, SigningSecret};
use serde_json::{Value, json};
use std::io::{self, Write};
use std::sync::Arc;
use url::Url;

/// Most bytes of what is taken.
const MOST: usize = 1 << 20;

struct Listener {
    secret: Option<SigningSecret>,
    forward: Option<(Http, Url)>,
}

/// Listens until it is interrupted.
///
/// # Errors
/// The address is taken, or the secret does not read.
pub async fn run(args: ListenArgs) -> Result<(), Failure> {
    let http = || Http::new(true).map_err(|error| Failure::new(error.to_string()));
    let forward = args.forward.map(|url| Ok::<_, Failure>((http()?, url))).transpose()?;
    let listener = Listener { secret: super::secret(args.secret.as_deref())?, forward };
    let socket = tokio::net::TcpListener::bind(args.bind).await;
    let socket = socket.map_err(|error| Failure::new(format!("--bind {}: {error}", args.bind)))?;
    eprintln!("listening for webhooks at http://{}/", socket.local_addr()?);
    if listener.secret.is_none() {
        eprintln!("nothing is verified: give the webhook's secret with --secret");
    }
    let app =
        Router::new().fallback(arrive).layer(DefaultBodyLimit::max(MOST)).with_state(Arc::new(listener));
    let end = async { drop(tokio::signal::ctrl_c().await) };
    Ok(axum::serve(socket, app).with_graceful_shutdown(end).await?)
}

async fn arrive(
    State(listener): State<Arc<Listener>>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if method != Method::POST {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let said = [webhook::ID, webhook::TIMESTAMP, webhook::SIGNATURE].map(text);
    let now = wall_millis();
    let checked = listener
        .secret
        .as_ref()
        .map(|secret| webhook::verify(secret, (&said[0], &said[1], &said[2]), &body, now.div_euclid(1_000)));
    let fault = checked.as_ref().and_then(|checked| checked.as_ref().err());
    let forwarded = match &listener.forward {
        Some((http, url)) if fault.is_none() => Some(pass_on(http, url, &headers, &body).await),
        _ => None,
    };
    let status = match (fault, forwarded) {
        (Some(_), _) => 400,
        (None, Some(status)) => status,
        (None, None) => 200,
    };
    let content: Value =
        serde_json::from_slice(&body).unwrap_or_else(|_| String::from_utf8_lossy(&body).into_owned().into());
    let line = json!({
        "at": rfc3339(now), "webhook_id": said[0], "verified": checked.map(|checked| checked.is_ok()),
        "fault": fault.map(ToString::to_string), "forwarded": forwarded, "answered": status, "body": content,
    });
    // A reader that went away is no reason to refuse what arrives.
    let _ = writeln!(io::stdout(), "{line}");
    StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY).into_response()
}

async fn pass_on(http: &Http, url: &Url, headers: &HeaderMap, body: &Bytes) -> u16 {
    let mut passed = HeaderMap::new();
    for name in ["content-type", webhook::ID, webhook::TIMESTAMP, webhook::SIGNATURE] {
        if let Some(value) = headers.get(name) {
            passed.insert(name, value.clone());
        }
    }
    match http.post(url.clone(), passed, body.to_vec()).await {
        Ok(answer) => answer.status,
        Err(fault) => {
            eprintln!("--forward: {fault}");
            502
        }
    }
}
