//! Floods of equal lines: the first ones are written, the others counted. Bounded memory, whatever is logged.

use std::collections::HashMap;

use auth_ticket::clock::UnixSeconds;
use tracing::Level;
use tracing::callsite::Identifier;

/// How many equal lines are written in a second.
const WRITTEN_PER_S: u32 = 5;
/// A flood is told of that long after it began, and as long as it lasts again and again.
const TELL_AFTER_S: u64 = 10;
/// How many different lines are told apart at once. Further ones count as equal if they come from the same place.
const MOST_LINES: usize = 256;

/// A line as it is compared with others.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Line {
    /// Where in the program it comes from.
    pub(super) callsite: Identifier,
    /// Message and fields, without those in which equal lines differ.
    pub(super) text: String,
}

/// What came of a flood.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Summary {
    pub(super) level: Level,
    /// [`Line::text`].
    pub(super) text: String,
    /// How many lines were not written.
    pub(super) repeated: u64,
    pub(super) in_s: u64,
}

/// The lines of the last second, and the floods that go on.
#[derive(Debug, Default)]
pub(super) struct Floods {
    lines: HashMap<Line, LineCount>,
    /// For lines that `lines` has no room for; as many as the program has places that log.
    places: HashMap<Identifier, Place>,
}

#[derive(Debug)]
struct Place {
    /// The first of its lines.
    example: String,
    count: LineCount,
}

#[derive(Debug)]
struct LineCount {
    level: Level,
    /// The first line of this second or, while lines are held back, of this flood.
    since: UnixSeconds,
    written: u32,
    held_back: u64,
}

impl LineCount {
    const fn new(level: Level, now: UnixSeconds) -> Self {
        Self { level, since: now, written: 0, held_back: 0 }
    }

    fn admit(&mut self, now: UnixSeconds) -> bool {
        if self.held_back == 0 && now != self.since {
            (self.since, self.written) = (now, 0);
        }
        if self.held_back > 0 || self.written == WRITTEN_PER_S {
            self.held_back += 1;
            return false;
        }
        self.written += 1;
        true
    }

    /// A clock that is set back ends what it cannot measure.
    fn is_over(&self, now: UnixSeconds, after_s: u64) -> bool {
        now < self.since || now >= self.since.plus(after_s)
    }

    /// The summary, if it is time; then lines are written again.
    fn tell(&mut self, text: &str, now: UnixSeconds, after_s: u64) -> Option<Summary> {
        if self.held_back == 0 || !self.is_over(now, after_s) {
            return None;
        }
        let in_s = now.since(self.since).max(1);
        let told = Summary { level: self.level, text: text.to_owned(), repeated: self.held_back, in_s };
        (self.since, self.written, self.held_back) = (now, 0, 0);
        Some(told)
    }
}

impl Floods {
    /// Whether `line` is to be written. If not, it is counted.
    pub(super) fn admit(&mut self, line: Line, level: Level, now: UnixSeconds) -> bool {
        if self.lines.len() >= MOST_LINES && !self.lines.contains_key(&line) {
            self.forget(now);
        }
        if self.lines.len() < MOST_LINES || self.lines.contains_key(&line) {
            return self.lines.entry(line).or_insert_with(|| LineCount::new(level, now)).admit(now);
        }
        let Line { callsite, text } = line;
        let place = self.places.entry(callsite);
        place.or_insert_with(|| Place { example: text, count: LineCount::new(level, now) }).count.admit(now)
    }

    /// The floods to tell of now.
    pub(super) fn due(&mut self, now: UnixSeconds) -> Vec<Summary> {
        let told = self.told(now, TELL_AFTER_S);
        self.forget(now);
        told
    }

    /// All floods, since the log ends.
    pub(super) fn rest(&mut self, now: UnixSeconds) -> Vec<Summary> {
        self.told(now, 0)
    }

    fn told(&mut self, now: UnixSeconds, after_s: u64) -> Vec<Summary> {
        let lines = self.lines.iter_mut().filter_map(|(line, count)| count.tell(&line.text, now, after_s));
        let mut told: Vec<Summary> = lines.collect();
        told.extend(self.places.values_mut().filter_map(|Place { example, count }| {
            let told = count.tell(example, now, after_s)?;
            Some(Summary { text: format!("{} and others like it", told.text), ..told })
        }));
        told
    }

    fn forget(&mut self, now: UnixSeconds) {
        self.lines.retain(|_, count| count.held_back > 0 || !count.is_over(now, 1));
        self.places.retain(|_, Place { count, .. }| count.held_back > 0 || !count.is_over(now, 1));
    }
}

#[cfg(test)]
mod tests;
