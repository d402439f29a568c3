//! The values in a ticket. Each holds what its check accepted, in place, and prints none of it.
//!
//! ```
//! use auth_ticket::claims::{ClaimError, PhoneNumber, PlatformId};
//!
//! # fn main() -> Result<(), ClaimError> {
//! let openid: PlatformId = "oGZUI0egBJY1zhBYw2KhdUfwVJJE".parse()?;
//! assert_eq!(openid.as_str(), "oGZUI0egBJY1zhBYw2KhdUfwVJJE");
//! assert_eq!(format!("{openid:?}"), "PlatformId(..)");
//! assert!(PhoneNumber::parse("13800000000").is_err(), "no country");
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use crate::secret::{KEY_16_LEN, Key16, SecretText, Zeroizing};

/// A value that cannot stand in a ticket.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct ClaimError(pub(crate) &'static str);

/// `FromStr` and `TryFrom<&str>`, as `parse` does it.
macro_rules! parses {
    ($($value:ty),+) => { $(
        impl FromStr for $value {
            type Err = ClaimError;

            fn from_str(text: &str) -> Result<Self, ClaimError> {
                Self::parse(text)
            }
        }

        impl TryFrom<&str> for $value {
            type Error = ClaimError;

            fn try_from(text: &str) -> Result<Self, ClaimError> {
                Self::parse(text)
            }
        }
    )+ };
}

parses!(PlatformId, SessionKey, PhoneNumber, OwnerClaims, WebOrigin);

impl AsRef<str> for PlatformId {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for PhoneNumber {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for WebOrigin {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<[u8]> for OwnerClaims {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

/// Up to `N` bytes, at most 255, in place.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
struct Inline<const N: usize> {
    len: u8,
    bytes: [u8; N],
}

impl<const N: usize> Inline<N> {
    fn new(content: &[u8]) -> Option<Self> {
        let mut bytes = [0; N];
        bytes.get_mut(..content.len())?.copy_from_slice(content);
        Some(Self { len: u8::try_from(content.len()).ok()?, bytes })
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// For content that was checked to be ASCII when it was taken.
    fn as_ascii(&self) -> &str {
        str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

/// An `openid` or `unionid`: 1 to 128 visible ASCII characters, case counts. Personal data: `Debug` hides it.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct PlatformId(Inline<{ Self::MAX_LEN }>);

impl PlatformId {
    /// Longest id, in characters.
    pub const MAX_LEN: usize = 128;
    /// Bytes that an id of 28 characters of base64url decodes to.
    pub(crate) const PACKED_LEN: usize = 21;
    const PACKED_TEXT_LEN: u8 = 28;

    /// Takes an id as the platform wrote it.
    ///
    /// # Errors
    /// Empty, too long, or with a character that is not visible ASCII.
    pub fn parse(text: &str) -> Result<Self, ClaimError> {
        const WHY: ClaimError = ClaimError("an id is not 1 to 128 visible ASCII characters");
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(WHY);
        }
        Inline::new(text.as_bytes()).map(Self).ok_or(WHY)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_ascii()
    }

    #[cfg(feature = "server")]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The place for one; no id itself.
    pub(crate) fn none() -> Self {
        Self(Inline { len: 0, bytes: [0; Self::MAX_LEN] })
    }

    /// Becomes, from [`PlatformId::none`], the id that these bytes stand for.
    ///
    /// Two of these are in each check, and the crate's encoder takes twice as long for so few bytes, which are whole groups of three.
    pub(crate) fn unpack(&mut self, packed: &[u8; Self::PACKED_LEN]) {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let symbol = |bits: u32| ALPHABET.get((bits & 63) as usize).copied().unwrap_or_default();
        let (groups, _) = packed.as_chunks();
        for ([a, b, c], quad) in groups.iter().zip(self.0.bytes.as_chunks_mut().0) {
            let bits = u32::from_be_bytes([0, *a, *b, *c]);
            *quad = [symbol(bits >> 18), symbol(bits >> 12), symbol(bits >> 6), symbol(bits)];
        }
        self.0.len = Self::PACKED_TEXT_LEN;
    }

    /// The 21 bytes that it decodes to, if it is 28 characters of canonical base64url.
    pub(crate) fn pack(&self) -> Option<[u8; Self::PACKED_LEN]> {
        let text: &[u8; Self::PACKED_LEN / 3 * 4] = self.0.as_bytes().try_into().ok()?;
        let mut packed = [0; Self::PACKED_LEN];
        let len = URL_SAFE_NO_PAD.decode_slice(text, &mut packed).ok()?;
        (len == Self::PACKED_LEN).then_some(packed)
    }
}

impl fmt::Debug for PlatformId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlatformId(..)")
    }
}

/// A platform's `session_key`: 1 to 256 visible ASCII characters; usually base64 of 16 bytes, and then kept as those.
pub struct SessionKey(SessionKeyForm);

enum SessionKeyForm {
    Packed(Key16),
    Text(SecretText),
}

/// How a `session_key` stands in a ticket.
pub(crate) enum SessionKeyWire<'a> {
    Packed(&'a [u8; KEY_16_LEN]),
    Text(&'a str),
}

impl SessionKey {
    /// Longest key, in characters.
    pub const MAX_LEN: usize = 256;

    /// Takes a key as the platform wrote it.
    ///
    /// # Errors
    /// Empty, too long, or with a character that is not visible ASCII.
    pub fn parse(text: &str) -> Result<Self, ClaimError> {
        if text.is_empty() || text.len() > Self::MAX_LEN || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ClaimError("a session_key is not 1 to 256 visible ASCII characters"));
        }
        // One byte more than the usual key, so that a longer one is seen to be longer.
        let mut decoded = Zeroizing::new([0; KEY_16_LEN + 2]);
        let usual = match STANDARD.decode_slice(text, decoded.as_mut_slice()) {
            Ok(KEY_16_LEN) => decoded.first_chunk().copied(),
            _ => None,
        };
        Ok(Self(usual.map_or_else(
            || SessionKeyForm::Text(SecretText::new(text)),
            |bytes| SessionKeyForm::Packed(Key16::from_bytes(bytes)),
        )))
    }

