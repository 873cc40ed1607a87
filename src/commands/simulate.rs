//! `simulate`: every future message of a campaign, from the planner that workers ask. No database, nothing sent.

use super::read::{self, Leads};
use crate::cli::SimulateArgs;
use crate::failure::Failure;
use crate::table;
use sendwright_workflows::clock::{DAY, Millis, rfc3339};
use sendwright_workflows::contact::{self, Contact};
use sendwright_workflows::enrolment::{Action, Means, Person, Reach, Standing};
use sendwright_workflows::quiet_hours::local_text;
use sendwright_workflows::rate_limit::Gate;
use sendwright_workflows::reason::Reason;
use sendwright_workflows::sequence::ByChannel;
use sendwright_workflows::simulate::{Line, Setting, Subject, simulate};
use sendwright_workflows::spec::{CampaignBody, sentence};
use sendwright_workflows::zone::Zone;
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};
use std::io::{self, BufWriter, Write};

/// One line of `--json`: the interface other programs read.
#[derive(Serialize)]
struct Message<'a> {
    email: &'a str,
    step: u32,
    at: String,
    local: String,
    reasons: &'a [Reason],
}

/// Runs it.
///
/// # Errors
/// The campaign or the CSV's header is refused; a bad row is told and passed over.
pub fn run(args: &SimulateArgs) -> Result<(), Failure> {
    let campaign = read::campaign(&args.campaign)?;
    let leads = Leads::open(&args.leads)?;
    read::warn(&args.campaign, &campaign, Some(&leads));
    let from = args.from.unwrap_or_else(sendwright_store::clock::wall_millis);
    let (emails, subjects) = read_leads(args, leads, &campaign, from)?;
    let zones: Vec<Zone> = subjects.iter().map(|subject| subject.person.zone).collect();
    let profile = campaign.sending_profile.as_ref().map(|profile| profile.rates).unwrap_or_default();
    let setting = Setting {
        sequence: &campaign.sequence(),
        policy: &campaign.policy,
        profiles: ByChannel { email: (Gate::default(), profile), ..ByChannel::default() },
        campaign: (Gate::default(), campaign.policy.rates()),
        means: Means::EVERYWHERE,
    };
    let lines = simulate(setting, subjects, from + i64::from(args.days) * DAY);
    let mut out = BufWriter::new(io::stdout().lock());
    if args.json {
        for line in lines.iter().filter(|line| line.action == Action::Send) {
            write_json(&mut out, line, &emails[line.subject], zones[line.subject])?;
        }
    } else {
        write_table(&mut out, &lines, &emails, &zones)?;
    }
    out.flush()?;
    summarise(&lines, emails.len(), args.days, &campaign)
}

