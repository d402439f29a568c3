//! Checks tickets of one app with what a verifier file holds: less than the keys directory, and enough for a gateway.
//!
//! `auth-ticket keys export` writes the file. Who holds it can open the app's tickets, and make some. A `session_key` in
//! a ticket stays sealed.
//!
//! This type reads no file and no clock: give it the content, and the time. With the feature `keystore`,
//! `keystore::VerifierFile` reads the file, and with `tower`, `tower::Verifier::load_file` follows it. Otherwise a program that
//! checks tickets
//!
//! 1. reads the file at start, and gives the content to [`AppVerifier::parse`];
//! 2. reads it again every few seconds and, where the content is another, gives it to [`AppVerifier::update`];
//! 3. for each request asks [`AppVerifier::check_age`], then [`AppVerifier::open`].
//!
//! The file has to be a regular one that neither its group nor others can write, and others cannot read. One that is
//! open to more is broken: what takes power away is taken from it all the same, with [`AppVerifier::take_power`].
//!
//! ```
//! use auth_ticket::clock::UnixSeconds;
//! use auth_ticket::verifier::AppVerifier;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let file = br#"{"v":1,"use":"verify","appid":"wx4f4bc4dec97d474b","platform":"weapp","max_session_s":2592000,
//! #  "made":"2026-11-18T11:05:00Z","fingerprint":"0123456789abcdef","revoked":[],"cutoffs":[],
//! #  "keys":[{"kid":"ac1dba1c","created":"2026-11-17T00:00:00Z","seal_from":"2026-11-17T00:00:00Z",
//! #   "seal_until":"2027-02-15T00:00:00Z","max_ttl_s":86400,
//! #   "subkey":"005e5da5b6b1ed35afe23a5436914e37be3106b403930df8b4ba95951cc77a40"}]}"#;
//! # let ticket = "AawduhxZ1-yKB2PMzlFzr8czPPWjjRH0Eu7Xn3wLYzRD_TW2dmAYbuh2ndVcWEoSaJM5orhJ0CQuA_QiPrEYRYa4Aklosek00c2n6tn6uuHmS9cPlY_ZDYib24FiHua8Ppvu-J73Hh83gm7SOShPfs8dxJOyjKHQP2IgQF56aSgVPoEOgc7aWA";
//! let now = UnixSeconds::new(1_795_000_000);
//! let verifier = AppVerifier::parse(file, now)?;
//! verifier.check_age(now, Some(600))?;
//! assert_eq!(verifier.open(ticket, now)?.session().openid.as_str(), "oGZUI0egBJY1zhBYw2KhdUfwVJJE");
//! # Ok(())
//! # }
//! ```

mod text;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::clock::{LEEWAY_S, UnixSeconds};
use crate::keyring::cutoffs::{Ahead, each_entry};
use crate::keyring::{
    AppId, AppTag, ChosenKey, Cutoffs, Fingerprint, KeyId, KeyLife, NoOpeningKey, OpeningKeys, Purpose,
};
use crate::seal::SealKey;
use crate::secret::KeyBytes;
use crate::ticket::{OpenError, Policy, Ticket, UnverifiedTicket};

pub use text::VerifierError;
#[doc(hidden)]
pub use text::encode;
use text::{VerifierText, VerifierTextKey};

/// Opens the tickets of one app. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AppVerifier {
    app: AppId,
    platform: Box<str>,
    policy: Policy,
    made: UnixSeconds,
    fingerprint: Fingerprint,
    keys: Arc<[VerifierKey]>,
    /// All that were ever seen revoked, whether or not their key is there.
    revoked: BTreeSet<KeyId>,
    cutoffs: Arc<Cutoffs>,
    ahead: Ahead,
}

#[derive(Debug)]
struct VerifierKey {
    kid: KeyId,
    /// Whether it is revoked, the verifier knows.
    life: KeyLife,
    /// Missing where the file says that it is revoked.
    seal_key: Option<SealKey>,
}

/// Why a verifier must not be asked: whether somebody was logged out meanwhile is unknown.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Stale {
    /// Nobody has made the file anew for too long.
    #[error("the verifier file is {age_s} s old")]
    TooOld {
        /// Seconds since it was made.
        age_s: u64,
    },
    /// It was made by a clock that is too far ahead, or this one is behind.
    #[error("the verifier file was made {ahead_s} s in the future")]
    FromTheFuture {
        /// Seconds until the time at which it says it was made.
        ahead_s: u64,
    },
}

