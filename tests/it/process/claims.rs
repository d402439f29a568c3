//! The claims hook as an operator sets it up.

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::Signal;
use serde_json::json;

use crate::support::{APPID, Outcome, Reply, Server, Site, Upstream, auth_ticket, simulator, until};

const PUBLIC_URL: (&str, &str) = ("AUTH_TICKET_PUBLIC_URL", "https://login.example.com");

fn site(platform: &Server, url: &str) -> Site {
    Site::new(platform.address, &format!("[compat]\nenabled = true\n[claims]\nurl = \"{url}\"\ntimeout = \"500ms\"\n"))
}

fn serve(site: &Site) -> Command {
    let mut command = site.command();
    command.env(PUBLIC_URL.0, PUBLIC_URL.1);
    command
}

#[test]
fn what_the_owner_says_goes_into_the_ticket() {
    let platform = simulator();
    let owner = Upstream::start(|_| Reply::Http("200 OK", json!({ "claims": "uid=1001" }).to_string()));
    let site = site(&platform, &format!("http://{}/ask", owner.address));
    let server = Server::start(&mut serve(&site));
    let ticket = server.ticket("demo-alice-1");
    let renewed = server.post("/v1/renew", &[("weixinauth", &ticket)], "").json();
    for ticket in [&ticket, renewed["ticket"].as_str().unwrap()] {
        assert_eq!(server.verify(ticket).header("x-auth-claims"), Some("uid=1001"));
    }
    let [login, renewal] = owner.requests().try_into().expect("two questions");
    for question in [login, renewal] {
        let (head, jwt) = question.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("POST /ask HTTP/1.1\r\n") && jwt.split('.').count() == 3, "{question}");
        let header = jsonwebtoken::decode_header(jwt).unwrap();
        assert_eq!(header.typ.as_deref(), Some("claims-request+jwt"));
    }
}

/// Rule: a question is signed with the keys of access tokens and is none, and introspection does not ask the owner.
#[test]
fn a_question_to_the_owner_is_never_active_and_a_ticket_is_until_it_is_cut_off() {
    let (platform, blocks) = (simulator(), Arc::new(AtomicBool::new(false)));
    let blocked = Arc::clone(&blocks);
    let owner = Upstream::start(move |_| {
        if blocked.load(Ordering::Relaxed) {
            Reply::Http("403 Forbidden", String::new())
        } else {
            Reply::Http("200 OK", json!({ "claims": "uid=1001" }).to_string())
        }
    });
    let site = Site::new(
        platform.address,
        &format!(
            "[[service]]\nid = \"orders\"\nsecret_env = \"ORDERS_SECRET\"\n[jwt]\naudiences = [\"orders\"]\n[claims]\nurl = \
             \"http://{}/ask\"\n",
            owner.address
        ),
    );
    let server = Server::start(serve(&site).env("ORDERS_SECRET", "a-secret-of-orders"));
    let ask = |route: &str, form: &str| {
        let form = format!("client_id=orders&client_secret=a-secret-of-orders&{form}");
        server.post(route, &[("Content-Type", "application/x-www-form-urlencoded")], &form).json()
    };
    let introspect = |token: &str| ask("/v1/introspect", &format!("token={token}"));
    let ticket = server.ticket("demo-alice-1");
    let exchange = format!(
        "grant_type=urn:ietf:params:oauth:grant-type:token-exchange\
         &subject_token_type=urn:auth-ticket:params:oauth:token-type:auth-ticket&subject_token={ticket}"
    );
    let token = ask("/v1/token", &exchange)["access_token"].as_str().unwrap().to_owned();
    blocks.store(true, Ordering::Relaxed);
    assert_eq!(server.post("/v1/renew", &[("weixinauth", &ticket)], "").json()["error"], "user_blocked");
    for (token, kind) in [(&ticket, "AuthTicket"), (&token, "Bearer")] {
        let told = introspect(token);
        assert_eq!((&told["active"], &told["token_type"]), (&json!(true), &json!(kind)), "{told}");
        assert_eq!(told["claims"], "uid=1001");
    }
    let questions = owner.requests();
    assert_eq!(questions.len(), 2, "for the login and the renewal, and none for what was introspected");
    for question in &questions {
        let (_, jwt) = question.split_once("\r\n\r\n").unwrap();
        let header = jsonwebtoken::decode_header(jwt).unwrap();
        assert_eq!(header.kid, jsonwebtoken::decode_header(&token).unwrap().kid, "by the key of access tokens");
        assert_eq!(introspect(jwt), json!({ "active": false }));
    }

    let openid = introspect(&ticket)["openid"].as_str().unwrap().to_owned();
    let mut cut_off = auth_ticket(&["cutoff", "add", "--appid", APPID, "--openid", &openid, "--keys"]);
    Outcome::of(cut_off.arg(site.keys.path())).done();
    server.signal(Signal::HUP);
    for token in [&ticket, &token] {
        until("the user is cut off", || introspect(token) == json!({ "active": false }));
    }
}

