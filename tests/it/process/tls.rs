//! Platforms and the owner's service behind TLS: whom the server trusts, and what it says of others.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::json;
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

use crate::support::{Outcome, Reply, Server, Site, Upstream, auth_ticket, call, simulator, until};

const NOT_TRUSTED: &str = "cannot be reached: its TLS certificate is not trusted";

/// An authority of one's own, and the file that names it.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    _directory: TempDir,
    file: PathBuf,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ca.pem");
        fs::write(&file, params.self_signed(&key).unwrap().pem()).unwrap();
        Self { issuer: Issuer::new(params, key), _directory: directory, file }
    }

    /// Speaks TLS as `name`, and passes on to `behind`. Where it listens.
    fn front(&self, name: &str, behind: SocketAddr) -> SocketAddr {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        let acceptor = TlsAcceptor::from(Arc::new(config.with_single_cert(vec![certificate.into()], key).unwrap()));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    let acceptor = acceptor.clone();
                    tokio::spawn(async move {
                        let Ok(mut client) = acceptor.accept(stream).await else { return };
                        let mut platform = tokio::net::TcpStream::connect(behind).await.unwrap();
                        // Either side may be gone first.
                        let _ = tokio::io::copy_bidirectional(&mut client, &mut platform).await;
                    });
                }
            });
        });
        address
    }
}

/// `command` in a world where `authority` is all that the system trusts.
fn trusting<'a>(command: &'a mut Command, authority: &Authority) -> &'a mut Command {
    command.env("SSL_CERT_FILE", &authority.file)
}

fn with_platform(command: &mut Command, front: SocketAddr) {
    command.env("AUTH_TICKET_APP__0__BASE_URL", format!("https://{front}"));
}

fn doctor(site: &Site) -> Command {
    let mut command = auth_ticket(&["doctor", "--config"]);
    command.arg(&site.config).env("WX_SECRET", Site::SECRET).env("AUTH_TICKET_PUBLIC_URL", "https://login.example.com");
    command
}

#[test]
fn a_platform_whose_certificate_is_trusted_answers_and_any_other_is_told_by_its_cause() {
    let (platform, trusted, other) = (simulator(), Authority::new(), Authority::new());
    let site = Site::new(platform.address, "");
    for (authority, name, works) in
        [(&trusted, "127.0.0.1", true), (&other, "127.0.0.1", false), (&trusted, "platform.example", false)]
    {
        let front = authority.front(name, platform.address);
        let mut command = site.command();
        with_platform(&mut command, front);
        let server = Server::start(trusting(command.env("AUTH_TICKET_ADMIN_LISTEN", "127.0.0.1:0"), &trusted));
        let answer = server.login(&format!("demo-alice-{}", front.port()));
        let mut command = doctor(&site);
        with_platform(&mut command, front);
        let told = Outcome::of(trusting(&mut command, &trusted));
        if works {
            assert_eq!(answer.status, 200, "{answer:?}\n{}", server.stderr());
            assert!(told.stdout.contains("the platform accepts appid and secret"), "{told:?}");
            continue;
        }
        assert_eq!((answer.status, &answer.json()["error"]), (502, &json!("upstream_failed")), "{name}");
        until("the log says why", || server.stderr().contains(NOT_TRUSTED));
        assert_eq!(told.code, Some(1), "{told:?}");
        assert!(told.stdout.contains(NOT_TRUSTED) && told.stdout.contains("SSL_CERT_FILE"), "{told:?}");
    }
}

#[test]
fn an_owners_service_behind_tls_is_trusted_as_platforms_are() {
    let (platform, trusted, other) = (simulator(), Authority::new(), Authority::new());
    let owner = Upstream::start(|_| Reply::Http("200 OK", json!({ "claims": "uid=1001" }).to_string()));
    for (authority, works) in [(&trusted, true), (&other, false)] {
        let url = format!("https://{}/canary", authority.front("127.0.0.1", owner.address));
        let site = Site::new(platform.address, &format!("[claims]\nurl = \"{url}\"\n"));
        let mut command = site.command();
        command.env("AUTH_TICKET_PUBLIC_URL", "https://login.example.com");
        let server = Server::start(trusting(&mut command, &trusted));
        let answer = server.login(&format!("demo-alice-{works}"));
        let told = Outcome::of(trusting(&mut doctor(&site), &trusted));
        assert_eq!(answer.status == 200, works, "{answer:?}");
        assert_eq!(told.stdout.contains("127.0.0.1 answers"), works, "{told:?}");
        until("the log says why", || works || server.stderr().contains(NOT_TRUSTED));
        assert_eq!(told.stdout.contains(&format!("127.0.0.1: {NOT_TRUSTED}")), !works, "{told:?}");
        assert!(!told.stdout.contains("canary") && !server.stderr().contains("canary"), "{told:?}");
    }
}

/// What kept the last call from an answer stands in the warning and in `/readyz`.
#[test]
fn a_platform_that_is_left_alone_is_told_with_the_cause() {
    let site = Site::new("127.0.0.1:1".parse().unwrap(), "");
    let mut command = site.command();
    let server = Server::start(command.env("AUTH_TICKET_ADMIN_LISTEN", "127.0.0.1:0"));
    until("the address for operators is told", || server.stdout().lines().count() == 2);
    let admin = server.admin();
    let cause = "the platform cannot be reached: the connection is refused";
    let mut number = 0;
    until("the platform is left alone", || {
        number += 1;
        server.login(&format!("code-{number}"));
        server.stderr().contains(&format!("the platform does not answer, its circuit breaker opens: {cause}"))
    });
    let told = call(admin, "GET", "/readyz", &[], "").json();
    let reason = told["reasons"][0].as_str().unwrap();
    assert!(reason.ends_with(&format!("the platform does not answer, its circuit breaker is open: {cause}")), "{told}");
}
