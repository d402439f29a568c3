//! What a ticket shows, with and without keys, as plain data. Prints nothing.

use super::{OpenError, Policy, Ticket, UnverifiedTicket};
use crate::clock::UnixSeconds;
use crate::keyring::{AppTag, KeyId, KeyRing, Purpose};

/// What anybody can read off a ticket. None of it is proven.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Outside {
    /// Format version.
    pub version: u8,
    /// The key that it names.
    pub kid: KeyId,
    /// The tag of the app that it names.
    pub app_tag: AppTag,
    /// Length of the text.
    pub characters: usize,
    /// Length of the bytes.
    pub bytes: usize,
}

/// What a ticket holds, for those who have its key. Authentic and well-formed, but perhaps expired or cut off.
#[derive(Debug)]
#[non_exhaustive]
pub struct Inside {
    /// Whether it is a ticket or something else of its format.
    pub purpose: Purpose,
    /// What it carries.
    pub ticket: Ticket,
    /// Whether the seal of the `session_key` comes off, if there is one. The key itself is not kept.
    pub session_key: Result<(), OpenError>,
    /// What would be said to who presents it now.
    pub verdict: Result<(), OpenError>,
}

/// Reads what stands outside the seal.
///
/// # Errors
/// [`OpenError::NotATicket`] or [`OpenError::UnknownVersion`].
pub fn outside(text: &str) -> Result<Outside, OpenError> {
    let claimed = UnverifiedTicket::parse(text.as_bytes())?;
    Ok(Outside {
        version: claimed.unverified_version(),
        kid: claimed.unverified_kid(),
        app_tag: claimed.unverified_app_tag(),
        characters: text.len(),
        bytes: claimed.len_bytes(),
    })
}

/// Opens `text`, whichever of the known purposes it has, and whether or not it is still alive.
///
/// # Errors
/// [`OpenError`]: not authentic, not of the right form, or its key opens nothing any more.
pub fn inside(text: &str, ring: &KeyRing, now: UnixSeconds, policy: &Policy) -> Result<Inside, OpenError> {
    for purpose in Purpose::ALL {
        match UnverifiedTicket::parse(text.as_bytes())?.unseal(ring, purpose, now, policy, |_| Ok(())) {
            Ok(ticket) => {
                let verdict = UnverifiedTicket::parse(text.as_bytes())?.open(ring, purpose, now, policy).map(drop);
                let session_key = ticket.session_key(ring, now).map(drop);
                return Ok(Inside { purpose, ticket, session_key, verdict });
            }
            Err(OpenError::Unauthentic) => {}
            Err(error) => return Err(error),
        }
    }
    Err(OpenError::Unauthentic)
}
