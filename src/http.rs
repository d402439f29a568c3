//! The server: handlers on top of mechanisms.
//!
//! A handler gets the [`AppState`]; a mechanism gets what it needs as arguments.

mod admin;
mod answer;
mod clients;
mod error;
mod identity;
mod labels;
mod metrics;
mod openapi;
mod request;
mod routes;
mod services;
mod settings;
mod state;
mod transport;
mod upstream;
mod verify;

pub use routes::{Routes, admin_routes, routes};
pub use services::claim_template::{ClaimTemplate, ClaimTemplateError};
pub use settings::{
    App, Audience, ClientLimits, CompatSettings, JwtSettings, LogChange, LogControl, Rate, Service, Settings, Subject,
    TokenType,
};
pub use state::AppState;
pub use transport::admission::ConnectionCount;
pub use transport::connection::{ConnectionLimits, serve};
pub use transport::host::AllowedHosts;
pub use transport::listener::Listener;
pub use transport::peer::{TrustedProxy, TrustedProxyError};

pub use crate::rescan::Rescans;
