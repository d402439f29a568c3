//! What a verifier opens tickets with.

use crate::clock::UnixSeconds;
use crate::keyring::{AppId, Fingerprint, KeyRing, Purpose};
use crate::keystore::{Reloader, VerifierFile};
use crate::opener::Opener;
use crate::ticket::{OpenError, Ticket, UnverifiedTicket};
use crate::verifier::{AppVerifier, Stale};

/// The keys of a directory, or what a verifier file holds.
pub(super) enum Keys {
    Ring(KeyRing),
    File(AppVerifier),
}

/// Where they come from, again and again.
pub(super) enum KeySource {
    Directory(Reloader),
    File(VerifierFile),
}

impl Keys {
    pub(super) fn open(&self, opener: &Opener<Self>, claimed: UnverifiedTicket) -> Result<Ticket, OpenError> {
        match self {
            Self::Ring(ring) => opener.open(ring, claimed, Purpose::Ticket),
            Self::File(verifier) => verifier.open_ticket(claimed, opener.now()),
        }
    }

    pub(super) fn check_again(&self, ticket: &Ticket, now: UnixSeconds) -> Result<(), OpenError> {
        match self {
            Self::Ring(ring) => ticket.check_again(ring, now),
            Self::File(verifier) => verifier.check_again(ticket, now),
        }
    }

    /// Whether tickets of `app` can be opened.
    pub(super) fn serve(&self, app: &AppId) -> bool {
        match self {
            Self::Ring(ring) => ring.apps().contains(app),
            Self::File(verifier) => verifier.appid() == app,
        }
    }

    /// A directory's own age is that of the last look at it; a file was made by somebody else.
    pub(super) fn check_age(&self, now: UnixSeconds, max_stale_s: Option<u64>) -> Result<(), Stale> {
        match self {
            Self::Ring(_) => Ok(()),
            Self::File(verifier) => verifier.check_age(now, max_stale_s),
        }
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        match self {
            Self::Ring(ring) => ring.fingerprint(),
            Self::File(verifier) => verifier.fingerprint(),
        }
    }
}
