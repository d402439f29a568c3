//! The layer: asks the verifier, and answers in the service's place where there is no good ticket.

use std::pin::Pin;
use std::task::{Context, Poll};

use ::http::{HeaderMap, Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use super::extract::{AuthTicket, Checked};
use super::{Refusal, Verifier, answer};
use crate::keyring::AppId;

/// Lets requests with a good ticket through, with an [`AuthTicket`] among their extensions. Changes nothing else.
///
/// Made by [`Verifier::layer`] and [`Verifier::layer_for_any_app`].
#[derive(Clone, Debug)]
pub struct TicketLayer {
    verifier: Verifier,
    /// Whose tickets; `None` for those of every app.
    app: Option<AppId>,
    optional: bool,
}

impl TicketLayer {
    pub(super) const fn new(verifier: Verifier, app: Option<AppId>) -> Self {
        Self { verifier, app, optional: false }
    }

    /// The same, but a request without any ticket passes, too, with no [`AuthTicket`]. One that is not good is refused.
    #[must_use]
    pub fn optional(self) -> Self {
        Self { optional: true, ..self }
    }

    async fn check(&self, headers: &HeaderMap) -> Result<Option<AuthTicket>, Refusal> {
        match self.verifier.verify(headers).await {
            Ok(ticket) if self.app.as_ref().is_some_and(|app| app != ticket.app()) => Err(Refusal::WrongApp),
            Ok(ticket) => Ok(Some(ticket)),
            Err(Refusal::NoTicket) if self.optional => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }
}

impl<S> Layer<S> for TicketLayer {
    type Service = TicketService<S>;

    fn layer(&self, inner: S) -> TicketService<S> {
        TicketService { layer: self.clone(), inner }
    }
}

/// A service behind a [`TicketLayer`].
#[derive(Clone, Debug)]
pub struct TicketService<S> {
    layer: TicketLayer,
    inner: S,
}

impl<S, B, R> Service<Request<B>> for TicketService<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    R: From<String>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // The clone that stays has not been asked whether it is ready; the one that was goes with the request.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let layer = self.layer.clone();
        Box::pin(async move {
            // What an outer layer has found is not what this one was asked for.
            request.extensions_mut().remove::<AuthTicket>();
            let headers = std::mem::take(request.headers_mut());
            let checked = layer.check(&headers).await;
            match checked {
                Ok(ticket) => {
                    *request.headers_mut() = headers;
                    request.extensions_mut().insert(Checked);
                    if let Some(ticket) = ticket {
                        request.extensions_mut().insert(ticket);
                    }
                    inner.call(request).await
                }
                Err(refusal) => Ok(answer::refusal(refusal, &headers)),
            }
        })
    }
}
