//! Has one step written by a real model and prints what came of it.
//!
//! ```text
//! OPENAI_BASE_URL=http://127.0.0.1:8088/v1 OPENAI_MODEL=local cargo run -p sendwright-worker --example write_with_model
//! ```
//! `OPENAI_API_KEY` is read too, where the server wants one. `examples/local-model.py` starts a small model.

use std::{env, error::Error};

use sendwright_worker::ai::{Brief, ModelSettings, ModelWriter, Sender};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let base_url = env::var("OPENAI_BASE_URL").map_err(|_| "OPENAI_BASE_URL is not set")?.parse()?;
    let model = env::var("OPENAI_MODEL").unwrap_or_else(|_| "local".to_owned());
    let settings = ModelSettings {
        max_tokens: 600,
        ..ModelSettings::new(base_url, env::var("OPENAI_API_KEY").ok(), model)
    };
    let fields = [("first_name", "Anna"), ("company_name", "Lindqvist Bakery"), ("city", "Uppsala")];
    let brief = Brief {
        ai_prompt:
            "Write a short, friendly first e-mail to {{first_name}} of {{company_name}}. We sell flour \
                    from local mills. Ask whether she would like a free sample. Three sentences."
                .to_owned(),
        contact: fields.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        sender: Sender { name: "Ben Holm".to_owned(), company: "Holm Mills".to_owned() },
        ..Brief::default()
    };
    match ModelWriter::new(settings)?.write(&brief).await {
        Ok(draft) => println!("{}", serde_json::to_string_pretty(&draft)?),
        Err(error) => println!("no text: {error}\n{error:#?}"),
    }
    Ok(())
}
