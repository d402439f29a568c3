//! Clients that log in, renew and check, each ticket that was issued and not yet superseded among them.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::http::{Http, kid_of, replica_of};
use crate::support::Answer;

const CLIENTS: u64 = 6;
const PAUSE: Duration = Duration::from_millis(15);
/// How many refusals are kept word for word.
const EXAMPLES: usize = 8;

/// What all clients share.
pub(crate) struct Clients {
    pub(crate) http: Http,
    front: String,
    /// Base URLs of the replicas, for a second try.
    replicas: Vec<String>,
    tickets: Mutex<Vec<String>>,
    codes: AtomicU64,
    tally: Mutex<Tally>,
}

/// What came back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) requests: u64,
    pub(crate) refusals: u64,
    /// Of the refusals, those after which another replica did what was asked.
    pub(crate) cured: u64,
    /// By what was told.
    pub(crate) by_error: BTreeMap<String, u64>,
    pub(crate) examples: Vec<String>,
    /// When a replica first sealed with a key: (kid, replica).
    pub(crate) first_seals: HashMap<(String, String), Instant>,
}

/// What clients do about a refusal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum OnRefusal {
    GoOn,
    TryAnother,
}

#[derive(Clone, Debug)]
enum Wish {
    Login,
    Renew(String),
    Check(String),
}

/// Clients at work, until they are told to stop.
pub(crate) struct AtWork {
    stop: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl AtWork {
    /// Lets each finish what it is about.
    pub(crate) async fn stop(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(result) = self.tasks.join_next().await {
            result.unwrap();
        }
    }
}

impl Clients {
    pub(crate) fn new(front: String, replicas: Vec<String>) -> Arc<Self> {
        let (http, tickets, tally) = (Http::new(), Mutex::default(), Mutex::default());
        Arc::new(Self { http, front, replicas, tickets, codes: AtomicU64::new(0), tally })
    }

    pub(crate) fn start(self: &Arc<Self>, on_refusal: OnRefusal) -> AtWork {
        let (stop, mut tasks) = (Arc::new(AtomicBool::new(false)), JoinSet::new());
        for number in 0..CLIENTS {
            let (clients, stop) = (Arc::clone(self), Arc::clone(&stop));
            tasks.spawn(async move {
                let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ (number << 32));
                while !stop.load(Ordering::Relaxed) {
                    clients.act(&mut dice, on_refusal).await;
                    sleep(PAUSE).await;
                }
            });
        }
        AtWork { stop, tasks }
    }

    async fn act(&self, dice: &mut Dice, on_refusal: OnRefusal) {
        let wish = match dice.roll(10) {
            0 => Wish::Login,
            1 | 2 => self.take_any(dice).map_or(Wish::Login, Wish::Renew),
            _ => self.any(dice).map_or(Wish::Login, Wish::Check),
        };
        let answer = self.ask(wish.clone(), on_refusal).await;
        match (wish, answer) {
            (Wish::Check(_), _) | (Wish::Login, None) => {}
            (Wish::Login | Wish::Renew(_), Some(answer)) => self.keep(&answer, on_refusal).await,
            (Wish::Renew(old), None) => self.tickets().push(old),
        }
    }

    fn any(&self, dice: &mut Dice) -> Option<String> {
        let tickets = self.tickets();
        tickets.get(dice.roll(tickets.len())).cloned()
    }

    /// Whoever renews a ticket has it alone.
    fn take_any(&self, dice: &mut Dice) -> Option<String> {
        let mut tickets = self.tickets();
        let index = dice.roll(tickets.len());
        (!tickets.is_empty()).then(|| tickets.swap_remove(index))
    }

    /// A new ticket is checked at once, at whichever replicas have their turn.
    async fn keep(&self, answer: &Answer, on_refusal: OnRefusal) {
        let ticket = answer.ticket();
        for _ in 0..2 {
            self.ask(Wish::Check(ticket.clone()), on_refusal).await;
        }
        self.tickets().push(ticket);
    }

