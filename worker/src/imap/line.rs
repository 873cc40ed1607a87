//! The connection under IMAP: encrypted where it must be, and closed once it has given more bytes than a reading may.

use super::Trouble;
use super::server::{Security, Server};
use crate::channels::smtp::tls;
use async_imap::Client;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// A connection of either kind, with the bytes it may still give.
#[derive(Debug)]
pub(super) struct Line {
    stream: Stream,
    left: usize,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Connects and encrypts; the greeting is read.
pub(super) async fn open(server: &Server, most: usize) -> Result<Client<Line>, Trouble> {
    let tcp = TcpStream::connect((server.host.as_str(), server.port)).await.map_err(Trouble::connect)?;
    match server.security {
        Security::Implicit => {
            let stream = Stream::Tls(Box::new(encrypt(server, tcp).await?));
            greeted(Line { stream, left: most }).await
        }
        Security::None => greeted(Line { stream: Stream::Plain(tcp), left: most }).await,
        Security::Required => {
            let mut client = greeted(Line { stream: Stream::Plain(tcp), left: most }).await?;
            let begun = client.run_command_and_check_ok("STARTTLS", None).await;
            begun.map_err(|_| Trouble::Tls("the server does not offer STARTTLS; use imaps://".into()))?;
            // What was read ahead in the clear is let go with the client: nobody speaks before the handshake.
            let Stream::Plain(tcp) = client.into_inner().stream else {
                return Err(Trouble::Tls("it is encrypted already".into()));
            };
            let stream = Stream::Tls(Box::new(encrypt(server, tcp).await?));
            Ok(Client::new(Line { stream, left: most }))
        }
    }
}

async fn greeted(line: Line) -> Result<Client<Line>, Trouble> {
    let mut client = Client::new(line);
    match client.read_response().await {
        Ok(Some(_)) => Ok(client),
        Ok(None) => Err(Trouble::Spoke("it closed the connection without a greeting".into())),
        Err(error) => Err(Trouble::Spoke(error.to_string())),
    }
}

async fn encrypt(server: &Server, tcp: TcpStream) -> Result<TlsStream<TcpStream>, Trouble> {
    let trouble = |error: &dyn std::fmt::Display| Trouble::Tls(error.to_string());
    let connector = tls::verifying(server.ca.as_deref()).map_err(|error| trouble(&error))?;
    let name = tls::server_name(&server.host).map_err(|error| trouble(&error))?;
    connector.connect(name, tcp).await.map_err(|error| Trouble::Tls(tls::cause(&error)))
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left == 0 {
            return Poll::Ready(Err(io::Error::other("the server sends more than a reading takes")));
        }
        let before = buf.filled().len();
        let polled = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        };
        self.left = self.left.saturating_sub(buf.filled().len() - before);
        polled
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
