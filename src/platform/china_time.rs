//! The time as signed requests say it.

use crate::clock::UnixSeconds;

/// `2026-11-28 18:00:00`: the time in China (UTC+8, without daylight saving), whatever this machine's zone is.
pub(super) fn china_time(now: UnixSeconds) -> String {
    now.plus(8 * 3600).to_string().replace('T', " ").replace('Z', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `TZ=Asia/Shanghai date -d @1800000000 '+%F %T'`.
    #[test]
    fn it_is_eight_hours_ahead() {
        assert_eq!(china_time(UnixSeconds::new(1_800_000_000)), "2027-01-15 16:00:00");
        assert_eq!(china_time(UnixSeconds::new(1_798_735_000)), "2027-01-01 00:36:40");
    }
}
