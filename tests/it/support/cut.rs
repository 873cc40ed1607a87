//! A wire to a database that is cut at one question: the server has answered it, and whoever asked never hears.

use std::io::Result;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::wire::NearEnd;

/// Most bytes of one question or answer.
const PIECE: usize = 64 << 10;

/// The wire; every connection over it ends with it.
pub struct Cut {
    near: NearEnd,
    count: Arc<Count>,
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
        let count = Arc::new(Count::default());
        let counts = count.clone();
        let near = NearEnd::open(move |socket| carry(socket, port, counts.clone())).await;
        Cut { near, count }
    }

    /// Its near end.
    pub fn port(&self) -> u16 {
        self.near.port
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
