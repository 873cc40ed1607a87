//! Mailboxes of sending profiles, read from a real server: nothing missed, nothing doubled, nothing changed in them.

use crate::support::desk::{Desk, START};
use crate::support::engine::{BOTH, Lead, On, step};
use crate::support::imap_server::ImapServer;
use crate::support::loops::Loops;
use crate::support::smtp_server::Script;
use sendwright_store::clock::wall_millis;
use sendwright_store::sending_profiles::{self, IMAP, NewProfile};
use sendwright_worker::{imap, inbound};
use sendwright_workflows::campaign::Policy;
use sendwright_workflows::clock::{HOUR, MINUTE, SECOND};
use sendwright_workflows::rate_limit::Rates;
use sendwright_workflows::sequence::Delay;
use serde_json::json;

/// Two people who got the first of two steps, and a profile whose mailbox is read at `url`.
async fn begun(on: On, url: &str) -> (Desk, String) {
    let mut desk = Desk::new(on).await;
    let profile = desk.world.profile("main", &Rates::default()).await;
    let path = format!("/api/v1/sending-profiles/{profile}");
    let (status, body) = desk.call("PATCH", &path, Some(&json!({ "imap_url": url }))).await;
    assert_eq!((status, body["polls"].as_bool()), (200, Some(true)), "{body}");
    let steps = [step(1, Delay::default()), step(2, Delay { hours: 1, ..Delay::default() })];
    let campaign = desk.world.campaign("Spring", profile, &Policy::default(), &steps).await;
    let leads = [0, 1].map(|n| Lead { email: format!("p{n}@example.org"), zone: None });
    desk.world.enrol(campaign, &leads).await;
    desk.until(START + MINUTE).await;
    (desk, path)
}

fn reply(desk: &Desk, message: i64, text: &str) -> String {
    let epoch = desk.world.ctx.store.epoch();
    format!(
        "From: p@example.org\r\nTo: sender@example.com\r\nSubject: Re: Subject 1\r\n\
         In-Reply-To: <m-{message}.{epoch}@example.com>\r\n\r\n{text}\r\n"
    )
}

/// One reading, some seconds later; how many messages were new.
async fn poll(desk: &Desk) -> usize {
    desk.world.clock.set(desk.now() + 31 * SECOND);
    let new = imap::pass(&desk.world.ctx, desk.now()).await.unwrap();
    inbound::pass(&desk.world.ctx, desk.now()).await.unwrap();
    new
}

#[tokio::test]
async fn a_reply_in_the_mailbox_stops_its_sequence() {
    for on in BOTH {
        let server = ImapServer::start();
        let (mut desk, path) = begun(on, &server.url(None)).await;
        server.deliver("From: old@example.net\r\nSubject: older mail\r\n\r\nHello\r\n");
        assert_eq!(poll(&desk).await, 1, "{:?}", desk.call("GET", &path, None).await);
        server.deliver(&reply(&desk, 1, "Not interested, thanks."));
        assert_eq!(poll(&desk).await, 1);
        desk.until(START + 3 * HOUR).await;
        assert_eq!(desk.number("SELECT COUNT(*) FROM mailbox WHERE recipient = 'p0@example.org'").await, 1);
        assert_eq!(desk.number("SELECT COUNT(*) FROM mailbox WHERE recipient = 'p1@example.org'").await, 2);
        let kept =
            "SELECT source || ' ' || kind || ' ' || COALESCE(classification, '-') FROM inbound ORDER BY id";
        assert_eq!(desk.texts(kept).await, ["imap other -", "imap reply negative"]);
        assert_eq!(server.seen(), 0, "the mailbox is only looked at");
    }
}

#[tokio::test]
async fn what_was_read_is_not_read_again_and_what_comes_meanwhile_is() {
    let server = ImapServer::start();
    let (desk, _) = begun(On::Sqlite, &server.starttls_url()).await;
    for n in 0..5 {
        server.deliver(&reply(&desk, 1, &format!("number {n}")));
    }
    assert_eq!(poll(&desk).await, 5);
    assert_eq!(poll(&desk).await, 0);
    let before = desk.number("SELECT last_uid FROM imap_cursors").await;
    server.deliver(&reply(&desk, 1, "one more"));
    server.deliver(&reply(&desk, 1, "number 3"));
    assert_eq!(poll(&desk).await, 1, "the same bytes twice are one");
    assert_eq!(desk.number("SELECT last_uid FROM imap_cursors").await, before + 2);
    server.renumber();
    server.deliver(&reply(&desk, 1, "after a new UIDVALIDITY"));
    assert_eq!(poll(&desk).await, 1);
    assert_eq!(desk.number("SELECT COUNT(*) FROM inbound").await, 7);
}

