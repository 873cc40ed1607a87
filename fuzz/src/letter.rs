//! Letters that come back: whatever is in one, no more is taken from it than is kept, and nothing that a column or a log does
//! not take.

use crate::{Target, about, kind};
use sendwright_worker::inbound::parse::{Mail, Unread, read};
use sendwright_workflows::answer;

pub const TARGET: Target = Target {
    name: "mail",
    run,
    words: &[
        "From: ",
        "To: ",
        "Subject: ",
        "Message-ID: <",
        "In-Reply-To: <",
        "References: ",
        "Content-Type: ",
        "\r\n\r\n",
        "\r\n",
        "multipart/mixed; boundary=\"b\"",
        "multipart/report; report-type=delivery-status; boundary=b",
        "--b\r\n",
        "--b--\r\n",
        "message/delivery-status",
        "message/feedback-report",
        "message/rfc822",
        "text/html",
        "text/plain; charset=utf-7",
        "Content-Transfer-Encoding: base64",
        "quoted-printable",
        "=?utf-8?B?",
        "=?iso-8859-1?Q?=E4?=",
        "?=",
        "Action: failed",
        "Status: 5.1.1",
        "Final-Recipient: rfc822; a@example.com",
        "Auto-Submitted: auto-replied",
        "Feedback-Type: abuse",
        "List-Unsubscribe: <https://",
        "On Monday, Ada wrote:\n> ",
        "> > ",
        "-----Original Message-----",
        "<p>",
        "<br>",
        "&nbsp;",
        "unsubscribe",
        "STOP",
        "\u{0}",
    ],
};

/// Most of anything that is named.
const NAMED: usize = 50;

fn run(input: &[u8]) -> u64 {
    match read(input) {
        Ok(mail) => {
            assert_eq!(read(input).as_ref(), Ok(&mail), "the same twice");
            sound(&mail, input.len());
            let class = answer::class(&mail.subject, &mail.text, mail.automatic);
            let snippet = answer::snippet(&mail.text);
            assert!(snippet.chars().count() <= 1_000, "a snippet of {} characters", snippet.chars().count());
            let _ = answer::is_unsubscribe(&mail.subject);
            let report = mail.report.as_ref().map(|report| {
                (about(report.fates.len()), report.feedback.is_some(), about(report.about.len()))
            });
            let named = (
                about(mail.recipients.len()),
                about(mail.answers.len()),
                mail.sender.is_some(),
                mail.id.is_some(),
            );
            kind((
                class.as_str(),
                named,
                mail.automatic,
                report,
                about(mail.text.len()),
                mail.subject.is_empty(),
            ))
        }
        Err(Unread::Parts) => 1,
        Err(Unread::Broken) => 2,
    }
}

fn sound(mail: &Mail, length: usize) {
    let plain = |text: &str| assert!(!text.chars().any(char::is_control), "a control character in {text:?}");
    plain(&mail.subject);
    assert!(mail.subject.chars().count() <= 500, "{} characters of subject", mail.subject.chars().count());
    let report = mail.report.iter();
    let of_report = report.flat_map(|r| [&r.about, &r.addressed, &r.answered, &r.unsubscribe]);
    for list in [&mail.recipients, &mail.answers].into_iter().chain(of_report) {
        assert!(list.len() <= 4 * NAMED, "{} are named", list.len());
        list.iter().for_each(|one| plain(one));
    }
    mail.sender.iter().chain(&mail.id).for_each(|one| plain(one));
    plain(&answer::snippet(&mail.text));
    // A letter has no more text than letter: entities and charsets take more room than what they stand for, threefold at most.
    assert!(mail.text.len() <= 4 * length + 64, "{} bytes of text out of {length}", mail.text.len());
    for fate in mail.report.iter().flat_map(|report| &report.fates) {
        [&fate.action, &fate.status].into_iter().for_each(|word| plain(word));
    }
}
