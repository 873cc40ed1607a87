//! A submitted sending profile: who writes, over which server, how fast.

use super::FieldError;
use super::fields::{Fields, Lines};
use super::phone_sender::{self, PhoneSender};
use crate::address::{Email, display_name};
use crate::campaign::OnUncertain;
use crate::rate_limit::Rates;
use crate::sequence::Channel;
use serde_json::Value;

/// The fastest limit that can be asked for, per second; without a limit nothing is spaced.
pub(super) const MOST_PER_SECOND: f64 = 10_000.0;

const KNOWN: &[&str] = &[
    "id",
    "name",
    "smtp_url",
    "from_email",
    "from_name",
    "reply_to",
    "rate_limit_per_second",
    "rate_limit_per_minute",
    "rate_limit_per_day",
    "timezone",
    "on_uncertain",
    "reply_domain",
    "dkim_domain",
    "dkim_selector",
    "dkim_private_key",
    "imap_url",
    "track_opens",
    "track_clicks",
    "channel",
    "from_phone",
    "messaging_service_sid",
    "twilio_account_sid",
    "twilio_auth_token",
    "allowed_countries",
];

/// The secrets that a stored profile has, where it is changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kept {
    /// A key to sign with.
    pub key: bool,
    /// The token of its Twilio account.
    pub token: bool,
}

/// What a sending profile is made of. `Debug` leaves its secrets out.
#[derive(Clone, PartialEq)]
pub struct ProfileBody {
    /// Unique in its account; an inline profile without a name has its campaign's.
    pub name: String,
    /// The channel that it serves.
    pub channel: Channel,
    /// Who sends, where that is a phone.
    pub phone: PhoneSender,
    /// `smtp://` or `smtps://`, user and password included; absent: the process's own transport.
    pub smtp_url: Option<String>,
    /// The sender's address.
    pub from_email: Option<Email>,
    /// The sender's name.
    pub from_name: Option<String>,
    /// Where answers go.
    pub reply_to: Option<Email>,
    /// The limits, and the zone their day is counted in.
    pub rates: Rates,
    /// What to do with a hand-over of unknown outcome; absent: what the campaign says.
    pub on_uncertain: Option<OnUncertain>,
    /// Where answers with a token come in: `reply+<token>@` of this domain is the `Reply-To` then.
    pub reply_domain: Option<String>,
    /// Whom messages are signed for (RFC 6376); absent: the sender's own domain.
    pub dkim_domain: Option<String>,
    /// Under which name its key is published.
    pub dkim_selector: Option<String>,
    /// The private key, PEM.
    pub dkim_private_key: Option<String>,
    /// `imaps://user:password@host/mailbox`, where answers are read.
    pub imap_url: Option<String>,
    /// Whether opens are told, unless a campaign says otherwise.
    pub track_opens: bool,
    /// Whether clicks are told, unless a campaign says otherwise.
    pub track_clicks: bool,
    /// What was odd and did no harm.
    pub warnings: Vec<FieldError>,
}

impl std::fmt::Debug for ProfileBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProfileBody")
            .field("name", &self.name)
            .field("rates", &self.rates)
            .finish_non_exhaustive()
    }
}

impl ProfileBody {
    /// Reads a profile of its own; `name` is required.
    ///
    /// # Errors
    /// Every fault at once.
    pub fn from_json(body: &Value) -> Result<Self, Vec<FieldError>> {
        Self::from_json_over(body, Kept::default())
    }

    /// The same for one that has secrets already.
    ///
    /// # Errors
    /// Every fault at once.
    pub fn from_json_over(body: &Value, kept: Kept) -> Result<Self, Vec<FieldError>> {
        let mut errors = Vec::new();
        let read = read_over("", body, None, kept, &mut errors);
        if let Some(read) = &read {
            errors.extend(read.unsigned("", kept.key));
        }
        read.filter(|_| errors.is_empty()).ok_or(errors)
    }

    /// What is missing of a signature that was asked for.
    fn unsigned(&self, path: &str, signs: bool) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let mut miss = |name: &str, text: &str| {
            errors.push(FieldError::new(format!("{path}{name}"), "required", text));
        };
        let has_key = signs || self.dkim_private_key.is_some();
        if !has_key && (self.dkim_domain.is_some() || self.dkim_selector.is_some()) {
            miss("dkim_private_key", "is required where messages are to be signed: a private key in PEM");
        }
        if has_key && self.dkim_selector.is_none() {
            miss("dkim_selector", "is required with a key: the name it is published under");
        }
        if has_key && self.dkim_domain.is_none() && self.from_email.is_none() {
            miss("dkim_domain", "is required with a key, where there is no from_email");
        }
        errors
    }
}

