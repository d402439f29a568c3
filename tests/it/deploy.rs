//! What an operator copies from `deploy/` works with this very program.

#![cfg(test)]

mod commands;
mod completions;
mod debian;
mod fail2ban;
mod kubernetes;
mod monitoring;
mod nginx;
mod one_host;
pub(crate) mod program;
