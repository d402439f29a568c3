//! Forms as OAuth has them (RFC 6749 appendix B): a parameter once, an empty one is none, an unknown one is ignored.

use axum::body::Body;
use hyper::Request;

use crate::http::error::{ApiError, ErrorCode};
use crate::http::request::{BodyKind, body_kind, read_body};
use std::time::Duration;

/// The parameters of a form.
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads the body of `request`, which may take `limit` to arrive, as a form.
    pub(crate) async fn read(request: Request<Body>, limit: Duration) -> Result<Self, ApiError> {
        if body_kind(request.headers()) != BodyKind::Form {
            return Err(ApiError::new(
                ErrorCode::UnsupportedMediaType,
                "send the body as application/x-www-form-urlencoded",
            ));
        }
        Self::parse(&read_body(request, limit).await?)
    }

    fn parse(text: &[u8]) -> Result<Self, ApiError> {
        let mut fields = Vec::new();
        for (name, value) in form_urlencoded::parse(text) {
            // What is not UTF-8 was replaced; no parameter of ours has that character.
            if value.contains(char::REPLACEMENT_CHARACTER) {
                return Err(ApiError::invalid_request("a value is not UTF-8"));
            }
            fields.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(fields))
    }

    /// The parameter `name`, if it is there and not empty.
    ///
    /// # Errors
    /// 400: it is there twice.
    pub(crate) fn one(&self, name: &str) -> Result<Option<&str>, ApiError> {
        let mut values = self.0.iter().filter(|(found, _)| found == name).map(|(_, value)| value.as_str());
        let first = values.next();
        if values.next().is_some() {
            return Err(ApiError::invalid_request("a parameter is given twice"));
        }
        Ok(first.filter(|value| !value.is_empty()))
    }

    /// The parameter `name`, which has to be there.
    pub(crate) fn required(&self, name: &str) -> Result<&str, ApiError> {
        self.one(name)?.ok_or(ApiError::invalid_request("a required parameter is missing"))
    }
}
