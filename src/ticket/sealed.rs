//! Sealing: what a session becomes for a while.

use std::fmt;

use super::base64url;
use super::buffer::MAX_BYTES;
use super::format::{HEADER_LEN, MIN_BYTES, aad, header};
use super::inner::SealedSessionKey;
use super::session::Session;
use super::wire;
use crate::claims::WebOrigin;
use crate::clock::UnixSeconds;
use crate::keyring::{AppId, KeyId, KeyRing, Purpose};
use crate::seal::{self, NONCE_LEN, TAG_LEN};

/// Life of a login handle and of a phone proof, in seconds.
pub const LOGIN_HANDLE_TTL_S: u64 = 300;

/// Life of a hand-over, in seconds.
pub const HANDOVER_TTL_S: u64 = 60;

/// How long tickets and sessions live, as configured now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "two numbers that callers fill in")]
pub struct Policy {
    /// Life of a ticket, in seconds; its key's `max_ttl_s` may shorten it.
    pub ttl_s: u64,
    /// Life of a session, in seconds from the login, whatever is renewed meanwhile.
    pub max_session_s: u64,
}

/// Why nothing was sealed.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// No key of the ring can seal now.
    #[error("no key can seal now")]
    NoSealingKey,
    /// The session's absolute end has passed.
    #[error("the session is over")]
    SessionOver,
    /// A hand-over is for one web page: [`Session::seal_handover`].
    #[error("a hand-over without an origin")]
    NoOrigin,
    /// The operating system has no randomness to give.
    #[error("the operating system gave no randomness")]
    Randomness,
}

/// A freshly sealed ticket. `Debug` does not show it.
pub struct SealedTicket {
    /// The ticket, at most [`MAX_TICKET_LEN`](super::MAX_TICKET_LEN) characters of base64url.
    text: String,
    kid: KeyId,
    expires_at: UnixSeconds,
    session_expires_at: UnixSeconds,
}

impl Session {
    /// Seals `self` for `app` under the key of `ring` that seals at `now`.
    ///
    /// Its life is the smallest of `policy.ttl_s` (300 s for a login handle or a phone proof), the key's `max_ttl_s` and the
    /// rest of the session.
    ///
    /// # Errors
    /// [`SealError`]; then nothing was sealed. A hand-over is none of its purposes.
    pub fn seal(
        &self,
        ring: &KeyRing,
        app: &AppId,
        purpose: Purpose,
        now: UnixSeconds,
        policy: &Policy,
    ) -> Result<SealedTicket, SealError> {
        if purpose == Purpose::Handover {
            return Err(SealError::NoOrigin);
        }
        let nonce = seal::draw_nonce().map_err(|_| SealError::Randomness)?;
        self.seal_with_nonce(ring, app, purpose, now, policy, &nonce)
    }

    /// Seals for the page at `origin` what may go there: neither `session_key` nor phone number. It lives for a minute.
    ///
    /// # Errors
    /// [`SealError`]; then nothing was sealed.
    pub fn seal_handover(
        &self,
        ring: &KeyRing,
        app: &AppId,
        origin: &WebOrigin,
        now: UnixSeconds,
        policy: &Policy,
    ) -> Result<SealedTicket, SealError> {
        let nonce = seal::draw_nonce().map_err(|_| SealError::Randomness)?;
        let Self { openid, unionid, owner_claims, login_id, auth_time, .. } = *self;
        let session = Self { openid, unionid, owner_claims, login_id, auth_time, session_key: None, phone: None };
        let content = SealedContent { session: &session, origin: Some(origin) };
        content.seal_with_nonce(ring, app, Purpose::Handover, now, policy, &nonce)
    }

    pub(super) fn seal_with_nonce(
        &self,
        ring: &KeyRing,
        app: &AppId,
        purpose: Purpose,
        now: UnixSeconds,
        policy: &Policy,
        nonce: &[u8; NONCE_LEN],
    ) -> Result<SealedTicket, SealError> {
        SealedContent { session: self, origin: None }.seal_with_nonce(ring, app, purpose, now, policy, nonce)
    }
}

/// What is sealed, but for its times.
pub(super) struct SealedContent<'a> {
    pub(super) session: &'a Session,
    /// The web page that a hand-over is for.
    pub(super) origin: Option<&'a WebOrigin>,
}

impl SealedContent<'_> {
    pub(super) fn seal_with_nonce(
        &self,
        ring: &KeyRing,
        app: &AppId,
        purpose: Purpose,
        now: UnixSeconds,
        policy: &Policy,
        nonce: &[u8; NONCE_LEN],
    ) -> Result<SealedTicket, SealError> {
        let key = ring.to_seal(app, purpose, now).ok_or(SealError::NoSealingKey)?;
        let ttl_s = match purpose {
            Purpose::LoginHandle | Purpose::PhoneProof => LOGIN_HANDLE_TTL_S,
            Purpose::Handover => HANDOVER_TTL_S,
            Purpose::Ticket => policy.ttl_s,
        };
        let session_expires_at = self.session.auth_time.plus(policy.max_session_s);
        let issued_at = now.max(self.session.auth_time);
        let expires_at = now.plus(ttl_s.min(key.max_ttl_s)).min(session_expires_at);
        let lifetime_s = expires_at.since(issued_at);
        if lifetime_s == 0 {
            return Err(SealError::SessionOver);
        }

        let mut bytes = [0; MAX_BYTES];
        let header = header(key.kid, app.tag());
        let (head, rest) = bytes.split_at_mut(HEADER_LEN);
        let (nonce_place, body) = rest.split_at_mut(NONCE_LEN);
        head.copy_from_slice(&header);
        nonce_place.copy_from_slice(nonce);
        let session_key = match &self.session.session_key {
            Some(session_key) => {
                let inner = ring.inner_key(key.kid, app.tag(), now).map_err(|_| SealError::NoSealingKey)?;
                Some(SealedSessionKey::seal(session_key, inner, nonce))
            }
            None => None,
        };
        let claims_len = wire::encode(self.session, session_key.as_ref(), self.origin, issued_at, lifetime_s, body);
        let (plaintext, after) = body.split_at_mut(claims_len);
        let tag = key.seal_key.seal(nonce, &aad(&header), plaintext);
        let (tag_place, _) = after.split_at_mut(TAG_LEN);
        tag_place.copy_from_slice(&tag);
        let text = base64url::encode(bytes.get(..MIN_BYTES + claims_len).unwrap_or_default());
        Ok(SealedTicket { text, kid: key.kid, expires_at, session_expires_at })
    }
}

impl SealedTicket {
    /// The ticket.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The key that it is sealed with.
    #[must_use]
    pub const fn kid(&self) -> KeyId {
        self.kid
    }

    /// Its end, leeway not counted.
    #[must_use]
    pub const fn expires_at(&self) -> UnixSeconds {
        self.expires_at
    }

    /// The end of its session, as configured now.
    #[must_use]
    pub const fn session_expires_at(&self) -> UnixSeconds {
        self.session_expires_at
    }
}

/// The ticket's text.
impl AsRef<str> for SealedTicket {
    fn as_ref(&self) -> &str {
        self.text()
    }
}

impl fmt::Debug for SealedTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedTicket({} characters, until {})", self.text.len(), self.expires_at)
    }
}
