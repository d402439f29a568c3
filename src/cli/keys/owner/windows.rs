//! Nobody becomes somebody else, and owners have no numbers.

use auth_ticket::keystore::{Directory, Owner};

use super::Access;
use crate::cli::report;

/// Opens `directory` once for all.
pub(in crate::cli) fn open(directory: Directory, _access: Access) -> anyhow::Result<Directory> {
    directory.hold().map_err(report::load_failed)
}

/// Never.
pub(in crate::cli) fn is_for_another(_directory: &Directory) -> bool {
    false
}

pub(in crate::cli) fn named(uid: u32) -> String {
    format!("user {uid}")
}

pub(in crate::cli) fn parse_group(_group: &str) -> anyhow::Result<u32> {
    anyhow::bail!("--group: files have no group on Windows; leave it out")
}

pub(in crate::cli) fn parse_owner(_user: &str) -> Result<Owner, String> {
    Err("is not available on Windows; run this as that user".to_owned())
}
