//! What keys and cut-offs cost: to load them, and to have them when a ticket is opened.
//!
//! `cargo bench --bench keyring`; `cargo bench --bench keyring -- cutoffs` for one part. Before the timings, the memory
//! that a million cut-offs take is printed: at the most while they are read, and for as long as they are held.

#[path = "shared/usual.rs"]
mod usual;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use auth_ticket::keyring::cutoffs::{Cutoff, Who, list};
use auth_ticket::keyring::{Cutoffs, KeyRing, LoginId, Purpose};
use auth_ticket::keystore::Directory;
use auth_ticket::ticket::UnverifiedTicket;
use criterion::{BatchSize, Criterion};

use usual::{NOW, POLICY, app, keys, ring, spec, ticket};

const KEYS: [u64; 3] = [1, 100, 1000];
const MANY_CUTOFFS: u64 = 1_000_000;

/// Half of them logins, half of them users.
fn cutoffs(count: u64) -> impl Iterator<Item = Cutoff> {
    (0..count).map(|number| {
        let who = if number.is_multiple_of(2) {
            Who::Login(LoginId::generate().expect("randomness"))
        } else {
            // As long as the platform's.
            Who::Openid(app(), format!("oGZUI0egBJY1zhBY{number:012}").into(), NOW)
        };
        Cutoff { who, created: NOW }
    })
}

/// The text of `cutoffs.json`, made entry by entry: what the heap holds afterwards is the text alone.
fn cutoffs_text(count: u64) -> String {
    let (head, tail) = (r#"{"v":1,"cutoffs":["#, "]}\n");
    let mut text = String::with_capacity(usize::try_from(count).unwrap_or_default() * 130);
    text.push_str(head);
    for cutoff in cutoffs(count) {
        let one = list::encode(&[cutoff]);
        text.push_str(one.trim_start_matches(head).trim_end_matches(tail));
        text.push(',');
    }
    text.pop();
    text.push_str(tail);
    text
}

fn bench_open(criterion: &mut Criterion, name: &str, ring: &KeyRing) {
    let ticket = ticket(ring);
    criterion.bench_function(name, |bencher| {
        bencher.iter(|| {
            let claimed = UnverifiedTicket::parse(black_box(ticket.as_bytes())).expect("a ticket");
            claimed.open(ring, Purpose::Ticket, NOW, &POLICY).expect("it opens")
        });
    });
}

fn bench_open_by_keys(criterion: &mut Criterion) {
    for count in KEYS {
        bench_open(criterion, &format!("open/{count} keys"), &ring(keys(count), None));
    }
}

fn bench_open_by_cutoffs(criterion: &mut Criterion) {
    for count in [0, MANY_CUTOFFS] {
        let cutoffs = cutoffs(count).collect();
        bench_open(criterion, &format!("open/{count} cutoffs"), &ring(keys(1), Some(Arc::new(cutoffs))));
    }
}

fn bench_ring(criterion: &mut Criterion) {
    for count in KEYS {
        let keys = keys(count);
        criterion.bench_function(&format!("ring/derive {count} keys"), |bencher| {
            bencher.iter_batched(|| keys.clone(), |keys| ring(keys, None), BatchSize::SmallInput);
        });
        let temporary = tempfile::tempdir().expect("a directory");
        let directory = Directory::new(temporary.path());
        let lock = directory.lock().expect("the lock");
        for age in 1..=count {
            lock.add_key(spec(age * 60)).expect("a key file");
        }
        criterion.bench_function(&format!("ring/load {count} key files"), |bencher| {
            bencher.iter(|| directory.load_ring([app()], NOW).expect("a ring"));
        });
    }
}

fn bench_cutoffs(criterion: &mut Criterion) {
    let text = cutoffs_text(MANY_CUTOFFS);
    criterion.bench_function(&format!("cutoffs/parse and index {MANY_CUTOFFS}"), |bencher| {
        bencher.iter(|| Cutoffs::parse(black_box(&text)).expect("a list"));
    });
}

/// A field of `/proc/self/status`, in MiB.
fn memory_mib(field: &str) -> u64 {
    #[expect(clippy::disallowed_methods, reason = "not a file of the program")]
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|rest| rest.split_ascii_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or_default() / 1024
}

/// Runs first, while the process is small.
#[expect(clippy::print_stdout, reason = "the figures")]
fn print_memory_of_cutoffs() {
    let text = cutoffs_text(MANY_CUTOFFS);
    let before = memory_mib("VmRSS");
    let cutoffs = Cutoffs::parse(&text).expect("a list");
    let (peak, held) = (memory_mib("VmHWM"), memory_mib("VmRSS"));
    println!(
        "{MANY_CUTOFFS} cut-offs: text {} MiB; resident {before} MiB before, {peak} MiB at the most, {held} MiB after",
        text.len() >> 20,
    );
    drop(black_box(cutoffs));
}

fn main() {
    if std::env::args().any(|argument| argument == "--bench") {
        print_memory_of_cutoffs();
    }
    let mut few = Criterion::default().sample_size(10).measurement_time(Duration::from_secs(10)).configure_from_args();
    bench_cutoffs(&mut few);
    bench_ring(&mut few);
    let mut many = Criterion::default().configure_from_args();
    bench_open_by_keys(&mut many);
    bench_open_by_cutoffs(&mut many);
    many.final_summary();
}
