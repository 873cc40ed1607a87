//! Addresses of mail, phones and webhooks: what is taken is one by other people's reading too, and reads the same again.

use crate::{Target, kind};
use sendwright_worker::channels::address;
use sendwright_workflows::address::{Email, display_name};
use sendwright_workflows::phone::Phone;
use sendwright_workflows::webhook::check_url;
use std::net::IpAddr;

pub const TARGET: Target = Target {
    name: "address",
    run,
    words: &[
        "@",
        ".",
        "..",
        "\"",
        "\\",
        "<",
        ">",
        ",",
        "example.com",
        "xn--",
        "xn--nxasmq6b",
        "bücher",
        "+tag",
        "[127.0.0.1]",
        "+1",
        "+49",
        "0000000",
        "https://",
        "http://",
        "127.0.0.1",
        "[::1]",
        "[::ffff:10.0.0.1]",
        "0x7f.1",
        "169.254.169.254",
        "localhost",
        ":8080",
        "%2e",
        "@host",
        "#",
        "?",
        "/",
        ".internal",
        "１２７",
        "\u{3002}",
    ],
};

fn run(input: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(input);
    let mail = match Email::parse(&text) {
        Ok(email) => {
            mail(&email);
            Ok(email.needs_smtputf8())
        }
        Err(error) => Err(std::mem::discriminant(&error)),
    };
    let phone = Phone::parse(&text).inspect(phone).is_ok();
    let url = check_url(&text, false).map(|url| public(&url)).map_err(|fault| fault.code);
    let name = display_name(&text).inspect(|name| assert!(!name.chars().any(char::is_control))).is_ok();
    kind((mail, phone, url, name))
}

fn mail(email: &Email) {
    let text = email.as_str();
    assert!(
        text.len() <= 254 && !text.chars().any(|c| c.is_control() || matches!(c, '<' | '>' | ',' | ';')),
        "{text:?}"
    );
    assert_eq!(Email::parse(text).as_ref(), Ok(email), "{text:?} reads otherwise again");
    let (local, domain) = (email.local(), email.domain());
    assert_eq!(text, format!("{local}@{domain}"));
    let is_host = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-');
    assert!(!local.is_empty() && local.len() <= 64 && domain.chars().all(is_host), "{text:?}");
    let written = address(text);
    assert_eq!(written.as_ref().map(AsRef::as_ref), Some(text), "it is taken, and cannot be written to");
    if let Ok(key) = Email::parse(&email.key()) {
        assert_eq!(key.key(), email.key(), "the key of a key of {text:?}");
    }
}

fn phone(phone: &Phone) {
    let text = phone.as_str();
    assert!(
        text.len() <= 16 && text.starts_with('+') && text[1..].bytes().all(|b| b.is_ascii_digit()),
        "{text:?}"
    );
    assert!(phone.zone().is_none_or(|zone| !format!("{zone:?}").is_empty()));
}

/// By the words of the standard library, which knows fewer closed networks: none of those is open here.
fn public(url: &impl std::fmt::Display) -> bool {
    let text = url.to_string();
    assert!(text.starts_with("https://") && !text.contains('#'), "{text:?}");
    let host = text.trim_start_matches("https://").split(['/', '?']).next().unwrap_or_default();
    assert!(!host.contains('@'), "{text:?} names a user");
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let closed = match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(v4)) => {
            v4.is_loopback()
                || v4.is_private()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_multicast()
        }
        Ok(IpAddr::V6(v6)) => {
            v6.is_loopback() || v6.is_unspecified() || v6.is_multicast() || v6.to_ipv4_mapped().is_some()
        }
        Err(_) => host.eq_ignore_ascii_case("localhost") || !host.contains('.'),
    };
    assert!(!closed, "{text:?} leads inside");
    true
}
