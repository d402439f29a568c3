//! Who a ticket stands for: in the headers of a check, in every answer of JSON, in every JWT.

use hyper::HeaderMap;
use hyper::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use serde::Serialize;

use crate::bearer::Refusal;
use crate::claims::{OwnerClaims, PhoneNumber, PlatformId};
use crate::http::answer::NO_STORE;
use crate::http::error::ApiError;
use crate::http::services::claim_template::UserValues;
use crate::http::settings::{App, JwtSettings, Subject};
use crate::ticket::{Session, Ticket};

const APPID: &str = "x-auth-appid";
const PLATFORM: &str = "x-auth-platform";
const OPENID: &str = "x-auth-openid";
const UNIONID: &str = "x-auth-unionid";
const PHONE: &str = "x-auth-phone";
const LOGIN_ID: &str = "x-auth-login-id";
const CLAIMS: &str = "x-auth-claims";
const ASSERTION: &str = "x-auth-assertion";
const EXPIRES_AT: &str = "x-auth-expires-at";

/// What may be told of a ticket. The `session_key` has no field here. What there is none of is left out.
#[derive(Serialize)]
pub(crate) struct IdentityFields<'a> {
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
    pub(crate) fn new(ticket: &'a Ticket, app: &'a App) -> Self {
        Self::of(ticket.session(), app)
    }

    /// The same before there is a ticket.
    pub(crate) fn of(session: &'a Session, app: &'a App) -> Self {
        Self {
            appid: app.id.as_str(),
            platform: app.platform.facts().name(),
            openid: session.openid.as_str(),
            unionid: session.unionid.as_ref().map(PlatformId::as_str),
            phone_number: session.phone.as_ref().map(PhoneNumber::as_str),
            claims: session.owner_claims.as_ref().and_then(OwnerClaims::as_text),
            login_id: session.login_id.to_string(),
            auth_time: session.auth_time.as_u64(),
        }
    }

    /// Without the phone number, unless the settings let it into JWTs.
    pub(crate) fn for_jwt(self, settings: &JwtSettings) -> Self {
        Self { phone_number: self.phone_number.filter(|_| settings.phone), ..self }
    }

    /// What the owner's claims can be filled with; `sub` is the subject.
    pub(crate) fn as_values<'b>(&'b self, sub: &'b str) -> UserValues<'b> {
        UserValues {
            sub,
            openid: self.openid,
            unionid: self.unionid,
            appid: self.appid,
            platform: self.platform,
            login_id: &self.login_id,
            phone: self.phone_number,
            claims: self.claims,
        }
    }
}

/// What stands for the user in `sub`; never the openid where the unionid is asked for.
pub(crate) fn subject(subject: Subject, session: &Session) -> Option<&str> {
    match subject {
        Subject::Openid => Some(session.openid.as_str()),
        Subject::Unionid => session.unionid.as_ref().map(PlatformId::as_str),
    }
}

/// The headers of a 200 for one app. All of them, empty where there is no value: a gateway then overwrites whatever a client
/// made up.
#[derive(Debug)]
pub(crate) struct IdentityHeaders(HeaderMap);

impl IdentityHeaders {
    /// What is the same for all users of `app`. Copying it costs half of what putting ten names into a new map does.
    ///
    /// Leaks the appid: a value that is shared instead would have all threads contend on its reference count.
    pub(crate) fn new(app: &App) -> Self {
        let appid: &'static str = Box::leak(app.id.as_str().into());
        let mut headers = HeaderMap::with_capacity(10);
        // A name that is given as text would be copied, and then shared as well.
        let mut insert = |name, value| headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        insert(APPID, appid);
        insert(PLATFORM, app.platform.facts().name());
        for name in [OPENID, UNIONID, PHONE, CLAIMS, LOGIN_ID, EXPIRES_AT, ASSERTION] {
            insert(name, "");
        }
        headers.insert(CACHE_CONTROL, NO_STORE);
        Self(headers)
    }

    pub(crate) fn of(&self, ticket: &Ticket, assertion: Option<&str>) -> Result<HeaderMap, ApiError> {
        let session = ticket.session();
        let login_id = session.login_id.to_hex();
        let mut expires_at = itoa::Buffer::new();
        let mut headers = self.0.clone();
        for (name, header) in &mut headers {
            let value: &[u8] = match name.as_str() {
                OPENID => session.openid.as_bytes(),
                UNIONID => session.unionid.as_ref().map_or(b"", PlatformId::as_bytes),
                PHONE => session.phone.as_ref().map_or(b"", PhoneNumber::as_bytes),
                CLAIMS => session.owner_claims.as_ref().and_then(OwnerClaims::as_text).unwrap_or_default().as_bytes(),
                LOGIN_ID => &login_id,
                EXPIRES_AT => expires_at.format(ticket.expires_at().as_u64()).as_bytes(),
                ASSERTION => assertion.unwrap_or_default().as_bytes(),
                _ => continue,
            };
            if !value.is_empty() {
                // Every value was checked to be visible ASCII when it was sealed, so this never fails; if it did: 401.
                *header = HeaderValue::from_bytes(value).map_err(|_| Refusal::InvalidTicket)?;
            }
        }
        Ok(headers)
    }
}
