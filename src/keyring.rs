//! The key ring: state, choice and death of keys as functions of `now`. Knows no files.
//!
//! The life of a key follows from its own dates, the dates of the others and the clock, so replicas that load the same
//! keys decide alike without talking. Every rule is one function here; the table in the tests is its specification.
//!
//! A ring is made from a keys directory (the feature `keystore`), or from the texts of key files, wherever those are kept:
//!
//! ```
//! use auth_ticket::clock::UnixSeconds;
//! use auth_ticket::keyring::text::{self, Parsed};
//! use auth_ticket::keyring::{AppId, KeyName, KeyRing, KeyUse, RingContent};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let file = r#"{"v":1, "use":"ticket", "alg":"XAES-256-GCM", "kid":"ac1dba1c",
//! #  "created":"2026-11-22T21:00:00Z", "seal_from":"2026-11-22T21:15:00Z", "seal_until":"2027-02-20T21:15:00Z",
//! #  "max_ttl_s":86400, "secret":"023f5198881dab46c18253821a617891a18b3fd99f3b44715c6bdb964a8e9441"}"#;
//! let name = KeyName::parse("ticket-ac1dba1c")?;
//! let Parsed::Key(key) = text::parse(name, file)? else { return Err("a newer version wrote it".into()) };
//! let ring = KeyRing::new(RingContent::of_keys([key]), [AppId::parse("wx0123456789abcdef")?])?;
//!
//! let now = UnixSeconds::parse_rfc3339("2026-12-01T00:00:00Z")?;
//! let sealing = ring.sealing_key(KeyUse::Ticket, now).expect("it seals until February");
//! assert_eq!(sealing.key().name(), name);
//! # Ok(())
//! # }
//! ```

mod app;
pub mod cutoffs;
pub(crate) mod fields;
mod key;
mod login_id;
mod plan;
pub mod text;
mod view;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use foldhash::{HashMap, HashMapExt};

pub use app::{AppId, AppIdError, AppTag};
pub use cutoffs::Cutoffs;
pub use fields::FieldError;
pub use key::{Alg, Key, KeyError, KeyId, KeyIdError, KeyName, KeySpec, KeyUse, Purpose, UnknownName};
pub(crate) use key::{InnerKey, InnerName};
pub use login_id::{LoginId, LoginIdError};
pub use plan::Concern;

// What the commands and the server show of a ring.
#[doc(hidden)]
pub use plan::{Event, PRUNE_AFTER_S, Step};
#[doc(hidden)]
pub use view::{KeyView, RingView};

use crate::clock::{LEEWAY_S, UnixSeconds};
use crate::seal::SealKey;

/// What a keys directory holds, before it is put in order.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct RingContent {
    /// All keys, in any order.
    pub keys: Vec<Arc<Key>>,
    /// Names of revoked keys, whether or not their key is among `keys`.
    pub revoked: BTreeSet<KeyName>,
    /// Who is cut off; `None` where there is no list.
    pub cutoffs: Option<Arc<Cutoffs>>,
    /// Names the content; replicas with equal fingerprints hold the same ring.
    pub fingerprint: Fingerprint,
}

impl RingContent {
    /// Keys of which none is revoked, and no cut-offs.
    #[must_use]
    pub fn of_keys(keys: impl IntoIterator<Item = Key>) -> Self {
        Self { keys: keys.into_iter().map(Arc::new).collect(), ..Self::default() }
    }

    /// When the newest key or cut-off was made, and which key it is; `None` for a cut-off. A revoked key does not count.
    #[must_use]
    pub fn newest(&self) -> Option<(UnixSeconds, Option<KeyName>)> {
        let alive = self.keys.iter().filter(|key| !self.revoked.contains(&key.name()));
        let keys = alive.map(|key| (key.spec().created, Some(key.name())));
        let cutoffs = self.cutoffs.as_ref().and_then(|cutoffs| cutoffs.newest()).map(|created| (created, None));
        keys.chain(cutoffs).max_by_key(|(created, _)| *created)
    }
}

/// 8 bytes that name the content of a key ring, shown as 16 hex digits.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Fingerprint(pub(crate) [u8; 8]);

