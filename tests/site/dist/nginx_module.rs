//! The package of the module for nginx, installed beside Debian's own nginx where nothing else is.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;

use auth_ticket::claims::PlatformId;
use auth_ticket::clock::{Clock, SystemClock};
use auth_ticket::keyring::{AppId, LoginId, Purpose};
use auth_ticket::keystore::Directory;
use auth_ticket::ticket::{Policy, Session};

use super::debian::Debian;
use crate::gateways::module::verifier_file;
use crate::support::system::{deploy_tools, needed, succeed, write};
use crate::support::{APPID, Keys, MAX_SESSION_S, until};

const NAME: &str = "libnginx-mod-http-auth-ticket";
const CONFIGURATION: &str = "
    auth_ticket_verifier /etc/nginx/auth-ticket/app.verify;
    server { listen unix:/run/api.sock; location / { auth_ticket on; proxy_pass http://unix:/run/service.sock; } }
    server { listen unix:/run/service.sock; location / { return 200 \"$http_x_auth_openid\\n\"; } }
";

/// What `make nginx-module-deb` has made.
fn package() -> PathBuf {
    let directory = deploy_tools().with_file_name("nginx").join("deb");
    let found = std::fs::read_dir(&directory).into_iter().flatten().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = found.collect();
    assert_eq!(found.len(), 1, "{}: run make nginx-module-deb", directory.display());
    found.remove(0)
}

/// Debian's nginx and what it needs, for what is installed there.
fn nginx_packages(debian: &Debian) -> tempfile::TempDir {
    let archives = tempfile::tempdir().unwrap();
    std::fs::create_dir(archives.path().join("partial")).unwrap();
    let mut apt_get = Command::new(needed("apt-get"));
    // A copy: apt-get does not find its way into another mount namespace.
    let installed = archives.path().join("status");
    std::fs::copy(debian.path("/var/lib/dpkg/status"), &installed).unwrap();
    let status = format!("Dir::State::status={}", installed.display());
    let cache = format!("Dir::Cache::archives={}", archives.path().display());
    apt_get.args(["-qq", "-y", "--download-only", "--no-install-recommends", "-o", "Debug::NoLocking=1", "-o"]);
    apt_get.args([&status, "-o", &cache, "-o", "APT::Sandbox::User=root", "install", "nginx"]);
    succeed(&mut apt_get);
    archives
}

fn ticket(keys: &Keys) -> String {
    let (now, app) = (SystemClock.now(), AppId::parse(APPID).unwrap());
    let (ring, _) = Directory::new(keys.path()).load_ring([app.clone()], now).unwrap();
    let session = Session::new(PlatformId::parse("o-alice").unwrap(), LoginId::generate().unwrap(), now);
    let policy = Policy { ttl_s: 600, max_session_s: MAX_SESSION_S };
    session.seal(&ring, &app, Purpose::Ticket, now, &policy).unwrap().text().to_owned()
}

/// The whole answer to `GET /` at the socket `name` there.
fn get(debian: &Debian, ticket: &str) -> String {
    let mut stream = UnixStream::connect(debian.path("/run/api.sock")).unwrap();
    write!(stream, "GET / HTTP/1.0\r\nHost: api.example.com\r\nweixinauth: {ticket}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
#[ignore = "make dist-test"]
fn the_module_is_installed_checks_tickets_and_is_purged() {
    let (debian, keys) = (Debian::new(), Keys::init());
    let everything = "find / -xdev \\( -path /proc -o -path /dev -o -path /run -o -path /packages \\) -prune -o \
        ! -path '/var/lib/dpkg/*' ! -path '/var/log/*' ! -path '/var/lib/nginx/*' -print | sort";
    let archives = nginx_packages(&debian);
    for archive in std::fs::read_dir(archives.path()).unwrap().map(|entry| entry.unwrap().path()) {
        if archive.extension().is_some_and(|extension| extension == "deb") {
            debian.put(&archive);
        }
    }
    debian.run("dpkg -i /packages/*.deb");
    let before = debian.run(everything);

    let module = debian.put(&package());
    debian.install(&module);
    debian.run(&format!("dpkg -V {NAME}; test -e /etc/nginx/modules-enabled/50-mod-http-auth-ticket.conf"));
    debian.run("install -d -m 750 -g www-data /etc/nginx/auth-ticket");
    write(&debian.path("/etc/nginx/auth-ticket/app.verify"), &verifier_file(&keys));
    debian.run("cd /etc/nginx/auth-ticket; chgrp www-data app.verify; chmod 640 app.verify");
    write(&debian.path("/etc/nginx/conf.d/auth-ticket.conf"), CONFIGURATION);
    let said = debian.run("nginx -t 2>&1");
    assert!(said.contains("test is successful") && !said.contains("[warn]"), "{said}");
    debian.run("nginx");
    until("nginx listens", || UnixStream::connect(debian.path("/run/api.sock")).is_ok());
    let good = get(&debian, &ticket(&keys));
    assert!(good.starts_with("HTTP/1.1 200 ") && good.ends_with("\r\n\r\no-alice\n"), "{good}");
    let bad = get(&debian, "garbage");
    assert!(bad.starts_with("HTTP/1.1 401 ") && bad.contains("\"invalid_ticket\""), "{bad}");
    // Workers are not root, and may read the file.
    let log = debian.run("cat /var/log/nginx/error.log");
    assert!(!log.contains("Permission denied"), "{log}");
    debian.run("nginx -s quit");

    // Installed again, it stays as the administrator has it.
    debian.run("rm /etc/nginx/modules-enabled/50-mod-http-auth-ticket.conf");
    debian.install(&module);
    debian.run("test ! -e /etc/nginx/modules-enabled/50-mod-http-auth-ticket.conf");
    debian.run("rm -r /etc/nginx/conf.d/auth-ticket.conf /etc/nginx/auth-ticket");
    debian.run(&format!("dpkg -P {NAME}; nginx -t"));
    assert_eq!(debian.run(everything), before);
}
