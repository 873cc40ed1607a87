//! A submitted campaign: `/api/v1/campaigns`, `/api/external/campaigns`, `simulate` and `campaign create`.

use super::FieldError;
use super::broadcast;
use super::fields::{Fields, Lines};
use super::profile::{self, MOST_PER_SECOND, ProfileBody};
use super::step::{self, MOST_STEPS};
use crate::campaign::{AfterUncertain, Audience, OnUncertain, Policy, WithoutModel};
use crate::clock::{DAY, Millis, SECOND, parse_rfc3339, rfc3339};
use crate::ids::Kind;
use crate::quiet_hours::QuietHours;
use crate::render;
use crate::sequence::{Channel, Sequence, Step};
use crate::strategy;
use serde_json::Value;

pub(super) const ON_UNCERTAIN: &[(&str, OnUncertain)] =
    &[("verify", OnUncertain::Verify), ("park", OnUncertain::Park), ("resend", OnUncertain::Resend)];

const KNOWN: &[&str] = &[
    "id",
    "external_id",
    "name",
    "description",
    "status",
    "created_at",
    "timezone",
    "quiet_hours_start",
    "quiet_hours_end",
    "rate_limit_per_second",
    "schedule_time",
    "sending_profile_id",
    "sending_profile",
    "sms_profile_id",
    "whatsapp_profile_id",
    "requires_approval",
    "without_model",
    "on_uncertain",
    "after_uncertain",
    "max_lateness_seconds",
    "allowed_links",
    "business_type",
    "strategy",
    "track_opens",
    "track_clicks",
    "template_id",
    "segment_id",
    "channel",
    "audience",
    "steps",
];

/// What a surface asks for beyond the rules that hold everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Demands {
    /// Every step has a name (S1-34); elsewhere a step without one is called `Step 2`.
    pub require_step_names: bool,
    /// The steps are given; elsewhere a `business_type`, a `strategy` (S0-37) or a template (S2-14) makes one of its
    /// own, and a segment says who gets them.
    pub require_steps: bool,
}

/// A campaign that passed every check.
#[derive(Debug, Clone, PartialEq)]
pub struct CampaignBody {
    /// What people call it.
    pub name: String,
    /// For people.
    pub description: Option<String>,
    /// The caller's own id, kept and echoed.
    pub external_id: Option<String>,
    /// A stored profile to send with; whether it exists is for the caller to look up.
    pub sending_profile_id: Option<i64>,
    /// A profile given inline; never together with an id.
    pub sending_profile: Option<ProfileBody>,
    /// A stored profile to send text messages with.
    pub sms_profile_id: Option<i64>,
    /// A stored profile to send WhatsApp messages with.
    pub whatsapp_profile_id: Option<i64>,
    /// When it starts by itself; `policy.starts_at` says the same.
    pub schedule_time: Option<Millis>,
    /// Its settings.
    pub policy: Policy,
    /// The stored template that makes its one step; whether it exists is for the caller to look up.
    pub template_id: Option<i64>,
    /// How the template's step is sent; absent: as the template says.
    pub channel: Option<Channel>,
    /// The stored segment that it is for; whether it exists is for the caller to look up.
    pub segment_id: Option<i64>,
    /// Who of the segment is in it.
    pub audience: Audience,
    /// Its steps, ascending from 1; none where a template makes them.
    pub steps: Vec<Step>,
    /// What was odd and did no harm.
    pub warnings: Vec<FieldError>,
}

impl CampaignBody {
    /// Reads and checks a body as the native surface takes it.
    ///
    /// # Errors
    /// Every fault at once, never an empty list.
    pub fn from_json(body: &Value) -> Result<Self, Vec<FieldError>> {
        Self::from_json_with(body, Demands::default())
    }

    /// [`from_json`](Self::from_json), with what a surface asks for besides.
    ///
    /// # Errors
    /// Every fault at once, never an empty list.
    pub fn from_json_with(body: &Value, demands: Demands) -> Result<Self, Vec<FieldError>> {
        let mut errors = Vec::new();
        read(body, demands, &mut errors).filter(|_| errors.is_empty()).ok_or(errors)
    }

    /// The steps as the first version of a sequence.
    pub fn sequence(&self) -> Sequence {
        Sequence { version: 1, steps: self.steps.clone() }
    }

