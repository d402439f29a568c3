//! The outside of a ticket: version, kid, app tag.

use crate::keyring::{AppTag, KeyId};
use crate::seal::{NONCE_LEN, TAG_LEN};

/// The format version that this program writes and reads.
pub const VERSION: u8 = 1;
pub(super) const HEADER_LEN: usize = 1 + KeyId::LEN + AppTag::LEN;
pub(super) const MIN_BYTES: usize = HEADER_LEN + NONCE_LEN + TAG_LEN;
const AAD_DOMAIN: &[u8] = b"auth-ticket/v1";
const AAD_LEN: usize = AAD_DOMAIN.len() + HEADER_LEN;

/// What stands before the nonce.
pub(super) fn header(kid: KeyId, app_tag: AppTag) -> [u8; HEADER_LEN] {
    let ([k0, k1, k2, k3], [a0, a1, a2, a3]) = (kid.0, app_tag.0);
    [VERSION, k0, k1, k2, k3, a0, a1, a2, a3]
}

/// What is authenticated beside the claims.
pub(super) fn aad(header: &[u8; HEADER_LEN]) -> [u8; AAD_LEN] {
    let mut aad = [0; AAD_LEN];
    let (domain, rest) = aad.split_at_mut(AAD_DOMAIN.len());
    domain.copy_from_slice(AAD_DOMAIN);
    rest.copy_from_slice(header);
    aad
}