    pub(crate) fn unpack(bytes: &[u8; KEY_16_LEN]) -> Self {
        Self(SessionKeyForm::Packed(Key16::from_bytes(*bytes)))
    }

    pub(crate) fn wire(&self) -> SessionKeyWire<'_> {
        match &self.0 {
            SessionKeyForm::Packed(key) => SessionKeyWire::Packed(key.expose()),
            SessionKeyForm::Text(text) => SessionKeyWire::Text(text.expose()),
        }
    }

    /// As the platform wrote it: what signatures are made with, and what the platform is asked about.
    #[must_use]
    pub fn to_text(&self) -> SecretText {
        match &self.0 {
            SessionKeyForm::Packed(key) => SecretText::new(STANDARD.encode(key.expose())),
            SessionKeyForm::Text(text) => SecretText::new(text.expose()),
        }
    }

    /// The 16 bytes that the usual key's base64 stands for: an AES-128 key.
    #[cfg(feature = "server")]
    pub(crate) fn as_16_bytes(&self) -> Option<&[u8; KEY_16_LEN]> {
        match &self.0 {
            SessionKeyForm::Packed(key) => Some(key.expose()),
            SessionKeyForm::Text(_) => None,
        }
    }

    /// Whether it is the usual base64 of 16 bytes.
    #[must_use]
    pub const fn is_usual(&self) -> bool {
        matches!(self.0, SessionKeyForm::Packed(_))
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey(..)")
    }
}

/// A phone number: `+` and 5 to 15 digits (ITU-T E.164). Personal data: `Debug` hides it.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct PhoneNumber(Inline<16>);

impl PhoneNumber {
    /// Takes `+8613800000000`.
    ///
    /// # Errors
    /// Anything but `+` and 5 to 15 digits.
    pub fn parse(text: &str) -> Result<Self, ClaimError> {
        const WHY: ClaimError = ClaimError("a phone number is not + and 5 to 15 digits");
        let digits = text.strip_prefix('+').ok_or(WHY)?;
        if !(5..=15).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(WHY);
        }
        Inline::new(text.as_bytes()).map(Self).ok_or(WHY)
    }

    /// The text, with the `+`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_ascii()
    }

    #[cfg(feature = "server")]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PhoneNumber(..)")
    }
}

/// The owner's own claims: up to 64 bytes that the server does not look into. `Debug` hides them.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct OwnerClaims(Inline<{ Self::MAX_LEN }>);

impl OwnerClaims {
    /// Most bytes.
    pub const MAX_LEN: usize = 64;

    /// Takes the bytes as they are.
    ///
    /// # Errors
    /// More than 64 bytes.
    pub fn new(bytes: &[u8]) -> Result<Self, ClaimError> {
        Inline::new(bytes).map(Self).ok_or(ClaimError("the owner's claims are longer than 64 bytes"))
    }

