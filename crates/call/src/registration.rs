use std::time::{Duration, Instant};

use aftertone_sip::RequestId;

/// What is asked for (RFC 3261 section 10.2.1.1); the registrar may shorten it.
pub(crate) const EXPIRES: Duration = Duration::from_secs(600);

/// Where the binding at the registrar stands.
///
/// ```text
///            connected             2xx                 3/4 of the granted time
/// Offline -------------> Asking -------> Registered ------------------> Asking
///    ^                     | other final      |                            |
///    |                     v                  |                            |
///    |                  Waiting --(10 s, 20 s .. 5 min)--> Asking          |
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
/// asked for again.
pub(crate) fn renewal(granted: u32) -> Duration {
    Duration::from_secs(u64::from(granted.max(10)) * 3 / 4)
}

/// How long to wait after the `failures`th failure in a row.
pub(crate) fn retry_delay(failures: u32) -> Duration {
    let seconds = 10_u64.saturating_mul(1 << failures.saturating_sub(1).min(8));
    Duration::from_secs(seconds.min(300))
}
