//! From profile to session (FAULTS.md F49, F55, F57, F58).

use sendwright_worker::channels::smtp::{ConnectError, Timeouts};

use crate::smtp_server::{Act, At, Certificate, Rule, Script, SmtpServer, Tls};
use crate::{BRIEFLY, Shorten, accepted, dialer, open, send};

async fn error(script: Script, scheme: &str, rest: &str) -> (SmtpServer, ConnectError) {
    let server = SmtpServer::start(script).await;
    let url = format!("{scheme}://{}", rest.replace("PORT", &server.port().to_string()));
    let error = open(&url).await.expect_err("no session");
    (server, error)
}

#[tokio::test]
async fn each_way_of_not_connecting_has_its_name() {
    let greeting = Script::default().rule(Rule::at(At::Banner).reply("421 4.7.0 too many connections"));
    let (_server, found) = error(greeting, "smtp", "127.0.0.1:PORT").await;
    assert_eq!(found, ConnectError::Banner { code: 421, reply: "4.7.0 too many connections".into() });

    let hello = Script::default().rule(Rule::at(At::Ehlo).reply("554 5.7.1 go away"));
    let (_server, found) = error(hello, "smtp", "127.0.0.1:PORT").await;
    assert!(matches!(found, ConnectError::Hello { phase: "hello", code: 554, .. }), "{found:?}");

    let dropped = Script::default().rule(Rule::at(At::Banner).act(Act::Drop));
    let (_server, found) = error(dropped, "smtp", "127.0.0.1:PORT").await;
    assert!(matches!(found, ConnectError::Broken { phase: "banner", .. }), "{found:?}");

    let web = Script::default().rule(Rule::at(At::Banner).reply("HTTP/1.1 400 Bad Request"));
    let (_server, found) = error(web, "smtp", "127.0.0.1:PORT").await;
    assert!(matches!(found, ConnectError::Broken { phase: "banner", .. }), "{found:?}");

    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let found = open(&format!("smtp://{closed}")).await.expect_err("nobody listens");
    assert!(matches!(found, ConnectError::Refused { .. }), "{found:?}");

    let found = open("smtp://nowhere.invalid").await.expect_err("no such name");
    assert!(
        matches!(found, ConnectError::Dns { .. } | ConnectError::Timeout { phase: "connect" }),
        "{found:?}"
    );
}

#[tokio::test]
async fn a_silent_server_is_cut_by_the_clock_of_its_phase() {
    let shortened: [(At, &str, Shorten); 3] = [
        (At::Banner, "banner", |t| t.banner = BRIEFLY),
        (At::Ehlo, "hello", |t| t.hello = BRIEFLY),
        (At::Auth, "auth", |t| t.auth = BRIEFLY),
    ];
    for (at, phase, shorten) in shortened {
        for act in [Act::Stall, Act::Trickle(b"250 as slow as can be\r\n".to_vec(), BRIEFLY / 3)] {
            let script = Script::default().login("u", "p").rule(Rule::at(at).act(act));
            let server = SmtpServer::start(script).await;
            let mut timeouts = Timeouts::default();
            shorten(&mut timeouts);
            let url = format!("smtp://u:p@127.0.0.1:{}?tls=none", server.port());
            let found = dialer(&url, timeouts).open().await.expect_err("silence");
            assert_eq!(found, ConnectError::Timeout { phase });
        }
    }
}

#[tokio::test]
async fn a_server_that_never_ends_its_greeting_costs_no_memory() {
    let endless = Act::Reply(b"220-still here\r\n".repeat(1 << 20));
    let (_server, found) =
        error(Script::default().rule(Rule::at(At::Banner).act(endless)), "smtp", "127.0.0.1:PORT").await;
    assert!(matches!(found, ConnectError::Broken { phase: "banner", .. }), "{found:?}");
}

#[tokio::test]
async fn blank_lines_in_a_greeting_do_no_harm() {
    let odd = b"250-receiver.test\r\n250-   \r\n250-\r\n250 8BITMIME\r\n".to_vec();
    let server = SmtpServer::start(Script::default().rule(Rule::at(At::Ehlo).act(Act::Reply(odd)))).await;
    assert!(accepted(&send(&mut open(&server.url()).await.unwrap()).await));
}

#[tokio::test]
async fn a_login_works_by_either_mechanism_and_a_wrong_one_is_told_apart() {
    for mechanisms in ["PLAIN", "LOGIN", "CRAM-MD5 LOGIN PLAIN"] {
        let script =
            Script { mechanisms: mechanisms.into(), ..Script::default().login("ann", "s3cret p@ss") };
        let server = SmtpServer::start(script).await;
        let mut session =
            open(&format!("smtp://ann:s3cret%20p%40ss@127.0.0.1:{}?tls=none", server.port())).await.unwrap();
        assert!(accepted(&send(&mut session).await));
        assert_eq!(server.received()[0].login.as_deref(), Some("ann"));

        let found =
            open(&format!("smtp://ann:wrong@127.0.0.1:{}?tls=none", server.port())).await.expect_err("535");
        assert!(matches!(found, ConnectError::Auth { code: 535, .. }) && found.is_wrong_login(), "{found:?}");
        assert!(!found.to_string().contains("wrong@"));
    }
    let strange = Script { mechanisms: "CRAM-MD5".into(), ..Script::default().login("ann", "x") };
    let (_server, found) = error(strange, "smtp", "ann:x@127.0.0.1:PORT").await;
    assert_eq!(found, ConnectError::NoMechanism);

    let busy = Script::default().login("ann", "x").rule(Rule::at(At::Auth).reply("454 4.7.0 later"));
    let (_server, found) = error(busy, "smtp", "ann:x@127.0.0.1:PORT").await;
    assert!(matches!(found, ConnectError::Auth { code: 454, .. }) && !found.is_wrong_login(), "{found:?}");
}