    /// A fault where `schedule_time` passed more than a day ago; up to that it means "now".
    pub fn stale_schedule(&self, now: Millis) -> Option<FieldError> {
        let at = self.schedule_time.filter(|at| now - at > DAY)?;
        let message = format!("{} passed more than a day ago; leave it out to start by hand", rfc3339(at));
        Some(FieldError::new("schedule_time", "out_of_range", message))
    }
}

fn read(body: &Value, demands: Demands, errors: &mut Vec<FieldError>) -> Option<CampaignBody> {
    let mut warnings = Vec::new();
    let mut fields = Fields::open("", body, errors)?;
    warn_of_unknown(&fields, KNOWN, &mut warnings);
    let name = fields.required("name", 200).unwrap_or_default();
    let mut profile = |field| fields.reference(field, Kind::Profile, "Sending profile {} not found");
    let [sending_profile_id, sms_profile_id, whatsapp_profile_id] =
        ["sending_profile_id", "sms_profile_id", "whatsapp_profile_id"].map(&mut profile);
    let mut campaign = CampaignBody {
        description: fields.text("description", 10_000, Lines::Many),
        external_id: fields.text("external_id", 200, Lines::One),
        sending_profile_id,
        sending_profile: None,
        sms_profile_id,
        whatsapp_profile_id,
        schedule_time: read_schedule(&mut fields),
        policy: read_policy(&mut fields),
        name,
        template_id: None,
        channel: None,
        segment_id: None,
        audience: Audience::default(),
        steps: Vec::new(),
        warnings: Vec::new(),
    };
    campaign.policy.starts_at = campaign.schedule_time;
    if let Some(inline) = fields.value("sending_profile") {
        if fields.value("sending_profile_id").is_some() {
            fields.fault("sending_profile", "conflict", "give either sending_profile or sending_profile_id");
        }
        campaign.sending_profile =
            profile::read("sending_profile", inline, Some(&campaign.name), fields.errors());
        warnings.extend(campaign.sending_profile.iter().flat_map(|profile| profile.warnings.clone()));
    }
    let given = fields.value("steps").and_then(Value::as_array).is_some_and(|steps| !steps.is_empty());
    if !demands.require_steps {
        broadcast::read(&mut fields, &mut campaign, given);
    }
    let policy = &campaign.policy;
    let (kind, strategy) = (policy.business_type.as_deref(), policy.strategy.as_deref());
    campaign.steps = match (kind.or(strategy), given || demands.require_steps) {
        (_, false) if fields.value("template_id").is_some() => Vec::new(),
        (Some(_), false) => vec![strategy::step(kind, strategy)],
        _ => read_steps(&mut fields, demands, &mut warnings),
    };
    campaign.warnings = warnings;
    Some(campaign)
}

fn read_policy(fields: &mut Fields) -> Policy {
    Policy {
        timezone: fields.zone("timezone"),
        quiet_hours: read_quiet_hours(fields),
        rate_limit_per_second: fields.rate("rate_limit_per_second", MOST_PER_SECOND),
        starts_at: None,
        requires_approval: fields.flag("requires_approval").unwrap_or(false),
        without_model: fields
            .choice("without_model", &[("hold", WithoutModel::Hold), ("template", WithoutModel::Template)])
            .unwrap_or_default(),
        on_uncertain: fields.choice("on_uncertain", ON_UNCERTAIN).unwrap_or_default(),
        after_uncertain: fields
            .choice(
                "after_uncertain",
                &[("continue", AfterUncertain::Continue), ("hold", AfterUncertain::Hold)],
            )
            .unwrap_or_default(),
        passed_until: None,
        max_lateness: fields.integer("max_lateness_seconds", 1..=400 * DAY / SECOND).map(|s| s * SECOND),
        allowed_links: read_hosts(fields),
        business_type: read_words(fields, "business_type", 200),
        strategy: read_words(fields, "strategy", 2_000),
        track_opens: fields.flag("track_opens"),
        track_clicks: fields.flag("track_clicks"),
    }
}

/// Words that a prompt is made from: they count as absent where they say nothing, and must not read as a
/// template that is broken.
fn read_words(fields: &mut Fields, name: &str, most: usize) -> Option<String> {
    let text = fields.text(name, most, Lines::Many)?;
    let text = text.trim();
    for finding in render::check(render::Kind::Text, text).err().unwrap_or_default() {
        fields.fault(name, "invalid_template", finding.to_string());
    }
    (!text.is_empty()).then(|| text.to_owned())
}

