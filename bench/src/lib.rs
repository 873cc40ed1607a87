//! What the two programs of the bench share: the receiving side of SMTP, and the count of what arrived.

pub mod ledger;
pub mod session;
