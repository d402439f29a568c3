//! One shell, in which the blocks of a document that share a setup are typed.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::symlink;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::block::{Block, How, Step};
use super::likeness::{Ids, is_like};
use crate::support::{BINARY, DEADLINE, Keys, Server, address_in, auth_ticket, simulator, until};

/// What is there before the first line is typed. A directory of one's own, `auth-ticket` in it, and a simulated platform are always.
pub(super) const SETUPS: [&str; 3] = [
    "empty", // And keys, in `keys`.
    "keys",
    // And a server at 127.0.0.1:8080 with one app and one service, operators at 127.0.0.1:9090, and alice's TICKET.
    "server",
];

const APPID: &str = "wx0123456789abcdef";
const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// The kid that documents write where a reader has one of their own.
const ANY_KID: &str = "a1b2c3d4";
/// Where documents say that operators of replicas are.
const REPLICAS: [&str; 4] = ["127.0.0.1:9090", "10.0.0.11:9090", "10.0.0.12:9090", "10.0.0.13:9090"];
const MARK: &str = "end of step, exit ";
const STEP_DEADLINE: Duration = Duration::from_secs(30);

/// The blocks of one document with one setup.
#[derive(Debug)]
pub(super) struct Session {
    setup: String,
    blocks: Vec<Block>,
    files: Vec<(String, String)>,
}

impl Session {
    /// Those of one document.
    pub(super) fn all_of(blocks: Vec<Block>) -> Vec<Self> {
        let mut files = Vec::new();
        let mut by_setup = BTreeMap::<String, Vec<Block>>::new();
        for block in blocks {
            match &block.how {
                How::File(name) => files.push((name.clone(), block.lines.join("\n") + "\n")),
                How::Run { setup, .. } => by_setup.entry(setup.clone()).or_default().push(block),
                _ => {}
            }
        }
        by_setup.into_iter().map(|(setup, blocks)| Self { setup, blocks, files: files.clone() }).collect()
    }

    /// Types everything. What went another way than the document says.
    pub(super) fn play(self) -> Vec<String> {
        let keys = Keys::missing();
        for (name, content) in &self.files {
            fs::write(keys.root().join(name), content).unwrap();
        }
        let platform = simulator();
        let mut shell = Shell::start(&keys, &platform);
        if self.setup != "empty" {
            keys.run(&["init"]).done();
            shell.ids.insert(ANY_KID.to_owned(), keys.kid("ticket", "active"));
        }
        let _server = (self.setup == "server").then(|| serve(&keys, &platform, &mut shell));
        for block in &self.blocks {
            for step in block.steps() {
                if let Err(fault) = shell.step(block, &step) {
                    // What comes after it would fail, too.
                    return vec![format!("{}: $ {}\n{fault}", block.place, step.typed)];
                }
            }
        }
        Vec::new()
    }
}

fn serve(keys: &Keys, platform: &Server, shell: &mut Shell) -> Server {
    let config = format!(
        "listen = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\nkeys_dir = \"keys\"\n\
         public_url = \"https://login.example.com\"\n[[app]]\nappid = \"{APPID}\"\nplatform = \"weapp\"\n\
         secret_env = \"WX_SECRET\"\nbase_url = \"http://{}\"\n[[service]]\nid = \"orders\"\n\
         secret_env = \"ORDERS_SECRET\"\n[jwt]\naudiences = [\"orders\"]\n",
        platform.address
    );
    let file = keys.root().join("server.toml");
    fs::write(&file, config).unwrap();
    let mut command = auth_ticket(&["serve", "--config"]);
    command.arg(&file).env("WX_SECRET", SECRET).env("ORDERS_SECRET", SECRET).current_dir(keys.root());
    let server = Server::start(&mut command);
    until("the address for operators is told", || server.stdout().lines().count() == 2);
    let operators = server.admin().to_string();
    shell.addresses.push(("127.0.0.1:8080".to_owned(), server.address.to_string()));
    shell.addresses.extend(REPLICAS.map(|replica| (replica.to_owned(), operators.clone())));
    shell.tell(&format!("TICKET='{}'", server.ticket("demo-alice-setup")));
    server
}

struct Shell {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
    /// Where documents say that something listens, and where it does.
    addresses: Vec<(String, String)>,
    ids: Ids,
    servers: Vec<Pid>,
}

