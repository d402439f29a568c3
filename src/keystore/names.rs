//! Names of files in the directory.

use crate::keyring::KeyName;

/// The list of cut-offs.
pub(super) const CUTOFFS: &str = "cutoffs.json";

/// `ticket-a1b2c3d4.key`
pub(super) fn key_file_name(name: KeyName) -> String {
    format!("{name}.key")
}

/// `ticket-a1b2c3d4.revoked`
pub(super) fn revoked_file_name(name: KeyName) -> String {
    format!("{name}.revoked")
}
