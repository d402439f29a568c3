//! The drill: a site of five replicas goes through rotations, a leak and crashes while clients are at work.
//!
//! Nothing is simulated but the platform: the replicas are processes with clocks of their own and late copies of the
//! keys directory, nginx deals requests out in turn and hides no error. One second of the drill stands for three
//! minutes: the lead of 5 s for the 15 min of `keys rotate`, copies that are up to 1.5 s late for the 2 min that
//! Kubernetes takes (4.5 min here), clocks that are off by up to 1.5 s for the minute of the leeway (4.5 min here), the
//! poll of 200 ms for one of 36 s. What must hold is the same: slowest copy + poll + clock error < lead. Whole seconds
//! stay whole seconds, though, so a drill's lead is shorter by up to one more than a real one's.
//!
//! `cargo test drill` is the short form, `make drill` the long one (`DRILL=full`), with its tables.

pub(crate) mod clients;
mod copier;
pub(crate) mod http;
pub(crate) mod process;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use clients::{Clients, OnRefusal, Tally};
use copier::Copier;
use process::{Nginx, Replica, Setup, Site, Tools, cli, kid_in};

use crate::support::{APPID, BINARY};

const LEAD: &str = "5s";
const POLL: Duration = Duration::from_millis(200);
const CLOCK_ERROR: Duration = Duration::from_millis(1500);
/// How late the copies are, and how far the clocks are ahead in seconds. The worst: who has the key first is also the
/// first to seal with it.
const REPLICAS: [(u64, f64); 5] = [(0, 1.5), (1500, -1.5), (800, 0.0), (1200, 1.2), (400, -0.7)];
const SLOWEST_COPY: Duration = Duration::from_millis(1500);
/// For a machine that has other things to do.
const MARGIN: Duration = Duration::from_millis(1500);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_logged_out_by_a_rotation_and_a_leak_is_over_within_copy_and_poll() {
    let full = std::env::var_os("DRILL").is_some_and(|form| form == "full");
    let mut drill = Drill::start().await;
    drill.rotations(if full { 10 } else { 2 }).await;
    drill.rotation_without_a_lead().await;
    drill.cut_offs().await;
    drill.leaked_key().await;
    drill.crash_and_upgrade(full).await;
    drill.summary();
}

struct Drill {
    source: PathBuf,
    replicas: Vec<Replica>,
    copiers: Vec<Copier>,
    nginx: Nginx,
    clients: Arc<Clients>,
    summary: Vec<String>,
    /// The last to go: the others use its files.
    site: Site,
}

/// A rotation, until every replica has sealed with the new key.
struct Rotation {
    kid: String,
    began: Instant,
    tally: Tally,
    slowest_copy: Duration,
}

impl Drill {
    async fn start() -> Self {
        let tools = Tools::find();
        let site = Site::new();
        let source = site.keys("source");
        let mut replicas = Vec::new();
        let mut copiers = Vec::new();
        for (number, (late_ms, clock_s)) in REPLICAS.into_iter().enumerate() {
            let (name, late) = (format!("replica-{number}"), Duration::from_millis(late_ms));
            let keys = first_copy(&source, &site.path(&format!("keys-{number}")));
            copiers.push(Copier::start(&source, &keys, late));
            let poll = format!("{}ms", POLL.as_millis());
            let faketime = Some(tools.faketime.clone());
            replicas.push(site.replica(Setup { clock_s, faketime, ..Setup::new(&name, &keys, &poll) }));
        }
        let nginx = Nginx::start(&site, &tools.nginx, &replicas);
        let urls = replicas.iter().map(|replica| replica.url.clone()).collect();
        let clients = Clients::new(nginx.url.clone(), urls);
        let drill = Self { site, source, replicas, copiers, nginx, clients, summary: Vec::new() };
        drill.check_clocks().await;
        let answers = async || drill.clients.http.get(&drill.nginx.url, "/healthz").await.is_good();
        within(Duration::from_secs(5), "nginx answers", answers).await;
        drill
    }

