//! Tokens that the server would never make, some of them with its own keys.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use crate::support::Keys;

/// A private key, and what the world knows of it.
#[derive(Debug)]
pub(super) struct Signer {
    pub(super) jwk: Value,
    algorithm: Algorithm,
    private: EncodingKey,
}

impl Signer {
    /// The server's own key `kid`, read from its directory.
    pub(super) fn of_server(keys: &Keys, kid: &str, jwks: &Value) -> Self {
        let text = std::fs::read_to_string(keys.file(&format!("jwt-{kid}.key"))).unwrap();
        let key: Value = serde_json::from_str(&text).unwrap();
        let secret = hex::decode(key["secret"].as_str().unwrap()).unwrap();
        let jwk = jwks["keys"].as_array().unwrap().iter().find(|jwk| jwk["kid"] == kid).unwrap();
        Self { jwk: jwk.clone(), ..Self::from_secret(key["alg"].as_str().unwrap(), &secret) }
    }

    /// A key that the server has never seen; nothing is random about it.
    pub(super) fn of_attacker(alg: &str) -> Self {
        Self::from_secret(alg, &[7; 32])
    }

    fn from_secret(alg: &str, secret: &[u8]) -> Self {
        // PKCS#8 around a scalar (RFC 5915) and around a seed (RFC 8410).
        const ES256: &str = "3041020100301306072a8648ce3d020106082a8648ce3d030107042730250201010420";
        const EDDSA: &str = "302e020100300506032b657004220420";
        let der = |prefix: &str| [hex::decode(prefix).unwrap(), secret.to_vec()].concat();
        let (algorithm, private) = match alg {
            "ES256" => (Algorithm::ES256, EncodingKey::from_ec_der(&der(ES256))),
            _ => (Algorithm::EdDSA, EncodingKey::from_ed_der(&der(EDDSA))),
        };
        let jwk = jsonwebtoken::jwk::Jwk::from_encoding_key(&private, algorithm).unwrap();
        Self { jwk: serde_json::to_value(jwk).unwrap(), algorithm, private }
    }

    pub(super) fn alg(&self) -> &'static str {
        if self.algorithm == Algorithm::ES256 { "ES256" } else { "EdDSA" }
    }

    /// As the server makes it, with `kid` and `typ`.
    pub(super) fn header(&self) -> Value {
        json!({ "typ": "at+jwt", "alg": self.alg(), "kid": self.jwk["kid"] })
    }

    /// Signs these very texts.
    pub(super) fn sign(&self, header: &str, claims: &str) -> String {
        signed_with(header, claims, &self.private, self.algorithm)
    }

    /// The public key as bytes, as DER and as PEM: what a confused library might take for a shared secret.
    pub(super) fn as_shared_secrets(&self) -> [(&'static str, Vec<u8>); 4] {
        let part = |name: &str| URL_SAFE_NO_PAD.decode(self.jwk[name].as_str().unwrap_or_default()).unwrap();
        let (prefix, raw) = match self.algorithm {
            Algorithm::ES256 => {
                ("3059301306072a8648ce3d020106082a8648ce3d030107034200", [vec![4], part("x"), part("y")].concat())
            }
            _ => ("302a300506032b6570032100", part("x")),
        };
        let der = [hex::decode(prefix).unwrap(), raw.clone()].concat();
        let base64 = STANDARD.encode(&der);
        let lines: Vec<&str> = base64.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"));
        [("raw", raw), ("DER", der), ("PEM", pem.into_bytes()), ("JWK", self.jwk.to_string().into_bytes())]
    }
}

pub(super) fn encode(text: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

pub(super) fn signed_with(header: &str, claims: &str, key: &EncodingKey, algorithm: Algorithm) -> String {
    let message = format!("{}.{}", encode(header), encode(claims));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), key, algorithm).unwrap();
    format!("{message}.{signature}")
}

/// The signature of an ES256 token as ASN.1, as most libraries hold it in their hands.
pub(super) fn with_der_signature(token: &str) -> String {
    let (message, signature) = token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let mut integers = Vec::new();
    for integer in signature.chunks(32) {
        let mut bytes: Vec<u8> = integer.iter().copied().skip_while(|byte| *byte == 0).collect();
        if bytes.first().is_none_or(|byte| *byte > 127) {
            bytes.insert(0, 0);
        }
        integers.extend([&[2, u8::try_from(bytes.len()).unwrap()], &*bytes].concat());
    }
    let der = [&[0x30, u8::try_from(integers.len()).unwrap()], &*integers].concat();
    format!("{message}.{}", encode(der))
}
