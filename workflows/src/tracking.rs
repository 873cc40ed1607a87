//! Links that tell of clicks: found in a body, replaced, and found again by whoever follows one. The body is where
//! the target stands: a token names it by its hash and carries no address, so that nobody makes an open redirect.

use sha2::{Digest, Sha256};

/// What tokens of pixels are signed for; their ids are `[message]`.
pub const OPEN: &str = "open";
/// What tokens of links are signed for; their ids are `[message, link]`.
pub const CLICK: &str = "click";
/// Longest address of a link.
const LONGEST: usize = 2_048;

/// Whether a body is HTML: its first visible character is `<`.
pub fn is_html(body: &str) -> bool {
    body.trim_start().starts_with('<')
}

/// The name of a link within its body.
pub fn name(url: &str) -> i64 {
    let hash = Sha256::digest(url.as_bytes());
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hash[..8]);
    i64::from_be_bytes(bytes)
}

/// The link of a body that has this name.
pub fn find(body: &str, name_of: i64) -> Option<String> {
    let mut found = None;
    rewrite(body, |url| {
        if name(url) == name_of {
            found = Some(url.to_owned());
        }
        None
    });
    found
}

/// Replaces the web addresses that a body links to; `with` answers `None` for what stays. In HTML these are the
/// `href`s of anchors, in a text all addresses.
pub fn rewrite(body: &str, with: impl FnMut(&str) -> Option<String>) -> String {
    match is_html(body) {
        true => in_html(body, with),
        false => in_text(body, with),
    }
}

fn is_web(url: &str) -> bool {
    let starts = |scheme: &str| url.get(..scheme.len()).is_some_and(|s| s.eq_ignore_ascii_case(scheme));
    url.len() <= LONGEST
        && (starts("http://") || starts("https://"))
        && !url.contains(|c: char| c.is_control() || c.is_whitespace())
}

fn in_text(body: &str, mut with: impl FnMut(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = next_address(rest) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let end = from.find(|c: char| c.is_whitespace() || c.is_control() || "<>\"`".contains(c));
        let whole = &from[..end.unwrap_or(from.len())];
        let url = whole.trim_end_matches(['.', ',', ';', ':', '!', '?', ')', ']', '}', '\'', '*', '_']);
        match Some(url).filter(|url| is_web(url)).and_then(&mut with) {
            Some(new) => out.push_str(&new),
            None => out.push_str(url),
        }
        rest = &from[url.len()..];
        if url.is_empty() {
            out.push_str(whole);
            rest = &from[whole.len()..];
        }
    }
    out.push_str(rest);
    out
}

fn next_address(text: &str) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = text[from..].find("://").map(|at| from + at) {
        let scheme = ["https", "http"].into_iter().find(|scheme| {
            let start = at.checked_sub(scheme.len());
            start
                .and_then(|start| text.get(start..at))
                .is_some_and(|found| found.eq_ignore_ascii_case(scheme))
        });
        if let Some(scheme) = scheme {
            return Some(at - scheme.len());
        }
        from = at + 3;
    }
    None
}

