//! `doctor` really asks everything, says what to do, and sends one message where it is told to.

use crate::program::{Place, Ran};
use crate::support::dns_server::DnsServer;
use crate::support::model_server::{Answer, ModelServer};
use crate::support::postgres::database;
use crate::support::redis::redis_url;
use crate::support::smtp_server::{At, Certificate, Rule, Script, SmtpServer, Tls};
use sendwright_workflows::dkim::Key;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

const FROM: (&str, &str) = ("SMTP_FROM", "Anna <anna@example.com>");

/// Runs `doctor` beside the servers of this test.
async fn doctor(place: &Place, args: &[&str], environment: &[(&str, &str)]) -> Ran {
    let mut command = place.command(&[&["doctor"], args].concat());
    command.envs(environment.iter().copied());
    tokio::task::spawn_blocking(move || Ran::of(command.output().unwrap())).await.unwrap()
}

/// The line on a subject.
fn line<'o>(out: &'o str, subject: &str) -> &'o str {
    let found = out.lines().find(|line| line.get(6..).is_some_and(|rest| rest.starts_with(subject)));
    found.unwrap_or_else(|| panic!("no {subject} in {out}"))
}

#[tokio::test]
async fn on_an_empty_machine_everything_works_and_nothing_is_left_behind() {
    let place = Place::new();
    let out = doctor(&place, &[], &[]).await.ok();
    for (subject, told) in [
        ("data", "can be written to"),
        ("secret", "the first start makes one"),
        ("database", "the first start makes it"),
        ("redis", "none"),
        ("mail", "no_transport"),
        ("model", "no_model"),
        ("public url", "none"),
        ("hand-overs", "D = 256"),
    ] {
        assert!(line(&out, subject).contains(told), "{out}");
    }
    assert!(!place.path().join("data").exists());
}

