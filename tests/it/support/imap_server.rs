//! A Dovecot of one test's own: a mailbox in a directory, over STARTTLS and over TLS from the first byte.

use std::fs;
use std::io::{Error, Read};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::server::{Server, find_program, on_a_free_port};

/// What anybody logs in with.
const PASSWORD: &str = "hunter2/é";

const CONFIG: &str = "
base_dir = @PATH/run
state_dir = @PATH/run
log_path = @PATH/dovecot.log
login_greeting = @PATH
protocols = imap
listen = 127.0.0.1
ssl = required
ssl_cert = <@PATH/cert.pem
ssl_key = <@PATH/key.pem
default_internal_user = @USER
default_internal_group = @GROUP
default_login_user = @USER
mail_location = maildir:@PATH/mail
first_valid_uid = 1
passdb {
  driver = static
  args = password=@PASSWORD
}
userdb {
  driver = static
  args = home=@PATH/mail
}
service imap-login {
  chroot =
  inet_listener imap {
    port = @PLAIN
  }
  inet_listener imaps {
    port = @TLS
  }
}
service anvil {
  chroot =
}
service stats {
  chroot =
}
";

/// The server; gone with the value.
pub struct ImapServer {
    server: Server,
    plain: u16,
    tls: u16,
}

impl ImapServer {
    /// Starts one with an empty inbox.
    pub fn start() -> ImapServer {
        let mut server = Server::create().expect("a directory for Dovecot");
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        fs::write(server.path().join("cert.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        fs::write(server.path().join("key.pem"), key.serialize_pem()).unwrap();
        let mut plain = 0;
        let tls = on_a_free_port(|port| {
            plain = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
            serve(&mut server, plain, port)
        });
        ImapServer { server, plain, tls }
    }

    fn ca(&self) -> String {
        self.server.path().join("cert.pem").display().to_string()
    }

    /// Its address over TLS from the first byte, with another password if one is given.
    pub fn url(&self, password: Option<&str>) -> String {
        let password = password.unwrap_or("hunter2%2F%C3%A9");
        format!("imaps://ada%40example.com:{password}@localhost:{}/INBOX?ca={}", self.tls, self.ca())
    }

    /// Its address over STARTTLS.
    pub fn starttls_url(&self) -> String {
        format!("imap://ada%40example.com:hunter2%2F%C3%A9@localhost:{}?ca={}", self.plain, self.ca())
    }

    /// Puts a message into the inbox, as a server of mail would.
    pub fn deliver(&self, raw: &str) {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("{}.test", 1_768_473_000 + NEXT.fetch_add(1, Ordering::Relaxed));
        let (tmp, new) = (self.maildir().join("tmp"), self.maildir().join("new"));
        fs::write(tmp.join(&name), raw).unwrap();
        fs::rename(tmp.join(&name), new.join(&name)).unwrap();
    }

    /// Names of the files that a reader has marked as seen.
    pub fn seen(&self) -> usize {
        let files = fs::read_dir(self.maildir().join("cur")).unwrap();
        files.filter(|file| file.as_ref().unwrap().file_name().to_str().unwrap().contains(",S")).count()
    }

    /// Forgets the UIDs: the mailbox gets a new UIDVALIDITY.
    pub fn renumber(&self) {
        let list = self.maildir().join("dovecot-uidlist");
        let text = fs::read_to_string(&list).unwrap();
        let (head, rest) = text.split_once(" V").unwrap();
        let (old, rest) = rest.split_once(' ').unwrap();
        fs::write(list, format!("{head} V{} {rest}", old.parse::<u64>().unwrap() + 1)).unwrap();
        for file in fs::read_dir(self.maildir()).unwrap().map(|file| file.unwrap().path()) {
            if file.file_name().unwrap().to_str().unwrap().starts_with("dovecot.index") {
                fs::remove_file(file).unwrap();
            }
        }
    }

    fn maildir(&self) -> PathBuf {
        self.server.path().join("mail")
    }
}

/// The start is a shell's, since only the server's own user knows its name.
fn serve(server: &mut Server, plain: u16, tls: u16) -> Result<(), Error> {
    let program = find_program("dovecot", &[PathBuf::from("/usr/sbin")])?;
    let path = server.path().display().to_string();
    let config = CONFIG
        .replace("@PATH", &path)
        .replace("@PASSWORD", PASSWORD)
        .replace("@PLAIN", &plain.to_string())
        .replace("@TLS", &tls.to_string());
    fs::write(server.path().join("template"), config)?;
    let mut command = server.command(std::path::Path::new("/bin/sh"));
    let script = "mkdir -p run mail/new mail/cur mail/tmp \
        && sed \"s/@USER/$(id -un)/; s/@GROUP/$(id -gn)/\" template > dovecot.conf \
        && exec \"$0\" -F -c \"$PWD/dovecot.conf\"";
    command.args(["-c", script]).arg(program);
    server.start(command, |_| greets(plain, &path) && greets_at_all(tls))
}

fn greets(port: u16, word: &str) -> bool {
    let greeting = || {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut answer = [0; 1024];
        let length = stream.read(&mut answer)?;
        Ok::<_, Error>(String::from_utf8_lossy(&answer[..length]).into_owned())
    };
    greeting().is_ok_and(|greeting| greeting.contains(word))
}

fn greets_at_all(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}
