//! Login codes: `GET /sns/jscode2session`.
//! <https://developers.weixin.qq.com/miniprogram/dev/server/API/user-login/api_code2session>

use serde::Deserialize;

use super::call::call;
use super::errcode::ErrorAnswer;
use crate::platform::app_client::AppClient;
use crate::platform::client::{JsonAnswer, PlatformRequest};
use crate::platform::{Code, FailedReason, Identity, PlatformError};
use crate::secret::SecretText;

pub(super) const PATH: &str = "sns/jscode2session";

/// Spends `code`.
pub(super) async fn exchange(app: &AppClient, code: &Code) -> Result<Identity, PlatformError> {
    let request = PlatformRequest {
        path: PATH,
        query: vec![
            ("appid", &app.appid),
            ("secret", app.secret()),
            ("js_code", code.expose()),
            ("grant_type", "authorization_code"),
        ],
        ..PlatformRequest::default()
    };
    let answer = call(&app.http, request, None).await.map_err(|error| error.meaning(ErrorAnswer::in_general))?;
    identity(&answer)
}

/// Whom a success names.
pub(super) fn identity(answer: &JsonAnswer) -> Result<Identity, PlatformError> {
    #[derive(Deserialize)]
    struct Success {
        openid: Option<String>,
        unionid: Option<String>,
        session_key: Option<String>,
    }
    let success: Success = answer.read()?;
    let session_key = success.session_key.map(SecretText::new);
    let Some(openid) = success.openid.filter(|openid| !openid.is_empty()) else {
        return Err(FailedReason::NoOpenid.into());
    };
    let session_key = session_key.as_ref().map(SecretText::expose);
    Identity::parse(&openid, success.unionid.as_deref(), session_key)
        .map_err(|error| FailedReason::Identity(error).into())
}
