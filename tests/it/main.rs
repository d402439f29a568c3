//! Promises to the user, shown from outside: by the library, and by the binary in processes of its own.
//!
//! A machine with Rust, a C compiler and a Unix shell is enough: nothing here starts another program or leaves the machine.
//! What needs other programs, or more than a moment, is in `tests/site`.

#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a panic is how a test fails"
)]

#[expect(dead_code, unused_imports, reason = "some of it is for tests/site")]
#[path = "../support/support.rs"]
mod support;

mod apps;
mod assertion;
mod claims;
mod clocks;
mod compat;
mod cors;
mod deploy;
mod handover;
mod inner_seal;
mod input;
mod introspection;
mod layers;
mod library;
mod limits;
mod login;
mod manual;
mod metrics;
mod openapi;
mod phone;
mod platform;
mod process;
mod quotas;
mod ready;
mod rotation;
mod security;
mod session;
mod session_key;
mod signature;
mod tokens;
mod unread;
mod user_data;
mod vendors;
mod verify;
