use std::time::{Duration, Instant};

use aftertone_sip::RequestId;

/// What is asked for (RFC 3261 section 10.2.1.1); the registrar may shorten it.
pub(crate) const EXPIRES: Duration = Duration::from_secs(600);

/// Whatever a registrar asks for, somebody who waits for calls doesn't wait longer.
const LONGEST_ASKED: Duration = Duration::from_secs(600);

/// Where the binding at the registrar stands.
///
/// ```text
///            connected             2xx                 most of the granted time
/// Offline -------------> Asking -------> Registered ----------------------> Asking
///    ^                     | other final      |                            |
///    |                     v                  |                            |
///    |                  Waiting --(10 s, 20 s .. 5 min, less a part by chance)--> Asking
///    '------------------------- disconnected, from everywhere ------------'
/// ```
#[derive(Debug)]
pub(crate) enum Registration {
    /// Not connected, or taken back.
    Offline,
    /// A REGISTER is out.
    Asking { request: RequestId, failures: u32, was_registered: bool },
    /// There is a binding; it is renewed at that time.
    Registered { renew_at: Instant },
    /// Refused; the next try is at that time.
    Waiting { retry_at: Instant, failures: u32 },
}

impl Registration {
    pub(crate) fn timeout(&self) -> Option<Instant> {
        match self {
            Self::Offline | Self::Asking { .. } => None,
            Self::Registered { renew_at } => Some(*renew_at),
            Self::Waiting { retry_at, .. } => Some(*retry_at),
        }
    }

    /// How often it failed in a row.
    pub(crate) fn failures(&self) -> u32 {
        match self {
            Self::Offline | Self::Registered { .. } => 0,
            Self::Asking { failures, .. } | Self::Waiting { failures, .. } => *failures,
        }
    }

    pub(crate) fn has_binding(&self) -> bool {
        match self {
            Self::Offline | Self::Waiting { .. } => false,
            Self::Asking { was_registered, .. } => *was_registered,
            Self::Registered { .. } => true,
        }
    }
}

/// When to renew a binding that was granted for `granted` seconds: well before it ends, so that a lost answer can be
/// asked for again; not all at once that registered at once. `spread` is from 0 to 1.
pub(crate) fn renewal(granted: u32, spread: f64) -> Duration {
    Duration::from_secs(granted.max(10).into()).mul_f64(0.65 + spread * 0.2)
}

/// How long to wait after the `failures`th failure in a row, and no shorter than the registrar asks for: between half and all
/// of an exponential pause (RFC 5626 section 4.5).
pub(crate) fn retry_delay(failures: u32, asked: Option<Duration>, spread: f64) -> Duration {
    let seconds = 10_u64.saturating_mul(1 << failures.saturating_sub(1).min(8));
    let pause = Duration::from_secs(seconds.min(300)).mul_f64(0.5 + spread / 2.0);
    match asked.map(|asked| asked.min(LONGEST_ASKED)) {
        // They too shall not come back together.
        Some(asked) if asked > pause => asked + pause.mul_f64(spread),
        Some(_) | None => pause,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_lost_the_same_server_comes_back_spread() {
        let second = Duration::from_secs(1);
        assert_eq!((retry_delay(1, None, 0.0), retry_delay(1, None, 1.0)), (second * 5, second * 10));
        assert_eq!((retry_delay(9, None, 0.0), retry_delay(9, None, 1.0)), (second * 150, second * 300));
        assert_eq!(retry_delay(1, Some(second * 60), 0.0), second * 60);
        assert_eq!(retry_delay(1, Some(second * 60), 1.0), second * 70);
        assert_eq!(retry_delay(1, Some(second), 1.0), second * 10);
        assert_eq!(retry_delay(1, Some(second * 86_400), 0.0), LONGEST_ASKED);
        assert_eq!((renewal(600, 0.0), renewal(600, 1.0)), (second * 390, second * 510));
    }
}
