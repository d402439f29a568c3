//! For Rust services that hold the keys, or a verifier file: a layer that lets requests with a good ticket through, and extractors for axum.
//!
//! The rules are the server's: where a ticket is looked for, what is refused, and how the refusal looks. No call goes to a
//! server, and the `session_key` stays sealed: the layer never takes its seal off.
//!
//! The layer is for any service over HTTP. With the feature `axum`, [`AuthTicket`] is an extractor and [`Refusal`] an answer:
//!
#![cfg_attr(feature = "axum", doc = "```")]
#![cfg_attr(not(feature = "axum"), doc = "```ignore")]
//! use std::time::Duration;
//!
//! use auth_ticket::keyring::AppId;
//! use auth_ticket::keystore::Directory;
//! use auth_ticket::tower::{AuthTicket, Verifier};
//! use axum::Router;
//! use axum::routing::get;
//!
//! async fn orders(ticket: AuthTicket) -> String {
//!     format!("the orders of {}", ticket.openid())
//! }
//!
//! async fn front_page(ticket: Option<AuthTicket>) -> String {
//!     ticket.map_or("welcome".to_owned(), |ticket| format!("welcome back, {}", ticket.openid()))
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let keys = tempfile::tempdir()?;
//! # {
//! #     use auth_ticket::clock::{Clock, SystemClock};
//! #     use auth_ticket::keyring::{Alg, KeySpec, KeyUse};
//! #     let now = SystemClock.now();
//! #     Directory::new(keys.path()).lock()?.add_key(KeySpec {
//! #         key_use: KeyUse::Ticket, alg: Alg::Xaes256Gcm, created: now, seal_from: now,
//! #         seal_until: now.plus(90 * 86400), max_ttl_s: 86400,
//! #     })?;
//! # }
//! # let keys = keys.path();
//! let app = AppId::parse("wx0123456789abcdef")?;
//! let max_session = Duration::from_secs(30 * 86400); // as the servers' configuration has it
//! let (verifier, watch) = Verifier::load(Directory::new(keys), [app.clone()], max_session)?;
//! tokio::spawn(watch.run(Duration::from_secs(5))); // new keys, revocations, cut-offs
//!
//! let inside = Router::new().route("/orders", get(orders)).layer(verifier.layer(&app)?);
//! let outside = Router::new().route("/", get(front_page)).layer(verifier.layer(&app)?.optional());
//! let router: Router = inside.merge(outside);
//!
//! // No ticket: 401 with the JSON of the login server.
//! # use tower::ServiceExt;
//! let request = axum::http::Request::get("/orders").body(axum::body::Body::empty())?;
//! let answer = router.oneshot(request).await?;
//! assert_eq!(answer.status(), 401);
//! assert_eq!(answer.headers()["www-authenticate"], "Bearer");
//! # Ok(())
//! # }
//! ```
//!
//! What is no tower service asks [`Verifier::verify`], and answers with [`Refusal::to_response`]. A connection that outlives
//! its request ends with [`AuthTicket::until_refused`]. Tests of handlers need no keys: `test_util`, behind the feature
//! `test-util`.

mod answer;
mod body;
#[cfg(feature = "axum")]
mod extract;
mod headers;
mod keys;
mod layer;
mod notice;
#[cfg(any(test, feature = "test-util"))]
pub mod test_util;
mod ticket;
mod watch;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ::http::HeaderMap;
use tokio::time::timeout;

pub use crate::bearer::Refusal;
pub use body::ResponseBody;
pub use layer::{TicketLayer, TicketService};
pub use ticket::AuthTicket;
pub use watch::Watch;

use crate::bearer::presented_ticket;
use crate::clock::{Clock, SystemClock, UnixSeconds};
use crate::keyring::{AppId, KeyRing};
use crate::keystore::{Directory, LoadError, Reloader, VerifierFile, VerifierFileError};
use crate::opener::Opener;
use crate::rescan::LookTrouble;
use crate::ticket::{OpenError, Policy, Ticket};
use keys::{KeySource, Keys};
use notice::Notice;

/// How often [`Watch::run`] is taken to look until it says so itself.
const USUAL_POLL: Duration = Duration::from_secs(5);
/// Between two looks at a clock that could have been set, and at whether the keys are looked at.
const RECHECK: Duration = Duration::from_secs(5);

