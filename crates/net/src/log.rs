/// Libraries whose detailed lines hold what they carry: passwords, tokens, keys of calls.
const CARRIERS: [&str; 7] = ["h2", "hyper", "reqwest", "rustls", "rtc", "tungstenite", "webrtc"];

/// Whether a line may be logged, however much is asked for: not what a carrier says in detail.
#[must_use]
pub fn is_loggable(metadata: &tracing::Metadata<'_>) -> bool {
    let library = metadata.target().split("::").next().unwrap_or_default();
    // `rtc-ice` and `hyper_util` belong to them.
    let is_carrier = CARRIERS.iter().any(|carrier| {
        let rest = library.strip_prefix(carrier);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['_', '-']))
    });
    !is_carrier || *metadata.level() <= tracing::Level::INFO
}
