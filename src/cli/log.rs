//! Log lines on standard error, chosen by `RUST_LOG` and, while a server runs, by its operators.
//!
//! Nothing waits for the log: lines go through a bounded queue ([`super::output`]), and floods of equal ones are held back
//! ([`fold`]).

mod floods;
mod fold;

use std::io::{IsTerminal, stderr};
use std::panic;
use std::sync::OnceLock;
use std::thread;

use auth_ticket::http::{LogChange, LogControl};
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{LevelFilter, Targets, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt, reload};

use super::output::{self, Queue};
use fold::Fold;

const OWN_TARGET: &str = "auth_ticket";
/// What operators change at the admin address is logged whatever the level.
const ALWAYS_LOGGED: &str = "auth_ticket::http::admin";
/// Each directive is compared with each line that is logged.
const MOST_DIRECTIVES: usize = 32;
const LONGEST_DIRECTIVES: usize = 1024;

static FOLD: OnceLock<Fold> = OnceLock::new();

/// How a line is written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object each.
    Json,
}

/// Changes what is logged while the program runs.
#[derive(Clone, Debug)]
pub(crate) struct LogHandle {
    filter: reload::Handle<Targets, Registry>,
    queue: Queue,
}

impl LogControl for LogHandle {
    fn prepare(&self, directives: &str) -> Option<LogChange> {
        let targets = parse(directives)?;
        let filter = self.filter.clone();
        // It fails only once there is no log any more.
        Some(Box::new(move || drop(filter.reload(targets))))
    }

    fn lines_dropped(&self) -> u64 {
        self.queue.dropped()
    }
}

/// Starts to log. `directives` is the value of `RUST_LOG`; `otherwise` holds where that is missing or empty.
pub(crate) fn start(directives: Option<&str>, otherwise: LevelFilter, format: Format) -> anyhow::Result<LogHandle> {
    let understood = directives.filter(|text| !text.is_empty()).map(parse);
    let is_understood = !matches!(understood, Some(None));
    let targets = understood.flatten().unwrap_or_else(|| with_always_logged(Targets::new().with_default(otherwise)));
    let (filter, handle) = reload::Layer::new(targets);
    let fold = FOLD.get_or_init(Fold::default);
    let queue = output::start(|dropped| {
        if dropped > 0 {
            tracing::warn!(dropped, "{dropped} log lines were dropped, since nobody read them");
        }
        fold.tell_due();
    })?;
    let registry = tracing_subscriber::registry().with(filter).with(filter_fn(may_be_logged));
    // Only the first call in a process takes effect, and there is only one.
    let _ = match format {
        Format::Text => {
            let lines = fmt::layer().with_writer(queue.clone()).with_ansi(stderr().is_terminal());
            registry.with(lines).with(fold.clone()).try_init()
        }
        Format::Json => {
            let lines = fmt::layer().with_writer(queue.clone()).json().flatten_event(true);
            registry.with(lines).with(fold.clone()).try_init()
        }
    };
    log_panics();
    if !is_understood {
        tracing::warn!("RUST_LOG is not understood; write levels and targets, for example info or auth_ticket=debug");
    }
    Ok(LogHandle { filter: handle, queue })
}

/// Logs what was held back until now, since the process ends.
pub(crate) fn finish() {
    if let Some(fold) = FOLD.get() {
        fold.tell_rest();
    }
}

/// Levels and targets such as `warn,auth_ticket::http=debug`.
///
/// Anybody who reaches the admin address sends them. Spans, fields and expressions of other filters, which cost memory and
/// time with each line, are not taken.
fn parse(directives: &str) -> Option<Targets> {
    if directives.len() > LONGEST_DIRECTIVES {
        return None;
    }
    let directives: Vec<&str> = directives.split(',').map(str::trim).filter(|one| !one.is_empty()).collect();
    let is_name =
        |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_:-".contains(&b));
    let is_understood = |one: &&str| match one.split_once('=') {
        Some((target, level)) => is_name(target) && is_name(level),
        None => is_name(one),
    };
    if !(1..=MOST_DIRECTIVES).contains(&directives.len()) || !directives.iter().all(is_understood) {
        return None;
    }
    directives.join(",").parse().ok().map(with_always_logged)
}

fn with_always_logged(targets: Targets) -> Targets {
    targets.with_target(ALWAYS_LOGGED, LevelFilter::INFO)
}

/// Below `info`, only our own lines: an HTTP client's may show the URL, and with it the app's secret.
fn may_be_logged(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= Level::INFO || metadata.target().starts_with(OWN_TARGET)
}

/// The message of a panic is a log line like others: written straight to standard error, it could wait for a reader.
fn log_panics() {
    panic::set_hook(Box::new(|info| {
        let thread = thread::current();
        let thread = thread.name().unwrap_or("unnamed");
        let place = info.location().map(tracing::field::display);
        let payload = info.payload();
        let literal = payload.downcast_ref::<&str>().copied();
        let message = literal.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
        tracing::error!(thread, place, "panicked: {message}");
    }));
}

impl<'a> MakeWriter<'a> for Queue {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_levels_and_targets_and_nothing_else() {
        for directives in
            ["info", "off", "auth_ticket=debug", "warn,auth_ticket::http=trace", " info , hyper=warn,", "5"]
        {
            assert!(parse(directives).is_some(), "{directives}");
        }
        let many = vec!["auth_ticket=info"; 33].join(",");
        let long = format!("auth_ticket::{}=info", "a".repeat(1024));
        for directives in [
            "",
            " ",
            ",",
            "=,=",
            "auth_ticket=loud",
            "auth_ticket=debug=info",
            "auth_ticket[span]=info",
            "auth_ticket[{field}]=info",
            "[{request_id=(a|b)*a}]=info",
            "auth_ticket{field}=info",
            "info\nwarn",
            "auth_ticket = info",
            "\u{1b}[2J",
            "auth_ticket=d\u{e9}bug",
            &many,
            &long,
        ] {
            assert!(parse(directives).is_none(), "{directives}");
        }
    }

    #[test]
    fn what_operators_change_is_logged_at_every_level() {
        for directives in ["off", "error", "auth_ticket::http::admin=off", "off,auth_ticket=off"] {
            let targets = parse(directives).unwrap();
            assert!(targets.would_enable(ALWAYS_LOGGED, &Level::INFO), "{directives}");
            assert!(!targets.would_enable("auth_ticket::http::login", &Level::INFO), "{directives}");
        }
    }
}
