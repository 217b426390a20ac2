//! Session timers (RFC 4028): what the headers say and what we answer.

use super::session::Interval;
use crate::event::{ResponseParts, UaConfig};
use crate::message::{Headers, Response};
use crate::params::Params;

/// `Session-Expires: 1800;refresher=uac`
struct SessionExpires {
    seconds: u32,
    refresher: Option<Refresher>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refresher {
    Uac,
    Uas,
}

impl SessionExpires {
    fn read(headers: &Headers) -> Option<Self> {
        let value = headers.get("Session-Expires")?;
        let (seconds, params) = value.split_once(';').unwrap_or((value, ""));
        let seconds = seconds.trim().parse().ok()?;
        let refresher = match Params::parse(params).get("refresher").unwrap_or_default().to_ascii_lowercase().as_str() {
            "uac" => Some(Refresher::Uac),
            "uas" => Some(Refresher::Uas),
            _ => None,
        };
        Some(Self { seconds, refresher })
    }
}

/// RFC 4028 5: no interval is shorter.
const SHORTEST: u32 = 90;

/// The shortest interval that we grant.
fn shortest(config: &UaConfig) -> u32 {
    config.min_session_expires.max(SHORTEST)
}

/// What we ask for in an INVITE or a refresh.
pub(crate) fn ask(headers: &mut Headers, config: &UaConfig, current: Option<Interval>) {
    if headers.contains("Session-Expires") {
        return;
    }
    match (current, config.session_expires) {
        (Some(Interval { seconds, we_refresh }), _) => {
            let refresher = if we_refresh { "uac" } else { "uas" };
            headers.push("Session-Expires", format!("{seconds};refresher={refresher}"));
        }
        (None, Some(seconds)) => headers.push("Session-Expires", seconds.max(shortest(config))),
        (None, None) => return,
    }
    if shortest(config) > SHORTEST && !headers.contains("Min-SE") {
        headers.push("Min-SE", shortest(config));
    }
}

/// The refusal of a request that wants shorter intervals than we grant; not for a peer that would not understand it
/// (RFC 4028 9).
pub(crate) fn refusal(headers: &Headers, config: &UaConfig) -> Option<ResponseParts> {
    let is_too_short = SessionExpires::read(headers).is_some_and(|wish| wish.seconds < shortest(config));
    (is_too_short && knows_timers(headers)).then(|| ResponseParts::new(422).with("Min-SE", shortest(config)))
}

fn knows_timers(headers: &Headers) -> bool {
    headers.lists("Supported", "timer") || headers.lists("Require", "timer")
}

/// What we grant as the one who answers (RFC 4028 9), written into the 2xx.
pub(crate) fn grant(request: &Headers, response: &mut Headers, config: &UaConfig) -> Option<Interval> {
    let wish = SessionExpires::read(request);
    let peer_can = knows_timers(request);
    let seconds = match &wish {
        Some(wish) => {
            let least = request.get("Min-SE").and_then(|text| text.split(';').next()?.trim().parse().ok()).unwrap_or(0);
            let longest = config.session_expires.unwrap_or(u32::MAX);
            // A wish that could not be refused is not raised either, but for what no interval is below.
            wish.seconds.min(longest).max(least).max(if peer_can { shortest(config) } else { SHORTEST })
        }
        None => config.session_expires.filter(|_| peer_can)?.max(shortest(config)),
    };
    let refresher = match wish.and_then(|wish| wish.refresher) {
        Some(refresher) if peer_can => refresher,
        Some(_) => Refresher::Uas,
        // A peer that did not ask is not burdened: it may be gone, and this is how we find out.
        None => Refresher::Uas,
    };
    let name = if refresher == Refresher::Uac { "uac" } else { "uas" };
    response.push("Session-Expires", format!("{seconds};refresher={name}"));
    if refresher == Refresher::Uac {
        response.push("Require", "timer");
    }
    Some(Interval { seconds, we_refresh: refresher == Refresher::Uas })
}

/// What the one who answered granted us (RFC 4028 7.2).
pub(crate) fn granted(response: &Response) -> Option<Interval> {
    let grant = SessionExpires::read(&response.headers)?;
    Some(Interval { seconds: grant.seconds.max(SHORTEST), we_refresh: grant.refresher != Some(Refresher::Uas) })
}

/// The interval to ask for after 422.
pub(crate) fn raised(response: &Response) -> Option<u32> {
    response.headers.get("Min-SE")?.split(';').next()?.trim().parse().ok()
}
