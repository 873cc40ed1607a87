//! Metrics: recorded from the start, rendered for Prometheus where somebody may read them.

use super::http::{self, Front};
use crate::config::Config;
use crate::failure::Failure;
use axum::Router;
use axum::http::header;
use axum::routing::get;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often what is recorded is folded together, read or not.
const UPKEEP: Duration = Duration::from_secs(5);

/// Every metric of this process.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Records from now on; serves them at `SENDWRIGHT_METRICS_BIND` until `stop`, where that is given.
    ///
    /// # Errors
    /// That address is taken.
    pub async fn start(config: &Config, stop: &CancellationToken) -> Result<Self, Failure> {
        let recorder = PrometheusBuilder::new().install_recorder();
        let metrics =
            Self(recorder.map_err(|error| Failure::new(format!("no metrics can be recorded: {error}")))?);
        tokio::spawn(keep(metrics.clone()));
        if let Some(at) = config.http.metrics_bind {
            let listener = http::bind(at, "SENDWRIGHT_METRICS_BIND").await?;
            tokio::spawn(http::serve(listener, Front::of(metrics.routes()), stop.clone()));
        }
        Ok(metrics)
    }

    /// `GET /metrics`.
    pub fn routes(&self) -> Router {
        let metrics = self.clone();
        let render = move || {
            let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
            std::future::ready((kind, metrics.0.render()))
        };
        Router::new().route("/metrics", get(render))
    }
}

async fn keep(metrics: Metrics) {
    loop {
        tokio::time::sleep(UPKEEP).await;
        metrics.0.run_upkeep();
    }
}
