//! How many instructions the hot path runs, counted by valgrind: a number without noise, in which a regression shows.
//!
//! ```text
//! instructions                count everything: make bench-instructions, in a build for users
//! instructions guard FILE     compare with the counts in FILE: make check-instructions, in a build for tests
//! instructions accept FILE    write them: make accept-instructions
//! ```
//!
//! Each is the mean of two hundred calls after two hundred that warm up, and the least of up to three such runs: hash tables are
//! seeded at random, and in some of them two names get into each other's way. A check (`verify`) is one request through all
//! routes, with everything but sockets and hyper's reading and writing of HTTP; what it allocates, it also frees. A request on
//! a socket is all of it but for the kernel.

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
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use auth_ticket::clock::FixedClock;
use auth_ticket::http::{self, App, AppState, ConnectionLimits, Listener, Routes, Settings, Subject};
use auth_ticket::keyring::{KeyRing, Purpose};
use auth_ticket::platform::PlatformOptions;
use auth_ticket::platform::weapp::Weapp;
use auth_ticket::ticket::UnverifiedTicket;
use axum::body::Body;
use futures_util::FutureExt;
use hyper::{Request, Response, StatusCode};
use mimalloc::MiMalloc;
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::runtime::{self, Runtime};
use tokio::sync::watch;
use tokio::task::yield_now;

use bare::Parts;
use usual::{NOW, POLICY, app, keys, ring, session, ticket};

/// The program's.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const CALLS: usize = 200;
const NAMES: [&str; 10] = [
    "raw xaes open",
    "raw base64url decode",
    "parse only",
    "open",
    "open, last bit flipped",
    "open, unknown kid",
    "seal",
    "verify",
    "verify, last bit flipped",
    ON_SOCKETS,
];
/// What the guard compares.
const GUARDED: [&str; 4] = ["open", "seal", "verify", ON_SOCKETS];
/// By how much a count may differ, in percent.
const TOLERANCE: u64 = 1;

const ON_SOCKETS: &str = "request on a socket";
/// Served in turns, so that the runtime wakes up for many requests and not for each.
const CONNECTIONS: usize = 16;
/// How often each connection is used.
const REQUESTS: usize = 20;

/// What must not touch the heap.
const WITHOUT_HEAP: [&str; 4] = ["parse only", "open", "open, last bit flipped", "open, unknown kid"];

/// The function whose instructions are counted. valgrind knows it by its name, which no other function may have a part of.
#[inline(never)]
fn valgrind_counts<I, T>(input: I, work: &impl Fn(I) -> T) {
    black_box(work(black_box(input)));
}

/// Not counted, then counted. What goes in is made in between, one at a time: a heap with a thousand requests in it behaves
/// in another way.
fn twice<I, T>(input: impl Fn() -> I, work: impl Fn(I) -> T) {
    for _ in 0..CALLS {
        black_box(work(black_box(input())));
    }
    for _ in 0..CALLS {
        valgrind_counts(input(), &work);
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
            let routes = http::routes(state(ring)?);
            let expected = if name == "verify" { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
            ensure!(verify(&routes, request(&text)).status() == expected, "another status than {expected}");
            twice(|| request(&text), |request| verify(&routes, request));
        }
        ON_SOCKETS => Sockets::new(ring)?.ask(&text)?,
        _ => bail!("there is no {name:?}"),
    }
    Ok(())
}

/// A server and its clients in one thread, so that nothing is left to chance.
struct Sockets {
    runtime: Runtime,
    clients: Vec<UnixStream>,
    _directory: TempDir,
    _stop: watch::Sender<bool>,
}

impl Sockets {
    fn new(ring: KeyRing) -> anyhow::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("http.sock");
        let inside = runtime.enter();
        let listeners = vec![Listener::Unix(UnixListener::bind(&path)?)];
        let state = state(ring)?;
        let (connections, (stop, stopped)) = (state.client_connections(), watch::channel(false));
        // Far longer than valgrind takes, so that no timer is due meanwhile.
        let [header_timeout, idle_timeout, shutdown_grace] = [Duration::from_secs(3600); 3];
        let max_connections = CONNECTIONS;
        let limits = ConnectionLimits { max_connections, header_timeout, idle_timeout, shutdown_grace };
        runtime.spawn(http::serve(listeners, http::routes(state), limits, connections, stopped));
        let clients = (0..CONNECTIONS).map(|_| {
            let client = UnixStream::connect(&path)?;
            client.set_read_timeout(Some(Duration::from_secs(10)))?;
            Ok(client)
        });
        let clients = clients.collect::<anyhow::Result<_>>()?;
        drop(inside);
        Ok(Self { runtime, clients, _directory: directory, _stop: stop })
    }

    /// Serves what has arrived: one look at the sockets, one turn for each connection.
    fn serve(&self) {
        self.runtime.block_on(async {
            for _ in 0..3 {
                yield_now().await;
            }
        });
    }

    fn ask(&mut self, ticket: &str) -> anyhow::Result<()> {
        let request = format!("GET /v1/verify HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ticket}\r\n\r\n");
        for _ in 0..CONNECTIONS {
            self.serve();
        }
        for number in 0..2 * REQUESTS {
            for client in &mut self.clients {
                client.write_all(request.as_bytes())?;
            }
            if number < REQUESTS {
                self.serve();
            } else {
                valgrind_counts((), &|()| self.serve());
            }
            let mut answer = [0; 1024];
            for client in &mut self.clients {
                let len = client.read(&mut answer).context("no answer after one turn")?;
                let answer = answer.get(..len).unwrap_or_default();
                ensure!(answer.starts_with(b"HTTP/1.1 200 ") && answer.ends_with(b"\r\n\r\n"), "another answer");
            }
        }
        Ok(())
    }
}

