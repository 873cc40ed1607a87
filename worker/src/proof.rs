//! Late proof: whatever comes back for a message shows that it was accepted (SEND_PROTOCOL 9).

use crate::channels::Outcome as Said;
use crate::context::Context;
use crate::recorder::settle;
use crate::recovery::claimed;
use crate::verdict::ended;
use sendwright_store::answers::{self, Answered};
use sendwright_store::{Result, recovery};
use sendwright_workflows::clock::Millis;
use sendwright_workflows::message::State;

/// Records that a message was accepted, where its attempt is open or uncertain; `by` says what proves it. What is
/// known to be accepted stays as it is.
pub async fn prove(ctx: &Context, message: &Answered, by: &str, now: Millis) -> Result<()> {
    if State::parse(&message.state).is_some_and(State::was_accepted) {
        return Ok(());
    }
    let mut tx = ctx.store.read().await?;
    let found = answers::unproven_attempt(&mut tx, message.id).await?;
    tx.commit().await?;
    prove_attempts(ctx, found.as_slice(), by, now).await
}

/// The same for attempts that are themselves named: whatever was thought of them, they were accepted.
pub async fn prove_attempts(ctx: &Context, attempts: &[i64], by: &str, now: Millis) -> Result<()> {
    if attempts.is_empty() {
        return Ok(());
    }
    let mut tx = ctx.store.read().await?;
    let found = recovery::attempts(&mut tx, attempts).await?;
    tx.commit().await?;
    let mut outcomes = Vec::with_capacity(found.len());
    for attempt in found {
        let (id, subject) = (attempt.attempt_id, attempt.subject.clone().unwrap_or_default());
        let row = claimed(ctx, attempt).await?;
        tracing::info!(message = row.id, attempt = id, by, "a hand-over is proven");
        let said = Said::Accepted { code: 250, reply: by.to_owned() };
        let mut outcome = ended(ctx, &row, id, &subject, said, now).await.outcome;
        outcome.reply = None; // Nobody has said a code.
        outcomes.push(outcome);
    }
    settle(ctx, &mut outcomes).await;
    Ok(())
}
