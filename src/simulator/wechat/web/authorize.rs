//! Where a page sends its reader to log in: `GET /connect/oauth2/authorize` of official accounts, `GET /connect/qrconnect` of websites.
//!
//! By <https://developers.weixin.qq.com/doc/offiaccount/OA_Web_Apps/Wechat_webpage_authorization.html>, whose numbers the refusals have.
//! In place of a phone with somebody logged in to `WeChat`, a page asks for the name, and a cookie keeps it: from then on
//! `snsapi_base` asks nothing and leads straight back, as it does on a phone.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, COOKIE, LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::{MethodRouter, get};
use url::{Url, form_urlencoded};

use crate::simulator::body::parameters;
use crate::simulator::codes::{Codes, random_login_code};
use crate::simulator::faults::{Broken, Fault};
use crate::simulator::reply::Reply;
use crate::simulator::users::{Name, is_appid};
use crate::simulator::wechat::routes::respond;
use crate::simulator::world::World;

pub(super) const AUTHORIZE: &str = "weixin_web_authorize";

/// Who looks at the page in its snapshot mode, as a virtual account.
pub(super) const SNAPSHOT: &str = "snapshot";
/// Names that begin so have agreed to `snsapi_base` alone, which shows no unionid.
pub(super) const BASE: &str = "base.";

/// Keeps the name of the reader.
const WHO: &str = "weixin_user";
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
/// What the page's own form adds to the query: the name, and which button was pressed.
const NAME: &str = "sim_name";
const ANSWER: &str = "sim_answer";

/// Of `WeChat`'s list of refusals on this page.
mod refused {
    pub(super) const REDIRECT_URI: i64 = 10003;
    pub(super) const SCOPE: i64 = 10005;
    pub(super) const NO_SCOPE: i64 = 10010;
    pub(super) const NO_REDIRECT_URI: i64 = 10011;
    pub(super) const NO_APPID: i64 = 10012;
}

/// What the reader is asked for.
#[derive(Clone, Copy, Eq, PartialEq)]
enum AskedScope {
    /// Who it is, without asking.
    Base,
    /// The profile, of an official account's page.
    UserInfo,
    /// The same on a website, by QR code.
    Login,
}

/// A request that may be put to the reader.
struct ConsentRequest {
    appid: String,
    back: Url,
    scope: AskedScope,
    state: String,
}

impl ConsentRequest {
    fn parse(query: &str, offered: &[(&str, AskedScope)]) -> Result<Self, i64> {
        let [appid, redirect_uri, response_type, scope, state] =
            parameters(query, ["appid", "redirect_uri", "response_type", "scope", "state"]);
        if !is_appid(&appid) {
            return Err(refused::NO_APPID);
        }
        if redirect_uri.is_empty() {
            return Err(refused::NO_REDIRECT_URI);
        }
        let back = Url::parse(&redirect_uri).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let back = back.ok_or(refused::REDIRECT_URI)?;
        if scope.is_empty() {
            return Err(refused::NO_SCOPE);
        }
        let (_, scope) = offered.iter().find(|(name, _)| *name == scope).ok_or(refused::SCOPE)?;
        if response_type != "code" {
            return Err(refused::SCOPE);
        }
        Ok(Self { appid, back, scope: *scope, state })
    }

    /// Whether `state` is as documented: at most 128 letters and digits, or none.
    fn has_good_state(&self) -> bool {
        self.state.len() <= 128 && self.state.bytes().all(|byte| byte.is_ascii_alphanumeric())
    }
}

/// The pages; those who agree get one of `codes`.
#[derive(Clone)]
struct Pages {
    world: Arc<World>,
    codes: Arc<Mutex<Codes>>,
}

pub(super) fn routes(world: Arc<World>, codes: Arc<Mutex<Codes>>) -> Router {
    let official_account = page(&[("snsapi_base", AskedScope::Base), ("snsapi_userinfo", AskedScope::UserInfo)]);
    Router::new()
        .route("/connect/oauth2/authorize", official_account)
        .route("/connect/qrconnect", page(&[("snsapi_login", AskedScope::Login)]))
        .with_state(Pages { world, codes })
}

/// The route of one kind of page, for the scopes that it offers.
fn page(offered: &'static [(&'static str, AskedScope)]) -> MethodRouter<Pages> {
    get(async move |State(pages): State<Pages>, RawQuery(query): RawQuery, headers: HeaderMap| {
        let query = query.unwrap_or_default();
        let request = match ConsentRequest::parse(&query, offered) {
            Ok(request) if request.has_good_state() => request,
            Ok(_) => return message("state is at most 128 letters and digits"),
            Err(number) => return refusal(number),
        };
        let [typed, answer] = parameters(&query, [NAME, ANSWER]);
        let known = cookie(&headers);
        let allowed = match &*answer {
            "allow" => Name::parse(&typed),
            "snapshot" => Name::parse(SNAPSHOT),
            "refuse" => return message("refused: WeChat sends nobody back"),
            // Nothing is asked of somebody who is logged in to WeChat.
            _ => known.clone().filter(|_| request.scope == AskedScope::Base),
        };
        match allowed {
            Some(name) => pages.lead_back(request, name).await,
            None => ask(&query, known.as_ref()),
        }
    })
}

