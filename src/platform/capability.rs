//! What a platform has beyond logins.

/// What a platform may have beyond logins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Capability {
    /// [`Platform::phone`](super::Platform::phone).
    PhoneByCode,
    /// [`Platform::decrypt`](super::Platform::decrypt), of data with a phone number.
    PhoneByData,
    /// [`Platform::vouches_for`](super::Platform::vouches_for): the platform says whether it made an encrypted phone number.
    OriginOfData,
    /// [`Platform::signed_phone`](super::Platform::signed_phone).
    PhoneBySignedData,
    /// [`Platform::decrypt`](super::Platform::decrypt), of data about the user.
    EncryptedUserData,
    /// [`Platform::has_signed`](super::Platform::has_signed).
    SignedUserData,
    /// [`Platform::check_session`](super::Platform::check_session).
    CheckSession,
    /// [`Platform::reset_session`](super::Platform::reset_session).
    ResetSession,
    /// [`Platform::sign`](super::Platform::sign).
    UserSignatures,
}

impl Capability {
    /// Its name in documents, in words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PhoneByCode => "phone by code",
            Self::PhoneByData => "phone by data",
            Self::OriginOfData => "origin of data",
            Self::PhoneBySignedData => "phone by signed data",
            Self::EncryptedUserData => "encrypted user data",
            Self::SignedUserData => "signed user data",
            Self::CheckSession => "check session",
            Self::ResetSession => "reset session",
            Self::UserSignatures => "user signatures",
        }
    }
}
