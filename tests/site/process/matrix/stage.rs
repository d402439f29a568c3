//! A server with its own keys directory, tickets that each command is about, and who runs the commands.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use auth_ticket::clock::{Clock, SystemClock, UnixSeconds};
use auth_ticket::keyring::{AppId, Key, KeyName, KeyRing, KeySpec, KeyUse, LoginId, Purpose, RingContent, text};
use auth_ticket::ticket::{Policy, Session};
use serde_json::Value;

use super::way::Way;
use super::{Action, POLL, Runner};
use crate::support::session_of;
use crate::support::{APPID, DEADLINE, Keys, Outcome, Server, Site, auth_ticket, simulator, until};

/// The server's user.
pub(super) const OWNER: u32 = 65533;
/// Whom the directory belongs to when it should not.
pub(super) const OTHER: u32 = 65531;
const STRANGER: u32 = 65532;
const OTHER_APPID: &str = "wxffffffffffffffff";
const HOUR_S: u64 = 3600;
/// A look every 100 ms, on a machine that is busy.
const IN_FORCE: Duration = Duration::from_secs(5);

/// One platform for all.
static PLATFORM: LazyLock<Server> = LazyLock::new(simulator);

pub(super) struct Stage {
    pub(super) way: Way,
    site: Site,
    pub(super) server: Server,
    clients: Held,
    operators: Held,
    victims: Victims,
    pub(super) jwt: KeyName,
    pub(super) future: Option<KeyName>,
    pub(super) holder: Option<Child>,
    pub(super) silent: Vec<TcpStream>,
    is_mounted: bool,
    logins: u32,
}

/// What the commands are about.
struct Victims {
    pending: KeyName,
    retiring: (KeyName, String),
    sealing: (KeyName, String),
    login: (LoginId, String),
    user: String,
    app: String,
    all: String,
}

/// A key that seals from `created + lead_s`, and what its file says.
pub(super) fn key_text(created: UnixSeconds, lead_s: u64) -> (KeyName, String) {
    let (key, text) = make_key(KeyUse::Ticket, created, lead_s);
    (key.name(), text)
}

fn make_key(key_use: KeyUse, created: UnixSeconds, lead_s: u64) -> (Key, String) {
    let seal_from = created.plus(lead_s);
    let seal_until = seal_from.plus(90 * 86400);
    let alg = key_use.default_alg();
    let key = Key::generate(KeySpec { key_use, alg, created, seal_from, seal_until, max_ttl_s: 86400 }).unwrap();
    let text = text::encode(&key).to_string();
    (key, text)
}

/// A ticket under `key`, of the hour in which it sealed.
fn ticket(key: Key, appid: &str, session: &Session) -> String {
    let app = AppId::parse(appid).unwrap();
    let at = key.spec().seal_from.plus(60);
    let ring = KeyRing::new(RingContent::of_keys([key]), [app.clone()]).unwrap();
    let policy = Policy { ttl_s: 86400, max_session_s: 30 * 86400 };
    session.seal(&ring, &app, Purpose::Ticket, at, &policy).unwrap().text().to_owned()
}