#[tokio::test]
async fn mail_is_logged_in_to_and_what_encrypts_it_is_told() {
    let place = Place::new();
    let certificate = Certificate::new("localhost", 4_000);
    let script = Script::default().tls(Tls::Upgrade(certificate.config.clone())).login("anna", "hunter2");
    let server = SmtpServer::start(script).await;
    let url = |password: &str| {
        format!("smtp://anna:{password}@localhost:{}?tls=required&ca={}", server.port(), certificate.path())
    };
    let good = url("hunter2");
    let out = doctor(&place, &[], &[("SMTP_URL", &good), FROM]).await.ok();
    assert!(line(&out, "mail").contains("ready: TLS, certificate checked, logged in"), "{out}");
    assert!(line(&out, "public url").contains("only a List-Unsubscribe header with a mailto"), "{out}");

    let wrong = url("hunter3");
    let ran = doctor(&place, &[], &[("SMTP_URL", &wrong), FROM]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    let told = line(&ran.out, "mail");
    assert!(told.starts_with("BAD") && told.contains("the login is refused: 535"), "{told}");
    assert!(!ran.out.contains("hunter3") && !ran.err.contains("hunter3"), "{ran:?}");
    assert_eq!(server.seen(At::Mail), 0, "nothing of a message is said");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_line_with_advice_for_each_dependency() {
    let place = Place::new();
    let away = [
        ("SMTP_URL", "smtp://127.0.0.1:1?tls=none"),
        FROM,
        ("DATABASE_URL", "postgres://me:hunter2@127.0.0.1:1/none"),
        ("REDIS_URL", "redis://127.0.0.1:1"),
        ("OPENAI_BASE_URL", "http://127.0.0.1:1/v1"),
    ];
    let ran = doctor(&place, &[], &away).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    for (subject, advice) in [
        ("secret", "openssl rand -hex 32"),
        ("database", "check DATABASE_URL"),
        ("redis", "check REDIS_URL"),
        ("mail", "check host and port in SMTP_URL"),
        ("model", "check OPENAI_BASE_URL"),
    ] {
        let told = line(&ran.out, subject);
        assert!(told.starts_with("BAD") && told.contains(advice), "{told}");
    }
    assert!(ran.err.contains("5 things must be put right"), "{}", ran.err);
    assert!(!ran.out.contains("hunter2") && !ran.err.contains("hunter2"), "{ran:?}");
}

#[tokio::test]
async fn many_machines_are_looked_at_through_their_servers() {
    let place = Place::new();
    let (postgres, redis) = (database(), redis_url());
    let secret = "0123456789abcdef".repeat(4);
    let environment = [
        ("DATABASE_URL", postgres.as_str()),
        ("REDIS_URL", &redis),
        ("SENDWRIGHT_SECRET", &secret),
        ("SENDWRIGHT_PUBLIC_URL", "https://mail.example.com"),
    ];
    let ran = doctor(&place, &[], &environment).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(line(&ran.out, "database").contains("run `sendwright migrate` first"), "{}", ran.out);
    let mut migrate = place.command(&["migrate"]);
    Ran::of(migrate.envs(environment).output().unwrap()).ok();
    let out = doctor(&place, &[], &environment).await.ok();
    assert!(line(&out, "database").contains("Postgres, schema up to date"), "{out}");
    assert!(line(&out, "redis").contains("answers"), "{out}");
    assert!(line(&out, "public url").contains("one-click"), "{out}");
    assert!(line(&out, "data").contains("no journal"), "{out}");
}

#[tokio::test]
async fn the_model_is_asked_one_small_thing() {
    let place = Place::new();
    let server = ModelServer::always(Answer::Says("ready".into())).await;
    let url = server.base_url();
    let environment = [("OPENAI_BASE_URL", url.as_str()), ("OPENAI_API_KEY", "sk-hunter2")];
    let out = doctor(&place, &[], &environment).await.ok();
    assert!(line(&out, "model").contains("gpt-4o-mini at 127.0.0.1 answers as scripted-1"), "{out}");
    let asked = server.asked();
    assert_eq!((asked.len(), asked[0].authorization.as_deref()), (1, Some("Bearer sk-hunter2")));

    let refusing = ModelServer::always(Answer::Status(401, &[], "{}".into())).await;
    let url = refusing.base_url();
    let environment = [("OPENAI_BASE_URL", url.as_str()), ("OPENAI_API_KEY", "sk-hunter2")];
    let ran = doctor(&place, &[], &environment).await;
    let told = line(&ran.out, "model");
    assert!(ran.code == 1 && told.contains("401") && told.contains("OPENAI_API_KEY"), "{ran:?}");
    assert!(!ran.out.contains("hunter2"), "{ran:?}");
}

#[tokio::test]
async fn one_labelled_message_goes_out_and_the_servers_answer_is_told() {
    let place = Place::new();
    let server = SmtpServer::start(Script::default()).await;
    let url = server.url();
    let environment = [("SMTP_URL", url.as_str()), FROM];
    let out = doctor(&place, &["--send-to", "me@example.org"], &environment).await.ok();
    assert!(line(&out, "test mail").contains("the server answered 250"), "{out}");
    let got = server.received();
    assert_eq!((got.len(), got[0].to.as_slice()), (1, &["me@example.org".to_owned()][..]));
    assert_eq!(got[0].header("Subject").as_deref(), Some("Test message from Sendwright"));
    assert_eq!(got[0].header("From").as_deref(), Some("Anna <anna@example.com>"));

    server.add(Rule::at(At::Rcpt).reply("550 5.1.1 nobody here"));
    let ran = doctor(&place, &["--send-to", "no@example.org"], &environment).await;
    assert!(ran.code == 1 && line(&ran.out, "test mail").contains("550 5.1.1 nobody here"), "{ran:?}");
}

#[tokio::test]
async fn no_test_goes_to_a_mailbox_or_to_who_has_opted_out() {
    let place = Place::new();
    let ran = doctor(&place, &["--send-to", "me@example.org"], &[]).await;
    assert!(ran.code == 1 && line(&ran.out, "test mail").contains("nothing is sent"), "{ran:?}");

    let server = SmtpServer::start(Script::default()).await;
    let url = server.url();
    let environment = [("SMTP_URL", url.as_str()), FROM];
    place.run(&["suppress", "add", "Me@Example.org"]).ok();
    let ran = doctor(&place, &["--send-to", "me@example.org"], &environment).await;
    assert!(ran.code == 1 && line(&ran.out, "test mail").contains("opted out"), "{ran:?}");
    let ran = doctor(&place, &["--send-to", "nobody"], &environment).await;
    assert!(ran.code == 1 && line(&ran.out, "test mail").contains("--send-to"), "{ran:?}");
    assert_eq!(server.seen(At::Mail), 0);
}

/// Encrypts what goes to a server of ours; the port to speak TLS to.
async fn encrypted(to: SocketAddr, certificate: &Certificate) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let (port, acceptor) =
        (listener.local_addr().unwrap().port(), TlsAcceptor::from(certificate.config.clone()));
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let (mut outside, mut inside) =
                    (acceptor.accept(socket).await?, TcpStream::connect(to).await?);
                tokio::io::copy_bidirectional(&mut outside, &mut inside).await
            });
        }
    });
    port
}

