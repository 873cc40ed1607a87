//! The Twilio channel on a raw socket: what is written when, and what each answer means (SEND_PROTOCOL 3, 6, 16).
#![allow(clippy::expect_used, clippy::unwrap_used)]

use sendwright_worker::channels::twilio::{Access, Client, From, Sender, Text, Trouble};
use sendwright_worker::channels::{Outcome, Refusal, Stage, Told};
use sendwright_workflows::sequence::Channel;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

const SID: &str = "AC0123456789abcdef0123456789abcdef";
const CREATED: &str =
    r#"{"sid":"SM00000000000000000000000000000001","status":"queued","new_field":{"a":[1]}}"#;
const BRIEFLY: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(20);

/// A server that takes one connection, waits for a whole request if `whole`, answers, and tells all it was sent.
async fn server(whole: bool, answer: Option<String>) -> (Sender, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut got = Vec::new();
        let mut chunk = [0; 4096];
        while !whole || !is_whole(&got) {
            match stream.read(&mut chunk).await {
                Ok(read) if read > 0 => got.extend_from_slice(&chunk[..read]),
                _ => return String::from_utf8(got).unwrap(),
            }
        }
        match answer {
            Some(answer) => {
                stream.write_all(answer.as_bytes()).await.unwrap();
                stream.shutdown().await.unwrap();
            }
            // Nothing, with the connection open, until the other side gives up.
            None => while stream.read(&mut chunk).await.is_ok_and(|read| read > 0) {},
        }
        String::from_utf8(got).unwrap()
    });
    (sender(&base, Channel::Sms), task)
}

fn sender(base: &str, channel: Channel) -> Sender {
    let access = Access { base: base.to_owned(), sid: SID.into(), token: "hunter2".into() };
    Sender { access, from: From::Number("+15550001111".into()), channel }
}

