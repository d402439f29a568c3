//! One key: its name, its dates, its secret. What state it is in depends on the ring, see [`super::KeyRing`].

use std::fmt;
use std::str::FromStr;

use hkdf::Hkdf;
use sha2::Sha256;

use super::AppId;
use crate::clock::{LEEWAY_S, UnixSeconds};
use crate::secret::KeyBytes;

/// Order of the group of P-256, big-endian: an ES256 scalar is 1 to this minus 1 (SEC 2, section 2.4.2).
const P256_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
    0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// What a key is for. Uses never share a secret.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "a third use would be a new contract for key files")]
pub enum KeyUse {
    /// Seals tickets.
    Ticket,
    /// Signs JWTs for services.
    Jwt,
}

impl KeyUse {
    /// Both uses, in the order in which they are listed.
    pub const ALL: [Self; 2] = [Self::Ticket, Self::Jwt];

    /// Parses what [`KeyUse::as_str`] gives.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(text: &str) -> Result<Self, UnknownName> {
        Self::ALL.into_iter().find(|known| known.as_str() == text).ok_or(UnknownName)
    }

    /// As written in file names and key files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ticket => "ticket",
            Self::Jwt => "jwt",
        }
    }

    /// The algorithm of a new key when nobody asks for another.
    #[must_use]
    pub const fn default_alg(self) -> Alg {
        match self {
            Self::Ticket => Alg::Xaes256Gcm,
            Self::Jwt => Alg::Es256,
        }
    }
}

impl fmt::Display for KeyUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for KeyUse {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::parse(text)
    }
}

impl TryFrom<&str> for KeyUse {
    type Error = UnknownName;

    fn try_from(text: &str) -> Result<Self, UnknownName> {
        Self::parse(text)
    }
}

/// What a key's 32 bytes are.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Alg {
    /// Input of HKDF for XAES-256-GCM subkeys.
    Xaes256Gcm,
    /// Scalar of an ECDSA key on P-256 (RFC 7518 section 3.4).
    Es256,
    /// Seed of an Ed25519 key (RFC 8037).
    EdDsa,
}

impl Alg {
    const ALL: [Self; 3] = [Self::Xaes256Gcm, Self::Es256, Self::EdDsa];

    /// Parses what [`Alg::as_str`] gives.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(text: &str) -> Result<Self, UnknownName> {
        Self::ALL.into_iter().find(|known| known.as_str() == text).ok_or(UnknownName)
    }

    /// As written in key files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Xaes256Gcm => "XAES-256-GCM",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// Whether keys of `key_use` may have this algorithm.
    #[must_use]
    pub const fn serves(self, key_use: KeyUse) -> bool {
        matches!((self, key_use), (Self::Xaes256Gcm, KeyUse::Ticket) | (Self::Es256 | Self::EdDsa, KeyUse::Jwt))
    }
}

impl fmt::Display for Alg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Alg {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::parse(text)
    }
}

impl TryFrom<&str> for Alg {
    type Error = UnknownName;

    fn try_from(text: &str) -> Result<Self, UnknownName> {
        Self::parse(text)
    }
}

/// A use or an algorithm that this version does not know.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
#[error("unknown to this version")]
#[non_exhaustive]
pub struct UnknownName;

/// Not 8 lower-case hex digits, or, as the name of a key, not a use, `-` and those.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
#[error("a kid is 8 lower-case hex digits, and a key's name its use, - and the kid")]
#[non_exhaustive]
pub struct KeyIdError;

/// 4 bytes that name a key; a fingerprint of its secret, shown as 8 lower-case hex digits.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct KeyId(pub(crate) [u8; Self::LEN]);

impl KeyId {
    /// Length in bytes.
    pub const LEN: usize = 4;

    /// Parses 8 lower-case hex digits.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(text: &str) -> Result<Self, KeyIdError> {
        let mut bytes = [0; Self::LEN];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| KeyIdError)?;
        let parsed = Self(bytes);
        if parsed.to_string() == text { Ok(parsed) } else { Err(KeyIdError) }
    }

    fn of(secret: &KeyBytes) -> Self {
        let mut bytes = [0; Self::LEN];
        expand(secret, &[b"auth-ticket/v1/kid"], &mut bytes);
        Self(bytes)
    }
}

impl FromStr for KeyId {
    type Err = KeyIdError;

