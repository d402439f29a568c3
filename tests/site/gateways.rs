//! What an owner copies from `deploy/gateways/` keeps what a client says about itself from the service, and lets nobody in
//! whom the server would not.

#![cfg(test)]

mod check;
pub(crate) mod files;
pub(crate) mod gateway;
mod headers;
mod identity;
mod migration;
pub(crate) mod module;
mod protocol;
mod refusal;
mod service;
mod sockets;
mod traffic;
mod websocket;
