//! Secrets with a mark on them go through a server whose log tells all, and are looked for wherever anything comes out.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{APPID, Answer, Outcome, Reply, Server, Site, Upstream, call, until};

const APP_SECRET: &str = "canary/secret+of%the=app";
/// Canonical base64 of 16 bytes, with both characters that encodings differ in.
const SESSION_KEY: &str = "++/+q83v/+8BI0VniavN7w==";
const ODD_SESSION_KEY: &str = "canary/session+key\\of%an=odd\"form";
const OPENID: &str = "oCANARYegBJY1zhBYw2KhdUfwVJJE";
const CLAIMS: &str = "canary=of/the+owner%claims";
const UNIONID: &str = "oCANARYs6NjeKLIBqg5Mr9QjxrP1A";
const ACCESS_TOKEN: &str = "canary/access_token=of%the+app";
const PHONE: &str = "13987654321";
const PHONE_CODE: &str = "canaryphonecode";
const NICKNAME: &str = "canary-nickname";

/// Every spelling of `bytes` that some layer might produce.
fn spellings(bytes: &[u8]) -> BTreeSet<String> {
    let percent = |keep: fn(u8) -> bool, upper: bool| -> String {
        let spell = |byte: &u8| match (keep(*byte), upper) {
            (true, _) => char::from(*byte).to_string(),
            (false, true) => format!("%{byte:02X}"),
            (false, false) => format!("%{byte:02x}"),
        };
        bytes.iter().map(spell).collect()
    };
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let in_query = |byte: u8| byte.is_ascii_graphic() && !b"\"#<>%".contains(&byte);
    let mut all = BTreeSet::from([
        hex::encode(bytes),
        hex::encode_upper(bytes),
        STANDARD.encode(bytes),
        STANDARD_NO_PAD.encode(bytes),
        URL_SAFE.encode(bytes),
        URL_SAFE_NO_PAD.encode(bytes),
        percent(unreserved, true),
        percent(unreserved, false),
        percent(in_query, true),
        percent(in_query, false),
        percent(|_| false, true),
        form_urlencoded::byte_serialize(bytes).collect(),
        // As a part of a longer list, too.
        format!("{bytes:?}").replace(['[', ']'], ""),
        format!("{bytes:02x?}").replace(['[', ']'], ""),
    ]);
    if let Ok(text) = str::from_utf8(bytes) {
        let in_json = Value::from(text).to_string();
        let in_json = in_json.trim_matches('"');
        all.extend([text.to_owned(), in_json.to_owned(), in_json.replace('/', "\\/"), format!("{text:?}")]);
        all.extend([text.to_lowercase(), text.to_uppercase()]);
    }
    all
}

