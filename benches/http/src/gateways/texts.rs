//! Configurations of gateways, made of what `deploy/gateways` holds.

use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};

use super::{Check, Kind};

/// Where a gateway and those that it asks are.
pub(super) struct Places<'a> {
    /// Files of the gateway go here.
    pub(super) directory: &'a Path,
    pub(super) port: u16,
    /// IP:PORT.
    pub(super) ours: &'a str,
    pub(super) ours_socket: &'a str,
    pub(super) hyper: &'a str,
    /// For the module.
    pub(super) verifier: &'a str,
    pub(super) module: &'a str,
}

impl Places<'_> {
    /// Who answers checks, in the words of most gateways; `prefix` is that of a Unix socket's path.
    fn check(&self, check: Check, prefix: &str) -> String {
        match check {
            Check::Socket => format!("{prefix}{}", self.ours_socket),
            Check::Hyper => self.hyper.to_owned(),
            _ => self.ours.to_owned(),
        }
    }
}

/// The configuration of one gateway.
pub(super) fn text(kind: Kind, check: Check, places: &Places) -> anyhow::Result<String> {
    match kind {
        Kind::Nginx => nginx(check, places),
        Kind::Haproxy => haproxy(check, places),
        Kind::Caddy => caddy(check, places),
        Kind::Envoy => envoy(check, places),
    }
}

