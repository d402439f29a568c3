//! What routes take from a request: the ticket header, a bounded body, JSON or a form.

use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body_util::BodyExt;
use hyper::body::Body as _;
use hyper::header::CONTENT_TYPE;
use hyper::{HeaderMap, Request};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::http::error::{ApiError, ErrorCode};
use crate::http::labels::Limit;

/// What lines about requests are logged under, one for each, at debug level: the demo shows these and no others.
pub(crate) const LOG_TARGET: &str = concat!(env!("CARGO_CRATE_NAME"), "::requests");

/// Largest section of request headers, in bytes; see [`Credentials`](crate::bearer::Credentials).
pub(crate) const MAX_HEADER_SECTION: usize = 16 << 10;
/// Largest body that is taken, in bytes.
pub(crate) const MAX_BODY_LEN: usize = 64 << 10;
/// How much of a larger body is read and thrown away, so that the client sees the answer; in bytes.
const MAX_DRAINED_LEN: usize = 2 << 20;

/// A path that may be logged: short segments of letters, so no ticket, code or openid.
pub(crate) fn shown_path(path: &str) -> &str {
    const MAX_SEGMENT_LEN: usize = 20;
    let is_plain = |segment: &str| {
        segment.len() <= MAX_SEGMENT_LEN
            && segment.bytes().all(|byte| byte.is_ascii_alphabetic() || b"-._".contains(&byte))
    };
    // The version in /v1/...
    if path.split('/').all(|segment| is_plain(segment) || segment == "v1") { path } else { "not shown" }
}

/// What kind of body a content type announces.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum BodyKind {
    Json,
    Form,
    Other,
}

/// Reads the `Content-Type`, whatever its case and parameters. Proxies and client libraries that set it a second time make a
/// list of it; one of equal ones counts as one.
pub(crate) fn body_kind(headers: &HeaderMap) -> BodyKind {
    let values = headers.get_all(CONTENT_TYPE).iter().map(|value| value.to_str().unwrap_or_default());
    // A comma inside of quotes would end a type too early, but none of these types has such parameters.
    let mut kinds = values.flat_map(|value| value.split(',')).map(kind_of);
    let first = kinds.next().unwrap_or(BodyKind::Other);
    if kinds.all(|kind| kind == first) { first } else { BodyKind::Other }
}

fn kind_of(content_type: &str) -> BodyKind {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        BodyKind::Json
    } else if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        BodyKind::Form
    } else {
        BodyKind::Other
    }
}

/// Reads a body that has to be labelled as JSON; whether it is, [`json_object`] tells.
///
/// # Errors
/// 415 for another label, and those of [`read_body`].
pub(crate) async fn json_body(request: Request<Body>, limit: Duration) -> Result<Bytes, ApiError> {
    if body_kind(request.headers()) != BodyKind::Json {
        return Err(ApiError::new(ErrorCode::UnsupportedMediaType, "send the body as application/json"));
    }
    read_body(request, limit).await
}

/// A structure from a body that is one JSON object. `None` for anything else, and for a field that is given twice.
pub(crate) fn json_object<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    // serde would also fill a structure from an array.
    if body.trim_ascii_start().starts_with(b"{") { serde_json::from_slice(body).ok() } else { None }
}

/// Reads a whole body of at most 64 KiB within `limit`.
///
/// # Errors
/// 413 for a larger one, after up to 2 MiB of it were drained; 400 for one that is cut off or does not come in time.
pub(crate) async fn read_body(request: Request<Body>, limit: Duration) -> Result<Bytes, ApiError> {
    match timeout(limit, collect(request.into_body())).await {
        Ok(result) => result,
        Err(_) => Err(ApiError::invalid_request("the body did not arrive in time").at(Limit::BodyTimeout).closing()),
    }
}

async fn collect(mut body: Body) -> Result<Bytes, ApiError> {
    const TOO_LARGE: ApiError =
        ApiError::new(ErrorCode::TooLarge, "the body is larger than 64 KiB").at(Limit::BodySize);
    if body.size_hint().lower() > MAX_DRAINED_LEN as u64 {
        return Err(TOO_LARGE.closing());
    }
    let (mut kept, mut seen) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| ApiError::invalid_request("the body is cut off").closing())?;
        let Ok(data) = frame.into_data() else { continue };
        seen += data.len();
        if seen > MAX_DRAINED_LEN {
            return Err(TOO_LARGE.closing());
        }
        if seen <= MAX_BODY_LEN {
            kept.extend_from_slice(&data);
        }
    }
    if seen > MAX_BODY_LEN { Err(TOO_LARGE) } else { Ok(kept.into()) }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn kind(values: &[&'static str]) -> BodyKind {
        body_kind(&values.iter().map(|value| (CONTENT_TYPE, HeaderValue::from_static(value))).collect())
    }

    #[test]
    fn a_path_that_may_hold_a_secret_is_not_shown() {
        for shown in ["/", "/v1/logn", "/v1/phone/", "/favicon.ico", "/miniLogin/login.ajax"] {
            assert_eq!(shown_path(shown), shown);
        }
        for hidden in ["/AQaUyXyWpf3s", "/v1/demo-alice-1", "/oWnfnNzCsNGzXdPmqPndDjabc", "/v1/%41", "/a\u{e9}"] {
            assert_eq!(shown_path(hidden), "not shown", "{hidden}");
        }
    }

    #[test]
    fn a_list_of_equal_content_types_is_one() {
        for json in [
            &["application/json"][..],
            &["Application/JSON ; charset=utf-8"],
            &["application/json, application/json"],
            &["application/json; charset=utf-8,application/json"],
            &["application/json", "application/json;charset=UTF-8"],
        ] {
            assert_eq!(kind(json), BodyKind::Json, "{json:?}");
        }
        assert_eq!(kind(&["application/x-www-form-urlencoded,application/x-www-form-urlencoded"]), BodyKind::Form);
        for other in [
            &[][..],
            &[""],
            &["text/plain"],
            &["application/json, text/plain"],
            &["text/plain, application/json"],
            &["application/json", "application/x-www-form-urlencoded"],
            &["application/json,"],
            &["application/jsonx"],
        ] {
            assert_eq!(kind(other), BodyKind::Other, "{other:?}");
        }
    }
}
