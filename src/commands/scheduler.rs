//! `scheduler`: asks the database what is due, and offers it. Several do no harm.

use crate::compose::metrics::Metrics;
use crate::compose::{self, Parts};
use crate::config::{Config, Role};
use crate::failure::Failure;
use crate::lock::RoleLock;
use crate::shutdown;
use sendwright_worker::scheduler;

/// Runs it until it is told to stop.
///
/// # Errors
/// Another scheduler holds the data directory, the configuration is wrong, or the schema is not this program's.
pub fn run(config: &Config) -> Result<(), Failure> {
    compose::run(async {
        let stop = shutdown::listen()?;
        let _lock = RoleLock::of(config, "scheduler")?;
        let metrics = Metrics::start(config, &stop).await?;
        let Some(parts) = Parts::open(config, false, &stop).await? else { return Ok(()) };
        metrics.open(&parts.api(config, Role::Part, None));
        let ctx = parts.context(config, Role::Part, None)?;
        tracing::info!("the scheduler ticks");
        scheduler::run(ctx, stop).await;
        parts.close().await;
        tracing::info!("the scheduler ends in good order");
        Ok(())
    })
}
