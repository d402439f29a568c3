//! Text for people: durations, points in time, tables.

use std::fmt::Write as _;

use auth_ticket::clock::UnixSeconds;

/// What to type for a new key. Keys are made in one place: a replica that makes its own seals what no other opens.
pub(crate) fn rotate(options: &str) -> String {
    format!("auth-ticket keys rotate {options}, where your keys are made; then copy the directory to all replicas")
}

/// Longest duration that an option takes: ten years.
const MAX_DURATION_S: u64 = 3650 * 86400;

/// Parses `15m`, `1h 30m`, `90d` into whole seconds, for clap.
pub(crate) fn parse_duration_s(text: &str) -> Result<u64, String> {
    const EXAMPLE: &str = "write for example 90d, 2h, 15m or 30s";
    if text == "0" {
        return Ok(0);
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("a unit is missing; {EXAMPLE}"));
    }
    // humantime takes 1.5h; here a duration is written in whole numbers.
    if text.contains('.') {
        return Err(format!("not a whole number; {EXAMPLE}"));
    }
    let duration = humantime::parse_duration(text).map_err(|_| format!("not a duration; {EXAMPLE}"))?;
    if duration.subsec_nanos() != 0 {
        return Err(format!("not whole seconds; {EXAMPLE}"));
    }
    if duration.as_secs() > MAX_DURATION_S {
        return Err("longer than ten years".to_owned());
    }
    Ok(duration.as_secs())
}

/// `2h 5m`: the two largest units of a duration, rounded down.
pub(crate) fn duration(seconds: u64) -> String {
    const UNITS: [(u64, char); 4] = [(86400, 'd'), (3600, 'h'), (60, 'm'), (1, 's')];
    let largest = UNITS.iter().position(|(unit, _)| seconds >= *unit).unwrap_or(UNITS.len() - 1);
    let mut rest = seconds;
    let mut text = String::new();
    for (unit, letter) in UNITS.iter().skip(largest).take(2) {
        if rest >= *unit || text.is_empty() {
            let space = if text.is_empty() { "" } else { " " };
            let _ = write!(text, "{space}{}{letter}", rest / unit);
        }
        rest %= unit;
    }
    text
}

/// `in 2h 5m`, `3d ago`, `now`.
pub(crate) fn relative(at: UnixSeconds, now: UnixSeconds) -> String {
    match (at.since(now), now.since(at)) {
        (0, 0) => "now".to_owned(),
        (0, ago) => format!("{} ago", duration(ago)),
        (ahead, _) => format!("in {}", duration(ahead)),
    }
}

/// `1 key`, `2 keys`.
pub(crate) fn count(number: usize, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

/// Rows under aligned columns, two spaces apart, nothing after the last.
#[derive(Debug)]
pub(crate) struct Columns {
    rows: Vec<Vec<String>>,
}

impl Columns {
    /// A table with these headings.
    pub(crate) fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(ToString::to_string).collect()] }
    }

    /// Adds a row with as many cells as there are headings.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The table, each row ended by a line feed.
    pub(crate) fn render(&self) -> String {
        let columns = self.rows.first().map_or(0, Vec::len);
        let width = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                let _ = write!(line, "{cell:width$}  ");
            }
            let _ = writeln!(text, "{}", line.trim_end());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_told_in_their_two_largest_units() {
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (61, "1m 1s"),
            (7200, "2h"),
            (7259, "2h"),
            (90_061, "1d 1h"),
            (7_776_000, "90d"),
        ] {
            assert_eq!(duration(seconds), text, "{seconds}");
        }
    }

    #[test]
    fn a_duration_needs_a_unit_and_whole_seconds() {
        assert_eq!(parse_duration_s("15m"), Ok(900));
        assert_eq!(parse_duration_s("1h 30m"), Ok(5400));
        assert_eq!(parse_duration_s("0"), Ok(0));
        for text in ["", "15", "-5m", "100ms", "m", "99999999999999999999d", "1000000d"] {
            assert!(parse_duration_s(text).is_err(), "{text}");
        }
    }

    #[test]
    fn columns_are_aligned_and_lines_end_with_their_text() {
        let mut table = Columns::new(&["USE", "KID"]);
        table.row(vec!["ticket".to_owned(), "a".to_owned()]);
        assert_eq!(table.render(), "USE     KID\nticket  a\n");
    }
}
