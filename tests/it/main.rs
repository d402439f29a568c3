//! Promises to the user, shown from outside.

#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a panic is how a test fails"
)]

mod assertion;
mod claims;
mod clocks;
mod compat;
mod consumers;
mod cors;
mod deploy;
mod documents;
mod drill;
mod gateways;
mod input;
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
mod soak;
mod support;
mod tokens;
mod toy;
mod trouble;
mod unread;
mod user_data;
mod verify;
