//! JWTs for services: signing, checking our own, and the public keys for others to check them with.
//!
//! The algorithm of a JWT belongs to the key that the kid names, never to what a header says. Keys are published from the
//! moment they are loaded until they are dead, and sign only in between, so caches of the keys have them in time.

use std::collections::HashMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::clock::UnixSeconds;
use crate::keyring::{Alg, Key, KeyId, KeyRing, KeyUse};
use crate::secret::Zeroizing;

/// `typ` of an access token (RFC 9068 section 2.1).
pub const ACCESS_TOKEN_TYPE: &str = "at+jwt";

/// PKCS#8 around a P-256 scalar, without the public key (RFC 5208, RFC 5915).
const ES256_PREFIX: &[u8] = &[
    0x30, 0x41, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x04, 0x27, 0x30, 0x25, 0x02, 0x01, 0x01, 0x04, 0x20,
];
/// PKCS#8 around an Ed25519 seed (RFC 8410 section 7).
const EDDSA_PREFIX: &[u8] =
    &[0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// Why a ring's JWT keys cannot be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum JwtError {
    /// The cryptographic library does not take the key.
    #[error("key jwt-{0} cannot sign")]
    Key(KeyId),
    /// What a key signed does not verify with its public half.
    #[error("what key jwt-{0} signs does not verify")]
    SelfTest(KeyId),
    /// No key of the ring can sign now.
    #[error("no key can sign now")]
    NoSigningKey,
}

/// Why a JWT is none of a ring's.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum VerifyError {
    /// It names a key that the ring does not have.
    #[error("the ring has no key jwt-{0}")]
    UnknownKey(KeyId),
    /// Its form, type, algorithm or signature is not ours, or its key is dead or revoked.
    #[error("this is no JWT that a live key has signed")]
    Invalid,
}

/// The header of every JWT that we sign. More than this, such as `crit` or a key, and a member twice, is not ours.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OwnHeader {
    typ: String,
    alg: String,
    kid: String,
}

/// The JWT keys of a ring, ready to sign.
#[derive(Default)]
pub struct Signers(HashMap<KeyId, Signer>);

struct Signer {
    algorithm: Algorithm,
    private: EncodingKey,
    public: Jwk,
}

/// A key that signs now, and how long what it signs may live.
#[derive(Debug)]
pub struct Signing<'a> {
    signer: &'a Signer,
    kid: KeyId,
    /// Longest life, in seconds.
    pub max_ttl_s: u64,
}

/// Public keys, as `/.well-known/jwks.json` shows them (RFC 7517 section 5).
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct Jwks<'a> {
    keys: Vec<&'a Jwk>,
}

impl Signers {
    /// Makes the JWT keys of `ring` ready, and sees each of them sign and verify once.
    ///
    /// # Errors
    /// [`JwtError::Key`] or [`JwtError::SelfTest`].
    pub fn new(ring: &KeyRing) -> Result<Self, JwtError> {
        let signer_of = |key: &Key| Ok((key.kid(), Signer::new(key)?));
        ring.keys_of(KeyUse::Jwt).map(|ring_key| signer_of(ring_key.key())).collect::<Result<_, _>>().map(Self)
    }

