//! Lines that ask an operator to act: one for each flood of equal failures, however many requests meet them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Between two lines about the same thing, while it goes on.
const PAUSE: Duration = Duration::from_secs(60);

/// Which lines were written lately. There are only as many as interfaces and known numbers.
#[derive(Default)]
pub(super) struct Alarms(Mutex<HashMap<(&'static str, Option<i64>), Flood>>);

struct Flood {
    told_at: Instant,
    untold: u64,
}

impl Alarms {
    /// Counts one failure of `interface`. If a line about it is due, says how many since the last one had none.
    pub(super) fn due(&self, interface: &'static str, errcode: Option<i64>, now: Instant) -> Option<u64> {
        let mut floods = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(flood) = floods.get_mut(&(interface, errcode)) else {
            floods.insert((interface, errcode), Flood { told_at: now, untold: 0 });
            return Some(0);
        };
        if now.saturating_duration_since(flood.told_at) < PAUSE {
            flood.untold += 1;
            return None;
        }
        flood.told_at = now;
        Some(std::mem::take(&mut flood.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_equal_failures_is_one_line_a_minute() {
        let (alarms, start) = (Alarms::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(alarms.due("a", Some(1), after(0)), Some(0));
        assert_eq!(alarms.due("a", Some(1), after(0)), None);
        assert_eq!(alarms.due("a", Some(1), after(59)), None);
        assert_eq!(alarms.due("a", Some(2), after(59)), Some(0), "another thing");
        assert_eq!(alarms.due("b", Some(1), after(59)), Some(0), "another interface");
        assert_eq!(alarms.due("a", Some(1), after(60)), Some(2), "the count of those before");
        assert_eq!(alarms.due("a", Some(1), after(200)), Some(0));
    }
}
