//! One request to a platform, and its one bounded answer.
//!
//! URLs hold the app secret or an access token, so they are followed nowhere, named in no error, and no text of the HTTP
//! client is shown.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{AGE, CONTENT_TYPE, DATE};
use reqwest::{Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use super::setup::SetupError;
use super::{DateSeen, FailedReason, PlatformError};
use crate::clock::UnixSeconds;
use crate::outbound::{self, NoAnswer};
use crate::secret::Zeroizing;

/// Real answers are below 1 KiB.
const MAX_ANSWER_LEN: usize = 64 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// A client of one platform. Sends what it is given once.
pub(super) struct PlatformClient {
    http: reqwest::Client,
    base_url: Url,
    date_seen: Mutex<Option<DateSeen>>,
}

/// What goes to an interface: GET, or POST if there is a body.
pub(super) struct PlatformRequest<'a> {
    /// The interface, such as `sns/jscode2session`.
    pub(super) path: &'static str,
    /// Names and values, not yet encoded.
    pub(super) query: Vec<(&'static str, &'a str)>,
    /// JSON.
    pub(super) body: Option<Value>,
}

impl PlatformClient {
    /// Sets the client up; sends nothing.
    pub(super) fn new(base_url: Url, timeout: Duration) -> Result<Self, SetupError> {
        let is_plain = matches!(base_url.scheme(), "http" | "https")
            && base_url.username().is_empty()
            && base_url.password().is_none()
            && base_url.query().is_none()
            && base_url.fragment().is_none();
        if !is_plain || base_url.cannot_be_a_base() {
            return Err(SetupError::BaseUrl);
        }
        let http = outbound::client(&base_url).connect_timeout(timeout.min(CONNECT_TIMEOUT)).build();
        Ok(Self { http: http.map_err(|_| SetupError::Client)?, base_url, date_seen: Mutex::default() })
    }

    /// Sends `request`, and takes an answer of status 200 that is one JSON object, whatever its content type says.
    pub(super) async fn send(&self, request: &PlatformRequest<'_>) -> Result<JsonAnswer, PlatformError> {
        let url = self.url(request);
        let builder = match &request.body {
            None => self.http.get(url),
            Some(json) => self.http.post(url).header(CONTENT_TYPE, "application/json").body(json.to_string()),
        };
        let began = Instant::now();
        let response = outbound::send(builder).await?;
        self.see_date(&response, began);
        match response.status() {
            StatusCode::OK => JsonAnswer::parse(outbound::read_body(response, MAX_ANSWER_LEN).await?),
            other => Err(FailedReason::Status(other.as_u16()).into()),
        }
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
    fn url(&self, request: &PlatformRequest<'_>) -> Url {
        let mut url = self.base_url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(request.path.split('/'));
        }
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&request.query);
        }
        url
    }
}

impl From<NoAnswer> for PlatformError {
    fn from(why: NoAnswer) -> Self {
        match why {
            NoAnswer::Unreachable(why) => Self::Unreachable(why),
            NoAnswer::Timeout => Self::Timeout,
            NoAnswer::CutOff => Self::Failed(FailedReason::CutOff),
            NoAnswer::TooLong => Self::Failed(FailedReason::TooLarge(MAX_ANSWER_LEN)),
        }
    }
}

/// An answer that begins as a JSON object.
pub(super) struct JsonAnswer(Zeroizing<Vec<u8>>);

impl JsonAnswer {
    fn parse(bytes: Zeroizing<Vec<u8>>) -> Result<Self, PlatformError> {
        let answer = Self(bytes);
        // serde would also fill a structure from an array.
        if answer.json().starts_with(b"{") { Ok(answer) } else { Err(FailedReason::Malformed.into()) }
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
            let client = PlatformClient::new(Url::parse(base_url).unwrap(), CONNECT_TIMEOUT).unwrap();
            let request = PlatformRequest { path: "wxa/x", query: vec![("a", "&"), ("b", "2")], body: None };
            assert_eq!(client.url(&request).as_str(), expected);
        }
    }
}
