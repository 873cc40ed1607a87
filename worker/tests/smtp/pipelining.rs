//! Commands in one piece where the server offers it (RFC 2920), and nothing said in vain where it refuses.

use sendwright_worker::channels::{Outcome, Stage};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::{accepted, open, send};

/// A server that greets, then gives one answer of `answers` to each piece it reads; what it read comes back when the
/// other side hangs up or the answers are used up.
async fn server(hello: &'static str, answers: &'static [&'static str]) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smtp://{}?tls=none", listener.local_addr().unwrap());
    let read = tokio::spawn(async move {
        let (mut peer, _) = listener.accept().await.unwrap();
        peer.write_all(b"220 receiver.test\r\n").await.unwrap();
        piece(&mut peer).await;
        peer.write_all(hello.as_bytes()).await.unwrap();
        let mut pieces = Vec::new();
        for answer in answers {
            let Some(text) = piece(&mut peer).await else { return pieces };
            pieces.push(text);
            peer.write_all(answer.as_bytes()).await.unwrap();
        }
        pieces.extend(piece(&mut peer).await);
        pieces
    });
    (url, read)
}

/// What comes in one go; nothing once the other side is gone.
async fn piece(peer: &mut TcpStream) -> Option<String> {
    let mut bytes = vec![0; 64 << 10];
    let read = tokio::time::timeout(Duration::from_secs(10), peer.read(&mut bytes)).await.ok()?.ok()?;
    (read > 0).then(|| String::from_utf8_lossy(&bytes[..read]).into_owned())
}

const OFFERED: &str = "250-receiver.test\r\n250 PIPELINING\r\n";

#[tokio::test]
async fn commands_go_in_one_piece_where_the_server_takes_them_so() {
    let answers = &["250 ok\r\n250 ok\r\n354 go on\r\n"];
    let (url, read) = server(OFFERED, answers).await;
    let mut session = open(&url).await.unwrap();
    let sent = tokio::spawn(async move { send(&mut session).await });
    let pieces = read.await.unwrap();
    assert_eq!(pieces[0].lines().count(), 3, "{pieces:?}");
    assert!(pieces[0].starts_with("MAIL FROM:") && pieces[0].ends_with("DATA\r\n"), "{pieces:?}");
    assert!(!accepted(&sent.await.unwrap()), "it hung up before the answer");
}

#[tokio::test]
async fn commands_go_one_by_one_where_it_does_not_say_so() {
    let (url, read) = server("250 receiver.test\r\n", &["250 ok\r\n", "250 ok\r\n", "354 go on\r\n"]).await;
    let mut session = open(&url).await.unwrap();
    let sent = tokio::spawn(async move { send(&mut session).await });
    let pieces = read.await.unwrap();
    assert!(pieces[..3].iter().all(|piece| piece.lines().count() == 1), "{pieces:?}");
    assert!(!accepted(&sent.await.unwrap()));
}

/// RFC 2920 3.1: a server may answer 354 although it has refused every recipient.
#[tokio::test]
async fn a_body_is_never_given_to_a_server_that_asks_for_it_after_a_refusal() {
    for (answers, stage) in [
        (&["250 ok\r\n550 5.1.1 no such user\r\n354 go on\r\n"], Stage::Rcpt),
        (&["550 5.7.1 not you\r\n250 ok\r\n354 go on\r\n"], Stage::Mail),
    ] {
        let (url, read) = server(OFFERED, answers).await;
        let mut session = open(&url).await.unwrap();
        let outcome = send(&mut session).await;
        assert!(
            matches!(&outcome, Outcome::Refused { stage: s, code: 550, .. } if *s == stage),
            "{outcome:?}"
        );
        assert!(!session.is_usable(), "its next answer would be to the body that never came");
        drop(session);
        assert_eq!(read.await.unwrap().len(), 1, "nothing is said after the refusal");
    }
}

#[tokio::test]
async fn a_server_that_leaves_between_its_answers_is_a_definite_no() {
    for (answers, stage) in [(&["250 ok\r\n"], Stage::Rcpt), (&["250 ok\r\n250 ok\r\n"], Stage::Data)] {
        let (url, read) = server(OFFERED, answers).await;
        let mut session = open(&url).await.unwrap();
        let sent = tokio::spawn(async move { send(&mut session).await });
        read.abort();
        let outcome = tokio::time::timeout(Duration::from_secs(20), sent).await.unwrap().unwrap();
        let at = matches!(&outcome, Outcome::Failed { stage: s, .. } if *s == stage || *s == Stage::Mail);
        assert!(at, "{outcome:?}");
    }
}
