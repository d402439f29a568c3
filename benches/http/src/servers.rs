//! `make bench`, first part: servers that tell who is asking, and what is sent to them.

mod tables;

use std::env;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use crate::contender::{REDIS_URL, SOCKET};
use crate::field::{Field, Scenario};
use crate::load::{Place, Request};
use crate::machine::Machine;
use crate::ours::{Ours, SECRET, Simulator, log_in};
use crate::process::{Process, SERVER_CORE, Server};
use crate::results;
use crate::rounds;
use crate::settings::{Settings, target};

/// A row that checks who is asking.
pub(crate) const CHECKS: &str = "checks";
/// A row that makes a ticket or a token.
pub(crate) const ISSUING: &str = "issuing";
pub(crate) const OURS: &str = "auth-ticket, /v1/verify";
/// What everything is compared with.
pub(crate) const REFERENCE: &str = "axum, bare";
pub(crate) const WITH_REDIS: &str = "axum + Redis session";

/// Ours and the reference over a Unix socket.
pub(crate) const OURS_ON_SOCKET: &str = "auth-ticket, Unix socket";
const REFERENCE_ON_SOCKET: &str = "axum, bare, Unix socket";
/// What the answer alone costs.
pub(crate) const SAME_HEADERS: &str = "axum, bare, same headers";
const WITH_EXPRESS: &str = "express + Redis session";

/// The others, by the names that `start` knows; the last says whether there is a session to make first.
const CONTENDERS: [(&str, &str, bool); 7] = [
    (REFERENCE, "axum", false),
    (SAME_HEADERS, "axum-headers", false),
    ("hyper, bare", "hyper", false),
    (WITH_REDIS, "axum-redis", true),
    (WITH_EXPRESS, "express", true),
    ("axum-extra PrivateCookieJar", "axum-cookie", true),
    ("actix-session, cookie", "actix-session", true),
];

/// `make bench`: measures, and writes results.json and results.md.
pub(crate) fn run(settings: &Settings) -> anyhow::Result<()> {
    let program = settings.program()?;
    let machine = Machine::describe(&program, Some("redis-server"))?;
    let scratch = tempfile::tempdir()?;
    let field = field(&program, scratch.path(), &CONTENDERS.map(|(name, ..)| name))?;
    let results = rounds::measure(&field, machine, settings)?;
    results::store("results", &results, &tables::tables(&results)?)
}

/// Starts ours and these others, by name; `program` is the auth-ticket to measure.
pub(crate) fn field(program: &str, scratch: &Path, others: &[&str]) -> anyhow::Result<Field> {
    let simulator = Simulator::start(program)?;
    let ours = Ours::set_up(program, scratch.join("ours"), Some(&simulator.url), "")?.start_with_socket()?;
    let ticket = log_in(&ours.url)?;
    let mut field = Field { at_load: vec![simulator.process], ..Field::default() };
    add_ours(&mut field, ours, &ticket)?;
    for (name, contender, has_session) in CONTENDERS.into_iter().filter(|(name, ..)| others.contains(name)) {
        let socket = (name == REFERENCE).then(|| scratch.join("reference.socket"));
        let server = start(contender, scratch, socket).with_context(|| contender.to_owned())?;
        let header = if has_session { ("Cookie", session_cookie(&server.url)?) } else { bearer(&ticket) };
        add(&mut field, name, server, header)?;
    }
    for scenario in &field.scenarios {
        does_its_work(scenario).with_context(|| format!("{} does not do its work", scenario.name))?;
    }
    Ok(field)
}

/// Adds the rows of a contender.
fn add(field: &mut Field, name: &'static str, server: Server, header: (&'static str, String)) -> anyhow::Result<()> {
    let Server { process, url, socket, store } = server;
    let (server, behind) = (field.add(process), store.map(|store| field.add(store)));
    let request = Request { method: "GET", path: "/v1/verify", headers: vec![header], body: None };
    let mut row = |name, place| {
        field.scenarios.push(Scenario { name, group: CHECKS, place, request: request.clone(), server, behind });
    };
    row(name, Place::of_url(&url)?);
    if let Some(socket) = socket {
        row(REFERENCE_ON_SOCKET, Place::Unix(socket));
    }
    Ok(())
}

