//! `examples/`: each service lets in whoever has a good token, and nobody else.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::forge::{Signer, encode};
use super::matrix::Material;
use super::tools::{NodeScript, clean, packages, python, root};
use super::world::{JWKS, World};
use crate::support::{APPID, Answer, Keys, Reply, Server, Upstream, call, try_call, until};

/// What an example is allowed to ask the server more than once in.
const PAUSE_S: u64 = 5;

/// How the keys that an example holds grow old.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Age {
    /// By the clock that the test moves.
    Clock,
    /// In a second: Go reads the time without the C library, so no test can move it, and Java's web server crawls when one does.
    Seconds,
}

struct Example {
    world: World,
    service: Server,
    attacker: Upstream,
    age: Age,
    es256: String,
    eddsa: String,
    _files: Box<dyn std::any::Any>,
}

impl Example {
    /// A world with a key of each algorithm, and the service that `make` starts in it.
    fn start(age: Age, make: impl FnOnce() -> (Command, Box<dyn std::any::Any>)) -> Self {
        let mut world = World::start(&[]);
        let es256 = world.token();
        // The later key is the one that signs.
        world.clock.advance(2);
        let second = Keys::missing();
        let mut init = second.command(&["init", "--jwt-alg", "EdDSA"]);
        second.watch(&["init"], world.clock.apply_to_date(&mut init)).done();
        let name = second.names().into_iter().find(|name| name.starts_with("jwt-")).unwrap();
        std::fs::copy(second.file(&name), world.site.keys.file(&name)).unwrap();
        world.reload(2);
        let eddsa = world.token();
        if age == Age::Seconds {
            world.front.shorten_max_age(1);
        }
        let (mut command, files) = make();
        command.env("ISSUER", world.front.url()).env("AUDIENCE", "orders").env("APPID", APPID).env("PORT", "0");
        if age == Age::Clock {
            world.clock.apply(&mut command);
        }
        let service = Server::start(&mut command);
        let attacker = Upstream::start(|_| Reply::Http("200 OK", Signer::of_attacker("ES256").jwk.to_string()));
        Self { world, service, attacker, age, es256, eddsa, _files: files }
    }

    fn me(&self, token: &str) -> std::io::Result<Answer> {
        try_call(self.service.address, "GET", "/me", &[("Authorization", &format!("Bearer {token}"))], "")
    }

    #[track_caller]
    fn lets_in(&self, why: &str, token: &str) -> Value {
        let answer = self.me(token).unwrap();
        assert_eq!(answer.status, 200, "{why}: {answer:?}\n{}\n{}", self.service.stderr(), self.service.stdout());
        answer.json()
    }

    fn is_refused(&self, token: &str) -> bool {
        let answer = self.me(token).unwrap();
        answer.status == 401 && answer.header("www-authenticate") == Some("Bearer error=\"invalid_token\"")
    }

    fn all(self) {
        self.tokens_of_the_server_are_good();
        self.the_matrix();
        self.made_up_kids_are_no_storm();
        self.keys_outlive_the_server_and_die_with_it_back();
    }

    fn tokens_of_the_server_are_good(&self) {
        let alg = |token: &str| jsonwebtoken::decode_header(token).map(|header| format!("{:?}", header.alg)).unwrap();
        assert_eq!((alg(&self.es256), alg(&self.eddsa)), ("ES256".to_owned(), "EdDSA".to_owned()));
        let session = self.world.server.get("/v1/session", &[("weixinauth", &self.world.ticket())]).json();
        for token in [&self.es256, &self.eddsa] {
            let me = self.lets_in("a token of the server", token);
            for name in ["appid", "platform", "openid", "unionid"] {
                assert_eq!(me[name], session[name], "{name}");
            }
            assert_eq!(me["sub"], session["openid"]);
            assert_eq!(me.as_object().unwrap().len(), 6, "and login_id: {me}");
        }
        let address = self.service.address;
        for headers in [&[][..], &[("Authorization", "Basic eDp5")]] {
            let answer = try_call(address, "GET", "/me", headers, "").unwrap();
            assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer")), "{headers:?}");
        }
        let lower = format!("bearer {}", self.es256);
        assert_eq!(try_call(address, "GET", "/me", &[("authorization", &lower)], "").unwrap().status, 200);
    }

    fn signer(&self, token: &str) -> Signer {
        let kid = jsonwebtoken::decode_header(token).unwrap().kid.unwrap();
        Signer::of_server(&self.world.site.keys, &kid, &self.world.jwks())
    }

