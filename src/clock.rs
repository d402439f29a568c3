//! Time as a value: whole Unix seconds, and where they come from. The only file that reads a clock.
//!
//! ```
//! use auth_ticket::clock::{Clock, SystemClock, UnixSeconds};
//!
//! let now = SystemClock.now();
//! assert!(now > UnixSeconds::parse_rfc3339("2026-01-01T00:00:00Z")?);
//! assert_eq!(UnixSeconds::new(1_795_381_200).plus(60).to_string(), "2026-11-22T21:01:00Z");
//! # Ok::<(), auth_ticket::clock::TimeError>(())
//! ```

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
#[cfg(feature = "server")]
use std::time::Duration;
use std::time::{SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;
use time::format_description::FormatItem;
use time::macros::format_description;

/// The one spelling of time in files and answers: RFC 3339, UTC, whole seconds, `Z`.
const RFC3339_UTC: &[FormatItem<'static>] = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");

/// How far two replicas' clocks may differ, in seconds.
pub const LEEWAY_S: u64 = 60;

/// Seconds since 1970-01-01T00:00:00Z, never negative.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct UnixSeconds(u64);

impl UnixSeconds {
    /// 9999-12-31T23:59:59Z, the last second that [RFC 3339](https://www.rfc-editor.org/rfc/rfc3339) can write.
    pub const MAX: Self = Self(253_402_300_799);

    /// From a number of seconds.
    #[must_use]
    pub const fn new(seconds: u64) -> Self {
        Self(seconds)
    }

    /// The number of seconds.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// `self + seconds`, at most `u64::MAX`.
    #[must_use]
    pub const fn plus(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// `self - seconds`, at least 0.
    #[must_use]
    pub const fn minus(self, seconds: u64) -> Self {
        Self(self.0.saturating_sub(seconds))
    }

    /// Seconds from `earlier` to `self`, 0 when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Seconds between the two, whichever is earlier.
    #[must_use]
    pub const fn apart(self, other: Self) -> u64 {
        self.0.abs_diff(other.0)
    }

    /// Parses `2026-11-22T21:00:00Z` and no other spelling of it.
    ///
    /// # Errors
    /// Anything else, and times before 1970.
    pub fn parse_rfc3339(text: &str) -> Result<Self, TimeError> {
        let time = time::PrimitiveDateTime::parse(text, RFC3339_UTC).map_err(|_| TimeError)?.assume_utc();
        let parsed = Self(u64::try_from(time.unix_timestamp()).map_err(|_| TimeError)?);
        if parsed.to_string() == text { Ok(parsed) } else { Err(TimeError) }
    }

    /// The value of a `Date` header (RFC 9110 section 5.6.7), of a time up to [`UnixSeconds::MAX`].
    #[cfg(feature = "server")]
    #[must_use]
    pub fn to_http_date(self) -> String {
        httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(self.0.min(Self::MAX.0)))
    }

    /// Parses the value of a `Date` header: `Sun, 22 Nov 2026 21:00:00 GMT`, or one of the older forms.
    #[cfg(feature = "server")]
    #[must_use]
    pub fn parse_http_date(text: &str) -> Option<Self> {
        let time = httpdate::parse_http_date(text).ok()?;
        time.duration_since(UNIX_EPOCH).ok().map(|since| Self(since.as_secs()))
    }
}

/// Not a time as this crate writes it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
#[error("a time is written like 2026-11-22T21:00:00Z")]
#[non_exhaustive]
pub struct TimeError;

/// As [`UnixSeconds::parse_rfc3339`].
impl FromStr for UnixSeconds {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        Self::parse_rfc3339(text)
    }
}

/// `2026-11-22T21:00:00Z`; what lies beyond [`UnixSeconds::MAX`] is shown as that.
impl fmt::Display for UnixSeconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = i64::try_from(self.0.min(Self::MAX.0)).map_err(|_| fmt::Error)?;
        let time = OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| fmt::Error)?;
        f.write_str(&time.format(RFC3339_UTC).map_err(|_| fmt::Error)?)
    }
}

/// Where `now` comes from. Functions of this crate take `now` as an argument; only servers hold a clock.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The present second.
    fn now(&self) -> UnixSeconds;
}

/// The operating system's clock. A time before 1970 reads as 0, at which every key is pending and every ticket unopenable.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> UnixSeconds {
        #[expect(clippy::disallowed_methods, reason = "this is the file that reads time")]
        let now = SystemTime::now();
        UnixSeconds(now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
    }
}

/// A clock that stands still until it is moved: for tests and simulations.
#[derive(Debug)]
pub struct FixedClock(AtomicU64);

impl FixedClock {
    /// A clock that shows `now`.
    #[must_use]
    pub const fn new(now: UnixSeconds) -> Self {
        Self(AtomicU64::new(now.0))
    }

    /// Moves the hands forward.
    pub fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }

    /// Sets the hands.
    pub fn set(&self, now: UnixSeconds) {
        self.0.store(now.0, Ordering::Relaxed);
    }
}

impl Clock for FixedClock {
    fn now(&self) -> UnixSeconds {
        UnixSeconds(self.0.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_one_spelling() {
        let text = "2026-11-22T21:00:00Z";
        let time = UnixSeconds::parse_rfc3339(text).unwrap();
        assert_eq!(time, UnixSeconds::new(1_795_381_200));
        assert_eq!(time.to_string(), text);
        for other in [
            "",
            "2026-11-22 21:00:00Z",
            "2026-11-22T21:00:00z",
            "2026-11-22T21:00:00.5Z",
            "2026-11-22T21:00:00+00:00",
            "2026-11-22T21:00:00Z ",
            "2026-02-30T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "+2026-11-22T21:00:00Z",
        ] {
            assert_eq!(UnixSeconds::parse_rfc3339(other), Err(TimeError), "{other}");
        }
    }

    #[cfg(feature = "server")]
    #[test]
    fn a_date_header_is_read_as_it_is_written() {
        let date = UnixSeconds::parse_http_date("Sun, 22 Nov 2026 21:00:00 GMT");
        assert_eq!(date, Some(UnixSeconds::new(1_795_381_200)));
        assert_eq!(date.unwrap().to_http_date(), "Sun, 22 Nov 2026 21:00:00 GMT");
        for other in ["", "now", "Sun, 22 Nov 2026 21:00:00 CST", "1795381200"] {
            assert_eq!(UnixSeconds::parse_http_date(other), None, "{other}");
        }
    }

    #[test]
    fn arithmetic_stays_inside_its_range() {
        assert_eq!(UnixSeconds::new(u64::MAX).plus(1), UnixSeconds::new(u64::MAX));
        assert_eq!(UnixSeconds::new(1).minus(2), UnixSeconds::new(0));
        assert_eq!(UnixSeconds::new(1).since(UnixSeconds::new(2)), 0);
        assert_eq!(UnixSeconds::new(u64::MAX).to_string(), "9999-12-31T23:59:59Z");
    }
}
