//! AES in CBC mode with PKCS#7, as platforms encrypt for an app's server. There is no MAC: what decrypts may be forged.

use std::fmt;

use aws_lc_rs::cipher::{
    AES_128, AES_128_KEY_LEN, AES_192, AES_192_KEY_LEN, AES_256, AES_256_KEY_LEN, DecryptingKey, DecryptionContext,
    PaddedBlockDecryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::user_data::DataShape;
use super::{Encrypted, UserData, UserDataError};
use crate::claims::SessionKey;
use crate::secret::Zeroizing;

/// The length of a block, and of an initialisation vector, in bytes.
pub(super) const BLOCK_LEN: usize = 16;

/// A key of AES-128 that an app's console shows, in base64.
pub struct AesKey(Zeroizing<[u8; 16]>);

/// A text is not base64 of 16 bytes. Holds none of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("is not base64 of 16 bytes, which has 24 characters and ends with ==")]
#[expect(clippy::exhaustive_structs, reason = "there is nothing more to say")]
pub struct AesKeyError;

impl AesKey {
    /// Takes over canonical base64 of 16 bytes.
    ///
    /// # Errors
    /// [`AesKeyError`].
    pub fn parse(base64: impl Into<String>) -> Result<Self, AesKeyError> {
        let base64 = Zeroizing::new(base64.into());
        let bytes = Zeroizing::new(STANDARD.decode(&*base64).map_err(|_| AesKeyError)?);
        let key = bytes.as_slice().try_into().map_err(|_| AesKeyError)?;
        Ok(Self(Zeroizing::new(key)))
    }

    pub(super) fn expose(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for AesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AesKey(..)")
    }
}

/// The key that a `session_key` is the base64 of.
///
/// # Errors
/// [`UserDataError::Key`]: it is no base64.
pub(super) fn key_of(session_key: &SessionKey) -> Result<Zeroizing<Vec<u8>>, UserDataError> {
    STANDARD.decode(session_key.to_text().expose()).map(Zeroizing::new).map_err(|_| UserDataError::Key)
}

/// Decrypts `data`, whole blocks, and takes the padding off. The length of the key says which AES it is.
///
/// # Errors
/// [`UserDataError::Key`], [`UserDataError::Padding`].
pub(super) fn decrypt(key: &[u8], iv: &[u8; BLOCK_LEN], data: &[u8]) -> Result<Zeroizing<Vec<u8>>, UserDataError> {
    let algorithm = match key.len() {
        AES_128_KEY_LEN => &AES_128,
        AES_192_KEY_LEN => &AES_192,
        AES_256_KEY_LEN => &AES_256,
        _ => return Err(UserDataError::Key),
    };
    let key = UnboundCipherKey::new(algorithm, key).and_then(PaddedBlockDecryptingKey::cbc_pkcs7);
    let key = key.map_err(|_| UserDataError::Key)?;
    let mut data = Zeroizing::new(data.to_vec());
    let text = key.decrypt(&mut data, DecryptionContext::Iv128(FixedLength::from(*iv)));
    let len = text.map_err(|_| UserDataError::Padding)?.len();
    data.truncate(len);
    Ok(data)
}

/// Decrypts `data`, whole blocks, under AES-192, and leaves the padding, which is not the usual one.
///
/// # Errors
/// [`UserDataError::Key`], [`UserDataError::Padding`].
pub(super) fn decrypt_192_padded(
    key: &[u8],
    iv: &[u8; BLOCK_LEN],
    data: &[u8],
) -> Result<Zeroizing<Vec<u8>>, UserDataError> {
    let key = UnboundCipherKey::new(&AES_192, key).and_then(DecryptingKey::cbc).map_err(|_| UserDataError::Key)?;
    let mut data = Zeroizing::new(data.to_vec());
    key.decrypt(&mut data, DecryptionContext::Iv128(FixedLength::from(*iv))).map_err(|_| UserDataError::Padding)?;
    Ok(data)
}

/// Decrypts `data`, whole blocks, under AES-128 and takes the padding off.
///
/// # Errors
/// [`UserDataError::Padding`].
pub(super) fn decrypt_128(
    key: &[u8; 16],
    iv: &[u8; BLOCK_LEN],
    data: &[u8],
) -> Result<Zeroizing<Vec<u8>>, UserDataError> {
    decrypt(key, iv, data)
}

/// Decrypts what a platform has encrypted under AES-128 with the `session_key`, base64 of the key's 16 bytes.
///
/// # Errors
/// [`UserDataError`]: another kind of `session_key`, another padding, no JSON object.
pub(super) fn decrypt_user_data(
    session_key: &SessionKey,
    encrypted: &Encrypted,
    shape: &'static DataShape,
) -> Result<UserData, UserDataError> {
    let key = session_key.as_16_bytes().ok_or(UserDataError::Key)?;
    UserData::parse(&decrypt_128(key, encrypted.iv(), encrypted.data())?, shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with `openssl enc -aes-128-cbc -K 698180d0ff... -iv 0...0` (OpenSSL 3.0).
    #[test]
    fn what_openssl_encrypts_is_decrypted() {
        let key = AesKey::parse("aYA0GP8JEW+D7/UFaskCWA==").unwrap();
        let data = STANDARD
            .decode("4AOYHE0rpPnRnghunsGo+mY02DzANFLwNJJCiHfrNh375GHFTfq+I7L3zsc602kAm2ublcdPI4wFaQp9PcGDEA==")
            .unwrap();
        let text = decrypt_128(key.expose(), &[0; 16], &data).unwrap();
        assert_eq!(str::from_utf8(&text).unwrap(), r#"{"code":"10000","msg":"Success","mobile":"13800000000"}"#);
        assert_eq!(decrypt_128(&[0; 16], &[0; 16], &data).unwrap_err(), UserDataError::Padding);
        assert_eq!(decrypt_128(key.expose(), &[0; 16], &data[1..]).unwrap_err(), UserDataError::Padding);
        assert_eq!(decrypt_128(key.expose(), &[0; 16], &[]).unwrap_err(), UserDataError::Padding);
    }

    #[test]
    fn a_key_is_base64_of_16_bytes_and_is_not_shown() {
        assert_eq!(format!("{:?}", AesKey::parse("aYA0GP8JEW+D7/UFaskCWA==").unwrap()), "AesKey(..)");
        for bad in ["", "aYA0GP8JEW+D7/UFaskCWA", "aYA0GP8JEW+D7/UFaskC", "aYA0GP8JEW-D7_UFaskCWA==", "5ecretcanary"] {
            let error = AesKey::parse(bad).unwrap_err();
            assert!(!error.to_string().contains("canary"), "{bad}");
        }
    }
}
