//! Who a code belonged to.

use crate::claims::{PlatformId, SessionKey};

/// Who a code belonged to, checked: what is in here may be sealed.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "each value is checked where it is made")]
pub struct Identity {
    /// The user's name within one app.
    pub openid: PlatformId,
    /// The user's name across the apps of one owner, where the platform has one.
    pub unionid: Option<PlatformId>,
    /// The key under which the platform encrypts this user's data, where the platform has one.
    pub session_key: Option<SessionKey>,
}

/// Why a platform's answer is no [`Identity`]. Never holds any of the answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The openid is empty, too long, or not visible ASCII.
    #[error("the openid is not 1 to {max} visible ASCII characters", max = PlatformId::MAX_LEN)]
    Openid,
    /// The unionid is too long, or not visible ASCII.
    #[error("the unionid is not 1 to {max} visible ASCII characters", max = PlatformId::MAX_LEN)]
    Unionid,
    /// The `session_key` is too long, or not visible ASCII.
    #[error("the session_key is not 1 to {max} visible ASCII characters", max = SessionKey::MAX_LEN)]
    SessionKey,
}

impl Identity {
    /// Checks what a platform answered. An empty unionid or `session_key` counts as absent.
    ///
    /// # Errors
    /// A text is too long, or holds something other than 0x21 to 0x7e; or the openid is empty.
    pub fn parse(openid: &str, unionid: Option<&str>, session_key: Option<&str>) -> Result<Self, IdentityError> {
        let unionid = unionid.filter(|unionid| !unionid.is_empty());
        let session_key = session_key.filter(|session_key| !session_key.is_empty());
        Ok(Self {
            openid: PlatformId::parse(openid).map_err(|_| IdentityError::Openid)?,
            unionid: unionid.map(PlatformId::parse).transpose().map_err(|_| IdentityError::Unionid)?,
            session_key: session_key.map(parse_session_key).transpose()?,
        })
    }
}

/// A `session_key` as platforms give them.
///
/// # Errors
/// [`IdentityError::SessionKey`].
pub(super) fn parse_session_key(text: &str) -> Result<SessionKey, IdentityError> {
    SessionKey::parse(text).map_err(|_| IdentityError::SessionKey)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_nothing_of_an_identity() {
        let identity = Identity::parse("canary", Some("canary"), Some("canary")).unwrap();
        assert!(!format!("{identity:?}").contains("canary"));
    }

    #[test]
    fn an_identity_is_checked_before_it_exists() {
        let parse =
            |openid: &str, unionid: &str, session_key: &str| Identity::parse(openid, Some(unionid), Some(session_key));
        for (openid, unionid, session_key) in
            [("o", "u", "k"), (&*"o".repeat(128), &*"u".repeat(128), &*"k".repeat(256))]
        {
            let identity = parse(openid, unionid, session_key).unwrap();
            assert_eq!(identity.openid.as_str(), openid);
            assert_eq!(identity.unionid.unwrap().as_str(), unionid);
            assert_eq!(identity.session_key.unwrap().to_text().expose(), session_key);
        }
        for (openid, unionid, session_key, error) in [
            ("", "u", "k", IdentityError::Openid),
            (&*"o".repeat(129), "u", "k", IdentityError::Openid),
            ("o p", "u", "k", IdentityError::Openid),
            ("ö", "u", "k", IdentityError::Openid),
            ("o", &*"u".repeat(129), "k", IdentityError::Unionid),
            ("o", "u\t", "k", IdentityError::Unionid),
            ("o", "u", &*"k".repeat(257), IdentityError::SessionKey),
            ("o", "u", "k k", IdentityError::SessionKey),
        ] {
            assert_eq!(parse(openid, unionid, session_key).unwrap_err(), error, "{openid} {unionid} {session_key}");
        }
    }

    #[test]
    fn an_empty_unionid_or_session_key_counts_as_absent() {
        let identity = Identity::parse("o", Some(""), Some("")).unwrap();
        assert!(identity.unionid.is_none() && identity.session_key.is_none());
    }
}