impl Fingerprint {
    /// The bytes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// Why keys and apps do not make a ring.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RingError {
    /// One secret under two names: one of the two is a copy by mistake.
    #[error("{0} and {1} hold the same secret")]
    SameSecret(KeyName, KeyName),
    /// Two apps that a ticket's header cannot tell apart.
    #[error("the apps {0} and {1} have the same tag {tag}", tag = .0.tag())]
    SameAppTag(AppId, AppId),
}

/// Where a key stands in its life.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "the contract's five states")]
pub enum KeyState {
    /// Opens, does not seal yet.
    Pending,
    /// Opens and seals.
    Active,
    /// Opens what it has sealed, seals no more.
    Retiring,
    /// Nothing that it sealed can still be alive.
    Dead,
    /// Dead by decree, at once.
    Revoked,
}

impl KeyState {
    /// Lower-case name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Retiring => "retiring",
            Self::Dead => "dead",
            Self::Revoked => "revoked",
        }
    }

    /// Whether a key in this state opens tickets.
    #[must_use]
    pub const fn opens(self) -> bool {
        matches!(self, Self::Pending | Self::Active | Self::Retiring)
    }
}

impl fmt::Display for KeyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// When a key lives, with what its successors make of its dates.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyLife {
    pub(crate) seal_from: UnixSeconds,
    /// First second in which it may not seal.
    pub(crate) end: UnixSeconds,
    pub(crate) max_ttl_s: u64,
    pub(crate) revoked: bool,
}

impl KeyLife {
    const fn dead_at(self) -> UnixSeconds {
        self.end.plus(self.max_ttl_s).plus(LEEWAY_S)
    }

    pub(crate) fn state(self, now: UnixSeconds) -> KeyState {
        if self.revoked {
            KeyState::Revoked
        } else if now < self.seal_from {
            KeyState::Pending
        } else if now < self.end {
            KeyState::Active
        } else if now < self.dead_at() {
            KeyState::Retiring
        } else {
            KeyState::Dead
        }
    }
}

/// A key in its ring: with what its successors make of it.
#[derive(Debug)]
pub struct RingKey {
    key: Arc<Key>,
    revoked: bool,
    /// First second in which it may not seal: `seal_until`, or a successor's `seal_from` if that is earlier.
    end: UnixSeconds,
}

impl RingKey {
    /// The key itself.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// First second in which the key does not seal any more.
    #[must_use]
    pub const fn end(&self) -> UnixSeconds {
        self.end
    }

    /// First second in which the key does not open any more.
    #[must_use]
    pub fn dead_at(&self) -> UnixSeconds {
        self.life().dead_at()
    }

    fn life(&self) -> KeyLife {
        let spec = self.key.spec();
        KeyLife { seal_from: spec.seal_from, end: self.end, max_ttl_s: spec.max_ttl_s, revoked: self.revoked }
    }

    /// Whether somebody revoked it.
    #[must_use]
    pub const fn is_revoked(&self) -> bool {
        self.revoked
    }

    /// Where it stands at `now`.
    #[must_use]
    pub fn state(&self, now: UnixSeconds) -> KeyState {
        self.life().state(now)
    }
}

/// All loaded keys and cut-offs, with a subkey for each (key, app, purpose). Immutable; a reload makes another one.
#[derive(Debug)]
pub struct KeyRing {
    /// Ordered by (use, `seal_from`, kid): the order in which keys of a use take over from each other.
    keys: Vec<RingKey>,
    apps: Vec<AppId>,
    /// By the kid and app tag of a ticket's header. Keys are not attacker-controlled, so resistance to hash flooding is unnecessary.
    subkeys: HashMap<SubkeyName, Subkeys>,
    cutoffs: Arc<Cutoffs>,
    /// All that were revoked, whether or not their key is there.
    revoked: BTreeSet<KeyName>,
    fingerprint: Fingerprint,
}

/// Kid and app tag as one number, which is hashed in one step.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct SubkeyName(u64);

impl SubkeyName {
    fn new(kid: KeyId, app: AppTag) -> Self {
        let [kid, app] = [kid.0, app.0].map(|bytes| u64::from(u32::from_be_bytes(bytes)));
        Self((kid << 32) | app)
    }
}

