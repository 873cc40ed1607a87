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
    let Some(id) = answers::unproven_attempt(&mut tx, message.id).await? else { return Ok(()) };
    let found = recovery::attempts(&mut tx, &[id]).await?;
    tx.commit().await?;
    for attempt in found {
        let subject = attempt.subject.clone().unwrap_or_default();
        let row = claimed(ctx, attempt).await?;
        let said = Said::Accepted { code: 250, reply: by.to_owned() };
        let mut outcome = ended(ctx, &row, id, &subject, said, now).await.outcome;
        outcome.reply = None; // Nobody has said a code.
        tracing::info!(message = message.id, attempt = id, by, "a hand-over is proven");
        settle(ctx, std::slice::from_mut(&mut outcome)).await;
    }
    Ok(())
}
