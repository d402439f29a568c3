//! The text of a verifier file <-> its fields. Knows no files.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::clock::UnixSeconds;
use crate::keyring::cutoffs::CutoffsError;
use crate::keyring::{
    Alg, AppId, FieldError, Fingerprint, KeyError, KeyId, KeyName, KeyRing, KeySpec, KeyState, KeyUse, Purpose, fields,
};
use crate::secret::{KeyBytes, KeyBytesError, Zeroizing};

/// Why the content of a verifier file is not taken. Never holds any of its subkeys.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifierError {
    /// Not UTF-8.
    #[error("not UTF-8 text")]
    NotText,
    /// Not one JSON object of this shape, or a field stands in it twice.
    #[error("not a verifier file: no JSON object with each field once (line {line}, column {column})")]
    Shape {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// A version that this program does not know.
    #[error("version {0} is unknown to this program")]
    Version(u64),
    /// Another kind of file, such as one of the keys themselves.
    #[error("`use` is not `verify`: this is no verifier file")]
    OtherUse,
    /// A field is missing, or is not what it has to be.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// A key's subkey is none.
    #[error("key {0}: {1}")]
    Subkey(KeyId, KeyBytesError),
    /// A key's dates do not go together.
    #[error("key {0}: {1}")]
    Key(KeyId, KeyError),
    /// A key stands in it twice, or two keys have the same subkey.
    #[error("key {0} stands in it twice")]
    SameKey(KeyId),
    /// The list of cut-offs is not right.
    #[error(transparent)]
    Cutoffs(#[from] CutoffsError),
    /// A file of another app has taken the place of the one in use.
    #[error("it is of the app {found}, not of {held}")]
    OtherApp {
        /// Whose file is in use.
        held: AppId,
        /// Whose file it is.
        found: AppId,
    },
    /// It was made before the one in use.
    #[error("it was made at {found}, before the one in use ({held})")]
    Older {
        /// When the one in use was made.
        held: UnixSeconds,
        /// When it was made.
        found: UnixSeconds,
    },
}

/// The fields of a verifier file, each checked.
pub(super) struct VerifierText {
    pub(super) app: AppId,
    pub(super) platform: Box<str>,
    pub(super) max_session_s: u64,
    pub(super) made: UnixSeconds,
    pub(super) fingerprint: Fingerprint,
    pub(super) revoked: Vec<KeyId>,
    pub(super) keys: Vec<VerifierTextKey>,
}

pub(super) struct VerifierTextKey {
    pub(super) kid: KeyId,
    pub(super) spec: KeySpec,
    /// A revoked key has none.
    pub(super) subkey: Option<KeyBytes>,
}

/// Each field as it stands, so that an error can name the field without quoting it.
#[derive(Deserialize)]
struct RawVerifier<'a> {
    #[serde(borrow)]
    v: Option<&'a RawValue>,
    #[serde(borrow, rename = "use")]
    key_use: Option<&'a RawValue>,
    #[serde(borrow)]
    appid: Option<&'a RawValue>,
    #[serde(borrow)]
    platform: Option<&'a RawValue>,
    #[serde(borrow)]
    max_session_s: Option<&'a RawValue>,
    #[serde(borrow)]
    made: Option<&'a RawValue>,
    #[serde(borrow)]
    fingerprint: Option<&'a RawValue>,
    revoked: Option<Vec<String>>,
    #[serde(borrow)]
    keys: Option<Vec<RawVerifierKey<'a>>>,
}

#[derive(Deserialize)]
struct RawVerifierKey<'a> {
    #[serde(borrow)]
    kid: Option<&'a RawValue>,
    #[serde(borrow)]
    created: Option<&'a RawValue>,
    #[serde(borrow)]
    seal_from: Option<&'a RawValue>,
    #[serde(borrow)]
    seal_until: Option<&'a RawValue>,
    #[serde(borrow)]
    max_ttl_s: Option<&'a RawValue>,
    #[serde(borrow)]
    subkey: Option<&'a RawValue>,
}

