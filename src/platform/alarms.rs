//! Lines that ask an operator to act: one for each flood of equal failures, however many requests meet them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Errcode;

/// Between two lines about the same thing, while it goes on.
const PAUSE: Duration = Duration::from_secs(60);

/// Which lines were written lately. There are only as many as interfaces and known numbers.
#[derive(Default)]
pub(super) struct Alarms(Mutex<HashMap<(&'static str, Option<Errcode>), Flood>>);

struct Flood {
    told_at: Instant,
    untold: u64,
}

impl Alarms {
    /// Counts one failure of `interface`. If a line about it is due, says how many since the last one had none.
    pub(super) fn due(&self, interface: &'static str, errcode: Option<&Errcode>, now: Instant) -> Option<u64> {
        let mut floods = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (interface, errcode.cloned());
        let Some(flood) = floods.get_mut(&key) else {
            floods.insert(key, Flood { told_at: now, untold: 0 });
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
        let [one, two] = [1, 2].map(Errcode::Number);
        let (alarms, start) = (Alarms::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(alarms.due("a", Some(&one), after(0)), Some(0));
        assert_eq!(alarms.due("a", Some(&one), after(0)), None);
        assert_eq!(alarms.due("a", Some(&one), after(59)), None);
        assert_eq!(alarms.due("a", Some(&two), after(59)), Some(0), "another thing");
        assert_eq!(alarms.due("b", Some(&one), after(59)), Some(0), "another interface");
        assert_eq!(alarms.due("a", Some(&one), after(60)), Some(2), "the count of those before");
        assert_eq!(alarms.due("a", Some(&one), after(200)), Some(0));
    }
}