impl Pages {
    /// Back to the page, with a code for `name`.
    async fn lead_back(&self, request: ConsentRequest, name: Name) -> Response {
        let ConsentRequest { appid, mut back, scope, state } = request;
        let outcome = self.world.call(AUTHORIZE, &appid, |now| {
            let agreed =
                if scope == AskedScope::Base { format!("{BASE}{}", name.as_str()) } else { name.as_str().to_owned() };
            let agreed = Name::parse(&agreed).filter(|_| name.as_str() != SNAPSHOT).unwrap_or_else(|| name.clone());
            let code = random_login_code().map_err(|_| Fault::Broken(Broken::ServerError))?;
            self.codes.lock().unwrap_or_else(PoisonError::into_inner).mint(code.clone(), appid.clone(), agreed, now);
            Ok((Duration::ZERO, code))
        });
        let (delay, code) = match outcome {
            Ok(answer) => answer,
            Err(Fault::Errcode(number)) => return refusal(number),
            Err(Fault::Word(word)) => return message(&word),
            Err(Fault::Broken(broken)) => return respond(Reply::Broken(broken)).await,
        };
        tokio::time::sleep(delay).await;
        back.query_pairs_mut().append_pair("code", &code).append_pair("state", &state);
        let Ok(location) = HeaderValue::try_from(String::from(back)) else { return refusal(refused::REDIRECT_URI) };
        let mut response = (StatusCode::FOUND, [(LOCATION, location), (CACHE_CONTROL, NO_STORE)]).into_response();
        // Who looks at a snapshot is nobody that a phone would be logged in as.
        if name.as_str() != SNAPSHOT
            && let Ok(cookie) =
                HeaderValue::try_from(format!("{WHO}={}; Path=/connect; HttpOnly", encoded(name.as_str())))
        {
            response.headers_mut().insert(SET_COOKIE, cookie);
        }
        response
    }
}

/// Asks the reader, with the whole request in the form.
fn ask(query: &str, known: Option<&Name>) -> Response {
    let kept = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != NAME && name != ANSWER);
    let kept = kept.map(|(name, value)| {
        format!("<input type=\"hidden\" name=\"{}\" value=\"{}\">\n", escaped(&name), escaped(&value))
    });
    let name = escaped(known.map_or("alice", Name::as_str));
    html(&format!(
        "<form>\n{}<p><label>Simulated WeChat user <input name=\"{NAME}\" value=\"{name}\" required pattern=\"[!-,.-~]{{1,64}}\"></label>\n\
         <p><button name=\"{ANSWER}\" value=\"allow\">Allow</button>\n\
         <button name=\"{ANSWER}\" value=\"snapshot\">Look at a snapshot</button>\n\
         <button name=\"{ANSWER}\" value=\"refuse\" formnovalidate>Refuse</button>\n</form>",
        kept.collect::<Vec<_>>().concat()
    ))
}

fn refusal(number: i64) -> Response {
    let text = match number {
        refused::REDIRECT_URI => "redirect_uri is not a URL of http or https",
        refused::SCOPE => "the page has no such scope, or response_type is not code",
        refused::NO_SCOPE => "scope is missing",
        refused::NO_REDIRECT_URI => "redirect_uri is missing",
        refused::NO_APPID => "appid is missing or malformed",
        _ => "planned by a test",
    };
    message(&format!("{number}: {text}"))
}

fn message(text: &str) -> Response {
    html(&format!("<p>{}</p>", escaped(text)))
}

/// A page as WeChat shows it: refusals are a 200, too.
fn html(body: &str) -> Response {
    let headers =
        [(CACHE_CONTROL, NO_STORE), (CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'"))];
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<link rel=\"icon\" href=\"data:,\">\n\
         <title>Simulated WeChat</title>\n<h1>Simulated WeChat</h1>\n{body}\n</html>\n"
    );
    (headers, Html(page)).into_response()
}

/// Who is logged in to `WeChat`, as far as the cookie says.
fn cookie(headers: &HeaderMap) -> Option<Name> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let value = cookies.flat_map(|cookies| cookies.split("; ")).find_map(|cookie| {
        let (name, value) = cookie.split_once('=')?;
        (name == WHO).then_some(value)
    })?;
    let (value, _) = form_urlencoded::parse(value.as_bytes()).next()?;
    Name::parse(&value)
}

/// A text within a cookie: names have characters that end one.
fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests;
