//! Login codes of apps for which a third-party platform acts: `GET /sns/component/jscode2session`.
//!
//! The platform's own access token is made from a ticket that `WeChat` pushes to one address every ten minutes, which servers
//! without a store cannot share. So the owner's program makes it, and writes it into a file that is read for each login.
//! <https://developers.weixin.qq.com/doc/oplatform/openApi/OpenApiDoc/miniprogram-management/login/thirdpartyCode2Session.html>

use super::call::{Failure, call};
use super::errcode::{self, ErrorAnswer};
use super::exchange::identity;
use crate::platform::app_client::AppClient;
use crate::platform::client::{JsonAnswer, PlatformRequest};
use crate::platform::facts::Advice;
use crate::platform::{AppSettings, Code, Errcode, FailedReason, Identity, PlatformError, SecretSource};
use crate::secret::SecretText;

pub(super) const PATH: &str = "sns/component/jscode2session";

/// The third-party platform that acts for an app.
pub(super) struct Component {
    appid: String,
    access_token: SecretSource,
}

impl Component {
    /// The one that `settings` name, if they do.
    pub(super) fn of(settings: &AppSettings) -> Option<Self> {
        let AppSettings { component_appid: Some(appid), component_access_token: Some(access_token), .. } = settings
        else {
            return None;
        };
        Some(Self { appid: appid.clone(), access_token: access_token.clone() })
    }

    /// Spends `code`. If the answer says that the access token was not good, so that the code was not looked at, and the owner has
    /// replaced it meanwhile, sends the code once more with the new one.
    pub(super) async fn exchange(&self, app: &AppClient, code: &Code) -> Result<Identity, PlatformError> {
        let token = self.token().await?;
        let refusal = match self.attempt(app, &token, code).await {
            Ok(answer) => return identity(&answer),
            Err(Failure::Errcode(error)) if error.blames_the_access_token() => error,
            Err(error) => return Err(error.meaning(ErrorAnswer::of_a_component)),
        };
        let newer = self.token().await?;
        if newer.is(token.expose()) {
            return Err(refusal.of_a_component());
        }
        let answer = self.attempt(app, &newer, code).await;
        identity(&answer.map_err(|error| error.meaning(ErrorAnswer::of_a_component))?)
    }

    async fn attempt(&self, app: &AppClient, token: &SecretText, code: &Code) -> Result<JsonAnswer, Failure> {
        let query = vec![
            ("component_access_token", token.expose()),
            ("component_appid", &self.appid),
            ("appid", &app.appid),
            ("js_code", code.expose()),
            ("grant_type", "authorization_code"),
        ];
        call(&app.http, PlatformRequest { path: PATH, query, ..PlatformRequest::default() }, None).await
    }

    /// Read aside: a file may be on a slow disk.
    async fn token(&self) -> Result<SecretText, PlatformError> {
        let source = self.access_token.clone();
        let read = tokio::task::spawn_blocking(move || source.read()).await;
        read.map_err(|_| FailedReason::CutOff)?.map_err(|why| PlatformError::NoSecret(why.into()))
    }
}

/// What an operator does about an error of this interface.
pub(super) fn advice(error: &PlatformError) -> Option<Advice> {
    let fresh = "your program has to write a fresh component_access_token there at least every two hours, and replace the file as a \
                 whole";
    match error {
        PlatformError::NoSecret(why) => Some(Advice::new(format!("component_access_token_file is {why}; {fresh}"))),
        PlatformError::Misconfigured { address, client_may_cause, .. } => {
            let text = match error.errcode().and_then(Errcode::as_number) {
                Some(40001 | 40014 | 41021 | 42001) => {
                    format!("the platform refuses the token in component_access_token_file; {fresh}")
                }
                Some(41018) => {
                    "the platform does not know component_appid; it is that of the third-party platform, on \
                                open.weixin.qq.com"
                        .to_owned()
                }
                Some(61003) => {
                    "the mini-program has not authorized the third-party platform component_appid; its owner does that \
                                on the page that the platform shows"
                        .to_owned()
                }
                _ => errcode::remedy(error.errcode(), *address, *client_may_cause),
            };
            Some(Advice::new(text))
        }
        _ => None,
    }
}
