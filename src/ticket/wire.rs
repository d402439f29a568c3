//! The claims: bytes <-> fields, total, cannot panic. No cryptography.
//!
//! One definite-length CBOR map (RFC 8949) with ascending integer keys in their shortest form and nothing after it.
//! Whatever [`decode`] accepts of known claims, [`encode`] writes back byte for byte.

use minicbor::Encoder;
use minicbor::data::Type;
use minicbor::decode::{Decoder, Error as CborError};
use minicbor::encode as cbor;
use minicbor::encode::write::Cursor;

use super::claims::SessionKeyWire;
use super::{LoginId, OwnerClaims, PhoneNumber, PlatformId, Session, SessionKey};
use crate::clock::UnixSeconds;

/// Claims up to here must be known to be accepted; those above may be skipped.
const LAST_CRITICAL: u64 = 63;
/// How deep arrays and maps may nest inside a skipped claim.
const MAX_NESTING: u8 = 4;

/// Why bytes are no claims.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Malformed(pub(super) &'static str);

impl From<CborError> for Malformed {
    fn from(_: CborError) -> Self {
        Self("not the CBOR that was expected")
    }
}

impl From<super::ClaimError> for Malformed {
    fn from(error: super::ClaimError) -> Self {
        Self(error.0)
    }
}

/// What a ticket holds.
#[derive(Debug)]
pub(super) struct Claims {
    pub(super) session: Session,
    pub(super) issued_at: UnixSeconds,
    pub(super) lifetime_s: u64,
}

/// Writes the claims to the front of `out` and returns how many bytes they are.
pub(super) fn encode(session: &Session, issued_at: UnixSeconds, lifetime_s: u64, out: &mut [u8]) -> usize {
    let mut encoder = Encoder::new(Cursor::new(out));
    write(&mut encoder, session, issued_at, lifetime_s)
        .expect("the largest claims are about 700 bytes, less than a ticket holds");
    encoder.into_writer().position()
}

fn write<W: cbor::Write>(
    out: &mut Encoder<W>,
    session: &Session,
    issued_at: UnixSeconds,
    lifetime_s: u64,
) -> Result<(), cbor::Error<W::Error>> {
    let optional = [
        session.session_key.is_some(),
        session.unionid.is_some(),
        session.phone.is_some(),
        session.owner_claims.is_some(),
    ];
    let entries = 5 + optional.into_iter().filter(|present| *present).count() as u64;
    out.map(entries)?;
    write_id(out.u8(2)?, &session.openid)?;
    out.u8(6)?.u64(issued_at.as_u64())?;
    out.u8(7)?.bytes(&session.login_id.0)?;
    out.u8(8)?.u64(lifetime_s)?;
    out.u8(9)?.u64(issued_at.since(session.auth_time))?;
    if let Some(session_key) = &session.session_key {
        out.u8(10)?;
        match session_key.wire() {
            SessionKeyWire::Packed(bytes) => out.bytes(bytes)?,
            SessionKeyWire::Text(text) => out.str(text)?,
        };
    }
    if let Some(unionid) = &session.unionid {
        write_id(out.u8(11)?, unionid)?;
    }
    if let Some(phone) = &session.phone {
        out.u8(12)?.str(phone.as_str())?;
    }
    if let Some(owner_claims) = &session.owner_claims {
        out.u8(13)?.bytes(owner_claims.as_bytes())?;
    }
    Ok(())
}

fn write_id<W: cbor::Write>(out: &mut Encoder<W>, id: &PlatformId) -> Result<(), cbor::Error<W::Error>> {
    match id.pack() {
        Some(packed) => out.bytes(&packed)?,
        None => out.str(id.as_str())?,
    };
    Ok(())
}

/// Reads claims that fill `bytes` exactly; `max_ttl_s` is the longest life that their key allows.
pub(super) fn decode(bytes: &[u8], max_ttl_s: u64) -> Result<Claims, Malformed> {
    let mut reader = Reader(Decoder::new(bytes));
    let (mut openid, mut unionid, mut session_key, mut phone, mut owner_claims) = (None, None, None, None, None);
    let (mut issued_at, mut login_id, mut lifetime_s, mut auth_age_s) = (None, None, None, None);
    let mut previous = None;
    for _ in 0..reader.map()? {
        let claim = reader.uint()?;
        if previous.is_some_and(|previous| claim <= previous) {
            return Err(Malformed("the claims are not in ascending order"));
        }
        previous = Some(claim);
        match claim {
            2 => openid = Some(reader.id()?),
            6 => issued_at = Some(reader.uint()?),
            7 => login_id = Some(LoginId(reader.bytes_of("the login id is not 8 bytes long")?)),
            8 => lifetime_s = Some(reader.uint()?),
            9 => auth_age_s = Some(reader.uint()?),
            10 => session_key = Some(reader.session_key()?),
            11 => unionid = Some(reader.id()?),
            12 => phone = Some(PhoneNumber::parse(reader.text()?)?),
            13 => owner_claims = Some(OwnerClaims::new(reader.bytes()?)?),
            0..=LAST_CRITICAL => return Err(Malformed("an unknown claim that must be known")),
            _ => reader.skip(0)?,
        }
    }
    if reader.0.position() != bytes.len() {
        return Err(Malformed("something follows the claims"));
    }
    let missing = Malformed("a required claim is missing");
    let issued_at = UnixSeconds::new(issued_at.ok_or(missing)?);
    let auth_age_s = auth_age_s.ok_or(missing)?;
    if auth_age_s > issued_at.as_u64() {
        return Err(Malformed("the login would be before 1970"));
    }
    let lifetime_s = lifetime_s.ok_or(missing)?;
    if lifetime_s == 0 || lifetime_s > max_ttl_s {
        return Err(Malformed("the lifetime is 0 or longer than the key allows"));
    }
    let session = Session {
        openid: openid.ok_or(missing)?,
        unionid,
        session_key,
        phone,
        owner_claims,
        login_id: login_id.ok_or(missing)?,
        auth_time: issued_at.minus(auth_age_s),
    };
    Ok(Claims { session, issued_at, lifetime_s })
}

