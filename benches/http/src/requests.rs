//! `make bench-requests`: how many instructions of its own a server runs from a request on a socket to its answer.
//!
//! A time tells what a busy machine allows; this tells what the program does, the same in every run. The kernel's part is
//! not in it.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail, ensure};
use serde::Serialize;

use crate::machine::Machine;
use crate::ours::{Stand, log_in};
use crate::process::{Process, SERVER_CORE};
use crate::results;
use crate::servers::{OURS, REFERENCE};
use crate::settings::Settings;

/// What starting, ending and these requests cost is what the longer run is compared with.
const FEW: u64 = 1600;
const MANY: u64 = 8000;
/// Served in turns, so that the runtime wakes up for many requests and not for each.
const CONNECTIONS: usize = 16;

/// How many ours may take over TCP.
const WANTED: u64 = 15_500;

/// What answers in a row.
#[derive(Clone, Copy)]
enum Program {
    Ours,
    OursOverUnixSocket,
    /// By the name that `contender` knows.
    Contender(&'static str),
}

const ROWS: [(&str, Program); 5] = [
    (OURS, Program::Ours),
    ("auth-ticket, Unix socket", Program::OursOverUnixSocket),
    (REFERENCE, Program::Contender("axum")),
    ("axum, bare, same headers", Program::Contender("axum-headers")),
    ("hyper, bare", Program::Contender("hyper")),
];

/// Over TCP or a Unix socket.
trait Connection: io::Read + io::Write {}

impl<S: io::Read + io::Write> Connection for S {}

/// A whole run.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    machine: Machine,
    valgrind: String,
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    instructions: u64,
    answer_len: usize,
}

/// Counts, and writes requests.json and requests.md.
pub(crate) fn run(settings: &Settings) -> anyhow::Result<()> {
    let version = Command::new("valgrind").arg("--version").output().context("cannot run valgrind")?;
    let Stand { machine, simulator: _simulator, ours, scratch } = Stand::set_up(settings, "")?;
    let program = settings.program()?;
    let ticket = log_in(&ours.start()?.url)?;
    let ourselves = std::env::current_exe()?.display().to_string();
    let mut rows = Vec::new();
    for (name, row) in ROWS {
        let counted = |requests| {
            let log = scratch.path().join("valgrind");
            let mut command = Process::pinned(&[SERVER_CORE], "valgrind");
            command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
            command.arg(format!("--log-file={}", log.display()));
            let mut socket = None;
            match row {
                Program::Ours => ours.serve_on(command.arg(&program), "127.0.0.1:0"),
                Program::OursOverUnixSocket => {
                    let path = socket.insert(scratch.path().join("http.sock"));
                    ours.serve_on(command.arg(&program), &format!("unix:{}", path.display()));
                }
                Program::Contender(contender) => drop(command.args([&ourselves, "contender", contender])),
            }
            count(&mut command, socket.as_deref(), &log, &ticket, requests).context(name)
        };
        let ((few, _), (many, answer_len)) = (counted(FEW)?, counted(MANY)?);
        let instructions = many.saturating_sub(few) / (MANY - FEW);
        println!("{name:<26} {instructions:>8}");
        rows.push(Row { name: name.to_owned(), instructions, answer_len });
    }
    let valgrind = String::from_utf8_lossy(&version.stdout).trim().to_owned();
    let results = Results { machine, valgrind, rows };
    results::store("requests", &results, &tables(&results)?)
}

/// Runs a server, which listens at the address that it says or on `socket`, until it has answered so many requests; how many
/// instructions that took, and how long one answer is.
fn count(
    command: &mut Command,
    socket: Option<&Path>,
    log: &Path,
    ticket: &str,
    requests: u64,
) -> anyhow::Result<(u64, usize)> {
    let (process, url) = Process::server(command)?;
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    let request = format!("GET /v1/verify HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nAuthorization: Bearer {ticket}\r\n\r\n");
    let mut connections: Vec<Box<dyn Connection>> = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(match socket {
            None => Box::new(TcpStream::connect(address)?),
            Some(socket) => Box::new(UnixStream::connect(socket)?),
        });
    }
    let mut answer_len = 0;
    for _ in 0..requests / CONNECTIONS as u64 {
        for connection in &mut connections {
            connection.write_all(request.as_bytes())?;
        }
        for connection in &mut connections {
            answer_len = answer(&mut **connection)?;
        }
    }
    process.end()?;
    let said = fs::read_to_string(log)?;
    let total = said.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    Ok((total.with_context(|| format!("valgrind counted nothing: {said}"))?, answer_len))
}

/// Reads one answer, which has no body.
fn answer(connection: &mut dyn Connection) -> anyhow::Result<usize> {
    let (mut answer, mut more) = (Vec::new(), [0; 4096]);
    while !answer.ends_with(b"\r\n\r\n") {
        match connection.read(&mut more)? {
            0 => bail!("the answer is cut off"),
            len => answer.extend_from_slice(&more[..len]),
        }
    }
    ensure!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
    Ok(answer.len())
}

/// The table, as Markdown.
fn tables(results: &Results) -> anyhow::Result<String> {
    let Results { machine, valgrind, rows } = results;
    let reference = rows.iter().find(|row| row.name == REFERENCE).context("no reference")?;
    let ratio = |row: &Row| {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let ratio = row.instructions as f64 / reference.instructions as f64;
        ratio
    };
    let mut out = String::new();
    writeln!(out, "{machine} {valgrind}.")?;
    writeln!(out, "\n| who answers | instructions of a request | x bare axum | bytes of the answer |")?;
    writeln!(out, "| --- | --- | --- | --- |")?;
    for row in rows {
        writeln!(out, "| {} | {} | {:.2} | {} |", row.name, row.instructions, ratio(row), row.answer_len)?;
    }
    let ours = rows.iter().find(|row| row.name == OURS).context("not ours")?;
    let verdict = if ours.instructions <= WANTED { "holds" } else { "does not hold" };
    writeln!(out, "\n| of a request over TCP | wanted | measured | |\n| --- | --- | --- | --- |")?;
    writeln!(out, "| instructions | at most {WANTED} | {} | {verdict} |", ours.instructions)?;
    Ok(out)
}
