//! A scripted OpenAI-compatible server on loopback: each request gets the next answer of the script.
//!
//! It speaks HTTP by hand, so that it can also stall, break off and lie.
#![allow(dead_code)]

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// What the server does with one request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A completion with this content.
    Says(String),
    /// A completion that keeps the contract: `{"subject", "body"}`.
    Writes(&'static str, &'static str),
    /// A completion that declines in its `refusal` field.
    Declines,
    /// A completion cut at the limit of tokens.
    CutShort(String),
    /// This status, these headers, this body.
    Status(u16, &'static [(&'static str, &'static str)], String),
    /// The head of a 200 and then nothing, with the connection open.
    StallsAfterHeaders,
    /// Nothing at all, with the connection open.
    Silent,
    /// The connection closed without an answer.
    HangsUp,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The request line's path.
    pub path: String,
    /// The `Authorization` header.
    pub authorization: Option<String>,
    /// The body.
    pub body: Value,
}

impl Asked {
    /// The messages as pairs of role and content.
    pub fn messages(&self) -> Vec<(String, String)> {
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let messages = self.body["messages"].as_array().cloned().unwrap_or_default();
        messages.iter().map(|message| (word(&message["role"]), word(&message["content"]))).collect()
    }
}

/// The server; it ends when dropped.
pub struct ModelServer {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

struct State {
    script: VecDeque<Answer>,
    otherwise: Answer,
    asked: Vec<Asked>,
}

impl ModelServer {
    /// Answers by the script, and once that is through with 500.
    pub async fn scripted(script: impl IntoIterator<Item = Answer>) -> Self {
        Self::start(script.into_iter().collect(), Answer::Status(500, &[], "the script is through".into()))
            .await
    }

    /// Answers by the script, and once that is through with one answer.
    pub async fn scripted_then(script: impl IntoIterator<Item = Answer>, otherwise: Answer) -> Self {
        Self::start(script.into_iter().collect(), otherwise).await
    }

    /// Gives every request the same answer.
    pub async fn always(answer: Answer) -> Self {
        Self::start(VecDeque::new(), answer).await
    }

    async fn start(script: VecDeque<Answer>, otherwise: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let state = Arc::new(Mutex::new(State { script, otherwise, asked: Vec::new() }));
        let shared = state.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, shared.clone()));
            }
        });
        Self { address, state, task }
    }

    /// What to set `OPENAI_BASE_URL` to.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Every request so far, in order.
    pub fn asked(&self) -> Vec<Asked> {
        self.state.lock().expect("no panic holds it").asked.clone()
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(stream: TcpStream, state: Arc<Mutex<State>>) {
    let mut stream = BufReader::new(stream);
    while let Some(asked) = read_request(&mut stream).await {
        let answer = {
            let mut state = state.lock().expect("no panic holds it");
            state.asked.push(asked);
            state.script.pop_front().unwrap_or_else(|| state.otherwise.clone())
        };
        let open = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n";
        let reply = match answer {
            Answer::HangsUp => return,
            Answer::Silent => String::new(),
            Answer::StallsAfterHeaders => open.to_owned(),
            Answer::Status(status, headers, body) => response(status, headers, &body),
            Answer::Declines => {
                completion(json!({ "content": null, "refusal": "I would rather not." }), "stop")
            }
            Answer::CutShort(content) => completion(json!({ "content": content }), "length"),
            Answer::Says(content) => completion(json!({ "content": content }), "stop"),
            Answer::Writes(subject, body) => {
                let content = json!({ "subject": subject, "body": body }).to_string();
                completion(json!({ "content": content }), "stop")
            }
        };
        if stream.get_mut().write_all(reply.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn completion(mut message: Value, finish_reason: &str) -> String {
    message["role"] = json!("assistant");
    let body = json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "scripted-1",
        "choices": [{ "index": 0, "message": message, "finish_reason": finish_reason }],
        "usage": { "prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120 },
    });
    response(200, &[], &body.to_string())
}

fn response(status: u16, headers: &[(&str, &str)], body: &str) -> String {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    )
}

async fn read_request(stream: &mut BufReader<TcpStream>) -> Option<Asked> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok().filter(|&read| read > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let (mut length, mut authorization) = (0, None);
    loop {
        line.clear();
        stream.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().ok()?,
            "authorization" => authorization = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Asked { path, authorization, body: serde_json::from_slice(&body).ok()? })
}
