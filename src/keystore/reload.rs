//! A directory that is looked at again and again: what changed, and what of it is taken.
//!
//! A ring is taken as a whole or not at all, with one exception: what takes power away (revocations, added cut-offs) is
//! taken at once, also from a directory in which something else is broken.

use std::sync::Arc;

use super::{Directory, LoadError, PassedOver, Scan};
use crate::clock::UnixSeconds;
use crate::keyring::{AppId, Cutoffs, KeyName, KeyRing, KeyUse, RingContent};

/// Looks at a directory and knows what it held before.
#[derive(Debug)]
pub struct Reloader {
    directory: Directory,
    apps: Vec<AppId>,
    held: RingContent,
    seen: Seen,
}

/// What the last look found, to tell whether the next one finds something else.
#[derive(Debug, Eq, PartialEq)]
enum Seen {
    Files([u8; 32]),
    NoFiles(String),
}

/// What a look at the directory came to.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "a ring is taken, kept, or there is nothing new")]
pub enum Reload {
    /// Everything is as it was at the last look.
    Unchanged,
    /// A new ring, whole and right.
    Taken {
        /// The ring.
        ring: KeyRing,
        /// Files that were left alone.
        passed_over: Vec<PassedOver>,
    },
    /// The directory is not right; the old keys stay.
    Kept {
        /// Why it was not taken.
        why: ReloadError,
        /// The old ring with the revocations and cut-offs that are new.
        ring: KeyRing,
    },
}

/// Why a changed directory was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// It would not load at start either.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A revocation that was in force has no file any more. It stays in force until a restart.
    #[error("{0}.revoked is gone; the key stays revoked")]
    RevocationGone(KeyName),
    /// The list of cut-offs that was in force has no file any more. It stays in force until a restart.
    #[error("cutoffs.json is gone; those that were cut off stay cut off")]
    CutoffsGone,
}

impl Reloader {
    /// Loads `directory` for the first time, strictly.
    ///
    /// # Errors
    /// As [`Directory::load_ring`].
    pub fn start(
        directory: Directory,
        apps: Vec<AppId>,
        now: UnixSeconds,
    ) -> Result<(Self, KeyRing, Vec<PassedOver>), LoadError> {
        let listing = directory.list()?;
        let seen = Seen::Files(listing.digest);
        let scan = directory.strict(listing.parse())?;
        super::check_clock(&scan.content, now)?;
        let ring = KeyRing::new(scan.content.clone(), apps.iter().cloned())?;
        Ok((Self { directory, apps, held: scan.content, seen }, ring, scan.passed_over))
    }

    /// Looks again.
    pub fn look(&mut self) -> Reload {
        match self.directory.list() {
            Ok(listing) => {
                if self.saw_already(Seen::Files(listing.digest)) {
                    return Reload::Unchanged;
                }
                self.take(listing.parse())
            }
            Err(error) => {
                if self.saw_already(Seen::NoFiles(error.to_string())) {
                    return Reload::Unchanged;
                }
                self.keep(error.into(), RingContent::default())
            }
        }
    }

    fn saw_already(&mut self, found: Seen) -> bool {
        let same = self.seen == found;
        self.seen = found;
        same
    }

    fn take(&mut self, scan: Scan) -> Reload {
        let found = RingContent { keys: Vec::new(), ..scan.content.clone() };
        let result = self.gone(&scan.content).map_or(Ok(()), Err).and_then(|()| {
            let scan = self.directory.strict(scan)?;
            let ring = KeyRing::new(scan.content.clone(), self.apps.iter().cloned()).map_err(LoadError::from)?;
            Ok((scan, ring))
        });
        match result {
            Ok((scan, ring)) => {
                self.held = scan.content;
                Reload::Taken { ring, passed_over: scan.passed_over }
            }
            Err(why) => self.keep(why, found),
        }
    }

    /// What was in force and has no file any more.
    fn gone(&self, found: &RingContent) -> Option<ReloadError> {
        let revocation = self.held.revoked.difference(&found.revoked).next().copied();
        let cutoffs_gone = self.held.cutoffs.is_some() && found.cutoffs.is_none();
        // A list that is there but cannot be read is told as what it is.
        revocation
            .map(ReloadError::RevocationGone)
            .or_else(|| (cutoffs_gone && !self.directory.has_cutoffs_file()).then_some(ReloadError::CutoffsGone))
    }

    fn keep(&mut self, why: ReloadError, found: RingContent) -> Reload {
        self.held.revoked.extend(found.revoked);
        self.held.cutoffs = match (self.held.cutoffs.take(), found.cutoffs) {
            (Some(held), Some(found)) => Some(Arc::new(Cutoffs::both(&held, &found))),
            (held, found) => held.or(found),
        };
        let ring = KeyRing::new(self.held.clone(), self.apps.iter().cloned())
            .expect("the held keys and these apps made a ring before");
        Reload::Kept { why, ring }
    }
}

impl Directory {
    /// `scan`, if everything in it is right.
    pub(super) fn strict(&self, scan: Scan) -> Result<Scan, LoadError> {
        if !scan.problems.is_empty() {
            return Err(LoadError::Files(scan.problems));
        }
        if !scan.content.keys.iter().any(|key| key.spec().key_use == KeyUse::Ticket) {
            return Err(LoadError::NoTicketKey { path: self.path.clone(), passed_over: scan.passed_over.len() });
        }
        Ok(scan)
    }
}