/// A decoder that takes no second spelling: definite lengths and shortest heads only.
struct Reader<'a>(Decoder<'a>);

impl<'a> Reader<'a> {
    fn uint(&mut self) -> Result<u64, Malformed> {
        let start = self.0.position();
        let value = self.0.u64()?;
        self.shortest(start, value)?;
        Ok(value)
    }

    fn map(&mut self) -> Result<u64, Malformed> {
        let start = self.0.position();
        let entries = self.0.map()?.ok_or(Malformed("a map of indefinite length"))?;
        self.shortest(start, entries)?;
        Ok(entries)
    }

    fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let start = self.0.position();
        let bytes = self.0.bytes()?;
        self.shortest(start + bytes.len(), bytes.len() as u64)?;
        Ok(bytes)
    }

    fn text(&mut self) -> Result<&'a str, Malformed> {
        let start = self.0.position();
        let text = self.0.str()?;
        self.shortest(start + text.len(), text.len() as u64)?;
        Ok(text)
    }

    fn bytes_of<const N: usize>(&mut self, otherwise: &'static str) -> Result<[u8; N], Malformed> {
        self.bytes()?.try_into().map_err(|_| Malformed(otherwise))
    }

    fn id(&mut self) -> Result<PlatformId, Malformed> {
        if self.0.datatype()? == Type::Bytes {
            let packed: [u8; PlatformId::PACKED_LEN] = self.bytes_of("a packed id is not 21 bytes long")?;
            return Ok(PlatformId::unpack(packed));
        }
        let id = PlatformId::parse(self.text()?)?;
        if id.pack().is_some() {
            return Err(Malformed("an id that has to be packed is not"));
        }
        Ok(id)
    }

    fn session_key(&mut self) -> Result<SessionKey, Malformed> {
        if self.0.datatype()? == Type::Bytes {
            let bytes: [u8; SessionKey::PACKED_LEN] = self.bytes_of("a packed session_key is not 16 bytes long")?;
            return Ok(SessionKey::unpack(bytes));
        }
        let session_key = SessionKey::parse(self.text()?)?;
        if session_key.is_usual() {
            return Err(Malformed("a session_key that has to be packed is not"));
        }
        Ok(session_key)
    }

    /// Passes one value of an unknown claim: definite lengths, no tags, arrays and maps at most [`MAX_NESTING`] deep.
    fn skip(&mut self, depth: u8) -> Result<(), Malformed> {
        let start = self.0.position();
        let items = match self.0.datatype()? {
            Type::Array => {
                let items = self.0.array()?.ok_or(Malformed("an array of indefinite length"))?;
                self.shortest(start, items)?;
                items
            }
            Type::Map => self.map()?.checked_mul(2).ok_or(Malformed("a map that cannot be"))?,
            Type::Bytes => return self.bytes().map(drop),
            Type::String => return self.text().map(drop),
            Type::U8 | Type::U16 | Type::U32 | Type::U64 => return self.uint().map(drop),
            Type::Tag | Type::Break | Type::BytesIndef | Type::StringIndef | Type::ArrayIndef | Type::MapIndef => {
                return Err(Malformed("a tag or an indefinite length"));
            }
            _ => return Ok(self.0.skip()?),
        };
        if depth == MAX_NESTING {
            return Err(Malformed("nested too deeply"));
        }
        for _ in 0..items {
            self.skip(depth + 1)?;
        }
        Ok(())
    }

    /// The head that was read from `start` to here is the shortest that can say `value`.
    fn shortest(&self, start: usize, value: u64) -> Result<(), Malformed> {
        let shortest = match value {
            0..=23 => 1,
            24..=0xff => 2,
            0x100..=0xffff => 3,
            0x1_0000..=0xffff_ffff => 5,
            _ => 9,
        };
        if self.0.position() - start == shortest {
            Ok(())
        } else {
            Err(Malformed("a number is not in its shortest form"))
        }
    }
}
