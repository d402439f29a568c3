//! One request to a platform, and its one bounded answer.
//!
//! URLs hold the app secret or an access token, so they are followed nowhere, named in no error, and no text of the HTTP
//! client is shown.

use std::time::Duration;

use reqwest::header::{AGE, CONTENT_TYPE, DATE};
use reqwest::{Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use super::facts::LastDate;
use super::{DateSeen, FailedReason, Kind, PlatformError, SetupError};
use crate::clock::UnixSeconds;
use crate::outbound::{self, NoAnswer, Outbound, SIMULATOR_HEADER, Unreachable};
use crate::secret::Zeroizing;

/// Real answers are below 1 KiB.
const MAX_ANSWER_LEN: usize = 64 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// A client of one platform. Sends what it is given once.
pub(super) struct PlatformClient {
    http: reqwest::Client,
    allows_simulator: bool,
    base_url: Url,
    /// Whether all hosts of the platform are `base_url`.
    is_redirected: bool,
    date: LastDate,
}

/// What goes to an interface: GET without a body, POST with one.
#[derive(Default)]
pub(super) struct PlatformRequest<'a> {
    /// The interface, such as `sns/jscode2session`; a slash at the end is part of it.
    pub(super) path: &'static str,
    /// Another of the platform's hosts than the default one: `https://open.example.com`. With a `base_url` it does not count.
    pub(super) host: Option<&'static str>,
    /// Names and values, not yet encoded.
    pub(super) query: Vec<(&'static str, &'a str)>,
    /// Names in lower case, and values of visible ASCII and spaces.
    pub(super) headers: Vec<(&'static str, &'a str)>,
    pub(super) body: RequestBody<'a>,
    /// A status besides 200 whose answer is read, too.
    pub(super) also: Option<u16>,
}

/// The body of a request, labelled as what it is.
#[derive(Default)]
pub(super) enum RequestBody<'a> {
    /// None, so that it is a GET.
    #[default]
    None,
    Json(Value),
    /// JSON with `charset=utf-8` in its label, which one platform demands.
    JsonUtf8(Value),
    /// `application/x-www-form-urlencoded`: names and values, not yet encoded.
    Form(Vec<(&'static str, &'a str)>),
}

impl PlatformClient {
    /// Sets the client up for `base_url`, or for the hosts of `kind`, and leaves the dates of answers in `date`; sends nothing.
    pub(super) fn of(
        kind: &Kind,
        base_url: Option<Url>,
        timeout: Duration,
        outbound: &Outbound,
        date: LastDate,
    ) -> Result<Self, SetupError> {
        let is_redirected = base_url.is_some();
        let base_url = base_url.map_or_else(|| Url::parse(kind.default_base_url), Ok);
        Ok(Self { is_redirected, date, ..Self::new(base_url.map_err(|_| SetupError::BaseUrl)?, timeout, outbound)? })
    }

    fn new(base_url: Url, timeout: Duration, outbound: &Outbound) -> Result<Self, SetupError> {
        let is_plain = matches!(base_url.scheme(), "http" | "https")
            && base_url.username().is_empty()
            && base_url.password().is_none()
            && base_url.query().is_none()
            && base_url.fragment().is_none();
        if !is_plain || base_url.cannot_be_a_base() {
            return Err(SetupError::BaseUrl);
        }
        let http = outbound.client(&base_url, timeout.min(CONNECT_TIMEOUT)).map_err(|_| SetupError::Client)?;
        let allows_simulator = outbound.allows_simulator();
        Ok(Self { http, allows_simulator, base_url, is_redirected: true, date: LastDate::default() })
    }

    /// Sends `request`, and takes an answer of status 200 that is one JSON object, whatever its content type says.
    pub(super) async fn send(&self, request: &PlatformRequest<'_>) -> Result<JsonAnswer, PlatformError> {
        let url = self.url(request)?;
        let mut builder = match &request.body {
            RequestBody::None => self.http.get(url),
            RequestBody::Json(json) => {
                self.http.post(url).header(CONTENT_TYPE, "application/json").body(json.to_string())
            }
            RequestBody::JsonUtf8(json) => {
                self.http.post(url).header(CONTENT_TYPE, "application/json; charset=utf-8").body(json.to_string())
            }
            RequestBody::Form(fields) => {
                let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
                self.http.post(url).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form)
            }
        };
        for (name, value) in &request.headers {
            builder = builder.header(*name, *value);
        }
        let began = Instant::now();
        let response = outbound::send(builder).await?;
        if response.headers().contains_key(SIMULATOR_HEADER) && !self.allows_simulator {
            return Err(PlatformError::Simulated);
        }
        self.see_date(&response, began);
        match response.status() {
            status if status == StatusCode::OK || Some(status.as_u16()) == request.also => {
                JsonAnswer::parse(outbound::read_body(response, MAX_ANSWER_LEN).await?)
            }
            other => Err(FailedReason::Status(other.as_u16()).into()),
        }
    }

    fn see_date(&self, response: &Response, began: Instant) {
        let headers = response.headers();
        let date = headers.get(DATE).and_then(|date| UnixSeconds::parse_http_date(date.to_str().ok()?));
        // What a cache has kept says nothing about the present.
        if let Some(date) = date.filter(|_| !headers.contains_key(AGE)) {
            self.date.see(DateSeen { date, at: Instant::now(), took: began.elapsed() });
        }
    }

    /// The one place where URLs are made.
    fn url(&self, request: &PlatformRequest<'_>) -> Result<Url, PlatformError> {
        let mut url = match request.host.filter(|_| !self.is_redirected) {
            Some(host) => Url::parse(host).map_err(|_| PlatformError::Unreachable(Unreachable::Other))?,
            None => self.base_url.clone(),
        };
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(request.path.split('/'));
        }
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&request.query);
        }
        Ok(url)
    }
}

/// A whole number, which platforms write as one or as a text.
pub(super) fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(digits) => digits.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
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

    /// The object as it came, without white space and a byte order mark around it.
    pub(super) fn json(&self) -> &[u8] {
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
            let outbound = Outbound::default();
            let client = PlatformClient::new(Url::parse(base_url).unwrap(), CONNECT_TIMEOUT, &outbound).unwrap();
            let query = vec![("a", "&"), ("b", "2")];
            let request = PlatformRequest { path: "wxa/x", query, ..PlatformRequest::default() };
            assert_eq!(client.url(&request).unwrap().as_str(), expected);
        }
    }

    #[test]
    fn a_base_url_stands_for_every_host_of_the_platform() {
        let url = |base_url: Option<&str>, host| {
            let base_url = base_url.map(|url| Url::parse(url).unwrap());
            let (kind, outbound) = (&crate::platform::weapp::KIND, Outbound::default());
            let client = PlatformClient::of(kind, base_url, CONNECT_TIMEOUT, &outbound, LastDate::default()).unwrap();
            let request = PlatformRequest { path: "a/b/", host, ..PlatformRequest::default() };
            client.url(&request).unwrap().to_string()
        };
        let other = Some("https://other.example");
        assert_eq!(url(None, other), "https://other.example/a/b/");
        assert_eq!(url(None, None), "https://api.weixin.qq.com/a/b/");
        assert_eq!(url(Some("http://h/x"), other), "http://h/x/a/b/");
    }
}
