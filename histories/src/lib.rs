//! Seeded histories of the rules: a virtual clock, a store in memory, two workers that crash and lose touch with it, a
//! receiver, people who opt out. After every act what was promised must hold: never twice, never after an opt-out, never in
//! quiet hours, never over a limit, and everything comes to an end.
//!
//! The rules are those of `workflows`, which the real store and worker ask too; `tests/it/histories.rs` plays the same
//! histories on the real store, and both must come to the same after every act.

pub mod act;
pub mod dice;
pub mod flaw;
pub mod history;
pub mod memory;
pub mod rows;
pub mod scene;
pub mod stage;
pub mod witness;

pub use act::{Act, Answer};
pub use history::History;
pub use stage::Stage;