fn is_whole(got: &[u8]) -> bool {
    let text = String::from_utf8_lossy(got);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head
        .to_ascii_lowercase()
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

fn answer(status: u16, more: &str, body: &str) -> Option<String> {
    Some(format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n{more}\r\n{body}", body.len()))
}

fn text() -> Text {
    Text { to: "+14155551234".into(), body: "Hi Zoë & co".into(), ..Text::default() }
}

async fn send(sender: &Sender, wait: Duration) -> Told {
    Client::new(wait).unwrap().send(sender, &text(), || Ok(())).await
}

#[tokio::test]
async fn nothing_of_the_body_is_written_when_the_last_question_is_answered_no() {
    let (sender, got) = server(true, answer(201, "", CREATED)).await;
    let late = Refusal::TooLate { age_ms: 2_001, allowed_ms: 2_000 };
    let (asked, said) = (Arc::new(AtomicUsize::new(0)), late.clone());
    let count = asked.clone();
    let told = Client::new(LONG)
        .unwrap()
        .send(&sender, &text(), move || {
            count.fetch_add(1, Ordering::Relaxed);
            Err(said.clone())
        })
        .await;
    assert_eq!(told.said, Outcome::NotStarted { reason: late });
    assert_eq!(asked.load(Ordering::Relaxed), 1, "asked once");
    let got = got.await.unwrap();
    let body = got.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    assert_eq!(body, "", "the head may have left, the body never: {got}");
    assert!(!got.contains("To="), "{got}");
}

#[tokio::test]
async fn the_message_is_one_form_over_http_1_1_with_its_length_in_front() {
    let (sender, got) = server(true, answer(201, "", CREATED)).await;
    let text = Text {
        media: vec!["https://example.com/a.png".into(), "https://example.com/b.png".into()],
        status_callback: "https://mail.example.com/webhooks/status?attempt=t".parse().ok(),
        ..text()
    };
    let told = Client::new(LONG).unwrap().send(&sender, &text, || Ok(())).await;
    assert_eq!(told.said, Outcome::Accepted { code: 201, reply: "queued".into() });
    assert_eq!(told.receipt.id.as_deref(), Some("SM00000000000000000000000000000001"));
    let got = got.await.unwrap();
    let (head, body) = got.split_once("\r\n\r\n").unwrap();
    assert!(
        head.starts_with(&format!("POST /2010-04-01/Accounts/{SID}/Messages.json HTTP/1.1\r\n")),
        "{head}"
    );
    let head = head.to_ascii_lowercase();
    assert!(head.contains(&format!("content-length: {}", body.len())) && !head.contains("chunked"), "{head}");
    assert_eq!(
        body,
        "To=%2B14155551234&From=%2B15550001111&Body=Hi+Zo%C3%AB+%26+co&MediaUrl=https%3A%2F%2Fexample.com%2Fa.png\
         &MediaUrl=https%3A%2F%2Fexample.com%2Fb.png\
         &StatusCallback=https%3A%2F%2Fmail.example.com%2Fwebhooks%2Fstatus%3Fattempt%3Dt"
    );
}

#[tokio::test]
async fn whatsapp_has_its_prefix_on_both_sides_and_a_template_stands_for_the_text() {
    let (base, got) = server(true, answer(201, "", CREATED)).await;
    let sender = Sender { channel: Channel::Whatsapp, ..base };
    let content = Some(("HX1".to_owned(), r#"{"1":"Ada"}"#.to_owned()));
    let text = Text { content, ..text() };
    Client::new(LONG).unwrap().send(&sender, &text, || Ok(())).await;
    let got = got.await.unwrap();
    let body = got.split_once("\r\n\r\n").unwrap().1;
    assert_eq!(
        body,
        "To=whatsapp%3A%2B14155551234&From=whatsapp%3A%2B15550001111&ContentSid=HX1\
         &ContentVariables=%7B%221%22%3A%22Ada%22%7D"
    );
}

#[tokio::test]
async fn what_never_reached_the_server_is_a_definite_no() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/", nobody.local_addr().unwrap());
    drop(nobody);
    let told = send(&sender(&base, Channel::Sms), LONG).await;
    assert!(matches!(&told.said, Outcome::Failed { stage: Stage::Prepare, .. }), "{told:?}");
    assert!(!format!("{told:?}").contains("hunter2"));
}

#[tokio::test]
async fn every_answer_of_4xx_is_a_definite_no_with_its_code() {
    for status in [400, 401, 404, 410, 429] {
        let (sender, _) = server(true, answer(status, "retry-after: 7\r\n", r#"{"code":20429}"#)).await;
        let told = send(&sender, LONG).await;
        assert!(matches!(told.said, Outcome::Refused { code, .. } if code == status), "{told:?}");
        assert_eq!((told.receipt.code, told.receipt.retry_after), (Some(20429), Some(7_000)));
    }
}

#[tokio::test]
async fn what_is_silent_or_breaks_after_the_body_is_known_to_nobody() {
    let cut = "HTTP/1.1 201 X\r\ncontent-length: 500\r\n\r\n{\"sid\":\"SM".to_owned();
    let endless = format!("HTTP/1.1 201 X\r\ncontent-length: 9000000\r\n\r\n{}", " ".repeat(3_000_000));
    let cases = [
        ("a timeout", None),
        ("a 500", answer(500, "", r#"{"code":20500}"#)),
        ("a 503 of a proxy", answer(503, "", "<html>")),
        ("a body that breaks off", Some(cut)),
        ("a yes without a name", answer(201, "", "{}")),
        ("a hang-up", Some(String::new())),
        ("no HTTP", Some("220 smtp.example.com\r\n".into())),
        ("an answer without end", Some(endless)),
    ];
    for (case, answer) in cases {
        let (sender, got) = server(true, answer).await;
        let told = send(&sender, BRIEFLY).await;
        assert!(matches!(told.said, Outcome::Unknown { .. }), "{case}: {told:?}");
        got.abort();
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let (elsewhere, got) = server(false, None).await;
    let location = format!("location: {}\r\n", elsewhere.access.base);
    let (sender, _) = server(true, answer(307, &location, "")).await;
    let told = send(&sender, LONG).await;
    assert!(matches!(told.said, Outcome::Failed { stage: Stage::Answer, .. }), "{told:?}");
    assert!(!got.is_finished());
}

#[tokio::test]
async fn an_account_is_asked_for_by_its_own_resource() {
    let client = Client::new(LONG).unwrap();
    let (sender, got) = server(true, answer(200, "", r#"{"status":"suspended","sid":"AC1"}"#)).await;
    assert_eq!(client.account(&sender.access).await.unwrap(), "suspended");
    assert!(got.await.unwrap().starts_with(&format!("GET /2010-04-01/Accounts/{SID}.json HTTP/1.1\r\n")));
    let (sender, _) = server(true, answer(401, "", r#"{"code":20003,"message":"Authenticate"}"#)).await;
    let refused = Trouble::Refused { status: 401, code: Some(20003), retry_after: None };
    assert_eq!(client.account(&sender.access).await.unwrap_err(), refused);
}
