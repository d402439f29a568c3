//! Tickets: seal, parse, open. No HTTP words, no JSON. Byte by byte: `docs/TICKET.md`.
//!
//! ```text
//! ticket = base64url( version(1) || kid(4) || app tag(4) || nonce(24) || ciphertext || tag(16) )
//! ```
//!
//! What a stranger sent is an [`UnverifiedTicket`]; [`UnverifiedTicket::open`] is the only way from there to a
//! [`Ticket`]. The kid and the app's tag say which subkey opens it, or there is none: no second key is ever tried.
//!
//! ```
//! use auth_ticket::clock::UnixSeconds;
//! use auth_ticket::keyring::{AppId, KeyRing, Purpose};
//! use auth_ticket::ticket::{OpenError, Policy, UnverifiedTicket};
//!
//! /// Who sent `text`.
//! fn openid(text: &str, ring: &KeyRing, app: &AppId, now: UnixSeconds) -> Result<Option<String>, OpenError> {
//!     let policy = Policy { ttl_s: 7200, max_session_s: 30 * 86400 };
//!     let ticket = UnverifiedTicket::parse(text)?.open(ring, Purpose::Ticket, now, &policy)?;
//!     // A ring can have several apps, and an openid names a user within one only.
//!     Ok((ticket.app() == app).then(|| ticket.session().openid.as_str().to_owned()))
//! }
//! # let app = AppId::parse("wx0123456789abcdef").unwrap();
//! # let ring = KeyRing::new(Default::default(), [app.clone()]).unwrap();
//! # assert!(matches!(openid("x", &ring, &app, UnixSeconds::new(0)), Err(OpenError::NotATicket(_))));
//! ```

mod base64url;
mod buffer;
mod format;
mod inner;
// Hidden: what `auth-ticket ticket inspect` shows.
#[doc(hidden)]
pub mod inspect;
mod sealed;
mod session;
mod wire;

use std::fmt;
use std::str::FromStr;

pub use buffer::MAX_TICKET_LEN;
pub use format::VERSION;
pub use sealed::{HANDOVER_TTL_S, LOGIN_HANDLE_TTL_S, Policy, SealError, SealedTicket};
pub use session::Session;

use crate::claims::{SessionKey, WebOrigin};
use crate::clock::{LEEWAY_S, UnixSeconds};
use crate::keyring::{AppId, AppTag, ChosenKey, Cutoffs, KeyId, KeyRing, NoOpeningKey, OpeningKeys, Purpose};
use crate::seal::{self, NONCE_LEN, TAG_LEN};
use buffer::Buffer;
use format::{HEADER_LEN, MIN_BYTES, aad};
use inner::NoSessionKey;
use wire::Claims;

/// Why a ticket was not accepted. For logs, metrics and tests; clients get less.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Not canonical base64url of a length that a ticket can have.
    #[error("not a ticket: {0}")]
    NotATicket(&'static str),
    /// A format version that this program does not know.
    #[error("ticket version {0} is unknown to this program")]
    UnknownVersion(u8),
    /// The ring has no such key.
    #[error("no key {0} to open the ticket with")]
    UnknownKey(KeyId),
    /// The key's life is over, or somebody revoked it.
    #[error("key {0} opens nothing any more")]
    DeadKey(KeyId),
    /// The ring has the key, but no app with this tag.
    #[error("no app has the tag {0}")]
    UnknownApp(AppTag),
    /// Some bit of it is not what the key sealed.
    #[error("the ticket is not authentic")]
    Unauthentic,
    /// Authentic, but not of the form that this version knows.
    #[error("the claims are malformed: {0}")]
    Malformed(&'static str),
    /// Sealed by a clock that is too far ahead.
    #[error("issued {ahead_s} s in the future")]
    FromTheFuture {
        /// How far ahead, in seconds.
        ahead_s: u64,
    },
    /// Its life, or its session's, is over.
    #[error("expired {late_s} s ago")]
    Expired {
        /// Seconds since its end, leeway not counted.
        late_s: u64,
    },
    /// A hand-over for another web page than the one that presents it.
    #[error("sealed for another web page")]
    OtherOrigin,
    /// A cut-off refuses it.
    #[error("cut off")]
    Revoked,
}

/// An opened ticket: authentic, of the right form, alive and not cut off at the moment of opening.
///
/// A `session_key` in it is still sealed: [`Ticket::session_key`] takes that off, and nothing else does.
#[derive(Debug)]
pub struct Ticket {
    app: AppId,
    kid: KeyId,
    /// What the inner seal depends on.
    nonce: [u8; NONCE_LEN],
    claims: Claims,
    session_expires_at: UnixSeconds,
}

/// Text of the form that tickets have; whether it is one, only [`UnverifiedTicket::open`] tells.
pub struct UnverifiedTicket {
    bytes: Buffer,
}

/// What a ticket consists of, where it lies.
struct Parts<'a> {
    header: &'a [u8; HEADER_LEN],
    nonce: &'a [u8; NONCE_LEN],
    sealed: &'a mut [u8],
    tag: &'a [u8; TAG_LEN],
}

