//! Finds what a mail client would make clickable in a plain text: links, bare domains, e-mail addresses.
//!
//! Errs towards finding: a text refused once too often is written again, a stranger's link sent once is sent.

use std::{collections::BTreeSet, sync::LazyLock};

use url::{Host, Url};

/// The top-level domains (ICANN section of the public suffix list, 2025-04-07). What ends in none of them is
/// a file name or two sentences without a space between them, and no client links it.
static TOP_LEVEL: LazyLock<BTreeSet<&str>> = LazyLock::new(|| include_str!("tlds.txt").lines().collect());

/// Something clickable.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Found {
    /// A link to this host, in its ASCII form.
    Host(String),
    /// A link of no host that could be allowed: another scheme, user information, a host that does not parse.
    Other(String),
    /// An e-mail address.
    Address(String),
}

/// Everything clickable in a text, each once.
pub(super) fn find(text: &str) -> BTreeSet<Found> {
    let text: String = text.chars().filter_map(plain).collect();
    let mut found = BTreeSet::new();
    for chunk in text.split(|c: char| c.is_whitespace() || "<>\"`()[]{}|".contains(c)) {
        if !chunk.is_empty() {
            chunk_links(chunk, &mut found);
        }
    }
    found
}

/// Whether a host is among the allowed: named exactly, with or without `www.`, or under a `*.` entry.
pub(super) fn host_allowed(host: &str, allowed: &[String]) -> bool {
    let bare = |host: &str| host.strip_prefix("www.").unwrap_or(host).to_owned();
    allowed.iter().any(|entry| {
        let entry = entry.trim().to_lowercase();
        if let Some(domain) = entry.strip_prefix("*.") {
            return host.strip_suffix(domain).is_some_and(|sub| sub.ends_with('.'));
        }
        Host::parse(&entry).is_ok_and(|entry| bare(&entry.to_string()) == bare(host))
    })
}

/// The character as a link is read: full-width forms and ideographic dots as ASCII, invisible ones gone.
fn plain(c: char) -> Option<char> {
    match c {
        '\u{00AD}' | '\u{200B}'..='\u{200F}' | '\u{2060}'..='\u{2064}' | '\u{FEFF}' => None,
        '\u{3002}' | '\u{FF61}' => Some('.'),
        '\u{FF01}'..='\u{FF5E}' => char::from_u32(u32::from(c) - 0xFEE0),
        '\\' => Some('/'), // browsers read it so
        _ => Some(c),
    }
}

fn chunk_links(chunk: &str, found: &mut BTreeSet<Found>) {
    let lower = chunk.to_ascii_lowercase();
    let mut starts: Vec<usize> = lower.match_indices("http:").map(|(at, _)| at).collect();
    starts.extend(lower.match_indices("https:").map(|(at, _)| at));
    for &at in &starts {
        found.insert(url(&chunk[at..]));
    }
    let first = starts.into_iter().min().unwrap_or(chunk.len());
    let before = &lower[..first];
    if before.starts_with("//") {
        found.insert(url(&format!("https:{before}")));
    } else if before.contains("://") || OTHER_SCHEMES.iter().any(|scheme| before.starts_with(scheme)) {
        found.insert(Found::Other(shortened(chunk)));
    } else {
        bare_links(before, found);
    }
}

/// Schemes that clients act upon without the two slashes.
const OTHER_SCHEMES: [&str; 9] =
    ["javascript:", "vbscript:", "data:", "file:", "ftp:", "tel:", "sms:", "whatsapp:", "intent:"];

fn url(text: &str) -> Found {
    let text = text.trim_end_matches(|c: char| ".,;:!?'*_~".contains(c));
    match Url::parse(text) {
        Ok(url) if url.username().is_empty() && url.password().is_none() => {
            url.host_str().map_or_else(|| Found::Other(shortened(text)), |host| Found::Host(undotted(host)))
        }
        _ => Found::Other(shortened(text)),
    }
}

fn undotted(host: &str) -> String {
    host.trim_end_matches('.').to_owned()
}

/// What is clickable without a scheme. `chunk` has no white space.
fn bare_links(chunk: &str, found: &mut BTreeSet<Found>) {
    let mut rest = chunk;
    while let Some(start) = rest.find(in_host) {
        let run_and_more = &rest[start..];
        let end = run_and_more.find(|c| !in_host(c)).unwrap_or(run_and_more.len());
        let (run, after) = run_and_more.split_at(end);
        rest = after;
        if let Some(domain_and_more) = after.strip_prefix('@') {
            let end = domain_and_more.find(|c| !in_host(c)).unwrap_or(domain_and_more.len());
            let domain = domain_and_more[..end].trim_matches(['.', '-', '_']);
            rest = &domain_and_more[end..];
            if domain.contains('.') {
                found.insert(Found::Address(format!("{run}@{domain}")));
            }
            continue;
        }
        // The text around a domain may be of another script, without a space between.
        let parts = run.split(|c: char| !c.is_ascii()).chain([run]);
        let hosts: Vec<_> = parts.filter_map(bare_host).collect();
        let linked = !hosts.is_empty();
        found.extend(hosts.into_iter().map(Found::Host));
        if linked && after.starts_with(['/', '?', '#', ':']) {
            return; // the path of that link
        }
    }
}

