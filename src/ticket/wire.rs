//! The claims: bytes <-> fields, total, cannot panic. No cryptography.
//!
//! One definite-length CBOR map (RFC 8949) with ascending integer keys in their shortest form and nothing after it.
//! Whatever [`decode`] accepts of known claims, [`encode`] writes back byte for byte.

use minicbor::Encoder;
use minicbor::encode as cbor;
use minicbor::encode::write::Cursor;

use super::inner::SealedSessionKey;
use super::session::Session;
use crate::claims::{ClaimError, OwnerClaims, PhoneNumber, PlatformId, WebOrigin};
use crate::clock::UnixSeconds;
use crate::keyring::{LoginId, Purpose};

/// The keys of the map; `docs/TICKET.md` section 4.
const OPENID: u8 = 2;
const ISSUED_AT: u8 = 6;
const LOGIN_ID: u8 = 7;
const LIFETIME: u8 = 8;
const AUTH_AGE: u8 = 9;
const SESSION_KEY: u8 = 10;
const UNIONID: u8 = 11;
const PHONE: u8 = 12;
const OWNER_CLAIMS: u8 = 13;
const ORIGIN: u8 = 14;
const OTHER_SESSION_KEY: u8 = 15;
/// How many claims are required.
const REQUIRED: u64 = 5;
/// Claims up to here must be known to be accepted; those above may be skipped.
const LAST_CRITICAL: u8 = 63;
/// How deep arrays and maps may nest inside a skipped claim.
const MAX_NESTING: u8 = 4;

/// Major types (RFC 8949 section 3.1).
const UINT: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const SIMPLE_OR_FLOAT: u8 = 7;

const CUT_OFF: Malformed = Malformed("the claims are cut off");

/// Why bytes are no claims.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Malformed(pub(super) &'static str);

impl From<ClaimError> for Malformed {
    fn from(error: ClaimError) -> Self {
        Self(error.0)
    }
}

/// What a ticket holds.
#[derive(Debug)]
pub(super) struct Claims {
    /// Without its `session_key`, which is encrypted once more.
    pub(super) session: Session,
    pub(super) session_key: Option<SealedSessionKey>,
    pub(super) issued_at: UnixSeconds,
    pub(super) lifetime_s: u64,
    /// In a hand-over, and in nothing else.
    pub(super) origin: Option<WebOrigin>,
}

impl Claims {
    /// None yet: the place that [`decode`] fills. No constant, which would be copied to where this is written.
    pub(super) fn none() -> Self {
        Self {
            session: Session {
                openid: PlatformId::none(),
                unionid: None,
                session_key: None,
                phone: None,
                owner_claims: None,
                login_id: LoginId([0; 8]),
                auth_time: UnixSeconds::new(0),
            },
            session_key: None,
            issued_at: UnixSeconds::new(0),
            lifetime_s: 0,
            origin: None,
        }
    }
}

/// Writes the claims to the front of `out` and returns how many bytes they are. The `session_key` of `session` is written
/// as it is encrypted in `session_key`.
pub(super) fn encode(
    session: &Session,
    session_key: Option<&SealedSessionKey>,
    origin: Option<&WebOrigin>,
    issued_at: UnixSeconds,
    lifetime_s: u64,
    out: &mut [u8],
) -> usize {
    let mut encoder = Encoder::new(Cursor::new(out));
    write(&mut encoder, session, session_key, origin, issued_at, lifetime_s)
        .expect("the largest claims are about 700 bytes, less than a ticket holds");
    encoder.into_writer().position()
}

