//! What a ticket shows, with and without keys, as plain data. Prints nothing.

use super::{OpenError, Policy, Session, UnverifiedTicket};
use crate::clock::UnixSeconds;
use crate::keyring::{AppId, AppTag, KeyId, KeyRing, Purpose};

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

/// What a ticket holds, for those who have its key.
#[derive(Debug)]
#[non_exhaustive]
pub struct Inside {
    /// The app that it was sealed for.
    pub app: AppId,
    /// Whether it is a ticket or something else of its format.
    pub purpose: Purpose,
    /// When it was sealed.
    pub issued_at: UnixSeconds,
    /// Its end, leeway not counted.
    pub expires_at: UnixSeconds,
    /// What it carries. The `session_key` in it cannot be printed.
    pub session: Session,
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

/// Opens `text`, whichever of the known purposes it has.
///
/// # Errors
/// The [`OpenError`] of opening it as a ticket, when no purpose opens it.
pub fn inside(text: &str, ring: &KeyRing, now: UnixSeconds, policy: &Policy) -> Result<Inside, OpenError> {
    let mut first_error = None;
    for purpose in Purpose::ALL {
        match UnverifiedTicket::parse(text.as_bytes())?.open(ring, purpose, now, policy) {
            Ok(ticket) => {
                return Ok(Inside {
                    app: ticket.app().clone(),
                    purpose,
                    issued_at: ticket.issued_at(),
                    expires_at: ticket.expires_at(),
                    session: ticket.claims.session,
                });
            }
            Err(OpenError::Unauthentic) => first_error = first_error.or(Some(OpenError::Unauthentic)),
            Err(error) => return Err(error),
        }
    }
    Err(first_error.unwrap_or(OpenError::Unauthentic))
}