#[tokio::test]
async fn redis_over_tls_is_asked_and_its_certificate_looked_at() {
    let (place, certificate) = (Place::new(), Certificate::new("localhost", 4_000));
    let (postgres, redis) = (database(), redis_url());
    let (address, number) = redis.strip_prefix("redis://").unwrap().split_once('/').unwrap();
    let port = encrypted(address.parse().unwrap(), &certificate).await;
    let (redis, secret) = (format!("rediss://localhost:{port}/{number}"), "0123456789abcdef".repeat(4));
    let mut environment =
        vec![("DATABASE_URL", postgres.as_str()), ("REDIS_URL", &redis), ("SENDWRIGHT_SECRET", &secret)];
    let ran = doctor(&place, &[], &environment).await;
    assert!(!line(&ran.out, "redis").contains("answers"), "nobody vouches for its certificate: {ran:?}");

    let path = certificate.path();
    environment.push(("SSL_CERT_FILE", &path));
    let ran = doctor(&place, &[], &environment).await;
    assert!(line(&ran.out, "redis").contains("answers"), "{ran:?}");
}

/// RFC 7208, RFC 6376, RFC 7489.
#[tokio::test]
async fn what_is_published_of_each_sender_is_compared_with_what_signs() {
    let place = Place::new();
    let (key, other) = (include_str!("support/keys/rsa.pem"), include_str!("support/keys/ed25519.pem"));
    for (name, key) in [("good", key), ("stale", key), ("bare", other)] {
        let file = place.path().join(format!("{name}.pem"));
        std::fs::write(&file, key).unwrap();
        let from = format!("anna@{name}.example");
        let file = file.to_str().unwrap();
        let made = ["profile", "create", "--name", name, "--from-email", &from, "--dkim-key", file];
        place.run(&[&made[..], &["--dkim-selector", "sw1"]].concat()).ok();
    }
    place.run(&["profile", "create", "--name", "none", "--from-email", "a@unsigned.example"]).ok();
    let record = Key::parse(key).unwrap().record();
    let server = DnsServer::start(&[
        ("good.example", "v=spf1 include:mail.example -all"),
        ("good.example", "another text"),
        ("sw1._domainkey.good.example", &record),
        ("_dmarc.good.example", "v=DMARC1; p=reject; rua=mailto:a@good.example"),
        ("stale.example", "v=spf1 -all"),
        ("stale.example", "v=spf1 mx -all"),
        ("sw1._domainkey.stale.example", "v=DKIM1; k=rsa; p=AAAA"),
        ("bare.example", "v=spf1 +all"),
    ])
    .await;
    let at = server.address();
    let ran = doctor(&place, &[], &[("SENDWRIGHT_DNS", &at)]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    for told in [
        "ok    spf         good.example: v=spf1 include:mail.example -all",
        "ok    dkim        sw1._domainkey.good.example: the published key is the one that signs",
        "ok    dmarc       good.example: p=reject at _dmarc.good.example",
        "BAD   spf         stale.example: 2 records",
        "BAD   dkim        sw1._domainkey.stale.example: another key",
        "note  dmarc       stale.example: no record",
        "BAD   spf         bare.example: +all",
        "BAD   dkim        sw1._domainkey.bare.example: no record; publish there, as TXT: v=DKIM1; k=ed25519; p=",
        "note  spf         unsigned.example: no record",
        "note  dkim        unsigned.example: messages are not signed",
    ] {
        assert!(ran.out.contains(told), "{told} in {}", ran.out);
    }
    assert!(!ran.out.contains("PRIVATE"), "{}", ran.out);
}
