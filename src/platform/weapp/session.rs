//! Session keys: `GET /wxa/checksession`, `GET /wxa/resetusersessionkey`.
//!
//! The `session_key` itself does not travel: a signature shows that we have it.
//! <https://developers.weixin.qq.com/miniprogram/dev/server/API/user-login/api_checksessionkey>,
//! <https://developers.weixin.qq.com/miniprogram/dev/server/API/user-login/api_resetusersessionkey>

use aws_lc_rs::hmac;
use serde::Deserialize;

use super::access_token::TokenCalls;
use super::call::Failure;
use super::errcode::ErrorAnswer;
use crate::claims::{PlatformId, SessionKey};
use crate::platform::client::{JsonAnswer, PlatformRequest};
use crate::platform::identity::parse_session_key;
use crate::platform::{FailedReason, PlatformError, SignableData, UserSignature};
use crate::secret::SecretText;

pub(super) const CHECK_PATH: &str = "wxa/checksession";
pub(super) const RESET_PATH: &str = "wxa/resetusersessionkey";
/// What the platform calls [`signature`].
const SIGNATURE_METHOD: &str = "hmac_sha256";

/// Whether `session_key` is the one of `openid`.
pub(super) async fn check(
    calls: &TokenCalls,
    openid: &PlatformId,
    session_key: &SessionKey,
) -> Result<bool, PlatformError> {
    Ok(ask(calls, CHECK_PATH, openid, session_key).await?.is_some())
}

/// The key that replaces `session_key`, if that was the one of `openid`.
pub(super) async fn reset(
    calls: &TokenCalls,
    openid: &PlatformId,
    session_key: &SessionKey,
) -> Result<Option<SessionKey>, PlatformError> {
    #[derive(Deserialize)]
    struct Success {
        openid: Option<String>,
        session_key: String,
    }
    let Some(answer) = ask(calls, RESET_PATH, openid, session_key).await? else { return Ok(None) };
    let success: Success = answer.read()?;
    let session_key = SecretText::new(success.session_key);
    if success.openid.is_some_and(|other| other != openid.as_str()) {
        return Err(FailedReason::OtherUser.into());
    }
    Ok(Some(parse_session_key(session_key.expose()).map_err(FailedReason::Identity)?))
}

/// `None`: the platform says that `session_key` is not the one of `openid`, or not any more.
async fn ask(
    calls: &TokenCalls,
    path: &'static str,
    openid: &PlatformId,
    session_key: &SessionKey,
) -> Result<Option<JsonAnswer>, PlatformError> {
    let signature = signature(&session_key.to_text(), b"");
    let query = || vec![("openid", openid.as_str()), ("signature", &*signature), ("sig_method", SIGNATURE_METHOD)];
    match calls.call(|| PlatformRequest { path, query: query(), ..PlatformRequest::default() }).await {
        Ok(answer) => Ok(Some(answer)),
        Err(Failure::Errcode(error)) if matches!(error.errcode(), 87007 | 87009) => Ok(None),
        Err(error) => Err(error.meaning(ErrorAnswer::in_general)),
    }
}

/// What the platform wants beside a call for which the user has to be logged in: payments, for instance.
/// <https://developers.weixin.qq.com/miniprogram/dev/platform-capabilities/business-capabilities/virtual-payment.html>
pub(super) fn sign(session_key: &SessionKey, data: &SignableData) -> UserSignature {
    UserSignature::new(signature(&session_key.to_text(), data.as_str().as_bytes()), SIGNATURE_METHOD)
}

/// HMAC-SHA256 of a request's body, in hex. The key is the text of the `session_key`, not what its base64 stands for.
fn signature(session_key: &SecretText, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, session_key.expose().as_bytes());
    hex::encode(hmac::sign(&key, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// <https://developers.weixin.qq.com/minigame/en/dev/tutorial/open-ability/http-signature.html>; the one of nothing
    /// was made with Python's `hmac`.
    #[test]
    fn a_signature_is_keyed_with_the_base64_text() {
        let session_key = SecretText::new("o0q0otL8aEzpcZL/FT9WsQ==");
        for (body, expected) in [
            (r#"{"foo":"bar"}"#, "654571f79995b2ce1e149e53c0a33dc39c0a74090db514261454e8dbe432aa0b"),
            ("", "46e043c5525c2d817c44be603d30837a808a1d930d038f6fdc3e62a201fed128"),
        ] {
            assert_eq!(signature(&session_key, body.as_bytes()), expected);
        }
    }
}