#[tokio::test]
async fn two_workers_do_not_read_one_mailbox_at_once() {
    for on in BOTH {
        let server = ImapServer::start();
        let (desk, _) = begun(on, &server.url(None)).await;
        server.deliver(&reply(&desk, 1, "Hello"));
        let (now, ctx) = (desk.now(), &desk.world.ctx);
        let (a, b) = tokio::join!(imap::pass(ctx, now), imap::pass(ctx, now));
        assert_eq!(a.unwrap() + b.unwrap(), 1);
        assert_eq!(desk.number("SELECT fence FROM imap_cursors").await, 1, "it was taken once");
        // Who lost it keeps nothing more.
        desk.run("UPDATE imap_cursors SET next_at = 0, last_uid = 0, held_until = 9999999999999").await;
        assert_eq!(poll(&desk).await, 0);
    }
}

#[tokio::test]
async fn a_refused_login_is_told_and_not_repeated_soon() {
    let server = ImapServer::start();
    let (desk, path) = begun(On::Sqlite, &server.url(Some("wrong"))).await;
    assert_eq!(poll(&desk).await, 0);
    let (_, shown) = desk.call("GET", &path, None).await;
    assert!(shown["imap_why"].as_str().unwrap().contains("login is refused"), "{shown}");
    assert!(!shown.to_string().contains("wrong"), "{shown}");
    assert!(desk.number("SELECT next_at FROM imap_cursors").await >= desk.now() + 10 * MINUTE);
    // A new address is tried at once.
    server.deliver(&reply(&desk, 1, "Hello"));
    assert_eq!(desk.call("PATCH", &path, Some(&json!({ "imap_url": server.url(None) }))).await.0, 200);
    assert_eq!(poll(&desk).await, 1);
    let (_, shown) = desk.call("GET", &path, None).await;
    assert!(shown["imap_why"].is_null(), "{shown}");
}

#[tokio::test]
async fn nothing_is_said_to_a_server_whose_certificate_is_not_trusted() {
    let server = ImapServer::start();
    let url = server.url(None);
    let (desk, path) = begun(On::Sqlite, url.split('?').next().unwrap()).await;
    server.deliver(&reply(&desk, 1, "Hello"));
    assert_eq!(poll(&desk).await, 0);
    let (_, shown) = desk.call("GET", &path, None).await;
    assert!(shown["imap_why"].as_str().unwrap().contains("no TLS"), "{shown}");
}

/// The whole way: handed over by SMTP, answered into a mailbox, read and understood by a worker's own lanes.
#[tokio::test]
async fn a_worker_reads_mailboxes_by_itself() {
    let server = ImapServer::start();
    let loops = Loops::start(On::Sqlite, Script::default()).await;
    let steps = [step(1, Delay::default()), step(2, Delay { hours: 1, ..Delay::default() })];
    loops.campaign("spring", 1, &Policy::default(), &steps).await;
    loops.until("SELECT COUNT(*) FROM messages WHERE state = 'accepted'", 1).await;
    let id = loops.server.received()[0].header("Message-ID").unwrap();
    server.deliver(&format!(
        "From: a@example.com\r\nSubject: Re: x\r\nIn-Reply-To: {id}\r\n\r\nTell me more\r\n"
    ));
    let store = &loops.ctx().store;
    let profile = store.ids.one("sending_profiles").await.unwrap();
    let sealed = loops.ctx().seals.seal(IMAP, profile, &server.url(None)).unwrap();
    let new = NewProfile {
        id: profile,
        account_id: loops.world.account,
        name: "answers".into(),
        transport: "default".into(),
        timezone: "UTC".into(),
        imap_sealed: Some(sealed),
        ..NewProfile::default()
    };
    let mut tx = store.begin().await.unwrap();
    sending_profiles::insert(&mut tx, &new, wall_millis()).await.unwrap();
    tx.commit().await.unwrap();
    loops.until("SELECT COUNT(*) FROM enrolments WHERE state = 'stopped'", 1).await;
    loops.until("SELECT COUNT(*) FROM events WHERE kind = 'reply.received'", 1).await;
    loops.stop().await;
}
