//! A port that takes connections and answers none: it falls silent, or resets them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What it does with a connection.
#[derive(Debug, Clone, Copy)]
pub enum Manner {
    /// Takes it, reads all that comes, and never says a word.
    Silent,
    /// Resets it once something has come.
    Resetting,
}

/// The port; closed when dropped.
pub struct Hole {
    address: SocketAddr,
    taken: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Hole {
    /// Opens it.
    pub async fn open(manner: Manner) -> Hole {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let taken = Arc::new(AtomicUsize::new(0));
        let count = taken.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(swallow(stream, manner));
            }
        });
        Hole { address, taken, task }
    }

    /// A URL there.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// How many connections it has taken.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

impl Drop for Hole {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn swallow(mut stream: TcpStream, manner: Manner) {
    let mut piece = vec![0; 4096];
    while let Ok(1..) = stream.read(&mut piece).await {
        if let Manner::Resetting = manner {
            let _ = stream.set_zero_linger();
            return;
        }
    }
}
