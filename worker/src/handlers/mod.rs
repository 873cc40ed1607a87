//! One handler per job: each re-reads, claims and acts; a job that comes twice or late does no harm.

pub mod expand;
pub mod plan;
pub mod run;
pub mod sequence;
pub mod write;
