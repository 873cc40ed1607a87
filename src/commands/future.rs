//! `campaign simulate`: what lies ahead of a stored campaign, from where everybody stands.

use super::{campaign, open, simulate};
use crate::cli::CampaignFutureArgs;
use crate::config::Config;
use crate::failure::Failure;
use sendwright_api::operations::simulation::{self, Span};
use sendwright_workflows::clock::rfc3339;
use sendwright_workflows::enrolment::{Action, Means};
use sendwright_workflows::simulate::Line;
use std::io::{self, Write};

/// Prints it; nothing is stored or sent.
///
/// # Errors
/// There is no such campaign, or the database is not reached.
pub async fn run(config: &Config, args: &CampaignFutureArgs) -> Result<(), Failure> {
    let id = campaign::id(&args.campaign.id)?;
    let (core, account) = open::core_in(config, &args.campaign.list.account).await?;
    let span = Span { from: args.from, days: args.days };
    // What the workers have is not known here; that they have what they need is the usual case.
    let future = simulation::stored(&core, account.id, id, span, Means::EVERYWHERE).await?;
    let (mut emails, mut zones, mut lines) = (Vec::new(), Vec::new(), Vec::new());
    for planned in future.lines {
        let (step, at, action, reasons) = (planned.step, planned.at, planned.action, planned.reasons);
        lines.push(Line { subject: emails.len(), step, at, action, reasons });
        emails.push(planned.email);
        zones.push(planned.zone);
    }
    let mut out = io::BufWriter::new(io::stdout().lock());
    if args.campaign.list.json {
        for line in lines.iter().filter(|line| line.action == Action::Send) {
            simulate::write_json(&mut out, line, &emails[line.subject], zones[line.subject])?;
        }
        return Ok(out.flush()?);
    }
    simulate::write_table(&mut out, &lines, &emails, &zones)?;
    out.flush()?;
    let sent = lines.iter().filter(|line| line.action == Action::Send).count();
    eprintln!("\n{sent} messages to {} leads up to {}", future.leads, rfc3339(future.until));
    if let Some(assumed) = future.assumed {
        eprintln!("as if the campaign were {assumed}");
    }
    if future.truncated {
        eprintln!("there are more: this is the beginning");
    }
    Ok(())
}
