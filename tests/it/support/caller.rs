//! The provider's callbacks about what the stand-in made: out of order, doubled, before its own answer, about messages
//! that nobody knows, late, or never.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use futures::stream::{self, StreamExt};
use sendwright_worker::http::Http;

use super::dice::Dice;
use super::phones::{NUMBER, PUBLIC, sign};
use super::twilio_server::{Made, TwilioServer};

/// Posts under way at once.
const AT_ONCE: usize = 24;
/// The code of a phone that was not reached: it forbids nothing.
const UNREACHED: &str = "30003";

/// Where a message ends by what is called back about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fate {
    Delivered,
    Undelivered,
    /// Only that it was sent is ever told.
    Sent,
    /// Nothing is.
    Silence,
}

/// A post that is to come.
struct Post {
    at: Instant,
    path: String,
    sid: String,
    word: &'static str,
}

/// Who calls back.
pub struct Caller {
    http: Http,
    dice: Dice,
    read: usize,
    waiting: Vec<Post>,
    /// What becomes of each message, by its SID.
    pub fates: HashMap<String, Fate>,
    /// Posts that were answered.
    pub posted: usize,
    /// Of them about messages that nobody made.
    pub unknown: usize,
}

impl Caller {
    pub fn new(dice: Dice) -> Self {
        let http = Http::new(true).expect("a client");
        Self { http, dice, read: 0, waiting: Vec::new(), fates: HashMap::new(), posted: 0, unknown: 0 }
    }

    /// Decides about every message that was made since, and posts what is due by now. Answers how many posts are left;
    /// what is not answered, since nobody is there, is posted again later.
    pub async fn turn(&mut self, twilio: &TwilioServer, to: SocketAddr) -> usize {
        for made in twilio.made_after(self.read) {
            self.read += 1;
            self.decide(&made);
        }
        let now = Instant::now();
        let due: Vec<Post> = self.waiting.extract_if(.., |post| post.at <= now).collect();
        let http = &self.http;
        let posts = stream::iter(due).map(async |post| (say(http, to, &post).await, post));
        let ends: Vec<(bool, Post)> = posts.buffer_unordered(AT_ONCE).collect().await;
        for (is_answered, post) in ends {
            match is_answered {
                true => self.posted += 1,
                false => self.waiting.push(Post { at: now + Duration::from_millis(200), ..post }),
            }
        }
        self.waiting.len()
    }

    fn decide(&mut self, made: &Made) {
        let (fate, words): (_, &[&str]) = match self.dice.below(20) {
            0..14 => (Fate::Delivered, &["queued", "sent", "delivered"]),
            14..16 => (Fate::Undelivered, &["sent", "undelivered"]),
            16..18 => (Fate::Sent, &["queued", "sent"]),
            _ => (Fate::Silence, &[]),
        };
        self.fates.insert(made.sid.clone(), fate);
        let url = made.status_callback.as_deref().expect("every message says where it is called back");
        let path = url.strip_prefix(PUBLIC).expect("an address of ours");
        for &word in words {
            for _ in 0..=self.dice.below(2) {
                self.put(path, &made.sid, word);
            }
        }
        if self.dice.below(50) == 0 {
            self.unknown += 1;
            self.put("/webhooks/status", &format!("SMnobody{}", self.unknown), "delivered");
        }
    }

    /// Most come at once and in any order, some seconds later.
    fn put(&mut self, path: &str, sid: &str, word: &'static str) {
        let most = if self.dice.below(10) == 0 { 4_000 } else { 300 };
        let at = Instant::now() + Duration::from_millis(self.dice.below(most));
        self.waiting.push(Post { at, path: path.to_owned(), sid: sid.to_owned(), word });
    }
}

/// One post; whether it was answered with a yes. A refusal is a defect.
async fn say(http: &Http, to: SocketAddr, post: &Post) -> bool {
    let code = if post.word == "undelivered" { UNREACHED } else { "" };
    let form = [
        ("MessageSid", post.sid.as_str()),
        ("AccountSid", super::twilio_server::SID),
        ("MessageStatus", post.word),
        ("ErrorCode", code),
        ("To", "+14155550001"),
        ("From", NUMBER),
    ];
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let mut headers = HeaderMap::new();
    headers.insert("x-twilio-signature", sign(&post.path, &form).parse().expect("a header"));
    headers.insert("content-type", "application/x-www-form-urlencoded".parse().expect("a header"));
    let url = format!("http://{to}{}", post.path).parse().expect("a URL");
    match http.post(url, headers, body.into_bytes()).await {
        Ok(answer) => {
            assert!(matches!(answer.status, 200 | 503), "{}: {}", post.path, answer.status);
            answer.status == 200
        }
        Err(_) => false,
    }
}
