//! Logins in web pages, of official accounts and of websites: `GET /sns/oauth2/access_token`, and the pages to log in on.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::routing::get;
use serde::Serialize;

use super::errcode::{refusal, wechat_json};
use super::interfaces::{app, present};
use super::routes::respond;
use crate::simulator::body::parameters;
use crate::simulator::codes::{Codes, Unredeemed, random_login_code};
use crate::simulator::faults::Fault;
use crate::simulator::platform::{ControlError, SimulatedPlatform};
use crate::simulator::reply::Reply;
use crate::simulator::users::{Name, SimulatedUser};
use crate::simulator::world::World;
use authorize::{BASE, SNAPSHOT};

mod authorize;

const LOGIN: &str = "weixin_web_access_token";

/// Official accounts and websites of a simulated `WeChat`.
pub(crate) struct WechatWeb {
    world: Arc<World>,
    codes: Arc<Mutex<Codes>>,
}

#[derive(Serialize)]
struct WebLogin<'a> {
    access_token: String,
    expires_in: u64,
    refresh_token: String,
    openid: &'a str,
    scope: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    unionid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_snapshotuser: Option<u8>,
}

impl WechatWeb {
    pub(crate) fn new(world: Arc<World>) -> Self {
        Self { world, codes: Arc::default() }
    }

    /// A code becomes an openid, and an access token for the user's profile.
    fn access_token(&self, [appid, secret, code, grant_type]: [&str; 4]) -> Reply {
        let outcome = self.world.call(LOGIN, appid, |now| {
            present(&[(appid, 41002), (secret, 41004), (code, 41008)])?;
            app(appid, grant_type, "authorization_code")?;
            let redeemed = self.codes().redeem(self.world.login_code(code, appid), now, |_| true);
            let (delay, name) = redeemed.map_err(|why| match why {
                Unredeemed::Fault(fault) => fault,
                Unredeemed::Used => Fault::Errcode(40163),
                Unredeemed::Invalid | Unredeemed::OtherUser => Fault::Errcode(40029),
            })?;
            let is_base = name.as_str().starts_with(BASE);
            // The same user as without it.
            let name = name.as_str().strip_prefix(BASE).and_then(Name::parse).unwrap_or(name);
            let answer = WebLogin {
                access_token: name.hex("weixin-web access_token", appid, 64),
                expires_in: 7200,
                refresh_token: name.hex("weixin-web refresh_token", appid, 64),
                openid: &name.openid(appid),
                scope: if is_base { "snsapi_base" } else { "snsapi_userinfo" },
                unionid: (!is_base).then(|| name.unionid()),
                is_snapshotuser: (name.as_str() == SNAPSHOT).then_some(1),
            };
            Ok((delay, wechat_json(&answer)))
        });
        let refuse =
            |errcode| Reply::Json(Duration::ZERO, refusal(errcode, self.world.count_answer(), self.world.now()));
        match outcome {
            Ok((delay, json)) => Reply::Json(delay, json),
            Err(Fault::Errcode(errcode)) => refuse(errcode),
            // Of words it knows none, as of codes.
            Err(Fault::Word(_)) => refuse(40029),
            Err(Fault::Broken(broken)) => Reply::Broken(broken),
        }
    }

    fn codes(&self) -> MutexGuard<'_, Codes> {
        self.codes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SimulatedPlatform for WechatWeb {
    fn name(&self) -> &'static str {
        "weixin-web"
    }

    fn interfaces(&self) -> &'static [&'static str] {
        &[LOGIN, authorize::AUTHORIZE]
    }

    fn routes(self: Arc<Self>) -> Router {
        let access_token = async |State(web): State<Arc<Self>>, RawQuery(query): RawQuery| {
            let parameters = parameters(&query.unwrap_or_default(), ["appid", "secret", "code", "grant_type"]);
            respond(web.access_token(parameters.each_ref().map(String::as_str))).await
        };
        let pages = authorize::routes(Arc::clone(&self.world), Arc::clone(&self.codes));
        Router::new().route("/sns/oauth2/access_token", get(access_token)).with_state(self).merge(pages)
    }

    fn user(&self, appid: &str, name: &Name) -> SimulatedUser {
        SimulatedUser { phone: String::new(), country_code: String::new(), ..SimulatedUser::named(appid, name) }
    }

    fn login_code(&self, appid: String, name: Name) -> Result<String, ControlError> {
        let code = random_login_code().map_err(|_| ControlError::NoRandomness)?;
        self.codes().mint(code.clone(), appid, name, self.world.now());
        Ok(code)
    }

    fn forget(&self) {
        *self.codes() = Codes::default();
    }
}

#[cfg(test)]
mod tests;
