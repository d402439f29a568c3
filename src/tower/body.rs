//! The body of an answer behind a layer, whatever bodies the service has.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    /// The body of an answer of a [`TicketService`](super::TicketService): the service's own, of any type, or a refusal's.
    #[derive(Debug)]
    pub struct ResponseBody<B> {
        #[pin]
        inner: Inner<B>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = InnerProjection]
    enum Inner<B> {
        Own { #[pin] body: B },
        Refusal { text: Option<Bytes> },
    }
}

impl<B> ResponseBody<B> {
    pub(super) const fn own(body: B) -> Self {
        Self { inner: Inner::Own { body } }
    }

    pub(super) const fn refusal(text: Bytes) -> Self {
        Self { inner: Inner::Refusal { text: Some(text) } }
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body,
    B::Data: Buf + From<Bytes>,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        match self.project().inner.project() {
            InnerProjection::Own { body } => body.poll_frame(context),
            InnerProjection::Refusal { text } => {
                Poll::Ready(text.take().map(|text| Ok(Frame::data(Self::Data::from(text)))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Own { body } => body.is_end_stream(),
            Inner::Refusal { text } => text.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Own { body } => body.size_hint(),
            Inner::Refusal { text } => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
        }
    }
}