impl AppVerifier {
    /// Longest content of a verifier file, in bytes: a list of cut-offs of the largest size, and keys.
    pub const MAX_LEN: usize = 257 << 20;

    /// Takes the content of a verifier file at `now`. How old it is, [`AppVerifier::check_age`] says.
    ///
    /// # Errors
    /// [`VerifierError`]: something in it is not right.
    pub fn parse(content: &[u8], now: UnixSeconds) -> Result<Self, VerifierError> {
        Self::parse_after(Ahead::default(), content, now)
    }

    /// `ahead` is what an earlier reading left there.
    fn parse_after(mut ahead: Ahead, content: &[u8], now: UnixSeconds) -> Result<Self, VerifierError> {
        let (cutoffs, fault) = Cutoffs::recover(content, now, &mut ahead);
        let VerifierText { app, platform, max_session_s, made, fingerprint, revoked, keys } = text::parse(content)?;
        fault.map_or(Ok(()), Err)?;
        Ok(Self {
            app,
            platform,
            policy: Policy { ttl_s: 0, max_session_s },
            made,
            fingerprint,
            keys: in_succession(keys)?.into(),
            revoked: revoked.into_iter().collect(),
            cutoffs: Arc::new(cutoffs),
            ahead,
        })
    }

    /// Takes content that has taken the place of this one's. What was seen revoked stays revoked.
    ///
    /// # Errors
    /// [`VerifierError`]: it is not right, or of another app, or older than what is in use. Then the keys and the age stay
    /// as they were, and revocations and cut-offs of whatever can be read are added to those in force.
    pub fn update(&mut self, content: &[u8], now: UnixSeconds) -> Result<(), VerifierError> {
        let found = Self::parse_after(self.ahead.clone(), content, now);
        match found.and_then(|found| self.check_successor(found, now)) {
            Ok(found) => {
                *self = Self { revoked: &self.revoked | &found.revoked, ..found };
                Ok(())
            }
            Err(why) => {
                self.take_power(content, now);
                Err(why)
            }
        }
    }

    /// Adds the revocations and cut-offs that can be read in `content`, however wrong the rest of it is, to those in force,
    /// and takes nothing else.
    pub fn take_power(&mut self, content: &[u8], now: UnixSeconds) {
        each_entry(content, "revoked", |entry| {
            let kid = serde_json::from_str::<String>(entry).ok().and_then(|kid| KeyId::parse(&kid).ok());
            self.revoked.extend(kid);
        });
        let (found, _) = Cutoffs::recover(content, now, &mut self.ahead);
        if !found.is_empty() {
            self.cutoffs = Arc::new(Cutoffs::both(&self.cutoffs, &found));
        }
    }

    fn check_successor(&self, found: Self, now: UnixSeconds) -> Result<Self, VerifierError> {
        if found.app != self.app {
            return Err(VerifierError::OtherApp { held: self.app.clone(), found: found.app });
        }
        // Where this one's own time is wrong, it says nothing about which is the older one.
        if found.made < self.made && self.made <= now.plus(LEEWAY_S) {
            return Err(VerifierError::Older { held: self.made, found: found.made });
        }
        Ok(found)
    }

    /// Whether it may be asked at `now`: it was made at most `max_stale_s` seconds ago, if that is limited, and not by a
    /// clock that is more than the leeway of 60 s ahead of this one.
    ///
    /// # Errors
    /// [`Stale`]: refuse every request, until [`AppVerifier::update`] has taken a newer file.
    pub fn check_age(&self, now: UnixSeconds, max_stale_s: Option<u64>) -> Result<(), Stale> {
        if self.made > now.plus(LEEWAY_S) {
            return Err(Stale::FromTheFuture { ahead_s: self.made.since(now) });
        }
        let age_s = now.since(self.made);
        if max_stale_s.is_some_and(|most| age_s > most) { Err(Stale::TooOld { age_s }) } else { Ok(()) }
    }

    /// Opens a ticket, as a server with the same keys, cut-offs and `max_session` and this app alone does: proves
    /// authenticity, then form, then time, then cut-offs. How old the file is does not count here.
    ///
    /// # Errors
    /// [`OpenError`], the first that holds.
    #[inline]
    pub fn open(&self, text: impl AsRef<[u8]>, now: UnixSeconds) -> Result<Ticket, OpenError> {
        self.open_ticket(UnverifiedTicket::parse(text)?, now)
    }

