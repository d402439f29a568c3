//! A directory that is looked at again and again: what changed, and what of it is taken.
//!
//! A ring is taken as a whole or not at all, with one exception: what takes power away (revocations, added cut-offs) is
//! taken at once, however broken or open to others the directory is. A writer there can log people out, and no more.

use std::sync::Arc;

use super::read::Sight;
use super::{Directory, LoadError, PassedOver, Scan, handle};
use crate::clock::{LEEWAY_S, UnixSeconds};
use crate::keyring::cutoffs::Ahead;
use crate::keyring::{AppId, Cutoffs, KeyName, KeyRing, KeyUse, RingContent};

/// Looks at a directory and knows what it held before.
#[derive(Debug)]
pub struct Reloader {
    directory: Directory,
    apps: Vec<AppId>,
    held: RingContent,
    /// `None`: whatever the next look finds is new.
    seen: Option<Seen>,
    ahead: Ahead,
}

/// What the last look found, to tell whether the next one finds something else.
#[derive(Debug)]
struct Seen {
    digest: [u8; 32],
    trouble: Option<String>,
    /// When the newest key or cut-off was made: if that is in the future, time alone can put it right.
    newest: Option<UnixSeconds>,
    is_ahead: bool,
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
        apps: impl IntoIterator<Item = AppId>,
        now: UnixSeconds,
    ) -> Result<(Self, KeyRing, Vec<PassedOver>), LoadError> {
        let apps: Vec<AppId> = apps.into_iter().collect();
        handle::keep_spare();
        let listing = directory.list()?;
        let (digest, mut ahead) = (listing.digest, Ahead::default());
        let scan = directory.strict(listing.parse(now, &mut ahead))?;
        directory.check_clock(&scan.content, now)?;
        let ring = KeyRing::new(scan.content.clone(), apps.iter().cloned())?;
        let newest = scan.content.newest().map(|(created, _)| created);
        let seen = Some(Seen { digest, trouble: None, newest, is_ahead: false });
        Ok((Self { directory, apps, held: scan.content, seen, ahead }, ring, scan.passed_over))
    }

    /// Looks again.
    pub fn look(&mut self, now: UnixSeconds) -> Reload {
        handle::keep_spare();
        let Sight { listing, trouble } = self.directory.look(self.held.keys.iter().map(|key| key.name()));
        handle::keep_spare();
        let digest = listing.digest;
        let told = trouble.as_ref().map(explained);
        let is_ahead = |newest: Option<UnixSeconds>| newest.is_some_and(|created| created > now.plus(LEEWAY_S));
        let same =
            |seen: &Seen| seen.digest == digest && seen.trouble == told && seen.is_ahead == is_ahead(seen.newest);
        if self.seen.as_ref().is_some_and(same) {
            return Reload::Unchanged;
        }
        let has_cutoffs = listing.has_cutoffs();
        let scan = listing.parse(now, &mut self.ahead);
        let newest = scan.content.newest().map(|(created, _)| created);
        self.seen = Some(Seen { digest, trouble: told, newest, is_ahead: is_ahead(newest) });
        let trouble = trouble.map(ReloadError::from).or_else(|| self.gone(&scan.content, has_cutoffs));
        self.take(scan, trouble, now)
    }

    /// Has the next look tell of everything anew: what the last one found did not get where it should.
    pub fn forget(&mut self) {
        self.seen = None;
    }

    fn take(&mut self, scan: Scan, trouble: Option<ReloadError>, now: UnixSeconds) -> Reload {
        let found = RingContent { keys: Vec::new(), ..scan.content.clone() };
        let result = trouble.map_or(Ok(()), Err).and_then(|()| {
            let scan = self.directory.strict(scan)?;
            self.directory.check_clock(&scan.content, now)?;
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
    fn gone(&self, found: &RingContent, has_cutoffs: bool) -> Option<ReloadError> {
        let revocation = self.held.revoked.difference(&found.revoked).next().copied();
        // A list that is there but cannot be read is told as what it is.
        revocation
            .map(ReloadError::RevocationGone)
            .or_else(|| (self.held.cutoffs.is_some() && !has_cutoffs).then_some(ReloadError::CutoffsGone))
    }

    fn keep(&mut self, why: ReloadError, found: RingContent) -> Reload {
        self.held.revoked.extend(found.revoked);
        self.held.cutoffs = match (&self.held.cutoffs, found.cutoffs) {
            (Some(held), Some(found)) => Some(Arc::new(Cutoffs::both(held, &found))),
            (held, found) => held.clone().or(found),
        };
        let ring = KeyRing::new(self.held.clone(), self.apps.iter().cloned())
            .expect("the held keys and these apps made a ring before");
        Reload::Kept { why, ring }
    }
}

impl ReloadError {
    /// The error with its causes and what to do about it, as one line for a log.
    #[must_use]
    pub fn explained(&self) -> String {
        match self {
            Self::Load(error) => explained(error),
            Self::RevocationGone(_) | Self::CutoffsGone => self.to_string(),
        }
    }
}

fn explained(error: &LoadError) -> String {
    let mut text = error.to_string();
    if let LoadError::List { source, .. } = error {
        text = format!("{text}: {source}");
    }
    if let Some(remedy) = error.remedy() {
        text = format!("{text}; {remedy}");
    }
    text.replace("\n  ", "; ")
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
