//! What can be done, one file a noun, with no HTTP in it: dialects, pages and the command line all come here.

pub mod campaigns;
pub mod keys;
pub mod leads;
pub mod sending_profiles;
pub mod suppressions;
