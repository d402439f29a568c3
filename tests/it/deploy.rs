//! What operators copy from `deploy/` names commands, settings and numbers that this very program has.

#![cfg(test)]

mod commands;
mod monitoring;