/// Checks tickets with the keys of a directory, or with a verifier file. Cheap to clone; all clones share the keys.
///
/// ```no_run
/// use std::time::Duration;
///
/// use auth_ticket::keyring::AppId;
/// use auth_ticket::keystore::Directory;
/// use auth_ticket::tower::{Refusal, Verifier};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let app = AppId::parse("wx0123456789abcdef")?;
/// let (verifier, watch) = Verifier::load(Directory::new("keys"), [app], Duration::from_secs(30 * 86400))?;
/// # let _ = watch;
/// # Ok(())
/// # }
/// // In whatever handler there is, with the headers of the request:
/// async fn openid(verifier: &Verifier, headers: &http::HeaderMap) -> Result<String, Refusal> {
///     Ok(verifier.verify(headers).await?.openid().to_owned())
/// }
/// ```
#[derive(Clone)]
pub struct Verifier(Arc<VerifierInner>);

struct VerifierInner {
    opener: Opener<Keys>,
    /// How old a verifier file may be.
    max_stale_s: Option<u64>,
    /// Whether there is a [`Watch`].
    watched: AtomicBool,
    /// Tickets that were refused because nobody looks at the keys.
    refused: Notice,
}

/// The verifier has no keys for tickets of this app: it was not among those that were given to [`Verifier::load`],
/// or its verifier file is of another one.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the verifier was not loaded for the app {0}")]
#[non_exhaustive]
pub struct AppNotLoaded(pub AppId);

impl Verifier {
    /// Loads the keys of `directory`, strictly, for tickets of `apps`.
    ///
    /// `max_session` is how long after a login its tickets are good, whatever was renewed: the servers' own setting.
    ///
    /// # Errors
    /// [`LoadError`]: the directory would not do for a server either. [`LoadError::remedy`] says what to do.
    pub fn load(
        directory: Directory,
        apps: impl IntoIterator<Item = AppId>,
        max_session: Duration,
    ) -> Result<(Self, Watch), LoadError> {
        Self::load_with_clock(directory, apps, max_session, Arc::new(SystemClock))
    }

    /// The same by another clock, for tests.
    ///
    /// # Errors
    /// As [`Verifier::load`].
    pub fn load_with_clock(
        directory: Directory,
        apps: impl IntoIterator<Item = AppId>,
        max_session: Duration,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, Watch), LoadError> {
        let (reloader, ring, passed_over) = Reloader::start(directory, apps, clock.now())?;
        for file in &passed_over {
            tracing::warn!("{file}");
        }
        let verifier = Self::of(ring, max_session, clock);
        Ok(verifier.watched(KeySource::Directory(reloader)))
    }

    /// Loads the verifier file that `auth-ticket keys export --watch` keeps, for a service that should not hold the keys.
    ///
    /// All tickets are refused while the file is older than `max_stale` (10 minutes suit `--watch`), or made by a clock that is
    /// more than a minute ahead: whether somebody was logged out meanwhile is unknown. `None` suits a file that is exported
    /// once; then nobody notices if no revocation arrives. A file that is too old already is no error.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// use auth_ticket::keyring::AppId;
    /// use auth_ticket::tower::Verifier;
    ///
    /// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
    /// let file = "/run/auth-ticket/wx0123456789abcdef.verify";
    /// let (verifier, watch) = Verifier::load_file(file, Some(Duration::from_secs(600)))?;
    /// tokio::spawn(watch.run(Duration::from_secs(2)));
    /// let layer = verifier.layer(&AppId::parse("wx0123456789abcdef")?)?;
    /// # let _ = layer;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`VerifierFileError`]; [`VerifierFileError::remedy`] says what to do.
    pub fn load_file(
        path: impl Into<PathBuf>,
        max_stale: Option<Duration>,
    ) -> Result<(Self, Watch), VerifierFileError> {
        Self::load_file_with_clock(path, max_stale, Arc::new(SystemClock))
    }

    /// The same by another clock, for tests.
    ///
    /// # Errors
    /// As [`Verifier::load_file`].
    pub fn load_file_with_clock(
        path: impl Into<PathBuf>,
        max_stale: Option<Duration>,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, Watch), VerifierFileError> {
        let file = VerifierFile::load(path, clock.now())?;
        let verifier = file.verifier().clone();
        let max_session = Duration::from_secs(verifier.max_session_s());
        let verifier = Self::with(Keys::File(verifier), max_session, max_stale.map(|most| most.as_secs()), clock);
        Ok(verifier.watched(KeySource::File(file)))
    }

    fn of(ring: KeyRing, max_session: Duration, clock: Arc<dyn Clock>) -> Self {
        Self::with(Keys::Ring(ring), max_session, None, clock)
    }

    fn with(keys: Keys, max_session: Duration, max_stale_s: Option<u64>, clock: Arc<dyn Clock>) -> Self {
        // A service seals nothing, so the life of new tickets is not its business.
        let policy = Policy { ttl_s: 0, max_session_s: max_session.as_secs() };
        let opener = Opener::new(keys, policy, clock);
        Self(Arc::new(VerifierInner { opener, max_stale_s, watched: AtomicBool::new(true), refused: Notice::new() }))
    }

