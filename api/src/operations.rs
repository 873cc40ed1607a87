//! What can be done, one file a noun, with no HTTP in it: dialects, pages and the command line all come here.

mod book;
pub mod broadcasts;
pub mod callbacks;
pub mod campaigns;
pub mod drafts;
pub mod effect;
pub mod events;
pub mod imports;
pub mod inbound;
pub mod keys;
pub mod leads;
pub mod mailbox;
pub mod messages;
pub mod reports;
pub mod runs;
pub mod segments;
pub mod sending_profiles;
pub mod simulation;
pub mod spending;
pub mod statistics;
pub mod suppressions;
pub mod templates;
pub mod texts;
pub mod tracking;
pub mod usage;
pub mod users;
pub mod webhooks;
