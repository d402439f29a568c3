//! Answers, and what must be true of every one of them.

use std::fmt;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;

/// Names of headers that an answer may have.
const HEADERS: [&str; 8] = [
    "allow",
    "cache-control",
    "connection",
    "content-length",
    "content-type",
    "date",
    "retry-after",
    "www-authenticate",
];

/// The same, on a 200 of `/v1/verify`.
const IDENTITY_HEADERS: [&str; 9] = [
    "x-auth-appid",
    "x-auth-assertion",
    "x-auth-claims",
    "x-auth-expires-at",
    "x-auth-login-id",
    "x-auth-openid",
    "x-auth-phone",
    "x-auth-platform",
    "x-auth-unionid",
];

/// What is the same for everybody.
const PUBLIC_ROUTES: [&str; 4] = [
    "/.well-known/jwks.json",
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
    "/openapi.json",
];

/// Names of headers that answers of these routes may have.
const PUBLIC_HEADERS: [&str; 2] = ["access-control-allow-origin", "etag"];

/// The same, where web pages may call.
const CORS_HEADERS: [&str; 6] = [
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-allow-origin",
    "access-control-expose-headers",
    "access-control-max-age",
    "vary",
];

/// The contract's errors and their statuses.
const ERRORS: [(&str, u16); 31] = [
    ("invalid_target", 400),
    ("invalid_scope", 400),
    ("unsupported_grant_type", 400),
    ("invalid_client", 401),
    ("unauthorized_client", 403),
    ("invalid_request", 400),
    ("not_supported", 400),
    ("invalid_phone_code", 400),
    ("bad_user_data", 400),
    ("session_key_stale", 400),
    ("not_bound", 403),
    ("invalid_ticket", 401),
    ("ticket_expired", 401),
    ("ticket_revoked", 401),
    ("invalid_code", 401),
    ("code_used", 401),
    ("user_blocked", 403),
    ("wrong_app", 403),
    ("app_required", 403),
    ("not_found", 404),
    ("method_not_allowed", 405),
    ("too_large", 413),
    ("unsupported_media_type", 415),
    ("headers_too_large", 431),
    ("rate_limited", 429),
    ("server_misconfigured", 500),
    ("upstream_failed", 502),
    ("upstream_timeout", 504),
    ("upstream_busy", 503),
    ("no_sealing_key", 503),
    ("overloaded", 503),
];

/// Those of [`ERRORS`] that say what is wrong with a ticket.
const OF_TICKETS: [&str; 3] = ["invalid_ticket", "ticket_expired", "ticket_revoked"];

/// What may be in no answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Secrets(Arc<Mutex<Vec<String>>>);

impl Secrets {
    pub(super) fn add(&self, secret: &str) {
        self.0.lock().unwrap().push(secret.to_owned());
    }

    fn check(&self, answer: &Answer) {
        let mut shown: Vec<Vec<u8>> = vec![answer.body.clone()];
        shown.extend(answer.headers.iter().map(|(_, value)| value.clone()));
        // Also inside of what is base64url, as a ticket is.
        let text = answer.body_text();
        shown.extend(
            text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_')
                .filter_map(|word| URL_SAFE_NO_PAD.decode(word).ok()),
        );
        for secret in &*self.0.lock().unwrap() {
            for spelling in spellings(secret) {
                for text in &shown {
                    assert!(!contains(text, &spelling), "a secret is in the answer {answer:?}");
                }
            }
        }
    }
}

fn spellings(secret: &str) -> Vec<Vec<u8>> {
    let mut raw = vec![secret.as_bytes().to_vec()];
    raw.extend(STANDARD.decode(secret).ok());
    let mut spellings = raw.clone();
    for bytes in &raw {
        spellings.extend([
            hex::encode(bytes).into_bytes(),
            hex::encode_upper(bytes).into_bytes(),
            STANDARD.encode(bytes).trim_end_matches('=').as_bytes().to_vec(),
            URL_SAFE_NO_PAD.encode(bytes).into_bytes(),
        ]);
    }
    let percent: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    spellings.extend([percent.into_bytes(), secret.replace('/', "\\/").into_bytes()]);
    spellings
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// What was asked for, as far as it decides what the answer may be.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) method: String,
    pub(super) path: String,
}

/// What holds for a server's answers.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) secrets: Secrets,
    pub(super) compat: bool,
    pub(super) cors: bool,
}

