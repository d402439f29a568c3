//! Opening a ticket and the bare primitive, by turns: what is wanted of the two is a ratio, and on a machine that others use
//! figures that are minutes apart have none.
//!
//! `cargo bench --bench turns`.

#[path = "shared/bare.rs"]
#[expect(dead_code, reason = "benches/ticket.rs seals, too")]
mod bare;
#[path = "shared/usual.rs"]
mod usual;

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::bail;
use auth_ticket::keyring::Purpose;
use auth_ticket::ticket::UnverifiedTicket;

use bare::Parts;
use usual::{NOW, POLICY, keys, ring, ticket};

const TURNS: usize = 60;
const TURN: Duration = Duration::from_millis(100);
/// Between two looks at the clock.
const CALLS: u32 = 1000;

/// Nanoseconds of one call.
#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn turn(call: &dyn Fn() -> bool) -> f64 {
    let (start, mut calls) = (Instant::now(), 0);
    while start.elapsed() < TURN {
        for _ in 0..CALLS {
            assert!(call(), "it opens");
        }
        calls += CALLS;
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(calls)
}

#[expect(clippy::print_stdout, reason = "the figures")]
fn main() -> anyhow::Result<()> {
    let keys = keys(1);
    let ring = ring(keys.clone(), None);
    let text = ticket(&ring);
    let parts = Parts::of(&text, keys.first().expect("a key"));
    let cipher = parts.cipher();
    let open = || {
        let claimed = UnverifiedTicket::parse(black_box(text.as_bytes()));
        black_box(claimed.and_then(|claimed| claimed.open(&ring, Purpose::Ticket, NOW, &POLICY))).is_ok()
    };
    let bare = || parts.open(&cipher);

    // What is measured of a cold processor does not count.
    turn(&open);
    turn(&bare);
    let mut turns: Vec<[f64; 2]> = (0..TURNS).map(|_| [turn(&open), turn(&bare)]).collect();

    let ratio = |[open, bare]: [f64; 2]| open / bare;
    turns.sort_by(|one, other| ratio(*one).total_cmp(&ratio(*other)));
    let (Some(least), Some(median), Some(most)) = (turns.first(), turns.get(TURNS / 2), turns.last()) else {
        bail!("no turns")
    };
    let ([open, bare], spread) = (*median, format!("{:.2}..{:.2}", ratio(*least), ratio(*most)));
    println!("open {open:.0} ns, bare XAES open {bare:.0} ns: {:.2} x ({spread}) in {TURNS} turns", ratio(*median));
    Ok(())
}
