//! Who vouches for a callback: the Twilio accounts whose token it is signed with (A27). Each speaks for its own senders
//! and for nobody else's (A28).

use crate::console;
use crate::intake::Form;
use crate::operations::texts::Addressed;
use crate::refusal::Refusal;
use crate::state::ApiState;
use axum::http::HeaderMap;
use sendwright_store::accounts;
use sendwright_store::callbacks::PROCESS;
use sendwright_store::sending_profiles::{self, Line};
use sendwright_workflows::callback::{SIGNATURE, is_signed};
use sendwright_workflows::receipt::AGAIN;

/// Who vouches for a callback.
pub enum Proof {
    /// Profiles with a Twilio account of their own, and whether the process's own account does too.
    Signed {
        /// Those profiles.
        lines: Vec<Line>,
        /// The process's own account.
        process: bool,
    },
    /// The person in front of this machine, where no Twilio account is there that could sign (C-10).
    AtHome,
}

impl Proof {
    /// The profiles it speaks for, as callbacks keep them.
    pub fn profiles(&self) -> Vec<i64> {
        match self {
            Proof::AtHome => vec![PROCESS],
            Proof::Signed { lines, process } => {
                let process = process.then_some(PROCESS);
                lines.iter().map(|line| line.id).chain(process).collect()
            }
        }
    }

    /// The senders, among those it speaks for, that a text to this number or service was addressed to.
    pub async fn addressed(
        &self,
        state: &ApiState,
        to: &str,
        service: Option<&str>,
    ) -> Result<Vec<Addressed>, Refusal> {
        let is_it = |name: Option<&str>| name.is_some_and(|name| name == to || Some(name) == service);
        let mut tx = state.core.store.read().await?;
        let found: Vec<Line> = match self {
            Proof::AtHome => sending_profiles::followers(&mut tx).await?,
            Proof::Signed { lines, process } => {
                let own = |line: &&Line| {
                    is_it(line.from_phone.as_deref()) || is_it(line.messaging_service_sid.as_deref())
                };
                let mut found: Vec<Line> = lines.iter().filter(own).cloned().collect();
                let account = state.provider.account.as_ref().filter(|_| *process);
                if account.is_some_and(|account| account.senders.iter().any(|sender| is_it(Some(sender)))) {
                    found.extend(sending_profiles::followers(&mut tx).await?);
                }
                found
            }
        };
        let mut addressed: Vec<Addressed> = found
            .into_iter()
            .map(|line| Addressed { account: line.account_id, profile: Some(line.id) })
            .collect();
        if addressed.is_empty() && matches!(self, Proof::AtHome) {
            let first = accounts::list(&mut tx, 0, 1).await?;
            addressed.extend(first.first().map(|account| Addressed { account: account.id, profile: None }));
        }
        tx.rollback().await?;
        Ok(addressed)
    }
}

/// Who vouches for this form, posted to `path` (with its query, as it stands); [`Refusal::Signature`] where nobody does.
/// The URL that was signed begins with the configured one: a `Host` header is anybody's to write.
pub async fn proof(state: &ApiState, headers: &HeaderMap, path: &str, form: &Form) -> Result<Proof, Refusal> {
    let mut given = headers.get_all(SIGNATURE).iter();
    let found = match (given.next().map(|value| value.to_str()), given.next()) {
        (Some(Ok(given)), None) => signed(state, given, path, form).await?,
        (None, None) if console::is_at_home(state, headers) && is_without_provider(state).await? => {
            Some(Proof::AtHome)
        }
        _ => None,
    };
    found.ok_or(Refusal::Signature)
}

/// Whether there is no Twilio account at all.
async fn is_without_provider(state: &ApiState) -> Result<bool, Refusal> {
    let mut tx = state.core.store.read().await?;
    let any = sending_profiles::any_twilio(&mut tx).await?;
    tx.rollback().await?;
    Ok(!any && state.provider.account.is_none())
}

async fn signed(state: &ApiState, given: &str, path: &str, form: &Form) -> Result<Option<Proof>, Refusal> {
    let Some(public) = &state.provider.public_url else {
        tracing::warn!("a signed callback cannot be verified: SENDWRIGHT_PUBLIC_URL is not set");
        return Ok(None);
    };
    let url = format!("{public}{path}");
    let fields: Vec<(&str, &str)> =
        form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    // Whether what stands behind a `#` is signed as well the provider does not say: it never arrives here.
    let whole = format!("{url}#{AGAIN}");
    let is_of =
        |token: &str| is_signed(token, &url, &fields, given) | is_signed(token, &whole, &fields, given);
    let lines = match form.get("AccountSid") {
        Some(sid) => {
            let vouchers = state.tokens.of(&state.core, sid).await?;
            vouchers
                .iter()
                .filter(|voucher| is_of(&voucher.token))
                .map(|voucher| voucher.line.clone())
                .collect()
        }
        None => Vec::new(),
    };
    let process = state.provider.account.as_ref().is_some_and(|account| is_of(&account.token));
    Ok((process || !lines.is_empty()).then_some(Proof::Signed { lines, process }))
}
