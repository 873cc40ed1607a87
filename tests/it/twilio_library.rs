//! Twilio's own RequestValidator and ours: whatever one signs the other believes, a running server included, and nothing
//! that was altered since (S2-36).

use crate::support::process::{Process, run};
use crate::support::twilio_library::{installed, python};
use crate::support::twilio_server::{SID, TOKEN};
use axum::http::HeaderMap;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use sendwright_worker::http::Http;
use sendwright_workflows::callback::{is_signed, signature};
use serde_json::{Value, json};

const PUBLIC: &str = "https://out.example.com";

/// Signs every form as Twilio does, and judges our signature of it, the same with one letter more, and of another URL.
const PYTHON: &str = "
import json, sys
from twilio.request_validator import RequestValidator

class Form(dict):
    def __init__(self, pairs):
        super().__init__(pairs)
        self.pairs = pairs
    def getall(self, name):
        return [value for key, value in self.pairs if key == name]

said = json.load(sys.stdin)
validator = RequestValidator(said['token'])
told = []
for one in said['asked']:
    form = Form([tuple(pair) for pair in one['form']])
    more = Form(form.pairs + [('Body', 'more')])
    told.append([
        validator.compute_signature(one['url'], form),
        validator.validate(one['url'], form, one['signature']),
        validator.validate(one['url'], more, one['signature']),
        validator.validate(one['url'] + 'x', form, one['signature']),
    ])
print(json.dumps(told))
";

/// Forms as Twilio posts them, and some as it never would: any letters, empty values, a name twice.
fn forms(seed: u8, count: usize) -> Vec<Vec<(String, String)>> {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let name = prop_oneof![
        Just("Body".to_owned()),
        Just("FromCity".to_owned()),
        "[A-Za-z][A-Za-z0-9_]{0,12}",
        "\\PC{1,6}"
    ];
    let value = prop_oneof![Just(String::new()), "[ -~]{0,40}", "\\PC{0,40}", "[+&=%;\\r\\n\u{1f600}]{1,8}"];
    let strategy = prop::collection::vec((name, value), 0..12);
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

fn pairs(form: &[(String, String)]) -> Vec<(&str, &str)> {
    form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

async fn judged(place: &std::path::Path, asked: &[(String, Vec<(String, String)>)]) -> Vec<Value> {
    let asked: Vec<Value> = asked
        .iter()
        .map(|(url, form)| json!({ "url": url, "form": form, "signature": signature(TOKEN, url, pairs(form)) }))
        .collect();
    let told = python(PYTHON, place, json!({ "token": TOKEN, "asked": asked })).await;
    told.as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twilios_validator_and_ours_believe_the_same_signatures() {
    let Some(place) = installed() else { return };
    let urls = [
        "https://out.example.com/webhooks/inbound",
        "https://out.example.com:8443/a?b=%20c&d=+",
        "http://out.example.com/webhooks/status?attempt=0a1b2c",
    ];
    let asked: Vec<_> = urls.iter().cycle().map(|url| (*url).to_owned()).zip(forms(1, 600)).collect();
    let told = judged(place.path(), &asked).await;
    for ((url, form), told) in asked.iter().zip(told) {
        let theirs = told[0].as_str().unwrap();
        assert_eq!(theirs, signature(TOKEN, url, pairs(form)), "{url} {form:?}");
        assert_eq!(told.as_array().unwrap()[1..], [true, false, false].map(Value::from), "{url} {form:?}");
        assert!(is_signed(TOKEN, url, &pairs(form), theirs));
        let mut more = pairs(form);
        more.push(("Body", "more"));
        assert!(
            !is_signed(TOKEN, url, &more, theirs)
                && !is_signed(TOKEN, &format!("{url}x"), &pairs(form), theirs)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_twilios_library_signs_is_taken_by_a_running_server_and_what_was_altered_is_not() {
    let Some(place) = installed() else { return };
    let data = tempfile::tempdir().unwrap();
    let environment = vec![
        ("SENDWRIGHT_DATA", data.path().display().to_string()),
        ("SENDWRIGHT_PUBLIC_URL", PUBLIC.to_owned()),
        ("TWILIO_ACCOUNT_SID", SID.to_owned()),
        ("TWILIO_AUTH_TOKEN", TOKEN.to_owned()),
        ("TWILIO_FROM", "+15550001111".to_owned()),
    ];
    run(&["key", "create", "--name", "x"], &environment);
    let api = Process::start(&["api", "--bind", "127.0.0.1:0"], &environment);
    let path = |n: usize| match n % 3 {
        0 => "/webhooks/inbound".to_owned(),
        1 => format!("/webhooks/status?attempt={n:x}"),
        _ => format!("/webhooks/inbound?campaign=a%20b&n={n}"),
    };
    let asked: Vec<_> = forms(2, 60)
        .into_iter()
        .enumerate()
        .map(|(n, mut form)| {
            form.retain(|(name, _)| !["MessageSid", "MessageStatus", "AccountSid"].contains(&name.as_str()));
            let own = [
                ("MessageSid", format!("SM{n}")),
                ("MessageStatus", "sent".into()),
                ("AccountSid", SID.into()),
            ];
            form.extend(own.map(|(name, value)| (name.to_owned(), value)));
            (format!("{PUBLIC}{}", path(n)), form)
        })
        .collect();
    let told = judged(place.path(), &asked).await;
    let client = Http::new(true).unwrap();
    let post = async |path: &str, form: &[(String, String)], signature: &str| {
        let mut headers = HeaderMap::new();
        headers.insert("x-twilio-signature", signature.parse().unwrap());
        headers.insert("content-type", "application/x-www-form-urlencoded".parse().unwrap());
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let to = format!("http://{}{path}", api.address()).parse().unwrap();
        client.post(to, headers, body.into_bytes()).await.unwrap().status
    };
    for (n, ((_, form), told)) in asked.iter().zip(&told).enumerate() {
        let (path, theirs) = (path(n), told[0].as_str().unwrap());
        assert_eq!(post(&path, form, theirs).await, 200, "{path} {form:?}");
        let mut altered = form.clone();
        match n % 4 {
            0 => altered.push(("Body".into(), "STOP".into())),
            1 => altered
                .iter_mut()
                .for_each(|(name, value)| value.push_str(if name == "MessageSid" { "0" } else { "" })),
            2 => altered.retain(|(name, _)| name != "AccountSid"),
            _ => altered.iter_mut().for_each(|(name, value)| {
                if name == "MessageStatus" {
                    *value = "read".into()
                }
            }),
        }
        assert_eq!(post(&path, &altered, theirs).await, 403, "{path} {altered:?}");
        let longer = if path.contains('?') { format!("{path}&x=1") } else { format!("{path}?x=1") };
        assert_eq!(post(&longer, form, theirs).await, 403, "{longer}");
        assert_eq!(post(&path, form, &theirs.to_lowercase()).await, 403);
        // Where the address has its overrides behind a `#`, they may be signed with it.
        let whole = signature(TOKEN, &format!("{PUBLIC}{path}#rc=5&rp=ct,rt,5xx"), pairs(form));
        assert_eq!(post(&path, form, &whole).await, 200);
    }
}
