//! The rotation job's script against something that answers as the Kubernetes API does, with the real kubectl.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use auth_ticket::clock::{Clock, SystemClock};
use auth_ticket::http::{ConnectionCount, ConnectionLimits, Listener, serve};
use auth_ticket::verifier::AppVerifier;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::support::bare;
use crate::support::system::{needed, read, shipped, succeed, told, write, write_script};

const PATH: &str = "/api/v1/namespaces/login/secrets/auth-ticket-keys";

/// One Secret, its version, and what was asked.
#[derive(Debug, Default)]
struct Api {
    data: BTreeMap<String, String>,
    version: u64,
    patches: Vec<Value>,
    /// Files that somebody else adds just before the next patch arrives.
    meanwhile: Vec<String>,
}

type Shared = Arc<Mutex<Api>>;

impl Api {
    fn secret(&self) -> Value {
        let metadata = json!({
            "name": "auth-ticket-keys", "namespace": "login", "uid": "0c9d", "resourceVersion": self.version.to_string(),
            "creationTimestamp": "2026-01-01T00:00:00Z", "labels": { "team": "login" },
        });
        json!({ "kind": "Secret", "apiVersion": "v1", "metadata": metadata, "data": self.data, "type": "Opaque" })
    }

    fn patch(&mut self, patch: Value) -> Response {
        for name in std::mem::take(&mut self.meanwhile) {
            self.data.insert(name, String::new());
            self.version += 1;
        }
        let metadata = patch["metadata"].as_object().unwrap();
        assert_eq!(metadata.len(), 1, "labels and the like are not the job's: {metadata:?}");
        let current = self.version.to_string();
        if metadata["resourceVersion"].as_str() != Some(&current) {
            let status = json!({
                "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Conflict", "code": 409,
                "message": "the object has been modified; please apply your changes to the latest version",
            });
            return (StatusCode::CONFLICT, json_answer(&status)).into_response();
        }
        for (name, content) in patch["data"].as_object().unwrap() {
            match content.as_str() {
                Some(content) => self.data.insert(name.clone(), content.to_owned()),
                None => self.data.remove(name),
            };
        }
        self.version += 1;
        self.patches.push(patch);
        json_answer(&self.secret())
    }
}

fn json_answer(value: &Value) -> Response {
    ([("Content-Type", "application/json")], value.to_string()).into_response()
}

