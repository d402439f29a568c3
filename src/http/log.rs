//! The log as operators reach it. What writes it is the program's own affair.

use std::fmt;

/// What is logged from now on, once it is called.
pub type LogChange = Box<dyn FnOnce() + Send>;

/// Chooses what is logged, and knows how much was lost.
pub trait LogControl: fmt::Debug + Send + Sync {
    /// Makes ready what a text like that of `RUST_LOG` asks for; `None` if it is not understood.
    fn prepare(&self, directives: &str) -> Option<LogChange>;

    /// How many lines were dropped since the start, since nobody read them.
    fn lines_dropped(&self) -> u64;
}
