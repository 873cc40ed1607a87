//! The request's body, held back until the last question is answered.

use crate::channels::{Outcome, Refusal, Stage};
use bytes::Bytes;
use futures::stream;
use std::sync::{Arc, Mutex};

/// How far the body has come.
#[derive(Debug, Clone, Default)]
enum State {
    /// Nobody has asked for it yet: no byte of it left.
    #[default]
    Shut,
    /// The last question was answered no: no byte of it leaves.
    Refused(Refusal),
    /// It was given to the connection.
    Open,
}

/// What is known of one request's body.
#[derive(Debug, Clone, Default)]
pub(super) struct Gate(Arc<Mutex<State>>);

impl Gate {
    fn set(&self, state: State) {
        *self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = state;
    }

    fn state(&self) -> State {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    /// Whether the body was given to the connection.
    pub fn is_open(&self) -> bool {
        matches!(self.state(), State::Open)
    }

    /// Whether nobody has asked for it yet.
    pub fn is_shut(&self) -> bool {
        matches!(self.state(), State::Shut)
    }

    /// What a request comes to that ended without an answer to its message.
    pub fn broken(&self, detail: &str) -> Outcome {
        match self.state() {
            State::Shut => Outcome::Failed { stage: Stage::Prepare, detail: detail.to_owned() },
            State::Refused(reason) => Outcome::NotStarted { reason },
            State::Open => Outcome::Unknown { detail: detail.to_owned() },
        }
    }
}

/// The body in one piece, which asks before it lets go of it. The connection polls it when it is ready to write, and a
/// body that ends in an error breaks the request off: its length is in the head, so nobody takes what came for whole.
pub(super) fn body(
    gate: Gate,
    form: String,
    mut ask: impl FnMut() -> Result<(), Refusal> + Send + 'static,
) -> reqwest::Body {
    let piece = async move {
        match ask() {
            Ok(()) => {
                gate.set(State::Open);
                Ok(Bytes::from(form))
            }
            Err(reason) => {
                gate.set(State::Refused(reason.clone()));
                Err(reason)
            }
        }
    };
    reqwest::Body::wrap_stream(stream::once(piece))
}
