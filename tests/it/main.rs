//! Promises to the user, shown from outside.

mod process;
mod readme;
