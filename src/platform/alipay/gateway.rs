//! Login codes: `alipay.system.oauth.token`, by a signed request to the gateway.
//!
//! Signed are all parameters of query and body, sorted by name, as `name=value` with `&` between, not encoded.
//! <https://opendocs.alipay.com/common/02mse3>

use std::sync::Arc;

use serde::Deserialize;

use super::reply::{ReplyError, SignedReply};
use crate::clock::Clock;
use crate::platform::app_client::AppClient;
use crate::platform::china_time::china_time;
use crate::platform::client::{PlatformRequest, RequestBody};
use crate::platform::{Code, FailedReason, Identity, PlatformError, RsaPrivateKey, RsaPublicKey, SubjectId};

pub(super) const METHOD: &str = "alipay.system.oauth.token";
const PATH: &str = "gateway.do";
const RESPONSE: &str = "alipay_system_oauth_token_response";

/// The way to the gateway, and what proves who is at either end.
pub(super) struct Gateway {
    pub(super) app: Arc<AppClient>,
    pub(super) private_key: RsaPrivateKey,
    pub(super) public_key: Arc<RsaPublicKey>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) subject_id: SubjectId,
}

impl Gateway {
    /// Spends `code`.
    pub(super) async fn exchange(&self, code: &Code) -> Result<Identity, PlatformError> {
        #[derive(Deserialize)]
        struct Success {
            open_id: Option<String>,
            user_id: Option<String>,
        }
        let timestamp = china_time(self.clock.now());
        let mut query = vec![
            ("app_id", &*self.app.appid),
            ("charset", "utf-8"),
            ("format", "JSON"),
            ("method", METHOD),
            ("sign_type", "RSA2"),
            ("timestamp", &*timestamp),
            ("version", "1.0"),
        ];
        let form = vec![("grant_type", "authorization_code"), ("code", code.expose())];
        let sign = self.private_key.sign(text_to_sign(query.iter().chain(&form)).as_bytes());
        query.push(("sign", &*sign));
        let request =
            PlatformRequest { path: PATH, query, body: RequestBody::Form(form), ..PlatformRequest::default() };
        let answer = self.app.http.send(&request).await?;
        let reply =
            SignedReply::parse(answer.json(), RESPONSE, &self.public_key).map_err(ReplyError::of_a_login_code)?;
        let success: Success = reply.read()?;
        let id = match self.subject_id {
            SubjectId::OpenId => success.open_id,
            SubjectId::UserId => success.user_id,
        };
        // Without the chosen id the other one would make a second openid for the same person.
        let id = id.filter(|id| !id.is_empty()).ok_or(FailedReason::NoOpenid)?;
        Identity::parse(&id, None, None).map_err(|error| FailedReason::Identity(error).into())
    }
}

/// What is signed of a request.
fn text_to_sign<'a>(parameters: impl Iterator<Item = &'a (&'static str, &'a str)>) -> String {
    let mut parameters: Vec<_> = parameters.collect();
    parameters.sort_unstable();
    parameters.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_signed_in_their_order_and_as_they_are() {
        let parameters =
            [("version", "1.0"), ("app_id", "20"), ("timestamp", "2026-11-28 10:00:00"), ("code", "a+b/c=&")];
        let expected = "app_id=20&code=a+b/c=&&timestamp=2026-11-28 10:00:00&version=1.0";
        assert_eq!(text_to_sign(parameters.iter()), expected);
    }
}