impl UnverifiedTicket {
    /// Takes text that may be a ticket. Looks at length, alphabet and version only.
    ///
    /// # Errors
    /// [`OpenError::NotATicket`] or [`OpenError::UnknownVersion`].
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "otherwise its bytes are moved twice more: a fiftieth of an open")]
    pub fn parse(text: impl AsRef<[u8]>) -> Result<Self, OpenError> {
        let text = text.as_ref();
        if text.len() > MAX_TICKET_LEN {
            return Err(OpenError::NotATicket("longer than 1,024 characters"));
        }
        let mut claimed = Self { bytes: Buffer::for_text(text.len()) };
        claimed.bytes.decode(text).ok_or(OpenError::NotATicket("no canonical base64url"))?;
        if claimed.len_bytes() < MIN_BYTES {
            return Err(OpenError::NotATicket("too short"));
        }
        match claimed.unverified_version() {
            VERSION => Ok(claimed),
            other => Err(OpenError::UnknownVersion(other)),
        }
    }

    /// The first byte.
    #[must_use]
    pub fn unverified_version(&self) -> u8 {
        let [version, ..] = self.header();
        version
    }

    /// The key that it says it was sealed with.
    #[must_use]
    pub fn unverified_kid(&self) -> KeyId {
        let [_, a, b, c, d, ..] = self.header();
        KeyId([a, b, c, d])
    }

    /// The tag of the app that it says it was sealed for.
    #[must_use]
    pub fn unverified_app_tag(&self) -> AppTag {
        let [_, _, _, _, _, a, b, c, d, ..] = self.header();
        AppTag([a, b, c, d])
    }

    fn header(&self) -> [u8; HEADER_LEN] {
        self.bytes.as_slice().first_chunk().copied().unwrap_or_default()
    }

    /// Length in bytes, before base64url.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.bytes.as_slice().len()
    }

    /// Opens it as a thing of `purpose`: proves authenticity, then form, then time, then cut-offs, in this order.
    ///
    /// # Errors
    /// [`OpenError`], the first that holds.
    pub fn open(
        self,
        ring: &KeyRing,
        purpose: Purpose,
        now: UnixSeconds,
        policy: &Policy,
    ) -> Result<Ticket, OpenError> {
        self.open_with(ring, purpose, now, policy)
    }

    /// The same with whatever holds keys.
    pub(crate) fn open_with(
        mut self,
        keys: &impl OpeningKeys,
        purpose: Purpose,
        now: UnixSeconds,
        policy: &Policy,
    ) -> Result<Ticket, OpenError> {
        self.unseal(keys, purpose, now, policy, |ticket| ticket.check_life(keys.cutoffs(), now))
    }

    /// The same for who needs the ticket no longer than `then` runs, and so need not have it moved: it has some 500 bytes.
    #[cfg(feature = "server")]
    pub(crate) fn open_for<T>(
        &mut self,
        keys: &impl OpeningKeys,
        purpose: Purpose,
        now: UnixSeconds,
        policy: &Policy,
        then: impl FnOnce(&Ticket) -> T,
    ) -> Result<T, OpenError> {
        let key = self.key(keys, purpose, now)?;
        let mut ticket = Ticket::unfilled(&key);
        self.fill(&mut ticket, &key, purpose, policy)?;
        ticket.check_life(keys.cutoffs(), now)?;
        Ok(then(&ticket))
    }

    /// Opens it as a hand-over for the page at `origin`; that it is for this one counts before its time does.
    ///
    /// # Errors
    /// [`OpenError`], the first that holds.
    pub fn open_handover(
        mut self,
        ring: &KeyRing,
        origin: &WebOrigin,
        now: UnixSeconds,
        policy: &Policy,
    ) -> Result<Ticket, OpenError> {
        self.unseal(ring, Purpose::Handover, now, policy, |ticket| {
            if ticket.origin() != Some(origin) {
                return Err(OpenError::OtherOrigin);
            }
            ticket.check_life(ring.cutoffs(), now)
        })
    }

    /// Proves authenticity and form, then lets `check` decide about what may be expired or cut off.
    fn unseal(
        &mut self,
        keys: &impl OpeningKeys,
        purpose: Purpose,
        now: UnixSeconds,
        policy: &Policy,
        check: impl FnOnce(&Ticket) -> Result<(), OpenError>,
    ) -> Result<Ticket, OpenError> {
        let key = self.key(keys, purpose, now)?;
        let mut ticket = Ticket::unfilled(&key);
        self.fill(&mut ticket, &key, purpose, policy)?;
        check(&ticket)?;
        Ok(ticket)
    }

    /// What it is opened with. Looked up before the AEAD runs, so a ticket under an unknown key costs no decryption.
    fn key<'k>(
        &self,
        keys: &'k impl OpeningKeys,
        purpose: Purpose,
        now: UnixSeconds,
    ) -> Result<ChosenKey<'k>, OpenError> {
        let (kid, app_tag) = (self.unverified_kid(), self.unverified_app_tag());
        keys.to_open(kid, app_tag, purpose, now).map_err(|why| no_key(why, kid, app_tag))
    }

    /// Proves authenticity and form; `ticket`, which has to be [`Ticket::unfilled`], is worth nothing after an error.
    fn fill(
        &mut self,
        ticket: &mut Ticket,
        key: &ChosenKey<'_>,
        purpose: Purpose,
        policy: &Policy,
    ) -> Result<(), OpenError> {
        let Parts { header, nonce, sealed, tag } = self.parts().ok_or(OpenError::NotATicket("too short"))?;
        key.seal_key.open(nonce, &aad(header), sealed, tag).map_err(|seal::Unauthentic| OpenError::Unauthentic)?;
        ticket.nonce = *nonce;
        wire::decode(sealed, purpose, key.max_ttl_s, &mut ticket.claims)
            .map_err(|wire::Malformed(what)| OpenError::Malformed(what))?;
        ticket.session_expires_at = ticket.session().auth_time.plus(policy.max_session_s);
        Ok(())
    }

    fn parts(&mut self) -> Option<Parts<'_>> {
        let (header, rest) = self.bytes.as_mut_slice().split_first_chunk_mut()?;
        let (nonce, rest) = rest.split_first_chunk_mut()?;
        let (sealed, tag) = rest.split_last_chunk_mut()?;
        Some(Parts { header, nonce, sealed, tag })
    }
}

