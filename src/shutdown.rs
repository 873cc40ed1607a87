//! SIGTERM and SIGINT: the first drains, the second leaves at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that is cancelled by the first signal. What runs finishes what it holds and takes nothing new; a
/// second signal ends the process at once, with 128 + its number as a shell would report it.
pub fn listen() -> std::io::Result<CancellationToken> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let token = CancellationToken::new();
    let first = token.clone();
    tokio::spawn(async move {
        loop {
            let code = tokio::select! {
                Some(()) = term.recv() => 143,
                Some(()) = int.recv() => 130,
                else => return,
            };
            if first.is_cancelled() {
                std::process::exit(code);
            }
            tracing::info!(
                "draining: what is under way ends, nothing new begins; a second signal leaves at once"
            );
            first.cancel();
        }
    });
    Ok(token)
}
