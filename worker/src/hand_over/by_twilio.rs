//! The hand-over of a text message: one request, whose body is the irrevocable byte (SEND_PROTOCOL 16).

use super::{Departing, Ending, Exit, broke_off, last_question, settle};
use crate::channels::twilio::Text;
use crate::channels::{Outcome as Said, Stage, Told};
use crate::context::Context;
use futures::FutureExt;
use sendwright_store::clock::boot_millis;
use sendwright_workflows::receipt::{AGAIN, ATTEMPT};
use sendwright_workflows::sequence::Enclosed;
use sendwright_workflows::signing::sign_hex;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64};
use url::Url;

pub(super) async fn run(ctx: Arc<Context>, departing: Departing) {
    let Departing { message, carrier, attempt, sealed, worker, intent_at, at, .. } = departing;
    let (under_way, bell) = (departing.under_way, departing.bell);
    let segment = ctx.life.journal().and_then(|journal| journal.segment().ok());
    let told = match &carrier.exit {
        Some(Exit::Twilio(line)) => {
            let asked = Arc::new(AtomicBool::new(false));
            let since = (worker, Arc::new(AtomicI64::new(intent_at)));
            let ask = last_question(&ctx, segment.clone(), attempt, since, asked.clone());
            let enclosed = &sealed.enclosed;
            let text = Text {
                to: message.address.clone(),
                body: String::from_utf8_lossy(&sealed.bytes).into_owned(),
                media: enclosed.media_urls.clone(),
                content: enclosed.content_sid.clone().map(|sid| (sid, variables(enclosed))),
                status_callback: status_callback(&ctx, attempt),
            };
            let whole = ctx.twilio.send(&line.sender, &text, ask);
            let told = AssertUnwindSafe(whole).catch_unwind().await;
            let told = told.unwrap_or_else(|_| broke_off(&asked).into());
            line.heard(&told);
            told
        }
        _ => Told::from(Said::Failed { stage: Stage::Prepare, detail: "no sender".into() }),
    };
    let now = ctx.clock.now().unwrap_or(at + (boot_millis() - intent_at));
    settle(&ctx, Ending { message, carrier, attempt, sealed, segment, told, now }, &under_way, bell).await;
}

fn variables(enclosed: &Enclosed) -> String {
    serde_json::to_string(&enclosed.content_variables).unwrap_or_default()
}

/// Where Twilio says what became of this attempt; nowhere without an address at which it reaches us.
fn status_callback(ctx: &Context, attempt: i64) -> Option<Url> {
    let secret = ctx.settings.secrets.first()?;
    let mut url = ctx.settings.public_url.as_ref()?.join("webhooks/status").ok()?;
    let token = sign_hex(secret, ATTEMPT, ctx.store.epoch(), &[attempt]);
    url.query_pairs_mut().append_pair("attempt", &token);
    url.set_fragment(Some(AGAIN));
    Some(url)
}