    /// Checks every ticket that was issued and not superseded.
    pub(crate) async fn sweep(self: &Arc<Self>) {
        let tickets = self.tickets().clone();
        let mut tasks = JoinSet::new();
        for part in tickets.chunks(tickets.len().div_ceil(8).max(1)) {
            let (clients, part) = (Arc::clone(self), part.to_vec());
            tasks.spawn(async move {
                for ticket in part {
                    clients.ask(Wish::Check(ticket), OnRefusal::GoOn).await;
                }
            });
        }
        while let Some(result) = tasks.join_next().await {
            result.unwrap();
        }
    }

    /// Counts; `Some` when the wish came true.
    async fn ask(&self, wish: Wish, on_refusal: OnRefusal) -> Option<Answer> {
        let answer = self.send(&self.front, &wish).await;
        if self.count(&wish, &answer) {
            return Some(answer);
        }
        if on_refusal == OnRefusal::GoOn {
            return None;
        }
        let is_other = |replica: &&String| replica.trim_start_matches("http://") != replica_of(&answer);
        let others: Vec<&String> = self.replicas.iter().filter(is_other).collect();
        let turn = usize::try_from(self.codes.fetch_add(1, Ordering::Relaxed)).unwrap_or_default();
        let another = others.get(turn % others.len().max(1))?;
        let second = self.send(another, &wish).await;
        if second.is_good() {
            self.tally().cured += 1;
            return Some(second);
        }
        self.tally().examples.push(format!("not cured by {another}: {second:?}"));
        None
    }

    async fn send(&self, base: &str, wish: &Wish) -> Answer {
        match wish {
            Wish::Login => self.http.login(base, &self.new_code()).await,
            Wish::Renew(ticket) => self.http.renew(base, ticket).await,
            Wish::Check(ticket) => self.http.check(base, ticket).await,
        }
    }

    /// A code is good once; whoever tries again takes a new one, as the platform wants it.
    fn new_code(&self) -> String {
        let number = self.codes.fetch_add(1, Ordering::Relaxed);
        format!("demo-user{}-{number}", number % 97)
    }

    fn count(&self, wish: &Wish, answer: &Answer) -> bool {
        let mut tally = self.tally();
        tally.requests += 1;
        if answer.is_good() {
            if !matches!(wish, Wish::Check(_)) {
                let sealed_by = (kid_of(&answer.ticket()), replica_of(answer).to_owned());
                tally.first_seals.entry(sealed_by).or_insert_with(Instant::now);
            }
            return true;
        }
        tally.refusals += 1;
        *tally.by_error.entry(format!("{} {}", answer.status, answer.error())).or_default() += 1;
        if tally.examples.len() < EXAMPLES {
            let about = match wish {
                Wish::Login => "a login".to_owned(),
                Wish::Renew(ticket) => format!("a renewal under {}", kid_of(ticket)),
                Wish::Check(ticket) => format!("a check under {}", kid_of(ticket)),
            };
            tally.examples.push(format!("{about} at {}: {answer:?}", replica_of(answer)));
        }
        false
    }

    /// Whether every replica has sealed with the key since the tally was last taken.
    pub(crate) fn all_seal_with(&self, kid: &str) -> bool {
        let tally = self.tally();
        tally.first_seals.keys().filter(|(sealed, _)| sealed == kid).count() == self.replicas.len()
    }

    pub(crate) fn take_tally(&self) -> Tally {
        std::mem::take(&mut *self.tally())
    }

    /// Forgets tickets under this key: they are dead.
    pub(crate) fn forget(&self, kid: &str) -> usize {
        let mut tickets = self.tickets();
        let before = tickets.len();
        tickets.retain(|ticket| kid_of(ticket) != kid);
        before - tickets.len()
    }

    pub(crate) fn tickets(&self) -> MutexGuard<'_, Vec<String>> {
        self.tickets.lock().unwrap()
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap()
    }
}

/// Numbers in no order that anybody relies on (xorshift, Marsaglia 2003).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// From 0 to `sides` - 1; 0 when there are no sides.
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or_default() % sides.max(1)
    }
}
