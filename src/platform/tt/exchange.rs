//! Login codes: `POST /api/apps/v2/jscode2session`.

use serde::Deserialize;
use serde_json::json;

use super::errcode;
use crate::platform::app_client::AppClient;
use crate::platform::client::{PlatformRequest, RequestBody};
use crate::platform::{Code, FailedReason, Identity, PlatformError};
use crate::secret::SecretText;

pub(super) const PATH: &str = "api/apps/v2/jscode2session";

/// Spends `code`. The anonymous code of somebody who is not logged in to the host app names a device, not a user, so none is
/// sent.
pub(super) async fn exchange(app: &AppClient, code: &Code) -> Result<Identity, PlatformError> {
    #[derive(Deserialize)]
    struct Success {
        data: Data,
    }
    /// What there is no value for is the empty text.
    #[derive(Deserialize)]
    struct Data {
        openid: Option<String>,
        unionid: Option<String>,
        session_key: Option<String>,
    }
    let body = json!({
        "appid": app.appid,
        "secret": app.secret(),
        "code": code.expose(),
        "anonymous_code": "",
    });
    let request = PlatformRequest { path: PATH, body: RequestBody::Json(body), ..PlatformRequest::default() };
    let answer = app.http.send(&request).await?;
    if let Some(refusal) = errcode::refusal(&answer)? {
        return Err(errcode::of_a_login_code(refusal));
    }
    let Success { data } = answer.read()?;
    let session_key = data.session_key.map(SecretText::new);
    let Some(openid) = data.openid.filter(|openid| !openid.is_empty()) else {
        return Err(FailedReason::NoOpenid.into());
    };
    let session_key = session_key.as_ref().map(SecretText::expose);
    Identity::parse(&openid, data.unionid.as_deref(), session_key).map_err(|error| FailedReason::Identity(error).into())
}