fn in_host(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '.' | '_' | '+' | '%')
}

/// The host in a run of host characters, in ASCII: the longest beginning that ends in a top-level domain.
fn bare_host(run: &str) -> Option<String> {
    let labels: Vec<&str> = run.trim_matches(|c: char| !c.is_alphanumeric()).split('.').collect();
    (2..=labels.len()).rev().find_map(|count| {
        let labels = &labels[..count];
        if labels.iter().any(|label| label.is_empty()) {
            return None;
        }
        let octets = labels.len() == 4 && labels.iter().all(|label| label.parse::<u8>().is_ok());
        let host = Host::parse(&labels.join(".")).ok()?.to_string();
        let top = host.rsplit('.').next()?;
        (octets || TOP_LEVEL.contains(top) && !abbreviation(&host)).then_some(host)
    })
}

/// Abbreviations and names whose last letters happen to be a country's.
fn abbreviation(host: &str) -> bool {
    let letters = host.split('.').all(|label| label.len() == 1);
    letters
        || matches!(host, "ph.d" | "asp.net" | "vb.net" | "ado.net" | "b.sc" | "m.sc" | "d.sc" | "socket.io")
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(text: &str) -> Vec<String> {
        let name = |found| match found {
            Found::Host(host) => host,
            Found::Other(text) => format!("other {text}"),
            Found::Address(address) => format!("address {address}"),
        };
        find(text).into_iter().map(name).collect()
    }

    #[test]
    fn every_way_to_write_a_link_is_found() {
        for text in [
            "see https://evil.example.com/x.",
            "see HTTP://EVIL.example.com:8080",
            "see evil.example.com, please",
            "(evil.example.com/path/readme.md)",
            "[the offer](https://evil.example.com)",
            "[the offer](//evil.example.com)",
            "<https://evil.example.com>",
            "https:\\\\evil.example.com",
            "https:evil.example.com",
            "http://%65vil.example.com/",
            "evil\u{200B}.example.com",
            "evil\u{3002}example\u{FF0E}com",
            "\u{FF45}vil.example.com",
            "请访问evil.example.com谢谢",
            "**evil.example.com**",
            "evil.example.com.Thanks",
            "https://evil.example.com.",
        ] {
            assert_eq!(hosts(text), ["evil.example.com"], "{text}");
        }
    }

    #[test]
    fn tricks_with_a_good_host_do_not_pass_for_it() {
        let allowed = ["good.com".to_owned()];
        for text in [
            "https://good.com@evil.com/",
            "https://good.com:pass@evil.com",
            "https://good.com.evil.com",
            "https://good.com%2eevil.com",
            "https://good.com\\@evil.com",
            "https://evil.com/https://good.com",
            "https://g\u{43E}\u{43E}d.com",
            "g\u{43E}\u{43E}d.com",
            "https://good.com,evil.com",
            "good.com,evil.com",
            "notgood.com",
            "javascript:alert(1)",
            "ftp://good.com",
            "hxxp://good.com",
            "tel:+491234",
            "192.0.2.7",
            "http://2130706433/",
        ] {
            let strange = |f: &Found| !matches!(f, Found::Host(host) if host_allowed(host, &allowed));
            // A backslash ends the host in a browser, so that one link is to good.com.
            let harmless = text.contains('\\');
            assert_eq!(find(text).iter().any(strange), !harmless, "{text}: {:?}", find(text));
        }
    }

    #[test]
    fn ordinary_prose_is_no_link() {
        for text in [
            "We use Node.js, e.g. with version 1.2.3 at 9.30 a.m. and/or later.",
            "It ended today.Let me know. I.e. soon... really?",
            "Revenue grew 3.5%: from 1.000.000 to 1.035.000.",
            "@acme said: note:this, 24/7, c/o Mr.Smith, Ph.D.",
        ] {
            assert_eq!(hosts(text), [] as [&str; 0], "{text}");
        }
    }

    #[test]
    fn addresses_are_found_in_every_wrapping() {
        for text in
            ["a.me@evil.com", "<a.me@evil.com>", "mailto:a.me@evil.com?subject=x", "a.me\u{FF20}evil.com!"]
        {
            assert_eq!(hosts(text), ["address a.me@evil.com"], "{text}");
        }
    }

    #[test]
    fn allowed_hosts_are_exact_or_starred() {
        let allowed = ["Acme.com".to_owned(), "*.docs.io".to_owned(), "b\u{FC}cher.de".to_owned()];
        for host in ["acme.com", "www.acme.com", "a.docs.io", "xn--bcher-kva.de"] {
            assert!(host_allowed(host, &allowed), "{host}");
        }
        for host in ["shop.acme.com", "docs.io", "evildocs.io", "acme.com.evil.io"] {
            assert!(!host_allowed(host, &allowed), "{host}");
        }
    }
}
