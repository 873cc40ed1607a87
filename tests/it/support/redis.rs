//! A Redis of this test binary: one server, made at first use, and a logical database of its own for every test.

use std::io::{Error, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::plan;
use super::server::{Server, find_program, on_a_free_port};

const DATABASES: u32 = 2000;

/// The URL of an empty logical database on the server all tests of this binary share.
///
/// Works inside a runtime and outside of one; the first call starts the server. Channels of publish and subscribe are
/// shared by all of them; a test that flushes or stops Redis starts its own ([`Redis::start`]).
pub fn redis_url() -> String {
    static SHARED: OnceLock<Redis> = OnceLock::new();
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let database = NEXT.fetch_add(1, Ordering::Relaxed);
    assert!(database < DATABASES, "more tests ask for Redis than it has databases: raise DATABASES");
    format!("{}{database}", SHARED.get_or_init(Redis::start).url())
}

/// A Redis server of one test's own, to be broken at will; gone with the value. It keeps nothing on disk.
pub struct Redis {
    server: Server,
    port: u16,
}

impl Redis {
    /// Starts an empty server on a free port of 127.0.0.1.
    pub fn start() -> Redis {
        let mut server = Server::create().expect("a directory for Redis");
        let port = on_a_free_port(|port| serve(&mut server, port));
        Redis { server, port }
    }

    /// Starts another that has what the first has, and goes on to.
    pub fn replica_of(first: &Redis) -> Redis {
        let replica = Redis::start();
        for (server, command) in [
            (first, "CONFIG SET repl-diskless-sync-delay 0".to_owned()),
            (&replica, format!("REPLICAOF 127.0.0.1 {}", first.port)),
        ] {
            let answer = server.say(&command);
            assert!(answer.starts_with("+OK"), "{command}: {answer}");
        }
        let begun = Instant::now();
        while !replica.say("INFO replication").contains("master_link_status:up") {
            assert!(begun.elapsed() < Duration::from_secs(20), "the replica has not caught up");
            sleep(Duration::from_millis(20));
        }
        replica
    }

    /// The server's URL, ending in a slash; the same for the whole life of the value.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Kills the server and all it held.
    pub fn kill(&mut self) {
        self.server.end("KILL");
    }

    /// Starts the killed server again, empty, on the same port.
    pub fn start_again(&mut self) {
        serve(&mut self.server, self.port).expect("Redis starts again");
    }

    /// Stops the process where it stands: connections stay open and nothing answers.
    pub fn pause(&self) {
        self.server.signal("STOP");
    }

    /// Lets a paused process go on.
    pub fn resume(&self) {
        self.server.signal("CONT");
    }

    /// One inline command, and the first piece of its answer.
    pub fn say(&self, command: &str) -> String {
        // Questions change nothing.
        if !["INFO", "KEYS", "TYPE"].iter().any(|asking| command.starts_with(asking)) {
            plan::say(format_args!("Redis is told: {command}"));
        }
        ask(self.port, command).expect("our own Redis answers")
    }

    /// Deletes everything in every database.
    pub fn flush(&self) {
        let answer = self.say("FLUSHALL");
        assert!(answer.starts_with("+OK"), "FLUSHALL: {answer}");
    }
}

fn serve(server: &mut Server, port: u16) -> Result<(), Error> {
    let mut redis = server.command(&find_program("redis-server", &[PathBuf::from("/usr/sbin")])?);
    redis.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--databases", &DATABASES.to_string()]);
    redis.args(["--save", "", "--appendonly", "no"]);
    // Its own word, so that a stranger who took the port first is never mistaken for it.
    server.start(redis, |pid| {
        ask(port, "INFO server").is_ok_and(|answer| answer.contains(&format!("process_id:{pid}\r\n")))
    })
}

/// One inline command and the first piece of its answer.
fn ask(port: u16, command: &str) -> Result<String, Error> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "{command}\r\n")?;
    let mut answer = [0; 4096];
    let length = stream.read(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
}
