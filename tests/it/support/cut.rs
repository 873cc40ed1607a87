//! A wire to a database that is cut at one question: the server has answered it, and whoever asked never hears.

use std::io::Result;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// Most bytes of one question or answer.
const PIECE: usize = 64 << 10;

/// The wire; every connection over it ends with it.
pub struct Cut {
    port: u16,
    count: Arc<Count>,
    accepting: JoinHandle<()>,
}

/// Questions over all connections.
#[derive(Default)]
struct Count {
    asked: AtomicUsize,
    at: AtomicUsize,
}

impl Cut {
    /// A wire to a port of 127.0.0.1 that is whole.
    pub async fn to(port: u16) -> Cut {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let own = listener.local_addr().expect("an address").port();
        let count = Arc::new(Count::default());
        let accepting = tokio::spawn(accept(listener, port, count.clone()));
        Cut { port: own, count, accepting }
    }

    /// Its near end.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The answer to the n-th question from now on is lost, and its connection with it.
    pub fn at(&self, nth: usize) {
        self.count.asked.store(0, Ordering::SeqCst);
        self.count.at.store(nth, Ordering::SeqCst);
    }

    /// Nothing is lost from now on. Whether anything was.
    pub fn mend(&self) -> bool {
        let at = self.count.at.swap(0, Ordering::SeqCst);
        self.count.asked.load(Ordering::SeqCst) >= at
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, to: u16, count: Arc<Count>) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        connections.spawn(carry(socket, to, count.clone()));
        while connections.try_join_next().is_some() {}
    }
}

/// The life of one connection.
async fn carry(mut near: TcpStream, to: u16, count: Arc<Count>) -> Result<()> {
    let mut far = TcpStream::connect((Ipv4Addr::LOCALHOST, to)).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let (mut question, mut answer) = (vec![0; PIECE], vec![0; PIECE]);
    let mut is_cut = false;
    loop {
        tokio::select! {
            asked = near.read(&mut question) => {
                let asked = asked?;
                if asked == 0 {
                    return Ok(());
                }
                is_cut |= count.asked.fetch_add(1, Ordering::SeqCst) + 1 == count.at.load(Ordering::SeqCst);
                far.write_all(&question[..asked]).await?;
            }
            answered = far.read(&mut answer) => {
                let answered = answered?;
                if answered == 0 || is_cut {
                    return Ok(());
                }
                near.write_all(&answer[..answered]).await?;
            }
        }
    }
}
