//! The faces of the one core: ids, envelopes, texts and statuses. No business rule is here.

pub mod external;
mod shape;
pub mod v1;

pub use shape::{Dialect, Door, shape};
