//! What an operator copies from `deploy/` works with this very program.

#![cfg(test)]

mod completions;
mod debian;
mod fail2ban;
mod kubernetes;
mod nginx;
mod one_host;
