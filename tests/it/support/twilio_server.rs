//! A stand-in for Twilio's API on loopback: it makes messages, lists them, fails as it is told to, and calls back with
//! signed forms, as often and in whatever order a test likes.
//!
//! Recipients that Twilio itself keeps for tests answer as Twilio says: `+15005550001` is no valid number (21211),
//! `…0002` has no route (21612), `…0003` no permission for its region (21408), `…0004` has said STOP (21610), `…0009` takes
//! no text messages (21614).

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sendwright_store::clock::wall_millis;
use sendwright_worker::http::Http;
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The only account there is, and its token.
pub const SID: &str = "AC00000000000000000000000000000001";
pub const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// What the server does with one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Makes it: 201.
    Accept,
    /// Makes none: this status, code and sentence.
    Refuse(u16, u32, &'static str),
    /// Makes none: 429, code 20429, `Retry-After` in seconds.
    SlowDown(u32),
    /// Makes none: 500.
    Fail,
    /// Makes it, then answers 500 (the page of code 20500 warns of it).
    AcceptAndFail,
    /// Makes it, then says nothing for so long.
    AcceptAndStall(Duration),
    /// Makes it, then breaks off within the answer.
    AcceptAndBreak,
    /// Makes none and says nothing for so long.
    Stall(Duration),
}

/// A message as it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    pub sid: String,
    pub to: String,
    /// The number, or the messaging service's SID.
    pub from: String,
    pub body: String,
    pub media: Vec<String>,
    pub content_sid: Option<String>,
    pub content_variables: Option<String>,
    pub status_callback: Option<String>,
    pub status: String,
    pub error_code: Option<u32>,
    /// Unix milliseconds.
    pub made_at: i64,
}

#[derive(Default)]
struct Inner {
    base: String,
    script: VecDeque<Act>,
    by_number: HashMap<String, Act>,
    made: Vec<Made>,
    /// Every request to make a message, refused ones too: the recipient.
    asked: Vec<String>,
    lists: usize,
    lists_fail: bool,
    account_status: Option<&'static str>,
}

type Shared = Arc<Mutex<Inner>>;

/// The server; it ends when dropped.
pub struct TwilioServer {
    address: SocketAddr,
    inner: Shared,
    task: JoinHandle<()>,
}

impl TwilioServer {
    /// Accepts everything, until it is told otherwise.
    pub async fn start() -> Self {
        Self::scripted([]).await
    }

    /// Does with the first messages what the script says, and accepts the rest.
    pub async fn scripted(script: impl IntoIterator<Item = Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let base = format!("http://{address}");
        let inner: Shared =
            Arc::new(Mutex::new(Inner { base, script: script.into_iter().collect(), ..Inner::default() }));
        let routes = Router::new()
            .route("/2010-04-01/Accounts/{account}", get(account))
            .route("/2010-04-01/Accounts/{account}/Messages.json", post(make).get(list))
            .route("/2010-04-01/Accounts/{account}/Messages/{message}", get(fetch))
            .with_state(inner.clone());
        let task = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { address, inner, task }
    }

    /// What to set `TWILIO_API_BASE` to.
    pub fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What the next message without a rule of its own comes to, behind those that were told before.
    pub fn next(&self, act: Act) {
        self.lock().script.push_back(act);
    }

    /// What every message to a number comes to, by E.164; `Act::Accept` takes it back.
    pub fn to_number(&self, number: &str, act: Act) {
        self.lock().by_number.insert(number.to_owned(), act);
    }

    /// What the account's own resource says: `active`, `suspended`, `closed`.
    pub fn account_is(&self, status: &'static str) {
        self.lock().account_status = Some(status);
    }

    /// Every message that was made, in order.
    pub fn made(&self) -> Vec<Made> {
        self.lock().made.clone()
    }

    /// How many times it was asked to make a message, whatever came of it.
    pub fn asked(&self) -> usize {
        self.lock().asked.len()
    }

    /// Whether its list answers 500.
    pub fn lists_fail(&self, fail: bool) {
        self.lock().lists_fail = fail;
    }

    /// How many pages of its list were asked for.
    pub fn lists(&self) -> usize {
        self.lock().lists
    }

    /// A message that somebody else made in the same account.
    pub fn made_by_others(&self, to: &str, from: &str, body: &str) {
        let mut inner = self.lock();
        let made = Made {
            sid: format!("SM{:032x}", inner.made.len() + 1),
            to: to.into(),
            from: from.into(),
            body: body.into(),
            media: Vec::new(),
            content_sid: None,
            content_variables: None,
            status_callback: None,
            status: "delivered".into(),
            error_code: None,
            made_at: wall_millis(),
        };
        inner.made.push(made);
    }