    /// The clocks of the replicas are off as they should be, and the clock of the commands is not.
    async fn check_clocks(&self) {
        for (replica, (_, clock_s)) in self.replicas.iter().zip(REPLICAS) {
            let there = self.clients.http.get(&replica.admin, "/keys").await.json()["now"].to_string();
            let listed = cli(&["keys", "list", "--json"], &self.source);
            let here: serde_json::Value = serde_json::from_str(&listed).unwrap();
            let [there, here] = [there, here["now"].to_string()]
                .map(|text| auth_ticket::clock::UnixSeconds::parse_rfc3339(text.trim_matches('"')).unwrap().as_u64());
            let ahead_s = i64::try_from(there).unwrap() - i64::try_from(here).unwrap();
            #[expect(clippy::cast_precision_loss, reason = "a few seconds")]
            let wrong_s = (ahead_s as f64 - clock_s).abs();
            assert!(wrong_s <= 1.8, "the clock of {} is {ahead_s} s ahead, not {clock_s} s", replica.setup.name);
        }
    }

    /// Rotates with a lead, and lets nothing go wrong.
    async fn rotations(&mut self, count: usize) {
        say(&format!("{} {}", Self::columns(), "slowest copy"));
        let mut requests = 0;
        for number in 1..=count {
            let clients = self.clients.start(OnRefusal::GoOn);
            let rotation = self.rotate(&["--lead", LEAD], Duration::from_secs(15)).await;
            clients.stop().await;
            self.clients.sweep().await;
            let tally = self.clients.take_tally();
            let sum = Tally {
                requests: rotation.tally.requests + tally.requests,
                refusals: rotation.tally.refusals + tally.refusals,
                examples: [&rotation.tally.examples[..], &tally.examples].concat(),
                ..Tally::default()
            };
            self.row(&number.to_string(), LEAD, &rotation, &sum);
            requests += sum.requests;
            let slowest = rotation.slowest_copy + POLL + CLOCK_ERROR + Duration::from_secs(1);
            assert!(
                slowest < Duration::from_secs(5),
                "the machine is too busy for this drill: a copy took {:?}",
                rotation.slowest_copy
            );
            assert_eq!(sum.refusals, 0, "false refusals: {:#?}\n{}", sum.examples, self.logs());
        }
        self.conclude(format!(
            "{count} rotations with a lead of {LEAD}: {requests} requests, {} tickets alive, no refusal",
            self.clients.tickets().len()
        ));
    }

    /// What the lead is for: without it, replicas are asked to open what they have no key for.
    async fn rotation_without_a_lead(&mut self) {
        let clients = self.clients.start(OnRefusal::GoOn);
        let rotation = self.rotate(&["--now"], Duration::from_secs(10)).await;
        clients.stop().await;
        let _ = self.clients.take_tally();
        self.row("--now", "0s", &rotation, &rotation.tally);
        let Tally { requests, refusals, by_error, .. } = &rotation.tally;
        assert!(*refusals > 0, "--now went well, so the drill shows nothing");
        assert!(by_error.keys().all(|error| error == "401 invalid_ticket"), "{by_error:?}");
        // Nothing was lost: with the last copy, all is well.
        self.clients.sweep().await;
        let after = self.clients.take_tally();
        assert_eq!(after.refusals, 0, "refusals after the last copy: {:#?}", after.examples);
        self.conclude(format!("rotation with --now: {refusals} of {requests} requests refused until the last copy"));
    }

    /// Ends when every replica has sealed with the new key and holds it for sure.
    async fn rotate(&self, how: &[&str], patience: Duration) -> Rotation {
        sleep(Duration::from_millis(300)).await;
        self.slowest_copy();
        let before = self.clients.take_tally();
        let began = Instant::now();
        let kid = kid_in(&cli(&[&["keys", "rotate", "--use", "ticket"], how].concat(), &self.source));
        within(patience, "every replica seals with the new key", async || self.clients.all_seal_with(&kid)).await;
        sleep((SLOWEST_COPY + POLL * 2).saturating_sub(began.elapsed())).await;
        let mut tally = self.clients.take_tally();
        tally.requests += before.requests;
        tally.refusals += before.refusals;
        tally.examples.extend(before.examples);
        Rotation { kid, began, tally, slowest_copy: self.slowest_copy() }
    }

