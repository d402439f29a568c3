//! One function for each kind of text: the value, or what is wrong with the text and what to write instead.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use auth_ticket::claims::WebOrigin;
use auth_ticket::http::{Rate, TokenType, TrustedProxy, TrustedProxyError};
use auth_ticket::keyring::AppId;
use auth_ticket::platform::{Kind, SubjectId, kind};
use ipnet::IpNet;
use url::{Host, Url};

use super::mistake::{nearest, quoted};
use super::{Endpoint, Format, Subject};

/// The value of `secret_files` for files that every user may read.
pub(super) const SHARED: &str = "shared";

/// Where to listen.
pub(super) fn endpoint(text: &str) -> Result<Endpoint, String> {
    text.parse().map_err(|hint| format!("{} is not an address; {hint}", quoted(text)))
}

/// The permissions of a Unix socket, in octal digits. Who connects writes; nobody executes.
pub(super) fn mode(text: &str) -> Result<u32, String> {
    let wrong = |why: &str| format!("{} {why}; write for example \"0660\"", quoted(text));
    let is_octal = matches!(text.len(), 3 | 4) && text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| is_octal && *mode <= 0o777);
    match mode.ok_or_else(|| wrong("is not the mode of a socket"))? {
        mode if mode & 0o600 != 0o600 => Err(wrong("keeps the server's own user out")),
        mode if mode & 0o111 != 0 => Err(wrong("has bits for executing, and a socket is not executed")),
        mode => Ok(mode),
    }
}

/// A name for operators' requests, without port, in lower case. IP addresses and `localhost` need no mention.
pub(super) fn host_name(text: &str) -> Result<String, String> {
    let name = text.to_ascii_lowercase();
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if name.len() > 253 || !name.split('.').all(is_label) {
        let hint = "write it without scheme, port and path, for example \"ops.example.com\"";
        return Err(format!("{} is not a host name; {hint}", quoted(text)));
    }
    if name == "localhost" || name.parse::<IpAddr>().is_ok() {
        return Err(format!("{} is always allowed; leave it out", quoted(text)));
    }
    Ok(name)
}

/// A duration with a unit, within bounds.
pub(super) fn duration(text: &str, (least, most): (&str, &str)) -> Result<Duration, String> {
    let wrong = |why: &str| format!("{} {why}; write for example \"2h\" or \"30m\"", quoted(text));
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'_')) {
        return Err(format!("{} has no unit; write \"2h\", with a unit", quoted(text)));
    }
    let parse = |text: &str| humantime::parse_duration(text);
    let value = parse(text).map_err(|_| wrong("is not a duration"))?;
    if parse(least).is_ok_and(|least| value < least) || parse(most).is_ok_and(|most| value > most) {
        return Err(format!("{} is out of range; write \"{least}\" to \"{most}\"", quoted(text)));
    }
    Ok(value)
}

/// A rate, or nothing for the empty text.
pub(super) fn rate_or_off(text: &str) -> Result<Option<Rate>, String> {
    if text.is_empty() { Ok(None) } else { rate(text).map(Some) }
}

/// `10/m`: a number, and the time in which there may be so many. Of one minute, one hour and so on, the unit will do.
fn rate(text: &str) -> Result<Rate, String> {
    let wrong = |why: &str| format!("{} {why}; write for example \"10/m\" for ten a minute", quoted(text));
    let (count, per) = text.split_once('/').ok_or_else(|| wrong("is not a rate"))?;
    let is_number = count.bytes().all(|byte| byte.is_ascii_digit());
    let count = count.parse().ok().filter(|count: &NonZeroU32| is_number && count.get() <= 1_000_000);
    let count = count.ok_or_else(|| wrong("does not begin with a number from 1 to 1000000"))?;
    let one = if per.starts_with(|first: char| first.is_ascii_digit()) { "" } else { "1" };
    let per = humantime::parse_duration(&format!("{one}{per}"));
    let per = per.map_err(|_| wrong("does not end with s, m, h or another time, such as 15m, after the slash"))?;
    if !(Duration::from_secs(1)..=Duration::from_secs(86400)).contains(&per) {
        return Err(wrong("is for a time that is not from 1s to 1d"));
    }
    Ok(Rate { count, per })
}

