//! RSA keys from PEM files: what signs for an app, what decrypts for it, and what proves a platform's answer.
//!
//! All of it is `aws-lc-rs`; here are only the files and their mistakes. `RSA2` of the platforms is RSASSA-PKCS1-v1_5 with
//! SHA-256 (RFC 8017 section 8.2).

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize, Pkcs1PrivateDecryptingKey, PrivateDecryptingKey};
use aws_lc_rs::signature::{KeyPair as _, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{PrivateKeyDer, SubjectPublicKeyInfoDer};

use crate::secret::Zeroizing;

/// An RSA private key of 2,048 to 8,192 bits. `Debug` hides it. Clones are the same key in memory.
#[derive(Clone)]
pub struct RsaPrivateKey {
    signing: Arc<KeyPair>,
    decrypting: Arc<Pkcs1PrivateDecryptingKey>,
}

/// An RSA public key of 2,048 to 8,192 bits.
pub struct RsaPublicKey(ParsedPublicKey);

/// Why a text is no key, and what to do. Never holds any of the text.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RsaKeyError {
    /// Base64 and nothing else, as some tools write it.
    #[error(
        "holds a bare key without its BEGIN and END lines; put a line -----BEGIN {0}----- before it and one -----END {0}----- after it"
    )]
    Bare(&'static str),
    /// No such lines, and no key without them.
    #[error("is no PEM; it should begin with -----BEGIN {0}-----")]
    NotPem(&'static str),
    /// The lines are there, what is between them is not base64, or the end is missing.
    #[error(
        "is damaged: between its BEGIN and END lines there is no base64, or the END line is missing; copy the file again"
    )]
    Damaged,
    /// A passphrase protects it.
    #[error(
        "is protected by a passphrase; write one without: openssl pkey -in FILE -out KEY.pem, and chmod 600 KEY.pem"
    )]
    Encrypted,
    /// A public key or a certificate where a private key belongs.
    #[error("holds a public key or a certificate; the private key belongs here")]
    NotPrivate,
    /// A private key where the platform's public key belongs.
    #[error("holds a private key; the platform's public key belongs here")]
    NotPublic,
    /// A certificate where a public key belongs.
    #[error("holds a certificate; write the public key of it: openssl x509 -in FILE -noout -pubkey")]
    Certificate,
    /// Of another algorithm than RSA, or too short.
    #[error(
        "is no RSA key of 2048 to 8192 bits; make one with openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048"
    )]
    NotRsa,
}

const PRIVATE: &str = "PRIVATE KEY";
const PUBLIC: &str = "PUBLIC KEY";

impl RsaPrivateKey {
    /// Takes over the first private key of a PEM text: PKCS#8 (`PRIVATE KEY`) or PKCS#1 (`RSA PRIVATE KEY`).
    ///
    /// # Errors
    /// [`RsaKeyError`] says what the text is instead.
    pub fn from_pem(text: impl Into<String>) -> Result<Self, RsaKeyError> {
        let text = Zeroizing::new(text.into());
        let text = &**text;
        let der = match PrivateKeyDer::from_pem_slice(text.as_bytes()) {
            Ok(der) => der,
            Err(_) if text.contains("ENCRYPTED") => return Err(RsaKeyError::Encrypted),
            Err(_) if has(text, PUBLIC) || has(text, "CERTIFICATE") => return Err(RsaKeyError::NotPrivate),
            Err(_) => return Err(unreadable(text, PRIVATE)),
        };
        // An old form of passphrase: the header stands where base64 should.
        if text.contains("Proc-Type:") {
            return Err(RsaKeyError::Encrypted);
        }
        let signing = match &der {
            PrivateKeyDer::Pkcs1(der) => KeyPair::from_der(der.secret_pkcs1_der()),
            PrivateKeyDer::Pkcs8(der) => KeyPair::from_pkcs8(der.secret_pkcs8_der()),
            _ => return Err(RsaKeyError::NotRsa),
        };
        Self::of(signing.map_err(|_| RsaKeyError::NotRsa)?)
    }