impl Shell {
    fn start(keys: &Keys, platform: &Server) -> Self {
        let programs = keys.root().join("bin");
        fs::create_dir(&programs).unwrap();
        symlink(BINARY, programs.join("auth-ticket")).unwrap();
        let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
        let mut command = Command::new("sh");
        command.current_dir(keys.root()).env_clear().env("PATH", path).env("ORDERS_SECRET", SECRET);
        command.env("AUTH_TICKET_LISTEN", "127.0.0.1:0").env("AUTH_TICKET_ADMIN_LISTEN", "127.0.0.1:0");
        command.env("AUTH_TICKET_APP__0__BASE_URL", format!("http://{}", platform.address));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            lines.map(|line| sender.send(line)).all(|sent| sent.is_ok())
        });
        let mut shell = Self { child, stdin, lines, addresses: Vec::new(), ids: Ids::new(), servers: Vec::new() };
        shell.tell("exec 2>&1");
        shell
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").unwrap();
    }

    /// Types `line`, and returns what it prints and its exit status.
    fn run(&mut self, line: &str) -> (String, String) {
        self.tell(&format!("{{ {line}\n}} </dev/null; printf '\\n{MARK}%s\\n' $?"));
        let mut printed = String::new();
        loop {
            match self.lines.recv_timeout(STEP_DEADLINE) {
                Ok(line) if line.starts_with(MARK) => return (printed, line.replace(MARK, "")),
                Ok(line) => printed.extend([&*line, "\n"]),
                Err(error) => return (printed, format!("none: {error}")),
            }
        }
    }

    /// `text` with what is here in the place of what stands in documents.
    fn here(&self, text: &str, values: &[(String, String)]) -> String {
        let ids = self.ids.iter();
        let mut here = ids.fold(text.to_owned(), |text, (there, here)| text.replace(there.as_str(), here));
        for (there, value) in self.addresses.iter().chain(values) {
            here = here.replace(there.as_str(), value);
        }
        here
    }

    fn step(&mut self, block: &Block, step: &Step) -> Result<(), String> {
        let values: &[_] = if let How::Run { values, .. } = &block.how { values } else { &[] };
        let typed = self.here(&step.typed, values);
        let starts = |command: &str| typed.contains(&format!("auth-ticket {command} "));
        let printed = if starts("serve") || starts("simulator") || starts("demo") {
            self.start_server(&typed, step.shown.as_deref().unwrap_or_default())?
        } else {
            let (printed, exit) = self.run(&typed);
            if exit != "0" {
                return Err(format!("exit {exit}: {printed}"));
            }
            printed
        };
        self.copy(&printed);
        let mut there = printed.clone();
        for (address, here) in &self.addresses {
            there = there.replace(here.as_str(), address);
        }
        match &step.shown {
            Some(shown) if !is_like(&there, shown, &mut self.ids) => {
                Err(format!("the document shows:\n{shown}\nand here it is:\n{printed}"))
            }
            _ => Ok(()),
        }
    }

    /// What a reader copies for the steps that come.
    fn copy(&mut self, printed: &str) {
        let Ok(answer) = serde_json::from_str::<Value>(printed) else { return };
        for (member, variable) in [("ticket", "TICKET"), ("access_token", "ACCESS_TOKEN")] {
            if let Some(text) = answer[member].as_str() {
                self.tell(&format!("{variable}='{text}'"));
            }
        }
    }

    /// Starts a server in the background, on free ports, and waits until it has printed as much as is `shown`.
    fn start_server(&mut self, typed: &str, shown: &str) -> Result<String, String> {
        let words = typed.split(' ').collect::<Vec<_>>();
        let listen = words.iter().position(|word| *word == "--listen").and_then(|at| words.get(at + 1));
        let typed = listen.map_or_else(|| typed.to_owned(), |address| typed.replace(address, "127.0.0.1:0"));
        let file = format!("server-{}", self.servers.len());
        let (pid, _) = self.run(&format!("{typed} >{file}.out 2>{file}.err & echo $!"));
        self.servers.extend(pid.trim().parse().ok().and_then(Pid::from_raw));
        let wanted = shown.lines().count().max(1);
        let started = std::time::Instant::now();
        loop {
            let (printed, _) = self.run(&format!("cat {file}.out"));
            let printed = printed.trim_end().to_owned();
            if printed.lines().count() >= wanted {
                let pairs = shown.lines().zip(printed.lines()).filter(|(shown, _)| shown.contains("http://"));
                let pair = |(shown, printed)| (address_in(shown).to_string(), address_in(printed).to_string());
                self.addresses.extend(pairs.map(pair));
                return Ok(printed);
            }
            if started.elapsed() > DEADLINE {
                return Err(format!("it does not start: {}", self.run(&format!("cat {file}.*")).0));
            }
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        for server in &self.servers {
            let _ = kill_process(*server, Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
