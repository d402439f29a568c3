//! `examples/`: each service lets in whoever has a good token, and nobody else.

use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::forge::{Signer, encode};
use super::matrix::Material;
use super::php::PhpBehindApache;
use super::tools::{NodeScript, clean, packages, python, root};
use super::world::{JWKS, OTHER_APPID, World};
use crate::support::{APPID, Answer, Keys, Reply, Server, Upstream, call, try_call, until};

/// What an example is started with; whoever is started again, with a mistake, is started by this, too.
type Start = Box<dyn Fn() -> Command>;

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
    start: Start,
}

impl Example {
    /// A world with a key of each algorithm, and the service that `make` starts in it.
    fn start(age: Age, start: impl Fn() -> Command + 'static) -> Self {
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
        let mut command = start();
        command.env("ISSUER", world.front.url()).env("AUDIENCE", "orders").env("APPID", APPID).env("PORT", "0");
        if age == Age::Clock {
            world.clock.apply(&mut command);
        }
        let service = Server::start(&mut command);
        until("it listens", || TcpStream::connect(service.address).is_ok());
        let attacker = Upstream::start(|_| Reply::Http("200 OK", Signer::of_attacker("ES256").jwk.to_string()));
        Self { world, service, attacker, age, es256, eddsa, start: Box::new(start) }
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

    fn all(mut self) {
        self.tokens_of_the_server_are_good();
        self.the_matrix();
        self.the_app_is_checked();
        self.a_person_reads_why_a_token_is_refused();
        self.made_up_kids_are_no_storm();
        self.a_hanging_server_holds_up_nobody();
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

    /// Other apps' users may have tokens for the same audience.
    fn the_app_is_checked(&self) {
        for token in [&self.es256, &self.eddsa] {
            let (signer, claims) = (self.signer(token), claims_of(token));
            for appid in [json!(OTHER_APPID), json!(null), json!([APPID]), json!(""), json!(format!("{APPID},"))] {
                let mut claims = claims.clone();
                claims["appid"] = appid.clone();
                let token = signer.sign(&signer.header().to_string(), &claims.to_string());
                assert!(self.is_refused(&token), "{appid}");
            }
        }
    }

    fn a_person_reads_why_a_token_is_refused(&self) {
        let (signer, claims, now) = (self.signer(&self.es256), claims_of(&self.es256), self.world.clock.now());
        let refused = |change: Value| {
            let mut claims = claims.clone();
            claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            let answer = self.me(&signer.sign(&signer.header().to_string(), &claims.to_string())).unwrap();
            let description = answer.json()["error_description"].as_str().unwrap().to_owned();
            until("the same is logged", || self.service.stderr().contains(&format!("refused: {description}")));
            description
        };
        let late = refused(json!({ "exp": now - 90 }));
        assert!(late.starts_with("expired ") && late.ends_with(" s ago"), "{late}");
        let early = refused(json!({ "iat": now + 90 }));
        assert_eq!(early, "not good yet: compare the clocks of this machine and the server's");
        assert_eq!(refused(json!({ "aud": "others" })), "for another audience than orders");
        let other = format!("of another issuer than {}", self.world.front.url());
        assert_eq!(refused(json!({ "iss": "https://evil.example" })), other);
        assert_eq!(refused(json!({ "appid": OTHER_APPID })), "of a user of another app");
        let unknown = self.me(&with_made_up_kid(1)).unwrap().json()["error_description"].clone();
        assert!(unknown.as_str().unwrap().starts_with("the server has "), "{unknown}");
    }

    /// Each mistake in the settings is one line that says what to do.
    fn a_person_reads_what_is_wrong_with_the_settings(&self) {
        let url = self.world.front.url();
        let good = [("ISSUER", &*url), ("AUDIENCE", "orders"), ("APPID", APPID), ("PORT", "0")];
        let but = |name: &str, value: &str| {
            let mut command = (self.start)();
            command.envs(good).env(name, value);
            let output = command.output().unwrap();
            assert_eq!(output.status.code(), Some(1), "{name}={value}");
            String::from_utf8(output.stderr).unwrap()
        };
        assert_eq!(
            but("APPID", ""),
            "error: APPID is not set; it is the app whose users may come in; several with commas between\n"
        );
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let unreachable = format!("error: cannot get the keys of http://{nobody}: nobody answers there\n");
        assert_eq!(but("ISSUER", &format!("http://{nobody}")), unreachable);
        assert_eq!(but("ISSUER", "login"), "error: ISSUER is no URL: login\n");
        let port = but("PORT", "http");
        assert!(port.starts_with("error: cannot listen on port http: ") && port.lines().count() == 1, "{port}");
        let other = but("ISSUER", &format!("{url}/"));
        assert!(other.starts_with("error: ") && other.contains(&url) && other.lines().count() == 1, "{other}");
    }

    /// Tokens of known keys go on while a hundred made-up kids wait for a server that hangs.
    fn a_hanging_server_holds_up_nobody(&mut self) {
        let asked = self.world.front.count(JWKS);
        self.world.front.hang();
        self.grow_old();
        let quickly = |token: &str| {
            let began = Instant::now();
            self.lets_in("while the server hangs", token);
            let took = began.elapsed();
            assert!(took < Duration::from_millis(1500), "{took:?}, and a question to the server takes 2 s");
        };
        // Once the keys are old and the last question is long enough ago.
        until("the server is asked", || {
            quickly(&self.es256);
            self.world.front.count(JWKS) > asked
        });
        let (address, began) = (self.service.address, Instant::now());
        let strangers: Vec<_> = (0..100)
            .map(|number| {
                let authorization = format!("Bearer {}", with_made_up_kid(0xbad0_0000 + number));
                std::thread::spawn(move || call(address, "GET", "/me", &[("Authorization", &authorization)], "").status)
            })
            .collect();
        for _ in 0..20 {
            quickly(&self.es256);
            quickly(&self.eddsa);
        }
        for stranger in strangers {
            assert_eq!(stranger.join().unwrap(), 401);
        }
        let (asked, allowed) = (self.world.front.count(JWKS) - asked, 1 + began.elapsed().as_secs() / PAUSE_S);
        assert!(u64::try_from(asked).unwrap() <= allowed, "asked {asked} times for all of them, not {allowed}");
        self.world.front.lead_to(self.world.server.address);
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

#[test]
fn a_service_in_java() {
    let directory = tempfile::tempdir().unwrap();
    let mut build = clean("javac");
    build.args(["-Xlint:all", "-Werror", "--release", "17", "-d"]).arg(directory.path());
    build.args(["AccessTokens.java", "Service.java"].map(|file| root().join("examples/java").join(file)));
    let output = build.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let example = Example::start(Age::Seconds, move || {
        let mut command = clean("java");
        command.args(["-XX:TieredStopAtLevel=1", "-Xshare:auto", "-cp"]).arg(directory.path()).arg("Service");
        command
    });
    example.a_person_reads_what_is_wrong_with_the_settings();
    example.all();
}

#[test]
fn a_service_in_go() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("service");
    let mut build = clean("go");
    build.args(["build", "-o"]).arg(&program).arg(root().join("examples/go/main.go"));
    build.env("CGO_ENABLED", "0").env("GO111MODULE", "off");
    let output = build.env("GOCACHE", packages().join("go-cache")).env("HOME", directory.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let example = Example::start(Age::Seconds, move || clean(directory.path().join("service")));
    example.a_person_reads_what_is_wrong_with_the_settings();
    example.all();
}

#[test]
fn a_service_in_node() {
    let script = NodeScript::new("examples/node/service.mjs");
    let example = Example::start(Age::Clock, move || script.command());
    example.a_person_reads_what_is_wrong_with_the_settings();
    example.all();
}

#[test]
fn a_service_in_python() {
    let example = Example::start(Age::Clock, || python("examples/python/service.py"));
    example.a_person_reads_what_is_wrong_with_the_settings();
    example.all();
}

#[test]
fn a_service_in_php() {
    let apache = PhpBehindApache::start();
    Example::start(Age::Seconds, move || apache.command()).all();
}