    /// Waits until so many are made.
    pub async fn wait_for(&self, count: usize, patience: Duration) -> Vec<Made> {
        let until = Instant::now() + patience;
        while self.lock().made.len() < count {
            assert!(Instant::now() < until, "{} of {count} messages were made", self.lock().made.len());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.made()
    }

    /// The form that a callback about a message says, and the signature of it to this address.
    pub fn callback(
        &self,
        url: &str,
        made: &Made,
        status: &str,
        error: Option<u32>,
    ) -> (Vec<(String, String)>, String) {
        let mut form: Vec<(String, String)> = [
            ("MessageSid", made.sid.as_str()),
            ("SmsSid", &made.sid),
            ("MessageStatus", status),
            ("SmsStatus", status),
            ("To", &made.to),
            ("From", &made.from),
            ("AccountSid", SID),
            ("ApiVersion", "2010-04-01"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        if let Some(code) = error {
            form.push(("ErrorCode".into(), code.to_string()));
        }
        let signature = sign(url.split('#').next().unwrap_or(url), &form);
        (form, signature)
    }

    /// Moves a message to a status, and posts it where the message said; the answer's status.
    pub async fn call_back(&self, sid: &str, status: &str, error: Option<u32>) -> u16 {
        let made = {
            let mut inner = self.lock();
            let made = inner.made.iter_mut().find(|made| made.sid == sid).unwrap();
            (made.status, made.error_code) = (status.to_owned(), error);
            made.clone()
        };
        let url = made.status_callback.clone().unwrap();
        let (form, signature) = self.callback(&url, &made, status, error);
        let mut headers = HeaderMap::new();
        headers.insert("x-twilio-signature", signature.parse().unwrap());
        headers.insert("content-type", "application/x-www-form-urlencoded".parse().unwrap());
        let encoded = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&form).finish();
        let answer = Http::new(true).unwrap().post(url.parse().unwrap(), headers, encoded.into_bytes()).await;
        answer.unwrap().status
    }

    /// The same for several, each posted `times` times in the order given.
    pub async fn call_back_all(&self, sid: &str, statuses: &[&str], times: usize) {
        for status in statuses {
            for _ in 0..times {
                self.call_back(sid, status, None).await;
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }
}

impl Drop for TwilioServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// `X-Twilio-Signature`: HMAC-SHA1 under the token of the address and every parameter, sorted by name.
pub fn sign(url: &str, form: &[(String, String)]) -> String {
    let mut sorted = form.to_vec();
    sorted.sort();
    let all: String = sorted.iter().fold(url.to_owned(), |all, (name, value)| all + name + value);
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, TOKEN.as_bytes());
    STANDARD.encode(ring::hmac::sign(&key, all.as_bytes()))
}

fn refused(headers: &HeaderMap, account: &str) -> Option<Response> {
    let expected = format!("Basic {}", STANDARD.encode(format!("{SID}:{TOKEN}")));
    let given = headers.get("authorization").and_then(|value| value.to_str().ok());
    match given == Some(&expected) && account.trim_end_matches(".json") == SID {
        true => None,
        false => Some(refusal(401, 20003, "Authenticate")),
    }
}

fn refusal(status: u16, code: u32, message: &str) -> Response {
    let more = format!("https://www.twilio.com/docs/errors/{code}");
    let body = json!({ "code": code, "message": message, "more_info": more, "status": status });
    (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
}

async fn account(State(inner): State<Shared>, Path(account): Path<String>, headers: HeaderMap) -> Response {
    if let Some(refused) = refused(&headers, &account) {
        return refused;
    }
    let status = inner.lock().unwrap().account_status.unwrap_or("active");
    Json(json!({ "sid": SID, "friendly_name": "Stand-in", "status": status, "type": "Full" })).into_response()
}

async fn make(
    State(inner): State<Shared>,
    Path(account): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Some(refused) = refused(&headers, &account) {
        return refused;
    }
    let form: Vec<(String, String)> = url::form_urlencoded::parse(&body).into_owned().collect();
    let one = |name: &str| form.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
    let Some(to) = one("To") else { return refusal(400, 21604, "A 'To' phone number is required.") };
    let Some(from) = one("From").or_else(|| one("MessagingServiceSid")) else {
        return refusal(400, 21603, "A 'From' phone number is required.");
    };
    let media: Vec<String> =
        form.iter().filter(|(name, _)| name == "MediaUrl").map(|(_, url)| url.clone()).collect();
    if one("Body").is_none() && one("ContentSid").is_none() && media.is_empty() {
        return refusal(400, 21602, "Message body is required.");
    }
    let number = to.trim_start_matches("whatsapp:").to_owned();
    let act = {
        let mut inner = inner.lock().unwrap();
        inner.asked.push(number.clone());
        let own = inner.by_number.get(&number).cloned().or_else(|| magic(&number));
        own.or_else(|| inner.script.pop_front()).unwrap_or(Act::Accept)
    };
    let made = || {
        let mut inner = inner.lock().unwrap();
        let made = Made {
            sid: format!("SM{:032x}", inner.made.len() + 1),
            to: to.clone(),
            from: from.clone(),
            body: one("Body").unwrap_or_default(),
            media: media.clone(),
            content_sid: one("ContentSid"),
            content_variables: one("ContentVariables"),
            status_callback: one("StatusCallback"),
            status: "queued".into(),
            error_code: None,
            made_at: wall_millis(),
        };
        inner.made.push(made.clone());
        made
    };
    match act {
        Act::Accept => (StatusCode::CREATED, Json(shown(&made()))).into_response(),
        Act::Refuse(status, code, message) => refusal(status, code, message),
        Act::SlowDown(seconds) => {
            let mut refused = refusal(429, 20429, "Too Many Requests");
            refused.headers_mut().insert("retry-after", seconds.into());
            refused
        }
        Act::Fail => refusal(500, 20500, "Internal Server Error"),
        Act::AcceptAndFail => {
            made();
            refusal(500, 20500, "Internal Server Error")
        }
        Act::AcceptAndStall(wait) => {
            let made = made();
            tokio::time::sleep(wait).await;
            (StatusCode::CREATED, Json(shown(&made))).into_response()
        }
        Act::AcceptAndBreak => {
            made();
            let broken = futures::stream::iter([Ok("{\"sid\":"), Err(std::io::Error::other("broken off"))]);
            (StatusCode::CREATED, Body::from_stream(broken)).into_response()
        }
        Act::Stall(wait) => {
            tokio::time::sleep(wait).await;
            refusal(500, 20500, "Internal Server Error")
        }
    }
}

/// Twilio's own numbers for tests.
fn magic(number: &str) -> Option<Act> {
    let refuse = |code, message| Some(Act::Refuse(400, code, message));
    match number {
        "+15005550001" => refuse(21211, "The 'To' number +15005550001 is not a valid phone number."),
        "+15005550002" => refuse(21612, "The 'To' and 'From' numbers cannot be connected."),
        "+15005550003" => refuse(21408, "Permission to send an SMS has not been enabled for the region."),
        "+15005550004" => refuse(21610, "Attempt to send to unsubscribed recipient"),
        "+15005550009" => refuse(21614, "'To' number is not a valid mobile number"),
        _ => None,
    }
}

async fn fetch(
    State(inner): State<Shared>,
    Path((account, message)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    if let Some(refused) = refused(&headers, &account) {
        return refused;
    }
    let sid = message.trim_end_matches(".json");
    let inner = inner.lock().unwrap();
    match inner.made.iter().find(|made| made.sid == sid) {
        Some(made) => Json(shown(made)).into_response(),
        None => refusal(404, 20404, "The requested resource was not found"),
    }
}

/// Pages of at most two messages, so that they must be followed; the newest first, as Twilio lists them.
async fn list(
    State(inner): State<Shared>,
    Path(account): Path<String>,
    Query(query): Query<HashMap<String, String>>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    if let Some(refused) = refused(&headers, &account) {
        return refused;
    }
    let mut inner = inner.lock().unwrap();
    inner.lists += 1;
    if inner.lists_fail {
        return refusal(500, 20500, "Internal Server Error");
    }
    let asked = |name: &str, value: &str| query.get(name).is_none_or(|wanted| wanted == value);
    let found: Vec<&Made> =
        inner.made.iter().rev().filter(|made| asked("To", &made.to) && asked("From", &made.from)).collect();
    let page: usize = query.get("Page").map_or(0, |page| page.parse().unwrap());
    let shown: Vec<Value> = found.iter().skip(2 * page).take(2).map(|made| shown(made)).collect();
    let next = (found.len() > 2 * (page + 1)).then(|| {
        let mut next = url::Url::parse(&format!("{}{uri}", inner.base)).unwrap();
        let kept: Vec<(String, String)> =
            next.query_pairs().into_owned().filter(|(name, _)| name != "Page").collect();
        next.query_pairs_mut().clear().extend_pairs(kept).append_pair("Page", &(page + 1).to_string());
        format!("{}?{}", next.path(), next.query().unwrap())
    });
    Json(json!({ "messages": shown, "next_page_uri": next, "page": page, "page_size": 2 })).into_response()
}

fn shown(made: &Made) -> Value {
    let service = made.from.starts_with("MG");
    let at = chrono::DateTime::from_timestamp_millis(made.made_at).unwrap().to_rfc2822();
    json!({
        "account_sid": SID,
        "api_version": "2010-04-01",
        "body": made.body,
        "date_created": at,
        "date_sent": null,
        "date_updated": at,
        "direction": "outbound-api",
        "error_code": made.error_code,
        "error_message": null,
        "from": if service { Value::Null } else { made.from.as_str().into() },
        "messaging_service_sid": if service { made.from.as_str().into() } else { Value::Null },
        "num_media": made.media.len().to_string(),
        "num_segments": "1",
        "price": null,
        "price_unit": null,
        "sid": made.sid,
        "status": made.status,
        "subresource_uris": {},
        "to": made.to,
        "uri": format!("/2010-04-01/Accounts/{SID}/Messages/{}.json", made.sid),
    })
}