    fn the_matrix(&self) {
        let (es256, eddsa) = (self.signer(&self.es256), self.signer(&self.eddsa));
        let ticket = self.world.ticket();
        let attacker = format!("http://{}", self.attacker.address);
        let material = Material {
            signers: [&es256, &eddsa],
            claims: claims_of(&self.eddsa),
            now: self.world.clock.now(),
            ticket: &ticket,
            ticket_kid: &self.world.site.keys.kid("ticket", "active"),
            attacker: &attacker,
        };
        for case in material.good() {
            self.lets_in(&case.why, &case.token);
        }
        let mut faults = Vec::new();
        for case in material.bad() {
            // Above 16 KiB a server may say so, or hang up.
            let is_long = case.token.len() > 16 * 1024;
            match self.me(&case.token) {
                Err(_) if is_long => {}
                Ok(answer) if is_long && matches!(answer.status, 400 | 413 | 431) => {}
                Ok(answer) if answer.status == 401 && answer.header("www-authenticate").is_some() => {}
                other => faults.push(format!("{}: {other:?}", case.why)),
            }
        }
        assert!(faults.is_empty(), "\n{}\n{}", faults.join("\n"), self.service.stderr());
        self.lets_in("after all of that", &self.es256);
        assert_eq!(self.attacker.requests(), Vec::<String>::new(), "nobody goes where a token says");
    }

    fn made_up_kids_are_no_storm(&self) {
        let (began, before) = (Instant::now(), self.world.front.count(JWKS));
        for number in 0..50 {
            assert!(self.is_refused(&with_made_up_kid(number)));
        }
        let asked = self.world.front.count(JWKS) - before;
        let allowed = 1 + began.elapsed().as_secs() / PAUSE_S;
        assert!(u64::try_from(asked).unwrap() <= allowed, "asked {asked} times for 50 kids, not {allowed}");
    }

    fn grow_old(&mut self) {
        if self.age == Age::Clock {
            self.world.clock.advance(301);
        }
    }

    fn keys_outlive_the_server_and_die_with_it_back(mut self) {
        // Counted before the keys are old: who has a timer may ask at once.
        let asked = self.world.front.count(JWKS);
        self.world.front.go_away();
        self.grow_old();
        let late = self.world.token();
        until("it asks the server, which is away", || {
            self.lets_in("while the server is away", &late);
            self.world.front.count(JWKS) > asked
        });
        self.lets_in("after it has asked in vain", &late);

        let kid = jsonwebtoken::decode_header(&late).unwrap().kid.unwrap();
        self.world.keys(&["revoke", &format!("jwt-{kid}")], 2);
        self.lets_in("nobody has told it yet", &late);
        self.world.front.lead_to(self.world.server.address);
        self.grow_old();
        until("the revoked key is dead", || self.is_refused(&late));
        let next = self.world.token();
        assert_ne!(jsonwebtoken::decode_header(&next).unwrap().kid, Some(kid));
        until("the successor is known", || self.me(&next).unwrap().status == 200);
    }
}

/// A token whose kid the server has never had.
fn with_made_up_kid(number: u32) -> String {
    let header = json!({ "typ": "at+jwt", "alg": "ES256", "kid": format!("{number:08x}") });
    format!("{}.{}.{}", encode(header.to_string()), encode("{}"), encode([1; 64]))
}

fn claims_of(token: &str) -> Value {
    jsonwebtoken::dangerous::insecure_decode_claims(token).unwrap()
}

/// Tokens of known keys go on while a hundred made-up kids wait for a server that hangs.
fn a_hanging_server_holds_up_nobody(example: &Example) {
    let quickly = |token: &str| {
        let began = Instant::now();
        example.lets_in("while the server hangs", token);
        let took = began.elapsed();
        assert!(took < Duration::from_millis(1500), "{took:?}, and a question to the server takes 2 s");
    };
    let asked = example.world.front.count(JWKS);
    example.world.front.hang();
    // Once the keys are old and the last question is long enough ago.
    until("the server is asked", || {
        quickly(&example.es256);
        example.world.front.count(JWKS) > asked
    });
    let (address, began) = (example.service.address, Instant::now());
    let strangers: Vec<_> = (0..100)
        .map(|number| {
            let authorization = format!("Bearer {}", with_made_up_kid(0xbad0_0000 + number));
            std::thread::spawn(move || call(address, "GET", "/me", &[("Authorization", &authorization)], "").status)
        })
        .collect();
    for _ in 0..20 {
        quickly(&example.es256);
        quickly(&example.eddsa);
    }
    for stranger in strangers {
        assert_eq!(stranger.join().unwrap(), 401);
    }
    let (asked, allowed) = (example.world.front.count(JWKS) - asked, 1 + began.elapsed().as_secs() / PAUSE_S);
    assert!(u64::try_from(asked).unwrap() <= allowed, "asked {asked} times for all of them, not {allowed}");
    example.world.front.lead_to(example.world.server.address);
}

