//! The inner seal: a `session_key` is encrypted once more within the claims, under a key that opening a ticket does not need.
//!
//! So no check ever has one in memory, and who holds the subkey of an app's tickets alone can read none. `docs/TICKET.md`
//! section 4.

use std::fmt;

use crate::claims::{SessionKey, SessionKeyWire};
use crate::keyring::{InnerKey, InnerName};
use crate::seal::{self, NONCE_LEN, TAG_LEN};
use crate::secret::{KEY_16_LEN, Zeroizing};

/// Why what was sealed is no `session_key`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum NoSessionKey {
    /// Its own tag is not right.
    Unauthentic,
    /// Sealed, and of no form that a `session_key` has there.
    Malformed(&'static str),
}

/// A `session_key` as it stands in the claims.
pub(super) enum SealedSessionKey {
    /// The usual one: its 16 bytes, encrypted as one block.
    Usual([u8; KEY_16_LEN]),
    /// Any other: its text, encrypted, and a tag.
    Other(Box<[u8]>),
}

impl SealedSessionKey {
    /// Lengths of a text with its tag.
    pub(super) const OTHER_LENS: std::ops::RangeInclusive<usize> = TAG_LEN + 1..=TAG_LEN + SessionKey::MAX_LEN;

    /// Encrypts it for the ticket with this nonce.
    pub(super) fn seal(session_key: &SessionKey, key: &InnerKey, nonce: &[u8; NONCE_LEN]) -> Self {
        match session_key.wire() {
            SessionKeyWire::Packed(bytes) => {
                let mut block = *bytes;
                seal::encrypt_block(&key.for_claim(nonce, InnerName::Usual), &mut block);
                Self::Usual(block)
            }
            SessionKeyWire::Text(text) => {
                let sealed = seal::seal_once(&key.for_claim(nonce, InnerName::Other), text.as_bytes());
                Self::Other(sealed.into_boxed_slice())
            }
        }
    }

    /// Decrypts what the ticket with this nonce holds.
    ///
    /// One block opens to 16 bytes whatever it is: that it is the right one, the ticket's own tag has proved, unless somebody
    /// else can seal tickets.
    pub(super) fn open(&self, key: &InnerKey, nonce: &[u8; NONCE_LEN]) -> Result<SessionKey, NoSessionKey> {
        match self {
            Self::Usual(block) => {
                let mut block = Zeroizing::new(*block);
                seal::decrypt_block(&key.for_claim(nonce, InnerName::Usual), &mut block);
                Ok(SessionKey::unpack(&block))
            }
            Self::Other(sealed) => {
                let text = seal::open_once(&key.for_claim(nonce, InnerName::Other), sealed)
                    .map_err(|seal::Unauthentic| NoSessionKey::Unauthentic)?;
                let text =
                    str::from_utf8(&text).map_err(|_| NoSessionKey::Malformed("a session_key that is no text"))?;
                let session_key = SessionKey::parse(text).map_err(|error| NoSessionKey::Malformed(error.0))?;
                if session_key.is_usual() {
                    return Err(NoSessionKey::Malformed("a session_key that has to be packed is not"));
                }
                Ok(session_key)
            }
        }
    }
}

impl fmt::Debug for SealedSessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedSessionKey(..)")
    }
}
