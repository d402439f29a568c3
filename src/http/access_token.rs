//! A JWT that says who a ticket stands for (RFC 9068): what a service asks for, and what a gateway hands on.

use serde::Serialize;

use super::error::{ApiError, ErrorCode};
use super::identity::{IdentityFields, subject};
use super::{App, AppState};
use crate::jwt::ACCESS_TOKEN_TYPE;
use crate::keyring::LoginId;
use crate::ticket::Ticket;

/// The claims of RFC 9068 section 2.2, and who it is.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    exp: u64,
    iat: u64,
    jti: String,
    client_id: &'a str,
    #[serde(flatten)]
    identity: IdentityFields<'a>,
}

/// A signed access token.
pub(super) struct AccessToken {
    pub(super) text: String,
    /// Its life, in seconds.
    pub(super) expires_in: u64,
}

impl AccessToken {
    /// Signs what `ticket` says for `audience`, on behalf of `client_id`. It ends with the session at the latest.
    ///
    /// # Errors
    /// No key can sign now, or the user has no unionid where that is the subject.
    pub(super) fn sign(
        state: &AppState,
        ticket: &Ticket,
        app: &App,
        audience: &str,
        client_id: &str,
    ) -> Result<Self, ApiError> {
        let (live, now) = (state.ring(), state.now());
        let signing = live.signers.signing(&live.ring, now)?;
        let exp = now.plus(state.settings.jwt.ttl_s.min(signing.max_ttl_s)).min(ticket.session_expires_at());
        let sub = subject(app.subject, ticket.session()).ok_or(ApiError::invalid_request("the user has no unionid"))?;
        let overloaded = || ApiError::new(ErrorCode::Overloaded, "no randomness now; try again");
        let claims = Claims {
            iss: state.settings.issuer.as_deref().unwrap_or_default(),
            sub,
            aud: audience,
            exp: exp.as_u64(),
            iat: now.as_u64(),
            jti: LoginId::generate().map_err(|_| overloaded())?.to_string(),
            client_id,
            identity: IdentityFields::new(ticket, app).for_jwt(state),
        };
        Ok(Self { text: signing.sign(ACCESS_TOKEN_TYPE, &claims)?, expires_in: exp.since(now) })
    }
}
