//! Stateless login for mini-programs.
//!
//! A platform's one-time login code becomes an `openid` and a `session_key`; these are sealed into an expiring
//! **`AUTH_TICKET`** that the client keeps. Any holder of the same keys directory checks it later, without a store.
//!
//! The core ([`claims`], [`secret`], [`clock`], [`seal`], [`keyring`], [`ticket`]) is synchronous and does no I/O; it builds with
//! `default-features = false`. The feature `tower` adds [`keystore`] and [`tower`], for Rust services that hold the keys
//! and check tickets by themselves; everything else is behind the feature `server`.

#[cfg(feature = "tower")]
mod bearer;
pub mod claims;
pub mod clock;
#[cfg(feature = "server")]
pub mod hook;
#[cfg(feature = "server")]
pub mod http;
#[cfg(feature = "server")]
pub mod jwt;
pub mod keyring;
#[cfg(feature = "tower")]
pub mod keystore;
#[cfg(feature = "tower")]
mod opener;
#[cfg(feature = "server")]
mod outbound;
#[cfg(feature = "server")]
pub mod platform;
#[cfg(feature = "tower")]
mod request_id;
#[cfg(feature = "tower")]
mod rescan;
pub mod seal;
pub mod secret;
#[cfg(feature = "server")]
pub mod simulator;
pub mod ticket;
#[cfg(feature = "tower")]
pub mod tower;
