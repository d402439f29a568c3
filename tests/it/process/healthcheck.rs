//! `auth-ticket healthcheck`: 0 while the server of this machine is ready, 1 otherwise, whatever the reason.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Instant;

use crate::support::{Outcome, Reply, Server, Site, Upstream, auth_ticket, simulator};

/// Where nobody listens.
const NOBODY: &str = "127.0.0.1:1";

/// The command for a server whose variables are these; without any secret.
fn healthcheck(variables: &[(&str, &str)], arguments: &[&str]) -> Outcome {
    let mut command = auth_ticket(&["healthcheck"]);
    Outcome::of(command.args(arguments).envs(variables.iter().copied()).env_remove("RUST_LOG"))
}

fn at(listen: &str, admin: &str) -> Outcome {
    healthcheck(&[("AUTH_TICKET_LISTEN", listen), ("AUTH_TICKET_ADMIN_LISTEN", admin)], &[])
}

fn answering(status: &'static str) -> String {
    Upstream::start(move |_| Reply::Http(status, String::new())).address.to_string()
}

#[test]
fn a_server_that_is_ready_is_found_where_its_configuration_says() {
    let platform = simulator();
    let site = Site::new(platform.address, "");
    let server = Server::start(site.command().args(["--admin-listen", "127.0.0.1:0"]));
    let listen = server.address;
    crate::support::until("both addresses are told", || server.stdout().lines().count() == 2);
    let admin = server.admin();

    let told = at(NOBODY, &admin.to_string()).done();
    assert_eq!(told, format!("ready: http://{admin}/readyz\n"));
    // Nobody listens for operators, or nobody is to.
    for no_admin in [NOBODY, ""] {
        assert_eq!(at(&listen.to_string(), no_admin).done(), format!("ready: http://{listen}/readyz\n"));
    }
    // A wildcard is this machine, and so is localhost.
    for all in ["0.0.0.0", "[::]", "localhost"] {
        assert_eq!(at(NOBODY, &format!("{all}:{}", admin.port())).done(), told, "{all}");
    }

    // The file says where; what is wrong elsewhere in it, and secrets that are missing, are not looked for.
    let file = site.keys.root().join("other.toml");
    let text = format!("admin_listen = \"{admin}\"\nunknown = 1\n[[app]]\nappid = \"a/b\"\nsecret_env = \"MISSING\"\n");
    std::fs::write(&file, text).unwrap();
    let file = file.display().to_string();
    assert_eq!(healthcheck(&[], &["--config", &file]).done(), told);
    assert_eq!(healthcheck(&[("AUTH_TICKET_CONFIG", &file)], &[]).done(), told);

    for url in [format!("http://{admin}"), format!("http://{admin}/"), format!("http://{admin}/healthz?x")] {
        healthcheck(&[("http_proxy", "http://127.0.0.1:1")], &["--url", &url]).done();
    }
}

#[test]
fn whatever_is_not_ready_is_1() {
    let ready = answering("200 OK");
    at(NOBODY, &ready).done();
    for (status, told) in [
        ("503 Service Unavailable", "answers with status 503"),
        ("404 Not Found", "answers with status 404"),
        ("204 No Content", "answers with status 204"),
        ("302 Found\r\nLocation: /elsewhere", "answers with status 302"),
    ] {
        // The address for operators decides, if anybody is there.
        let refused = at(&ready, &answering(status)).refused();
        assert!(refused.contains("not ready: http://127.0.0.1:") && refused.contains(told), "{refused}");
    }
    let no_http = Upstream::start(|_| Reply::Http("no status\r\n", String::new())).address.to_string();
    at(&ready, &no_http).refused();
    let refused = at("127.0.0.2:1", NOBODY).refused();
    assert!(refused.contains("nobody listens at http://127.0.0.1:1/readyz, http://127.0.0.2:1/readyz"), "{refused}");

    let start = Instant::now();
    let silent = Upstream::start(|_| Reply::Silence).address.to_string();
    let refused = at(&ready, &silent).refused();
    assert!(refused.contains("does not answer within 3 s"), "{refused}");
    assert!(start.elapsed().as_secs() < 10);
}

#[test]
fn addresses_that_cannot_be_known_are_said_to_be() {
    let refused = at("127.0.0.1:0", "127.0.0.1:0").refused();
    assert!(refused.contains("port 0") && refused.contains("--url"), "{refused}");
    let refused = at("8080", NOBODY).refused();
    assert!(refused.contains("AUTH_TICKET_LISTEN: listen: \"8080\" is not an address"), "{refused}");
    let refused = healthcheck(&[], &["--config", "/nowhere/login.toml"]).refused();
    assert!(refused.contains("there is no such file"), "{refused}");
}

/// Both addresses of `localhost`, where the host has the second.
fn is_reached(told: SocketAddr) {
    assert_eq!(told.ip(), Ipv4Addr::LOCALHOST);
    TcpStream::connect(told).unwrap();
    if std::net::TcpListener::bind("[::1]:0").is_ok() {
        TcpStream::connect(("::1", told.port())).unwrap();
    }
}

#[test]
fn every_server_listens_on_localhost_by_its_name() {
    let platform = Server::start(&mut auth_ticket(&["simulator", "--listen", "localhost:0"]));
    is_reached(platform.address);
    is_reached(Server::start(&mut auth_ticket(&["demo", "--listen", "localhost:0"])).address);
    let site = Site::new(platform.address, "");
    let server = Server::start(site.command().args(["--listen", "localhost:0", "--admin-listen", "localhost:0"]));
    is_reached(server.address);
    crate::support::until("both addresses are told", || server.stdout().lines().count() == 2);
    let admin = server.admin();
    is_reached(admin);
    at(NOBODY, &format!("localhost:{}", admin.port())).done();
}