fn read_quiet_hours(fields: &mut Fields) -> Option<QuietHours> {
    const NAMES: [&str; 2] = ["quiet_hours_start", "quiet_hours_end"];
    let [start, end] = NAMES.map(|name| fields.value(name).is_some());
    if start != end {
        let (missing, given) = if start { (NAMES[1], NAMES[0]) } else { (NAMES[0], NAMES[1]) };
        fields.fault(missing, "required", format!("is required where {given} is given"));
    }
    let [start, end] = NAMES.map(|name| {
        let minute = minute_of_day(fields.string(name)?);
        if minute.is_none() {
            fields.fault(name, "invalid_format", "must be HH:MM, 00:00 to 23:59, such as 22:00");
        }
        minute
    });
    let (start, end) = (start?, end?);
    let quiet = QuietHours::new(start, end);
    if quiet.is_none() {
        fields.fault(
            NAMES[1],
            "conflict",
            "must differ from quiet_hours_start; leave both out for no quiet hours",
        );
    }
    quiet
}

/// `HH:MM` in minutes, two digits each.
fn minute_of_day(text: &str) -> Option<u16> {
    let digits =
        |part: &str| (part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse().ok());
    let (hours, minutes) = text.split_once(':')?;
    let (hours, minutes): (u16, u16) = (digits(hours)??, digits(minutes)??);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

fn read_schedule(fields: &mut Fields) -> Option<Millis> {
    let text = fields.string("schedule_time")?;
    let at = parse_rfc3339(text);
    if at.is_none() {
        let naive = format!("{}Z", text.trim());
        let message = match parse_rfc3339(&naive) {
            Some(_) => format!(
                "has no offset, so nobody knows whose time it is; write {naive} for UTC, or +01:00 and the like instead of Z"
            ),
            None => {
                "must be an RFC 3339 instant with its offset, such as 2026-03-15T09:00:00+01:00".to_owned()
            }
        };
        fields.fault("schedule_time", "invalid_format", message);
    }
    at
}

fn read_hosts(fields: &mut Fields) -> Vec<String> {
    let Some(list) = fields.list("allowed_links") else { return Vec::new() };
    if list.len() > 100 {
        fields.fault("allowed_links", "too_many", "must name at most 100 hosts");
    }
    let mut hosts = Vec::with_capacity(list.len());
    for (index, value) in list.iter().enumerate().take(100) {
        match value.as_str().map(str::to_ascii_lowercase).filter(|host| is_host(host)) {
            Some(host) => hosts.push(host),
            None => {
                let message = "must be a host name alone, such as www.example.com";
                fields.fault(&format!("allowed_links[{index}]"), "invalid_format", message);
            }
        }
    }
    hosts
}

pub(super) fn is_host(text: &str) -> bool {
    let label = |label: &str| {
        let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        (1..=63).contains(&label.len())
            && label.bytes().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

fn read_steps(fields: &mut Fields, demands: Demands, warnings: &mut Vec<FieldError>) -> Vec<Step> {
    if fields.value("steps").is_none() {
        fields.fault("steps", "required", "is required: a list of at least one step");
    }
    let Some(list) = fields.list("steps") else { return Vec::new() };
    if list.is_empty() {
        fields.fault("steps", "steps_min_1", "must have at least one step");
    }
    if list.len() > MOST_STEPS {
        fields.fault("steps", "too_many", format!("must have at most {MOST_STEPS} steps"));
    }
    let errors = fields.errors();
    let read = |(index, value)| step::read(index, value, demands.require_step_names, errors, warnings);
    list.iter().enumerate().take(MOST_STEPS).filter_map(read).collect()
}

/// A name that nobody reads is most often a slip of the pen, and no reason to refuse the rest.
pub(super) fn warn_of_unknown(fields: &Fields, known: &[&str], warnings: &mut Vec<FieldError>) {
    for name in fields.names().filter(|name| !known.contains(&name.as_str())).take(20) {
        let name: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
        warnings.push(FieldError::new(fields.path(&name), "unknown_field", "is not known and was ignored"));
    }
}
