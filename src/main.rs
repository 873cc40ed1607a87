//! Sendwright: one binary, every role.

mod cli;
mod commands;
mod compose;
mod config;
mod demo;
mod failure;
mod lock;
mod shutdown;
mod table;
mod telemetry;

use clap::Parser;
use mimalloc::MiMalloc;
use std::process::ExitCode;

/// Messages are made and dropped by the thousand on several threads, which costs less here than by the system's
/// (bench/README.md).
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    // One TLS provider for everything; a second call would only say that it is there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match commands::run(cli::Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(),
    }
}
