//! Routes for mini-programs and pages.

pub(crate) mod compat;
pub(crate) mod handover;
pub(crate) mod login;
pub(crate) mod owner_claims;
pub(crate) mod phone;
pub(crate) mod session;
pub(crate) mod session_key;
pub(crate) mod user_data;
