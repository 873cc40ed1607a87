//! Keys: made, listed, rotated, revoked. The whole key is shown once, by whoever makes it.

use crate::refusal::Refusal;
use crate::scope;
use crate::state::Core;
use crate::work::{Barrier, Work};
use sendwright_store::accounts::{self, Account};
use sendwright_store::keys::{self, Holder, Key, NewKey};
use sendwright_store::{Page, Tx, tiers, users};
use sendwright_workflows::clock::{DAY, Millis};
use sendwright_workflows::signing::{ApiKey, Mode};
use sendwright_workflows::spec::FieldError;
use serde_json::json;

/// How long an old key still opens beside its successor where the caller does not say.
pub const OVERLAP: Millis = DAY;
/// The same at most.
pub const MOST_OVERLAP: Millis = 30 * DAY;

/// What a new key shall be.
#[derive(Debug, Clone)]
pub struct KeyBody {
    /// What people call it.
    pub name: String,
    /// The user whose rights it inherits, by e-mail; of the account's only one, none.
    pub user: Option<String>,
    /// Of [`scope::known`]; none for all.
    pub scopes: Vec<String>,
    /// The limits it lives under.
    pub tier: String,
    /// When it stops working.
    pub expires_at: Option<Millis>,
    /// Whether it is a key of the account's test twin.
    pub test: bool,
}

impl KeyBody {
    /// A live key of the account's only user, with all rights, under the standard limits, for ever.
    pub fn named(name: &str) -> Self {
        let (name, tier) = (name.to_owned(), "standard".to_owned());
        Self { name, user: None, scopes: vec![], tier, expires_at: None, test: false }
    }
}

/// What whoever makes a key may give away: no more than it has itself.
#[derive(Debug, Clone)]
pub struct Rights {
    /// Its scopes; none for all.
    pub scopes: Vec<String>,
    /// Its tier.
    pub tier: String,
    /// Whether that tier has no limit: any other is less.
    pub unlimited: bool,
    /// When it ends.
    pub expires_at: Option<Millis>,
}

impl Rights {
    /// Those of whoever holds the data directory: no key is more.
    pub fn all() -> Self {
        Self { scopes: Vec::new(), tier: "standard".to_owned(), unlimited: true, expires_at: None }
    }

    /// Those of a key.
    pub fn of(holder: &Holder) -> Self {
        Self {
            scopes: holder.scopes(),
            tier: holder.tier.clone(),
            unlimited: holder.limits.trim() == "{}",
            expires_at: holder.expires_at,
        }
    }

    /// What is more than these.
    pub fn faults(&self, scopes: &[String], tier: &str, expires_at: Option<Millis>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if !scope::includes(&self.scopes, scopes) {
            let held = self.scopes.join(", ");
            let text = format!("must be among the calling key's own: {held}");
            errors.push(FieldError::new("scopes", "not_permitted", text));
        }
        if !self.unlimited && tier != self.tier {
            let text = format!("must be the calling key's own: {}", self.tier);
            errors.push(FieldError::new("tier", "not_permitted", text));
        }
        if self.expires_at.is_some_and(|end| expires_at.is_none_or(|at| at > end)) {
            let text = "must not be later than the end of the calling key";
            errors.push(FieldError::new("expires_at", "not_permitted", text));
        }
        errors
    }
}

/// Makes a key: the number of its row, and the whole key, which is not to be had again.
pub async fn create(work: &mut Work<'_>, body: &KeyBody) -> Result<(i64, ApiKey), Refusal> {
    let mut errors = faults(body, work.now());
    let account = account(work.core(), work.account()).await?;
    let owner = match body.test {
        true => accounts::twin(work.store(), &account, work.now()).await?,
        false => account.clone(),
    };
    let key = random(&owner)?;
    let id = work.ids("keys", 1).await?.start;
    work.begin(Barrier::None).await?;
    let now = work.now();
    let tx = work.tx()?;
    if !tiers::exists(tx, &body.tier).await? {
        let known = tiers::names(tx).await?.join(" or ");
        errors.push(FieldError::new("tier", "invalid_choice", format!("must be {known}")));
    }
    let user = user(tx, &account, body.user.as_deref()).await?;
    let Some(user) = user.filter(|_| errors.is_empty()) else {
        if user.is_none() {
            errors.push(FieldError::new(
                "user",
                "reference_not_found",
                "name a user of the account by e-mail",
            ));
        }
        return Err(Refusal::Invalid(errors));
    };
    let new = NewKey {
        id,
        account_id: owner.id,
        user_id: user,
        name: body.name.trim(),
        prefix: key.prefix(),
        hash: &key.hash(),
        scopes: &body.scopes,
        tier: &body.tier,
        mode: &owner.mode,
        expires_at: body.expires_at,
    };
    keys::insert(tx, &new, now).await?;
    work.audit("create", "key", Some(id), &json!({ "tier": body.tier, "mode": owner.mode }));
    Ok((id, key))
}

async fn account(core: &Core, id: i64) -> Result<Account, Refusal> {
    let mut tx = core.store.read().await?;
    let found = accounts::get(&mut tx, id).await?;
    tx.rollback().await?;
    found.ok_or(Refusal::Internal)
}

