//! REGISTER at a provider, OPTIONS to a peer by address: what keeps a line up.

use std::time::{Duration, Instant};

use aftertone_model::Now;
use aftertone_sip::{Credentials, Flow, Headers, Method, NameAddr, OutgoingRequest, RequestFailure, Response};

use super::{Line, LineId, TrunkFailure, Waits, contact, keeping};
use crate::{Exchange, timers::Timer};

/// A name that no server answers for in this time is not known.
pub(super) const LOCATE_WAIT: Duration = Duration::from_secs(10);
/// A connection that isn't open after this time won't be.
pub(super) const REACH_WAIT: Duration = Duration::from_secs(10);
/// Between two OPTIONS to a peer by address.
const PROBE_EVERY: Duration = Duration::from_secs(30);
/// The first pause after a failure; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Between half and all of an exponential pause, so that those who lost the same server don't come back at once
/// (RFC 5626 section 4.5).
pub(super) fn pause(failures: u32, spread: u128) -> Duration {
    let whole = FIRST_PAUSE.saturating_mul(1 << failures.min(8)).min(LONGEST_PAUSE);
    whole.mul_f64(0.5 + fraction(spread) / 2.0)
}

/// When a registration is renewed: after 70 to 90 % of its time.
fn renewal(granted: Duration, spread: u128) -> Duration {
    granted.mul_f64(0.7 + fraction(spread) / 5.0)
}

/// From 0 to 1.
fn fraction(bits: u128) -> f64 {
    f64::from(u32::try_from(bits >> 96).unwrap_or_default()) / f64::from(u32::MAX)
}

impl Exchange {
    /// REGISTER or OPTIONS over the line's flow.
    pub(super) fn ask(&mut self, id: LineId, now: Now) {
        let Some(line) = self.lines.get_mut(&id) else { return };
        let Some(flow) = line.flow else { return };
        line.round += 1;
        let instance = self.config.instance.as_deref();
        let (request, credentials) = (request_of(line, flow, line.expires, instance), credentials(line));
        let request = self.ua.request(request, flow, credentials, now.mono);
        line.waits = Waits::Response(request);
    }

    pub(super) fn line_answered(&mut self, id: LineId, result: Result<Response, RequestFailure>, now: Now) {
        let Some(line) = self.lines.get_mut(&id) else { return };
        line.waits = Waits::Nothing;
        let registers = line.account.trunk.register;
        match result {
            Ok(response) if registers => self.registration_accepted(id, &response, now),
            Ok(response) => self.probe_answered(id, &response, now),
            Err(RequestFailure::Refused(response)) if registers => self.registration_refused(id, &response, now),
            // Whatever a peer answers, it is there; but 503 and a 408 of something in between say that it isn't.
            Err(RequestFailure::Refused(response)) if !matches!(response.status, 408 | 503 | 504) => {
                self.probe_answered(id, &response, now);
            }
            Err(RequestFailure::Refused(response)) => self.line_failed(id, TrunkFailure::Refused(response.status), now),
            Err(_) => self.line_failed(id, TrunkFailure::Silent, now),
        }
    }

    /// A peer by address is there.
    fn probe_answered(&mut self, id: LineId, response: &Response, now: Now) {
        if let Some(line) = self.lines.get_mut(&id)
            && let Some(flow) = line.flow
        {
            contact::learn(line, flow, response);
        }
        self.line_is_up(id, PROBE_EVERY, now);
    }

    fn registration_accepted(&mut self, id: LineId, response: &Response, now: Now) {
        let spread = self.random_bits();
        let Some(line) = self.lines.get_mut(&id) else { return };
        let Some(flow) = line.flow else { return };
        let bound = contact::of(line, flow);
        let granted = contact::granted(response, &bound).unwrap_or(line.expires);
        line.service_route = response.headers.list("Service-Route").into_iter().map(str::to_owned).collect();
        line.bound = Some(bound);
        // RFC 5626 section 4.4: both say that the peer watches the flow, and answers.
        let flow_timer = response.headers.get("Flow-Timer").and_then(|seconds| seconds.trim().parse::<u64>().ok());
        line.promises_pongs = flow_timer.is_some() || response.headers.lists("Require", "outbound");
        line.owes_pongs |= line.promises_pongs && flow.transport.is_stream();
        line.keep_every = flow_timer.map_or(keeping::EVERY, keeping::every);
        let moved = contact::learn(line, flow, response) && !line.corrected;
        line.corrected = moved;
        self.line_is_up(id, renewal(Duration::from_secs(granted.max(10).into()), spread), now);
        if moved {
            // A NAT stands in between: the peer must call us where it sees us.
            self.ask(id, now);
        }
    }