impl FromStr for UnverifiedTicket {
    type Err = OpenError;

    fn from_str(text: &str) -> Result<Self, OpenError> {
        Self::parse(text)
    }
}

impl TryFrom<&str> for UnverifiedTicket {
    type Error = OpenError;

    fn try_from(text: &str) -> Result<Self, OpenError> {
        Self::parse(text)
    }
}

impl fmt::Debug for UnverifiedTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UnverifiedTicket(kid {}, {} bytes)", self.unverified_kid(), self.len_bytes())
    }
}

impl Claims {
    const fn end(&self) -> UnixSeconds {
        self.issued_at.plus(self.lifetime_s)
    }

    fn check_time(&self, now: UnixSeconds, session_end: UnixSeconds) -> Result<(), OpenError> {
        if self.issued_at > now.plus(LEEWAY_S) {
            return Err(OpenError::FromTheFuture { ahead_s: self.issued_at.since(now) });
        }
        if now >= self.end().plus(LEEWAY_S) || now >= session_end {
            return Err(OpenError::Expired { late_s: now.since(self.end().min(session_end)) });
        }
        Ok(())
    }
}

impl Ticket {
    /// The place for one that is opened with `key`.
    fn unfilled(key: &ChosenKey<'_>) -> Self {
        let (app, kid, session_expires_at) = (key.app.clone(), key.kid, UnixSeconds::new(0));
        Self { app, kid, nonce: [0; NONCE_LEN], claims: Claims::none(), session_expires_at }
    }

    /// The app that it was sealed for.
    #[must_use]
    pub const fn app(&self) -> &AppId {
        &self.app
    }