/// What one ticket key means for one app.
#[derive(Debug)]
struct Subkeys {
    key_index: usize,
    app_index: usize,
    by_purpose: [SealKey; Purpose::ALL.len()],
    inner: InnerKey,
}

/// The subkey that seals or opens, with what is known about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChosenKey<'ring> {
    pub(crate) kid: KeyId,
    pub(crate) app: &'ring AppId,
    pub(crate) seal_key: &'ring SealKey,
    pub(crate) max_ttl_s: u64,
}

/// Why no subkey opens a ticket; told before any cryptography runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum NoOpeningKey {
    UnknownKey,
    UnknownApp,
    DeadKey,
}

/// What tickets are opened with: a ring, or the content of a verifier file.
pub(crate) trait OpeningKeys {
    fn to_open(
        &self,
        kid: KeyId,
        app: AppTag,
        purpose: Purpose,
        now: UnixSeconds,
    ) -> Result<ChosenKey<'_>, NoOpeningKey>;

    fn cutoffs(&self) -> &Cutoffs;
}

impl OpeningKeys for KeyRing {
    fn to_open(
        &self,
        kid: KeyId,
        app: AppTag,
        purpose: Purpose,
        now: UnixSeconds,
    ) -> Result<ChosenKey<'_>, NoOpeningKey> {
        let chosen =
            self.subkeys.get(&SubkeyName::new(kid, app)).and_then(|found| Some((found, self.chosen(found, purpose)?)));
        let Some((found, chosen)) = chosen else {
            let known = self.keys_of(KeyUse::Ticket).find(|ring_key| ring_key.key.kid() == kid);
            return Err(match known {
                None => NoOpeningKey::UnknownKey,
                Some(key) if key.revoked => NoOpeningKey::DeadKey,
                Some(_) => NoOpeningKey::UnknownApp,
            });
        };
        let opens = self.keys.get(found.key_index).is_some_and(|ring_key| ring_key.state(now).opens());
        if opens { Ok(chosen) } else { Err(NoOpeningKey::DeadKey) }
    }

    fn cutoffs(&self) -> &Cutoffs {
        &self.cutoffs
    }
}

impl KeyRing {
    /// Puts `content` in order and derives the subkeys of every ticket key for each of `apps`.
    ///
    /// # Errors
    /// [`RingError`]: a secret stands in two places, or two apps share a tag.
    pub fn new(content: RingContent, apps: impl IntoIterator<Item = AppId>) -> Result<Self, RingError> {
        let RingContent { keys, revoked, cutoffs, fingerprint } = content;
        let apps = distinct_apps(apps)?;
        let keys = in_succession(keys, &revoked)?;
        let mut subkeys = HashMap::with_capacity(keys.len() * apps.len());
        for (key_index, ring_key) in keys.iter().enumerate() {
            if ring_key.key.spec().key_use != KeyUse::Ticket || ring_key.revoked {
                continue;
            }
            for (app_index, app) in apps.iter().enumerate() {
                let by_purpose = Purpose::ALL.map(|purpose| SealKey::new(&ring_key.key.subkey(app, purpose)));
                let inner = ring_key.key.inner_key(app);
                subkeys.insert(
                    SubkeyName::new(ring_key.key.kid(), app.tag()),
                    Subkeys { key_index, app_index, by_purpose, inner },
                );
            }
        }
        Ok(Self { keys, apps, subkeys, cutoffs: cutoffs.unwrap_or_default(), revoked, fingerprint })
    }

    /// All keys, each use's in the order in which they take over from each other.
    #[must_use]
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &RingKey> {
        self.keys.iter()
    }

    /// The keys of one use, oldest first.
    #[must_use]
    pub fn keys_of(&self, key_use: KeyUse) -> impl DoubleEndedIterator<Item = &RingKey> {
        self.keys.iter().filter(move |ring_key| ring_key.key.spec().key_use == key_use)
    }

    /// The key of this name.
    #[must_use]
    pub fn key(&self, name: KeyName) -> Option<&RingKey> {
        self.keys.iter().find(|ring_key| ring_key.key.name() == name)
    }

    /// The apps that this ring has subkeys for.
    #[must_use]
    pub fn apps(&self) -> &[AppId] {
        &self.apps
    }