fn state(ring: KeyRing) -> anyhow::Result<Arc<AppState>> {
    let platform = Weapp::new(PlatformOptions::new(app().as_str()))?;
    let settings = Settings { policy: POLICY, ..Settings::default() };
    let app = App { id: app(), platform: Box::new(platform), subject: Subject::Openid };
    Ok(AppState::new(settings, vec![app], Vec::new(), ring, Arc::new(FixedClock::new(NOW)))?)
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
        .args(["--tool=callgrind", "--toggle-collect=*valgrind_counts*"])
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
    let calls = u64::try_from(if name == ON_SOCKETS { CONNECTIONS * REQUESTS } else { CALLS })?;
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

/// The least of up to three runs; of one, if that is no more than `enough`.
fn least(name: &str, directory: &Path, enough: u64) -> anyhow::Result<u64> {
    let mut least = u64::MAX;
    for _ in 0..3 {
        least = least.min(count(name, directory)?);
        if least <= enough {
            break;
        }
    }
    Ok(least)
}

/// What counts depend on beside the code.
fn toolchain() -> anyhow::Result<String> {
    let output = Command::new("rustc").arg("--version").output().context("cannot run rustc")?;
    ensure!(output.status.success(), "rustc --version: {}", String::from_utf8_lossy(&output.stderr));
    Ok(format!("# {}, {}", String::from_utf8_lossy(&output.stdout).trim(), env::consts::ARCH))
}

/// One line of a file of counts.
fn line(name: &str, instructions: u64) -> String {
    format!("{name:<26}{instructions:>8}")
}

/// What `file` says of each guarded name; `None` if it was written under another toolchain.
#[expect(clippy::disallowed_methods, reason = "the file of counts")]
fn expected(file: &str) -> anyhow::Result<Option<Vec<u64>>> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
    if text.lines().next() != Some(&toolchain()?) {
        return Ok(None);
    }
    let of = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    let counts = GUARDED.map(|name| of(name).with_context(|| format!("{file} has no count of {name:?}")));
    counts.into_iter().collect::<anyhow::Result<_>>().map(Some)
}

/// Compares with `file`. Of another toolchain it says so, since its code is other code.
#[expect(clippy::print_stdout, reason = "the figures")]
fn guard(file: &str, directory: &Path) -> anyhow::Result<()> {
    let Some(expected) = expected(file)? else {
        println!("instructions: NOT COMPARED. {file} is of another toolchain than {}", toolchain()?);
        return Ok(());
    };
    let mut differing = Vec::new();
    for (name, expected) in GUARDED.into_iter().zip(expected) {
        let allowed = expected * TOLERANCE / 100;
        let found = least(name, directory, expected + allowed)?;
        println!("{}, of {expected}", line(name, found));
        if found.abs_diff(expected) > allowed {
            differing.push(name);
        }
    }
    ensure!(
        differing.is_empty(),
        "{differing:?} differ by more than {TOLERANCE} % from {file}; if they should, make accept-instructions"
    );
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the file of counts")]
fn accept(file: &str, directory: &Path) -> anyhow::Result<()> {
    let mut text = toolchain()? + "\n";
    for name in GUARDED {
        text += &(line(name, least(name, directory, 0)?) + "\n");
    }
    fs::write(file, text).with_context(|| format!("cannot write {file}"))
}

#[expect(clippy::print_stdout, reason = "the figures")]
fn everything(directory: &Path) -> anyhow::Result<()> {
    for command in ["rustc", "valgrind"] {
        let output = Command::new(command).arg("--version").output()?;
        print!("# {}", String::from_utf8_lossy(&output.stdout));
    }
    for name in NAMES {
        println!("{}", line(name, least(name, directory, 0)?));
    }
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // Beside the program, where whoever wants to see a profile finds it.
    let directory = env::current_exe()?.with_file_name("callgrind");
    fs::create_dir_all(&directory)?;
    match arguments.as_slice() {
        ["guard", file] => guard(file, &directory),
        ["accept", file] => accept(file, &directory),
        [name] if NAMES.contains(name) => call(name),
        _ => everything(&directory),
    }
}
