//! What several tests stand on: real servers of their own, started at first use, gone with the process.

pub mod api;
pub mod desk;
pub mod dns_server;
pub mod document;
pub mod engine;
pub mod history;
pub mod hooks;
pub mod imap_server;
pub mod loops;
pub mod model_server;
pub mod phones;
pub mod postgres;
pub mod process;
pub mod protocol;
pub mod receiver;
pub mod redis;
mod server;
pub mod site;
pub mod smtp_server;
pub mod twilio_library;
pub mod twilio_loops;
pub mod twilio_server;
pub mod upload;
pub mod witness;