    fn from_str(text: &str) -> Result<Self, KeyIdError> {
        Self::parse(text)
    }
}

impl TryFrom<&str> for KeyId {
    type Error = KeyIdError;

    fn try_from(text: &str) -> Result<Self, KeyIdError> {
        Self::parse(text)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// Use and id of a key: `ticket-a1b2c3d4`, the stem of its file's name.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct KeyName {
    /// What the key is for.
    pub key_use: KeyUse,
    /// Which one it is.
    pub kid: KeyId,
}

impl KeyName {
    /// Parses `ticket-a1b2c3d4`.
    ///
    /// # Errors
    /// Anything but a use that this version knows, `-`, and 8 lower-case hex digits.
    pub fn parse(text: &str) -> Result<Self, KeyIdError> {
        let (key_use, kid) = text.rsplit_once('-').ok_or(KeyIdError)?;
        Ok(Self { key_use: KeyUse::parse(key_use).map_err(|_| KeyIdError)?, kid: KeyId::parse(kid)? })
    }
}

impl FromStr for KeyName {
    type Err = KeyIdError;

    fn from_str(text: &str) -> Result<Self, KeyIdError> {
        Self::parse(text)
    }
}

impl TryFrom<&str> for KeyName {
    type Error = KeyIdError;

    fn try_from(text: &str) -> Result<Self, KeyIdError> {
        Self::parse(text)
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.key_use, self.kid)
    }
}

/// What a sealed thing is for. It is part of the subkey's derivation, so one kind never opens as another.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Purpose {
    /// An `AUTH_TICKET`.
    Ticket,
    /// What the compatible login route hands out for five minutes between its two steps.
    LoginHandle,
    /// What the compatible phone route hands out: that the holder of a handle has this phone number.
    PhoneProof,
    /// What a mini-program hands to a web page, which gets a ticket of its own for it.
    Handover,
}

impl Purpose {
    /// Every purpose, in the order of [`Purpose::index`].
    pub(crate) const ALL: [Self; 4] = [Self::Ticket, Self::LoginHandle, Self::PhoneProof, Self::Handover];

    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Ticket => 0,
            Self::LoginHandle => 1,
            Self::PhoneProof => 2,
            Self::Handover => 3,
        }
    }

    /// As written in the subkey's derivation.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ticket => "ticket",
            Self::LoginHandle => "login-handle",
            Self::PhoneProof => "phone-proof",
            Self::Handover => "handover",
        }
    }
}

/// Everything about a key but its secret. Times are whole seconds.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the fields of key file version 1")]
pub struct KeySpec {
    /// What the key is for.
    pub key_use: KeyUse,
    /// What its bytes are.
    pub alg: Alg,
    /// When it was made.
    pub created: UnixSeconds,
    /// From when on it may seal.
    pub seal_from: UnixSeconds,
    /// From when on it may not seal any more, whether or not there is a successor.
    pub seal_until: UnixSeconds,
    /// Longest life of what it seals, in seconds.
    pub max_ttl_s: u64,
}

impl KeySpec {
    /// Whether the parts go together.
    pub(crate) fn check(&self) -> Result<(), KeyError> {
        if !self.alg.serves(self.key_use) {
            return Err(KeyError::AlgOfAnotherUse(self.key_use, self.alg));
        }
        if self.seal_from < self.created.minus(LEEWAY_S) || self.seal_from >= self.seal_until {
            return Err(KeyError::Times);
        }
        if !(Key::MIN_MAX_TTL_S..=Key::MAX_MAX_TTL_S).contains(&self.max_ttl_s) {
            return Err(KeyError::MaxTtl(self.max_ttl_s));
        }
        Ok(())
    }
}

/// Why a key cannot be as it is described.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The use and the algorithm do not go together.
    #[error("a {0} key cannot have the algorithm {1}")]
    AlgOfAnotherUse(KeyUse, Alg),
    /// `created - 60 s <= seal_from < seal_until` does not hold.
    #[error("the times are not created - {LEEWAY_S} s <= seal_from < seal_until")]
    Times,
    /// `max_ttl_s` is outside 60 to 7,776,000.
    #[error("max_ttl_s is {0}, outside {min} to {max}", min = Key::MIN_MAX_TTL_S, max = Key::MAX_MAX_TTL_S)]
    MaxTtl(u64),
    /// 0, or not below the order of P-256.
    #[error("the secret is no scalar of P-256")]
    ScalarOutOfRange,
    /// The operating system has no randomness to give.
    #[error("the operating system gave no randomness")]
    Randomness,
}

