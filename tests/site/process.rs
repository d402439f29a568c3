//! The binary between the system's own tools: shells, mounts, limits, other users, clocks that are wrong.

#![cfg(test)]
#![expect(clippy::disallowed_methods, reason = "tests touch files, time and processes as users do")]

mod commands;
mod demo;
mod export;
mod hardening;
mod manifest;
mod matrix;
mod owner;
mod power;
mod scarce;
mod stalled;
mod umask;
