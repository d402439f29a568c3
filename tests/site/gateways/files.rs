//! The shipped files as they stand: complete, well-formed, and in the gateways' own eyes valid.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::gateway::{Kind, headers_of_answer, program};
use crate::support::TestServer;
use crate::support::system::{needed, read, shipped, succeed, told, write};

/// The headers of every 200 of this version's server and its next one.
pub(super) const IDENTITY: [&str; 9] = [
    "x-auth-appid",
    "x-auth-platform",
    "x-auth-openid",
    "x-auth-unionid",
    "x-auth-phone",
    "x-auth-login-id",
    "x-auth-expires-at",
    "x-auth-claims",
    "x-auth-assertion",
];

/// The content of a YAML file.
pub(crate) fn yaml(text: &str) -> Value {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file.yaml");
    write(&file, text);
    let script = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";
    let json = succeed(Command::new(needed("python")).args(["-c", script]).arg(file));
    serde_json::from_str(&json).unwrap()
}

/// `text` with every `from` replaced, each of which must be there.
pub(crate) fn replaced(mut text: String, changes: &[(&str, &str)]) -> String {
    for (from, to) in changes {
        assert!(text.contains(from), "the shipped file has no {from}");
        text = text.replace(from, to);
    }
    text
}

/// The words of `text` that begin as identity headers do, in lower case and with hyphens.
fn names(text: &str) -> BTreeSet<String> {
    text.to_lowercase()
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
        .filter(|word| word.starts_with("x-auth-") && word.len() > "x-auth-".len())
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn the_files_know_every_header_that_the_server_sends() {
    let server = TestServer::start().await;
    let answer = server.verify(&server.ticket_for("alice").await).await;
    for (name, _) in headers_of_answer(&answer) {
        assert!(IDENTITY.contains(&&*name), "{name}");
    }
    let all = IDENTITY.iter().map(|&name| name.to_owned()).collect();
    for file in ["gateways/nginx.conf", "gateways/Caddyfile", "gateways/envoy.yaml", "gateways/apisix/apisix.yaml"] {
        let text = read(&shipped("deploy").join(file));
        let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
        assert_eq!(names(&code.join("\n")), all, "{file}");
    }
    // The balancer in front of the server itself takes them from clients, too.
    assert_eq!(names(&read(&shipped("deploy/nginx/auth-ticket.conf")).replace("# ", "")), all);
}

fn make_certificate(directory: &Path) -> [String; 3] {
    let [crt, key, both] = ["crt", "key", "pem"].map(|kind| directory.join(format!("tls.{kind}")));
    let mut openssl = Command::new(needed("openssl"));
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]);
    succeed(openssl.args(["-subj", "/CN=api.example.com", "-keyout"]).arg(&key).arg("-out").arg(&crt));
    write(&both, &format!("{}{}", read(&crt), read(&key)));
    [crt, key, both].map(|path| path.display().to_string())
}

#[test]
fn each_gateway_takes_its_file_with_nothing_changed_but_where_files_lie() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let [crt, key, both] = make_certificate(at);
    let lua = shipped("deploy/gateways/haproxy/auth-ticket.lua").display().to_string();
    let checked = |kind: Kind, file: &str, changes: &[(&str, &str)], arguments: &[&str]| {
        let text = replaced(read(&shipped("deploy/gateways").join(file)), changes);
        let path = at.join(file.rsplit('/').next().unwrap());
        write(&path, &text);
        let output = program(kind, at).args(arguments).arg(&path).output().unwrap();
        assert!(output.status.success(), "{kind:?}: {}", told(&output));
    };
    let nginx = [("/etc/nginx/tls/api.example.com.crt", &*crt), ("/etc/nginx/tls/api.example.com.key", &*key)];
    let whole =
        |text: String| format!("pid {}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\n{text}\n}}\n", at.display());
    let site = whole(replaced(read(&shipped("deploy/gateways/nginx.conf")), &nginx));
    write(&at.join("nginx.conf"), &site);
    let tested = program(Kind::Nginx, at).arg("-t").arg("-p").arg(at).arg("-c").arg(at.join("nginx.conf")).output();
    let tested = tested.unwrap();
    assert!(tested.status.success(), "{}", told(&tested));

    checked(Kind::Caddy, "Caddyfile", &[], &["adapt", "--validate", "--adapter", "caddyfile", "--config"]);
    let haproxy = [("/etc/haproxy/auth-ticket.lua", &*lua), ("/etc/haproxy/api.example.com.pem", &*both)];
    checked(Kind::Haproxy, "haproxy/haproxy.cfg", &haproxy, &["-c", "-f"]);
    let envoy = [("/etc/envoy/api.example.com.crt", &*crt), ("/etc/envoy/api.example.com.key", &*key)];
    checked(Kind::Envoy, "envoy-jwt.yaml", &envoy, &["--mode", "validate", "--use-dynamic-base-id", "-c"]);
    checked(Kind::Envoy, "envoy.yaml", &envoy, &["--mode", "validate", "--use-dynamic-base-id", "-c"]);
}
