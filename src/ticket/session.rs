//! What a login established.

use crate::claims::{OwnerClaims, PhoneNumber, PlatformId, SessionKey};
use crate::clock::UnixSeconds;
use crate::keyring::{AppId, Cutoffs, KeyRing, LoginId};

/// What one ticket after another carries from a login to the session's end.
///
/// [`Session::new`] has what every login has; the fields of the others can be set.
#[derive(Debug)]
#[non_exhaustive]
pub struct Session {
    /// Who it is, for this app.
    pub openid: PlatformId,
    /// Who it is, for all apps of one owner.
    pub unionid: Option<PlatformId>,
    /// The platform's session key; absent where the platform has none, and in what an opened ticket shows: see
    /// [`Ticket::session_key`](super::Ticket::session_key).
    pub session_key: Option<SessionKey>,
    /// A phone number that the platform has vouched for.
    pub phone: Option<PhoneNumber>,
    /// The owner's own claims.
    pub owner_claims: Option<OwnerClaims>,
    /// Which login it is.
    pub login_id: LoginId,
    /// When that login was.
    pub auth_time: UnixSeconds,
}

impl Session {
    /// A login of `openid`, with nothing that need not be there.
    #[must_use]
    pub const fn new(openid: PlatformId, login_id: LoginId, auth_time: UnixSeconds) -> Self {
        Self { openid, unionid: None, session_key: None, phone: None, owner_claims: None, login_id, auth_time }
    }

    /// Whether a cut-off of `ring` refuses it.
    #[must_use]
    pub fn is_cut_off(&self, ring: &KeyRing, app: &AppId) -> bool {
        self.is_among(ring.cutoffs(), app)
    }

    pub(super) fn is_among(&self, cutoffs: &Cutoffs, app: &AppId) -> bool {
        !cutoffs.is_empty() && cutoffs.cuts_off(app, self.openid.as_str(), self.login_id, self.auth_time)
    }
}
