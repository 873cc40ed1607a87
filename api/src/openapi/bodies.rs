//! What goes in and comes out, for the document: one struct a body, its comments the words that readers see.
//!
//! Faces read and print JSON by hand, field by field as their documents have it; a test holds every answer to what
//! stands here. A field whose words end with `(sometimes)` may be missing from an answer; every other one is there.

pub mod analytics;
pub mod business;
pub mod callback;
pub mod campaign;
pub mod common;
pub mod delivery;
pub mod draft;
pub mod edit;
pub mod external;
pub mod health;
pub mod import;
pub mod inbound;
pub mod key;
pub mod lead;
pub mod message;
pub mod monitoring;
pub mod profile;
pub mod report;
pub mod run;
pub mod segment;
pub mod spending;
pub mod template;
pub mod user;
pub mod webhook;
