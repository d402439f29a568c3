//! An app's credentials, and the log lines about calls made with them.

use std::time::Duration;

use tokio::time::Instant;

use super::errcode;
use crate::platform::alarms::Alarms;
use crate::platform::{Errcode, FailedReason, PlatformError};
use crate::secret::SecretText;

/// What proves to the platform who is calling.
pub(super) struct Credentials {
    pub(super) appid: String,
    pub(super) secret: SecretText,
    /// What an operator was told of this app.
    alarms: Alarms,
}

impl Credentials {
    pub(super) fn new(appid: String, secret: SecretText) -> Self {
        Self { appid, secret, alarms: Alarms::default() }
    }

    pub(super) fn remedy(&self, error: &PlatformError) -> Option<String> {
        match error {
            PlatformError::Misconfigured { address, client_may_cause, .. } => {
                let remedy = errcode::remedy(error.errcode(), *address, *client_may_cause);
                let source = self.secret.source().filter(|_| errcode::blames_the_secret(error.errcode()));
                let source = source.map(|source| {
                    format!("; it comes from {source}, which a server reads when it starts: restart it after a change")
                });
                Some(remedy + &source.unwrap_or_default())
            }
            PlatformError::Failed(FailedReason::AccessToken(_)) => Some(
                "something else fetches tokens of this app with force_refresh, so that one just given is refused; make it stop"
                    .to_owned(),
            ),
            _ => None,
        }
    }

    /// One line for each call; and one for each flood that nobody overlooks where an operator has to act.
    pub(super) fn log(&self, interface: &'static str, error: Option<&PlatformError>, duration: Duration) {
        let appid = &*self.appid;
        let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let Some(error) = error else {
            tracing::debug!(appid, interface, duration_ms, "weapp: answered");
            return;
        };
        let errcode = error.errcode().and_then(Errcode::as_number);
        let rid = error.rid().map(tracing::field::display);
        tracing::debug!(appid, interface, errcode, rid, duration_ms, "weapp: {error}");
        let Some(remedy) = self.remedy(error) else { return };
        let Some(untold) = self.alarms.due(interface, error.errcode(), Instant::now()) else { return };
        let rid = error.rid().map(tracing::field::display);
        if matches!(error, PlatformError::Misconfigured { client_may_cause: true, .. }) {
            tracing::warn!(appid, interface, errcode, rid, untold, "weapp: the platform refuses this server: {remedy}");
        } else {
            tracing::error!(
                appid,
                interface,
                errcode,
                rid,
                untold,
                "weapp: the platform refuses this server: {remedy}"
            );
        }
    }
}