    fn registration_refused(&mut self, id: LineId, response: &Response, now: Now) {
        let Some(line) = self.lines.get_mut(&id) else { return };
        let shortest = response.headers.get("Min-Expires").and_then(|value| value.trim().parse::<u32>().ok());
        match (response.status, shortest) {
            // RFC 3261 section 10.2.8.
            (423, Some(shortest)) if shortest > line.expires => {
                line.expires = shortest;
                self.ask(id, now);
            }
            // RFC 5626 section 6: it goes without.
            (439, _) if !line.lacks_outbound => {
                line.lacks_outbound = true;
                self.ask(id, now);
            }
            (401 | 407, _) => self.line_failed(id, TrunkFailure::WrongCredentials, now),
            (status, _) => self.line_failed(id, TrunkFailure::Refused(status), now),
        }
    }

    fn line_is_up(&mut self, id: LineId, next: Duration, now: Now) {
        let Some(line) = self.lines.get_mut(&id) else { return };
        let was_up = line.is_up;
        (line.is_up, line.refused, line.failures, line.failure) = (true, false, 0, None);
        let (round, is_kept, keep_every) = (line.round, line.account.trunk.register || line.nat().is_some(), line.keep_every);
        self.timers.set(now.mono + next, Timer::Line(id, round));
        if is_kept {
            self.timers.set(now.mono + keep_every, Timer::KeepAlive(id, round));
        }
        self.bring_calls(id, now);
        if !was_up {
            self.tell_trunk(id, was_up);
            self.light_trunk(id, None, now);
        }
    }

    /// The binding is taken back.
    pub(super) fn leave(&mut self, line: &Line, now: Now) {
        self.take_back(line, now.mono);
    }

    fn take_back(&mut self, line: &Line, now: Instant) {
        if let Some(flow) = line.flow.filter(|_| line.is_up && line.account.trunk.register) {
            let instance = self.config.instance.as_deref();
            let request = self.ua.request(request_of(line, flow, 0, instance), flow, credentials(line), now);
            self.leaving.insert(request);
        }
    }

    /// Whether a registrar has not answered yet that our binding is taken back. It may ask for the credentials again
    /// (a nonce that has grown old), so whoever stops goes on receiving until then.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        !self.leaving.is_empty()
    }

    /// Every registration is taken back, for a shutdown.
    pub(crate) fn leave_trunks(&mut self, now: Instant) {
        for line in std::mem::take(&mut self.lines).values() {
            self.take_back(line, now);
        }
    }
}

pub(crate) fn credentials(line: &Line) -> Option<Credentials> {
    let trunk = &line.account.trunk;
    let user = trunk.auth_user.as_deref().unwrap_or(&trunk.user);
    (!user.is_empty() && !line.account.password.is_empty()).then(|| Credentials::new(user, line.account.password.clone()))
}

fn request_of(line: &Line, flow: Flow, expires: u32, instance: Option<&str>) -> OutgoingRequest {
    let user = line.account.trunk.user.as_str();
    let own = NameAddr::new(line.address(user));
    if !line.account.trunk.register {
        return OutgoingRequest::new(Method::Options, line.address(""), own, NameAddr::new(line.address("")));
    }
    let mut request = OutgoingRequest::new(Method::Register, line.address(""), own.clone(), own);
    request.call_id = Some(line.call_id.clone());
    request.headers = registration_headers(line, flow, expires, instance.filter(|_| !line.lacks_outbound));
    request
}

fn registration_headers(line: &Line, flow: Flow, expires: u32, instance: Option<&str>) -> Headers {
    let contact = contact::of(line, flow);
    // What is bound under another address is not ours any more.
    let former = line.bound.clone().filter(|bound| !bound.is_equivalent(&contact));
    let bound = NameAddr::new(contact).with_param("expires", Some(&expires.to_string()));
    let headers = match instance {
        // RFC 5626 section 4.2: the registrar learns which flow this is, and that an older one of ours is dead.
        Some(instance) => {
            let bound = bound.with_param("+sip.instance", Some(&format!("\"<{instance}>\""))).with_param("reg-id", Some("1"));
            Headers::new().with("Contact", bound).with("Supported", "path, outbound")
        }
        None => Headers::new().with("Contact", bound),
    };
    let headers = headers.with("Expires", expires);
    match former {
        Some(former) => headers.with("Contact", NameAddr::new(former).with_param("expires", Some("0"))),
        None => headers,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_spread() {
        assert_eq!(pause(0, 0), Duration::from_secs(1));
        assert_eq!(pause(0, u128::MAX), Duration::from_secs(2));
        assert_eq!(pause(3, 0), Duration::from_secs(8));
        assert_eq!(pause(40, u128::MAX), LONGEST_PAUSE);
    }

    #[test]
    fn a_registration_is_renewed_well_before_its_end() {
        let minute = Duration::from_secs(60);
        assert_eq!(renewal(minute, 0), Duration::from_secs(42));
        assert!(renewal(minute, u128::MAX) <= Duration::from_secs(54));
    }
}
