//! `preview`: what one lead would read. Nothing is stored or sent, and no model is asked.

use super::read::{self, Leads};
use crate::cli::PreviewArgs;
use crate::failure::Failure;
use sendwright_workflows::address::Email;
use sendwright_workflows::contact::Contact;
use sendwright_workflows::render::{Kind, render};
use sendwright_workflows::sequence::{Delay, Step};
use sendwright_workflows::spec::{CampaignBody, LeadBody};
use sendwright_workflows::variables::{Fields, Variables};
use serde_json::json;
use std::io::{self, Write};

/// Stands where the message's own signed link will be.
const UNSUBSCRIBE: &str = "https://unsubscribe.invalid/preview";

/// Runs it.
///
/// # Errors
/// The campaign is refused, the lead is not in the file, or a text cannot be made for this lead.
pub fn run(args: &PreviewArgs) -> Result<(), Failure> {
    let campaign = read::campaign(&args.campaign)?;
    let leads = args.leads.as_deref().map(Leads::open).transpose()?;
    read::warn(&args.campaign, &campaign, leads.as_ref());
    let contact = find(args, leads)?;
    let mut out = io::stdout().lock();
    let mut failed = Vec::new();
    for step in &campaign.steps {
        let variables = variables(&campaign, &contact, step);
        writeln!(out, "── Step {}: {} ({}) ──", step.number, step.name, delay(&step.delay))?;
        let parts = [
            ("Subject", Kind::Subject, &step.subject),
            ("Prompt: the model writes by it", Kind::Text, &step.ai_prompt),
            (
                if step.wants_model() { "Text, if the model fails" } else { "Text" },
                Kind::Text,
                &step.template,
            ),
        ];
        for (name, kind, source) in parts {
            let Some(source) = source else { continue };
            let text = render(kind, source, &variables).unwrap_or_else(|error| {
                failed.push(format!("step {}, {}: {error}", step.number, name.to_lowercase()));
                format!("[{error}]")
            });
            let separator = if kind == Kind::Subject { " " } else { "\n" };
            writeln!(out, "{name}:{separator}{}\n", text.trim_end())?;
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(Failure::input(failed)) }
}

/// The lead by its address: from the file, or nothing but the address.
fn find(args: &PreviewArgs, leads: Option<Leads>) -> Result<Contact, Failure> {
    let wanted =
        Email::parse(&args.lead).map_err(|error| Failure::input(vec![format!("--lead: {error}")]))?;
    let Some(mut leads) = leads else {
        let lead = LeadBody::from_json(&json!({ "email": wanted.as_str() }));
        return lead.map(|lead| lead.into_contact(0)).map_err(|errors| Failure::body("--lead", &errors));
    };
    while let Some(row) = leads.next_row()? {
        if let Ok((_, lead)) = row
            && lead.email.key() == wanted.key()
        {
            return Ok(lead.into_contact(0));
        }
    }
    let file = args.leads.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
    Err(Failure::input(vec![format!("{file}: no good row has the address of --lead")]))
}

fn variables(campaign: &CampaignBody, contact: &Contact, step: &Step) -> Variables {
    let sender = campaign.sending_profile.as_ref().and_then(|profile| profile.from_name.as_deref());
    Variables::new(&Fields {
        unsubscribe_url: Some(UNSUBSCRIBE),
        sender_name: sender,
        campaign_name: Some(&campaign.name),
        step_number: Some(i64::from(step.number)),
        ..contact.fields()
    })
}

fn delay(delay: &Delay) -> String {
    let parts = [(delay.days, "d"), (delay.hours, "h"), (delay.minutes, "min"), (delay.seconds, "s")];
    let parts: Vec<String> =
        parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n} {unit}")).collect();
    if parts.is_empty() { "at once".to_owned() } else { format!("after {}", parts.join(" ")) }
}
