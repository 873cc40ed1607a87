//! A server of domain names of one test's own: it knows some TXT records, and that there is nothing else.

use std::net::SocketAddr;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// The server; gone with the value.
pub struct DnsServer {
    at: SocketAddr,
    task: JoinHandle<()>,
}

impl DnsServer {
    /// Serves TXT records, (name, text), on a free port.
    pub async fn start(records: &[(&str, &str)]) -> DnsServer {
        let records: Vec<(String, String)> =
            records.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let at = socket.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let mut query = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut query).await {
                let _ = socket.send_to(&answer(&query[..length], &records), from).await;
            }
        });
        DnsServer { at, task }
    }

    /// Where it listens.
    pub fn address(&self) -> String {
        self.at.to_string()
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// RFC 1035, 4: the question again, and an answer of one record for each text.
fn answer(query: &[u8], records: &[(String, String)]) -> Vec<u8> {
    let (mut labels, mut at) = (Vec::new(), 12);
    while query[at] != 0 {
        let length = usize::from(query[at]);
        labels.push(String::from_utf8_lossy(&query[at + 1..=at + length]).to_lowercase());
        at += 1 + length;
    }
    let (name, question) = (labels.join("."), &query[12..at + 5]);
    let is_txt = question[question.len() - 4..] == [0, 16, 0, 1];
    let found: Vec<&String> =
        records.iter().filter(|(known, _)| is_txt && *known == name).map(|(_, text)| text).collect();
    // A response, recursion available; a name without records is no name.
    let code = if found.is_empty() { 3 } else { 0 };
    let mut out =
        [&query[..2], &[0x81, 0x80 | code, 0, 1, 0, found.len() as u8, 0, 0, 0, 0], question].concat();
    for text in found {
        let pieces: Vec<u8> =
            text.as_bytes().chunks(255).flat_map(|piece| [&[piece.len() as u8], piece].concat()).collect();
        out.extend([0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 60]);
        out.extend((pieces.len() as u16).to_be_bytes());
        out.extend(pieces);
    }
    out
}
