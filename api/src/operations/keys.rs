//! Keys: made, listed, revoked. The whole key is shown once, by whoever makes it.

use crate::refusal::Refusal;
use crate::state::Core;
use crate::work::{Barrier, Work};
use sendwright_store::keys::{self, Key, NewKey};
use sendwright_store::{tiers, users};
use sendwright_workflows::clock::Millis;
use sendwright_workflows::signing::{ApiKey, Mode};
use sendwright_workflows::spec::FieldError;
use serde_json::json;

/// What a new key shall be.
#[derive(Debug, Clone)]
pub struct KeyBody {
    /// What people call it.
    pub name: String,
    /// The user whose rights it inherits, by e-mail; of the account's only one, none.
    pub user: Option<String>,
    /// `read`, `write`; none for all.
    pub scopes: Vec<String>,
    /// The limits it lives under.
    pub tier: String,
    /// When it stops working.
    pub expires_at: Option<Millis>,
}

impl KeyBody {
    /// A key of the account's only user, with all rights, under the standard limits, for ever.
    pub fn named(name: &str) -> Self {
        let (name, tier) = (name.to_owned(), "standard".to_owned());
        Self { name, user: None, scopes: vec![], tier, expires_at: None }
    }
}

/// Makes a key: the number of its row, and the whole key, which is not to be had again.
pub async fn create(work: &mut Work<'_>, body: &KeyBody) -> Result<(i64, ApiKey), Refusal> {
    let mut errors = faults(body, work.now());
    let mut random = [0_u8; 32];
    getrandom::fill(&mut random).map_err(|_| Refusal::Internal)?;
    let key = ApiKey::generate(Mode::Live, random);
    let id = work.ids("keys", 1).await?.start;
    work.begin(Barrier::None).await?;
    let (account, now) = (work.account(), work.now());
    let tx = work.tx()?;
    if !tiers::exists(tx, &body.tier).await? {
        let known = tiers::names(tx).await?.join(" or ");
        errors.push(FieldError::new("tier", "invalid_choice", format!("must be {known}")));
    }
    let found = match &body.user {
        Some(email) => users::by_email(tx, account, email).await?,
        None => Some(users::list(tx, account, 0, 2).await?)
            .filter(|all| all.len() == 1)
            .and_then(|mut all| all.pop()),
    };
    let Some(user) = found else {
        errors.push(FieldError::new("user", "reference_not_found", "name a user of the account by e-mail"));
        return Err(Refusal::Invalid(errors));
    };
    if !errors.is_empty() {
        return Err(Refusal::Invalid(errors));
    }
    let new = NewKey {
        id,
        account_id: account,
        user_id: user.id,
        name: &body.name,
        prefix: key.prefix(),
        hash: &key.hash(),
        scopes: &body.scopes,
        tier: &body.tier,
        mode: "live",
        expires_at: body.expires_at,
    };
    keys::insert(tx, &new, now).await?;
    work.audit("create", "key", Some(id), &json!({ "tier": body.tier }));
    Ok((id, key))
}

fn faults(body: &KeyBody, now: Millis) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let name = body.name.trim();
    if name.is_empty() || name.chars().count() > 200 || name.chars().any(char::is_control) {
        errors.push(FieldError::new("name", "required", "must be one line of 1 to 200 characters"));
    }
    for scope in &body.scopes {
        if !["read", "write"].contains(&scope.as_str()) {
            errors.push(FieldError::new("scopes", "invalid_choice", "must be read or write"));
        }
    }
    if body.expires_at.is_some_and(|at| at <= now) {
        errors.push(FieldError::new("expires_at", "out_of_range", "must lie ahead"));
    }
    errors
}

/// The account's keys, those above `after` by number.
pub async fn list(core: &Core, account: i64, after: i64) -> Result<Vec<Key>, Refusal> {
    let mut tx = core.store.read().await?;
    let found = keys::list(&mut tx, account, after, 1_000).await?;
    tx.rollback().await?;
    Ok(found)
}

/// Revokes a key at once, in every process; again is no error.
pub async fn revoke(work: &mut Work<'_>, id: i64) -> Result<(), Refusal> {
    work.begin(Barrier::None).await?;
    let (account, now) = (work.account(), work.now());
    if !keys::revoke(work.tx()?, account, id, now).await? {
        return Err(Refusal::NotFound(format!("Key {id} not found")));
    }
    work.audit("revoke", "key", Some(id), &json!({}));
    Ok(())
}
