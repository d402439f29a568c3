//! Why the owner's service said nothing that could be used.

use crate::claims::ClaimError;
use crate::outbound::{NoAnswer, Unreachable};

/// A good answer is below 100 bytes.
pub(super) const MAX_ANSWER_LEN: usize = 4 << 10;

/// Why there is no [`Verdict`](super::Verdict). Never holds a URL or anything of an answer but its status.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// It has failed again and again, so nothing was sent.
    #[error("the circuit breaker is open after repeated failures")]
    Stopped {
        /// After how many seconds there is a chance.
        retry_after_s: u64,
    },
    /// Too many questions are out already, so nothing was sent.
    #[error("too many calls are running")]
    Busy,
    /// No whole answer within the deadline.
    #[error("no answer in time")]
    Timeout,
    /// No connection, so nothing was sent.
    #[error("cannot be reached: {0}")]
    Unreachable(Unreachable),
    /// The connection ended, or ceased to be HTTP, before the answer was whole.
    #[error("the answer is cut off")]
    CutOff,
    /// Another HTTP status than 200, 403 and 404.
    #[error("HTTP status {0}")]
    Status(u16),
    /// More than the given number of bytes.
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
    /// Not the JSON that was promised.
    #[error("the answer is not JSON with the text claims, once")]
    Malformed,
    /// Claims that cannot be sealed.
    #[error(transparent)]
    Claims(#[from] ClaimError),
}

impl CallError {
    pub(super) const fn of_call(why: NoAnswer) -> Self {
        match why {
            NoAnswer::Unreachable(why) => Self::Unreachable(why),
            NoAnswer::Timeout => Self::Timeout,
            NoAnswer::CutOff => Self::CutOff,
            NoAnswer::TooLong => Self::TooLong(MAX_ANSWER_LEN),
        }
    }

    /// Its name for metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stopped { .. } => "stopped",
            Self::Busy => "busy",
            Self::Timeout => "timeout",
            Self::Unreachable(why) => why.as_str(),
            Self::CutOff => "cut_off",
            Self::Status(_) => "status",
            Self::TooLong(_) => "too_long",
            Self::Malformed => "malformed",
            Self::Claims(_) => "bad_claims",
        }
    }

    /// Whether it says that the service as a whole is not there. What may be the fault of one user's data does not, or
    /// that user could keep all others out.
    pub(super) const fn is_outage(self) -> bool {
        match self {
            Self::Timeout | Self::Unreachable(_) | Self::CutOff => true,
            Self::Status(status) => matches!(status, 429 | 502..=504),
            _ => false,
        }
    }
}
