//! What all stand-ins are made of: an HTTP server that reads a request exactly, and a login server that it stands behind.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::{Answer, Keys, Reply, Server, Upstream, auth_ticket, until};

/// A request as it came in.
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub(super) method: String,
    /// Without the query.
    pub(super) path: String,
    /// The query as it was written.
    pub(super) raw_query: String,
    /// Names in lower case.
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
}

impl Received {
    fn parse(request: &str) -> Self {
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let mut lines = head.lines();
        let mut words = lines.next().unwrap().split(' ');
        let (method, target) = (words.next().unwrap(), words.next().unwrap());
        let (path, raw_query) = target.split_once('?').unwrap_or((target, ""));
        let headers = lines.map(|line| line.split_once(": ").unwrap());
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            raw_query: raw_query.to_owned(),
            headers: headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect(),
            body: body.to_owned(),
        }
    }

    /// The query's pairs, decoded, in their order.
    pub(super) fn query(&self) -> Vec<(String, String)> {
        pairs(&self.raw_query)
    }

    /// The body's pairs, if it is labelled and encoded as a form.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn form(&self) -> Result<Vec<(String, String)>, String> {
        self.is_labelled("application/x-www-form-urlencoded")?;
        Ok(pairs(&self.body))
    }

    /// The body's JSON, if it is labelled as such.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn json(&self) -> Result<Value, String> {
        self.is_labelled("application/json")?;
        serde_json::from_str(&self.body).map_err(|error| format!("the body is no JSON: {error}"))
    }

    fn is_labelled(&self, label: &str) -> Result<(), String> {
        let content_type = self.headers.get("content-type").map(String::as_str).unwrap_or_default();
        // A charset may follow.
        if content_type.split(';').next() != Some(label) {
            return Err(format!("content-type {content_type:?} instead of {label}"));
        }
        match self.headers.get("content-length").and_then(|length| length.parse::<usize>().ok()) {
            Some(length) if length == self.body.len() && !self.headers.contains_key("transfer-encoding") => Ok(()),
            _ => Err("a body without a Content-Length".to_owned()),
        }
    }

    /// That this is a request of `method`.
    ///
    /// # Errors
    /// It is another one.
    pub(super) fn is(&self, method: &str) -> Result<(), String> {
        let has_body = method == "POST" || self.body.is_empty();
        if self.method == method && has_body { Ok(()) } else { Err(format!("{} instead of {method}", self.method)) }
    }
}

fn pairs(text: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}

/// Exactly these names, each once, in any order: their values.
///
/// # Errors
/// Another name, one twice, or one that is missing.
pub(super) fn exactly<const N: usize>(pairs: &[(String, String)], names: [&str; N]) -> Result<[String; N], String> {
    if pairs.len() != N {
        return Err(format!("{pairs:?} instead of {names:?}"));
    }
    let value = |name: &str| pairs.iter().find(|(given, _)| given == name).map(|(_, value)| value.clone());
    let values: Option<Vec<String>> = names.iter().map(|name| value(name)).collect();
    values.and_then(|values| values.try_into().ok()).ok_or_else(|| format!("{pairs:?} instead of {names:?}"))
}

/// An object with exactly these members, all of them texts: their values.
///
/// # Errors
/// Another member, one that is missing, or one that is no text.
pub(super) fn texts<const N: usize>(json: &Value, names: [&str; N]) -> Result<[String; N], String> {
    let members = json.as_object().ok_or_else(|| format!("{json} is no object"))?;
    let pairs = members.iter().map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
    let pairs: Option<Vec<_>> = pairs.collect();
    exactly(&pairs.ok_or_else(|| format!("{json} has something but texts"))?, names)
}

/// A platform that answers requests as `answer` says; an `Err` is a request that the vendor does not document.
#[derive(Debug)]
pub(super) struct Vendor {
    upstream: Upstream,
    faults: Arc<Mutex<Vec<String>>>,
}

impl Vendor {
    pub(super) fn start(answer: impl Fn(&Received) -> Result<Reply, String> + Send + Sync + 'static) -> Self {
        let faults = Arc::<Mutex<Vec<String>>>::default();
        let noted = Arc::clone(&faults);
        let upstream = Upstream::start(move |request| {
            let request = Received::parse(request);
            answer(&request).unwrap_or_else(|fault| {
                noted.lock().unwrap().push(format!("{fault}: {request:?}"));
                Reply::Http("400 Bad Request", "not documented".to_owned())
            })
        });
        Self { upstream, faults }
    }

