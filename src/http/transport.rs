//! Connections and what limits them: who is at the other end, how many, how fast, for how long.

pub(crate) mod admission;
pub(crate) mod connection;
mod delays;
pub(crate) mod host;
pub(crate) mod limits;
pub(crate) mod listener;
pub(crate) mod peer;
pub(crate) mod rates;
pub(crate) mod unread;