async fn answer(State(api): State<Shared>, method: Method, uri: Uri, body: Bytes) -> Response {
    let resources = json!([{
        "name": "secrets", "singularName": "secret", "namespaced": true, "kind": "Secret", "verbs": ["get", "patch"],
    }]);
    let mut api = api.lock().unwrap();
    match (method.as_str(), uri.path()) {
        ("GET", "/api") => json_answer(&json!({ "kind": "APIVersions", "versions": ["v1"] })),
        ("GET", "/apis") => json_answer(&json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": [] })),
        ("GET", "/api/v1") => {
            json_answer(&json!({ "kind": "APIResourceList", "groupVersion": "v1", "resources": resources }))
        }
        ("GET", PATH) => json_answer(&api.secret()),
        ("PATCH", PATH) => api.patch(serde_json::from_slice(&body).unwrap()),
        _ => (StatusCode::NOT_FOUND, "").into_response(),
    }
}

/// A cluster with a keys Secret, and a place to work from.
struct Cluster {
    api: Shared,
    home: tempfile::TempDir,
}

impl Cluster {
    /// With the keys that `keys init` makes.
    async fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let config = format!(
            "{{apiVersion: v1, kind: Config, current-context: c, contexts: [{{name: c, context: {{cluster: c, user: u, \
             namespace: login}}}}], clusters: [{{name: c, cluster: {{server: 'http://{address}'}}}}], users: [{{name: u}}]}}"
        );
        write(&home.path().join("kubeconfig"), &config);
        // The script finds both programs on the path.
        let programs = home.path().join("bin");
        std::fs::create_dir(&programs).unwrap();
        for (name, path) in [("kubectl", needed("kubectl")), ("auth-ticket", env!("CARGO_BIN_EXE_auth-ticket").into())]
        {
            std::os::unix::fs::symlink(path, programs.join(name)).unwrap();
        }
        let api = Shared::default();
        let app = Router::new().fallback(answer).with_state(Arc::clone(&api));
        let limits = ConnectionLimits {
            max_connections: 100,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(10),
            shutdown_grace: Duration::ZERO,
        };
        tokio::spawn(async move {
            // Lives as long as the server, which would take its end for the signal to stop.
            let stop = tokio::sync::watch::Sender::new(false);
            serve(vec![Listener::Tcp(listener)], app, limits, ConnectionCount::default(), stop.subscribe()).await;
        });

        let keys = home.path().join("first");
        succeed(bare(&[]).args(["keys", "init", "--keys"]).arg(&keys));
        for file in std::fs::read_dir(&keys).unwrap().map(Result::unwrap) {
            let name = file.file_name().into_string().unwrap();
            let content = read(&file.path());
            let content = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, content);
            if !name.starts_with('.') {
                api.lock().unwrap().data.insert(name, content);
            }
        }
        api.lock().unwrap().version = 41;
        Self { api, home }
    }

    async fn script(&self, args: &[&str]) -> Output {
        let home = self.home.path();
        let mut command = Command::new("/bin/sh");
        command.arg(shipped("deploy/kubernetes/keys.sh")).args(args).env_clear().env("HOME", home);
        command.env("PATH", format!("{}:/usr/bin:/bin", home.join("bin").display()));
        command.env("KUBECONFIG", home.join("kubeconfig")).env("TMPDIR", home);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    async fn succeeds(&self, args: &[&str]) -> String {
        let output = self.script(args).await;
        assert!(output.status.success(), "{args:?}: {}", told(&output));
        told(&output)
    }

    fn files(&self) -> Vec<String> {
        self.api.lock().unwrap().data.keys().cloned().collect()
    }

    fn version(&self) -> u64 {
        self.api.lock().unwrap().version
    }

    fn ticket_kid(&self) -> String {
        let files = self.files();
        let name = files.iter().find_map(|name| name.strip_prefix("ticket-")?.strip_suffix(".key"));
        name.unwrap().to_owned()
    }

    /// A directory for the steps of the job.
    fn work(&self, name: &str) -> String {
        let path = self.home.path().join(name);
        std::fs::create_dir(&path).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

fn is_ticket_key(name: &str) -> bool {
    name.strip_prefix("ticket-").and_then(|name| name.strip_suffix(".key")).is_some()
}

fn rotate(work: &str) {
    succeed(bare(&[]).args(["keys", "rotate", "--force", "--keys"]).arg(Path::new(work).join("keys")));
}

/// The files of a Secret volume can be read by their group.
#[test]
fn the_gateways_pod_has_its_verifier_file_before_nginx_starts_and_keeps_it_current() {
    let pod = read(&shipped("deploy/kubernetes/gateway.yaml"));
    let commands: Vec<Vec<&str>> = pod
        .lines()
        .filter_map(|line| Some(line.trim().strip_prefix("args: [")?.strip_suffix(']')?.split(", ").collect()))
        .collect();
    let [first, kept] = &commands[..] else { panic!("{commands:?}") };
    let without_watch: Vec<&str> = kept.iter().copied().filter(|word| *word != "--watch").collect();
    assert!(*first == without_watch && kept.len() == first.len() + 1, "{commands:?}");

    let volumes = tempfile::tempdir().unwrap();
    let (keys, verifier) = (volumes.path().join("keys"), volumes.path().join("verifier"));
    succeed(bare(&[]).args(["keys", "init", "--keys"]).arg(&keys));
    std::fs::create_dir(&verifier).unwrap();
    for file in std::fs::read_dir(&keys).unwrap().map(Result::unwrap) {
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o440)).unwrap();
    }
    let at = volumes.path().display();
    let mounted = |word: &&str| if word.starts_with('/') { format!("{at}{word}") } else { (*word).to_owned() };
    succeed(bare(&[]).args(first.iter().map(mounted)));
    let written = std::fs::read(verifier.join("app.verifier")).unwrap();
    let file = AppVerifier::parse(&written, SystemClock.now()).unwrap();
    assert!(pod.contains(&format!("--app, {},", file.appid())), "{pod}");
}

