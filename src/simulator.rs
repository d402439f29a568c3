//! A stand-in for the platforms, for demonstrations and tests: answers over HTTP as the real ones do, quirks included.
//!
//! It lives in memory: a restart forgets which codes are spent, but users stay who they are, for everything about a
//! user follows from the name. It checks no app secret and is nothing to put on a public network.
//!
//! Of `WeChat` there are `jscode2session`, `token`, `stable_token`, `getuserphonenumber`, `checksession`,
//! `resetusersessionkey` and `checkencryptedmsg`, under their own paths. What a login code does depends on its spelling:
//!
//! | code | effect |
//! | --- | --- |
//! | `demo-NAME-ANYTHING` | logs NAME in, once for each full code; NAME has no dash, ANYTHING may be empty |
//! | 32 characters from `POST /_sim/code` | logs the user in, once, within five minutes, to that app only |
//! | `err-N` | refuses with errcode N |
//! | `slow-MILLISECONDS-NAME` | logs NAME in after that time, a minute at most, any number of times |
//! | `http-500`, `garbage` | answers with that status; with something that is no JSON |
//! | `hang`, `cut` | never answers; closes the connection in the middle of an answer |
//! | anything else | refuses with 40029 |
//!
//! Codes of the phone button are the same but for `phone-NAME-ANYTHING` and `POST /_sim/phone-code`. Under `/_sim` are
//! further routes of the simulator's own, which refuse with a 400 and `{"error","error_description"}`. All of it is in
//! `docs/SIMULATOR.md`.

use std::fmt;
use std::future::ready;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use hyper::header::{DATE, HeaderValue};
use tower::ServiceExt as _;

use crate::clock::Clock;
use crate::outbound::SIMULATOR_HEADER;

mod alipay;
mod body;
mod codes;
mod control;
mod dd;
mod faults;
mod jd;
mod kwai;
mod lark;
mod memory;
mod planted;
mod platform;
mod qq;
mod reply;
mod rsa;
mod stats;
mod swan;
mod tokens;
mod tt;
mod users;
mod wechat;
mod world;
mod wxwork;
mod xhs;

pub use users::SimulatedUser;

use control::Control;
use platform::SimulatedPlatform;
use users::{Name, is_appid};
use wechat::Wechat;
use world::World;

/// The simulated platforms. Clones share their state.
#[derive(Clone)]
pub struct Simulator {
    control: Arc<Control>,
}

/// THE list of simulated platforms. The first one is meant where nobody says which.
#[rustfmt::skip]
fn platforms(world: &Arc<World>) -> Vec<Arc<dyn SimulatedPlatform>> {
    vec![
        Arc::new(Wechat::new(Arc::clone(world))),
        Arc::new(tt::Douyin::new(Arc::clone(world))),
        Arc::new(alipay::AlipayGateway::new(Arc::clone(world))),
        Arc::new(swan::Baidu::new(Arc::clone(world))),
        Arc::new(qq::QqSimulator::new(Arc::clone(world))),
        Arc::new(kwai::Kuaishou::new(Arc::clone(world))),
        Arc::new(xhs::Xiaohongshu::new(Arc::clone(world))),
        Arc::new(jd::JdGateway::new(Arc::clone(world))),
        Arc::new(dd::DingTalk::new(Arc::clone(world))),
        Arc::new(lark::Feishu::new(Arc::clone(world))),
        Arc::new(wxwork::WeCom::new(Arc::clone(world))),
        Arc::new(wechat::web::WechatWeb::new(Arc::clone(world))),
    ]
}

impl Simulator {
    /// Nobody has logged in yet; codes and access tokens age by `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::in_world(World::new(clock, None))
    }

    /// The same, where codes that it has not made are those of the user `devtools`: the developer tools of `WeChat` get real
    /// ones, even where their server is a simulated one.
    #[must_use]
    pub fn for_devtools(clock: Arc<dyn Clock>) -> Self {
        Self::in_world(World::new(clock, Name::parse("devtools")))
    }

    fn in_world(world: World) -> Self {
        let world = Arc::new(world);
        Self { control: Arc::new(Control { platforms: platforms(&world), world }) }
    }

    /// All routes of the simulator.
    pub fn router(&self) -> Router {
        let world = Arc::clone(&self.control.world);
        // Otherwise the HTTP server writes the date of the system's clock.
        let date = move |mut response: Response| {
            if let Ok(date) = HeaderValue::try_from(world.now().to_http_date()) {
                response.headers_mut().insert(DATE, date);
            }
            response.headers_mut().insert(SIMULATOR_HEADER, HeaderValue::from_static("1"));
            ready(response)
        };
        let own = control::routes().with_state(Arc::clone(&self.control));
        let routes = self.control.platforms.iter().map(|platform| Arc::clone(platform).routes());
        routes
            .fold(own, Router::merge)
            .layer(middleware::from_fn_with_state(self.claimants(), claimed))
            .layer(middleware::from_fn_with_state(Arc::clone(&self.control), control::planted))
            .layer(middleware::from_fn(control::from_no_page))
            .layer(middleware::map_response(date))
    }

    fn claimants(&self) -> Arc<[Claimant]> {
        let claimant =
            |platform: &Arc<dyn SimulatedPlatform>| (Arc::clone(platform), Arc::clone(platform).claimed_routes());
        self.control.platforms.iter().map(claimant).collect()
    }

    /// Who `name` is in the app `appid`. Nobody when either is not 1 to 64 visible ASCII characters, or when the name
    /// has a dash.
    #[must_use]
    pub fn user(&self, appid: &str, name: &str) -> Option<SimulatedUser> {
        let name = Name::parse(name).filter(|_| is_appid(appid))?;
        self.control.platforms.first().map(|platform| platform.user(appid, &name))
    }
}

/// A platform, and its routes for what it claims.
type Claimant = (Arc<dyn SimulatedPlatform>, Router);

/// Two platforms may have one path; then the appid says whose a request is.
async fn claimed(State(claimants): State<Arc<[Claimant]>>, request: Request, next: Next) -> Response {
    let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    let appid = pairs.find(|(name, _)| name == "appid").map(|(_, appid)| appid).unwrap_or_default();
    let claimant = claimants.iter().find(|(platform, _)| platform.claims(path, &appid));
    match claimant.map(|(_, routes)| routes.clone()) {
        Some(routes) => routes.oneshot(request).await.into_response(),
        None => next.run(request).await,
    }
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
