use std::io::IsTerminal;

use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterExt, filter_fn},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

/// Libraries whose detailed lines hold what they carry: passwords, tokens, keys of calls.
const CARRIERS: [&str; 7] = ["h2", "hyper", "reqwest", "rustls", "rtc", "tungstenite", "webrtc"];

/// Logs to standard error what `filter` lets through, but never the detailed lines of what carries our messages.
pub fn log_to_stderr(filter: EnvFilter) {
    let lines = tracing_subscriber::fmt::layer().with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr);
    tracing_subscriber::registry().with(lines.with_filter(filter.and(filter_fn(is_loggable)))).init();
}

/// Whether a line may be logged, however much is asked for.
fn is_loggable(metadata: &tracing::Metadata<'_>) -> bool {
    let library = metadata.target().split("::").next().unwrap_or_default();
    // `rtc_ice` and `hyper_util` belong to them.
    let is_carrier = CARRIERS.iter().any(|carrier| {
        let rest = library.strip_prefix(carrier);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['_', '-']))
    });
    !is_carrier || *metadata.level() <= tracing::Level::INFO
}
