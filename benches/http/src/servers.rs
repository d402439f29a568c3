//! What is measured: the servers, and what is sent to them.

use std::env;
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use anyhow::{Context, ensure};

use crate::contender::REDIS_URL;
use crate::ours::{Ours, SECRET, Simulator, log_in};
use crate::process::{self, Process, SERVER_CORE, Server, Ticks};
use crate::wrk::Request;

/// One row of the tables.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) group: &'static str,
    pub(crate) server: usize,
    pub(crate) request: Request,
}

/// A row that checks who is asking.
pub(crate) const CHECKS: &str = "checks";
/// A row that makes a ticket or a token.
pub(crate) const ISSUING: &str = "issuing";
pub(crate) const OURS: &str = "auth-ticket, /v1/verify";
/// What everything is compared with.
pub(crate) const REFERENCE: &str = "axum, bare";
pub(crate) const WITH_REDIS: &str = "axum + Redis session";

/// The others, by the names that `contender` knows; the last says whether there is a session to make first.
const CONTENDERS: [(&str, &str, bool); 6] = [
    (REFERENCE, "axum", false),
    ("axum, bare, same headers", "axum-headers", false),
    ("hyper, bare", "hyper", false),
    (WITH_REDIS, "axum-redis", true),
    ("axum-extra PrivateCookieJar", "axum-cookie", true),
    ("actix-session, cookie", "actix-session", true),
];

/// All of it, started. What is in it ends when this is dropped.
pub(crate) struct Field {
    pub(crate) servers: Vec<Server>,
    pub(crate) scenarios: Vec<Scenario>,
    /// Stands for the platform, so it runs where the load comes from.
    simulator: Simulator,
}

impl Field {
    /// Starts everything; `program` is the auth-ticket to measure.
    pub(crate) fn start(program: &str, scratch: &Path) -> anyhow::Result<Self> {
        let simulator = Simulator::start(program)?;
        let ours = Ours::set_up(program, scratch.join("ours"), Some(&simulator.url), "")?.start()?;
        let ticket = log_in(&ours.url)?;
        let mut field = Self { servers: vec![ours], scenarios: our_scenarios(&ticket), simulator };
        for (name, contender, has_session) in CONTENDERS {
            let server = start_contender(contender, scratch).with_context(|| contender.to_owned())?;
            let header = if has_session { ("Cookie", session_cookie(&server.url)?) } else { bearer(&ticket) };
            field.scenarios.push(Scenario {
                name,
                group: CHECKS,
                server: field.servers.len(),
                request: Request { method: "GET", path: "/v1/verify", headers: vec![header], body: None },
            });
            field.servers.push(server);
        }
        for scenario in &field.scenarios {
            field.probe(scenario).with_context(|| format!("{} does not do its work", scenario.name))?;
        }
        Ok(field)
    }

    /// Of what runs where the load comes from, wrk included once it has ended.
    pub(crate) fn load_ticks(&self) -> anyhow::Result<Ticks> {
        Ok(self.simulator.process.ticks()? + process::ended_ticks()?)
    }

    /// Whether the answer is that of a server which did what it is measured for.
    fn probe(&self, scenario: &Scenario) -> anyhow::Result<()> {
        let Scenario { request, .. } = scenario;
        let url = format!("{}{}", self.servers[scenario.server].url, request.path);
        let mut builder = ureq::http::Request::builder().method(request.method).uri(url);
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        let body = request.body.as_deref().unwrap_or_default().replace("$N", "0");
        let answer = ureq::run(builder.body(body)?)?;
        ensure!(answer.status() == 200, "status {}", answer.status());
        let identity = ["appid", "platform", "openid", "unionid", "phone", "claims", "login-id", "expires-at"];
        let told = identity.iter().filter_map(|name| answer.headers().get(format!("x-auth-{name}")));
        let (told, filled) =
            told.fold((0, 0), |(told, filled), value| (told + 1, filled + usize::from(!value.is_empty())));
        let expected = match scenario.name {
            _ if scenario.group == ISSUING => (0, 0),
            REFERENCE | "hyper, bare" => (0, 0),
            _ => (8, 6),
        };
        ensure!((told, filled) == expected, "it tells {told} things, {filled} of them not empty");
        Ok(())
    }
}

/// Starts one of the servers that `contender` knows.
pub(crate) fn start_contender(contender: &str, scratch: &Path) -> anyhow::Result<Server> {
    let ourselves = env::current_exe()?.display().to_string();
    let mut command = Process::pinned(&[SERVER_CORE], &ourselves);
    command.args(["contender", contender]);
    let mut store = None;
    if contender == "axum-redis" {
        let (process, url) = start_redis(scratch)?;
        command.env(REDIS_URL, url);
        store = Some(process);
    }
    let (process, url) = Process::server(&mut command)?;
    Ok(Server { process, url, store })
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

fn our_scenarios(ticket: &str) -> Vec<Scenario> {
    let form = format!(
        "grant_type=urn:ietf:params:oauth:grant-type:token-exchange&subject_token={ticket}\
         &subject_token_type=urn:auth-ticket:params:oauth:token-type:auth-ticket\
         &audience=orders&client_id=orders&client_secret={SECRET}"
    );
    let scenario = |name, group, method, path, headers, body| Scenario {
        name,
        group,
        server: 0,
        request: Request { method, path, headers, body },
    };
    let json = ("Content-Type", "application/json".to_owned());
    let urlencoded = ("Content-Type", "application/x-www-form-urlencoded".to_owned());
    // The simulator takes such a code any number of times; a code in flight twice would be one exchange.
    let login = r#"{"code":"slow-0-alice-$N"}"#.to_owned();
    vec![
        scenario(OURS, CHECKS, "GET", "/v1/verify", vec![bearer(ticket)], None),
        scenario("login, against the simulator", ISSUING, "POST", "/v1/login", vec![json], Some(login)),
        scenario("renew", ISSUING, "POST", "/v1/renew", vec![bearer(ticket)], None),
        scenario("token exchange (ES256)", ISSUING, "POST", "/v1/token", vec![urlencoded], Some(form)),
    ]
}

fn bearer(ticket: &str) -> (&'static str, String) {
    ("Authorization", format!("Bearer {ticket}"))
}

/// `name=value`, as a browser would send it back.
fn session_cookie(url: &str) -> anyhow::Result<String> {
    let answer = ureq::post(format!("{url}/login")).send_empty().context("cannot make a session")?;
    let cookie = answer.headers().get("set-cookie").context("no cookie")?.to_str()?;
    Ok(cookie.split(';').next().unwrap_or_default().to_owned())
}