/// Reads the profile at `path`; `name` stands in where it has none.
pub(super) fn read(
    path: &str,
    value: &Value,
    name: Option<&str>,
    errors: &mut Vec<FieldError>,
) -> Option<ProfileBody> {
    read_over(path, value, name, Kept::default(), errors)
}

fn read_over(
    path: &str,
    value: &Value,
    name: Option<&str>,
    kept: Kept,
    errors: &mut Vec<FieldError>,
) -> Option<ProfileBody> {
    let mut fields = Fields::open(path, value, errors)?;
    let mut warnings = Vec::new();
    super::campaign::warn_of_unknown(&fields, KNOWN, &mut warnings);
    let name = match name.filter(|_| fields.value("name").is_none()) {
        Some(name) => Some(name.to_owned()),
        None => fields.required("name", 200),
    };
    let channel = fields.choice("channel", &Channel::ALL.map(|c| (c.as_str(), c))).unwrap_or_default();
    if !path.is_empty() && channel.is_phone() {
        let text = "a profile within a campaign sends its e-mail: make this one first, then name it";
        fields.fault("channel", "conflict", text);
    }
    let body = ProfileBody {
        name: name.unwrap_or_default(),
        channel,
        phone: phone_sender::read(&mut fields, channel, kept.token),
        smtp_url: read_url(&mut fields, "smtp_url", ["smtp://", "smtps://"]),
        from_email: fields.email("from_email"),
        from_name: read_sender(&mut fields),
        reply_to: fields.email("reply_to"),
        rates: read_rates(&mut fields),
        on_uncertain: fields.choice("on_uncertain", super::campaign::ON_UNCERTAIN),
        reply_domain: read_host(&mut fields, "reply_domain"),
        dkim_domain: read_host(&mut fields, "dkim_domain"),
        dkim_selector: read_host(&mut fields, "dkim_selector"),
        dkim_private_key: read_key(&mut fields),
        imap_url: read_url(&mut fields, "imap_url", ["imap://", "imaps://"]),
        track_opens: fields.flag("track_opens").unwrap_or(false),
        track_clicks: fields.flag("track_clicks").unwrap_or(false),
        warnings,
    };
    if !path.is_empty() {
        let faults = body.unsigned(&format!("{path}."), false);
        errors.extend(faults);
    }
    Some(body)
}

fn read_rates(fields: &mut Fields) -> Rates {
    let mut count = |name| fields.integer(name, 1..=1_000_000_000).and_then(|n| u32::try_from(n).ok());
    let (per_minute, per_day) = (count("rate_limit_per_minute"), count("rate_limit_per_day"));
    let per_second = fields.rate("rate_limit_per_second", MOST_PER_SECOND);
    Rates { per_second, per_minute, per_day, zone: fields.zone("timezone").unwrap_or_default() }
}

fn read_sender(fields: &mut Fields) -> Option<String> {
    match display_name(fields.string("from_name")?) {
        Ok(name) => Some(name.to_owned()),
        Err(why) => {
            fields.fault("from_name", "invalid_format", why.to_string());
            None
        }
    }
}

/// The form only: what it resolves to is looked at when it is connected to. The value is never repeated.
fn read_url(fields: &mut Fields, name: &str, schemes: [&str; 2]) -> Option<String> {
    let url = fields.text(name, 2_048, Lines::One)?;
    let rest = schemes.iter().find_map(|scheme| url.strip_prefix(scheme));
    let authority = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
    let host = authority.map(|authority| authority.rsplit_once('@').map_or(authority, |(_, host)| host));
    let port = |host: &str| match host.rsplit_once(':') {
        Some((name, port)) if !host.ends_with(']') => {
            !name.is_empty() && port.parse::<u16>().is_ok_and(|p| p > 0)
        }
        _ => !host.is_empty(),
    };
    if host.is_some_and(port) && !url.contains(char::is_whitespace) {
        return Some(url);
    }
    let [plain, secure] = schemes;
    fields.fault(name, "invalid_format", format!("must read {plain}user:password@host:port or {secure}…"));
    None
}

fn read_host(fields: &mut Fields, name: &str) -> Option<String> {
    let text = fields.text(name, 253, Lines::One)?.to_ascii_lowercase();
    if super::campaign::is_host(&text) {
        return Some(text);
    }
    fields.fault(name, "invalid_format", "must be a host name alone, such as mail.example.com");
    None
}

/// Read whole, so that a key that cannot sign is refused at once; never repeated.
fn read_key(fields: &mut Fields) -> Option<String> {
    let pem = fields.text("dkim_private_key", 16_384, Lines::Many)?;
    match crate::dkim::Key::parse(&pem) {
        Ok(_) => Some(pem),
        Err(why) => {
            fields.fault("dkim_private_key", "invalid_format", why.to_string());
            None
        }
    }
}