/// What must not come out, each with a name to report it by.
#[derive(Debug, Default)]
struct Forbidden(Vec<(&'static str, String)>);

impl Forbidden {
    fn add(&mut self, what: &'static str, bytes: &[u8]) {
        self.0.extend(spellings(bytes).into_iter().map(|spelling| (what, spelling)));
    }

    #[track_caller]
    fn is_not_in(&self, place: &str, text: &str) {
        for (what, spelling) in &self.0 {
            assert!(!text.contains(spelling.as_str()), "{place} shows the {what} as {spelling}:\n{text}");
        }
    }
}

/// App secret, session keys and key secrets: for nobody's eyes.
fn secrets(site: &Site) -> Forbidden {
    let mut forbidden = Forbidden::default();
    forbidden.add("app secret", APP_SECRET.as_bytes());
    forbidden.add("session_key", SESSION_KEY.as_bytes());
    forbidden.add("session_key", &STANDARD.decode(SESSION_KEY).unwrap());
    forbidden.add("session_key", ODD_SESSION_KEY.as_bytes());
    for secret in site.keys.secrets() {
        forbidden.add("secret of a key", &hex::decode(&secret).unwrap());
    }
    forbidden
}

/// As the platform writes JSON: slashes escaped.
fn wechat_json(value: &Value) -> String {
    value.to_string().replace('/', "\\/")
}

/// An owner's service that knows everybody. Of every three questions at a renewal it answers two badly.
fn talkative() -> impl Fn(&str) -> Reply {
    let renewals = AtomicUsize::new(0);
    move |question| {
        let payload = URL_SAFE_NO_PAD.decode(question.split('.').rev().nth(1).unwrap()).unwrap();
        let question: Value = serde_json::from_slice(&payload).unwrap();
        let is_renewal = question["event"] == "renewal";
        match if is_renewal { renewals.fetch_add(1, Ordering::SeqCst) % 3 } else { 2 } {
            0 => Reply::Http("500 Internal Server Error", CLAIMS.to_owned()),
            1 => Reply::Http("200 OK", json!({ "claims": CLAIMS.repeat(3) }).to_string()),
            _ => Reply::Http("200 OK", json!({ "claims": CLAIMS }).to_string()),
        }
    }
}

/// What the platform would encrypt for the user; the iv is all zero.
fn encrypted(content: &Value) -> Value {
    use aes::cipher::{BlockCipherEncrypt, KeyInit};
    let cipher = aes::Aes128::new_from_slice(&STANDARD.decode(SESSION_KEY).unwrap()).unwrap();
    let mut text = content.to_string().into_bytes();
    let padding = 16 - text.len() % 16;
    text.resize(text.len() + padding, u8::try_from(padding).unwrap());
    let mut before = [0; 16];
    for block in text.as_chunks_mut::<16>().0 {
        block.iter_mut().zip(before).for_each(|(byte, other)| *byte ^= other);
        cipher.encrypt_block(block.into());
        before = *block;
    }
    json!({ "encryptedData": STANDARD.encode(text), "iv": STANDARD.encode([0; 16]) })
}

fn watermark() -> Value {
    json!({ "timestamp": 1, "appid": APPID })
}

/// The platform's other interfaces. Every third call with an access token is refused, with all that is known in the wording.
fn indiscreet_about_sessions() -> impl Fn(&str) -> Option<Reply> {
    let calls = AtomicUsize::new(0);
    move |head| {
        let path = head.split([' ', '?']).nth(1)?;
        let all = format!("{ACCESS_TOKEN} {APP_SECRET} {SESSION_KEY} {PHONE} {NICKNAME} {head}");
        let phone = json!({
            "phoneNumber": PHONE, "purePhoneNumber": PHONE, "countryCode": "86", "watermark": watermark(),
        });
        let answer = match path {
            "/cgi-bin/stable_token" => json!({ "access_token": ACCESS_TOKEN, "expires_in": 7200 }),
            path if !path.starts_with("/wxa/") => return None,
            _ if calls.fetch_add(1, Ordering::SeqCst) % 3 == 2 => json!({ "errcode": 87009, "errmsg": all }),
            "/wxa/business/getuserphonenumber" => json!({ "errcode": 0, "errmsg": all, "phone_info": phone }),
            "/wxa/resetusersessionkey" => json!({ "errcode": 0, "openid": OPENID, "session_key": SESSION_KEY }),
            _ => json!({ "errcode": 0, "errmsg": all, "vaild": true }),
        };
        Some(Reply::Http("200 OK\r\nContent-Type: text/plain", wechat_json(&answer)))
    }
}

/// A platform that shows everything it knows in every way to fail.
fn indiscreet(head: &str) -> Reply {
    let code = head.split("js_code=").nth(1).and_then(|rest| rest.split(['&', ' ']).next()).unwrap_or_default();
    let ok = |body: &Value| Reply::Http("200 OK\r\nContent-Type: text/plain", wechat_json(body));
    let login = json!({"session_key": SESSION_KEY, "openid": OPENID, "unionid": UNIONID});
    let all = format!("{APP_SECRET} {SESSION_KEY} {ODD_SESSION_KEY} {code} {OPENID}");
    match code.strip_prefix("canarycode-").unwrap_or_default().split_once('-').unwrap_or_default() {
        ("good", _) => ok(&login),
        ("odd", _) => ok(&json!({"session_key": ODD_SESSION_KEY, "openid": OPENID})),
        ("err", number) => {
            // What follows tells the compatible route's code from the other.
            let errcode: i64 = number.split('-').next().unwrap().replace('m', "-").parse().unwrap();
            ok(&json!({"errcode": errcode, "errmsg": format!("{all}, rid: {all}"), "session_key": SESSION_KEY}))
        }
        ("text", _) => ok(&json!({"errcode": all, "errmsg": all})),
        ("garbage", _) => Reply::Http("200 OK", all),
        ("array", _) => ok(&json!([SESSION_KEY, OPENID])),
        ("type", _) => ok(&json!({"session_key": {"a": SESSION_KEY}, "openid": OPENID})),
        ("long", _) => ok(&json!({"session_key": SESSION_KEY.repeat(20), "openid": OPENID})),
        ("control", _) => ok(&json!({"session_key": SESSION_KEY, "openid": format!("{OPENID}\n{APP_SECRET}")})),
        ("nobody", _) => ok(&json!({"session_key": SESSION_KEY, "unionid": UNIONID})),
        ("twice", _) => Reply::Http("200 OK", wechat_json(&login).replace('}', ",\"session_key\":\"canary\"}")),
        ("huge", _) => Reply::Http("200 OK", all.repeat(2000)),
        ("status", _) => Reply::Http("500 Internal Server Error", all),
        ("redirect", _) => Reply::Http("302 Found\r\nLocation: /canary?secret=canary/secret+of%the=app", all),
        ("cut", _) => Reply::Cut(wechat_json(&login).replace('}', "")),
        _ => Reply::Silence,
    }
}

const KINDS: [&str; 30] = [
    "good-1",
    "good-2",
    "odd-1",
    "err-40029",
    "err-40163",
    "err-40226",
    "err-45011",
    "err-45009",
    "err-m1",
    "err-40013",
    "err-40125",
    "err-40164",
    "err-40243",
    "err-41002",
    "err-48001",
    "err-99999",
    "text-1",
    "garbage-1",
    "array-1",
    "type-1",
    "long-1",
    "control-1",
    "nobody-1",
    "twice-1",
    "huge-1",
    "status-1",
    "redirect-1",
    "cut-1",
    "hang-1",
    "hang-2",
];

/// Everything that a client can see or do with a ticket.
fn use_ticket(server: &Server, ticket: &str) -> Vec<Answer> {
    let header = [("weixinauth", ticket)];
    let changed = format!("{}{}", &ticket[..ticket.len() - 4], "AAAA");
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    vec![
        server.verify(ticket),
        server.verify(&changed),
        server.get(&format!("/v1/verify/{APPID}"), &header),
        server.get(&format!("/v1/verify/{ticket}"), &header),
        server.get("/v1/session", &header),
        server.post("/v1/renew", &header, ""),
        server.post("/v1/renew", &[("Authorization", &format!("Bearer {changed}"))], ""),
        server.get(&format!("/v1/session?ticket={ticket}"), &[("Authorization", &format!("Basic {ticket}"))]),
        server.post("/miniLogin/loginCheck.ajax", &form, &format!("openid={ticket}")),
        server.get(&format!("/{ticket}"), &header),
    ]
}

/// Everything that a client can have done with the `session_key` in a ticket, right and wrong.
fn use_session_key(server: &Server, ticket: &str) -> Vec<Answer> {
    let header = [("weixinauth", ticket), ("Content-Type", "application/json")];
    let phone = json!({ "phoneNumber": PHONE, "purePhoneNumber": PHONE, "countryCode": 86, "watermark": watermark() });
    let profile = json!({ "openId": OPENID, "nickName": NICKNAME, "watermark": watermark() });
    let of_another = json!({ "openId": UNIONID, "nickName": NICKNAME, "watermark": watermark() });
    let signed = json!({ "rawData": NICKNAME, "signature": NICKNAME });
    let mut all = vec![
        server.post("/v1/phone", &header, &json!({ "code": PHONE_CODE }).to_string()),
        server.post("/v1/phone", &header, &format!("{{\"code\":\"{PHONE_CODE}\",\"iv\":\"{PHONE_CODE}\"}}")),
        server.post("/v1/session/check", &header, ""),
        server.post("/v1/session/reset", &header, ""),
    ];
    for content in [&phone, &profile, &of_another, &json!([NICKNAME]), &json!({ "nickName": NICKNAME })] {
        all.push(server.post("/v1/phone", &header, &encrypted(content).to_string()));
        all.push(server.post("/v1/userdata", &header, &encrypted(content).to_string()));
    }
    all.push(server.post("/v1/userdata", &header, &signed.to_string()));
    all
}

/// Requests that are wrong, each with the code in it where one may stand.
fn mistakes(server: &Server, code: &str) -> Vec<Answer> {
    let json = [("Content-Type", "application/json")];
    vec![
        server.post("/v1/login", &json, &format!("{{\"code\":\"{code}\"")),
        server.post("/v1/login", &json, &format!("{{\"code\":\"{code}\",\"code\":\"{code}\"}}")),
        server.post("/v1/login", &json, &format!("{{\"code\":[\"{code}\"]}}")),
        server.post("/v1/login", &json, &format!("{{\"code\":\"{code}\\n\"}}")),
        server.post("/v1/login", &json, &format!("{{\"code\":\"{code}\",\"appid\":\"{code}\"}}")),
        server.post("/v1/login", &json, &format!("{{\"code\":\"{}\"}}", code.repeat(100))),
        server.post("/v1/login", &json, &format!("{{\"code\":\"{}\"}}", code.repeat(8000))),
        server.post("/v1/login", &[("Content-Type", code)], code),
        server.post(&format!("/v1/login?code={code}"), &[], ""),
        server.get(&format!("/v1/login?code={code}"), &[]),
        server.get(&format!("/miniLogin/login.ajax?code={code}&code={code}"), &[]),
        server.get(&format!("/miniLogin/login.ajax?code={code}&appid={code}"), &[]),
        server.get("/healthz", &[("weixinauth", code)]),
        server.get("/readyz", &[]),
    ]
}

#[test]
fn no_secret_comes_out_of_a_server_whatever_happens() {
    let about_sessions = indiscreet_about_sessions();
    let platform = Upstream::start(move |head| about_sessions(head).unwrap_or_else(|| indiscreet(head)));
    let owner = Upstream::start(talkative());
    let tables = format!(
        "[compat]\nenabled = true\n[upstream]\ntimeout = \"300ms\"\n[claims]\nurl = \"http://{}/canary-path\"\n",
        owner.address
    );
    let site = Site::new(platform.address, &tables);
    let mut command = site.command();
    command.env("AUTH_TICKET_PUBLIC_URL", "https://login.example.com");
    command.env("WX_SECRET", APP_SECRET).args(["--admin-listen", "127.0.0.1:0"]);
    let mut server = Server::start(&mut command);
    until("the second address is announced", || server.stdout().lines().count() == 2);
    let operators = server.admin();

    let (mut answers, mut codes, mut tickets) = (Vec::new(), Vec::new(), Vec::new());
    for kind in KINDS {
        let code = format!("canarycode-{kind}");
        let compat = server.get(&format!("/miniLogin/login.ajax?code={code}-compat"), &[]);
        if let Some(handle) = compat.json()["data"]["openid"].as_str() {
            tickets.push(handle.to_owned());
        }
        let answer = server.login(&code);
        if kind.starts_with("good") || kind.starts_with("odd") {
            tickets.push(answer.json()["ticket"].as_str().unwrap().to_owned());
        } else {
            assert!(answer.status >= 400, "{kind}: {answer:?}");
        }
        answers.extend([compat, answer]);
        codes.push(code);
    }
    assert_eq!(tickets.len(), 6);
    for ticket in tickets.clone() {
        let used = use_ticket(&server, &ticket);
        let renewed = used.iter().filter(|answer| answer.whole().contains("\"ticket\":\""));
        tickets.extend(renewed.map(|answer| answer.json()["ticket"].as_str().unwrap().to_owned()));
        answers.extend(used);
        answers.extend(use_session_key(&server, &ticket));
    }
    let succeeded = |route: &str| answers.iter().any(|answer| answer.status == 200 && answer.whole().contains(route));
    assert!(succeeded("\"phone_number\":\"+86") && succeeded(NICKNAME) && succeeded("session_key_valid"));
    answers.extend(mistakes(&server, "canarycode-wrong"));
    codes.push("canarycode-wrong".to_owned());
    for path in ["/readyz", "/healthz", "/metrics", "/keys", "/canary"] {
        answers.push(call(operators, "GET", path, &[], ""));
    }
    // One that is still running when the signal comes.
    let address = server.address;
    let running = std::thread::spawn(move || {
        call(
            address,
            "POST",
            "/v1/login",
            &[("Content-Type", "application/json")],
            r#"{"code":"canarycode-hang-last"}"#,
        )
    });
    until("the platform is asked", || platform.requests().iter().any(|head| head.contains("hang-last")));
    server.signal(Signal::TERM);
    answers.push(running.join().unwrap());
    assert_eq!(server.wait().code(), Some(0));
    until("the log is complete", || server.stderr().contains("stopped\n"));

    let asked = platform.requests().join("");
    assert!(asked.contains("canary%2Fsecret%2Bof%25the%3Dapp"), "the secret went where it belongs");
    let log = server.stderr();
    for level in ["DEBUG", "INFO", "WARN", "ERROR"] {
        assert!(log.contains(level), "the log has lines of every level:\n{log}");
    }
    let mut forbidden = secrets(&site);
    forbidden.add("access token", ACCESS_TOKEN.as_bytes());
    for answer in &answers {
        forbidden.is_not_in("an answer", &answer.whole());
    }
    for code in &codes {
        forbidden.add("login code", code.as_bytes());
    }
    for ticket in &tickets {
        forbidden.add("ticket", ticket.as_bytes());
    }
    for id in [OPENID, UNIONID] {
        forbidden.add("identity", id.as_bytes());
    }
    for personal in [PHONE, NICKNAME, PHONE_CODE] {
        forbidden.add("phone number or user data", personal.as_bytes());
    }
    forbidden.add("owner's claims", CLAIMS.as_bytes());
    forbidden.add("owner's URL", b"canary-path");
    let questions = owner.requests();
    assert_eq!(questions.len(), 9, "three logins of each kind, three renewals");
    for question in &questions {
        let (_, jwt) = question.split_once("\r\n\r\n").unwrap();
        jwt.split('.').skip(1).for_each(|part| forbidden.add("question to the owner", part.as_bytes()));
    }
    forbidden.is_not_in("the log", &log);
    forbidden.is_not_in("the output", &server.stdout());
}

#[test]
fn no_secret_comes_out_when_the_platform_cannot_be_reached() {
    // As long as nobody accepts, connections are made and nothing more; then they are refused.
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = deaf.local_addr().unwrap();
    let site = Site::new(address, "[upstream]\ntimeout = \"200ms\"\n");
    let mut server = Server::start(site.command().env("WX_SECRET", APP_SECRET));
    let mut answers = vec![server.login("canarycode-1")];
    assert_eq!(answers[0].status, 504, "{answers:?}");
    drop(deaf);
    answers.push(server.login("canarycode-2"));
    assert_eq!(answers[1].status, 502, "{answers:?}");
    server.stop();
    until("the log is complete", || server.stderr().contains("stopped\n"));
    let mut forbidden = secrets(&site);
    forbidden.add("login code", b"canarycode");
    for text in answers.iter().map(Answer::whole).chain([server.stderr(), server.stdout()]) {
        forbidden.is_not_in("an answer or the log", &text);
    }
}

#[test]
fn no_secret_comes_out_of_a_configuration_that_is_wrong() {
    let site = Site::new("127.0.0.1:1".parse().unwrap(), "");
    let good = fs::read_to_string(&site.config).unwrap();
    let by_env = "secret_env = \"WX_SECRET\"";
    let file = site.keys.root().join("secret");
    fs::write(&file, format!("{APP_SECRET} \n{APP_SECRET}")).unwrap();
    let forbidden = secrets(&site);
    for (wrong, variable) in [
        (good.clone(), format!("{APP_SECRET} {APP_SECRET}")),
        (good.replace("secret_env", "secret"), APP_SECRET.to_owned()),
        (good.replace("WX_SECRET", APP_SECRET), APP_SECRET.to_owned()),
        (good.replace(by_env, &format!("secret = \"{APP_SECRET}\"")), String::new()),
        (good.replace(by_env, &format!("secret = {APP_SECRET}")), String::new()),
        (good.replace(by_env, &format!("{by_env}\nsecret = \"{APP_SECRET}")), APP_SECRET.to_owned()),
        (good.replace(by_env, &format!("secret_file = \"{APP_SECRET}\"")), String::new()),
        (good.replace(by_env, &format!("secret_file = {file:?}")), String::new()),
        (
            good.replace("http://127", &format!("http://user:{}@127", APP_SECRET.replace(['/', '%'], ""))),
            "s".to_owned(),
        ),
        (format!("{good}\n[jwt]\nttl = \"x\"\n"), APP_SECRET.to_owned()),
    ] {
        fs::write(&site.config, &wrong).unwrap();
        let refusal = Outcome::of(site.command().env("WX_SECRET", variable)).refused();
        forbidden.is_not_in("the refusal", &refusal);
        assert!(!refusal.contains("canary"), "{refusal}");
    }
}
