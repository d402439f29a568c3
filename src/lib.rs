//! Stateless login for mini-programs.
//!
//! A platform's one-time login code becomes an `openid` and a `session_key`; these are sealed into an expiring
//! **`AUTH_TICKET`** that the client keeps. Any holder of the same keys directory checks it later, without a store.
//!
//! This crate is the program `auth-ticket` (the server, its key tools, a simulated platform), and the library for Rust
//! services that hold the keys and check tickets by themselves. A service that should not hold them verifies JWTs of the
//! server instead, with any JWT library.
//!
//! # Features
//!
//! | feature | adds | crates |
//! | --- | --- | --- |
//! | none | [`bearer`], [`claims`], [`clock`], [`keyring`], [`secret`], [`ticket`]: synchronous, without I/O | 52 |
#![cfg_attr(
    feature = "keystore",
    doc = "| `keystore` | [`keystore`]: reads a keys directory, without a runtime | 55 |"
)]
#![cfg_attr(
    not(feature = "keystore"),
    doc = "| `keystore` | `keystore`: reads a keys directory, without a runtime | 55 |"
)]
#![cfg_attr(
    feature = "tower",
    doc = "| `tower` | [`tower`]: a verifier that follows the directory, and a layer for any service over HTTP | 67 |"
)]
#![cfg_attr(
    not(feature = "tower"),
    doc = "| `tower` | `tower`: a verifier that follows the directory, and a layer for any service over HTTP | 67 |"
)]
//! | `axum` | extractors and answers for axum, on top of `tower` | 72 |
//! | `test-util` | keys and tickets for unit tests of handlers, on top of `tower` | 67 |
//! | `server` (default) | the program; nothing more for a library user | some 200 |
//!
//! ```toml
//! [dependencies]
//! auth-ticket = { version = "0.1", default-features = false, features = ["axum"] }
//!
//! [dev-dependencies]
//! auth-ticket = { version = "0.1", default-features = false, features = ["test-util"] }
//! ```
//!
//! Features only add. A keys directory has owners and modes, so everything from `keystore` on needs Unix.
//!
//! # In a handler
//!
//! Of whatever framework, with the headers of the request:
//!
#![cfg_attr(feature = "tower", doc = "```")]
#![cfg_attr(not(feature = "tower"), doc = "```ignore")]
//! use auth_ticket::keyring::AppId;
//! use auth_ticket::tower::{Refusal, Verifier};
//! use http::{HeaderMap, Response};
//!
//! async fn orders(verifier: &Verifier, app: &AppId, headers: &HeaderMap) -> Response<String> {
//!     match verifier.verify(headers).await {
//!         Ok(ticket) if ticket.app() == app => Response::new(format!("the orders of {}", ticket.openid())),
//!         Ok(_) => Refusal::WrongApp.to_response(headers),
//!         Err(refusal) => refusal.to_response(headers), // 401 with the JSON of the login server
//!     }
//! }
//! ```
//!
//! # A layer
//!
#![cfg_attr(feature = "axum", doc = "```")]
#![cfg_attr(not(feature = "axum"), doc = "```ignore")]
//! use std::time::Duration;
//!
//! use auth_ticket::keyring::AppId;
//! use auth_ticket::keystore::Directory;
//! use auth_ticket::tower::{AuthTicket, Verifier};
//! use axum::{Router, routing::get};
//!
//! async fn orders(ticket: AuthTicket) -> String {
//!     format!("the orders of {}", ticket.openid())
//! }
//!
//! /// In a Tokio runtime. `max_session` is `ticket.max_session` of the servers.
//! fn router(keys: Directory, app: &AppId, max_session: Duration) -> Result<Router, Box<dyn std::error::Error>> {
//!     let (verifier, watch) = Verifier::load(keys, [app.clone()], max_session)?;
//!     tokio::spawn(watch.run(Duration::from_secs(5))); // new keys, revocations, cut-offs
//!     Ok(Router::new().route("/orders", get(orders)).layer(verifier.layer(app)?))
//! }
//! ```
//!
//! # Many tickets at once
//!
//! A job that reads a log or a queue needs no runtime:
//!
#![cfg_attr(feature = "keystore", doc = "```")]
#![cfg_attr(not(feature = "keystore"), doc = "```ignore")]
//! use auth_ticket::clock::{Clock, SystemClock};
//! use auth_ticket::keyring::{AppId, Purpose};
//! use auth_ticket::keystore::{Directory, LoadError};
//! use auth_ticket::ticket::{Policy, UnverifiedTicket};
//!
//! /// How many of `lines` are tickets that are good now.
//! fn count<'a>(lines: impl Iterator<Item = &'a str>, keys: &Directory, app: AppId) -> Result<usize, LoadError> {
//!     let now = SystemClock.now();
//!     let (ring, _) = keys.load_ring([app], now)?;
//!     let policy = Policy { ttl_s: 7200, max_session_s: 30 * 86400 }; // as the servers' configuration has it
//!     let open = |line: &&str| UnverifiedTicket::parse(line)?.open(&ring, Purpose::Ticket, now, &policy);
//!     Ok(lines.filter(|line| open(line).is_ok()).count())
//! }
//! ```
//!
//! # Versions
//!
//! Until 1.0, a new minor version may change what is documented here; `docs/public-api.txt` in the repository lists it, so a
//! change shows. Modules that are not documented are the program's and change whenever it does. Needs Rust 1.89.

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod bearer;
pub mod claims;
pub mod clock;
pub mod keyring;
#[cfg(feature = "keystore")]
pub mod keystore;
#[cfg(feature = "tower")]
mod opener;
#[cfg(feature = "server")]
mod outbound;
#[cfg(feature = "tower")]
mod request_id;
#[cfg(feature = "tower")]
mod rescan;
pub mod secret;
pub mod ticket;
#[cfg(feature = "tower")]
pub mod tower;
pub mod verifier;

// What the program is made of. Public for it, for tests and for benches, which are crates of their own.
#[cfg(feature = "server")]
#[doc(hidden)]
pub mod hook;
#[cfg(feature = "server")]
#[doc(hidden)]
pub mod http;
#[cfg(feature = "server")]
#[doc(hidden)]
pub mod jwt;
#[cfg(feature = "server")]
#[doc(hidden)]
pub mod platform;
#[doc(hidden)]
pub mod seal;
#[cfg(feature = "server")]
#[doc(hidden)]
pub mod simulator;