#[test]
fn who_is_not_bound_is_told_so_in_each_routes_own_way() {
    let platform = simulator();
    let owner = Upstream::start(|_| Reply::Http("404 Not Found", String::new()));
    let site = site(&platform, &format!("http://{}/", owner.address));
    let server = Server::start(&mut serve(&site));
    let answer = server.login("demo-alice-1");
    assert_eq!((answer.status, &answer.json()["error"]), (403, &json!("not_bound")));
    let first = server.get("/miniLogin/login.ajax?code=demo-alice-2", &[]).json();
    assert_eq!((&first["code"], owner.requests().len()), (&json!(200), 1), "the first step asks nobody: {first}");
}

#[test]
fn questions_need_a_key_to_sign_with_and_an_issuer() {
    let platform = simulator();
    let site = site(&platform, "https://users.internal/ask");
    let refused = Outcome::of(&mut site.command()).refused();
    assert!(refused.contains("public_url: is missing, and claims.url needs it"), "{refused}");
    let jwt = site.keys.names().into_iter().find(|name| name.starts_with("jwt-")).unwrap();
    fs::remove_file(site.keys.file(&jwt)).unwrap();
    let refused = Outcome::of(&mut serve(&site)).refused();
    assert!(refused.contains("claims.url is set, but there is no jwt key to sign questions with"), "{refused}");
    assert!(refused.contains("auth-ticket keys rotate --use jwt"), "{refused}");
}

#[test]
fn why_the_owner_cannot_be_reached_is_in_the_log() {
    let platform = simulator();
    let site = site(&platform, "http://127.0.0.1:1/canary");
    let server = Server::start(&mut serve(&site));
    assert_eq!(server.login("demo-alice-1").status, 503);
    until("the log says why", || server.stderr().contains("cannot be reached: the connection is refused"));
    assert!(!server.stderr().contains("canary"), "{}", server.stderr());
}

#[test]
fn doctor_looks_whether_the_owner_can_be_reached_and_asks_nothing() {
    let platform = simulator();
    let owner = Upstream::start(|_| Reply::Http("404 Not Found", String::new()));
    let doctor = |site: &Site| {
        let mut command = auth_ticket(&["doctor", "--config"]);
        command.arg(&site.config).env("WX_SECRET", Site::SECRET).env(PUBLIC_URL.0, PUBLIC_URL.1);
        Outcome::of(&mut command)
    };
    let told = doctor(&site(&platform, &format!("http://{}/ask", owner.address))).done();
    assert!(told.contains("127.0.0.1 answers"), "{told}");
    let [seen] = owner.requests().try_into().expect("one request");
    assert!(seen.starts_with("HEAD / HTTP/1.1\r\n") && seen.ends_with("\r\n\r\n"), "{seen}");
    let silent = Upstream::start(|_| Reply::Silence);
    for (url, what, remedy) in [
        ("http://127.0.0.1:1/canary", "127.0.0.1: cannot be reached: the connection is refused", "the service runs"),
        (
            "http://nowhere.invalid/canary",
            "nowhere.invalid: cannot be reached: its host name is not known",
            "see that DNS",
        ),
        (&format!("https://{}/canary", owner.address), "the TLS handshake fails", "right about https"),
        (&format!("http://{}/canary", silent.address), "127.0.0.1: no answer in time", "the service runs"),
    ] {
        let told = doctor(&site(&platform, url));
        assert_eq!(told.code, Some(1), "{told:?}");
        assert!(told.stdout.contains(what) && told.stdout.contains(remedy), "{what}: {told:?}");
        assert!(!told.stdout.contains("canary"), "{told:?}");
    }
}