/// Other apps' users may have tokens for the same audience.
fn the_app_is_checked(example: &Example) {
    for token in [&example.es256, &example.eddsa] {
        let (signer, claims) = (example.signer(token), claims_of(token));
        for appid in [json!("wxfedcba9876543210"), json!(null), json!([APPID]), json!("")] {
            let mut claims = claims.clone();
            claims["appid"] = appid.clone();
            let token = signer.sign(&signer.header().to_string(), &claims.to_string());
            assert!(example.is_refused(&token), "{appid}");
        }
    }
}

/// What a person reads who has made a mistake.
fn java_says_what_is_wrong(example: &Example, classes: &Path) {
    let start = |settings: &[(&str, &str)]| {
        let output = java(classes).envs(settings.iter().copied()).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let url = example.world.front.url();
    let good = [("ISSUER", &*url), ("AUDIENCE", "orders"), ("APPID", APPID), ("PORT", "0")];
    let but = |name: &'static str, value: &'static str| {
        start(&good.map(|(found, kept)| if found == name { (found, value) } else { (found, kept) }))
    };
    assert_eq!(
        but("APPID", ""),
        "error: APPID is not set; it is the app whose users may come in; several with commas between\n"
    );
    assert_eq!(
        but("ISSUER", "http://127.0.0.1:1"),
        "error: cannot get the keys of http://127.0.0.1:1: nobody answers there\n"
    );
    assert_eq!(but("ISSUER", "login"), "error: ISSUER is no URL: login\n");
    assert!(but("PORT", "http").starts_with("error: cannot listen on port http: "));
    let other = start(&[("ISSUER", &*format!("{url}/")), ("AUDIENCE", "orders"), ("APPID", APPID), ("PORT", "0")]);
    assert!(other.starts_with("error: ") && other.contains(&url) && other.lines().count() == 1, "{other}");

    let late = example.signer(&example.es256);
    let mut claims = claims_of(&example.es256);
    claims["exp"] = json!(example.world.clock.now() - 90);
    let answer = example.me(&late.sign(&late.header().to_string(), &claims.to_string())).unwrap();
    let description = answer.json()["error_description"].as_str().unwrap().to_owned();
    assert!(description.starts_with("expired ") && description.ends_with(" s ago"), "{description}");
    until("the same is logged", || example.service.stderr().contains(&format!("refused: {description}")));
}

fn java(classes: &Path) -> Command {
    let mut command = clean("java");
    command.args(["-XX:TieredStopAtLevel=1", "-Xshare:auto", "-cp"]).arg(classes).arg("Service");
    command
}

#[test]
fn a_service_in_java() {
    let directory = tempfile::tempdir().unwrap();
    let classes = directory.path().to_owned();
    let mut build = clean("javac");
    build.args(["-Xlint:all", "-Werror", "--release", "17", "-d"]).arg(&classes);
    build.args(["AccessTokens.java", "Service.java"].map(|file| root().join("examples/java").join(file)));
    let output = build.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let command = java(&classes);
    let example = Example::start(Age::Seconds, || (command, Box::new(directory) as Box<dyn std::any::Any>));
    the_app_is_checked(&example);
    java_says_what_is_wrong(&example, &classes);
    a_hanging_server_holds_up_nobody(&example);
    example.all();
}

#[test]
fn a_service_in_go() {
    let make = || {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("service");
        let mut build = clean("go");
        build.args(["build", "-o"]).arg(&program).arg(root().join("examples/go/main.go"));
        build.env("CGO_ENABLED", "0").env("GO111MODULE", "off");
        let output = build.env("GOCACHE", packages().join("go-cache")).env("HOME", directory.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        (Command::new(program), Box::new(directory) as Box<dyn std::any::Any>)
    };
    Example::start(Age::Seconds, make).all();
}

#[test]
fn a_service_in_node() {
    let make = || {
        let script = NodeScript::new("examples/node/service.mjs");
        (script.command(), Box::new(script) as Box<dyn std::any::Any>)
    };
    Example::start(Age::Clock, make).all();
}

#[test]
fn a_service_in_python() {
    Example::start(Age::Clock, || (python("examples/python/service.py"), Box::new(()))).all();
}

#[test]
fn a_service_in_php() {
    let make = || {
        let cache: TempDir = tempfile::tempdir().unwrap();
        // It says on standard error where it listens.
        let mut command = clean("sh");
        command.args(["-c", "exec php -S 127.0.0.1:0 \"$0\" 2>&1"]).arg(root().join("examples/php/service.php"));
        command.env("CACHE_DIR", cache.path());
        (command, Box::new(cache) as Box<dyn std::any::Any>)
    };
    Example::start(Age::Clock, make).all();
}