    /// Takes claims that can travel in a header: 1 to 64 visible ASCII characters.
    ///
    /// # Errors
    /// Empty, too long, or with a character that is not visible ASCII.
    pub fn parse(text: &str) -> Result<Self, ClaimError> {
        let claims = Self::new(text.as_bytes()).ok().filter(|claims| claims.as_text().is_some());
        claims.ok_or(ClaimError("the owner's claims are not 1 to 64 visible ASCII characters"))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The text, if it is what [`OwnerClaims::parse`] takes.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        let is_text = !self.as_bytes().is_empty() && self.as_bytes().iter().all(u8::is_ascii_graphic);
        is_text.then(|| self.0.as_ascii())
    }
}

impl fmt::Debug for OwnerClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnerClaims(..)")
    }
}

/// The origin of a web page, as its browser writes it: 1 to 128 visible ASCII characters.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WebOrigin(Box<str>);

impl WebOrigin {
    /// Longest origin, in characters.
    pub const MAX_LEN: usize = 128;

    /// Takes an origin such as `https://h5.example.com`. Which pages exist, the configuration says.
    ///
    /// # Errors
    /// Empty, too long, or with a character that is not visible ASCII.
    pub fn parse(text: &str) -> Result<Self, ClaimError> {
        let fits = (1..=Self::MAX_LEN).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Self(text.into())).ok_or(ClaimError("an origin is not 1 to 128 visible ASCII characters"))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_28_characters_of_base64url_are_packed() {
        for (text, packs) in [
            ("oGZUI0egBJY1zhBYw2KhdUfwVJJE", true),
            ("oGZUI0egBJY1zhBYw2KhdUfwVJ_-", true),
            ("oGZUI0egBJY1zhBYw2KhdUfwVJ=E", false),
            ("oGZUI0egBJY1zhBYw2KhdUfwVJ+/", false),
            ("oGZUI0egBJY1zhBYw2KhdUfwVJJ", false),
            ("oGZUI0egBJY1zhBYw2KhdUfwVJJEo", false),
            ("2088102146225135", false),
        ] {
            let id = PlatformId::parse(text).unwrap();
            assert_eq!(id.pack().is_some(), packs, "{text}");
            if let Some(packed) = id.pack() {
                let mut unpacked = PlatformId::none();
                unpacked.unpack(&packed);
                assert_eq!(unpacked.as_str(), text);
            }
        }
    }

    #[test]
    fn what_is_unpacked_is_base64url_of_any_bytes() {
        for seed in 0..=255_u8 {
            for step in [0, 1, 7, 85] {
                let packed = std::array::from_fn(|at| seed.wrapping_add(u8::try_from(at).unwrap().wrapping_mul(step)));
                let mut unpacked = PlatformId::none();
                unpacked.unpack(&packed);
                assert_eq!(unpacked.as_str(), URL_SAFE_NO_PAD.encode(packed));
                assert_eq!(unpacked.pack(), Some(packed));
            }
        }
    }

    #[test]
    fn a_session_key_is_packed_only_when_its_base64_is_canonical() {
        for (text, usual) in [
            ("tiihtNczf5v6AKRyjwEUhQ==", true),
            ("tiihtNczf5v6AKRyjwEUhR==", false),
            ("tiihtNczf5v6AKRyjwEUhQ", false),
            ("tiihtNczf5v6AKRyjwEUhQA=", false),
            ("tiihtNczf5v6AKRyjwEUhQAA", false),
            ("not-base64-at-all", false),
        ] {
            assert_eq!(SessionKey::parse(text).unwrap().is_usual(), usual, "{text}");
        }
        for bad in ["", "not base64 at all", "tiihtNczf5v6AKRyjwEUhQ==\n", "schlüssel"] {
            assert!(SessionKey::parse(bad).is_err(), "{bad}");
        }
        assert!(SessionKey::parse(&"k".repeat(257)).is_err());
        assert!(SessionKey::parse(&"k".repeat(256)).is_ok());
    }

    #[test]
    fn the_owners_claims_travel_as_visible_ascii_or_not_at_all() {
        for good in ["0", "uid=1001;role=member", r#"{"uid":1001}"#, &"~".repeat(64)] {
            assert_eq!(OwnerClaims::parse(good).unwrap().as_text(), Some(good));
        }
        for bad in ["", "a b", "a\n", "é", &"~".repeat(65)] {
            assert!(OwnerClaims::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(OwnerClaims::new(&[0xff; 64]).unwrap().as_text(), None);
    }

    #[test]
    fn nothing_of_a_claim_is_printed() {
        let id = PlatformId::parse("canary").unwrap();
        let key = SessionKey::parse("canary").unwrap();
        let phone = PhoneNumber::parse("+8613800000000").unwrap();
        let owner = OwnerClaims::new(b"canary").unwrap();
        let printed = format!("{id:?} {key:?} {phone:?} {owner:?}");
        assert_eq!(printed, "PlatformId(..) SessionKey(..) PhoneNumber(..) OwnerClaims(..)");
    }
}
