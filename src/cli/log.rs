//! Log lines on standard error, chosen by `RUST_LOG`.

use std::io::IsTerminal;

use tracing::{Level, Metadata};
use tracing_subscriber::filter::{EnvFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

const DEFAULT: &str = "info";
const OWN_TARGET: &str = "auth_ticket";

/// Starts to log. `directives` is the value of `RUST_LOG`, such as `debug` or `auth_ticket::http=trace`.
pub(crate) fn start(directives: Option<&str>) {
    let wanted = directives.filter(|text| !text.is_empty()).unwrap_or(DEFAULT);
    let (filter, mistake) = match EnvFilter::try_new(wanted) {
        Ok(filter) => (filter, false),
        Err(_) => (EnvFilter::new(DEFAULT), true),
    };
    let lines =
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let result = tracing_subscriber::registry().with(filter).with(filter_fn(may_be_logged)).with(lines).try_init();
    if mistake && result.is_ok() {
        tracing::warn!("RUST_LOG is not understood; write for example info or auth_ticket=debug");
    }
}

/// Below `info`, only our own lines: an HTTP client's may show the URL, and with it the app's secret.
fn may_be_logged(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= Level::INFO || metadata.target().starts_with(OWN_TARGET)
}
