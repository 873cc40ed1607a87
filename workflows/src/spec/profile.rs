//! A submitted sending profile: who writes, over which server, how fast.

use super::FieldError;
use super::fields::{Fields, Lines};
use crate::address::{Email, display_name};
use crate::campaign::OnUncertain;
use crate::rate_limit::Rates;
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
];

/// What a sending profile is made of. `Debug` leaves the URL out: it holds a password.
#[derive(Clone, PartialEq)]
pub struct ProfileBody {
    /// Unique in its account; an inline profile without a name has its campaign's.
    pub name: String,
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
        let mut errors = Vec::new();
        read("", body, None, &mut errors).filter(|_| errors.is_empty()).ok_or(errors)
    }
}

/// Reads the profile at `path`; `name` stands in where it has none.
pub(super) fn read(
    path: &str,
    value: &Value,
    name: Option<&str>,
    errors: &mut Vec<FieldError>,
) -> Option<ProfileBody> {
    let mut fields = Fields::open(path, value, errors)?;
    let mut warnings = Vec::new();
    super::campaign::warn_of_unknown(&fields, KNOWN, &mut warnings);
    let name = match name.filter(|_| fields.value("name").is_none()) {
        Some(name) => Some(name.to_owned()),
        None => fields.required("name", 200),
    };
    let body = ProfileBody {
        name: name.unwrap_or_default(),
        smtp_url: read_url(&mut fields),
        from_email: fields.email("from_email"),
        from_name: read_sender(&mut fields),
        reply_to: fields.email("reply_to"),
        rates: read_rates(&mut fields),
        on_uncertain: fields.choice("on_uncertain", super::campaign::ON_UNCERTAIN),
        warnings,
    };
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
fn read_url(fields: &mut Fields) -> Option<String> {
    let url = fields.text("smtp_url", 2_048, Lines::One)?;
    let rest = url.strip_prefix("smtp://").or_else(|| url.strip_prefix("smtps://"));
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
    fields.fault("smtp_url", "invalid_format", "must read smtp://user:password@host:port or smtps://…");
    None
}
