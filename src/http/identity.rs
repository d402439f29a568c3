//! Who a ticket stands for, as every answer of JSON and every JWT tells it.

use serde::Serialize;

use super::{App, AppState, Subject};
use crate::claims::{OwnerClaims, PhoneNumber, PlatformId};
use crate::ticket::{Session, Ticket};

/// What may be told of a ticket. The `session_key` has no field here. What there is none of is left out.
#[derive(Serialize)]
pub(super) struct IdentityFields<'a> {
    appid: &'a str,
    platform: &'static str,
    openid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    unionid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone_number: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    claims: Option<&'a str>,
    login_id: String,
    auth_time: u64,
}

impl<'a> IdentityFields<'a> {
    /// All of it, for an app that is configured.
    pub(super) fn new(ticket: &'a Ticket, app: &'a App) -> Self {
        Self::of(ticket.session(), app)
    }

    /// The same before there is a ticket.
    pub(super) fn of(session: &'a Session, app: &'a App) -> Self {
        Self {
            appid: app.id.as_str(),
            platform: app.platform.name(),
            openid: session.openid.as_str(),
            unionid: session.unionid.as_ref().map(PlatformId::as_str),
            phone_number: session.phone.as_ref().map(PhoneNumber::as_str),
            claims: session.owner_claims.as_ref().and_then(OwnerClaims::as_text),
            login_id: session.login_id.to_string(),
            auth_time: session.auth_time.as_u64(),
        }
    }

    /// Without the phone number, unless the settings let it into JWTs.
    pub(super) fn for_jwt(self, state: &AppState) -> Self {
        Self { phone_number: self.phone_number.filter(|_| state.settings.jwt.phone), ..self }
    }
}

/// What stands for the user in `sub`; never the openid where the unionid is asked for.
pub(super) fn subject(subject: Subject, session: &Session) -> Option<&str> {
    match subject {
        Subject::Openid => Some(session.openid.as_str()),
        Subject::Unionid => session.unionid.as_ref().map(PlatformId::as_str),
    }
}