    /// The key that signs at `now`.
    ///
    /// # Errors
    /// [`JwtError::NoSigningKey`].
    pub fn signing(&self, ring: &KeyRing, now: UnixSeconds) -> Result<Signing<'_>, JwtError> {
        let key = ring.sealing_key(KeyUse::Jwt, now).ok_or(JwtError::NoSigningKey)?.key();
        let signer = self.0.get(&key.kid()).ok_or(JwtError::NoSigningKey)?;
        Ok(Signing { signer, kid: key.kid(), max_ttl_s: key.spec().max_ttl_s })
    }

    /// The claims of `token`, if a key of `ring` that is neither dead nor revoked at `now` has signed it as one of the type
    /// `typ`. What the claims say, times included, is not looked at.
    ///
    /// # Errors
    /// [`VerifyError`].
    pub(crate) fn verify<T: DeserializeOwned>(
        &self,
        ring: &KeyRing,
        now: UnixSeconds,
        typ: &str,
        token: &str,
    ) -> Result<T, VerifyError> {
        let header = token.split('.').next().and_then(|header| URL_SAFE_NO_PAD.decode(header).ok());
        let header: OwnHeader =
            header.and_then(|header| serde_json::from_slice(&header).ok()).ok_or(VerifyError::Invalid)?;
        let kid = KeyId::parse(&header.kid).map_err(|_| VerifyError::Invalid)?;
        let ring_key = ring.keys_of(KeyUse::Jwt).find(|ring_key| ring_key.key().kid() == kid);
        let (ring_key, signer) = ring_key.zip(self.0.get(&kid)).ok_or(VerifyError::UnknownKey(kid))?;
        let is_of_key = header.alg == ring_key.key().spec().alg.as_str() && header.typ == typ;
        if !is_of_key || !ring_key.state(now).opens() {
            return Err(VerifyError::Invalid);
        }
        signer.verify(token).ok_or(VerifyError::Invalid)
    }

    /// The public halves of all keys that are neither dead nor revoked at `now`.
    #[must_use]
    pub fn jwks(&self, ring: &KeyRing, now: UnixSeconds) -> Jwks<'_> {
        let published = ring.keys_of(KeyUse::Jwt).filter(|ring_key| ring_key.state(now).opens());
        Jwks { keys: published.filter_map(|ring_key| Some(&self.0.get(&ring_key.key().kid())?.public)).collect() }
    }
}

impl Signing<'_> {
    /// Signs `claims` as a JWT of the type `typ`.
    ///
    /// # Errors
    /// [`JwtError::Key`]: the cryptographic library refused, which the self-test at loading has ruled out.
    pub fn sign(&self, typ: &str, claims: &impl Serialize) -> Result<String, JwtError> {
        self.signer.sign(self.kid, typ, claims)
    }
}

impl Signer {
    fn new(key: &Key) -> Result<Self, JwtError> {
        let kid = key.kid();
        let der = |prefix: &[u8]| Zeroizing::new([prefix, key.secret().expose()].concat());
        let (algorithm, published, private) = match key.spec().alg {
            Alg::Es256 => (Algorithm::ES256, KeyAlgorithm::ES256, EncodingKey::from_ec_der(&der(ES256_PREFIX))),
            Alg::EdDsa => (Algorithm::EdDSA, KeyAlgorithm::EdDSA, EncodingKey::from_ed_der(&der(EDDSA_PREFIX))),
            Alg::Xaes256Gcm => return Err(JwtError::Key(kid)),
        };
        let mut public = Jwk::from_encoding_key(&private, algorithm).map_err(|_| JwtError::Key(kid))?;
        public.common.key_id = Some(kid.to_string());
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        public.common.key_algorithm = Some(published);
        let signer = Self { algorithm, private, public };
        signer.self_test(kid)?;
        Ok(signer)
    }

    fn sign(&self, kid: KeyId, typ: &str, claims: &impl Serialize) -> Result<String, JwtError> {
        let mut header = Header::new(self.algorithm);
        header.typ = Some(typ.to_owned());
        header.kid = Some(kid.to_string());
        jsonwebtoken::encode(&header, claims, &self.private).map_err(|_| JwtError::Key(kid))
    }

    /// A build with the wrong features, or a library that has gone wrong, shows here and not at the first request.
    fn self_test(&self, kid: KeyId) -> Result<(), JwtError> {
        #[derive(Deserialize, Serialize)]
        struct Probe {
            probe: u8,
        }
        let token = self.sign(kid, "probe", &Probe { probe: 1 })?;
        match self.verify(&token) {
            Some(Probe { probe: 1 }) => Ok(()),
            _ => Err(JwtError::SelfTest(kid)),
        }
    }

    /// The claims of `token`, if this key has signed it with its own algorithm.
    fn verify<T: DeserializeOwned>(&self, token: &str) -> Option<T> {
        let mut validation = Validation::new(self.algorithm);
        validation.required_spec_claims.clear();
        (validation.validate_exp, validation.validate_aud) = (false, false);
        let public = DecodingKey::from_jwk(&self.public).ok()?;
        jsonwebtoken::decode(token, &public, &validation).ok().map(|decoded| decoded.claims)
    }
}