fn random(owner: &Account) -> Result<ApiKey, Refusal> {
    let mut random = [0_u8; 32];
    getrandom::fill(&mut random).map_err(|_| Refusal::Internal)?;
    let mode = if owner.mode == "test" { Mode::Test } else { Mode::Live };
    Ok(ApiKey::generate(mode, random))
}

/// The user named, or the only one there is; a twin has its parent's.
async fn user(tx: &mut Tx, account: &Account, email: Option<&str>) -> Result<Option<i64>, Refusal> {
    let of = account.parent_id.filter(|_| account.mode == "test").unwrap_or(account.id);
    let found = match email {
        Some(email) => users::by_email(tx, of, email).await?,
        None => {
            let all = users::list(tx, of, 0, 2).await?;
            Some(all).filter(|all| all.len() == 1).and_then(|mut all| all.pop())
        }
    };
    Ok(found.map(|user| user.id))
}

fn faults(body: &KeyBody, now: Millis) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let name = body.name.trim();
    if name.is_empty() || name.chars().count() > 200 || name.chars().any(char::is_control) {
        errors.push(FieldError::new("name", "required", "must be one line of 1 to 200 characters"));
    }
    if body.scopes.iter().any(|scope| !scope::known().contains(scope)) {
        let text = format!("must be of {}", scope::known().join(", "));
        errors.push(FieldError::new("scopes", "invalid_choice", text));
    }
    if body.expires_at.is_some_and(|at| at <= now) {
        errors.push(FieldError::new("expires_at", "out_of_range", "must lie ahead"));
    }
    errors
}

/// The keys of the account and of its test twin, and how many there are.
pub async fn list(core: &Core, account: i64, page: Page) -> Result<(Vec<Key>, i64), Refusal> {
    let mut tx = core.store.read().await?;
    let found = keys::page(&mut tx, account, page).await?;
    let total = keys::count(&mut tx, account).await?;
    tx.rollback().await?;
    Ok((found, total))
}

/// The row of a key that was just made, within its own transaction.
pub async fn made(work: &mut Work<'_>, id: i64) -> Result<Key, Refusal> {
    let account = work.account();
    keys::get(work.tx()?, account, id).await?.ok_or(Refusal::Internal)
}

/// One of them.
pub async fn get(core: &Core, account: i64, id: i64) -> Result<Key, Refusal> {
    let mut tx = core.store.read().await?;
    let found = keys::get(&mut tx, account, id).await?;
    tx.rollback().await?;
    found.ok_or_else(|| missing(id))
}

/// Makes a successor of a key, with all it had; the old one opens for `overlap` milliseconds more. The successor's row
/// and itself.
pub async fn rotate(
    work: &mut Work<'_>,
    id: i64,
    overlap: Millis,
    rights: &Rights,
) -> Result<(Key, ApiKey), Refusal> {
    let successor = work.ids("keys", 1).await?.start;
    work.begin(Barrier::None).await?;
    let (account, now) = (work.account(), work.now());
    let tx = work.tx()?;
    let old = keys::get(tx, account, id).await?.ok_or_else(|| missing(id))?;
    if old.state(now) != "active" {
        let text = format!("this key is {}; make a new one", old.state(now));
        return Err(Refusal::Conflict("key_not_active", text));
    }
    let scopes = old.scopes();
    let faults = rights.faults(&scopes, &old.tier, old.expires_at);
    if !faults.is_empty() {
        return Err(Refusal::Invalid(faults));
    }
    let owner = accounts::get(tx, old.account_id).await?.ok_or(Refusal::Internal)?;
    let key = random(&owner)?;
    let new = NewKey {
        id: successor,
        account_id: old.account_id,
        user_id: old.user_id,
        name: &old.name,
        prefix: key.prefix(),
        hash: &key.hash(),
        scopes: &scopes,
        tier: &old.tier,
        mode: &old.mode,
        expires_at: old.expires_at,
    };
    keys::insert(tx, &new, now).await?;
    keys::expire(tx, old.account_id, id, now + overlap).await?;
    let row = keys::get(tx, account, successor).await?.ok_or(Refusal::Internal)?;
    work.audit(
        "rotate",
        "key",
        Some(id),
        &json!({ "successor": successor, "overlap_seconds": overlap / 1_000 }),
    );
    Ok((row, key))
}

/// Revokes a key at once, in every process; again is no error.
pub async fn revoke(work: &mut Work<'_>, id: i64) -> Result<Key, Refusal> {
    work.begin(Barrier::None).await?;
    let (account, now) = (work.account(), work.now());
    let tx = work.tx()?;
    let mut key = keys::get(tx, account, id).await?.ok_or_else(|| missing(id))?;
    keys::revoke(tx, key.account_id, id, now).await?;
    work.audit("revoke", "key", Some(id), &json!({}));
    key.revoked_at.get_or_insert(now);
    Ok(key)
}

/// The words for a key that is not there, or another tenant's.
pub fn missing(face: impl std::fmt::Display) -> Refusal {
    Refusal::NotFound(format!("Key {face} not found"))
}
