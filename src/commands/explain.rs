//! `explain`: why a message went, waits or was held, and when it is looked at next.

use super::{messages as command, open};
use crate::cli::ExplainArgs;
use crate::config::Config;
use crate::failure::Failure;
use sendwright_api::operations::messages::{self, EnrolmentExplained, Explanation, LeadExplained, Told};
use sendwright_api::{Core, shown};
use sendwright_store::contacts;
use sendwright_workflows::address::Email;
use sendwright_workflows::clock::{Millis, rfc3339};
use sendwright_workflows::enrolment::Means;
use std::io::{self, Write};

/// Runs it.
///
/// # Errors
/// There is no such message or lead, or the database is not reached.
pub fn run(config: &Config, args: &ExplainArgs) -> Result<(), Failure> {
    open::block_on(async {
        let mut out = io::stdout().lock();
        if args.of.contains('@') {
            let email = Email::parse(&args.of).map_err(|error| Failure::input(vec![error.to_string()]))?;
            let (core, account) = open::core_in(config, &args.list.account).await?;
            let lead = find(&core, account.id, &email).await?;
            // What the workers have is not known here; that they have what they need is the usual case.
            let explained = messages::explain_lead(&core, account.id, lead, Means::EVERYWHERE).await?;
            return match args.list.json {
                true => Ok(writeln!(out, "{}", shown::lead_explained(&explained))?),
                false => Ok(write_lead(&mut out, &explained)?),
            };
        }
        let id = command::id(&args.of)?;
        let (core, account) = open::core_in(config, &args.list.account).await?;
        let explained = messages::explain(&core, account.id, id).await?;
        match args.list.json {
            true => Ok(writeln!(out, "{}", shown::explanation(&explained))?),
            false => Ok(write_message(&mut out, &explained, "")?),
        }
    })
}

async fn find(core: &Core, account: i64, email: &Email) -> Result<i64, Failure> {
    let mut tx = core.store.read().await?;
    let found = contacts::by_email(&mut tx, account, &email.key()).await?;
    tx.rollback().await?;
    found.map(|contact| contact.id).ok_or_else(|| Failure::new("the account has no lead with this address"))
}

fn write_lead(out: &mut impl Write, lead: &LeadExplained) -> io::Result<()> {
    let email = lead.contact.details.email.as_deref().unwrap_or("without an address");
    writeln!(out, "Lead {}, {email}\n{}", lead.contact.id, lead.summary)?;
    lead.enrolments.iter().try_for_each(|enrolment| write_enrolment(out, enrolment))
}

fn write_enrolment(out: &mut impl Write, e: &EnrolmentExplained) -> io::Result<()> {
    writeln!(out, "\nCampaign {}, {}\n  {}", e.enrolment.campaign_id, e.campaign, e.summary)?;
    write_reasons(out, "because", &e.reasons, "  ")?;
    for message in &e.messages {
        let at = message.accepted_at.or(message.planned()).map_or("not planned yet".into(), rfc3339);
        let (step, state, id) = (message.step_number, &message.state, message.id);
        writeln!(out, "  step {step}   {at}   {state}   message {id}")?;
    }
    if let Some(open) = &e.open {
        writeln!(out)?;
        write_message(out, open, "  ")?;
    } else {
        write_next(out, e.next_look_at, "  ")?;
    }
    Ok(())
}

fn write_message(out: &mut impl Write, e: &Explanation, indent: &str) -> io::Result<()> {
    let m = &e.message;
    let campaign = if m.is_step() { format!(" of campaign {}", m.campaign_id) } else { String::new() };
    writeln!(
        out,
        "{indent}Message {}: step {}{campaign}, to {}, {}",
        m.id, m.step_number, m.address, m.state
    )?;
    writeln!(out, "{indent}{}", e.summary)?;
    write_reasons(out, "because", &e.reasons, indent)?;
    let past: Vec<Told> = e.history.iter().filter(|told| !e.reasons.contains(told)).cloned().collect();
    write_reasons(out, "before", &past, indent)?;
    for attempt in &e.attempts {
        let reply = attempt.reply.map(|code| format!(" {code}")).unwrap_or_default();
        let detail = attempt.detail.as_deref().map(|text| format!(" {text}")).unwrap_or_default();
        let at = rfc3339(attempt.intent_at);
        writeln!(out, "{indent}  hand-over  {at}: {}{reply}{detail}", attempt.state)?;
    }
    write_next(out, e.next_look_at, indent)
}

fn write_reasons(out: &mut impl Write, word: &str, reasons: &[Told], indent: &str) -> io::Result<()> {
    reasons
        .iter()
        .try_for_each(|told| writeln!(out, "{indent}  {word:<9}  {}: {}", told.reason.code(), told.text))
}

fn write_next(out: &mut impl Write, at: Option<Millis>, indent: &str) -> io::Result<()> {
    at.map_or(Ok(()), |at| writeln!(out, "{indent}  next look  {}", rfc3339(at)))
}