fn write<W: cbor::Write>(
    out: &mut Encoder<W>,
    session: &Session,
    session_key: Option<&SealedSessionKey>,
    origin: Option<&WebOrigin>,
    issued_at: UnixSeconds,
    lifetime_s: u64,
) -> Result<(), cbor::Error<W::Error>> {
    let optional = [
        session_key.is_some(),
        session.unionid.is_some(),
        session.phone.is_some(),
        session.owner_claims.is_some(),
        origin.is_some(),
    ];
    let entries = REQUIRED + optional.into_iter().filter(|present| *present).count() as u64;
    out.map(entries)?;
    write_id(out.u8(OPENID)?, &session.openid)?;
    out.u8(ISSUED_AT)?.u64(issued_at.as_u64())?;
    out.u8(LOGIN_ID)?.bytes(&session.login_id.0)?;
    out.u8(LIFETIME)?.u64(lifetime_s)?;
    out.u8(AUTH_AGE)?.u64(issued_at.since(session.auth_time))?;
    if let Some(SealedSessionKey::Usual(block)) = session_key {
        out.u8(SESSION_KEY)?.bytes(block)?;
    }
    if let Some(unionid) = &session.unionid {
        write_id(out.u8(UNIONID)?, unionid)?;
    }
    if let Some(phone) = &session.phone {
        out.u8(PHONE)?.str(phone.as_str())?;
    }
    if let Some(owner_claims) = &session.owner_claims {
        out.u8(OWNER_CLAIMS)?.bytes(owner_claims.as_bytes())?;
    }
    if let Some(origin) = origin {
        out.u8(ORIGIN)?.str(origin.as_str())?;
    }
    if let Some(SealedSessionKey::Other(sealed)) = session_key {
        out.u8(OTHER_SESSION_KEY)?.bytes(sealed)?;
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

/// Reads claims of a thing of `purpose` that fill `bytes` exactly; `max_ttl_s` is the longest life that their key allows.
///
/// They are read into `claims`, which must be [`Claims::none`] and is worth nothing after an error: to move them costs as
/// much as to read them.
pub(super) fn decode(bytes: &[u8], purpose: Purpose, max_ttl_s: u64, claims: &mut Claims) -> Result<(), Malformed> {
    let Claims { session, session_key, issued_at, lifetime_s, origin } = claims;
    let mut reader = Reader(bytes);
    let entries = reader.number_of(MAP)?;
    // Keys ascend, and no lower ones are known than those of the required claims: they come first, in this order.
    reader.required(OPENID)?.id(&mut session.openid)?;
    *issued_at = UnixSeconds::new(reader.required(ISSUED_AT)?.uint()?);
    session.login_id = LoginId(*reader.required(LOGIN_ID)?.bytes_of("the login id is not 8 bytes long")?);
    *lifetime_s = reader.required(LIFETIME)?.uint()?;
    if *lifetime_s == 0 || *lifetime_s > max_ttl_s {
        return Err(Malformed("the lifetime is 0 or longer than the key allows"));
    }
    let auth_age_s = reader.required(AUTH_AGE)?.uint()?;
    if auth_age_s > issued_at.as_u64() {
        return Err(Malformed("the login would be before 1970"));
    }
    session.auth_time = issued_at.minus(auth_age_s);
    let mut previous = u64::from(AUTH_AGE);
    for _ in REQUIRED..entries {
        let claim = reader.uint()?;
        if claim <= previous {
            return Err(Malformed("the claims are not in ascending order"));
        }
        previous = claim;
        match u8::try_from(claim).unwrap_or(u8::MAX) {
            SESSION_KEY => {
                let block = reader.bytes_of("a session_key is not one block of 16 bytes")?;
                *session_key = Some(SealedSessionKey::Usual(*block));
            }
            UNIONID => reader.id(session.unionid.insert(PlatformId::none()))?,
            PHONE => session.phone = Some(PhoneNumber::parse(reader.text()?)?),
            OWNER_CLAIMS => session.owner_claims = Some(OwnerClaims::new(reader.bytes()?)?),
            ORIGIN if purpose == Purpose::Handover => *origin = Some(WebOrigin::parse(reader.text()?)?),
            OTHER_SESSION_KEY => {
                let sealed = reader.bytes()?;
                if session_key.is_some() || !SealedSessionKey::OTHER_LENS.contains(&sealed.len()) {
                    return Err(Malformed("two session_keys, or one that is not a text and a tag"));
                }
                *session_key = Some(SealedSessionKey::Other(sealed.into()));
            }
            0..=LAST_CRITICAL => return Err(Malformed("an unknown claim that must be known")),
            _ => reader.skip(0)?,
        }
    }
    if entries < REQUIRED || !reader.0.is_empty() {
        return Err(Malformed("something follows the claims"));
    }
    if purpose == Purpose::Handover && (origin.is_none() || session_key.is_some() || session.phone.is_some()) {
        return Err(Malformed("a hand-over without an origin, or with what does not belong to a page"));
    }
    Ok(())
}

/// Reads CBOR that has one spelling: definite lengths and shortest heads only. Holds what is not read yet.
struct Reader<'a>(&'a [u8]);

#[expect(clippy::inline_always, reason = "inlined, what is not read yet stays in registers: a tenth of an open")]
impl<'a> Reader<'a> {
    /// What the next item begins with: its major type and the number that belongs to it, a value or a length.
    #[inline(always)]
    fn head(&mut self) -> Result<(u8, u64), Malformed> {
        let [first] = *self.take_chunk()?;
        let number = match first & 0x1f {
            small @ 0..=23 => u64::from(small),
            24 => self.number::<1>(24)?,
            25 => self.number::<2>(0x100)?,
            26 => self.number::<4>(0x1_0000)?,
            27 => self.number::<8>(0x1_0000_0000)?,
            _ => return Err(Malformed("an indefinite length")),
        };
        Ok((first >> 5, number))
    }

    /// A number in `N` bytes. Below `least`, fewer would have done.
    #[inline(always)]
    fn number<const N: usize>(&mut self, least: u64) -> Result<u64, Malformed> {
        let number = self.take_chunk::<N>()?.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte));
        if number < least { Err(Malformed("a number is not in its shortest form")) } else { Ok(number) }
    }

    #[inline(always)]
    fn number_of(&mut self, major: u8) -> Result<u64, Malformed> {
        match self.head()? {
            (found, number) if found == major => Ok(number),
            _ => Err(Malformed("an item of another type than was expected")),
        }
    }

    #[inline(always)]
    fn take(&mut self, len: u64) -> Result<&'a [u8], Malformed> {
        let split = usize::try_from(len).ok().and_then(|len| self.0.split_at_checked(len));
        let (taken, rest) = split.ok_or(CUT_OFF)?;
        self.0 = rest;
        Ok(taken)
    }

    #[inline(always)]
    fn take_chunk<const N: usize>(&mut self) -> Result<&'a [u8; N], Malformed> {
        let (chunk, rest) = self.0.split_first_chunk().ok_or(CUT_OFF)?;
        self.0 = rest;
        Ok(chunk)
    }

    #[inline(always)]
    fn uint(&mut self) -> Result<u64, Malformed> {
        self.number_of(UINT)
    }

    #[inline(always)]
    fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let len = self.number_of(BYTES)?;
        self.take(len)
    }

    /// The reader behind the key `claim`, which has to come next.
    #[inline(always)]
    fn required(&mut self, claim: u8) -> Result<&mut Self, Malformed> {
        match self.uint()? {
            found if found == u64::from(claim) => Ok(self),
            found if found > u64::from(claim) => Err(Malformed("a required claim is missing")),
            _ => Err(Malformed("the claims are not in ascending order")),
        }
    }
}

