//! `WeChat` in a web page: official accounts inside `WeChat`, and websites by QR code.
//!
//! | what | interface |
//! | --- | --- |
//! | [`Platform::exchange`] | `GET /sns/oauth2/access_token` |
//!
//! The page gets its code from `open.weixin.qq.com` in a redirect, and has to compare the `state` with its own before it sends the
//! code here. The access token in the answer is for the user's profile; it is neither kept nor handed out. Somebody who looks at a
//! page in its snapshot mode has a virtual account, which strangers share, and is kept out.
//! <https://developers.weixin.qq.com/doc/offiaccount/OA_Web_Apps/Wechat_webpage_authorization.html>,
//! <https://developers.weixin.qq.com/doc/oplatform/Website_App/WeChat_Login/Wechat_Login.html>

use std::fmt;

use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::Value;

use super::app_client::AppClient;
use super::client::{PlatformRequest, integer};
use super::weapp::call::call;
use super::weapp::errcode::ErrorAnswer;
use super::{
    AppFacts, AppSetting, Code, FailedReason, Identity, Kind, Platform, PlatformError, PlatformOptions, RefusedUser,
    Requirement, SetupError, weapp,
};
use crate::outbound::concurrency::Share;

/// The row of the list.
pub const KIND: Kind = Kind {
    name: "weixin-web",
    program: "WeChat in web pages",
    default_base_url: "https://api.weixin.qq.com",
    sandbox_url: None,
    doubt_secret: weapp::KIND.doubt_secret,
    settings: &[(AppSetting::Secret, Requirement::Required)],
    capabilities: &[],
    ids: "openid: one for each user and account; unionid: of official accounts only with snsapi_userinfo",
    code_life: "5 minutes, once",
    evidence: "vendor's pages",
    build: |options| Ok(Box::new(WeixinWeb::new(options)?)),
};

const PATH: &str = "sns/oauth2/access_token";

/// One official account or website.
pub struct WeixinWeb {
    app: AppClient,
}

impl WeixinWeb {
    /// Sets the client up; sends nothing.
    ///
    /// # Errors
    /// An option is missing or out of its range, or the system has no trusted certificates for an `https` base URL.
    pub fn new(mut options: PlatformOptions) -> Result<Self, SetupError> {
        Ok(Self { app: AppClient::new(&KIND, &mut options, weapp::advice)? })
    }

    async fn log_in(&self, code: &Code) -> Result<Identity, PlatformError> {
        #[derive(Deserialize)]
        struct Success {
            openid: Option<String>,
            unionid: Option<String>,
            #[serde(default)]
            is_snapshotuser: Value,
        }
        let query = vec![
            ("appid", &*self.app.appid),
            ("secret", self.app.secret()),
            ("code", code.expose()),
            ("grant_type", "authorization_code"),
        ];
        let request = PlatformRequest { path: PATH, query, ..PlatformRequest::default() };
        let answer = call(&self.app.http, request, None).await;
        let answer = answer.map_err(|error| error.meaning(ErrorAnswer::in_general))?;
        let Success { openid, unionid, is_snapshotuser } = answer.read()?;
        // Whatever says that it may be one is taken for one.
        let is_nobody = is_snapshotuser.is_null() || is_snapshotuser == false || integer(&is_snapshotuser) == Some(0);
        if !is_nobody {
            return Err(PlatformError::UserRefused(RefusedUser::Snapshot));
        }
        let openid = openid.filter(|openid| !openid.is_empty()).ok_or(FailedReason::NoOpenid)?;
        Identity::parse(&openid, unionid.as_deref(), None).map_err(|error| FailedReason::Identity(error).into())
    }
}

impl Platform for WeixinWeb {
    fn facts(&self) -> &AppFacts {
        &self.app.facts
    }

    fn exchange<'a>(&'a self, code: &'a Code) -> BoxFuture<'a, Result<Identity, PlatformError>> {
        Box::pin(self.app.run(Share::Logins, PATH, self.log_in(code)))
    }
}

impl fmt::Debug for WeixinWeb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeixinWeb").field("appid", &self.app.appid).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