/// Parses everything but the cut-offs.
pub(super) fn parse(text: &[u8]) -> Result<VerifierText, VerifierError> {
    let text = str::from_utf8(text).map_err(|_| VerifierError::NotText)?;
    let raw: RawVerifier<'_> = serde_json::from_str(text)
        .map_err(|error| VerifierError::Shape { line: error.line(), column: error.column() })?;
    match fields::number("v", raw.v)? {
        1 => {}
        other => return Err(VerifierError::Version(other)),
    }
    if *fields::text("use", raw.key_use)? != "verify" {
        return Err(VerifierError::OtherUse);
    }
    let platform = fields::text("platform", raw.platform)?;
    if platform.is_empty() || platform.len() > 32 || !platform.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(FieldError::Other("platform", "1 to 32 visible ASCII characters").into());
    }
    let mut fingerprint = [0; 8];
    hex::decode_to_slice(fields::text("fingerprint", raw.fingerprint)?.as_bytes(), &mut fingerprint)
        .map_err(|_| FieldError::Other("fingerprint", "16 hex digits"))?;
    let revoked: Result<Vec<KeyId>, _> =
        raw.revoked.ok_or(FieldError::Missing("revoked"))?.iter().map(|kid| KeyId::parse(kid)).collect();
    let revoked = revoked.map_err(|_| FieldError::Other("revoked", "a list of kids"))?;
    let keys = raw.keys.ok_or(FieldError::Missing("keys"))?;
    Ok(VerifierText {
        app: AppId::parse(&fields::text("appid", raw.appid)?)
            .map_err(|_| FieldError::Other("appid", "1 to 128 visible ASCII characters"))?,
        platform: platform.as_str().into(),
        max_session_s: match fields::number("max_session_s", raw.max_session_s)? {
            0 => return Err(FieldError::Other("max_session_s", "above 0").into()),
            max_session_s => max_session_s,
        },
        made: fields::time("made", raw.made)?,
        fingerprint: Fingerprint(fingerprint),
        keys: keys.into_iter().map(|key| key.parse(&revoked)).collect::<Result<_, _>>()?,
        revoked,
    })
}

impl RawVerifierKey<'_> {
    fn parse(self, revoked: &[KeyId]) -> Result<VerifierTextKey, VerifierError> {
        let kid = fields::kid("kid", self.kid)?;
        let spec = KeySpec {
            key_use: KeyUse::Ticket,
            alg: Alg::Xaes256Gcm,
            created: fields::time("created", self.created)?,
            seal_from: fields::time("seal_from", self.seal_from)?,
            seal_until: fields::time("seal_until", self.seal_until)?,
            max_ttl_s: fields::number("max_ttl_s", self.max_ttl_s)?,
        };
        spec.check().map_err(|error| VerifierError::Key(kid, error))?;
        let subkey = match self.subkey {
            _ if revoked.contains(&kid) => None,
            raw => {
                let subkey = KeyBytes::parse_hex(&fields::text("subkey", raw)?);
                Some(subkey.map_err(|error| VerifierError::Subkey(kid, error))?)
            }
        };
        Ok(VerifierTextKey { kid, spec, subkey })
    }
}

/// The text of the verifier file of `app`, ended by a line feed; `None` where `ring` has no such app. Apart from `made`, it
/// is the same for the same ring until a key dies.
///
/// # Panics
/// Never: texts are always JSON.
// Hidden: verifier files are written by `auth-ticket keys export`, and by tests that play its part.
#[doc(hidden)]
#[must_use]
pub fn encode(
    ring: &KeyRing,
    app: &AppId,
    platform: &str,
    max_session_s: u64,
    made: UnixSeconds,
) -> Option<Zeroizing<String>> {
    const JSON: &str = "texts are always JSON";
    if !ring.apps().contains(app) {
        return None;
    }
    let quoted = |text: &str| serde_json::to_string(text).expect(JSON);
    let is_of_tickets = |name: &&KeyName| name.key_use == KeyUse::Ticket;
    let revoked: Vec<String> = ring.revoked().iter().filter(is_of_tickets).map(|name| name.kid.to_string()).collect();
    let cutoffs = serde_json::to_string(&ring.cutoffs().concerning(app)).expect(JSON);
    let head = format!(
        "{{\"v\":1,\"use\":\"verify\",\"appid\":{},\"platform\":{},\"max_session_s\":{max_session_s},\n \
         \"made\":\"{made}\",\"fingerprint\":\"{}\",\n \"revoked\":{},\n \"cutoffs\":{cutoffs},\n \"keys\":[",
        quoted(app.as_str()),
        quoted(platform),
        ring.fingerprint(),
        serde_json::to_string(&revoked).expect(JSON),
    );
    let keys = || ring.keys_of(KeyUse::Ticket).filter(|ring_key| ring_key.state(made) != KeyState::Dead);
    // All at once: a text that grows leaves copies of the subkeys behind.
    let mut text = Zeroizing::new(String::with_capacity(head.len() + keys().count() * 320 + 8));
    text.push_str(&head);
    for (index, ring_key) in keys().enumerate() {
        let (key, spec) = (ring_key.key(), ring_key.key().spec());
        text.push_str(if index == 0 { "\n" } else { ",\n" });
        let times = format!(
            "  {{\"kid\":\"{}\",\"created\":\"{}\",\"seal_from\":\"{}\",\"seal_until\":\"{}\",\"max_ttl_s\":{}",
            key.kid(),
            spec.created,
            spec.seal_from,
            spec.seal_until,
            spec.max_ttl_s,
        );
        text.push_str(&times);
        if !ring_key.is_revoked() {
            text.push_str(",\"subkey\":\"");
            text.push_str(&key.subkey(app, Purpose::Ticket).expose_hex());
            text.push('"');
        }
        text.push('}');
    }
    text.push_str("]}\n");
    Some(text)
}