fn shipped(name: &str) -> anyhow::Result<String> {
    let path = Path::new("deploy/gateways").join(name);
    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// Replaces each text, which has to be there.
fn replaced(mut text: String, changes: &[(&str, &str)]) -> anyhow::Result<String> {
    for (from, to) in changes {
        ensure!(text.contains(from), "the shipped file has no {from:?}");
        text = text.replace(from, to);
    }
    Ok(text)
}

/// Leaves out what begins with `from` and ends before `to`.
fn without(text: &str, from: &str, to: &str) -> anyhow::Result<String> {
    let (before, rest) = text.split_once(from).with_context(|| format!("the shipped file has no {from:?}"))?;
    let (_, after) = rest.split_once(to).with_context(|| format!("the shipped file has no {to:?} after {from:?}"))?;
    Ok(format!("{before}{to}{after}"))
}

/// Leaves out the lines that have one of these in them.
fn without_lines(text: &str, parts: &[&str]) -> anyhow::Result<String> {
    for part in parts {
        ensure!(text.contains(part), "the shipped file has no {part:?}");
    }
    let lines = text.split_inclusive('\n').filter(|line| !parts.iter().any(|part| line.contains(part)));
    Ok(lines.collect())
}

fn nginx(check: Check, places: &Places) -> anyhow::Result<String> {
    let directory = places.directory.display();
    let listen = format!("listen 127.0.0.1:{};", places.port);
    let auth = places.check(check, "unix:");
    let site = replaced(
        without_lines(&shipped("nginx.conf")?, &["ssl_"])?,
        &[
            ("listen 443 ssl;\n    listen [::]:443 ssl;", &*listen),
            ("127.0.0.1:8080", &*auth),
            // Not `return`, which answers before anything is checked.
            ("proxy_pass http://service;", "empty_gif;"),
        ],
    )?;
    let (mut load, mut module) = (String::new(), String::new());
    let site = match check {
        Check::Tcp | Check::Socket | Check::Hyper => site,
        Check::Fixed => replaced(site, &[("proxy_pass http://auth_ticket_check/v1/verify;", "return 204;")])?,
        Check::None | Check::Module => {
            let lines = ["auth_request", "X-Auth-", "weixinauth", "Authorization ", "error_page 40"];
            without_lines(&site, &lines)?
        }
    };
    if check == Check::Module {
        load = format!("load_module {};\n", places.module);
        module = format!("auth_ticket_verifier {};\nauth_ticket_max_stale off;\n", places.verifier);
    }
    let site = match check {
        Check::Module => replaced(site, &[("    location / {\n", "    location / {\n        auth_ticket on;\n")])?,
        _ => site,
    };
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {directory}/{name};\n"))
        .concat();
    // One process, so that its time is that of nginx; and a client may send as many requests as it likes.
    Ok(format!(
        "{load}daemon off;\nmaster_process off;\npid {directory}/pid;\nerror_log stderr;\n\
         events {{ worker_connections 1024; }}\nhttp {{\n{temporary}access_log off;\nkeepalive_requests 100000000;\n{module}{site}}}\n"
    ))
}

fn haproxy(check: Check, places: &Places) -> anyhow::Result<String> {
    let directory = places.directory.display();
    let listen = format!("bind 127.0.0.1:{}", places.port);
    let auth = places.check(check, "unix@");
    let (inner, script) = (format!("unix@{directory}/check"), format!("{directory}/auth-ticket.lua"));
    fs::write(places.directory.join("auth-ticket.lua"), shipped("haproxy/auth-ticket.lua")?)?;
    let text = replaced(
        shipped("haproxy/haproxy.cfg")?,
        &[
            ("bind :::443 v4v6 ssl crt /etc/haproxy/api.example.com.pem alpn h2,http/1.1", &*listen),
            ("abns@auth-ticket-check", &*inner),
            ("/etc/haproxy/auth-ticket.lua", &*script),
            ("127.0.0.1:8080", &*auth),
        ],
    )?;
    let text = match check {
        Check::None => without_lines(&text, &["    http-request ", "lua-load-per-thread"])?,
        _ => text,
    };
    replaced(text, &[("    default_backend service\n", "    http-request return status 200\n")])
}

fn caddy(check: Check, places: &Places) -> anyhow::Result<String> {
    let site = format!("http://:{} {{\n\tbind 127.0.0.1", places.port);
    let auth = places.check(check, "unix/");
    let text = replaced(
        shipped("Caddyfile")?,
        &[
            ("api.example.com {", &*site),
            ("forward_auth 127.0.0.1:8080", &format!("forward_auth {auth}")),
            ("reverse_proxy 127.0.0.1:3000", "respond 200"),
        ],
    )?;
    let text = match check {
        Check::None => without(&text, "\t\trequest_header -X-Auth-*", "\t\t# here: your service")?,
        _ => text,
    };
    Ok(format!("{{\n\tadmin off\n}}\n{text}"))
}

fn envoy(check: Check, places: &Places) -> anyhow::Result<String> {
    let socket_address =
        |address: &str| address.split_once(':').map(|(_, port)| format!("address: 127.0.0.1, port_value: {port}"));
    let check_address = socket_address(&places.check(check, ""));
    let listen = format!("address: 127.0.0.1, port_value: {}", places.port);
    let text = without(&shipped("envoy.yaml")?, "        - transport_socket:", "          filters:")?;
    let text = replaced(
        text,
        &[
            ("          filters:\n", "        - filters:\n"),
            ("address: \"::\", ipv4_compat: true, port_value: 443", &*listen),
            ("route: {cluster: service, timeout: 60s, idle_timeout: 75s}", "direct_response: {status: 200}"),
        ],
    )?;
    match check {
        Check::None => without(
            &text,
            "                  - name: identity-is-not-the-clients",
            "                  - name: envoy.filters.http.router",
        ),
        Check::Socket => {
            let pipe = format!("pipe: {{path: {}}}", places.ours_socket);
            replaced(
                text,
                &[
                    ("- name: auth_ticket\n      type: STRICT_DNS", "- name: auth_ticket\n      type: STATIC"),
                    ("socket_address: {address: 127.0.0.1, port_value: 8080}", &*pipe),
                ],
            )
        }
        _ => {
            let address = check_address.context("the check has no port")?;
            replaced(text, &[("address: 127.0.0.1, port_value: 8080", &*address)])
        }
    }
}
