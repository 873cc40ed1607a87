//! Metrics: counted from the start, shown to Prometheus where somebody may read them.

use super::http::{self, Front};
use crate::config::Config;
use crate::failure::Failure;
use axum::Router;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use sendwright_api::{ApiState, metrics_router};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often what is counted is folded together, read or not.
const UPKEEP: Duration = Duration::from_secs(5);

/// Every metric of this process.
pub struct Metrics {
    counted: PrometheusHandle,
    apart: Option<Front>,
}

impl Metrics {
    /// Counts from now on, and listens at `SENDWRIGHT_METRICS_BIND` until `stop`, where that is given.
    ///
    /// # Errors
    /// That address is taken.
    pub async fn start(config: &Config, stop: &CancellationToken) -> Result<Self, Failure> {
        let recorder = PrometheusBuilder::new().install_recorder();
        let counted =
            recorder.map_err(|error| Failure::new(format!("no metrics can be counted: {error}")))?;
        tokio::spawn(keep(counted.clone()));
        let mut apart = None;
        if let Some(at) = config.http.metrics_bind {
            let (listener, front) = (http::bind(at, "SENDWRIGHT_METRICS_BIND").await?, Front::default());
            tracing::info!(address = %listener.local_addr()?, "metrics are served");
            tokio::spawn(http::serve(listener, front.clone(), stop.clone()));
            apart = Some(front);
        }
        Ok(Self { counted, apart })
    }

    /// From now on `GET /metrics` answers at its own address, where there is one.
    pub fn open(&self, state: &ApiState) {
        if let Some(front) = &self.apart {
            front.open(self.routes(state));
        }
    }

    /// `GET /metrics`, for an address of somebody else's; none where it has its own.
    pub fn beside(&self, state: &ApiState) -> Option<Router> {
        self.apart.is_none().then(|| self.routes(state))
    }

    fn routes(&self, state: &ApiState) -> Router {
        let counted = self.counted.clone();
        metrics_router(state.clone(), Arc::new(move || counted.render()))
    }
}

async fn keep(counted: PrometheusHandle) {
    loop {
        tokio::time::sleep(UPKEEP).await;
        counted.run_upkeep();
    }
}
