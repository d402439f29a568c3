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
mod demo_page;
mod export;
mod healthcheck;
mod keys;
mod many_apps;
mod memory;
mod operators;
mod reach;
mod replicas;
mod serve;
mod services;
mod simulated;
mod sockets;
mod tls;
