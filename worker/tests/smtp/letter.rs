//! Letters as bytes (ATTACKS.md A33, A34; RFC 5322, 2045, 8058).

use sendwright_worker::channels::mime::{Letter, MimeError, Party, Unsubscribe, is_wire_safe};

use crate::smtp_server::{Script, SmtpServer};
use crate::{FROM, TO, accepted, open};

fn letter() -> Letter {
    Letter {
        message_id: "<m-17.4f2a@example.com>".into(),
        from: Party { name: "Ann".into(), address: FROM.into() },
        reply_to: None,
        to: Party { name: String::new(), address: TO.into() },
        subject: "Hello".into(),
        text: "Hi Bob".into(),
        html: None,
        in_reply_to: None,
        references: vec![],
        list_unsubscribe: None,
        date: 784_887_151_000,
        headers: vec![],
    }
}

fn written(letter: &Letter) -> String {
    let bytes = letter.to_bytes().expect("bytes");
    assert!(is_wire_safe(&bytes) && bytes.ends_with(b"\r\n"));
    String::from_utf8(bytes).expect("ASCII")
}

fn head(letter: &Letter) -> String {
    written(letter).split("\r\n\r\n").next().unwrap().replace("\r\n ", " ")
}

/// Undoes quoted-printable, soft line breaks included.
fn decoded(body: &str) -> String {
    let mut bytes = body.replace("=\r\n", "").into_bytes();
    while let Some(at) = bytes.iter().position(|b| *b == b'=') {
        let hex = std::str::from_utf8(&bytes[at + 1..at + 3]).unwrap();
        let byte = u8::from_str_radix(hex, 16).unwrap();
        // 0xff cannot occur in UTF-8: stands for a decoded "=" until the end.
        bytes.splice(at..at + 3, [if byte == b'=' { 0xff } else { byte }]);
    }
    let bytes: Vec<_> = bytes.into_iter().map(|b| if b == 0xff { b'=' } else { b }).collect();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_letter_is_what_it_is_made_of_and_nothing_else() {
    let letter = Letter {
        reply_to: Some(Party { name: "Replies".into(), address: "r@example.com".into() }),
        in_reply_to: Some("<m-16.4f2a@example.com>".into()),
        references: vec!["<m-15.4f2a@example.com>".into(), "<m-16.4f2a@example.com>".into()],
        headers: vec![("X-Campaign".into(), "7".into()), ("feedback-id".into(), "7:a".into())],
        ..letter()
    };
    assert_eq!(
        written(&letter),
        "Date: Tue, 15 Nov 1994 08:12:31 +0000\r\n\
         Message-ID: <m-17.4f2a@example.com>\r\n\
         From: Ann <ann@example.com>\r\n\
         To: bob@example.net\r\n\
         Subject: Hello\r\n\
         Reply-To: Replies <r@example.com>\r\n\
         In-Reply-To: <m-16.4f2a@example.com>\r\n\
         References: <m-15.4f2a@example.com> <m-16.4f2a@example.com>\r\n\
         X-Campaign: 7\r\n\
         feedback-id: 7:a\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\
         Content-Transfer-Encoding: quoted-printable\r\n\
         \r\n\
         Hi Bob\r\n"
    );
}

#[test]
fn the_same_letter_is_the_same_bytes() {
    let letter = Letter { html: Some("<p>Hi</p>".into()), ..letter() };
    assert_eq!(letter.to_bytes(), letter.to_bytes());
}

#[test]
fn html_travels_beside_the_text_and_both_are_encoded() {
    let letter =
        Letter { text: "Grüße =_alternative".into(), html: Some("<p>Grüße</p>".into()), ..letter() };
    let text = written(&letter);
    assert!(text.contains("Content-Type: multipart/alternative; boundary=\"=_alternative\"\r\n"), "{text}");
    assert_eq!(text.matches("\r\n--=_alternative\r\n").count(), 2);
    assert_eq!(text.matches("Content-Transfer-Encoding: quoted-printable").count(), 2);
    assert!(text.find("text/plain") < text.find("text/html"), "the richest part comes last");
    assert!(text.ends_with("--=_alternative--\r\n"));
}

#[tokio::test]
async fn a_text_survives_the_wire_whatever_is_in_it() {
    let server = SmtpServer::start(Script::default()).await;
    let mut session = open(&server.url()).await.unwrap();
    for text in [
        ".\r\n..\r\n.\nMAIL FROM:<x@y.z>\r\n",
        "a\n.\n.b\n\n\nFrom here\nto there",
        "a\r.\rb\r\r\nc",
        "trailing   \nblanks\t\n =41 = == \u{2028} ünï 🌍",
        &"one very long line ".repeat(200),
    ] {
        let bytes = Letter { text: text.into(), ..letter() }.to_bytes().unwrap();
        let gate = sendwright_worker::channels::smtp::DotGate::now(|| Ok(()));
        let outcome =
            sendwright_worker::channels::smtp::hand_over(&mut session, FROM, TO, &bytes, gate).await;
        assert!(accepted(&outcome), "{outcome:?}");
        let received = String::from_utf8(server.received().pop().unwrap().data).unwrap();
        let (_, body) = received.split_once("\r\n\r\n").unwrap();
        let sent = text.replace("\r\n", "\n").replace('\r', "\n");
        let expected = format!("{}\r\n", sent.trim_end_matches('\n').replace('\n', "\r\n"));
        assert_eq!(decoded(body), expected);
    }
}

#[test]
fn a_text_mostly_outside_ascii_travels_as_base64() {
    let letter = Letter { text: "Здравствуйте ".repeat(50), ..letter() };
    assert!(written(&letter).contains("Content-Transfer-Encoding: base64\r\n"));
}

#[test]
fn nothing_slips_a_header_in() {
    for hostile in
        ["x\r\nBcc: victim@example.com", "x\nBcc: v@e.com", "x\rBcc: v", "nul\0", "bell\u{7}", "\u{85}x"]
    {
        let text = || hostile.to_owned();
        let party = || Party { name: text(), address: FROM.into() };
        let at = || Party { name: String::new(), address: format!("{hostile}@example.com") };
        let refused = [
            Letter { subject: text(), ..letter() },
            Letter { from: party(), ..letter() },
            Letter { to: party(), ..letter() },
            Letter { reply_to: Some(party()), ..letter() },
            Letter { to: at(), ..letter() },
            Letter { from: at(), ..letter() },
            Letter { message_id: format!("<{hostile}@x>"), ..letter() },
            Letter { in_reply_to: Some(format!("<{hostile}@x>")), ..letter() },
            Letter { references: vec![format!("<{hostile}@x>")], ..letter() },
            Letter { headers: vec![("X-A".into(), text())], ..letter() },
            Letter { headers: vec![(format!("X-{hostile}"), "v".into())], ..letter() },
        ];
        for letter in refused {
            let error = letter.to_bytes().expect_err("refused");
            assert!(!error.to_string().contains('\n') && !error.to_string().contains('\0'));
        }
    }
    for name in ["Bcc", "From", "To", "DKIM-Signature", "Content-Type", "X", "X-", "€-A", "X A", "X-A:", ""]
    {
        let letter = Letter { headers: vec![(name.into(), "v".into())], ..letter() };
        assert!(matches!(letter.to_bytes(), Err(MimeError::HeaderNotAllowed { .. })), "{name}");
    }
}

#[test]
fn any_display_name_is_written_or_refused_and_never_panics() {
    let mut names: Vec<String> =
        (0..=0x2ff).filter_map(char::from_u32).map(|c| format!("A{c}B 9 {c}")).collect();
    names.extend(
        ["\\", "\"", "a\\\"b", " ", "9", "\u{1F600}", "(c)", "a,b", "a@b.c", "<x>", "=?utf-8?q?x?="]
            .map(String::from),
    );
    names.extend(["é".repeat(300), "long ".repeat(100), "\u{202e}evil".into(), "\u{feff}".into()]);
    for name in names {
        let party = Party { name: name.clone(), address: FROM.into() };
        let named = Letter { from: party.clone(), to: party.clone(), reply_to: Some(party), ..letter() };
        match named.to_bytes() {
            Ok(bytes) => assert!(is_wire_safe(&bytes), "{name:?}"),
            Err(error) => assert!(name.contains(char::is_control), "{name:?}: {error}"),
        }
    }
    assert!(
        head(&Letter { from: Party { name: "Doe, Ann \"A\"".into(), address: FROM.into() }, ..letter() })
            .contains("From: =?utf-8?b?RG9lLCBBbm4gIkEi?= <ann@example.com>")
    );
}

#[test]
fn one_click_unsubscribe_is_written_as_rfc_8058_wants_it() {
    let https = Some("https://example.com/u/abc?x=1".to_owned());
    let mailto = Some("mailto:stop@example.com?subject=stop".to_owned());
    let with = |unsubscribe| Letter { list_unsubscribe: Some(unsubscribe), ..letter() };

    let both = head(&with(Unsubscribe { web: https.clone(), mailto: mailto.clone(), one_click: true }));
    assert!(both.contains(
        "List-Unsubscribe: <https://example.com/u/abc?x=1>, <mailto:stop@example.com?subject=stop>\r\n\
         List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
    ));
    let plain = head(&with(Unsubscribe { web: None, mailto: mailto.clone(), one_click: false }));
    assert!(plain.contains("List-Unsubscribe: <mailto:") && !plain.contains("Unsubscribe-Post"));

    for bad in [
        Unsubscribe { web: None, mailto, one_click: true },
        Unsubscribe { web: None, mailto: None, one_click: false },
        Unsubscribe { web: Some("http://example.com".into()), mailto: None, one_click: true },
        Unsubscribe { web: Some("https://e.com/>, <x".into()), mailto: None, one_click: false },
        Unsubscribe { web: Some("https://e.com/\r\nX: y".into()), mailto: None, one_click: false },
    ] {
        assert!(matches!(with(bad).to_bytes(), Err(MimeError::Unsubscribe(_))));
    }
}

#[test]
fn a_date_no_header_can_hold_is_refused() {
    for date in [-1, i64::MIN, i64::MAX, 253_402_300_800_000] {
        assert_eq!(Letter { date, ..letter() }.to_bytes(), Err(MimeError::Date));
    }
    assert!(head(&Letter { date: 0, ..letter() }).contains("Date: Thu, 01 Jan 1970 00:00:00 +0000"));
}

#[test]
fn a_header_that_cannot_be_folded_is_refused() {
    let letter = Letter { subject: "x".repeat(2000), ..letter() };
    assert_eq!(letter.to_bytes(), Err(MimeError::LineTooLong));
}