/// The address of a proxy, a prefix with all its addresses, or `unix`.
pub(super) fn trusted_proxy(text: &str) -> Result<TrustedProxy, String> {
    match text {
        "unix" if cfg!(windows) => return Err("Unix sockets are not available on Windows; leave it out".to_owned()),
        "unix" => {}
        _ => check_network(text)?,
    }
    text.parse().map_err(|error: TrustedProxyError| format!("{} is {error}", quoted(text)))
}

fn check_network(text: &str) -> Result<(), String> {
    let hint = "write for example \"10.0.0.7\" or \"10.0.0.0/8\"";
    let single = text.parse().ok().map(|ip: IpAddr| IpNet::from(ip));
    let network = single.or_else(|| text.parse().ok());
    let network = network.ok_or_else(|| format!("{} is not an IP address or prefix; {hint}", quoted(text)))?;
    let canonical = network.trunc();
    if canonical != network {
        return Err(format!("{} names an address within the prefix; write \"{canonical}\"", quoted(text)));
    }
    if network.addr().to_canonical() != network.addr() {
        return Err(format!("{} is IPv4 written as IPv6; {hint}", quoted(text)));
    }
    let shortest = match network.addr() {
        IpAddr::V4(_) => 8,
        IpAddr::V6(ip) if ip.is_unique_local() => 7,
        IpAddr::V6(_) => 16,
    };
    if network.prefix_len() < shortest {
        let why = "holds addresses of strangers, who could then pass for anybody";
        return Err(format!("{} {why}; write the addresses of your proxies, /{shortest} at the widest", quoted(text)));
    }
    Ok(())
}

/// The path of a directory.
pub(super) fn directory(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() || text.contains('\0') {
        return Err(format!("{} is not a path; write for example \"keys\"", quoted(text)));
    }
    Ok(PathBuf::from(text))
}

