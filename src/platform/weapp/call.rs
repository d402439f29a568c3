//! One call of one of `WeChat`'s interfaces, and what its answer says.
//!
//! Errors come as an `errcode` in a 200 that is labelled `text/plain`; the body decides, not the label.

use serde::Deserialize;
use serde_json::Value;

use super::errcode::ErrorAnswer;
use crate::platform::app_token::AppToken;
use crate::platform::client::{JsonAnswer, PlatformClient, PlatformRequest, integer};
use crate::platform::{FailedReason, PlatformError};

/// Why there is no answer of the kind that was asked for.
pub(crate) enum Failure {
    /// The platform has answered with an `errcode`; what that means depends on the interface.
    Errcode(ErrorAnswer),
    /// There is no answer that can be used.
    Unanswered(PlatformError),
}

/// Sends `request`, with an access token if the interface wants one.
pub(crate) async fn call<'a>(
    client: &PlatformClient,
    mut request: PlatformRequest<'a>,
    token: Option<&'a AppToken>,
) -> Result<JsonAnswer, Failure> {
    if let Some(token) = token {
        request.query.insert(0, ("access_token", token.expose()));
    }
    let answer = client.send(&request).await?;
    match errcode(&answer)? {
        None => Ok(answer),
        Some(error) => Err(Failure::Errcode(error)),
    }
}

/// `errcode` and `errmsg`. Successes may have neither, or an `errcode` of 0.
fn errcode(answer: &JsonAnswer) -> Result<Option<ErrorAnswer>, PlatformError> {
    #[derive(Deserialize)]
    struct Verdict {
        #[serde(default)]
        errcode: Value,
        #[serde(default)]
        errmsg: Value,
    }
    let verdict: Verdict = answer.read()?;
    let errcode = if verdict.errcode.is_null() { Some(0) } else { integer(&verdict.errcode) };
    match errcode {
        None => Err(FailedReason::Malformed.into()),
        Some(0) => Ok(None),
        Some(errcode) => Ok(Some(ErrorAnswer::new(errcode, verdict.errmsg.as_str().unwrap_or_default()))),
    }
}

impl Failure {
    /// The error for the caller; `meaning` is the interface's.
    pub(crate) fn meaning(self, meaning: impl FnOnce(ErrorAnswer) -> PlatformError) -> PlatformError {
        match self {
            Self::Errcode(error) => meaning(error),
            Self::Unanswered(error) => error,
        }
    }
}

impl From<PlatformError> for Failure {
    fn from(error: PlatformError) -> Self {
        Self::Unanswered(error)
    }
}
