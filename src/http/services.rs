//! Routes for back ends: tokens, introspection, public keys.

pub(crate) mod access_token;
pub(crate) mod claim_template;
mod client_auth;
pub(crate) mod discovery;
mod form;
pub(crate) mod introspect;
pub(crate) mod signature;
pub(crate) mod token;