/// An appid: 1 to 64 visible ASCII characters that need no escaping in headers, paths and lists.
pub(super) fn appid(text: &str) -> Result<AppId, String> {
    let fits = text.len() <= 64 && is_visible_without(text, br#"/,%"\"#);
    let appid = AppId::parse(text).ok().filter(|_| fits);
    appid.ok_or_else(|| {
        format!(r#"{} is not an appid; write 1 to 64 visible ASCII characters without / , % " \"#, quoted(text))
    })
}

/// A service's id.
pub(super) fn service_id(text: &str) -> Result<String, String> {
    if is_credential(text) {
        return Ok(text.to_owned());
    }
    Err(format!("{} is not a service id; {CREDENTIAL_HINT}", quoted(text)))
}

/// A service's secret; the message does not show it.
pub(super) fn service_secret(text: &str) -> Result<(), String> {
    // Whoever tries short ones out would come through in the end.
    const LEAST_LEN: usize = 16;
    if text.len() >= LEAST_LEN && is_credential(text) {
        return Ok(());
    }
    let hint = "use 16 to 128 visible ASCII characters without % + :, such as openssl rand -hex 32 prints";
    Err(format!("the secret there does not do; {hint}"))
}

const CREDENTIAL_HINT: &str = "use 1 to 128 visible ASCII characters without % + :";

// These characters are read in two ways by clients that do or do not form-encode before Basic (RFC 6749 section 2.3.1).
fn is_credential(text: &str) -> bool {
    (1..=128).contains(&text.len()) && is_visible_without(text, b"%+:")
}

/// An audience of JWTs.
pub(super) fn audience(text: &str) -> Result<String, String> {
    if (1..=256).contains(&text.len()) && is_visible_without(text, b"") {
        return Ok(text.to_owned());
    }
    Err(format!("{} is not an audience; write 1 to 256 visible ASCII characters", quoted(text)))
}

/// An organisation's id.
pub(super) fn corp_id(text: &str) -> Result<String, String> {
    if (1..=64).contains(&text.len()) && is_visible_without(text, b":") {
        return Ok(text.to_owned());
    }
    Err(format!("{} is not a corp id; write 1 to 64 visible ASCII characters without a colon", quoted(text)))
}

/// Which of Alipay's ids becomes the openid.
pub(super) fn subject_id(text: &str) -> Result<SubjectId, String> {
    match text {
        "open_id" => Ok(SubjectId::OpenId),
        "user_id" => Ok(SubjectId::UserId),
        _ => Err(format!("{} is not one of two; write \"open_id\" or \"user_id\"", quoted(text))),
    }
}

/// A scope of JWTs (RFC 6749 section 3.3).
pub(super) fn scope(text: &str) -> Result<String, String> {
    if (1..=128).contains(&text.len()) && is_visible_without(text, br#""\"#) {
        return Ok(text.to_owned());
    }
    Err(format!(r#"{} is not a scope; write 1 to 128 visible ASCII characters without " \"#, quoted(text)))
}

/// The `typ` of JWTs.
pub(super) fn token_type(text: &str) -> Result<TokenType, String> {
    let known = [TokenType::AtJwt, TokenType::Jwt].into_iter().find(|typ| typ.as_str() == text);
    known.ok_or_else(|| format!(r#"{} is not a type of JWT here; write "at+jwt" or "JWT""#, quoted(text)))
}

/// Some of `names`, for a message: `"a", "b"`.
pub(super) fn shown(names: &[String]) -> String {
    const MOST: usize = 10;
    let some: Vec<String> = names.iter().take(MOST).map(|name| quoted(name)).collect();
    let more = if names.len() > MOST { format!(", and {} more", names.len() - MOST) } else { String::new() };
    some.join(", ") + &more
}

/// `names` as a list in TOML; of many, the first ones.
pub(super) fn shown_list(names: &[String]) -> String {
    format!("[{}]", shown(names))
}

/// A platform that this version serves.
pub(super) fn platform(text: &str) -> Result<&'static Kind, String> {
    if let Some(kind) = kind::named(text) {
        return Ok(kind);
    }
    let near = nearest(text, kind::ALL.iter().map(|kind| kind.name));
    let hint = near.map_or("auth-ticket platforms lists them".to_owned(), |near| format!("did you mean \"{near}\"?"));
    Err(format!("{} is not a platform of this version; {hint}", quoted(text)))
}

/// Whose identifier a token's `sub` is.
pub(super) fn subject(text: &str) -> Result<Subject, String> {
    match text {
        "openid" => Ok(Subject::Openid),
        "unionid" => Ok(Subject::Unionid),
        _ => {
            let near = nearest(text, ["openid", "unionid"]);
            let hint =
                near.map_or("write \"openid\" or \"unionid\"".to_owned(), |near| format!("did you mean \"{near}\"?"));
            Err(format!("{} is not a subject; {hint}", quoted(text)))
        }
    }
}

/// How log lines are written.
pub(super) fn log_format(text: &str) -> Result<Format, String> {
    match text {
        "text" => Ok(Format::Text),
        "json" => Ok(Format::Json),
        _ => Err(format!("{} is not a format; write \"text\" or \"json\"", quoted(text))),
    }
}

/// Who may read the files that hold secrets.
pub(super) fn secret_files(text: &str) -> Result<(), String> {
    match text {
        "private" | SHARED => Ok(()),
        _ => Err(format!("{} is not one of two; write \"private\" or \"{SHARED}\"", quoted(text))),
    }
}

/// The issuer: `https://authority`, or `http` on loopback; returned byte for byte.
pub(super) fn public_url(text: &str) -> Result<String, String> {
    let wrong = |why: &str| Err(format!("{why}; write for example \"https://login.example.com\""));
    let Some((scheme, url, host)) = http_url(text) else { return wrong(&not_a_url(text)) };
    let authority = text.strip_prefix(scheme).and_then(|rest| rest.strip_prefix("://"));
    let Some(authority) = authority else { return wrong("the scheme is written in lower case and followed by ://") };
    if authority.contains(['/', '?', '#', '\\']) {
        return wrong("only scheme and host belong here, without path and without a slash at the end");
    }
    if authority.ends_with(':') {
        return wrong("the port after the colon is missing");
    }
    if scheme == "http" && !is_loopback(&host) {
        return wrong("http is for loopback only; everywhere else tickets need https");
    }
    debug_assert_eq!(url.path(), "/", "there is no slash in the authority");
    Ok(text.to_owned())
}

/// Where a platform's interface is, without the slash at the end.
pub(super) fn base_url(text: &str) -> Result<Url, String> {
    let wrong = |why: &str| Err(format!("{why}; write for example \"http://127.0.0.1:9999\""));
    let Some((_, mut url, _)) = http_url(text) else { return wrong(&not_a_url(text)) };
    if url.query().is_some() || url.fragment().is_some() {
        return wrong("neither a query nor a fragment belongs here");
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

/// Where the owner's service is.
pub(super) fn claims_url(text: &str) -> Result<Url, String> {
    let hint = "write for example \"https://users.internal/auth-ticket\"";
    let Some((_, url, _)) = http_url(text) else { return Err(format!("{}; {hint}", not_a_url(text))) };
    if url.fragment().is_some() {
        return Err(format!("no fragment belongs here; {hint}"));
    }
    Ok(url)
}

/// Whether what is sent there can be read on the way.
pub(super) fn is_in_clear(url: &Url) -> bool {
    url.scheme() == "http" && !url.host().is_some_and(|host| is_loopback(&host.to_owned()))
}

/// A page's origin as browsers send it, or `*`.
pub(super) fn cors_origin(text: &str) -> Result<String, String> {
    if text == "*" { Ok(text.to_owned()) } else { origin(text, " or \"*\"") }
}

/// A page's origin as browsers send it, short enough for a hand-over.
pub(super) fn web_origin(text: &str) -> Result<WebOrigin, String> {
    let long = |_| format!("{} is longer than {} characters; use a shorter name", quoted(text), WebOrigin::MAX_LEN);
    WebOrigin::parse(&origin(text, "")?).map_err(long)
}

fn origin(text: &str, or: &str) -> Result<String, String> {
    let Some((_, url, _)) = http_url(text) else {
        return Err(format!("{}; write for example \"https://h5.example.com\"{or}", not_a_url(text)));
    };
    // Origins are compared byte for byte, so only the spelling that browsers use can ever match.
    let canonical = url.origin().ascii_serialization();
    if text == canonical {
        return Ok(canonical);
    }
    Err(format!("{} is not spelled as browsers send it; write {}", quoted(text), quoted(&canonical)))
}

/// A http or https URL without user info.
fn http_url(text: &str) -> Option<(&'static str, Url, Host<String>)> {
    if !is_visible_without(text, b"@") {
        return None;
    }
    let url = Url::parse(text).ok()?;
    let scheme = ["https", "http"].into_iter().find(|scheme| *scheme == url.scheme())?;
    let host = url.host()?.to_owned();
    Some((scheme, url, host))
}

// What comes before an @ may be a password: such a text is not shown.
fn not_a_url(text: &str) -> String {
    if text.contains('@') {
        "the URL holds an @; user names and passwords do not belong here".to_owned()
    } else {
        format!("{} is not a http or https URL", quoted(text))
    }
}

fn is_loopback(host: &Host<String>) -> bool {
    match host {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(ip) => ip.is_loopback(),
        Host::Ipv6(ip) => ip.is_loopback(),
    }
}

fn is_visible_without(text: &str, excluded: &[u8]) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic() && !excluded.contains(&byte))
}
