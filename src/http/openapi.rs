//! The description of all routes for clients, as this server has them.

use serde_json::Value;

use crate::http::settings::Settings;

/// Kept by hand. A test compares it with the routes and with what they answer.
const DESCRIPTION: &str = include_str!("openapi/openapi.json");
/// What routes begin with that are there on request only.
const COMPAT_PREFIX: &str = "/miniLogin/";

/// The description with this server's version and address in it, and with the routes that are configured.
pub(crate) fn description(settings: &Settings) -> Value {
    let mut description: Value = serde_json::from_str(DESCRIPTION).expect("a test reads the same text");
    let mut put = |pointer: &str, text: &str| {
        if let Some(place) = description.pointer_mut(pointer) {
            *place = text.into();
        }
    };
    put("/info/version", env!("CARGO_PKG_VERSION"));
    if let Some(issuer) = &settings.issuer {
        put("/servers/0/url", issuer);
    }
    if let Some(Value::Object(paths)) = description.get_mut("paths").filter(|_| !settings.compat.enabled) {
        paths.retain(|path, _| !path.starts_with(COMPAT_PREFIX));
    }
    description
}
