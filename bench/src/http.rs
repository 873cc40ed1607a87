//! HTTP/1.1 over a connection that is kept, as much of it as loads and receivers need.

use anyhow::Context;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// A request or an answer; its body is passed over.
#[derive(Default)]
pub struct Message {
    /// The first line.
    pub first: String,
    /// The field `webhook-id`, empty without one.
    pub id: String,
}

/// Where posts go, with the key that they carry.
#[derive(Clone, Copy)]
pub struct To<'a> {
    /// The path.
    pub path: &'a str,
    /// The key of the API.
    pub key: &'a str,
    /// More header lines, each with its end.
    pub headers: &'a str,
}

/// Posts JSON and answers the status.
///
/// # Errors
/// The connection ended, or what came back is no answer.
pub async fn post(stream: &mut BufReader<TcpStream>, to: To<'_>, body: &str) -> anyhow::Result<u16> {
    let To { path, key, headers } = to;
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: bench\r\nx-api-key: {key}\r\ncontent-type: application/json\r\n{headers}\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let message = read(stream).await?.context("the connection ended")?;
    message.first.split(' ').nth(1).and_then(|code| code.parse().ok()).context("no status")
}

/// One request or answer with a length; none at the connection's end.
///
/// # Errors
/// The connection broke off.
pub async fn read(stream: &mut BufReader<TcpStream>) -> anyhow::Result<Option<Message>> {
    let mut message = Message::default();
    if stream.read_line(&mut message.first).await? == 0 {
        return Ok(None);
    }
    let (mut length, mut line) = (0, String::new());
    loop {
        line.clear();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse()?,
            "webhook-id" => message.id = value.to_owned(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Some(message))
}
