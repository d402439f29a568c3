//! Log lines on standard error, chosen by `RUST_LOG` and, while a server runs, by its operators.

use std::io::{IsTerminal, stderr};

use tracing::{Level, Metadata};
use tracing_subscriber::filter::{EnvFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt, reload};

const OWN_TARGET: &str = "auth_ticket";

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
pub(crate) struct Dial(reload::Handle<EnvFilter, Registry>);

impl Dial {
    /// Sets other directives, such as `debug` or `auth_ticket::http=trace`; `false` if they are not understood.
    pub(crate) fn turn(&self, directives: &str) -> bool {
        EnvFilter::try_new(directives).is_ok_and(|filter| self.0.reload(filter).is_ok())
    }
}

/// Starts to log. `directives` is the value of `RUST_LOG`; `otherwise` holds where that is missing or empty.
pub(crate) fn start(directives: Option<&str>, otherwise: &str, format: Format) -> Dial {
    let wanted = directives.filter(|text| !text.is_empty()).unwrap_or(otherwise);
    let (filter, understood) = match EnvFilter::try_new(wanted) {
        Ok(filter) => (filter, true),
        Err(_) => (EnvFilter::new(otherwise), false),
    };
    let (filter, handle) = reload::Layer::new(filter);
    let registry = tracing_subscriber::registry().with(filter).with(filter_fn(may_be_logged));
    // Only the first call in a process takes effect, and there is only one.
    let _ = match format {
        Format::Text => registry.with(fmt::layer().with_writer(stderr).with_ansi(stderr().is_terminal())).try_init(),
        Format::Json => registry.with(fmt::layer().with_writer(stderr).json().flatten_event(true)).try_init(),
    };
    if !understood {
        tracing::warn!("RUST_LOG is not understood; write for example info or auth_ticket=debug");
    }
    Dial(handle)
}

/// Below `info`, only our own lines: an HTTP client's may show the URL, and with it the app's secret.
fn may_be_logged(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= Level::INFO || metadata.target().starts_with(OWN_TARGET)
}
