//! The sample: files that people read and copy, compiled in.

use crate::commands::read::Leads;
use crate::failure::Failure;
use sendwright_api::operations::campaigns::{self, Begin};
use sendwright_api::operations::leads::{self, Known};
use sendwright_api::{Actor, Core, Work};
use sendwright_store::{Page, campaigns as stored};
use sendwright_workflows::campaign::State;
use sendwright_workflows::spec::{CampaignBody, FieldError, LeadBody, sentence};

const CAMPAIGN: &str = include_str!("../../examples/welcome.yaml");
const LEADS: &str = include_str!("../../examples/leads.csv");

/// How the sample campaign is found again, whatever it is called by then.
const EXTERNAL_ID: &str = "sendwright-demo";

/// The sample campaign, running; made with its leads where it is not there yet. A start that was cut short in
/// between is made whole.
///
/// # Errors
/// The database does not take it.
pub async fn load(core: &Core, account: i64) -> Result<i64, Failure> {
    let id = match find(core, account).await? {
        Some(id) => id,
        None => create(core, account).await?,
    };
    if campaigns::counts(core, account, id).await?.enrolments.is_empty() {
        let mut work = Work::new(core, Actor::command(account))?;
        leads::import(&mut work, sample_leads(id)?, Known::Take).await?;
        work.commit().await?;
    }
    Ok(id)
}

async fn find(core: &Core, account: i64) -> Result<Option<i64>, Failure> {
    let mut tx = core.store.read().await?;
    let all = stored::list(&mut tx, account, &State::ALL, Page::first(10_000)).await?;
    tx.rollback().await?;
    Ok(all.into_iter().find(|campaign| campaign.external_id.as_deref() == Some(EXTERNAL_ID)).map(|c| c.id))
}

async fn create(core: &Core, account: i64) -> Result<i64, Failure> {
    let value =
        serde_yaml_ng::from_str(CAMPAIGN).map_err(|error| Failure::new(format!("the sample: {error}")))?;
    let mut body = CampaignBody::from_json(&value).map_err(|errors| faulty(&errors))?;
    body.external_id = Some(EXTERNAL_ID.to_owned());
    let mut work = Work::new(core, Actor::command(account))?;
    let made = campaigns::create(&mut work, &body, Begin::Running).await?;
    work.commit().await?;
    Ok(made.campaign.id)
}

fn sample_leads(campaign: i64) -> Result<Vec<leads::Parsed>, Failure> {
    let mut rows = Leads::over(Box::new(LEADS.as_bytes()), "the sample's leads".to_owned())?;
    let mut leads = Vec::new();
    while let Some(row) = rows.next_row()? {
        let lead = row.map(|(_, lead)| LeadBody { campaign_id: Some(campaign), ..lead });
        leads.push(lead.map_err(|(_, errors)| errors));
    }
    Ok(leads)
}

fn faulty(errors: &[FieldError]) -> Failure {
    Failure::new(format!("the sample: {}", sentence(errors)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_has_no_fault_and_every_lead_reads() {
        let body = CampaignBody::from_json(&serde_yaml_ng::from_str(CAMPAIGN).unwrap()).unwrap();
        assert!(body.steps.len() >= 3);
        let leads = sample_leads(7).unwrap();
        assert!(leads.len() >= 10);
        assert!(leads.iter().all(|lead| lead.as_ref().is_ok_and(|lead| lead.campaign_id == Some(7))));
    }
}
