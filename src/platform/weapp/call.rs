//! One request to one of `WeChat`'s interfaces, and what its answer says.
//!
//! URLs hold the app secret or an access token, so they are followed nowhere, named in no error, and no text of the HTTP
//! client is shown. Errors come as an `errcode` in a 200 that is labelled `text/plain`; the body decides, not the label.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{AGE, CONTENT_TYPE, DATE};
use reqwest::{Client, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use super::WeappError;
use super::refusal::Refused;
use crate::clock::UnixSeconds;
use crate::outbound::{self, Unreachable};
use crate::platform::{DateSeen, FailedReason, PlatformError};
use crate::secret::{SecretText, Zeroizing};

/// Real answers are below 1 KiB.
const MAX_ANSWER_LEN: usize = 64 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The way to one platform. Sends what it is given once.
pub(super) struct Line {
    client: Client,
    base_url: Url,
    date_seen: Mutex<Option<DateSeen>>,
}

/// What goes to an interface: GET, or POST if there is a body.
pub(super) struct Request<'a> {
    /// The interface, such as `sns/jscode2session`.
    pub(super) path: &'static str,
    /// Names and values, not yet encoded.
    pub(super) query: Vec<(&'static str, &'a str)>,
    /// JSON.
    pub(super) body: Option<Value>,
}

/// Why there is no [`Answer`].
pub(super) enum CallError {
    /// The platform has answered with an `errcode`; what that means depends on the interface.
    Refused(Refused),
    /// There is no answer that can be used.
    Unanswered(PlatformError),
}

impl Line {
    /// Sets the client up; sends nothing.
    pub(super) fn new(base_url: Url, timeout: Duration) -> Result<Self, WeappError> {
        let is_plain = matches!(base_url.scheme(), "http" | "https")
            && base_url.username().is_empty()
            && base_url.password().is_none()
            && base_url.query().is_none()
            && base_url.fragment().is_none();
        if !is_plain || base_url.cannot_be_a_base() {
            return Err(WeappError::BaseUrl);
        }
        let client = outbound::client(&base_url).connect_timeout(timeout.min(CONNECT_TIMEOUT)).build();
        let date_seen = Mutex::default();
        Ok(Self { client: client.map_err(|_| WeappError::Client)?, base_url, date_seen })
    }

    /// Sends `request`, with an access token if the interface wants one.
    pub(super) async fn send(
        &self,
        request: &Request<'_>,
        access_token: Option<&SecretText>,
    ) -> Result<Answer, CallError> {
        let url = self.url(request, access_token);
        let builder = match &request.body {
            None => self.client.get(url),
            Some(json) => self.client.post(url).header(CONTENT_TYPE, "application/json").body(json.to_string()),
        };
        let began = Instant::now();
        let response = builder.send().await.map_err(|error| classify(&error))?;
        self.see_date(&response, began);
        let status = response.status();
        if status == reqwest::StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            // No platform says that, and a proxy that does has passed nothing on.
            return Err(PlatformError::Unreachable(Unreachable::Proxy).into());
        }
        if status != reqwest::StatusCode::OK {
            return Err(FailedReason::Status(status.as_u16()).into());
        }
        Answer::parse(read(response).await?)
    }

    /// What the last answer with a date said about the time.
    pub(super) fn date_seen(&self) -> Option<DateSeen> {
        *self.date_seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn see_date(&self, response: &Response, began: Instant) {
        let headers = response.headers();
        let date = headers.get(DATE).and_then(|date| UnixSeconds::parse_http_date(date.to_str().ok()?));
        // What a cache has kept says nothing about the present.
        if let Some(date) = date.filter(|_| !headers.contains_key(AGE)) {
            let seen = DateSeen { date, at: Instant::now(), took: began.elapsed() };
            *self.date_seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        }
    }

    /// The one place where URLs are made.
    fn url(&self, request: &Request<'_>, access_token: Option<&SecretText>) -> Url {
        let mut url = self.base_url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(request.path.split('/'));
        }
        if access_token.is_some() || !request.query.is_empty() {
            url.query_pairs_mut()
                .extend_pairs(access_token.map(|token| ("access_token", token.expose())))
                .extend_pairs(&request.query);
        }
        url
    }
}

