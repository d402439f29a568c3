//! How often each interface was called.

use std::collections::BTreeMap;

use serde::Serialize;

/// What came of the requests of one app to one interface.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub(super) struct Count {
    calls: u64,
    ok: u64,
}

/// Calls by interface and appid. The appid is empty for those that named none that could be one, and for further apps
/// once there are very many.
#[derive(Debug, Default, Serialize)]
#[serde(transparent)]
pub(super) struct Stats(BTreeMap<&'static str, BTreeMap<String, Count>>);

impl Stats {
    const MAX_APPS: usize = 10_000;

    pub(super) fn count(&mut self, interface: &'static str, appid: &str, is_ok: bool) {
        let apps = self.0.entry(interface).or_default();
        let is_full = apps.len() >= Self::MAX_APPS && !apps.contains_key(appid);
        let count = apps.entry(if is_full { String::new() } else { appid.to_owned() }).or_default();
        count.calls += 1;
        count.ok += u64::from(is_ok);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn calls_are_counted_by_interface_and_app() {
        let mut stats = Stats::default();
        stats.count("stable_token", "wx1", true);
        stats.count("stable_token", "wx1", false);
        stats.count("jscode2session", "", false);
        let expected = json!({
            "jscode2session": { "": { "calls": 1, "ok": 0 } },
            "stable_token": { "wx1": { "calls": 2, "ok": 1 } },
        });
        assert_eq!(serde_json::to_value(&stats).unwrap(), expected);
    }

    #[test]
    fn very_many_apps_are_counted_together() {
        let mut stats = Stats::default();
        for app in 0..Stats::MAX_APPS + 5 {
            stats.count("token", &app.to_string(), true);
        }
        stats.count("token", "0", true);
        let apps = &stats.0[&"token"];
        assert_eq!(apps.len(), Stats::MAX_APPS + 1);
        assert_eq!((apps[""].calls, apps["0"].calls), (5, 2));
    }
}
