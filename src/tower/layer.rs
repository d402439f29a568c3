//! The layer: asks the verifier, and answers in the service's place where there is no good ticket.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ::http::{HeaderMap, Request, Response};
use bytes::Bytes;
use tower_layer::Layer;
use tower_service::Service;

use super::body::ResponseBody;
use super::ticket::{AuthTicket, Checked};
use super::{Refusal, Verifier, answer, headers};
use crate::keyring::AppId;
use crate::request_id::RequestId;

/// Makes an answer of a refusal and the request's id.
type Shape = Arc<dyn Fn(Refusal, &str) -> Response<Bytes> + Send + Sync>;

/// Lets requests with a good ticket through, with an [`AuthTicket`] among their extensions.
///
/// The service behind it does not see the ticket, nor what a client sent as `X-Auth-*`, in whatever spelling: a gateway says
/// who the user is with these, so they must come from nobody else. Another header is left as it is, and so is `Authorization`
/// unless it carries the ticket.
///
/// Made by [`Verifier::layer`] and [`Verifier::layer_for_any_app`]. Any service over HTTP fits, whatever its bodies are:
///
/// ```
/// # #[cfg(feature = "test-util")] {
/// # use auth_ticket::tower::test_util::TestKeys;
/// use auth_ticket::tower::AuthTicket;
/// use http::{Request, Response};
/// use tower::{ServiceBuilder, ServiceExt};
///
/// async fn orders(request: Request<String>) -> Result<Response<String>, std::convert::Infallible> {
///     let ticket: &AuthTicket = request.extensions().get().expect("the layer has put it there");
///     Ok(Response::new(format!("the orders of {}", ticket.openid())))
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// # let keys = TestKeys::new("wx0123456789abcdef");
/// let layer = keys.verifier().layer(keys.app()).unwrap();
/// let service = ServiceBuilder::new().layer(layer).service_fn(orders);
///
/// let answer = service.oneshot(Request::new(String::new())).await.unwrap();
/// assert_eq!(answer.status(), 401);
/// # });
/// # }
/// ```
#[derive(Clone)]
pub struct TicketLayer {
    verifier: Verifier,
    /// Whose tickets; `None` for those of every app.
    app: Option<AppId>,
    optional: bool,
    keeps_ticket: bool,
    shape: Option<Shape>,
}

impl TicketLayer {
    pub(super) const fn new(verifier: Verifier, app: Option<AppId>) -> Self {
        Self { verifier, app, optional: false, keeps_ticket: false, shape: None }
    }

    /// The same, but a request without any ticket passes, too, with no [`AuthTicket`]. One that is not good is refused.
    #[must_use]
    pub fn optional(self) -> Self {
        Self { optional: true, ..self }
    }

    /// The same, but the service sees the ticket: to renew it, or to exchange it for a token of another service. It must not
    /// reach others or a log.
    #[must_use]
    pub fn keep_ticket(self) -> Self {
        Self { keeps_ticket: true, ..self }
    }

    /// The same, but refusals look as `shape` has them, for instance as the service's other errors do. It gets the refusal and
    /// the request's id.
    ///
    /// ```
    /// # use auth_ticket::tower::TicketLayer;
    /// # use http::Response;
    /// # fn shaped(layer: TicketLayer) -> TicketLayer {
    /// layer.refuse_with(|refusal, request_id| {
    ///     let text = format!("{refusal} ({request_id})");
    ///     Response::builder().status(refusal.status()).body(text).expect("a status and a text")
    /// })
    /// # }
    /// ```
    #[must_use]
    pub fn refuse_with<B: Into<Bytes>>(
        self,
        shape: impl Fn(Refusal, &str) -> Response<B> + Send + Sync + 'static,
    ) -> Self {
        let shape: Shape = Arc::new(move |refusal, request_id| shape(refusal, request_id).map(Into::into));
        Self { shape: Some(shape), ..self }
    }

    async fn check(&self, headers: &HeaderMap) -> Result<Option<AuthTicket>, Refusal> {
        match self.verifier.verify(headers).await {
            Ok(ticket) if self.app.as_ref().is_some_and(|app| app != ticket.app()) => Err(Refusal::WrongApp),
            Ok(ticket) => Ok(Some(ticket)),
            Err(Refusal::NoTicket) if self.optional => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// The answer to the request of this id; the log has the id and the reason.
    fn refuse<R>(&self, refusal: Refusal, request_id: &RequestId) -> Response<ResponseBody<R>> {
        tracing::debug!(%request_id, error = refusal.error(), "refused");
        let request_id = request_id.to_string();
        let answer = match &self.shape {
            Some(shape) => shape(refusal, &request_id),
            None => answer::response(refusal, &request_id).map(Bytes::from),
        };
        answer.map(ResponseBody::refusal)
    }
}

impl fmt::Debug for TicketLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct("TicketLayer");
        fields.field("verifier", &self.verifier).field("app", &self.app).field("optional", &self.optional);
        fields.finish_non_exhaustive()
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
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

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
            let mut fields = std::mem::take(request.headers_mut());
            headers::show_ticket(&mut fields, request.extensions_mut());
            let ticket = match layer.check(&fields).await {
                Ok(ticket) => ticket,
                Err(refusal) => return Ok(layer.refuse(refusal, &RequestId::of(&fields))),
            };
            let proxys_id = RequestId::from_proxy(&fields);
            headers::remove_identity(&mut fields);
            if !layer.keeps_ticket {
                headers::hide_ticket(&mut fields, request.extensions_mut());
            }
            *request.headers_mut() = fields;
            request.extensions_mut().insert(Checked);
            if let Some(ticket) = ticket {
                request.extensions_mut().insert(ticket);
            }
            let response = inner.call(request).await?;
            // Where a handler refuses, it did not know the request's id, nor the shape.
            let refused = response.extensions().get().copied();
            match refused.filter(|refusal: &Refusal| refusal.status() == response.status()) {
                Some(refusal) => Ok(layer.refuse(refusal, &proxys_id.unwrap_or_else(RequestId::own))),
                None => Ok(response.map(ResponseBody::own)),
            }
        })
    }
}
