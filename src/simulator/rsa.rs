//! RSA as the platforms do it: `RSA2` signatures of their own and of apps, and encryption to an app's public key.

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize, Pkcs1PublicEncryptingKey, PublicEncryptingKey};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const END: &str = "-----END PUBLIC KEY-----";

/// The platform's own key, made when it is first needed.
pub(super) struct SigningKey(KeyPair);

impl SigningKey {
    pub(super) fn generate() -> Option<Self> {
        KeyPair::generate(KeySize::Rsa2048).ok().map(Self)
    }

    /// In base64.
    pub(super) fn sign(&self, message: &[u8]) -> Option<String> {
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).ok()?;
        Some(STANDARD.encode(signature))
    }

    /// The public half, as PEM.
    pub(super) fn public_pem(&self) -> Option<String> {
        let der: PublicKeyX509Der<'_> = self.0.public_key().as_der().ok()?;
        let base64 = STANDARD.encode(der.as_ref());
        let lines: Vec<&str> =
            (0..base64.len()).step_by(64).filter_map(|at| base64.get(at..(at + 64).min(base64.len()))).collect();
        Some(format!("{BEGIN}\n{}\n{END}\n", lines.join("\n")))
    }
}

/// An app's public key, as its console would take it: PEM, or the base64 inside alone.
#[derive(Clone, Debug)]
pub(super) struct PublicKey(Vec<u8>);

impl PublicKey {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let inside = text.trim();
        let inside = inside.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(END)).unwrap_or(inside);
        let base64: String = inside.split_whitespace().collect();
        let der = STANDARD.decode(base64).ok()?;
        PublicEncryptingKey::from_der(&der).ok()?;
        Some(Self(der))
    }

    /// Whether `signature`, in base64, is this key's over `message`.
    pub(super) fn verifies(&self, message: &[u8], signature: &str) -> bool {
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &self.0);
        STANDARD.decode(signature).is_ok_and(|signature| key.verify(message, &signature).is_ok())
    }

    /// `message` in PKCS#1 v1.5 under this key, in base64; nothing if it is too long.
    pub(super) fn encrypt(&self, message: &[u8]) -> Option<String> {
        let key = PublicEncryptingKey::from_der(&self.0).ok()?;
        let key = Pkcs1PublicEncryptingKey::new(key).ok()?;
        let mut ciphertext = vec![0; key.ciphertext_size()];
        let len = key.encrypt(message, &mut ciphertext).ok()?.len();
        ciphertext.truncate(len);
        Some(STANDARD.encode(ciphertext))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_key_is_written_as_consoles_read_it() {
        let key = SigningKey::generate().unwrap();
        let pem = key.public_pem().unwrap();
        assert!(pem.lines().all(|line| line.len() <= 64), "{pem}");
        let bare: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        for text in [&pem, &bare] {
            let public = PublicKey::parse(text).unwrap();
            let signature = key.sign(b"message").unwrap();
            assert!(public.verifies(b"message", &signature) && !public.verifies(b"massage", &signature));
        }
        for bad in ["", "key", "AAAA"] {
            assert!(PublicKey::parse(bad).is_none(), "{bad}");
        }
    }
}
