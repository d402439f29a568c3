//! A JWT that says who a ticket stands for (RFC 9068): what a service asks for, and what a gateway hands on.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::clock::UnixSeconds;
use crate::http::error::{ApiError, ErrorCode};
use crate::http::identity::{IdentityFields, subject};
use crate::http::services::claim_template::ClaimTemplate;
use crate::http::settings::{App, Settings};
use crate::http::state::Live;
use crate::keyring::LoginId;
use crate::ticket::Ticket;

/// The claims of RFC 9068 section 2.2, and who it is.
#[derive(Serialize)]
struct AccessTokenClaims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    exp: u64,
    iat: u64,
    jti: String,
    client_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
    #[serde(flatten)]
    identity: IdentityFields<'a>,
    /// The owner's, none of which has a name from above.
    #[serde(flatten)]
    own: Map<String, Value>,
}

/// What an access token is to say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AccessTokenRequest<'a> {
    /// Who it is.
    pub(crate) ticket: &'a Ticket,
    /// The ticket's app.
    pub(crate) app: &'a App,
    /// Whom it is for.
    pub(crate) audience: &'a str,
    /// On whose behalf it is asked for.
    pub(crate) client_id: &'a str,
    /// What it is good for, names with spaces between them.
    pub(crate) scope: Option<&'a str>,
    /// What the audience has it say besides.
    pub(crate) own: Option<&'a ClaimTemplate>,
}

/// A signed access token.
pub(crate) struct AccessToken {
    pub(crate) text: String,
    /// Its life, in seconds.
    pub(crate) expires_in: u64,
}

impl AccessToken {
    /// Signs with a key of `live`. The token ends with the session at the latest.
    ///
    /// # Errors
    /// No key can sign now, or the user has no unionid where that is the subject.
    pub(crate) fn sign(
        live: &Live,
        settings: &Settings,
        now: UnixSeconds,
        AccessTokenRequest { ticket, app, audience, client_id, scope, own }: AccessTokenRequest<'_>,
    ) -> Result<Self, ApiError> {
        let signing = live.signing(now)?;
        let exp = now.plus(settings.jwt.ttl_s.min(signing.max_ttl_s)).min(ticket.session_expires_at());
        let sub = subject(app.subject, ticket.session()).ok_or(ApiError::invalid_request("the user has no unionid"))?;
        let overloaded = || ApiError::new(ErrorCode::Overloaded, "no randomness now; try again");
        let identity = IdentityFields::new(ticket, app).for_jwt(&settings.jwt);
        let claims = AccessTokenClaims {
            iss: settings.issuer.as_deref().unwrap_or_default(),
            sub,
            aud: audience,
            exp: exp.as_u64(),
            iat: now.as_u64(),
            jti: LoginId::generate().map_err(|_| overloaded())?.to_string(),
            client_id,
            scope,
            own: own.map(|template| template.fill(&identity.as_values(sub))).unwrap_or_default(),
            identity,
        };
        Ok(Self { text: signing.sign(settings.jwt.typ.as_str(), &claims)?, expires_in: exp.since(now) })
    }
}
