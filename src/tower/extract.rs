//! How an axum handler gets a ticket, and how a refusal answers.

use ::http::request::Parts;
use axum_core::body::Body;
use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponse, Response};

use super::answer;
use super::notice::Notice;
use super::ticket::{AuthTicket, Checked};
use crate::bearer::Refusal;
use crate::request_id::RequestId;

impl<S: Sync> FromRequestParts<S> for AuthTicket {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        found(parts)?.ok_or(Refusal::NoTicket)
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for AuthTicket {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Refusal> {
        found(parts)
    }
}

fn found(parts: &Parts) -> Result<Option<AuthTicket>, Refusal> {
    static NO_LAYER: Notice = Notice::new();
    if parts.extensions.get::<Checked>().is_none() {
        // Nobody has looked for a ticket, so that there is none means nothing.
        if let Some(count) = NO_LAYER.due() {
            tracing::error!(
                path = parts.uri.path(),
                count,
                "a handler asks for a ticket on a route without a layer that checks tickets"
            );
        }
        return Err(Refusal::NotSetUp);
    }
    Ok(parts.extensions.get().cloned())
}

/// The answer of the login server. Behind a layer, it gets the layer's shape ([`TicketLayer::refuse_with`]) and the name that
/// a proxy gave the request.
///
/// [`TicketLayer::refuse_with`]: super::TicketLayer::refuse_with
impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = answer::response(self, &RequestId::own().to_string()).map(Body::from);
        response.extensions_mut().insert(self);
        response
    }
}