impl<'a> Reader<'a> {
    fn text(&mut self) -> Result<&'a str, Malformed> {
        let len = self.number_of(TEXT)?;
        str::from_utf8(self.take(len)?).map_err(|_| Malformed("text that is no UTF-8"))
    }

    fn bytes_of<const N: usize>(&mut self, otherwise: &'static str) -> Result<&'a [u8; N], Malformed> {
        self.bytes()?.try_into().map_err(|_| Malformed(otherwise))
    }

    /// The major type of the next item, if there is one.
    fn next_major(&self) -> Option<u8> {
        self.0.first().map(|first| first >> 5)
    }

    fn id(&mut self, id: &mut PlatformId) -> Result<(), Malformed> {
        if self.next_major() == Some(BYTES) {
            id.unpack(self.bytes_of("a packed id is not 21 bytes long")?);
            return Ok(());
        }
        *id = PlatformId::parse(self.text()?)?;
        if id.pack().is_some() {
            return Err(Malformed("an id that has to be packed is not"));
        }
        Ok(())
    }

    /// Passes one value of an unknown claim: definite lengths, no tags, arrays and maps at most [`MAX_NESTING`] deep.
    fn skip(&mut self, depth: u8) -> Result<(), Malformed> {
        let items = match self.next_major().ok_or(CUT_OFF)? {
            UINT => return self.uint().map(drop),
            BYTES => return self.bytes().map(drop),
            TEXT => return self.text().map(drop),
            ARRAY => self.number_of(ARRAY)?,
            MAP => self.number_of(MAP)?.checked_mul(2).ok_or(Malformed("a map that cannot be"))?,
            NEGATIVE | SIMPLE_OR_FLOAT => return self.skip_by_its_head(),
            _ => return Err(Malformed("a tag")),
        };
        if depth == MAX_NESTING {
            return Err(Malformed("nested too deeply"));
        }
        for _ in 0..items {
            self.skip(depth + 1)?;
        }
        Ok(())
    }

    /// Passes a negative number, a simple value or a floating-point number, of which only the size matters.
    fn skip_by_its_head(&mut self) -> Result<(), Malformed> {
        let [first] = *self.take_chunk()?;
        match (first >> 5, first & 0x1f) {
            (_, 0..=23) => Ok(()),
            // RFC 8949 section 3.3: smaller ones have no second byte.
            (SIMPLE_OR_FLOAT, 24) if matches!(self.0, [0..=31, ..]) => Err(Malformed("no simple value")),
            (_, size @ 24..=27) => self.take(1 << (size - 24)).map(drop),
            _ => Err(Malformed("an indefinite length")),
        }
    }
}