/// Leads in row order, numbered as an import numbers its enrolments; the first of an address counts.
fn read_leads(
    args: &SimulateArgs,
    mut leads: Leads,
    campaign: &CampaignBody,
    from: Millis,
) -> Result<(Vec<String>, Vec<Subject>), Failure> {
    let (mut emails, mut subjects, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    let mut refused = 0_u64;
    let file = args.leads.display();
    while let Some(row) = leads.next_row()? {
        let (line, why) = match row {
            Ok((_, lead)) if seen.insert(lead.email.key()) => {
                let email = lead.email.as_str().to_owned();
                let contact = lead.into_contact(0);
                let person = Person {
                    zone: contact::zone(&contact, campaign.policy.timezone, Zone::UTC),
                    reach: reach(&contact),
                    ..Person::default()
                };
                let id = subjects.len() as i64 + 1;
                subjects.push(Subject {
                    id,
                    standing: Standing { settled: 0, base: from },
                    person,
                    open: None,
                });
                emails.push(email);
                continue;
            }
            Ok((line, _)) => (line, "email: is in the file twice; the first one counts".to_owned()),
            Err((line, errors)) => (line, sentence(&errors)),
        };
        refused += 1;
        eprintln!("{file}, line {line}: {why}");
    }
    if refused > 0 {
        eprintln!("{refused} rows were passed over, {} leads remain", subjects.len());
    }
    Ok((emails, subjects))
}

/// How the channels reach a lead of a file: who has a number is taken to have opted in.
fn reach(contact: &Contact) -> ByChannel<Reach> {
    let has_number = contact.phone.as_deref().is_some_and(|phone| phone.starts_with('+'));
    ByChannel::new(|channel| Reach { has_address: !channel.is_phone() || has_number, ..Reach::open() })
}

pub(super) fn write_json(out: &mut impl Write, line: &Line, email: &str, zone: Zone) -> io::Result<()> {
    let message = Message {
        email,
        step: line.step,
        at: rfc3339(line.at),
        local: local_text(line.at, zone),
        reasons: &line.reasons,
    };
    serde_json::to_writer(&mut *out, &message)?;
    out.write_all(b"\n")
}

pub(super) fn write_table(
    out: &mut impl Write,
    lines: &[Line],
    emails: &[String],
    zones: &[Zone],
) -> io::Result<()> {
    let widest = lines.iter().map(|line| emails[line.subject].chars().count()).max().unwrap_or_default();
    let widths = [24, 29, widest.max(4), 4, 5, 0];
    let header = ["at", "local", "lead", "step", "", "reasons"].map(str::to_owned);
    table::write_row(out, &header, &widths)?;
    for line in lines {
        let reasons: Vec<String> = line.reasons.iter().map(words).collect();
        let row = [
            rfc3339(line.at),
            local_text(line.at, zones[line.subject]),
            emails[line.subject].clone(),
            line.step.to_string(),
            verb(line.action).to_owned(),
            reasons.join(", "),
        ];
        table::write_row(out, &row, &widths)?;
    }
    Ok(())
}

fn verb(action: Action) -> &'static str {
    match action {
        Action::Send | Action::Write => "send",
        Action::Skip => "skip",
        Action::Stop => "stop",
        Action::Hold | Action::Wait => "hold",
        Action::Complete => "done",
    }
}

/// A reason for people: its code and its data, instants readable.
fn words(reason: &Reason) -> String {
    let Ok(Value::Object(fields)) = serde_json::to_value(reason) else { return reason.code() };
    let mut data: Vec<_> =
        fields.iter().filter(|(name, value)| *name != "code" && !value.is_null()).collect();
    data.sort_by_key(|(name, _)| *name == "until");
    let tell = |(name, value): (&String, &Value)| match (name.as_str(), value) {
        ("until", Value::Number(at)) => format!("until {}", rfc3339(at.as_i64().unwrap_or_default())),
        (_, Value::String(word)) => word.clone(),
        (name, value) => format!("{name} {value}"),
    };
    let data: Vec<String> = data.into_iter().map(tell).collect();
    if data.is_empty() { reason.code() } else { format!("{} ({})", reason.code(), data.join(", ")) }
}

/// What stands below the table: how many, when, and what will not go out. For people, on stderr.
fn summarise(lines: &[Line], leads: usize, days: u32, campaign: &CampaignBody) -> Result<(), Failure> {
    let mut err = io::stderr().lock();
    let sent: Vec<&Line> = lines.iter().filter(|line| line.action == Action::Send).collect();
    writeln!(err, "\n{} messages to {leads} leads within {days} days; days are UTC", sent.len())?;
    if let (Some(first), Some(last)) = (sent.first(), sent.last()) {
        writeln!(err, "first {}, last {}", rfc3339(first.at), rfc3339(last.at))?;
    }
    let mut by_day: BTreeMap<Millis, usize> = BTreeMap::new();
    let mut not_sent: BTreeMap<(&str, String), usize> = BTreeMap::new();
    for line in lines {
        if line.action == Action::Send {
            *by_day.entry(line.at.div_euclid(DAY)).or_default() += 1;
        } else {
            let why = line.reasons.last().map(Reason::code).unwrap_or_default();
            *not_sent.entry((verb(line.action), why)).or_default() += 1;
        }
    }
    for (day, count) in by_day {
        writeln!(err, "  {}  {count}", &rfc3339(day * DAY)[..10])?;
    }
    for ((verb, why), count) in not_sent {
        writeln!(err, "{count} not sent: {verb}, {why}")?;
    }
    if campaign.steps.iter().any(|step| step.channel.needs_consent()) {
        writeln!(err, "who has a number is taken to have opted in: without that, nothing goes to a phone")?;
    }
    if campaign.steps.iter().any(|step| step.wants_model()) {
        writeln!(err, "a model is taken to be configured: without one, steps with ai_prompt are held")?;
    }
    Ok(())
}