impl Stage {
    /// A server that runs on keys that are right.
    pub(super) fn set(way: Way) -> Self {
        let keys = Keys::missing();
        fs::set_permissions(keys.root(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(keys.path()).unwrap();
        let is_mounted = way == Way::FullDisk;
        if is_mounted {
            let mut mount = Command::new("mount");
            let status = mount.args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(keys.path()).status();
            assert!(status.unwrap().success(), "root can mount a small file system");
        }
        let (victims, jwt) = Victims::with_keys(&keys);
        fs::write(keys.file(".lock"), "").unwrap();
        fs::write(keys.file("cutoffs.json"), "{\"v\":1,\"cutoffs\":[]}\n").unwrap();
        for entry in fs::read_dir(keys.path()).unwrap() {
            let path = entry.unwrap().path();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            chown(path, Some(OWNER), Some(OWNER)).unwrap();
        }
        chown(keys.path(), Some(OWNER), Some(OWNER)).unwrap();
        fs::set_permissions(keys.path(), fs::Permissions::from_mode(0o700)).unwrap();

        let platform = PLATFORM.address;
        let other = format!(
            "\n[[app]]\nappid = \"{OTHER_APPID}\"\nplatform = \"weapp\"\nsecret_env = \"WX_SECRET\"\n\
             base_url = \"http://{platform}\"\n\n[verify]\nany_app = true\n"
        );
        let site = Site::with_keys(keys, platform, &other);
        let mut command = site.command();
        command.env("AUTH_TICKET_ADMIN_LISTEN", "127.0.0.1:0").env("AUTH_TICKET_KEYS_POLL", POLL);
        let server = Server::start(command.env("RUST_LOG", "info").uid(OWNER).gid(OWNER));
        until("the address for operators is told", || server.stdout().lines().count() == 2);
        let admin = server.admin();
        let (clients, operators) = (Held::open(server.address), Held::open(admin));
        let (future, holder, silent, logins) = (None, None, Vec::new(), 0);
        Self { way, site, server, clients, operators, victims, jwt, future, holder, silent, is_mounted, logins }
    }

    pub(super) fn keys(&self) -> &Keys {
        &self.site.keys
    }

    fn command(&self, action: Action, runner: Runner) -> Command {
        let victims = &self.victims;
        let (pending, retiring, sealing, login) = (
            victims.pending.to_string(),
            victims.retiring.0.to_string(),
            victims.sealing.0.to_string(),
            victims.login.0.to_string(),
        );
        let args = match action {
            Action::RevokePending => vec!["keys", "revoke", &pending],
            Action::RevokeRetiring => vec!["keys", "revoke", &retiring],
            Action::RevokeSealing => vec!["keys", "revoke", &sealing],
            Action::CutOffLogin => vec!["cutoff", "add", "--login-id", &login],
            Action::CutOffUser => vec!["cutoff", "add", "--appid", APPID, "--openid", "o-user"],
            Action::CutOffApp => vec!["cutoff", "add", "--appid", APPID],
            Action::CutOffAll => vec!["cutoff", "add", "--all"],
        };
        let mut command = auth_ticket(&args);
        command.arg("--keys").arg(self.keys().path());
        let owner = if self.way == Way::ForeignOwner { OTHER } else { OWNER };
        match runner {
            Runner::Root => {}
            Runner::Owner => drop(command.uid(owner).gid(owner)),
            Runner::Stranger => drop(command.uid(STRANGER).gid(STRANGER)),
        }
        command
    }

    pub(super) fn run(&self, action: Action, runner: Runner) -> Outcome {
        Outcome::of(&mut self.command(action, runner))
    }

    pub(super) fn start(&self, action: Action, runner: Runner) -> Child {
        self.command(action, runner).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Whether the server refuses what the command was about. Waits for that, unless the command says that it will not.
    pub(super) fn sees(&mut self, action: Action, outcome: &Outcome) -> bool {
        if outcome.stderr.contains("error: NOT ") {
            // Three looks.
            std::thread::sleep(Duration::from_millis(300));
            return self.refuses(action);
        }
        let start = std::time::Instant::now();
        while !self.refuses(action) {
            if start.elapsed() > IN_FORCE {
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        true
    }

    fn refuses(&mut self, action: Action) -> bool {
        let victims = &self.victims;
        let ticket = match action {
            Action::RevokePending => {
                let kid = victims.pending.kid.to_string();
                let (_, body) = self.operators.ask("GET", "/keys", &[], "");
                let body: Value = serde_json::from_str(&body).unwrap();
                let found = body["keys"].as_array().unwrap().iter().find(|key| key["kid"] == kid);
                return found.unwrap()["state"] == "revoked";
            }
            Action::RevokeRetiring => &victims.retiring.1,
            Action::RevokeSealing => &victims.sealing.1,
            Action::CutOffLogin => &victims.login.1,
            Action::CutOffUser => &victims.user,
            Action::CutOffApp => &victims.app,
            Action::CutOffAll => &victims.all,
        };
        match self.clients.ask("GET", "/v1/verify", &[("weixinauth", ticket)], "").0 {
            200 => false,
            401 => true,
            other => panic!("{other}: {}", self.server.stderr()),
        }
    }

    /// The status of a login.
    pub(super) fn login(&mut self) -> u16 {
        // A successor that is taken at all is taken within three looks.
        std::thread::sleep(Duration::from_millis(300));
        self.try_login()
    }

    fn try_login(&mut self) -> u16 {
        self.logins += 1;
        let body = format!("{{\"appid\":\"{APPID}\",\"code\":\"demo-x{}-{}\"}}", self.server.pid(), self.logins);
        self.clients.ask("POST", "/v1/login", &[("Content-Type", "application/json")], &body).0
    }

    /// After the directory was mended: by itself, or with what the hint of `keys revoke` says.
    pub(super) fn seals_again(&mut self) {
        std::thread::sleep(Duration::from_millis(300));
        if self.try_login() != 200 {
            let mut rotate = self.keys().command(&["rotate", "--use", "ticket", "--now", "--force"]);
            let outcome = Outcome::of(&mut rotate);
            assert_eq!(outcome.code, Some(0), "{:?}: {outcome:?}", self.way);
        }
        let way = self.way;
        until(&format!("{way:?}: logins go on"), || self.try_login() == 200);
    }

    pub(super) fn let_lock_go(&mut self) {
        if let Some(mut holder) = self.holder.take() {
            let _ = holder.kill();
            let _ = holder.wait();
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.let_lock_go();
        if self.is_mounted {
            let _ = Command::new("umount").arg("--lazy").arg(self.site.keys.path()).status();
        }
    }
}

impl Victims {
    /// Puts keys into the directory, and makes tickets under them.
    fn with_keys(keys: &Keys) -> (Self, KeyName) {
        let now = SystemClock.now();
        let put = |key_use, created: UnixSeconds, lead_s| {
            let (key, text) = make_key(key_use, created, lead_s);
            fs::write(keys.file(&format!("{}.key", key.name())), &text).unwrap();
            (key.name(), move || {
                let parsed = text::parse(key.name(), &text).unwrap();
                let text::Parsed::Key(key) = parsed else { panic!("it is of this version") };
                key
            })
        };
        // Stays, for those who are cut off.
        let (_, old) = put(KeyUse::Ticket, now.minus(3 * HOUR_S), 0);
        let (retiring, retiring_key) = put(KeyUse::Ticket, now.minus(2 * HOUR_S), 0);
        let (sealing, sealing_key) = put(KeyUse::Ticket, now.minus(HOUR_S), 0);
        let (pending, _) = put(KeyUse::Ticket, now, HOUR_S);
        let (jwt, _) = put(KeyUse::Jwt, now.minus(HOUR_S), 0);
        let mut logins = 0_u64;
        let mut who = |openid: &str| {
            logins += 1;
            let login_id = LoginId::parse(&format!("{logins:016x}")).unwrap();
            session_of(openid, login_id, now.minus(3 * HOUR_S))
        };
        let login = who("o-login");
        let victims = Self {
            pending,
            retiring: (retiring, ticket(retiring_key(), OTHER_APPID, &who("o-retiring"))),
            sealing: (sealing, ticket(sealing_key(), OTHER_APPID, &who("o-sealing"))),
            login: (login.login_id, ticket(old(), APPID, &login)),
            user: ticket(old(), APPID, &who("o-user")),
            app: ticket(old(), APPID, &who("o-app")),
            all: ticket(old(), OTHER_APPID, &who("o-all")),
        };
        (victims, jwt)
    }
}

/// A connection that stays open: a server without descriptors takes no new one.
struct Held {
    address: SocketAddr,
    stream: TcpStream,
}

impl Held {
    fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut held = Self { address, stream };
        // It is the server's, and not only the kernel's, once there is an answer.
        held.ask("GET", "/healthz", &[], "");
        held
    }

    /// Status and body.
    fn ask(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
        let headers: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let (address, len) = (self.address, body.len());
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {len}\r\n{}\r\n", headers.concat());
        self.stream.write_all((head + body).as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        self.stream.read_exact(&mut body).unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), String::from_utf8(body).unwrap())
    }
}
