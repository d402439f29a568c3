//! For Rust services that hold the keys: a layer that lets requests with a good ticket through, and extractors for axum.
//!
//! The rules are the server's: where a ticket is looked for, what is refused, and how the refusal looks. No call goes to a
//! server, and the `session_key` stays sealed: it is wiped before the service sees the request.
//!
//! ```
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
//! #     Directory::new(keys.path(), false).lock()?.add_key(KeySpec {
//! #         key_use: KeyUse::Ticket, alg: Alg::Xaes256Gcm, created: now, seal_from: now,
//! #         seal_until: now.plus(90 * 86400), max_ttl_s: 86400,
//! #     })?;
//! # }
//! # let keys = keys.path();
//! let app = AppId::parse("wx0123456789abcdef")?;
//! let max_session = Duration::from_secs(30 * 86400); // as the servers' configuration has it
//! let (verifier, watch) = Verifier::load(Directory::new(keys, false), vec![app.clone()], max_session)?;
//! tokio::spawn(watch.run(Duration::from_secs(5))); // new keys, revocations, cut-offs
//!
//! let inside = Router::new().route("/orders", get(orders)).layer(verifier.layer(&app));
//! let outside = Router::new().route("/", get(front_page)).layer(verifier.layer(&app).optional());
//! let router: Router = inside.merge(outside);
//!
//! // No ticket: 401 with the JSON of the contract.
//! # use tower::ServiceExt;
//! let request = axum::http::Request::get("/orders").body(axum::body::Body::empty())?;
//! let answer = router.oneshot(request).await?;
//! assert_eq!(answer.status(), 401);
//! assert_eq!(answer.headers()["www-authenticate"], "Bearer");
//! # Ok(())
//! # }
//! ```

mod answer;
mod extract;
mod layer;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use ::http::HeaderMap;

pub use crate::bearer::Refusal;
pub use extract::AuthTicket;
pub use layer::{TicketLayer, TicketService};

use crate::bearer::presented_ticket;
use crate::clock::{Clock, SystemClock};
use crate::keyring::{AppId, KeyRing, Purpose};
use crate::keystore::{self, Directory, LoadError, Reload, Reloader};
use crate::opener::Opener;
use crate::rescan::LookTrouble;
use crate::ticket::{OpenError, Policy};

/// Checks tickets against the keys of a directory. Cheap to clone; all clones share the keys.
#[derive(Clone)]
pub struct Verifier(Arc<VerifierInner>);

struct VerifierInner {
    opener: Opener<KeyRing>,
    watched: AtomicBool,
    /// Whether the last ticket was refused because nobody looks at the keys.
    refuses: AtomicBool,
}

/// How often [`Watch::run`] is taken to look until it says so itself.
const USUAL_POLL: Duration = Duration::from_secs(5);

/// What keeps a [`Verifier`]'s keys as the directory is, while [`Watch::run`] runs.
///
/// The verifier refuses everything once this is dropped, and while no look has ended for three polls, be it that nobody
/// runs this, that its runtime has ended or that the disk hangs: it would not learn of a revocation.
#[must_use = "without it the verifier refuses everything; spawn `watch.run(..)`"]
pub struct Watch {
    shared: Arc<VerifierInner>,
    reloader: Option<Reloader>,
}

impl Verifier {
    /// Loads the keys of `directory`, strictly, for tickets of `apps`.
    ///
    /// `max_session` is how long after a login its tickets are good, whatever was renewed: the servers' own setting.
    ///
    /// # Errors
    /// [`LoadError`]: the directory would not do for a server either. [`LoadError::remedy`] says what to do.
    pub fn load(directory: Directory, apps: Vec<AppId>, max_session: Duration) -> Result<(Self, Watch), LoadError> {
        Self::load_with_clock(directory, apps, max_session, Arc::new(SystemClock))
    }