    /// How many requests to `path` there were.
    pub(super) fn calls(&self, path: &str) -> usize {
        let requests = self.upstream.requests();
        requests.iter().filter(|request| Received::parse(request).path == path).count()
    }

    /// A login server with one app: `app` is what stands in its table beside appid, platform and `base_url`.
    #[track_caller]
    pub(super) fn login(&self, app: &str, files: &[(&str, &str)], env: &[(&str, &str)]) -> Login {
        Login::start(self.command(app, files, env))
    }

    /// `serve` for this app, not started yet. `files` are written where `{dir}` in `app` says, for their owner only.
    pub(super) fn command(&self, app: &str, files: &[(&str, &str)], env: &[(&str, &str)]) -> (Keys, Command) {
        command(self.upstream.address, app, files, env)
    }

    /// Fails if a request was not as documented.
    #[track_caller]
    pub(super) fn is_content(&self) {
        let faults = self.faults.lock().unwrap();
        assert!(faults.is_empty(), "the vendor documents no such request: {faults:#?}");
    }
}

/// `serve` with one app whose platform is at `address`.
pub(super) fn command(address: SocketAddr, app: &str, files: &[(&str, &str)], env: &[(&str, &str)]) -> (Keys, Command) {
    use std::os::unix::fs::PermissionsExt as _;
    let keys = Keys::init();
    let directory = keys.root().to_owned();
    for (name, text) in files {
        let path = directory.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let config: PathBuf = directory.join("login.toml");
    let app = app.replace("{dir}", directory.to_str().unwrap());
    let text = format!(
        "listen = \"127.0.0.1:0\"\nadmin_listen = \"\"\nkeys_dir = \"{}\"\n\n[[app]]\nbase_url = \"http://{address}\"\n{app}\n",
        keys.path().display()
    );
    fs::write(&config, text).unwrap();
    let mut command = auth_ticket(&["serve", "--config"]);
    command.arg(&config).envs(env.iter().copied());
    (keys, command)
}

/// A login server behind which a [`Vendor`] stands.
#[derive(Debug)]
pub(super) struct Login {
    pub(super) server: Server,
    _keys: Keys,
}

impl Login {
    /// Starts `serve`.
    #[track_caller]
    pub(super) fn start((keys, mut command): (Keys, Command)) -> Self {
        Self { server: Server::start(&mut command), _keys: keys }
    }

    /// `POST /v1/login` with this code.
    pub(super) fn code(&self, code: &str) -> Answer {
        self.server.login(code)
    }

    /// A ticket for a code that is good.
    #[track_caller]
    pub(super) fn ticket(&self, code: &str) -> String {
        self.server.ticket(code)
    }

    /// What `/v1/session` says of a ticket.
    #[track_caller]
    pub(super) fn session(&self, ticket: &str) -> Value {
        self.server.get("/v1/session", &[("weixinauth", ticket)]).json()
    }

    /// `POST` with a ticket and a JSON body.
    pub(super) fn post(&self, path: &str, ticket: &str, body: &Value) -> Answer {
        let headers = [("weixinauth", ticket), ("Content-Type", "application/json")];
        self.server.post(path, &headers, &body.to_string())
    }

    /// `POST /v1/phone` with a phone code.
    pub(super) fn phone_code(&self, ticket: &str, code: &str) -> Answer {
        self.post("/v1/phone", ticket, &json!({ "code": code }))
    }

    /// Waits until it has logged `what`: lines are written beside the answers.
    #[track_caller]
    pub(super) fn logs(&self, what: &str) {
        until(what, || self.log().contains(what));
    }

    /// Everything that it logged.
    pub(super) fn log(&self) -> String {
        self.server.stderr()
    }

    /// Fails unless the log has `words`, now or in a moment.
    pub(super) fn says(&self, words: &str) {
        until(words, || self.log().contains(words));
    }

    /// Ends the server, and fails if one of `secrets` is in what it logged.
    #[track_caller]
    pub(super) fn hides(mut self, secrets: &[&str]) {
        self.server.stop();
        let log = self.log();
        assert!(!log.is_empty());
        for secret in secrets {
            assert!(!log.contains(secret), "the log shows {secret}: {log}");
        }
    }

    /// Fails unless `answer` is the error of this status and name.
    #[track_caller]
    pub(super) fn is_error(&self, answer: &Answer, status: u16, error: &str) {
        assert_eq!((answer.status, &answer.json()["error"]), (status, &json!(error)), "{answer:?}\n{}", self.log());
    }
}