#[tokio::test]
async fn both_kinds_of_tls_carry_login_and_message() {
    let certificate = Certificate::new("127.0.0.1", 2100);
    for (scheme, tls) in [
        ("smtp", Tls::Upgrade(certificate.config.clone())),
        ("smtps", Tls::Implicit(certificate.config.clone())),
    ] {
        let server = SmtpServer::start(Script::default().login("ann", "x").tls(tls)).await;
        let url =
            format!("{scheme}://ann:x@127.0.0.1:{}?tls=required&ca={}", server.port(), certificate.path());
        let mut session = open(&url).await.unwrap();
        for _ in 0..3 {
            assert!(accepted(&send(&mut session).await));
        }
        assert!(session.is_alive().await);
        assert!(server.received().iter().all(|mail| mail.encrypted && mail.login.is_some()));
    }
}

#[tokio::test]
async fn a_certificate_that_proves_nothing_is_refused_by_its_cause() {
    let expired = Certificate::new("127.0.0.1", 2001);
    let other = Certificate::new("mail.example.com", 2100);
    let unknown = Certificate::new("127.0.0.1", 2100);
    for (certificate, ca, cause) in [
        (&expired, format!("&ca={}", expired.path()), "expired"),
        (&other, format!("&ca={}", other.path()), "not valid for name"),
        (&unknown, String::new(), "UnknownIssuer"),
    ] {
        for (scheme, tls) in [
            ("smtp", Tls::Upgrade(certificate.config.clone())),
            ("smtps", Tls::Implicit(certificate.config.clone())),
        ] {
            let script = Script::default().login("ann", "x").tls(tls);
            let (server, found) =
                error(script, scheme, &format!("ann:x@127.0.0.1:PORT?tls=required{ca}")).await;
            assert!(matches!(&found, ConnectError::Tls(text) if text.contains(cause)), "{cause}: {found:?}");
            assert_eq!((server.seen(At::Auth), server.seen(At::Mail)), (0, 0));
        }
    }
}

#[tokio::test]
async fn a_stripped_starttls_is_no_reason_to_speak_in_the_clear() {
    let (server, found) =
        error(Script::default().login("ann", "x"), "smtp", "ann:x@127.0.0.1:PORT?tls=required").await;
    assert!(matches!(&found, ConnectError::Tls(text) if text.contains("STARTTLS")), "{found:?}");
    assert_eq!((server.seen(At::Auth), server.seen(At::Mail)), (0, 0));

    let certificate = Certificate::new("127.0.0.1", 2100);
    let refused = Script::default().tls(Tls::Upgrade(certificate.config.clone()));
    let refused = refused.rule(Rule::at(At::StartTls).reply("454 4.7.0 not now"));
    let (_server, found) = error(refused, "smtp", "127.0.0.1:PORT?tls=opportunistic").await;
    assert!(matches!(found, ConnectError::Hello { phase: "starttls", code: 454, .. }), "{found:?}");
}

#[tokio::test]
async fn opportunistic_encrypts_when_it_can_and_asks_nobody_who_they_are() {
    let certificate = Certificate::new("somewhere.else", 2001);
    for (tls, encrypted) in [(Tls::Upgrade(certificate.config.clone()), true), (Tls::Never, false)] {
        let server = SmtpServer::start(Script::default().tls(tls)).await;
        let mut session = open(&format!("smtp://127.0.0.1:{}", server.port())).await.unwrap();
        assert!(accepted(&send(&mut session).await));
        assert_eq!(server.received()[0].encrypted, encrypted);
    }
}

#[tokio::test]
async fn what_is_slipped_in_before_encryption_is_forgotten() {
    let certificate = Certificate::new("127.0.0.1", 2100);
    let slipped = Act::Reply(b"220 go on\r\n250-evil.test\r\n250 AUTH PLAIN\r\n".to_vec());
    let script = Script::default().tls(Tls::Upgrade(certificate.config.clone()));
    let (_server, found) = error(
        script.rule(Rule::at(At::StartTls).act(slipped)),
        "smtp",
        &format!("ann:x@127.0.0.1:PORT?tls=required&ca={}", certificate.path()),
    )
    .await;
    // Either it was read together with the 220 and thrown away, so that the real EHLO offers no
    // login, or it reached the TLS engine, which it breaks.
    assert!(matches!(found, ConnectError::NoMechanism | ConnectError::Tls(_)), "{found:?}");
}

#[tokio::test]
async fn a_ca_that_cannot_be_read_is_named() {
    let certificate = Certificate::new("127.0.0.1", 2100);
    let script = Script::default().tls(Tls::Implicit(certificate.config.clone()));
    let (_server, found) = error(script, "smtps", "127.0.0.1:PORT?ca=/nowhere/ca.pem").await;
    assert!(matches!(&found, ConnectError::Tls(text) if text.contains("/nowhere/ca.pem")), "{found:?}");
}