    fn watched(self, source: KeySource) -> (Self, Watch) {
        self.0.opener.rescans().attend(USUAL_POLL);
        let watch = Watch { shared: Arc::clone(&self.0), source: Some(source) };
        (self, watch)
    }

    /// A layer that lets tickets of `app` through, and refuses those of any other with 403.
    ///
    /// # Errors
    /// [`AppNotLoaded`]: none would ever pass.
    pub fn layer(&self, app: &AppId) -> Result<TicketLayer, AppNotLoaded> {
        if !self.0.opener.current().serve(app) {
            return Err(AppNotLoaded(app.clone()));
        }
        Ok(TicketLayer::new(self.clone(), Some(app.clone())))
    }

    /// A layer that lets tickets of all apps through for which keys were loaded.
    ///
    /// An openid names a user within one app only, so look at [`AuthTicket::app`], too.
    #[must_use]
    pub fn layer_for_any_app(&self) -> TicketLayer {
        TicketLayer::new(self.clone(), None)
    }

    /// Whether tickets are accepted: the keys were looked at lately, and a verifier file is not too old, so that a revocation
    /// would have arrived. For readiness probes.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.0.trouble().is_none()
    }

    /// How long ago the [`Watch`] last looked at the keys; `None` before its first look has ended.
    #[must_use]
    pub fn last_look(&self) -> Option<Duration> {
        self.0.opener.rescans().age()
    }

    /// Checks the ticket that came with `headers`, for what is no tower service: `weixinauth` or `Authorization: Bearer`.
    ///
    /// Takes tickets of every app for which the keys were loaded, so look at [`AuthTicket::app`], too. A ticket under an
    /// unknown kid has one look at the directory taken, at most one a second for the whole process.
    ///
    /// # Errors
    /// [`Refusal`]; any doubt is one.
    pub async fn verify(&self, headers: &HeaderMap) -> Result<AuthTicket, Refusal> {
        self.0.refuse_unwatched()?;
        let opener = &self.0.opener;
        let attempt = || Ok::<_, Refusal>(opener.current().open(opener, presented_ticket(headers)?));
        let is_unknown_key = |result: &Result<_, _>| matches!(result, Ok(Err(OpenError::UnknownKey(_))));
        match opener.with_look(attempt, is_unknown_key).await? {
            Ok(ticket) => Ok(AuthTicket::new(ticket, self.clone())),
            Err(error) => {
                tracing::debug!("a ticket is refused: {error}");
                Err(error.into())
            }
        }
    }

    async fn until_refused(&self, ticket: &Ticket) -> Refusal {
        let opener = &self.0.opener;
        let mut looks = opener.rescans().ends();
        loop {
            let now = opener.now();
            if let Err(refusal) = self.0.check_again(ticket, now) {
                return refusal;
            }
            let rest = Duration::from_secs(ticket.refused_from().since(now));
            // Whichever comes first; the next turn finds out which.
            let _ = timeout(rest.min(RECHECK), looks.next()).await;
        }
    }
}

impl VerifierInner {
    /// Why revocations may not arrive, if so.
    fn trouble(&self) -> Option<String> {
        if !self.watched.load(Ordering::Relaxed) {
            return Some("the watch has ended".to_owned());
        }
        match self.opener.rescans().trouble() {
            None | Some(LookTrouble::Failed) => {
                let age = self.opener.current().check_age(self.opener.now(), self.max_stale_s);
                age.err().map(|stale| format!("{stale}; see to auth-ticket keys export --watch"))
            }
            Some(trouble) => Some(format!("{trouble}; keep Watch::run running")),
        }
    }

    /// Refuses all tickets while revocations may not arrive. A line says so, not one for each ticket.
    fn refuse_unwatched(&self) -> Result<(), Refusal> {
        match self.trouble() {
            None => {
                if let Some(unsaid) = self.refused.over() {
                    tracing::info!(unsaid, "the keys are up to date again, and tickets are accepted");
                }
                Ok(())
            }
            Some(trouble) => {
                if let Some(count) = self.refused.due() {
                    tracing::error!(count, "no ticket is accepted: {trouble}");
                }
                Err(Refusal::NotSetUp)
            }
        }
    }

    fn check_again(&self, ticket: &Ticket, now: UnixSeconds) -> Result<(), Refusal> {
        self.refuse_unwatched()?;
        Ok(self.opener.current().check_again(ticket, now)?)
    }

    /// The [`Watch`] is gone.
    fn has_ended(&self) {
        self.watched.store(false, Ordering::Relaxed);
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("fingerprint", &self.0.opener.current().fingerprint()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
