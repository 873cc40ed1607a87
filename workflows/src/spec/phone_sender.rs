//! Who sends text messages: a number or a messaging service, of the installation's Twilio account or of one's own.

use super::fields::{Fields, Lines};
use crate::country::Country;
use crate::phone::{EXPECTED, Phone};
use crate::sequence::Channel;

/// The fields of a sending profile that only one for phones has.
const FIELDS: [&str; 5] =
    ["from_phone", "messaging_service_sid", "twilio_account_sid", "twilio_auth_token", "allowed_countries"];

/// The fields that only one for e-mail has.
const ONLY_EMAIL: [&str; 10] = [
    "smtp_url",
    "from_email",
    "reply_to",
    "reply_domain",
    "dkim_domain",
    "dkim_selector",
    "dkim_private_key",
    "imap_url",
    "track_opens",
    "track_clicks",
];

/// What a sending profile for phones is made of.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PhoneSender {
    /// The number that sends; absent with `messaging_service_sid`, or where the installation's own sends.
    pub from_phone: Option<Phone>,
    /// The messaging service that sends, `MG…`.
    pub messaging_service_sid: Option<String>,
    /// A Twilio account of its own, `AC…`.
    pub twilio_account_sid: Option<String>,
    /// That account's token.
    pub twilio_auth_token: Option<String>,
    /// Where messages may go; absent: the installation's list.
    pub allowed_countries: Option<Vec<Country>>,
}

/// Reads what belongs to the channel, and refuses what belongs to another; `has_token` says that the stored profile has
/// the token of its account.
pub(super) fn read(fields: &mut Fields, channel: Channel, has_token: bool) -> PhoneSender {
    if !channel.is_phone() {
        refuse(
            fields,
            &FIELDS,
            "only a profile for sms or whatsapp has it; leave it out, or say so in channel",
        );
        return PhoneSender::default();
    }
    refuse(fields, &ONLY_EMAIL, "only a profile for e-mail has it; leave it out");
    let sender = PhoneSender {
        from_phone: read_phone(fields),
        messaging_service_sid: read_sid(fields, "messaging_service_sid", "MG"),
        twilio_account_sid: read_sid(fields, "twilio_account_sid", "AC"),
        twilio_auth_token: fields
            .text("twilio_auth_token", 200, Lines::One)
            .filter(|token| !token.is_empty()),
        allowed_countries: read_countries(fields),
    };
    let given = |name| fields.value(name).is_some();
    let [number, service, sid, token] =
        ["from_phone", "messaging_service_sid", "twilio_account_sid", "twilio_auth_token"].map(given);
    if number && service {
        let text = "one of the two sends: leave from_phone or messaging_service_sid out";
        fields.fault("messaging_service_sid", "conflict", text);
    }
    if sid && !token && !has_token {
        fields.fault("twilio_auth_token", "required", "is required with twilio_account_sid");
    }
    if token && !sid {
        fields.fault("twilio_account_sid", "required", "is required with twilio_auth_token");
    }
    if sid && !number && !service {
        let text = "is required with an account of its own, or messaging_service_sid";
        fields.fault("from_phone", "required", text);
    }
    sender
}

fn refuse(fields: &mut Fields, names: &[&str], why: &str) {
    for name in names {
        // What is off by default may be said to be off.
        if fields.value(name).is_some_and(|value| value.as_bool() != Some(false)) {
            fields.fault(name, "conflict", why);
        }
    }
}

fn read_phone(fields: &mut Fields) -> Option<Phone> {
    let phone = Phone::parse(fields.string("from_phone")?).ok();
    if phone.is_none() {
        fields.fault("from_phone", "invalid_phone", format!("must be in {EXPECTED}"));
    }
    phone
}

fn read_sid(fields: &mut Fields, name: &str, kind: &str) -> Option<String> {
    let text = fields.string(name)?;
    let digits = text.strip_prefix(kind).filter(|rest| rest.len() == 32);
    if digits.is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_hexdigit())) {
        return Some(text.to_owned());
    }
    fields.fault(name, "invalid_format", format!("must be {kind} and 32 hexadecimal digits"));
    None
}

fn read_countries(fields: &mut Fields) -> Option<Vec<Country>> {
    let list = fields.list("allowed_countries")?;
    let mut countries = Vec::with_capacity(list.len());
    for (index, value) in list.iter().enumerate() {
        match value.as_str().and_then(Country::parse) {
            Some(country) if !countries.contains(&country) => countries.push(country),
            Some(_) => {}
            None => {
                let text = "must be a country by its two letters, such as US";
                fields.fault(&format!("allowed_countries[{index}]"), "invalid_choice", text);
            }
        }
    }
    Some(countries)
}
