//! Reports (S2-29 to S2-32): what became of messages, how the account stands, and what people wrote. Each is read at one
//! instant, by the one module of statistics.

use crate::refusal::Refusal;
use crate::state::Core;
use sendwright_store::campaigns::{self, Campaign};
use sendwright_store::contacts;
use sendwright_store::statistics::{self, Activity, Faults, Filter, Inbound, Line, Scope};
use sendwright_store::{Page, Tx};
use sendwright_workflows::campaign::State;
use sendwright_workflows::clock::{DAY, HOUR};
use sendwright_workflows::report::Report;

/// Errors that a dashboard names: the last ones.
const ERRORS: usize = 10;

/// What became of a campaign's messages, over all of its rounds.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// The campaign.
    pub campaign: Campaign,
    /// Its messages.
    pub report: Report,
    /// What those failed by that did.
    pub faults: Vec<Faults>,
}

/// One campaign's.
pub async fn summary(core: &Core, account: i64, id: i64) -> Result<Summary, Refusal> {
    let mut tx = core.store.snapshot().await?;
    let campaign = campaigns::get(&mut tx, account, id).await?;
    let campaign = campaign.ok_or_else(|| Refusal::no_campaign(id))?;
    let filter = Filter::all(Scope { account, campaign: Some(id), round: None });
    let report = statistics::report(&mut tx, &filter).await?;
    let faults = statistics::faults(&mut tx, &filter).await?;
    tx.rollback().await?;
    Ok(Summary { campaign, report, faults })
}

/// Messages of a filter, and what became of all of them.
pub async fn messages(core: &Core, filter: &Filter, page: Page) -> Result<(Vec<Line>, Report), Refusal> {
    let mut tx = core.store.snapshot().await?;
    let campaign = filter.scope.campaign;
    if let Some(id) = campaign
        && campaigns::get(&mut tx, filter.scope.account, id).await?.is_none()
    {
        return Err(Refusal::field("campaign_id", "reference_not_found", "is no campaign of this account"));
    }
    let lines = statistics::list(&mut tx, filter, page).await?;
    let report = statistics::report(&mut tx, filter).await?;
    tx.rollback().await?;
    Ok((lines, report))
}

/// How an account stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Dashboard {
    /// Campaigns that run.
    pub active_campaigns: i64,
    /// Its people by phone.
    pub users: Users,
    /// Messages of the last 24 hours.
    pub report: Report,
    /// What those failed by that did, the last first.
    pub faults: Vec<Faults>,
    /// What people wrote in the last 24 hours.
    pub inbound: Activity,
}

/// People by phone. `total` is the sum of the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Users {
    /// All of them.
    pub total: i64,
    /// Who has opted in.
    pub opted_in: i64,
    /// Who has opted out, or said STOP.
    pub opted_out: i64,
    /// Who has said nothing.
    pub unasked: i64,
}

/// The account's.
pub async fn dashboard(core: &Core, account: i64) -> Result<Dashboard, Refusal> {
    let since = core.now()? - DAY;
    let mut tx = core.store.snapshot().await?;
    let active_campaigns = campaigns::count(&mut tx, account, &[State::Running]).await?;
    let users = users(&mut tx, account).await?;
    let scope = Scope { account, campaign: None, round: None };
    let filter = Filter { from: Some(since), ..Filter::all(scope) };
    let report = statistics::report(&mut tx, &filter).await?;
    let mut faults = statistics::faults(&mut tx, &filter).await?;
    let inbound = statistics::activity(&mut tx, account, since).await?;
    tx.rollback().await?;
    faults.truncate(ERRORS);
    Ok(Dashboard { active_campaigns, users, report, faults, inbound })
}

async fn users(tx: &mut Tx, account: i64) -> Result<Users, Refusal> {
    let mut users = Users::default();
    for (consent, n) in contacts::counts_by_consent(tx, account).await? {
        users.total += n;
        *match consent.as_deref() {
            Some("opt_in") => &mut users.opted_in,
            Some(_) => &mut users.opted_out,
            None => &mut users.unasked,
        } += n;
    }
    Ok(users)
}

/// What people wrote.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// The newest of it.
    pub newest: Vec<Inbound>,
    /// Over all the hours that were asked for.
    pub period: Activity,
    /// In the last 24 of them.
    pub day: Activity,
}

/// In so many hours up to now; at most `limit` of it one by one.
pub async fn inbound(core: &Core, account: i64, hours: i64, limit: i64) -> Result<Written, Refusal> {
    let now = core.now()?;
    let since = now - hours * HOUR;
    let mut tx = core.store.snapshot().await?;
    let newest = statistics::inbound(&mut tx, account, since, limit).await?;
    let period = statistics::activity(&mut tx, account, since).await?;
    let day = match hours {
        24 => period,
        _ => statistics::activity(&mut tx, account, now - DAY).await?,
    };
    tx.rollback().await?;
    Ok(Written { newest, period, day })
}