/// An answer that has been checked against everything that holds for all answers.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// In the order of their arrival, names in lower case.
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// All that came on a connection which ended after it.
    pub(crate) fn parse(mut received: &[u8]) -> Option<Self> {
        loop {
            let end = received.windows(4).position(|window| window == b"\r\n\r\n")?;
            let head = std::str::from_utf8(received.get(..end)?).ok()?;
            received = received.get(end + 4..)?;
            let mut lines = head.lines();
            let status = lines.next()?.get(9..12)?.parse().ok()?;
            if status == 100 {
                continue;
            }
            let headers: Vec<(String, Vec<u8>)> = lines
                .filter_map(|line| line.split_once(':'))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().as_bytes().to_vec()))
                .collect();
            let is_chunked = headers.iter().any(|(name, value)| name == "transfer-encoding" && value == b"chunked");
            let body = if is_chunked { without_chunks(received) } else { received.to_vec() };
            return Some(Self { status, headers, body });
        }
    }

    /// That there was none, and why.
    pub(crate) fn none(why: &str) -> Self {
        Self { status: 0, headers: Vec::new(), body: why.as_bytes().to_vec() }
    }

    pub(crate) fn is_good(&self) -> bool {
        self.status == 200
    }

    /// The name of the error, or of nothing.
    pub(crate) fn error(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        body["error"].as_str().unwrap_or_default().to_owned()
    }

    /// Status, headers and body as they might have come.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = format!("HTTP/1.1 {} \r\n", self.status).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Everything in it that could hold a secret.
    pub(crate) fn whole(&self) -> String {
        String::from_utf8_lossy(&self.to_bytes()).into_owned()
    }

    /// The value of the header `name`, if it is there, once.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(found, _)| found.eq_ignore_ascii_case(name));
        let value = values.next().map(|(_, value)| std::str::from_utf8(value).unwrap());
        assert!(values.next().is_none(), "{name} is there twice in {self:?}");
        value
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// A field of the body; `Null` if it is not there.
    pub(crate) fn field(&self, name: &str) -> Value {
        self.json().get(name).cloned().unwrap_or_default()
    }

    /// A text of the body.
    pub(crate) fn text(&self, name: &str) -> String {
        self.field(name).as_str().unwrap_or_else(|| panic!("no text {name} in {self:?}")).to_owned()
    }

    /// The ticket of a ticket object.
    #[track_caller]
    pub(crate) fn ticket(&self) -> String {
        assert_eq!(self.status, 200, "{self:?}");
        self.text("ticket")
    }

    /// Asserts that it is the refusal `error`. Its status and shape have been checked before.
    #[track_caller]
    pub(crate) fn is_error(&self, error: &str) -> &Self {
        assert!(self.status != 200 && !self.body.is_empty(), "{error} expected: {self:?}");
        assert_eq!(self.text("error"), error, "{self:?}");
        self
    }

    /// Asserts that it is a 200 of `/v1/verify` for the simulated user `openid`.
    #[track_caller]
    pub(crate) fn is_openid(&self, openid: &str) -> &Self {
        assert_eq!((self.status, self.header("x-auth-openid")), (200, Some(openid)), "{self:?}");
        self
    }

    #[track_caller]
    pub(crate) fn is_ok(&self) -> &Self {
        assert_eq!(self.status, 200, "{self:?}");
        self
    }

    /// Whether it is what the HTTP library says by itself, and then ends the connection: to what is no request that it
    /// can read, it knows no route whose shape of errors it could use.
    pub(crate) fn is_bare(&self) -> bool {
        let known = |(name, _): &(String, _)| matches!(&**name, "connection" | "content-length" | "date");
        matches!(self.status, 400 | 414 | 431) && self.body.is_empty() && self.headers.iter().all(known)
    }

    pub(crate) fn body_text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Everything that must be true whatever was asked.
    pub(super) fn checked(self, asked: &Asked, rules: &Rules) -> Self {
        let checks = ["/v1/verify", "/v1/ext-authz", "/v1/ext-authz-app"];
        let below =
            |check: &&str| asked.path.strip_prefix(check).is_some_and(|rest| matches!(rest.get(..1), None | Some("/")));
        let is_verify = checks.iter().any(below);
        let is_compat = rules.compat && asked.path.starts_with("/miniLogin/");
        let is_for_all = PUBLIC_ROUTES.contains(&asked.path.split('?').next().unwrap_or_default());
        let is_public = is_for_all && matches!(self.status, 200 | 304);
        // A head that the connection refuses has no route.
        let has_route = !(matches!(self.status, 400 | 431) && self.header("connection") == Some("close"));
        if is_for_all && has_route {
            assert_eq!(self.header("access-control-allow-origin"), Some("*"), "{asked:?} {self:?}");
        }
        self.check_headers(rules, is_verify, is_for_all);
        let cache = if is_public { "public, max-age=300" } else { "no-store" };
        assert_eq!(self.header("cache-control"), Some(cache), "{asked:?} {self:?}");
        if is_verify {
            assert!(matches!(self.status, 200 | 401 | 403), "{asked:?} {self:?}");
        }
        if rules.cors && asked.method == "OPTIONS" && self.status == 200 {
            assert!(self.body.is_empty(), "{asked:?} {self:?}");
        } else if is_compat {
            self.check_compat(asked);
        } else if self.status == 200 || is_public {
            for name in ["www-authenticate", "retry-after"] {
                assert_eq!(self.header(name), None, "{asked:?} {self:?}");
            }
        } else if asked.path != "/readyz" || self.status != 503 {
            self.check_error(asked);
        }
        if !self.body.is_empty() {
            assert_eq!(self.header("content-type"), Some("application/json"), "{asked:?} {self:?}");
        }
        rules.secrets.check(&self);
        self
    }

    fn check_headers(&self, rules: &Rules, is_verify: bool, is_for_all: bool) {
        for (name, _) in &self.headers {
            let name = &**name;
            let is_allowed = HEADERS.contains(&name)
                || (is_verify && self.status == 200 && IDENTITY_HEADERS.contains(&name))
                || (is_for_all && PUBLIC_HEADERS.contains(&name))
                || (rules.cors && !is_verify && CORS_HEADERS.contains(&name));
            assert!(is_allowed, "{name} has no place in {self:?}");
        }
    }

    fn check_error(&self, asked: &Asked) {
        let challenge = self.header("www-authenticate");
        let is_challenge = match challenge {
            Some("Basic realm=\"auth-ticket\"") => self.text("error") == "invalid_client",
            Some("Bearer" | "Bearer error=\"invalid_token\"") => true,
            _ => false,
        };
        assert!(if self.status == 401 { is_challenge } else { challenge.is_none() }, "{asked:?} {self:?}");
        assert_eq!(self.header("allow").is_some_and(|allow| !allow.is_empty()), self.status == 405, "{self:?}");
        let retry_after: Option<u32> = self.header("retry-after").map(|seconds| seconds.parse().unwrap());
        assert_eq!(retry_after.is_some_and(|seconds| seconds > 0), matches!(self.status, 429 | 503), "{self:?}");
        if asked.method == "HEAD" {
            return assert!(self.body.is_empty(), "{self:?}");
        }
        let body = self.json();
        for (name, value) in body.as_object().unwrap() {
            match &**name {
                "error" => {
                    let known = ERRORS.iter().find(|(error, _)| value == error);
                    // There it is the body that has the ticket, and the service that sends the request.
                    let is_in_body = asked.path == "/v1/signature";
                    let status = |&(error, status): &(&str, u16)| {
                        if is_in_body && OF_TICKETS.contains(&error) { 400 } else { status }
                    };
                    assert_eq!(known.map(status), Some(self.status), "{asked:?} {self:?}");
                }
                "error_description" => assert!(is_plain(value.as_str().unwrap()), "{self:?}"),
                "request_id" => {
                    let id = value.as_str().unwrap();
                    assert!(id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{self:?}");
                }
                "errcode" => assert!(value.is_i64(), "{self:?}"),
                _ => panic!("{name} has no place in {self:?}"),
            }
        }
        assert!(["error", "error_description", "request_id"].iter().all(|name| body.get(name).is_some()), "{self:?}");
    }

    fn check_compat(&self, asked: &Asked) {
        assert_eq!(self.status, 200, "{asked:?} {self:?}");
        if asked.method == "HEAD" {
            return;
        }
        let body = self.json();
        let names: Vec<&String> = body.as_object().unwrap().keys().collect();
        assert_eq!(names, ["code", "data", "msg"], "{self:?}");
        assert!(is_plain(body["msg"].as_str().unwrap()), "{self:?}");
        assert_eq!(body["code"] == 200, body["data"].is_object(), "{self:?}");
        assert_eq!(body["code"] != 200, body["data"].is_null(), "{self:?}");
    }
}

fn without_chunks(mut received: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = received.windows(2).position(|window| window == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&received[..end]).unwrap(), 16).unwrap();
        body.extend_from_slice(&received[end + 2..end + 2 + size]);
        received = &received[end + 4 + size..];
    }
    body
}

/// As text, to be read by people.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{}", self.status)?;
        for (name, value) in &self.headers {
            writeln!(f, "{name}: {}", value.escape_ascii())?;
        }
        writeln!(f, "{}", self.body.escape_ascii())
    }
}

/// RFC 6749 section 5.2, without a line break.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\')
}
