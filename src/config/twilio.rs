//! The process's own Twilio account: default sending profiles for phones go by it.

use super::read::Reader;
use super::{Hidden, Url};
use sendwright_workflows::country::Country;
use sendwright_workflows::phone::Phone;

/// A Twilio account and its senders.
#[derive(Debug)]
pub struct Twilio {
    /// `AC…`
    pub account_sid: String,
    /// Its token.
    pub auth_token: Hidden,
    /// Who sends text messages: a number in E.164, or `MG…`, a messaging service.
    pub from: Option<String>,
    /// Who sends WhatsApp messages, the same.
    pub whatsapp_from: Option<String>,
}

/// What is said of Twilio with or without an account.
#[derive(Debug)]
pub struct Phones {
    /// The process's own account.
    pub twilio: Option<Twilio>,
    /// Where Twilio's API is.
    pub api_base: String,
    /// Where text messages may go, unless a sending profile says otherwise; and where the process's own account sends at all.
    pub allowed_countries: Vec<Country>,
}

/// Whether a text is a SID of this kind: two letters and 32 hexadecimal digits.
pub fn is_sid(kind: &str, text: &str) -> bool {
    text.strip_prefix(kind)
        .is_some_and(|rest| rest.len() == 32 && rest.bytes().all(|b| b.is_ascii_hexdigit()))
}

pub(super) fn read(r: &mut Reader) -> Phones {
    let sid = r.read("twilio.account_sid", "TWILIO_ACCOUNT_SID", |text| match is_sid("AC", text) {
        true => Ok(text.to_owned()),
        false => Err("must be an account SID: AC and 32 hexadecimal digits".to_owned()),
    });
    let token = r.text("twilio.auth_token", "TWILIO_AUTH_TOKEN").map(Hidden);
    let from = r.read("twilio.from", "TWILIO_FROM", sender);
    let whatsapp_from = r.read("twilio.whatsapp_from", "TWILIO_WHATSAPP_FROM", |text| {
        sender(text.strip_prefix("whatsapp:").unwrap_or(text))
    });
    let api_base = r.read("twilio.api_base", "TWILIO_API_BASE", |text| {
        let url =
            Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let plain = |url: &Url| url.path() == "/" && url.query().is_none() && url.username().is_empty();
        let base = url.filter(plain).map(|url| url.as_str().trim_end_matches('/').to_owned());
        base.ok_or_else(|| "must read https://host, without path, query or user".to_owned())
    });
    let allowed = r.read("twilio.allowed_countries", "TWILIO_ALLOWED_COUNTRIES", countries);
    Phones {
        twilio: account(r, (sid, token), (from, whatsapp_from)),
        api_base: api_base.unwrap_or_default(),
        allowed_countries: allowed.unwrap_or_default(),
    }
}

/// The account, where all of it is there; what is missing of it is told.
fn account(
    r: &mut Reader,
    (sid, token): (Option<String>, Option<Hidden>),
    (from, whatsapp_from): (Option<String>, Option<String>),
) -> Option<Twilio> {
    let said = [
        ("twilio.account_sid", "TWILIO_ACCOUNT_SID"),
        ("twilio.auth_token", "TWILIO_AUTH_TOKEN"),
        ("twilio.from", "TWILIO_FROM"),
        ("twilio.whatsapp_from", "TWILIO_WHATSAPP_FROM"),
    ]
    .map(|(key, variable)| r.says(key, variable));
    if said == [false; 4] {
        return None;
    }
    for (variable, said) in ["TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN"].into_iter().zip(said) {
        if !said {
            r.problem(variable, "is required with the other settings of Twilio");
        }
    }
    if !said[2] && !said[3] {
        r.problem("TWILIO_FROM", "or TWILIO_WHATSAPP_FROM is required with TWILIO_ACCOUNT_SID");
    }
    Some(Twilio { account_sid: sid?, auth_token: token?, from, whatsapp_from })
}

fn sender(text: &str) -> Result<String, String> {
    match Phone::parse(text).is_ok() || is_sid("MG", text) {
        true => Ok(text.to_owned()),
        false => {
            Err("must be a number such as +14155551234, or the SID of a messaging service, MG…".to_owned())
        }
    }
}

fn countries(text: &str) -> Result<Vec<Country>, String> {
    let what = || "must be two-letter countries such as US, CA, GB".to_owned();
    text.split(',').map(|code| Country::parse(code.trim()).ok_or_else(what)).collect()
}