fn in_html(body: &str, mut with: impl FnMut(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(body.len());
    let mut rest = body;
    while let Some((start, end)) = next_href(rest) {
        let url = rest[start..end].trim().replace("&amp;", "&").replace("&#38;", "&").replace("&#x26;", "&");
        out.push_str(&rest[..start]);
        match Some(url.as_str()).filter(|url| is_web(url)).and_then(&mut with) {
            Some(new) => out.push_str(&new),
            None => out.push_str(&rest[start..end]),
        }
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

/// Where the next anchor's `href` begins and ends.
fn next_href(html: &str) -> Option<(usize, usize)> {
    let bytes = html.as_bytes();
    let mut at = 0;
    while at + 2 < bytes.len() {
        let is_anchor = bytes[at] == b'<'
            && bytes[at + 1].eq_ignore_ascii_case(&b'a')
            && bytes[at + 2].is_ascii_whitespace();
        if !is_anchor {
            at += 1;
            continue;
        }
        match href(bytes, at + 2) {
            Ok(found) => return Some(found),
            Err(end) => at = end,
        }
    }
    None
}

/// The value of `href` among the attributes from `at` on, or where the tag ends without one.
fn href(bytes: &[u8], mut at: usize) -> Result<(usize, usize), usize> {
    let skip = |mut at: usize, while_: fn(&u8) -> bool| {
        while bytes.get(at).is_some_and(while_) {
            at += 1;
        }
        at
    };
    loop {
        at = skip(at, u8::is_ascii_whitespace);
        match bytes.get(at) {
            None => return Err(at),
            Some(b'>') => return Err(at + 1),
            _ => {}
        }
        let name = at;
        at = skip(at, |b| !b.is_ascii_whitespace() && !matches!(b, b'=' | b'>'));
        let is_href = bytes[name..at].eq_ignore_ascii_case(b"href");
        let equals = skip(at, u8::is_ascii_whitespace);
        if bytes.get(equals) != Some(&b'=') {
            at = at.max(name + 1);
            continue;
        }
        at = skip(equals + 1, u8::is_ascii_whitespace);
        let (start, end, after) = match bytes.get(at) {
            Some(b'"') => quoted(bytes, at, b'"'),
            Some(b'\'') => quoted(bytes, at, b'\''),
            _ => {
                let end = skip(at, |b| !b.is_ascii_whitespace() && *b != b'>');
                (at, end, end)
            }
        };
        if is_href {
            return Ok((start, end));
        }
        at = after;
    }
}

fn quoted(bytes: &[u8], at: usize, quote: u8) -> (usize, usize, usize) {
    let start = at + 1;
    let end = bytes[start..].iter().position(|b| *b == quote).map_or(bytes.len(), |found| start + found);
    (start, end, (end + 1).min(bytes.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(body: &str) -> String {
        rewrite(body, |url| Some(format!("[{url}]")))
    }

    #[test]
    fn addresses_of_a_text_are_found_without_what_follows_them() {
        assert_eq!(
            marked("See https://a.example/x?y=1&z=2. Or (HTTP://b.example), ftp://c <https://d.example/>!"),
            "See [https://a.example/x?y=1&z=2]. Or ([HTTP://b.example]), ftp://c <[https://d.example/]>!"
        );
        for same in ["", "://", "https", "no link at all", "ü://é"] {
            assert_eq!(marked(same), same);
        }
    }

    #[test]
    fn only_the_hrefs_of_anchors_are_links_of_a_page() {
        assert_eq!(
            marked(
                "<p>https://a.example <A class=x HREF='https://b.example/?a=1&amp;b=2'>b</a>\
                 <img src=\"https://c.example\"><a href=https://d.example>d</a><a href=\"mailto:x@y\">m</a></p>"
            ),
            "<p>https://a.example <A class=x HREF='[https://b.example/?a=1&b=2]'>b</a>\
             <img src=\"https://c.example\"><a href=[https://d.example]>d</a><a href=\"mailto:x@y\">m</a></p>"
        );
        for same in
            ["<", "<a", "<a ", "<a href", "<a href=", "<a href=\"", "<a =\"x\" href>", "<a href='ü", "<abbr>"]
        {
            marked(same);
        }
    }

    #[test]
    fn a_link_is_found_again_by_its_name_and_no_other_is() {
        let body = "<a href=\"https://b.example/?a=1&amp;b=2\">b</a>";
        let url = "https://b.example/?a=1&b=2";
        assert_eq!(find(body, name(url)).as_deref(), Some(url));
        assert_eq!(find(body, name("https://evil.example")), None);
        assert_eq!(find("<a href=\"javascript:alert(1)\">", name("javascript:alert(1)")), None);
    }
}
