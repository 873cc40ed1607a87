//! Complaints (RFC 5965): the message is marked, the address suppressed, the account told; a forged one does nothing.

use crate::inbound::{begun, message_id, post};
use crate::support::desk::{Desk, START};
use crate::support::engine::BOTH;
use sendwright_workflows::clock::HOUR;
use sendwright_workflows::signing::{Secret, sign, sign_hex};
use serde_json::Value;

/// A feedback report: its type, whom it names, and headers of the message that it returns.
fn complaint(kind: &str, named: &str, returned: &str) -> String {
    format!(
        "From: <abusedesk@provider.example>\r\nTo: <abuse@example.com>\r\nSubject: FW: Subject 1\r\n\
         MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=feedback-report;\r\n boundary=\"b\"\r\n\r\n\
         --b\r\nContent-Type: text/plain; charset=\"US-ASCII\"\r\n\r\nThis is an email abuse report.\r\n\
         --b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: {kind}\r\n\
         User-Agent: SomeGenerator/1.0\r\nVersion: 1\r\n{named}Arrival-Date: Thu, 15 Jan 2026 10:40:00 +0000\r\n\r\n\
         --b\r\nContent-Type: message/rfc822\r\n\r\nFrom: <sender@example.com>\r\nSubject: Subject 1\r\n\
         {returned}\r\nSpam Spam Spam\r\n--b--\r\n"
    )
}

fn id(desk: &Desk, message: i64) -> String {
    format!("Message-ID: {}\r\n", message_id(desk, message))
}

/// How many complaints there are, by each of their effects.
async fn effects(desk: &Desk) -> [i64; 3] {
    [
        desk.number("SELECT COUNT(*) FROM messages WHERE state = 'complained'").await,
        desk.number("SELECT COUNT(*) FROM events WHERE kind = 'email.complained'").await,
        desk.number("SELECT COUNT(*) FROM suppressions WHERE why = 'complained' AND source = 'report'").await,
    ]
}

#[tokio::test]
async fn a_complaint_marks_its_message_suppresses_the_address_and_ends_the_sequence() {
    for on in BOTH {
        let mut desk = begun(on).await;
        let raw = complaint("abuse", "Original-Rcpt-To: <P0@Example.org>\r\n", &id(&desk, 1));
        let (_, kept) = post(&desk, raw.clone()).await;
        post(&desk, raw.replace("10:40:00", "10:41:00")).await;
        assert_eq!(effects(&desk).await, [1, 1, 1]);
        let (_, shown) =
            desk.call("GET", &format!("/api/v1/inbound/{}", kept["id"].as_str().unwrap()), None).await;
        assert_eq!((&shown["kind"], &shown["detail"]), (&Value::from("complaint"), &Value::from("abuse")));
        let told = desk.texts("SELECT data FROM events WHERE kind = 'email.complained'").await;
        let data: Value = serde_json::from_str(&told[0]).unwrap();
        for (name, value) in [
            ("email", "p0@example.org"),
            ("subject", "Subject 1"),
            ("feedback_type", "abuse"),
            ("reporter", "SomeGenerator/1.0"),
            ("matched_by", "message_id"),
        ] {
            assert_eq!(data[name], value, "{data}");
        }
        desk.until(START + 3 * HOUR).await;
        assert_eq!(desk.number("SELECT COUNT(*) FROM mailbox WHERE recipient = 'p0@example.org'").await, 1);
        assert_eq!(
            desk.texts("SELECT contact_id || ' ' || state FROM enrolments ORDER BY id").await,
            ["1 stopped", "2 completed"]
        );
        let (_, numbers) = desk.call("GET", "/api/v1/campaigns/1/analytics", None).await;
        assert_eq!(numbers["totals"]["complained"], 1, "{numbers}");
    }
}

/// Providers blacken the address (RFC 6590): then the signed link or answer address of the very message speaks.
#[tokio::test]
async fn a_complaint_without_an_address_is_known_by_a_token_of_ours() {
    for on in BOTH {
        let desk = begun(on).await;
        let (secret, epoch) = (Secret::new([42; 32]), desk.world.ctx.store.epoch().to_owned());
        let link = sign(&secret, "unsubscribe", &epoch, &[desk.world.account, 1, 1]);
        let token = sign_hex(&secret, "reply", &epoch, &[2]);
        let links =
            format!("List-Unsubscribe: <mailto:a@example.com>,\r\n <https://mail.example.com/u/{link}>\r\n");
        for returned in [links, format!("Reply-To: <reply+{token}@in.example.com>\r\n")] {
            post(&desk, complaint("abuse", "Original-Rcpt-To: redacted\r\n", &returned)).await;
        }
        assert_eq!(effects(&desk).await, [2, 2, 2]);
    }
}

#[tokio::test]
async fn a_forged_or_friendly_report_does_nothing() {
    for on in BOTH {
        let desk = begun(on).await;
        let own = "Original-Rcpt-To: p0@example.org\r\n";
        let foreign = sign(&Secret::new([7; 32]), "unsubscribe", desk.world.ctx.store.epoch(), &[1, 1, 1]);
        for raw in [
            complaint("abuse", "Original-Rcpt-To: p1@example.org\r\n", &id(&desk, 1)),
            complaint("abuse", "", &id(&desk, 1)),
            complaint("abuse", own, &id(&desk, 77)),
            complaint("abuse", own, &format!("List-Unsubscribe: <https://mail.example.com/u/{foreign}>\r\n")),
            complaint("not-spam", own, &id(&desk, 1)),
            complaint("auth-failure", own, &id(&desk, 1)),
            complaint("abuse", own, &id(&desk, 1)).replace("multipart/report", "multipart/mixed"),
        ] {
            post(&desk, raw).await;
        }
        assert_eq!(effects(&desk).await, [0, 0, 0]);
        assert_eq!(desk.number("SELECT COUNT(*) FROM suppressions").await, 0);
        assert_eq!(desk.number("SELECT COUNT(*) FROM inbound WHERE state = 'understood'").await, 7);
    }
}
