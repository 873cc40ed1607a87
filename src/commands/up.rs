//! `up`: every role in one process, and the mailbox.

use crate::compose::http::{self, Front};
use crate::compose::metrics::Metrics;
use crate::compose::{self, Parts};
use crate::config::{Config, Role};
use crate::demo::{self, Demo};
use crate::failure::Failure;
use crate::lock::RoleLock;
use crate::shutdown;
use sendwright_api::meter;
use sendwright_store::accounts;
use sendwright_worker::{engine, scheduler};
use std::net::SocketAddr;
use tokio_util::sync::CancellationToken;

/// Runs it until it is told to stop: `/readyz` says so, the worker drains while requests are still answered, then
/// the server ends.
///
/// # Errors
/// The address is taken, another process holds the data directory, or the configuration is wrong.
pub fn run(config: &Config, is_demo: bool) -> Result<(), Failure> {
    compose::run(async {
        let stop = shutdown::listen()?;
        if !is_demo {
            demo::keep_from_real_mail(config)?;
        }
        let listener = http::bind(config.http.bind, "--bind, SENDWRIGHT_BIND or PORT").await?;
        let bound = listener.local_addr()?;
        let _locks = [RoleLock::of(config, "worker")?, RoleLock::of(config, "scheduler")?];
        let metrics = Metrics::start(config, &stop).await?;
        let (front, end) = (Front::default(), CancellationToken::new());
        let server = tokio::spawn(http::serve(listener, front.clone(), end.clone()));
        tracing::info!(address = %bound, "listening");
        if let Some(parts) = Parts::open(config, true, &stop).await? {
            let done = work(config, is_demo, &parts, (front, metrics, bound), &stop).await;
            end.cancel();
            let _ = server.await;
            parts.close().await;
            done?;
        }
        tracing::info!("everything ended in good order");
        Ok(())
    })
}

/// The roles, from an open database to the worker's last outcome.
async fn work(
    config: &Config,
    is_demo: bool,
    parts: &Parts,
    (front, metrics, bound): (Front, Metrics, SocketAddr),
    stop: &CancellationToken,
) -> Result<(), Failure> {
    let role = Role::Up { demo: is_demo };
    let ctx = parts.context(config, role, Some(bound))?;
    // The first start makes the account that the console shows.
    accounts::first_or_only(&parts.core.store, parts.core.now()?).await?;
    let demo = if is_demo { Some(Demo::prepare(&parts.core, config).await?) } else { None };
    let state = parts.api(config, role, Some(bound));
    if state.console.is_loopback() {
        tracing::info!("requests to http://{bound}/api/v1 from this machine need no key");
    }
    let api = sendwright_api::router(state.clone());
    metrics.open(&state);
    front.open(match metrics.beside(&state).filter(|_| bound.ip().is_loopback()) {
        Some(beside) => beside.fallback_service(api),
        None => api,
    });
    tokio::spawn(meter::keep(state.clone(), stop.clone().cancelled_owned()));
    tokio::spawn(scheduler::run(ctx.clone(), stop.clone()));
    if let Some(demo) = demo {
        tokio::spawn(stop.clone().run_until_cancelled_owned(demo.follow(parts.core.clone(), bound)));
    }
    let stopped = stop.clone();
    tokio::spawn(async move {
        stopped.cancelled().await;
        state.close();
    });
    let (lanes, concurrency) = (&config.worker.lanes, config.worker.concurrency as usize);
    Ok(engine::run(ctx, lanes, parts.receiver.clone(), concurrency, stop.clone()).await?)
}