    /// A login and a user are cut off: how long until the last replica refuses.
    async fn cut_offs(&mut self) {
        let http = self.clients.http.clone();
        let first = &self.replicas[0].url;
        let stolen = http.login(first, "demo-victim-1").await.ticket();
        let other_login = http.login(first, "demo-victim-2").await.ticket();
        let banned = http.login(first, "demo-banned-1").await.ticket();
        let renewed = http.renew(first, &stolen).await.ticket();
        let (login_id, openid) = (
            http.check(first, &stolen).await.header("x-auth-login-id").unwrap().to_owned(),
            http.check(first, &banned).await.header("x-auth-openid").unwrap().to_owned(),
        );
        let clients = self.clients.start(OnRefusal::GoOn);

        let began = Instant::now();
        cli(&["cutoff", "add", "--login-id", &login_id], &self.source);
        cli(&["cutoff", "add", "--appid", APPID, "--openid", &openid], &self.source);
        let took = [
            self.refused_everywhere(&stolen, "ticket_revoked", began).await,
            self.refused_everywhere(&banned, "ticket_revoked", began).await,
        ];
        for replica in &self.replicas {
            assert_eq!(http.check(&replica.url, &renewed).await.error(), "ticket_revoked", "renewals are cut off, too");
            assert_eq!(http.renew(&replica.url, &stolen).await.error(), "ticket_revoked", "and nothing is renewed");
            assert!(http.check(&replica.url, &other_login).await.is_good(), "another login of the same user is not");
        }
        clients.stop().await;
        let tally = self.clients.take_tally();
        assert_eq!(tally.refusals, 0, "others are not cut off: {:#?}", tally.examples);
        for (what, took) in ["a login", "an openid"].into_iter().zip(took) {
            self.conclude(format!("{what} cut off: refused everywhere after {}", seconds(took)));
        }
    }

    /// The sealing key leaks and is revoked: how long until the last replica refuses, and all is well again.
    async fn leaked_key(&mut self) {
        let http = self.clients.http.clone();
        let forged = http.login(&self.replicas[0].url, "demo-thief-1").await.ticket();
        let kid = http::kid_of(&forged);
        let clients = self.clients.start(OnRefusal::GoOn);
        let began = Instant::now();
        let printed = cli(&["keys", "revoke", &kid], &self.source);
        let took = self.refused_everywhere(&forged, "invalid_ticket", began).await;
        let (_, successor) = printed.split_once('\n').expect("a second line tells of the successor");
        let successor = kid_in(successor);
        within(Duration::from_secs(8), "every replica seals with the successor", async || {
            self.clients.all_seal_with(&successor)
        })
        .await;
        let well_again = began.elapsed();
        clients.stop().await;
        let refused = self.clients.take_tally();
        let lost = self.clients.forget(&kid);

        let clients = self.clients.start(OnRefusal::GoOn);
        sleep(Duration::from_millis(500)).await;
        clients.stop().await;
        self.clients.sweep().await;
        let after = self.clients.take_tally();
        assert_eq!(after.refusals, 0, "tickets under other keys live on: {:#?}", after.examples);
        assert!(http.check(&self.replicas[1].url, &forged).await.error() == "invalid_ticket", "revoked for good");
        self.conclude(format!(
            "key {kid} revoked: refused everywhere after {}, all seal with {successor} after {}; {lost} tickets lost \
             with it; refused meanwhile: {:?}, none after",
            seconds(took),
            seconds(well_again),
            refused.by_error
        ));
    }

    /// The time until the last replica refuses `ticket` with `error`; each within its copy, the poll and a margin.
    async fn refused_everywhere(&self, ticket: &str, error: &str, began: Instant) -> Duration {
        let mut latest = Duration::ZERO;
        let mut left: HashMap<usize, &Replica> = self.replicas.iter().enumerate().collect();
        while !left.is_empty() {
            for number in left.keys().copied().collect::<Vec<_>>() {
                let asked = Instant::now();
                let answer = self.clients.http.check(&self.replicas[number].url, ticket).await;
                let late = Duration::from_millis(REPLICAS[number].0);
                if !answer.is_good() {
                    assert_eq!(answer.error(), error, "{answer:?}");
                    latest = asked.duration_since(began).max(latest);
                    left.remove(&number);
                } else if asked.duration_since(began) > late + POLL + MARGIN {
                    panic!("{} still accepts after {:?}", self.replicas[number].setup.name, began.elapsed());
                }
            }
            sleep(Duration::from_millis(10)).await;
        }
        latest
    }

