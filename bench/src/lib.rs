//! What the programs of the bench share: the receiving side of SMTP, the count and the instants of what arrived, and as much
//! of HTTP as loads need.

pub mod arrivals;
pub mod http;
pub mod ledger;
pub mod session;
