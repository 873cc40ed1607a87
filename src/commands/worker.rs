//! `worker`: plans, writes and sends; any number of them on Postgres, one on SQLite.

use crate::compose::metrics::Metrics;
use crate::compose::{self, Parts};
use crate::config::{Config, Role};
use crate::failure::Failure;
use crate::lock::RoleLock;
use crate::shutdown;
use sendwright_worker::engine;

/// Runs it until it is told to stop, then drains.
///
/// # Errors
/// Another worker holds the data directory, the configuration is wrong, or the schema is not this program's.
pub fn run(config: &Config) -> Result<(), Failure> {
    compose::run(async {
        let stop = shutdown::listen()?;
        let _lock = RoleLock::of(config, "worker")?;
        let metrics = Metrics::start(config, &stop).await?;
        let Some(parts) = Parts::open(config, false, &stop).await? else { return Ok(()) };
        metrics.open(&parts.api(config, Role::Part, None));
        let ctx = parts.context(config, Role::Part, None)?;
        let (lanes, concurrency) = (&config.worker.lanes, config.worker.concurrency as usize);
        engine::run(ctx, lanes, parts.receiver.clone(), concurrency, stop).await?;
        parts.close().await;
        Ok(())
    })
}
