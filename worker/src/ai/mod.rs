//! The writing of a step's text: a recorded, contract-checked computation.
//!
//! A [`Brief`] goes in, a [`Draft`] comes out, and nothing else is touched: the caller gathers the one and
//! stores the other, once per message and ahead of its instant. What a contact's fields say is data to the
//! model ([`Brief`]), what the model answers is a claim until [`contract`] has checked it, and a text that
//! breaks the contract is written again a bounded number of times and then refused, never handed on.

mod brief;
mod classify;
pub mod contract;
mod links;
mod model;
mod offline;
mod permits;
mod placeholders;
mod prompt;
mod script;
mod transport;

use std::time::Duration;

use sendwright_workflows::answer::Class;
use serde::{Deserialize, Serialize};

pub use brief::{Brief, PreviousEmail, Sender};
pub use contract::{Text, Violation};
pub use model::{ModelSettings, ModelWriter, SetupError};
pub use offline::OfflineWriter;
pub use permits::{Permit, Permits};

/// Writes the texts of steps that have an `ai_prompt`.
#[derive(Debug)]
pub enum Writer {
    /// A model behind an OpenAI-compatible server.
    Model(Box<ModelWriter>),
    /// No model: a labelled stand-in, for `up` alone and for the captured mailbox alone.
    Offline(OfflineWriter),
}

impl Writer {
    /// The most that one text can cost, all of its answers together; nothing where no model is asked.
    pub fn most(&self, brief: &Brief) -> Tokens {
        match self {
            Self::Model(writer) => writer.most(brief),
            Self::Offline(_) => Tokens::default(),
        }
    }

    /// Writes the text for one message.
    ///
    /// # Errors
    /// [`WriteError`] says what to do instead of sending.
    pub async fn write(&self, brief: &Brief) -> Result<Draft, WriteError> {
        match self {
            Self::Model(writer) => writer.write(brief).await,
            Self::Offline(writer) => writer.write(brief),
        }
    }

    /// The class of an answer by the model; `None` where there is none, or it cannot say.
    pub async fn class(&self, subject: &str, text: &str) -> Option<Class> {
        match self {
            Self::Model(writer) => writer.class(subject, text).await,
            Self::Offline(_) => None,
        }
    }
}

/// A written text and how it came to be; everything a caller stores.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// The subject: the brief's hint where it had one.
    pub subject: String,
    /// The body: plain text, before any footer.
    pub text: String,
    /// Who wrote it.
    pub writer: WrittenBy,
    /// The model's name as its server gives it; `offline` without one.
    pub model: String,
    /// SHA-256, in hexadecimal, of exactly the messages this text answers.
    pub prompt_hash: String,
    /// What all attempts together cost.
    pub tokens: Tokens,
    /// How many answers it took, this one included.
    pub attempts: u32,
    /// The version of the contract this text keeps.
    pub contract: u32,
    /// What was wrong with each earlier answer.
    pub rejected: Vec<Vec<Violation>>,
}

/// Who wrote a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WrittenBy {
    /// A model.
    Model,
    /// The offline writer.
    Offline,
}

/// Tokens as the model's server counted them; zero where it does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// Tokens read.
    pub prompt: u64,
    /// Tokens written.
    pub completion: u64,
}

impl Tokens {
    /// So many times as much.
    fn times(self, n: u64) -> Self {
        Self { prompt: self.prompt.saturating_mul(n), completion: self.completion.saturating_mul(n) }
    }

    /// Both together.
    fn plus(self, other: Self) -> Self {
        Self {
            prompt: self.prompt.saturating_add(other.prompt),
            completion: self.completion.saturating_add(other.completion),
        }
    }
}

/// Why there is no text, and what to do about it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum WriteError {
    /// The server is busy or out of reach: try this message again later.
    #[error("the model cannot be asked now: {detail}")]
    Retry {
        /// Not before this has passed, when the server said so; at most an hour.
        after: Option<Duration>,
        /// What went wrong, without any text of the message.
        detail: String,
        /// What was spent before, and may have been spent on an answer that never came.
        tokens: Tokens,
    },
    /// Every answer broke the contract: use the step's template, or hold the message.
    #[error("{attempts} answers of the model broke the contract")]
    Refused {
        /// What was wrong with the last answer.
        reasons: Vec<Violation>,
        /// How many answers there were.
        attempts: u32,
        /// What they cost.
        tokens: Tokens,
    },
    /// The server will not answer this as it is configured (key, address, name of the model, size): use the
    /// step's template or hold the message, and tell the operator.
    #[error("the model refuses to be asked: {detail}")]
    Unavailable {
        /// What went wrong, without any text of the message.
        detail: String,
    },
}