/// Of a client error only its kind is taken: its texts hold the URL, and that a secret.
fn classify(error: &reqwest::Error) -> PlatformError {
    match Unreachable::of(error) {
        Some(why) => PlatformError::Unreachable(why),
        None if error.is_timeout() => PlatformError::Timeout,
        None => PlatformError::Failed(FailedReason::CutOff),
    }
}

async fn read(mut response: Response) -> Result<Zeroizing<Vec<u8>>, PlatformError> {
    // All at once: a vector that grows leaves copies of a session_key behind.
    let mut answer = Zeroizing::new(Vec::with_capacity(MAX_ANSWER_LEN));
    while let Some(chunk) = response.chunk().await.map_err(|error| classify(&error))? {
        if chunk.len() > MAX_ANSWER_LEN - answer.len() {
            return Err(PlatformError::Failed(FailedReason::TooLarge(MAX_ANSWER_LEN)));
        }
        answer.extend_from_slice(&chunk);
    }
    Ok(answer)
}

/// What the platform answered when it did not refuse: JSON, an object.
pub(super) struct Answer(Zeroizing<Vec<u8>>);

/// What every answer may hold. Successes may have neither.
#[derive(Deserialize)]
struct Verdict {
    #[serde(default)]
    errcode: Value,
    #[serde(default)]
    errmsg: Value,
}

impl Answer {
    fn parse(bytes: Zeroizing<Vec<u8>>) -> Result<Self, CallError> {
        let answer = Self(bytes);
        if !answer.json().starts_with(b"{") {
            // serde would also fill a structure from an array.
            return Err(FailedReason::Malformed.into());
        }
        let verdict: Verdict = answer.read()?;
        let errcode = match verdict.errcode {
            Value::Null => Some(0),
            Value::Number(number) => number.as_i64(),
            Value::String(digits) => digits.parse().ok(),
            Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        };
        match errcode {
            None => Err(FailedReason::Malformed.into()),
            Some(0) => Ok(answer),
            Some(errcode) => {
                Err(CallError::Refused(Refused::new(errcode, verdict.errmsg.as_str().unwrap_or_default())))
            }
        }
    }

    /// The fields of an interface.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, PlatformError> {
        // The parser's texts may quote the answer, so of them, too, only the kind is taken.
        serde_json::from_slice(self.json()).map_err(|error| {
            PlatformError::Failed(if error.is_eof() { FailedReason::CutOff } else { FailedReason::Malformed })
        })
    }

    fn json(&self) -> &[u8] {
        self.0.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.0).trim_ascii()
    }
}

impl CallError {
    /// The error for whoever called; `meaning` is the interface's.
    pub(super) fn meaning(self, meaning: impl FnOnce(Refused) -> PlatformError) -> PlatformError {
        match self {
            Self::Refused(refused) => meaning(refused),
            Self::Unanswered(error) => error,
        }
    }
}

impl From<PlatformError> for CallError {
    fn from(error: PlatformError) -> Self {
        Self::Unanswered(error)
    }
}

impl From<FailedReason> for CallError {
    fn from(reason: FailedReason) -> Self {
        Self::Unanswered(PlatformError::Failed(reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_in_the_base_url_comes_first() {
        for (base_url, expected) in [
            ("http://h", "http://h/wxa/x?a=%26&b=2"),
            ("https://h:8443/", "https://h:8443/wxa/x?a=%26&b=2"),
            ("http://h/a/b", "http://h/a/b/wxa/x?a=%26&b=2"),
            ("http://h/a/b/", "http://h/a/b/wxa/x?a=%26&b=2"),
        ] {
            let line = Line::new(Url::parse(base_url).unwrap(), CONNECT_TIMEOUT).unwrap();
            let request = Request { path: "wxa/x", query: vec![("a", "&"), ("b", "2")], body: None };
            assert_eq!(line.url(&request, None).as_str(), expected);
        }
    }
}