    /// One replica is killed and comes back, one is replaced by a newer binary; in the long form, within a lead.
    async fn crash_and_upgrade(&mut self, within_a_rotation: bool) {
        let newer = self.site.path("auth-ticket-newer");
        std::fs::copy(BINARY, &newer).unwrap();
        let clients = self.clients.start(OnRefusal::TryAnother);
        let kid = within_a_rotation
            .then(|| kid_in(&cli(&["keys", "rotate", "--use", "ticket", "--lead", LEAD], &self.source)));

        sleep(Duration::from_millis(200)).await;
        self.replicas[2].server.kill();
        sleep(Duration::from_millis(600)).await;
        let setup = self.replicas[2].setup_here();
        self.replicas[2] = self.site.replica(setup);
        sleep(Duration::from_millis(300)).await;

        let setup = Setup { binary: newer, ..self.replicas[3].setup_here() };
        let exit = self.replicas[3].server.terminate();
        assert!(exit.success(), "SIGTERM ends it in good order: {exit}");
        sleep(Duration::from_millis(300)).await;
        self.replicas[3] = self.site.replica(setup);
        if let Some(kid) = &kid {
            within(Duration::from_secs(15), "every replica seals", async || self.clients.all_seal_with(kid)).await;
        }
        sleep(Duration::from_millis(500)).await;
        clients.stop().await;
        let Tally { requests, refusals, cured, by_error, examples, .. } = self.clients.take_tally();
        assert!(refusals > 0, "nobody noticed that a replica was gone, so the drill shows nothing");
        assert_eq!(cured, refusals, "errors that a second try did not cure: {examples:#?}");
        assert!(by_error.keys().all(|error| error.starts_with("502")), "only nginx told of errors: {by_error:?}");

        self.clients.sweep().await;
        let after = self.clients.take_tally();
        assert_eq!(after.refusals, 0, "all is well again: {:#?}", after.examples);
        self.conclude(format!(
            "one killed and restarted, one upgraded: {requests} requests, {refusals} met a missing replica, {cured} \
             cured by one more try; {} tickets alive, all good",
            self.clients.tickets().len()
        ));
    }

    fn slowest_copy(&self) -> Duration {
        self.copiers.iter().map(Copier::take_slowest).max().unwrap_or_default()
    }

    fn columns() -> String {
        let late = |(number, (late_ms, clock_s)): (usize, (u64, f64))| {
            format!("{:>16}", format!("{number}: {late_ms}ms {clock_s:+.1}s"))
        };
        let columns: String = REPLICAS.into_iter().enumerate().map(late).collect();
        let head = format!("{:>8} {:>8} {:>5} {:>8} {:>8}", "rotation", "kid", "lead", "requests", "refusals");
        format!(
            "first seal by the new key, after the command, on each replica (copy late, clock ahead)\n{head}{columns}"
        )
    }

    fn row(&self, number: &str, lead: &str, rotation: &Rotation, tally: &Tally) {
        let first = |replica: &Replica| {
            let sealed = rotation.tally.first_seals.get(&(rotation.kid.clone(), replica.address().to_owned()));
            let after = sealed.map(|at| seconds(at.duration_since(rotation.began)));
            format!("{:>16}", after.unwrap_or_default())
        };
        let firsts: String = self.replicas.iter().map(first).collect();
        let Tally { requests, refusals, .. } = tally;
        let (kid, copy) = (&rotation.kid, seconds(rotation.slowest_copy));
        say(&format!("{number:>8} {kid:>8} {lead:>5} {requests:>8} {refusals:>8}{firsts} {copy:>12}"));
    }

    fn conclude(&mut self, line: String) {
        self.summary.push(line);
    }

    fn summary(&self) {
        say("\nsummary");
        for line in &self.summary {
            say(&format!("  {line}"));
        }
    }

    fn logs(&self) -> String {
        let log = |replica: &Replica| format!("{}:\n{}", replica.setup.name, replica.server.stderr());
        self.replicas.iter().map(log).collect::<Vec<_>>().join("\n")
    }
}

/// A copy of the whole directory as it is now.
fn first_copy(from: &Path, to: &Path) -> PathBuf {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().mode(0o700).create(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let name = entry.unwrap().file_name();
        if !name.as_encoded_bytes().starts_with(b".") {
            std::fs::copy(from.join(&name), to.join(&name)).unwrap();
        }
    }
    to.to_owned()
}

/// Waits until `holds`, and no longer than `patience`; gives back how long it took.
pub(crate) async fn within(patience: Duration, what: &str, mut holds: impl AsyncFnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < patience, "not within {patience:?}: {what}");
        sleep(Duration::from_millis(20)).await;
    }
    began.elapsed()
}

pub(crate) fn seconds(duration: Duration) -> String {
    format!("{:.2}s", duration.as_secs_f64())
}

#[expect(clippy::print_stdout, reason = "the table of the drill, for whoever runs it with --nocapture")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}
