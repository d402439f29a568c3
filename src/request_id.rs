//! A name for each request, to find an answer's line in the log.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use ::http::HeaderMap;
use ::http::header::HeaderName;
use serde::{Serialize, Serializer};

/// Where proxies put the name that they gave a request. We read it and never send it: some clients reserve it.
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const MAX_LEN: usize = 64;

/// A proxy's name for the request if it has a sane one, otherwise our own.
#[derive(Clone, Debug)]
pub(crate) enum RequestId {
    /// 1 to 64 ASCII letters, digits, `-`, `_` and `.`.
    Proxy(Box<str>),
    /// Shown as 16 hex digits: 8 that were drawn once for the process, 8 that count.
    Own(u32),
}

impl RequestId {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        Self::from_proxy(headers).unwrap_or_else(Self::own)
    }

    /// The name that the server's outermost layer gave the request.
    #[cfg(feature = "server")]
    pub(crate) fn of_request<B>(request: &::http::Request<B>) -> Self {
        request.extensions().get().cloned().unwrap_or_else(|| Self::of(request.headers()))
    }

    pub(crate) fn from_proxy(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(X_REQUEST_ID).iter();
        let text = values.next()?.to_str().ok()?;
        let is_sane = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let sane = values.next().is_none() && (1..=MAX_LEN).contains(&text.len()) && text.bytes().all(is_sane);
        sane.then(|| Self::Proxy(text.into()))
    }

    /// A name that no proxy gave.
    pub(crate) fn own() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        Self::Own(COUNT.fetch_add(1, Ordering::Relaxed))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        static PROCESS: OnceLock<u32> = OnceLock::new();
        match self {
            Self::Proxy(text) => f.write_str(text),
            Self::Own(count) => {
                // It identifies and protects nothing, so a process that got no randomness may be number 0.
                let process = PROCESS.get_or_init(|| getrandom::u32().unwrap_or_default());
                write!(f, "{process:08x}{count:08x}")
            }
        }
    }
}

impl Serialize for RequestId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(values: &[&[u8]]) -> String {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(X_REQUEST_ID, ::http::HeaderValue::from_bytes(value).unwrap());
        }
        RequestId::of(&headers).to_string()
    }

    #[test]
    fn a_sane_name_from_a_proxy_is_taken() {
        let uuid = b"0b5f9c7e-6a1d-4a4e-9f0e-2f1f0f2b7a11";
        assert_eq!(shown(&[uuid]).as_bytes(), uuid);
        assert_eq!(shown(&[b"a"]), "a");
    }

    #[test]
    fn any_other_name_is_replaced_by_our_own() {
        let long = [b'a'; 65];
        let odd: [&[&[u8]]; 7] = [&[], &[b""], &[b"a b"], &[b"a\"b"], &[b"\xff"], &[&long], &[b"a", b"b"]];
        for values in odd {
            let own = shown(values);
            assert!(own.len() == 16 && own.bytes().all(|byte| byte.is_ascii_hexdigit()), "{own}");
        }
        assert_ne!(shown(&[]), shown(&[]));
    }
}