    /// Who is cut off.
    #[must_use]
    pub fn cutoffs(&self) -> &Cutoffs {
        &self.cutoffs
    }

    /// Names of revoked keys, whether or not their key is there.
    #[must_use]
    pub const fn revoked(&self) -> &BTreeSet<KeyName> {
        &self.revoked
    }

    /// Names the content, whatever the time.
    #[must_use]
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The key of `key_use` that seals at `now`: the last that has started, unless its time is over or it is revoked.
    /// An older key never steps in for it.
    #[must_use]
    pub fn sealing_key(&self, key_use: KeyUse, now: UnixSeconds) -> Option<&RingKey> {
        let started = |ring_key: &&RingKey| ring_key.key.spec().seal_from <= now;
        self.keys_of(key_use).rfind(started).filter(|last| last.state(now) == KeyState::Active)
    }

    pub(crate) fn to_seal(&self, app: &AppId, purpose: Purpose, now: UnixSeconds) -> Option<ChosenKey<'_>> {
        let key = &self.sealing_key(KeyUse::Ticket, now)?.key;
        self.chosen(self.subkeys.get(&SubkeyName::new(key.kid(), app.tag()))?, purpose)
    }

    /// What takes off the inner seals of things that the key sealed for the app, whatever their purpose.
    pub(crate) fn inner_key(&self, kid: KeyId, app: AppTag, now: UnixSeconds) -> Result<&InnerKey, NoOpeningKey> {
        self.to_open(kid, app, Purpose::Ticket, now)?;
        self.subkeys.get(&SubkeyName::new(kid, app)).map(|found| &found.inner).ok_or(NoOpeningKey::UnknownKey)
    }

    fn chosen<'ring>(&'ring self, subkeys: &'ring Subkeys, purpose: Purpose) -> Option<ChosenKey<'ring>> {
        let key = &self.keys.get(subkeys.key_index)?.key;
        Some(ChosenKey {
            kid: key.kid(),
            app: self.apps.get(subkeys.app_index)?,
            seal_key: subkeys.by_purpose.get(purpose.index())?,
            max_ttl_s: key.spec().max_ttl_s,
        })
    }
}

fn distinct_apps(apps: impl IntoIterator<Item = AppId>) -> Result<Vec<AppId>, RingError> {
    let mut distinct: Vec<AppId> = Vec::new();
    for app in apps {
        match distinct.iter().find(|other| other.tag() == app.tag()) {
            None => distinct.push(app),
            Some(other) if *other == app => {}
            Some(other) => return Err(RingError::SameAppTag(other.clone(), app)),
        }
    }
    Ok(distinct)
}

/// Orders keys by (use, `seal_from`, kid) and gives each its end. A revoked key keeps its place.
fn in_succession(mut keys: Vec<Arc<Key>>, revoked: &BTreeSet<KeyName>) -> Result<Vec<RingKey>, RingError> {
    keys.sort_by_key(|key| (key.spec().key_use, key.spec().seal_from, key.kid()));
    let mut by_secret: HashMap<[u8; 32], KeyName> = HashMap::with_capacity(keys.len());
    let mut ordered: Vec<RingKey> = Vec::with_capacity(keys.len());
    let mut successor: Option<(KeyUse, UnixSeconds)> = None;
    while let Some(key) = keys.pop() {
        let spec = *key.spec();
        if let Some(other) = by_secret.insert(secret_digest(&key), key.name()) {
            return Err(RingError::SameSecret(key.name().min(other), key.name().max(other)));
        }
        let end = match successor {
            // Keys come in descending order of seal_from, so the direct successor's is the smallest of all later ones.
            Some((key_use, seal_from)) if key_use == spec.key_use => spec.seal_until.min(seal_from),
            _ => spec.seal_until,
        };
        successor = Some((spec.key_use, spec.seal_from));
        ordered.push(RingKey { revoked: revoked.contains(&key.name()), key, end });
    }
    ordered.reverse();
    Ok(ordered)
}

fn secret_digest(key: &Key) -> [u8; 32] {
    use sha2::{Digest, Sha256};
    Sha256::digest(key.secret().expose()).into()
}

#[cfg(test)]
mod tests;
