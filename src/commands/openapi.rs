//! `openapi`: the API's document on stdout, in any of its renderings.

use crate::cli::OpenapiArgs;
use crate::failure::Failure;
use sendwright_api::openapi;
use std::io::{self, Write};

/// Prints it.
///
/// # Errors
/// Stdout takes no more.
pub fn run(args: &OpenapiArgs) -> Result<(), Failure> {
    let shown = match (args.older, args.postman) {
        (true, _) => openapi::document_3_0().clone(),
        (_, true) => openapi::postman(),
        _ => openapi::document().clone(),
    };
    let text = serde_json::to_string_pretty(&shown).map_err(|error| Failure::new(error.to_string()))?;
    Ok(writeln!(io::stdout(), "{text}")?)
}