    /// The key that it was sealed with.
    #[must_use]
    pub const fn kid(&self) -> KeyId {
        self.kid
    }

    /// Whether it would be opened with `ring` at `now`, too: for who has held it for a while.
    ///
    /// # Errors
    /// [`OpenError`], as it would be then.
    pub fn check_again(&self, ring: &KeyRing, now: UnixSeconds) -> Result<(), OpenError> {
        self.check_again_with(ring, now)
    }

    /// The same with whatever holds keys.
    pub(crate) fn check_again_with(&self, keys: &impl OpeningKeys, now: UnixSeconds) -> Result<(), OpenError> {
        let tag = self.app.tag();
        // The key's life is the same for all that it seals, whatever the purpose.
        keys.to_open(self.kid, tag, Purpose::Ticket, now).map_err(|why| no_key(why, self.kid, tag))?;
        self.check_life(keys.cutoffs(), now)
    }

    fn check_life(&self, cutoffs: &Cutoffs, now: UnixSeconds) -> Result<(), OpenError> {
        self.claims.check_time(now, self.session_expires_at)?;
        if self.session().is_among(cutoffs, &self.app) { Err(OpenError::Revoked) } else { Ok(()) }
    }

    /// The first second in which it is refused, unless it is revoked before.
    #[cfg(feature = "tower")]
    pub(crate) fn refused_from(&self) -> UnixSeconds {
        self.claims.end().plus(LEEWAY_S).min(self.session_expires_at)
    }

    /// What it carries, without the `session_key`.
    #[must_use]
    pub const fn session(&self) -> &Session {
        &self.claims.session
    }

    /// Whether there is a `session_key` in it.
    #[must_use]
    pub const fn has_session_key(&self) -> bool {
        self.claims.session_key.is_some()
    }

    /// Takes off the seal of the `session_key`, if there is one in it. Needs a ring that opens the ticket, not only its
    /// app's subkey for tickets.
    ///
    /// # Errors
    /// [`OpenError`]: the ring opens nothing of its key, or what was sealed is no `session_key`.
    pub fn session_key(&self, ring: &KeyRing, now: UnixSeconds) -> Result<Option<SessionKey>, OpenError> {
        let Some(sealed) = &self.claims.session_key else { return Ok(None) };
        let tag = self.app.tag();
        let inner = ring.inner_key(self.kid, tag, now).map_err(|why| no_key(why, self.kid, tag))?;
        sealed.open(inner, &self.nonce).map(Some).map_err(|why| match why {
            NoSessionKey::Unauthentic => OpenError::Unauthentic,
            NoSessionKey::Malformed(what) => OpenError::Malformed(what),
        })
    }

    /// All that it carries, the `session_key` included, to be changed and sealed anew: a renewal. Claims that this version
    /// does not know are dropped.
    ///
    /// # Errors
    /// As [`Ticket::session_key`].
    pub fn to_session(&self, ring: &KeyRing, now: UnixSeconds) -> Result<Session, OpenError> {
        let Session { openid, unionid, session_key: _, phone, owner_claims, login_id, auth_time } = self.claims.session;
        let session_key = self.session_key(ring, now)?;
        Ok(Session { openid, unionid, session_key, phone, owner_claims, login_id, auth_time })
    }

    /// The web page that it is for, if it is a hand-over.
    #[must_use]
    pub const fn origin(&self) -> Option<&WebOrigin> {
        self.claims.origin.as_ref()
    }

    /// When it was sealed.
    #[must_use]
    pub const fn issued_at(&self) -> UnixSeconds {
        self.claims.issued_at
    }

    /// Its end, leeway not counted; never later than the session's.
    #[must_use]
    pub fn expires_at(&self) -> UnixSeconds {
        self.claims.end().min(self.session_expires_at)
    }

    /// The end of its session, as configured now.
    #[must_use]
    pub const fn session_expires_at(&self) -> UnixSeconds {
        self.session_expires_at
    }
}

fn no_key(why: NoOpeningKey, kid: KeyId, app_tag: AppTag) -> OpenError {
    match why {
        NoOpeningKey::UnknownKey => OpenError::UnknownKey(kid),
        NoOpeningKey::DeadKey => OpenError::DeadKey(kid),
        NoOpeningKey::UnknownApp => OpenError::UnknownApp(app_tag),
    }
}

#[cfg(test)]
mod tests;