    /// The same for a ticket that was parsed already.
    ///
    /// # Errors
    /// [`OpenError`], the first that holds.
    #[inline]
    pub fn open_ticket(&self, ticket: UnverifiedTicket, now: UnixSeconds) -> Result<Ticket, OpenError> {
        ticket.open_with(self, Purpose::Ticket, now, &self.policy)
    }

    /// Whether `ticket` would be opened at `now`, too: for who has held it for a while.
    ///
    /// # Errors
    /// [`OpenError`], as it would be then.
    pub fn check_again(&self, ticket: &Ticket, now: UnixSeconds) -> Result<(), OpenError> {
        ticket.check_again_with(self, now)
    }

    /// Whose tickets it opens.
    #[must_use]
    pub const fn appid(&self) -> &AppId {
        &self.app
    }

    /// The app's platform, as the server shows it: `weapp`.
    #[must_use]
    pub fn platform(&self) -> &str {
        &self.platform
    }

    /// The time of the exporter's last finished look at the keys.
    #[must_use]
    pub const fn made(&self) -> UnixSeconds {
        self.made
    }

    /// Life of a session, in seconds from the login.
    #[must_use]
    pub const fn max_session_s(&self) -> u64 {
        self.policy.max_session_s
    }

    /// Names the content of the keys directory that the file was made from.
    #[must_use]
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The kids of its keys, in the order in which they take over from each other.
    pub fn kids(&self) -> impl Iterator<Item = KeyId> {
        self.keys.iter().map(|key| key.kid)
    }

    /// The kids that are revoked, whether or not their key is there.
    pub fn revoked(&self) -> impl Iterator<Item = KeyId> {
        self.revoked.iter().copied()
    }
}

impl OpeningKeys for AppVerifier {
    /// As the ring of a server decides, in the same order.
    fn to_open(
        &self,
        kid: KeyId,
        app: AppTag,
        purpose: Purpose,
        now: UnixSeconds,
    ) -> Result<ChosenKey<'_>, NoOpeningKey> {
        let key = self.keys.iter().find(|key| key.kid == kid).ok_or(NoOpeningKey::UnknownKey)?;
        let revoked = self.revoked.contains(&kid);
        let seal_key = key.seal_key.as_ref().filter(|_| !revoked).ok_or(NoOpeningKey::DeadKey)?;
        if app != self.app.tag() || purpose != Purpose::Ticket {
            return Err(NoOpeningKey::UnknownApp);
        }
        if !key.life.state(now).opens() {
            return Err(NoOpeningKey::DeadKey);
        }
        Ok(ChosenKey { kid, app: &self.app, seal_key, max_ttl_s: key.life.max_ttl_s })
    }

    fn cutoffs(&self) -> &Cutoffs {
        &self.cutoffs
    }
}

/// Orders keys by (`seal_from`, kid) and gives each its end. A revoked key keeps its place.
fn in_succession(mut keys: Vec<VerifierTextKey>) -> Result<Vec<VerifierKey>, VerifierError> {
    keys.sort_by_key(|key| (key.spec.seal_from, key.kid));
    let mut seen: Vec<(KeyId, Option<KeyBytes>)> = Vec::with_capacity(keys.len());
    let mut ordered = Vec::with_capacity(keys.len());
    let mut successor = UnixSeconds::MAX;
    while let Some(VerifierTextKey { kid, spec, subkey }) = keys.pop() {
        let is_same = |(other, bytes): &(KeyId, Option<KeyBytes>)| {
            *other == kid || matches!((bytes, &subkey), (Some(one), Some(two)) if one.expose() == two.expose())
        };
        if seen.iter().any(is_same) {
            return Err(VerifierError::SameKey(kid));
        }
        // Keys come in descending order of seal_from, so the direct successor's is the smallest of all later ones.
        let end = spec.seal_until.min(successor);
        successor = spec.seal_from;
        let life = KeyLife { seal_from: spec.seal_from, end, max_ttl_s: spec.max_ttl_s, revoked: false };
        ordered.push(VerifierKey { kid, life, seal_key: subkey.as_ref().map(SealKey::new) });
        seen.push((kid, subkey));
    }
    ordered.reverse();
    Ok(ordered)
}

#[cfg(test)]
mod tests;