/// Whether the answer is that of a server which did what it is measured for.
fn does_its_work(scenario: &Scenario) -> anyhow::Result<()> {
    let headers = scenario.probe()?;
    let identity = ["appid", "platform", "openid", "unionid", "phone", "claims", "login-id", "expires-at"];
    let told: Vec<&str> = identity
        .iter()
        .filter_map(|name| headers.iter().find(|(found, _)| *found == format!("x-auth-{name}")))
        .map(|(_, value)| &**value)
        .collect();
    let filled = told.iter().filter(|value| !value.is_empty()).count();
    let expected = match scenario.name {
        _ if scenario.group == ISSUING => (0, 0),
        REFERENCE | REFERENCE_ON_SOCKET | "hyper, bare" => (0, 0),
        _ => (8, 6),
    };
    ensure!((told.len(), filled) == expected, "it tells {} things, {filled} of them not empty", told.len());
    Ok(())
}

/// Starts one of the servers that `contender` knows.
pub(crate) fn start_contender(contender: &str, scratch: &Path) -> anyhow::Result<Server> {
    start(contender, scratch, None)
}

/// The same with a Unix socket, and express.
fn start(contender: &str, scratch: &Path, socket: Option<PathBuf>) -> anyhow::Result<Server> {
    let mut command = if contender == "express" {
        let mut command = Process::pinned(&[SERVER_CORE], "node");
        command.arg("server.js").current_dir(target().join("bench/express")).env("NODE_ENV", "production");
        command
    } else {
        let mut command = Process::pinned(&[SERVER_CORE], &env::current_exe()?.display().to_string());
        command.args(["contender", contender]);
        command
    };
    let mut store = None;
    if ["axum-redis", "express"].contains(&contender) {
        let (process, url) = start_redis(scratch)?;
        command.env(REDIS_URL, url);
        store = Some(process);
    }
    if let Some(socket) = &socket {
        command.env(SOCKET, socket);
    }
    let (process, url) = Process::server(&mut command)?;
    Ok(Server { process, url, socket, store })
}

/// In memory only, over TCP as usual, on the server's core.
fn start_redis(scratch: &Path) -> anyhow::Result<(Process, String)> {
    // It cannot choose a free port itself; nobody else is likely to take this one in between.
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let mut command = Process::pinned(&[SERVER_CORE], "redis-server");
    command.args(["--bind", "127.0.0.1", "--port", &address.port().to_string(), "--save", "", "--appendonly", "no"]);
    let command = command.current_dir(scratch);
    Ok((Process::silent(command, || TcpStream::connect(address).is_ok())?, format!("redis://{address}")))
}

/// Adds the rows of auth-ticket.
fn add_ours(field: &mut Field, ours: Server, ticket: &str) -> anyhow::Result<()> {
    let form = format!(
        "grant_type=urn:ietf:params:oauth:grant-type:token-exchange&subject_token={ticket}\
         &subject_token_type=urn:auth-ticket:params:oauth:token-type:auth-ticket\
         &audience=orders&client_id=orders&client_secret={SECRET}"
    );
    let socket = Place::Unix(ours.socket.context("ours has no socket")?);
    let (tcp, server) = (Place::of_url(&ours.url)?, field.add(ours.process));
    let json = ("Content-Type", "application/json".to_owned());
    let urlencoded = ("Content-Type", "application/x-www-form-urlencoded".to_owned());
    // The simulator takes such a code any number of times; a code in flight twice would be one exchange.
    let login = r#"{"code":"slow-0-alice-$N"}"#.to_owned();
    let mut row = |name, group, place: &Place, method, path, header, body| {
        let request = Request { method, path, headers: vec![header], body };
        field.scenarios.push(Scenario { name, group, place: place.clone(), request, server, behind: None });
    };
    row(OURS, CHECKS, &tcp, "GET", "/v1/verify", bearer(ticket), None);
    row(OURS_ON_SOCKET, CHECKS, &socket, "GET", "/v1/verify", bearer(ticket), None);
    row("login, against the simulator", ISSUING, &tcp, "POST", "/v1/login", json, Some(login));
    row("renew", ISSUING, &tcp, "POST", "/v1/renew", bearer(ticket), None);
    row("token exchange (ES256)", ISSUING, &tcp, "POST", "/v1/token", urlencoded, Some(form));
    Ok(())
}

pub(crate) fn bearer(ticket: &str) -> (&'static str, String) {
    ("Authorization", format!("Bearer {ticket}"))
}

/// `name=value`, as a browser would send it back.
fn session_cookie(url: &str) -> anyhow::Result<String> {
    let answer = ureq::post(format!("{url}/login")).send_empty().context("cannot make a session")?;
    let cookie = answer.headers().get("set-cookie").context("no cookie")?.to_str()?;
    Ok(cookie.split(';').next().unwrap_or_default().to_owned())
}