    /// The same by another clock, for tests.
    ///
    /// # Errors
    /// As [`Verifier::load`].
    pub fn load_with_clock(
        directory: Directory,
        apps: Vec<AppId>,
        max_session: Duration,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, Watch), LoadError> {
        let (reloader, ring, passed_over) = Reloader::start(directory, apps, clock.now())?;
        for file in &passed_over {
            tracing::warn!("{file}");
        }
        let shared = Arc::new(VerifierInner {
            // A service seals nothing, so the life of new tickets is not its business.
            opener: Opener::new(ring, Policy { ttl_s: 0, max_session_s: max_session.as_secs() }, clock),
            watched: AtomicBool::new(true),
            refuses: AtomicBool::new(false),
        });
        shared.opener.rescans().attend(USUAL_POLL);
        Ok((Self(Arc::clone(&shared)), Watch { shared, reloader: Some(reloader) }))
    }

    /// A layer that lets tickets of `app` through, and refuses those of any other with 403.
    #[must_use]
    pub fn layer(&self, app: &AppId) -> TicketLayer {
        TicketLayer::new(self.clone(), Some(app.clone()))
    }

    /// A layer that lets tickets of all apps through for which the keys were loaded.
    ///
    /// An openid names a user within one app only, so look at [`AuthTicket::app`], too.
    #[must_use]
    pub fn layer_for_any_app(&self) -> TicketLayer {
        TicketLayer::new(self.clone(), None)
    }

    /// Checks the ticket that came with `headers`, for what is no tower service: `weixinauth` or `Authorization: Bearer`.
    ///
    /// A ticket under an unknown kid has one look at the directory taken, at most one a second for the whole process.
    ///
    /// # Errors
    /// [`Refusal`]; any doubt is one.
    pub async fn verify(&self, headers: &HeaderMap) -> Result<AuthTicket, Refusal> {
        if !self.0.is_watched() {
            return Err(Refusal::NotSetUp);
        }
        let opener = &self.0.opener;
        let attempt = || Ok::<_, Refusal>(opener.open(&opener.current(), presented_ticket(headers)?, Purpose::Ticket));
        let is_unknown_key = |result: &Result<_, _>| matches!(result, Ok(Err(OpenError::UnknownKey(_))));
        match opener.with_look(attempt, is_unknown_key).await? {
            Ok(ticket) => Ok(AuthTicket::new(&ticket)),
            Err(error) => {
                tracing::debug!("a ticket is refused: {error}");
                Err(error.into())
            }
        }
    }
}

impl VerifierInner {
    /// Whether revocations arrive: the keys are looked at, and were so lately. The change is logged, not each refusal.
    fn is_watched(&self) -> bool {
        let is_late = || matches!(self.opener.rescans().trouble(), Some(LookTrouble::Late { .. }));
        let is_watched = self.watched.load(Ordering::Relaxed) && !is_late();
        if self.refuses.load(Ordering::Relaxed) == is_watched {
            self.refuses.store(!is_watched, Ordering::Relaxed);
            if is_watched {
                tracing::info!("the keys are looked at again");
            } else {
                tracing::error!("nobody looks at the keys any more, so no ticket is accepted; keep Watch::run running");
            }
        }
        is_watched
    }
}

impl Watch {
    /// Looks at the directory `every` so often (the servers do it every 5 s), and when a ticket names an unknown kid.
    ///
    /// A directory that is not right as a whole is not taken: the old keys stay, with what it adds in revocations and
    /// cut-offs, and the log says so. Runs in a Tokio runtime, for as long as the service.
    pub async fn run(mut self, every: Duration) {
        let Some(reloader) = self.reloader.take() else { return };
        let opener = &self.shared.opener;
        let put = |reload| match reload {
            Reload::Unchanged => {}
            Reload::Taken { ring, .. } | Reload::Kept { ring, .. } => opener.swap(ring),
        };
        keystore::follow(reloader, Arc::clone(opener.clock()), opener.rescans(), every, |_| Poll::Pending, put).await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.watched.store(false, Ordering::Relaxed);
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("fingerprint", &self.0.opener.current().fingerprint()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}