#[test]
fn probes_ask_the_operators_port_which_idle_clients_cannot_fill() {
    let text = |file: &str| read(&shipped(&format!("deploy/kubernetes/{file}")));
    let deployment = text("deployment.yaml");
    let probes: Vec<&str> = deployment.lines().filter_map(|line| line.trim().strip_prefix("httpGet: ")).collect();
    let healthz = "{path: /healthz, port: operators}";
    assert_eq!(probes, [healthz, healthz, "{path: /readyz, port: operators}"]);
    let port = deployment.lines().find(|line| line.contains("name: operators")).unwrap();
    let config = text("auth-ticket.toml");
    let address = config.lines().find_map(|line| line.strip_prefix("admin_listen = ")).unwrap();
    let address: std::net::SocketAddr = address.trim_matches('"').parse().unwrap();
    assert!(port.contains(&format!("containerPort: {}}}", address.port())), "{port}");
    assert!(address.ip().is_unspecified(), "the kubelet comes from outside of the pod: {address}");
    assert!(text("networkpolicy.yaml").contains("- {port: operators}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_adds_keys_and_touches_nothing_else() {
    let cluster = Cluster::start().await;
    let before = cluster.api.lock().unwrap().data.clone();
    cluster.succeeds(&["with", "auth-ticket", "keys", "rotate", "--force"]).await;
    let after = cluster.api.lock().unwrap().data.clone();
    assert_eq!(after.len(), before.len() + 2, "{:?}", cluster.files());
    assert!(before.iter().all(|(name, content)| after.get(name) == Some(content)));
    assert_eq!(cluster.api.lock().unwrap().patches.len(), 1);
    // Nothing secret stays behind.
    let left = std::fs::read_dir(cluster.home.path())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_str().unwrap().starts_with("tmp."));
    assert_eq!(left.count(), 0);
    // What was put there loads.
    let list = cluster.succeeds(&["with", "auth-ticket", "keys", "list"]).await;
    assert!(list.contains("pending") && list.contains("nothing to send"), "{list}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_young_key_means_that_nothing_is_sent() {
    let cluster = Cluster::start().await;
    let told = cluster.succeeds(&["with", "auth-ticket", "keys", "rotate", "--if-older-than", "20d"]).await;
    assert!(told.contains("nothing to send"), "{told}");
    assert_eq!(cluster.version(), 41);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_jobs_that_began_together_one_is_refused() {
    let cluster = Cluster::start().await;
    let (one, other) = (cluster.work("one"), cluster.work("other"));
    for work in [&one, &other] {
        cluster.succeeds(&["fetch", work]).await;
        std::thread::scope(|scope| scope.spawn(|| rotate(work)).join().unwrap());
    }
    cluster.succeeds(&["send", &one]).await;
    let files = cluster.files();
    let output = cluster.script(&["send", &other]).await;
    assert!(!output.status.success() && told(&output).contains("start again"), "{}", told(&output));
    assert_eq!(cluster.files(), files);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_that_comes_between_survives() {
    let cluster = Cluster::start().await;
    let revoked = format!("ticket-{}.revoked", cluster.ticket_kid());
    let work = cluster.work("work");
    cluster.succeeds(&["fetch", &work]).await;
    rotate(&work);
    cluster.api.lock().unwrap().meanwhile.push(revoked.clone());
    assert!(!cluster.script(&["send", &work]).await.status.success());
    assert!(cluster.files().contains(&revoked));
    // The next attempt starts from what is there now.
    cluster.succeeds(&["with", "auth-ticket", "keys", "rotate", "--force"]).await;
    assert!(cluster.files().contains(&revoked));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_killed_before_its_last_step_changes_nothing() {
    let cluster = Cluster::start().await;
    let output = cluster.script(&["with", "sh", "-c", "auth-ticket keys rotate --force && kill -9 $PPID"]).await;
    assert!(!output.status.success() && told(&output).contains("added ticket-"), "{}", told(&output));
    assert_eq!(cluster.version(), 41);
}

#[tokio::test(flavor = "multi_thread")]
async fn revoking_the_sealing_key_is_one_command() {
    let cluster = Cluster::start().await;
    let kid = cluster.ticket_kid();
    cluster.succeeds(&["with", "auth-ticket", "keys", "revoke", &kid]).await;
    let files = cluster.files();
    assert!(files.contains(&format!("ticket-{kid}.revoked")), "{files:?}");
    assert_eq!(files.iter().filter(|name| is_ticket_key(name)).count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_is_sent_also_from_a_directory_that_is_otherwise_broken() {
    let cluster = Cluster::start().await;
    let kid = cluster.ticket_kid();
    cluster.api.lock().unwrap().data.insert("ticket-00000000.key".to_owned(), "e30=".to_owned());
    let output = cluster.script(&["with", "auth-ticket", "keys", "revoke", &kid]).await;
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    assert!(told(&output).contains("NOTHING SEALS"), "{}", told(&output));
    let files = cluster.files();
    assert!(files.contains(&format!("ticket-{kid}.revoked")), "{files:?}\n{}", told(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_offs_are_added_and_replaced_as_a_whole() {
    let cluster = Cluster::start().await;
    cluster.succeeds(&["with", "auth-ticket", "cutoff", "add", "--all"]).await;
    cluster.succeeds(&["with", "auth-ticket", "cutoff", "add", "--login-id", "0123456789abcdef"]).await;
    let list = cluster.succeeds(&["with", "auth-ticket", "cutoff", "list"]).await;
    assert!(list.contains("0123456789abcdef") && list.contains("everybody"), "{list}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_key_is_deleted_but_never_a_revocation_and_no_key_is_edited() {
    let cluster = Cluster::start().await;
    let revoked = "ticket-00000000.revoked";
    cluster.api.lock().unwrap().data.insert(revoked.to_owned(), String::new());
    let name = format!("ticket-{}.key", cluster.ticket_kid());

    let work = cluster.work("work");
    cluster.succeeds(&["fetch", &work]).await;
    let keys = Path::new(&work).join("keys");
    write_script(&keys.join(&name), "something else");
    let output = cluster.script(&["send", &work]).await;
    assert!(!output.status.success() && told(&output).contains("is not what it was"), "{}", told(&output));

    std::fs::remove_file(keys.join(&name)).unwrap();
    std::fs::remove_file(keys.join(revoked)).unwrap();
    let output = cluster.script(&["send", &work]).await;
    assert!(!output.status.success() && told(&output).contains("undo a revocation"), "{}", told(&output));
    assert_eq!(cluster.version(), 41);

    write(&keys.join(revoked), "");
    cluster.succeeds(&["send", &work]).await;
    assert!(!cluster.files().contains(&name) && cluster.files().contains(&revoked.to_owned()));
}
