//! The layer that holds back the lines of a flood; which lines are equal.

use std::fmt::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use auth_ticket::clock::{Clock, SystemClock};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use super::floods::{Floods, Line, Summary};

/// Of longer lines, the beginning is compared.
const COMPARED_LEN: usize = 512;

/// Holds back what is one of many equal lines. Clones share one count.
///
/// Lines below `info` pass: who asks for them wants each request. Lines that name a login pass, too, since no two of them
/// are equal.
#[derive(Clone, Debug, Default)]
pub(super) struct Fold(Arc<Mutex<Floods>>);

impl Fold {
    fn floods(&self) -> MutexGuard<'_, Floods> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs the floods that it is time to tell of.
    pub(super) fn tell_due(&self) {
        let due = self.floods().due(SystemClock.now());
        due.iter().for_each(tell);
    }

    /// Logs all floods, since the log ends.
    pub(super) fn tell_rest(&self) {
        let rest = self.floods().rest(SystemClock.now());
        rest.iter().for_each(tell);
    }
}

fn tell(Summary { level, text, repeated, in_s }: &Summary) {
    macro_rules! tell {
        ($level:ident) => {
            tracing::$level!(repeated, in_s, line = text, "a line was repeated {repeated} times in {in_s} s")
        };
    }
    match *level {
        Level::ERROR => tell!(error),
        Level::WARN => tell!(warn),
        _ => tell!(info),
    }
}

impl<S: Subscriber> Layer<S> for Fold {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        let names_a_login = || metadata.fields().field("login_id").is_some();
        if *metadata.level() > Level::INFO || metadata.target() == module_path!() || names_a_login() {
            return true;
        }
        let mut compared = Compared { level: *metadata.level(), text: String::new() };
        event.record(&mut compared);
        let line = Line { callsite: metadata.callsite(), text: compared.text };
        self.floods().admit(line, compared.level, SystemClock.now())
    }
}

/// The text of a line without that in which equal ones differ.
struct Compared {
    level: Level,
    text: String,
}

impl Compared {
    /// At `info` are failed attempts, which are for whoever watches addresses. Above are our own troubles: there it is the
    /// cause that matters, and not the client that met it.
    fn compares(&self, field: &str) -> bool {
        match field {
            "request_id" | "rid" | "duration_ms" => false,
            "client" => self.level == Level::INFO,
            "cause" => self.level != Level::INFO,
            _ => true,
        }
    }
}

impl Visit for Compared {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if self.text.len() >= COMPARED_LEN || !self.compares(field.name()) {
            return;
        }
        let space = if self.text.is_empty() { "" } else { " " };
        // Writing to a string never fails.
        let _ = match field.name() {
            "message" => write!(self.text, "{space}{value:?}"),
            name => write!(self.text, "{space}{name}={value:?}"),
        };
        let mut end = self.text.len().min(COMPARED_LEN);
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        self.text.truncate(end);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// Keeps what passes the layer.
    #[derive(Clone, Debug, Default)]
    struct Kept(Arc<Mutex<Vec<String>>>);

    impl<S: Subscriber> Layer<S> for Kept {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            let mut text = String::new();
            event.record(&mut |field: &Field, value: &dyn fmt::Debug| write!(text, "{field}={value:?} ").unwrap());
            self.0.lock().unwrap().push(text);
        }
    }

    /// What passes of what `work` logs, the summaries at the end included.
    fn kept(work: impl Fn()) -> Vec<String> {
        let (fold, kept) = (Fold::default(), Kept::default());
        let subscriber = tracing_subscriber::registry().with(kept.clone()).with(fold.clone());
        tracing::subscriber::with_default(subscriber, || {
            work();
            fold.tell_rest();
        });
        let kept = kept.0.lock().unwrap();
        kept.clone()
    }

    #[test]
    fn equal_lines_become_some_lines_and_a_count() {
        let kept = kept(|| {
            for number in 0..1000 {
                tracing::warn!(request_id = number, client = number, error = "upstream_busy", "request refused");
            }
            tracing::warn!(error = "upstream_failed", "request refused");
        });
        let refused = kept.iter().filter(|line| line.contains("upstream_busy") && !line.contains("repeated")).count();
        // Five of each second that this takes.
        assert!((5..=50).contains(&refused), "{kept:#?}");
        let told = kept.last().unwrap();
        assert!(told.contains("line=\"request refused error=upstream_busy\""));
        assert!(kept.iter().any(|line| line.contains("upstream_failed")), "{kept:#?}");
    }

    #[test]
    fn failed_attempts_of_one_address_do_not_hide_those_of_another() {
        let kept = kept(|| {
            for number in 0..1000 {
                tracing::info!(cause = number, client = "192.0.2.1", "authentication failed");
            }
            tracing::info!(cause = 1, client = "192.0.2.2", "authentication failed");
        });
        assert!(kept.iter().any(|line| line.contains("192.0.2.2")), "{kept:#?}");
        assert!(kept.len() < 60, "{kept:#?}");
    }

    #[test]
    fn logins_and_lines_that_are_asked_for_are_never_held_back() {
        let kept = kept(|| {
            for _ in 0..500 {
                tracing::info!(login_id = "00", "logged in");
                tracing::debug!("answered");
            }
        });
        assert_eq!(kept.len(), 1000);
    }

    #[test]
    fn long_lines_are_compared_as_far_as_they_are_kept() {
        let mut compared = Compared { level: Level::INFO, text: "\u{e4}".repeat(255) };
        let metadata = tracing::callsite! { name: "x", kind: tracing::metadata::Kind::EVENT, fields: message };
        let field = tracing::callsite::Callsite::metadata(metadata).fields().field("message").unwrap();
        compared.record_debug(&field, &format_args!("{}", "\u{e4}".repeat(10_000)));
        assert!((COMPARED_LEN - 1..=COMPARED_LEN).contains(&compared.text.len()), "{}", compared.text.len());
    }
}