impl fmt::Debug for Signers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::keyring::{KeySpec, RingContent};
    use crate::secret::KeyBytes;

    const NOW: UnixSeconds = UnixSeconds::new(1_795_000_000);

    fn ring(alg: Alg) -> KeyRing {
        let spec = |from: u64| KeySpec {
            key_use: KeyUse::Jwt,
            alg,
            created: UnixSeconds::new(from),
            seal_from: UnixSeconds::new(from),
            seal_until: NOW.plus(10_000),
            max_ttl_s: 600,
        };
        let key = |from, hex: &str| Arc::new(Key::new(spec(from), KeyBytes::parse_hex(hex).unwrap()).unwrap());
        let keys = vec![
            key(NOW.as_u64(), "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721"),
            key(NOW.as_u64() + 100, "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"),
        ];
        KeyRing::new(RingContent { keys, ..RingContent::default() }, []).unwrap()
    }

    fn published(alg: Alg, now: UnixSeconds) -> Vec<Value> {
        let ring = ring(alg);
        let signers = Signers::new(&ring).unwrap();
        let jwks = serde_json::to_value(signers.jwks(&ring, now)).unwrap();
        jwks["keys"].as_array().unwrap().clone()
    }

    /// Source of the key pair: RFC 6979 appendix A.2.5.
    #[test]
    fn a_p256_key_is_published_by_the_book() {
        let key = published(Alg::Es256, NOW).remove(0);
        let base64url = |hex: &str| URL_SAFE_NO_PAD.encode(hex::decode(hex).unwrap());
        assert_eq!(key["x"], base64url("60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"));
        assert_eq!(key["y"], base64url("7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299"));
        assert_eq!(
            (&key["kty"], &key["crv"], &key["use"], &key["alg"]),
            (&json!("EC"), &json!("P-256"), &json!("sig"), &json!("ES256"))
        );
        assert_eq!(key.as_object().unwrap().len(), 7, "and nothing private: {key}");
    }

    /// Source of the key pair: RFC 8032 section 7.1, test 1, with one bit of the seed changed for the second key above.
    #[test]
    fn an_ed25519_key_is_published_by_the_book() {
        let key = published(Alg::EdDsa, NOW).remove(0);
        assert_eq!((&key["kty"], &key["crv"], &key["alg"]), (&json!("OKP"), &json!("Ed25519"), &json!("EdDSA")));
        assert_eq!(key.as_object().unwrap().len(), 6, "and nothing private: {key}");
    }

    #[test]
    fn keys_are_published_before_they_sign_and_until_they_are_dead() {
        for (now, count) in [(0, 2), (100, 2), (100 + 600 + 59, 2), (100 + 600 + 60, 1), (20_000, 0)] {
            assert_eq!(published(Alg::Es256, NOW.plus(now)).len(), count, "{now}");
        }
    }

    #[test]
    fn what_is_signed_names_its_key_and_type() {
        for alg in [Alg::Es256, Alg::EdDsa] {
            let ring = ring(alg);
            let signers = Signers::new(&ring).unwrap();
            let signing = signers.signing(&ring, NOW).unwrap();
            assert_eq!(signing.max_ttl_s, 600);
            let token = signing.sign(ACCESS_TOKEN_TYPE, &json!({ "sub": "alice" })).unwrap();
            let header = jsonwebtoken::decode_header(&token).unwrap();
            let kid = ring.sealing_key(KeyUse::Jwt, NOW).unwrap().key().kid().to_string();
            assert_eq!((header.typ.as_deref(), header.kid), (Some("at+jwt"), Some(kid)));
        }
        let ring = ring(Alg::Es256);
        let none = Signers::new(&ring).unwrap().signing(&ring, NOW.minus(1)).map(|signing| signing.max_ttl_s);
        assert_eq!(none, Err(JwtError::NoSigningKey));
    }
}
