//! The binary as a user meets it: real processes, real files, real signals. Ports are always chosen by the system.

#![cfg(test)]
#![expect(clippy::disallowed_methods, reason = "tests touch files, time and processes as users do")]

mod addresses;
mod canary;
mod changes;
mod claims;
mod commands;
mod crash;
mod cutoffs;
mod demo;
mod hardening;
mod healthcheck;
mod keys;
mod manifest;
mod matrix;
mod memory;
mod operators;
mod owner;
mod power;
mod reach;
mod replicas;
mod scarce;
mod serve;
mod services;
mod stalled;
pub(crate) mod support;
mod tls;
