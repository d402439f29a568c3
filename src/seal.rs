//! XAES-256-GCM over (subkey, nonce, aad, bytes). Knows no format, no time and no files.
//!
//! Source: [C2SP XAES-256-GCM](https://c2sp.org/XAES-256-GCM). Its 192-bit nonce may be drawn at random 2^80 times for
//! one key, so replicas that never talk need not count what they seal.

use std::fmt;

use xaes_256_gcm::aead::{AeadInOut, KeyInit};
use xaes_256_gcm::{Nonce, Xaes256Gcm};

use crate::secret::{KeyBytes, RandomnessError, fill_randomly};

/// Bytes of a nonce.
pub const NONCE_LEN: usize = 24;
/// Bytes of an authentication tag.
pub const TAG_LEN: usize = 16;

/// A subkey, ready to seal and open. What depends on the key alone is computed once, when this is made.
pub struct SealKey(Xaes256Gcm);

/// The bytes, the additional data, the nonce or the tag are not what this key sealed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the ticket is not authentic")]
pub struct Unauthentic;

impl SealKey {
    pub(crate) fn new(subkey: &KeyBytes) -> Self {
        Self(Xaes256Gcm::new(&(*subkey.expose()).into()))
    }

    /// Encrypts `buffer` where it lies and returns the tag over it and `aad`.
    pub(crate) fn seal(&self, nonce: &[u8; NONCE_LEN], aad: &[u8], buffer: &mut [u8]) -> [u8; TAG_LEN] {
        let tag = self.0.encrypt_inout_detached(&Nonce::from(*nonce), aad, buffer.into());
        tag.expect("a ticket is far below the 64 GiB that the AEAD allows").into()
    }

    /// Decrypts `buffer` where it lies, after the tag over it and `aad` has proved right; otherwise leaves it sealed.
    pub(crate) fn open(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        buffer: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Result<(), Unauthentic> {
        self.0.decrypt_inout_detached(nonce.into(), aad, buffer.into(), tag.into()).map_err(|_| Unauthentic)
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey(..)")
    }
}

/// Draws a nonce from the operating system. No generator of our own: a resumed snapshot of a machine would repeat it,
/// and a repeated nonce gives GCM away.
///
/// # Errors
/// [`RandomnessError`]
pub fn draw_nonce() -> Result<[u8; NONCE_LEN], RandomnessError> {
    let mut nonce = [0; NONCE_LEN];
    fill_randomly(&mut nonce)?;
    Ok(nonce)
}

#[cfg(test)]
mod tests;
