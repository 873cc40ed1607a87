//! What can be done, one file a noun, with no HTTP in it: dialects, pages and the command line all come here.

pub mod campaigns;
pub mod keys;
pub mod leads;
pub mod mailbox;
pub mod messages;
pub mod sending_profiles;
pub mod simulation;
pub mod suppressions;
pub mod usage;
