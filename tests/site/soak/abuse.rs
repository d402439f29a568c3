//! Who does what, and how often. The rates are bounded: two cores are all there is, and a client that takes them away
//! from the others shows nothing about the server.

use std::pin::Pin;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::form::Form;
use super::stage::Stage;
use super::tally::{CLOSED, RESET, Tally};
use super::worker::Worker;
use super::{broken, forged, slow, users};

type Act = for<'a> fn(&'a mut Worker) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// How many at once, and how often all of them together in a second; 0 is again and again.
type Rate = (usize, u32);

/// A kind of abuse.
pub(super) struct Kind {
    name: &'static str,
    full: Rate,
    short: Rate,
    act: Act,
    /// What it has to have come to at least once: otherwise the soak has shown nothing about it.
    shows: &'static [&'static str],
}

macro_rules! kind {
    ($name:literal, $full:expr, $short:expr, $act:path, $shows:expr) => {
        Kind { name: $name, full: $full, short: $short, act: |worker| Box::pin($act(worker)), shows: $shows }
    };
}

pub(super) const KINDS: [Kind; 21] = [
    kind!("unknown kid", (4, 250), (2, 20), forged::unknown_kid, &["401 invalid_ticket"]),
    kind!("changed ticket", (4, 250), (2, 20), forged::changed, &["401 invalid_ticket"]),
    kind!("expired ticket", (1, 25), (1, 4), forged::expired, &["401 ticket_expired"]),
    kind!("ticket at another app", (1, 25), (1, 4), forged::wrong_app, &["403 wrong_app"]),
    kind!("wrong data", (1, 10), (1, 2), forged::wrong_data, &["400 bad_user_data"]),
    kind!("no handle", (1, 10), (1, 2), forged::no_handle, &["401"]),
    kind!("used code", (1, 10), (1, 2), forged::used_code, &["401 code_used"]),
    kind!("login, impatient", (16, 20), (8, 6), forged::impatient_login, &["200", RESET]),
    kind!("too many logins", (1, 5), (1, 2), forged::too_many_logins, &["429 rate_limited"]),
    kind!("no login", (1, 10), (1, 3), forged::no_login, &["400 invalid_request"]),
    kind!("garbage", (2, 20), (2, 5), broken::garbage, &["400 invalid_request"]),
    kind!("head too large", (2, 10), (1, 3), broken::head, &["431 headers_too_large", "401 invalid_ticket"]),
    kind!("body too large", (2, 5), (1, 2), broken::body, &["413 too_large"]),
    kind!("check with a body", (1, 10), (1, 2), broken::body_of_a_check, &["401 invalid_ticket"]),
    kind!("pipeline", (1, 10), (1, 2), broken::pipeline, &["200", "404 not_found"]),
    kind!("reset", (4, 40), (2, 8), broken::reset, &[RESET]),
    kind!("slow head", (20, 0), (2, 0), slow::head, &[CLOSED]),
    kind!("silence", (10, 0), (2, 0), slow::silence, &[CLOSED]),
    kind!("idleness", (10, 0), (1, 0), slow::idleness, &[CLOSED]),
    kind!("slow body", (10, 0), (2, 0), slow::body, &["400 invalid_request"]),
    kind!("slow reader", (4, 0), (1, 0), slow::reader, &[CLOSED]),
];

/// All of them at work, until the set is shut down.
pub(super) fn begin(stage: &Arc<Stage>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for kind in &KINDS {
        let (workers, per_s) = stage.form.pick(kind.full, kind.short);
        for number in 0..workers {
            let mut worker = Worker::new(stage, kind.name, number, workers, per_s);
            let act = kind.act;
            tasks.spawn(async move {
                loop {
                    worker.turn().await;
                    act(&mut worker).await;
                }
            });
        }
    }
    tasks
}

/// Asserts that each kind came to what it is there for; in the long form good users to all that they do, too.
pub(super) fn check_all_was_shown(tally: &Tally, form: &Form) {
    let users = if form.is_full { &users::KINDS[..] } else { &[] };
    let hostile = KINDS.iter().flat_map(|kind| kind.shows.iter().map(|outcome| (kind.name, *outcome)));
    for (kind, outcome) in hostile.chain(users.iter().map(|kind| (*kind, "200"))) {
        assert!(tally.of(kind, outcome) > 0, "{kind} never came to {outcome}:\n{}", tally.tables());
    }
}