    /// A new key of 2,048 bits, and the public half as PEM, which a platform's console takes. `None` if it cannot be made.
    #[must_use]
    pub fn generate() -> Option<(Self, String)> {
        let signing = KeyPair::generate(KeySize::Rsa2048).ok()?;
        let public: PublicKeyX509Der<'_> = signing.public_key().as_der().ok()?;
        let base64 = STANDARD.encode(public.as_ref());
        let pem = format!("-----BEGIN {PUBLIC}-----\n{base64}\n-----END {PUBLIC}-----\n");
        drop(public);
        Some((Self::of(signing).ok()?, pem))
    }

    fn of(signing: KeyPair) -> Result<Self, RsaKeyError> {
        let pkcs8: Pkcs8V1Der<'_> = signing.as_der().map_err(|_| RsaKeyError::NotRsa)?;
        let decrypting = PrivateDecryptingKey::from_pkcs8(pkcs8.as_ref()).map_err(|_| RsaKeyError::NotRsa)?;
        let decrypting = Pkcs1PrivateDecryptingKey::new(decrypting).map_err(|_| RsaKeyError::NotRsa)?;
        Ok(Self { signing: Arc::new(signing), decrypting: Arc::new(decrypting) })
    }

    /// The `RSA2` signature of `message`, in base64. The same message always has the same one.
    pub(super) fn sign(&self, message: &[u8]) -> String {
        let mut signature = vec![0; self.signing.public_modulus_len()];
        let signed = self.signing.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature);
        signed.expect("a key that was read can sign, and the buffer has its length");
        STANDARD.encode(signature)
    }

    /// Decrypts what was encrypted with PKCS#1 v1.5 (RFC 8017 section 7.2). `None` for anything else. Who may choose
    /// `ciphertext` must not learn which: that is Bleichenbacher's oracle.
    pub(super) fn decrypt(&self, ciphertext: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let mut plaintext = Zeroizing::new(vec![0; self.decrypting.min_output_size()]);
        let len = self.decrypting.decrypt(ciphertext, &mut plaintext).ok()?.len();
        plaintext.truncate(len);
        Some(plaintext)
    }
}

impl RsaPublicKey {
    /// Reads the first public key of a PEM text (`PUBLIC KEY`, X.509 `SubjectPublicKeyInfo`).
    ///
    /// # Errors
    /// [`RsaKeyError`] says what the text is instead.
    pub fn from_pem(text: &str) -> Result<Self, RsaKeyError> {
        let der = match SubjectPublicKeyInfoDer::from_pem_slice(text.as_bytes()) {
            Ok(der) => der,
            Err(_) if has(text, PRIVATE) => return Err(RsaKeyError::NotPublic),
            Err(_) if has(text, "CERTIFICATE") => return Err(RsaKeyError::Certificate),
            Err(_) => return Err(unreadable(text, PUBLIC)),
        };
        let key = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der.as_ref());
        key.map(Self).map_err(|_| RsaKeyError::NotRsa)
    }

    /// Whether `signature`, in base64, is `RSA2` over exactly `message`.
    pub(super) fn verifies(&self, message: &[u8], signature: &str) -> bool {
        STANDARD.decode(signature).is_ok_and(|signature| self.0.verify_sig(message, &signature).is_ok())
    }
}

fn has(text: &str, kind: &str) -> bool {
    text.lines().any(|line| line.starts_with("-----BEGIN") && line.contains(kind))
}

/// What is wrong with a text in which there is no `kind` of key.
fn unreadable(text: &str, kind: &'static str) -> RsaKeyError {
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=') || c.is_whitespace();
    if has(text, kind) {
        RsaKeyError::Damaged
    } else if text.contains("-----BEGIN") {
        RsaKeyError::NotRsa
    } else if text.len() > 200 && text.chars().all(is_base64) {
        RsaKeyError::Bare(kind)
    } else {
        RsaKeyError::NotPem(kind)
    }
}

impl fmt::Debug for RsaPrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RsaPrivateKey(..)")
    }
}

impl fmt::Debug for RsaPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RsaPublicKey(..)")
    }
}

#[cfg(test)]
mod tests;
