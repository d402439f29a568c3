//! What an operator copies from `deploy/` works with this very program.

#![cfg(test)]

mod commands;
mod completions;
mod kubernetes;
mod monitoring;
mod nginx;
pub(crate) mod program;
