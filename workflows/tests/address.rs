//! Addresses: every row of the bad-input catalogue, and what keys and hashes promise.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use sendwright_workflows::address::{AddressError, Email, NameError, display_name};

#[track_caller]
fn email(text: &str) -> Email {
    Email::parse(text).unwrap()
}

#[test]
fn every_row_of_the_catalogue_is_refused_with_its_reason() {
    use AddressError::{At, Control, DisplayName, Domain, Empty, List, Literal, Local, NoDot, TooLong};
    let long_local = format!("{}@example.com", "a".repeat(65));
    let long_domain = format!("a@{}com", "abcdefgh.".repeat(28));
    let endless = format!("a@{}", "例".repeat(100_000));
    for (text, error) in [
        ("", Empty),
        ("   ", Empty),
        ("a", At),
        ("a@", Domain),
        ("@b.com", Local),
        ("@b", Local),
        ("a b@c.d", Local),
        ("a@b", NoDot),
        ("a@localhost", NoDot),
        ("a@[127.0.0.1]", Literal),
        ("a@[IPv6:::1]", Literal),
        ("a@127.0.0.1", Literal),
        ("\"a\"@b.com", Local),
        ("\"a@b\"@c.com", Local),
        ("\"a b\"@c.com", Local),
        (&long_local, TooLong),
        (&long_domain, TooLong),
        (&endless, TooLong),
        ("a@b.com\r\nBcc: c@d.com", Control),
        ("a@b.com\n", Control),
        ("a\u{0}@b.com", Control),
        ("a@b\u{0}.com", Control),
        ("a@b.com, c@d.com", List),
        ("a@b.com;c@d.com", List),
        ("Bob <a@b.com>", DisplayName),
        ("<a@b.com>", DisplayName),
        ("a@b.com.", Domain),
        ("a@.b.com", Domain),
        ("a@b..com", Domain),
        ("a@-b.com", Domain),
        ("a@b-.com", Domain),
        ("a@b_c.com", Domain),
        ("a@b c.com", Domain),
        ("a@b.com/x", Domain),
        ("a@b@c.com", At),
        (".a@b.com", Local),
        ("a.@b.com", Local),
        ("a..b@c.com", Local),
        ("-oQ@b.com", Local),
        ("a\\@b.com", Local),
        ("a(comment)@b.com", Local),
        ("mailto:a@b.com", Local),
        ("a\u{200b}@b.com", Local),
        ("a\u{202e}b@c.com", Local),
        ("a\u{ff20}b@c.com", Local),
        ("\u{ff02}a@c.com", Local),
        ("a\u{a0}b@c.com", Local),
        ("a\u{ff20}c.com", At),
        ("a@xn--.com", Domain),
    ] {
        assert_eq!(Email::parse(text).unwrap_err(), error, "{}", text.chars().take(40).collect::<String>());
    }
}

#[test]
fn spaces_around_an_address_are_ignored() {
    for text in [" a@b.com", "a@b.com  ", "\ta@b.com", "\u{a0}a@b.com\u{3000}"] {
        assert_eq!(email(text).as_str(), "a@b.com");
    }
}

#[test]
fn a_domain_becomes_lower_case_punycode_and_a_local_part_keeps_its_case() {
    assert_eq!(email("John.Doe@EXAMPLE.Com").as_str(), "John.Doe@example.com");
    assert_eq!(email("a@Bücher.example").as_str(), "a@xn--bcher-kva.example");
    assert_eq!(email("a@xn--bcher-kva.example"), email("a@BÜCHER。example"));
    assert_eq!(email("a@r3---sn-x.example").domain(), "r3---sn-x.example");
    let chinese = email("用户@例子.公司");
    assert_eq!((chinese.local(), chinese.domain()), ("用户", "xn--fsqu00a.xn--55qx5d"));
    assert!(chinese.needs_smtputf8());
    assert!(!email("a@例子.公司").needs_smtputf8());
}

#[test]
fn the_longest_address_is_accepted_and_one_byte_more_is_not() {
    let local = "a".repeat(64);
    let domain =
        |length: usize| format!("{}.{}.{}.com", "b".repeat(63), "c".repeat(63), "d".repeat(length - 132));
    assert_eq!(email(&format!("{local}@{}", domain(189))).as_str().len(), 254);
    assert_eq!(Email::parse(&format!("{local}@{}", domain(190))), Err(AddressError::TooLong));
}

