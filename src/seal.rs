//! XAES-256-GCM over (subkey, nonce, aad, bytes). Knows no format, no time and no files.
//!
//! Source: [C2SP XAES-256-GCM](https://c2sp.org/XAES-256-GCM). Its 192-bit nonce may be drawn at random 2^80 times for
//! one key, so replicas that never talk need not count what they seal.

use std::fmt;

use aes_gcm::Aes256Gcm;
use aes_gcm::aes::Aes256;
use aes_gcm::aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt};
use xaes_256_gcm::aead::{AeadInOut, KeyInit};
use xaes_256_gcm::{Nonce, Xaes256Gcm};

use crate::secret::{KeyBytes, RandomnessError, Zeroizing, fill_randomly};

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

/// AES-256 (FIPS 197) of one block, where it lies.
pub(crate) fn encrypt_block(key: &KeyBytes, block: &mut [u8; 16]) {
    Aes256::new(&(*key.expose()).into()).encrypt_block(block.into());
}

/// The reverse of [`encrypt_block`].
pub(crate) fn decrypt_block(key: &KeyBytes, block: &mut [u8; 16]) {
    Aes256::new(&(*key.expose()).into()).decrypt_block(block.into());
}

/// AES-256-GCM with a key that seals nothing else, and so with a nonce of zeros: ciphertext and tag.
pub(crate) fn seal_once(key: &KeyBytes, plaintext: &[u8]) -> Vec<u8> {
    // All at once: a vector that grows leaves copies of what it holds behind.
    let mut sealed = Vec::with_capacity(plaintext.len() + TAG_LEN);
    sealed.extend_from_slice(plaintext);
    let gcm = Aes256Gcm::new(&(*key.expose()).into());
    let tag = gcm.encrypt_inout_detached(&[0; 12].into(), b"", sealed.as_mut_slice().into());
    sealed.extend_from_slice(&tag.expect("a ticket is far below the 64 GiB that the AEAD allows"));
    sealed
}

/// The reverse of [`seal_once`].
pub(crate) fn open_once(key: &KeyBytes, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unauthentic> {
    let (ciphertext, tag) = sealed.split_last_chunk::<TAG_LEN>().ok_or(Unauthentic)?;
    let mut opened = Zeroizing::new(ciphertext.to_vec());
    let gcm = Aes256Gcm::new(&(*key.expose()).into());
    gcm.decrypt_inout_detached(&[0; 12].into(), b"", opened.as_mut_slice().into(), tag.into())
        .map_err(|_| Unauthentic)?;
    Ok(opened)
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
