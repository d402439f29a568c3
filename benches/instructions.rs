//! How many instructions the hot path runs, counted by valgrind: a number without noise, in which a regression shows.
//!
//! `make bench-instructions` keeps them in `benches/instructions.txt`; `cargo bench --bench instructions` prints them. Each
//! is the mean of a thousand calls after a thousand that warm up, and the least of three such runs: hash tables are seeded at
//! random, and in some of them two names get into each other's way. A check is one request through all routes, with
//! everything but sockets and hyper's reading and writing of HTTP; what it allocates, it also frees.

#[path = "shared/bare.rs"]
#[expect(dead_code, reason = "benches/ticket.rs seals, too")]
mod bare;
#[path = "shared/forged.rs"]
mod forged;
#[path = "shared/usual.rs"]
mod usual;

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use auth_ticket::clock::FixedClock;
use auth_ticket::http::{self, App, AppState, Routes, Settings, Subject};
use auth_ticket::keyring::Purpose;
use auth_ticket::platform::PlatformOptions;
use auth_ticket::platform::weapp::Weapp;
use auth_ticket::ticket::UnverifiedTicket;
use axum::body::Body;
use futures_util::FutureExt;
use hyper::{Request, Response, StatusCode};
use mimalloc::MiMalloc;

use bare::Parts;
use usual::{NOW, POLICY, app, keys, ring, session, ticket};

/// The program's.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const CALLS: usize = 1000;
const NAMES: [&str; 9] = [
    "raw xaes open",
    "raw base64url decode",
    "parse only",
    "open",
    "open, last bit flipped",
    "open, unknown kid",
    "seal",
    "verify",
    "verify, last bit flipped",
];
/// What must not touch the heap.
const WITHOUT_HEAP: [&str; 4] = ["parse only", "open", "open, last bit flipped", "open, unknown kid"];

/// The function whose instructions are counted. valgrind knows it by its name.
#[inline(never)]
fn counted<I, T>(input: I, work: &impl Fn(I) -> T) {
    black_box(work(black_box(input)));
}

/// Not counted, then counted. What goes in is made in between, one at a time: a heap with a thousand requests in it behaves
/// in another way.
fn twice<I, T>(input: impl Fn() -> I, work: impl Fn(I) -> T) {
    for _ in 0..CALLS {
        black_box(work(black_box(input())));
    }
    for _ in 0..CALLS {
        counted(input(), &work);
    }
}

fn call(name: &str) -> anyhow::Result<()> {
    let keys = keys(1);
    let ring = ring(keys.clone(), None);
    let usual = ticket(&ring);
    let text = match name {
        "open, last bit flipped" | "verify, last bit flipped" => forged::last_bit_flipped(&usual),
        "open, unknown kid" => forged::under_unknown_kid(&usual),
        _ => usual,
    };
    let (session, app) = (session(), app());
    let open = |()| UnverifiedTicket::parse(text.as_bytes())?.open(&ring, Purpose::Ticket, NOW, &POLICY);
    match name {
        "raw xaes open" => {
            let parts = Parts::of(&text, keys.first().context("a key")?);
            let cipher = parts.cipher();
            ensure!(parts.open(&cipher), "it does not open");
            twice(|| (), |()| parts.open(&cipher));
        }
        "raw base64url decode" => twice(|| (), |()| bare::decode(&text)),
        "parse only" => twice(|| (), |()| UnverifiedTicket::parse(text.as_bytes())),
        "open" => {
            ensure!(open(()).is_ok(), "it does not open");
            twice(|| (), open);
        }
        "open, last bit flipped" | "open, unknown kid" => {
            ensure!(open(()).is_err(), "it opens");
            twice(|| (), open);
        }
        "seal" => twice(|| (), |()| session.seal(&ring, &app, Purpose::Ticket, NOW, &POLICY)),
        "verify" | "verify, last bit flipped" => {
            let routes = routes(ring)?;
            let expected = if name == "verify" { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
            ensure!(verify(&routes, request(&text)).status() == expected, "another status than {expected}");
            twice(|| request(&text), |request| verify(&routes, request));
        }
        _ => bail!("there is no {name:?}"),
    }
    Ok(())
}

fn routes(ring: auth_ticket::keyring::KeyRing) -> anyhow::Result<Routes> {
    let platform = Weapp::new(PlatformOptions::new(app().as_str()))?;
    let settings = Settings { policy: POLICY, ..Settings::default() };
    let app = App { id: app(), platform: Box::new(platform), subject: Subject::Openid };
    Ok(http::routes(AppState::new(settings, vec![app], Vec::new(), ring, Arc::new(FixedClock::new(NOW)))?))
}

/// As a gateway sends it.
fn request(ticket: &str) -> Request<Body> {
    let request = Request::get("/v1/verify").header("host", "login.example.com");
    request.header("authorization", format!("Bearer {ticket}")).body(Body::empty()).expect("a request")
}

/// A check waits for nothing, so one poll answers it.
fn verify(routes: &Routes, request: Request<Body>) -> Response<Body> {
    routes.answer(request, None).now_or_never().expect("a check waits for nothing")
}

/// Runs this program for `name` under valgrind and says how many instructions one call took; refuses what must not touch
/// the heap and does.
fn count(name: &str, directory: &Path) -> anyhow::Result<u64> {
    let profile = directory.join(format!("callgrind.{}", name.replace([' ', ','], "-")));
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--toggle-collect=*counted*"])
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(env::current_exe()?)
        .arg(name)
        .output()
        .context("cannot run valgrind")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "valgrind: {said}");
    if WITHOUT_HEAP.contains(&name) {
        let allocators = allocators(&profile)?;
        ensure!(allocators.is_empty(), "{name:?} calls {allocators:?}");
    }
    let total = said.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse::<u64>().ok());
    let calls = u64::try_from(CALLS)?;
    match total.with_context(|| format!("valgrind counted nothing: {said}"))? / calls {
        0 => bail!("valgrind did not find the function to count"),
        instructions => Ok(instructions),
    }
}

/// The functions of the allocator that the profile has counted instructions in.
#[expect(clippy::disallowed_methods, reason = "what valgrind wrote")]
fn allocators(profile: &Path) -> anyhow::Result<BTreeSet<String>> {
    let profile = fs::read_to_string(profile)?;
    let functions = profile.lines().filter_map(|line| line.split_once("fn=(")?.1.split_once(") "));
    let functions = functions.map(|(_, name)| name).filter(|name| name.trim_start_matches('_').starts_with("mi_"));
    Ok(functions.map(str::to_owned).collect())
}

#[expect(clippy::print_stdout, reason = "the figures")]
fn main() -> anyhow::Result<()> {
    if let Some(name) = env::args().nth(1).filter(|argument| NAMES.contains(&argument.as_str())) {
        return call(&name);
    }
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("callgrind");
    fs::create_dir_all(&directory)?;
    for command in ["rustc", "valgrind"] {
        let output = Command::new(command).arg("--version").output()?;
        print!("# {}", String::from_utf8_lossy(&output.stdout));
    }
    for name in NAMES {
        let runs = [(); 3].map(|()| count(name, &directory)).into_iter().collect::<anyhow::Result<Vec<u64>>>()?;
        println!("{name:<26}{:>8}", runs.into_iter().min().unwrap_or_default());
    }
    Ok(())
}