#[test]
fn variants_of_one_address_share_a_key_and_a_hash() {
    for (left, right) in [
        ("John@Example.com", "jOHN@eXAMPLE.COM"),
        ("JOSÉ@b.com", "jose\u{301}@b.com"),
        ("ｊohn@b.com", "john@b.com"),
        ("ΣΊΣΥΦΟΣ@b.com", "σίσυφος@b.com"),
        ("STRASSE@b.com", "straße@b.com"),
        ("a@BÜCHER.example", "A@xn--bcher-kva.example"),
    ] {
        assert_eq!(email(left).key(), email(right).key());
        assert_eq!(email(left).hash(b"salt"), email(right).hash(b"salt"));
    }
}

#[test]
fn tags_and_dots_make_another_person() {
    for other in ["john+news@b.com", "jo.hn@b.com", "john@c.com"] {
        assert_ne!(email("john@b.com").key(), email(other).key());
    }
}

#[test]
fn a_hash_depends_on_its_salt_and_is_the_same_for_ever() {
    let email = email("John@Example.com");
    // HMAC-SHA256("salt", "email:john@example.com"), first 16 bytes; stored rows depend on it.
    assert_eq!(email.hash(b"salt"), "5d651e1dd12d5335272a228b36a180cf");
    assert_ne!(email.hash(b"salt"), email.hash(b"pepper"));
}

#[test]
fn logs_show_a_masked_address() {
    assert_eq!(email("john@example.com").masked(), "j…@example.com");
    assert_eq!(format!("{:?}", email("john@example.com")), "Email(j…@example.com)");
    assert!(!AddressError::Local.to_string().contains("john"));
}

#[test]
fn an_address_is_a_plain_text_in_json_and_checked_on_the_way_in() {
    let json = serde_json::to_string(&email("John@Example.com")).unwrap();
    assert_eq!(json, "\"John@example.com\"");
    assert_eq!(serde_json::from_str::<Email>(&json).unwrap(), email("John@example.com"));
    assert!(serde_json::from_str::<Email>("\"Bob <a@b.com>\"").is_err());
}

#[test]
fn a_display_name_is_one_visible_line() {
    assert_eq!(display_name("  Ann O'Neil, \"Sales\" "), Ok("Ann O'Neil, \"Sales\""));
    assert_eq!(display_name(" "), Err(NameError::Empty));
    assert_eq!(display_name(&"x".repeat(129)), Err(NameError::TooLong));
    for bad in ["Ann\r\nBcc: x", "Ann\u{0}", "Ann\n", "\u{202e}nnA", "A\u{200b}nn", "Ann\u{2028}"] {
        assert_eq!(display_name(bad), Err(NameError::Control));
    }
}

proptest! {
    #[test]
    fn any_text_is_refused_or_becomes_a_clean_address(text in any::<String>()) {
        check_invariants(&text)?;
    }

    #[test]
    fn any_likely_text_is_refused_or_becomes_a_clean_address(
        text in "[ \\-\"]{0,2}[a-zA-Z0-9.+!\\-_éßİς\u{301}用]{1,12}[@ ]{1,2}[a-zA-Z0-9.\\-üİß。例]{1,10}[.,][a-z0-9公司.]{1,5}[ >\n]{0,1}"
    ) {
        check_invariants(&text)?;
    }
}

fn check_invariants(text: &str) -> Result<(), TestCaseError> {
    let Ok(email) = Email::parse(text) else { return Ok(()) };
    prop_assert_eq!(&Email::parse(email.as_str()).unwrap(), &email);
    prop_assert!(email.as_str().len() <= 254 && email.local().len() <= 64);
    prop_assert!(!email.as_str().contains(|c: char| c.is_control() || c.is_whitespace()));
    prop_assert!(
        email
            .domain()
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.' || b == b'-')
    );
    if let Ok(again) = Email::parse(&email.key()) {
        prop_assert_eq!(again.key(), email.key());
    }
    if !email.needs_smtputf8() {
        // A second, independent parser agrees with what is accepted.
        prop_assert!(email_address::EmailAddress::is_valid(email.as_str()), "{}", email.as_str());
    }
    Ok(())
}
