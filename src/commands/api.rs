//! `api`: the API alone; workers and the scheduler run elsewhere.

use crate::compose::http::{self, Front};
use crate::compose::metrics::Metrics;
use crate::compose::{self, Parts};
use crate::config::{Config, Role};
use crate::failure::Failure;
use crate::shutdown;
use sendwright_api::meter;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long requests are still taken once `/readyz` says that the process ends: a balancer that asks every second
/// has seen it by then.
const LINGER: Duration = Duration::from_secs(2);

/// Runs it until it is told to stop.
///
/// # Errors
/// The address is taken, the configuration is wrong, or the schema is not this program's.
pub fn run(config: &Config) -> Result<(), Failure> {
    compose::run(async {
        let stop = shutdown::listen()?;
        let metrics = Metrics::start(config, &stop).await?;
        let listener = http::bind(config.http.bind, "--bind, SENDWRIGHT_BIND or PORT").await?;
        let bound = listener.local_addr()?;
        tracing::info!(address = %bound, "the API listens");
        let (front, end) = (Front::default(), CancellationToken::new());
        let server = tokio::spawn(http::serve(listener, front.clone(), end.clone()));
        let opened = Parts::open(config, false, &stop).await?;
        if let Some(parts) = opened {
            let state = parts.api(config, Role::Part, Some(bound));
            metrics.open(&state);
            front.open(sendwright_api::router(state.clone()));
            let meter = tokio::spawn(meter::keep(state.clone(), end.clone().cancelled_owned()));
            tracing::info!("ready");
            stop.cancelled().await;
            state.close();
            tokio::time::sleep(LINGER).await;
            end.cancel();
            let _ = server.await;
            let _ = meter.await;
            parts.close().await;
        }
        tracing::info!("the API ends in good order");
        Ok(())
    })
}