/// A key: what it is for, when it lives, and 32 secret bytes.
#[derive(Debug)]
pub struct Key {
    spec: KeySpec,
    kid: KeyId,
    secret: KeyBytes,
}

impl Key {
    /// Smallest `max_ttl_s`, in seconds.
    pub const MIN_MAX_TTL_S: u64 = 60;
    /// Largest `max_ttl_s`, in seconds: 90 days.
    pub const MAX_MAX_TTL_S: u64 = 7_776_000;

    /// A key of these parts; the kid follows from the secret.
    ///
    /// # Errors
    /// [`KeyError`]: the parts do not go together.
    pub fn new(spec: KeySpec, secret: KeyBytes) -> Result<Self, KeyError> {
        spec.check()?;
        let bytes = secret.expose();
        if spec.alg == Alg::Es256 && (*bytes == [0; 32] || *bytes >= P256_ORDER) {
            return Err(KeyError::ScalarOutOfRange);
        }
        Ok(Self { spec, kid: KeyId::of(&secret), secret })
    }

    /// A key with a secret drawn from the operating system.
    ///
    /// # Errors
    /// As [`Key::new`], and [`KeyError::Randomness`].
    pub fn generate(spec: KeySpec) -> Result<Self, KeyError> {
        loop {
            let secret = KeyBytes::generate().map_err(|_| KeyError::Randomness)?;
            match Self::new(spec, secret) {
                Err(KeyError::ScalarOutOfRange) => {}
                result => return result,
            }
        }
    }

    /// Everything but the secret.
    #[must_use]
    pub const fn spec(&self) -> &KeySpec {
        &self.spec
    }

    /// The fingerprint of the secret.
    #[must_use]
    pub const fn kid(&self) -> KeyId {
        self.kid
    }

    /// Use and kid.
    #[must_use]
    pub const fn name(&self) -> KeyName {
        KeyName { key_use: self.spec.key_use, kid: self.kid }
    }

    pub(crate) const fn secret(&self) -> &KeyBytes {
        &self.secret
    }

    /// The subkey for things of `purpose`.
    pub(crate) fn subkey(&self, app: &AppId, purpose: Purpose) -> KeyBytes {
        self.subkey_for(app, purpose.as_str())
    }

    /// What the inner seals of an app's tickets, login handles and phone proofs are made with.
    pub(crate) fn inner_key(&self, app: &AppId) -> InnerKey {
        InnerKey(self.subkey_for(app, "session-key"))
    }

    /// HKDF-SHA256 (RFC 5869) of the secret, no salt, info = `auth-ticket/v1/NAME` `0x00` `APPID`.
    fn subkey_for(&self, app: &AppId, name: &str) -> KeyBytes {
        let mut bytes = [0; KeyBytes::LEN];
        let info = [b"auth-ticket/v1/", name.as_bytes(), b"\0", app.as_str().as_bytes()];
        expand(&self.secret, &info, &mut bytes);
        KeyBytes::from_bytes(bytes)
    }
}

/// The subkey from which each `session_key` has a key of its own. It seals nothing itself.
#[derive(Debug)]
pub(crate) struct InnerKey(KeyBytes);

/// Which claim an inner seal is for: its number in the claims.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(crate) enum InnerName {
    /// A `session_key` of 16 bytes.
    Usual = 10,
    /// Any other `session_key`.
    Other = 15,
}

impl InnerKey {
    /// HKDF-Expand-SHA256 (RFC 5869 section 2.3), info = the ticket's nonce and the number of the claim.
    pub(crate) fn for_claim(&self, nonce: &[u8], claim: InnerName) -> KeyBytes {
        let mut bytes = [0; KeyBytes::LEN];
        Hkdf::<Sha256>::from_prk(self.0.expose())
            .expect("as long as a hash")
            .expand_multi_info(&[nonce, &[claim as u8]], &mut bytes)
            .expect("HKDF-SHA256 gives up to 8,160 bytes");
        KeyBytes::from_bytes(bytes)
    }
}

fn expand(secret: &KeyBytes, info: &[&[u8]], out: &mut [u8]) {
    Hkdf::<Sha256>::new(None, secret.expose())
        .expand_multi_info(info, out)
        .expect("HKDF-SHA256 gives up to 8,160 bytes");
}
