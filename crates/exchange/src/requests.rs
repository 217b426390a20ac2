//! Requests outside calls: REGISTER, SUBSCRIBE, OPTIONS. MESSAGE is in `pages`.

use std::time::{Duration, Instant};

use aftertone_model::{Now, SubscriberId};
use aftertone_sip::{
    Body, Flow, Headers, IncomingId, Method, NameAddr, OutgoingRequest, Request, ResponseParts, SubscriptionId,
    SubscriptionState, Transport, Uri, dialog_info,
    mwi::{self, MessageSummary},
};

use crate::{
    Event, Exchange, MessageCounts,
    identity::{Identity, Unproven, is_ours},
    pages,
    registrar::Binding,
    timers::Timer,
    trunks::{LineId, credentials},
};

/// What we understand from everybody (RFC 3261 section 20.5). MESSAGE is taken where a device of the called person takes it.
pub(crate) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, SUBSCRIBE, NOTIFY, INFO, UPDATE, PRACK, REFER";

/// How long a new subscriber to the lamp waits for counts that we don't know yet.
const COUNTS_WAIT: Duration = Duration::from_secs(1);

/// Somebody's lamp.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lamp {
    pub(crate) mailbox: SubscriberId,
    /// Whose; `None`: a believed peer's.
    identity: Option<Identity>,
    /// Its first NOTIFY is still owed.
    owed: bool,
}

impl Exchange {
    pub(crate) fn on_request(&mut self, id: IncomingId, request: &Request, flow: Flow, now: Now) {
        if let Err(refusal) = self.limited(flow, now.mono) {
            return self.ua.respond(id, refusal, now.mono);
        }
        let response = match request.method {
            Method::Register => self.register(request, flow, now),
            Method::Subscribe => match self.subscribe(id, request, flow, now) {
                Ok(()) => return,
                Err(refusal) => refusal,
            },
            Method::Message => match self.page(id, request, flow, now) {
                Ok(()) => return,
                Err(refusal) => refusal,
            },
            // The same answer for everybody, so it tells nothing about who exists.
            Method::Options => {
                ResponseParts::new(200).with("Allow", format!("{ALLOW}, MESSAGE")).with("Accept", "application/sdp")
            }
            // We hold no subscription (RFC 6665 section 4.1.3).
            Method::Notify => ResponseParts::new(481),
            Method::Invite
            | Method::Ack
            | Method::Cancel
            | Method::Bye
            | Method::Info
            | Method::Update
            | Method::Prack
            | Method::Refer
            | Method::Publish
            | Method::Other(_) => ResponseParts::new(405).with("Allow", ALLOW),
        };
        self.ua.respond(id, response, now.mono);
    }

    fn register(&mut self, request: &Request, flow: Flow, now: Now) -> ResponseParts {
        let identity = match self.identify(request, flow, now.mono) {
            Ok(identity) => identity,
            Err(unproven) => return challenge(unproven),
        };
        if !self.may_act_as(identity, request, flow) {
            return ResponseParts::new(403);
        }
        self.events(Event::DeviceSeen(identity.person, identity.device));
        match self.update_bindings(identity, request, flow, now) {
            Ok(changed) => {
                if changed {
                    self.events(Event::BindingsChanged(identity.person));
                }
                if identity.is_phone {
                    self.events(Event::BindingsToSave(identity.person));
                }
                self.registration(identity.person, request, now.mono)
            }
            Err(refusal) => refusal,
        }
    }

    /// Whether both To and From are this person's.
    fn may_act_as(&self, identity: Identity, request: &Request, flow: Flow) -> bool {
        let is_theirs = |address: NameAddr| self.person_at(&address.uri, flow) == Some(identity.person);
        request.headers.to().is_ok_and(is_theirs) && request.headers.from().is_ok_and(is_theirs)
    }

    /// RFC 3261 section 10.3, steps 6 and 7. `*` ends this device's bindings and leaves the person's other devices alone.
    fn update_bindings(&mut self, identity: Identity, request: &Request, flow: Flow, now: Now) -> Result<bool, ResponseParts> {
        let owner = identity.person;
        let headers = &request.headers;
        if headers.is_contact_star() {
            if headers.expires() != Some(0) {
                return Err(ResponseParts::new(400));
            }
            let is_known = |old: &Binding| {
                old.device == identity.device
                    && request.headers.call_id() == Ok(old.call_id.as_str())
                    && request.headers.cseq().is_ok_and(|cseq| cseq.number <= old.cseq)
            };
            if self.bindings.of(owner).iter().any(is_known) {
                return Err(ResponseParts::new(500));
            }
            return Ok(self.bindings.remove(owner, |binding| binding.device == identity.device));
        }
        let contacts: Vec<_> = headers.contacts().into_iter().filter(|contact| contact.uri.is_sip()).collect();
        let mut wanted = Vec::new();
        for contact in contacts {
            let expires = self.granted(contact.expires().or(headers.expires()))?;
            wanted.push((self.binding(identity, &contact, request, flow, expires, now), expires));
        }
        self.check_bindings(owner, &wanted)?;
        let mut changed = false;
        for (binding, expires) in wanted {
            if expires.is_zero() {
                changed |= self.bindings.remove(owner, |old| old.contact.is_equivalent(&binding.contact));
            } else {
                changed |= self.bindings.put(owner, binding);
            }
        }
        Ok(changed)
    }

    /// No request that is not newer than what is known (RFC 3261 section 10.3, step 7), and no more bindings than allowed; all or
    /// nothing.
    fn check_bindings(&self, owner: SubscriberId, wanted: &[(Binding, Duration)]) -> Result<(), ResponseParts> {
        let known = self.bindings.of(owner);
        let is_old = |new: &Binding| {
            let is_of_one = |old: &Binding| old.contact.is_equivalent(&new.contact) && old.reg_id == new.reg_id;
            known.iter().any(|old| is_of_one(old) && old.call_id == new.call_id && old.cseq >= new.cseq)
        };
        if wanted.iter().any(|(new, _)| is_old(new)) {
            return Err(ResponseParts::new(500));
        }
        let is_new = |new: &Binding| !known.iter().any(|old| old.contact.is_equivalent(&new.contact) || old.device == new.device);
        let added = wanted.iter().filter(|(new, expires)| !expires.is_zero() && is_new(new)).count();
        if known.len() + added > self.config.max_bindings { Err(ResponseParts::new(403)) } else { Ok(()) }
    }

    /// Zero ends a binding; what is too short is refused, what is too long is shortened.
    fn granted(&self, asked: Option<u32>) -> Result<Duration, ResponseParts> {
        let config = &self.config;
        let asked = asked.map_or(config.default_expires, |seconds| Duration::from_secs(seconds.into()));
        if !asked.is_zero() && asked < config.min_expires {
            return Err(ResponseParts::new(423).with("Min-Expires", config.min_expires.as_secs()));
        }
        Ok(asked.min(config.max_expires))
    }

    fn binding(&self, of: Identity, contact: &NameAddr, request: &Request, flow: Flow, expires: Duration, now: Now) -> Binding {
        let path = request.headers.list("Path").into_iter().map(str::to_owned).collect::<Vec<_>>();
        Binding {
            device: of.device,
            is_phone: of.is_phone,
            contact: contact.uri.clone(),
            flow: if path.is_empty() { way_to(&contact.uri, flow) } else { flow },
            instance: contact.params.get("+sip.instance").map(str::to_owned),
            reg_id: contact.params.get("reg-id").and_then(|id| id.parse().ok()),
            path,
            takes_texts: pages::takes_texts(contact, &request.headers),
            call_id: request.headers.call_id().unwrap_or_default().to_owned(),
            cseq: request.headers.cseq().map_or(0, |cseq| cseq.number),
            expires_at: now.mono + expires,
        }
    }

    fn registration(&self, owner: SubscriberId, request: &Request, now: Instant) -> ResponseParts {
        let mut response = ResponseParts::new(200);
        // RFC 3327 section 5.3.
        for path in request.headers.list("Path") {
            response = response.with("Path", path);
        }
        // RFC 5626 section 6: the phone learns that several flows of it are kept apart.
        let has_flows = request.headers.contacts().iter().any(|contact| contact.params.contains("reg-id"));
        if has_flows && request.headers.lists("Supported", "outbound") {
            response = response.with("Require", "outbound");
        }
        self.bindings.of(owner).iter().fold(response, |response, binding| {
            let left = binding.expires_at.saturating_duration_since(now).as_secs().to_string();
            let mut contact = NameAddr::new(binding.contact.clone()).with_param("expires", Some(&left));
            // By these a phone knows which of the flows are its own (RFC 5626 section 4.2).
            if let Some(instance) = &binding.instance {
                contact = contact.with_param("+sip.instance", Some(&format!("\"{instance}\"")));
            }
            if let Some(reg_id) = binding.reg_id {
                contact = contact.with_param("reg-id", Some(&reg_id.to_string()));
            }
            response.with("Contact", contact)
        })
    }

    fn subscribe(&mut self, id: IncomingId, request: &Request, flow: Flow, now: Now) -> Result<(), ResponseParts> {
        match request.headers.event().as_deref() {
            Some(mwi::EVENT) => self.want_lamp(id, request, flow, now),
            Some(dialog_info::EVENT) => self.watch(id, request, flow, now),
            Some(_) | None => {
                Err(ResponseParts::new(489).with("Allow-Events", format!("{}, {}", mwi::EVENT, dialog_info::EVENT)))
            }
        }
    }

    /// In seconds; what is too long is shortened.
    pub(crate) fn subscribed_for(&self, request: &Request) -> u32 {
        let asked = Duration::from_secs(request.headers.expires().unwrap_or(3600).into());
        u32::try_from(asked.min(self.config.max_expires).as_secs()).unwrap_or(u32::MAX)
    }

    /// RFC 3842: a person's own lamp, and nobody else's.
    fn want_lamp(&mut self, id: IncomingId, request: &Request, flow: Flow, now: Now) -> Result<(), ResponseParts> {
        let (mailbox, identity, line) = self.lamp_owner(request, flow, now)?;
        let expires = self.subscribed_for(request);
        let contact = line.map_or_else(|| contact_of(flow, "mwi"), |line| self.contact_in_calls(Some(line), flow));
        let Some(subscription) = self.ua.accept_subscription(id, contact, expires, now.mono) else { return Ok(()) };
        self.lamps.insert(subscription, Lamp { mailbox, identity, owed: true });
        self.events(Event::MessageWaitingWanted(mailbox));
        if self.counts.contains_key(&mailbox) {
            self.light(subscription, now);
        } else {
            self.timers.set(now.mono + COUNTS_WAIT, Timer::Lamp(subscription));
        }
        Ok(())
    }

    /// Whose lamp is asked for: a person's own; anybody's by a peer that is believed.
    fn lamp_owner(
        &mut self,
        request: &Request,
        flow: Flow,
        now: Now,
    ) -> Result<(SubscriberId, Option<Identity>, Option<LineId>), ResponseParts> {
        let has_proof = request.headers.contains("Authorization") || request.headers.contains("Proxy-Authorization");
        let is_device = flow.connection.is_some_and(|id| matches!(self.connections.get(&id), Some(Some(_))));
        let line = self.line_of(&request.uri, flow, request.headers.from().is_ok_and(|from| self.is_local(&from.uri, flow)));
        if !has_proof && !is_device && (line.is_some() || self.is_trusted(flow)) {
            let of_line = || self.trunk_number(self.lines.get(&line?)?, &request.uri.user()?);
            let mailbox = self.person_at(&request.uri, flow).or_else(of_line).ok_or(ResponseParts::new(404))?;
            return Ok((mailbox, None, line));
        }
        let identity = self.identify(request, flow, now.mono).map_err(challenge)?;
        if !self.may_act_as(identity, request, flow) {
            return Err(ResponseParts::new(403));
        }
        Ok((identity.person, Some(identity), None))
    }

    /// Tells the peers of trunks of a person's messages who did not ask (RFC 3842 section 4.1).
    fn light_trunks(&mut self, mailbox: SubscriberId, now: Now) {
        for id in self.lines.keys().copied().collect::<Vec<_>>() {
            self.light_trunk(id, Some(mailbox), now);
        }
    }

    /// The lamps of a trunk's people, or of one of them.
    pub(crate) fn light_trunk(&mut self, id: LineId, only: Option<SubscriberId>, now: Now) {
        let Some((line, flow)) = self.lines.get(&id).and_then(|line| Some((line, line.flow.filter(|_| line.is_up)?))) else {
            return;
        };
        let trunk = &line.account.trunk;
        let numbers = trunk.numbers.iter().filter(|_| trunk.lamps).filter_map(|(number, name)| {
            let owner = self.directory.find(name)?.subscriber.id;
            let counts = self.counts.get(&owner).filter(|_| only.is_none_or(|only| only == owner))?;
            let mut request = OutgoingRequest::new(
                Method::Notify,
                line.address(number),
                NameAddr::new(line.address(&trunk.user)),
                NameAddr::new(line.address(number)),
            );
            let contact = line.contact_over(flow);
            request.headers = Headers::new().with("Event", mwi::EVENT).with("Contact", contact);
            line.service_route.iter().for_each(|route| request.headers.push("Route", route));
            request.headers.push("Subscription-State", "terminated");
            request.body = Some(Body::new(mwi::CONTENT_TYPE, summary(*counts).to_body()));
            Some((request, credentials(line)))
        });
        for (request, credentials) in numbers.collect::<Vec<_>>() {
            self.ua.request(request, flow, credentials, now.mono);
        }
    }

    pub(crate) fn set_counts(&mut self, mailbox: SubscriberId, counts: MessageCounts, now: Now) {
        let unchanged = self.counts.insert(mailbox, counts) == Some(counts);
        let of_mailbox = self.lamps.iter().filter(|(_, lamp)| lamp.mailbox == mailbox && (lamp.owed || !unchanged));
        let due: Vec<_> = of_mailbox.map(|(subscription, _)| *subscription).collect();
        for subscription in due {
            self.light(subscription, now);
        }
        if !unchanged {
            self.light_trunks(mailbox, now);
        }
    }

    /// A subscriber who still waits for a first NOTIFY gets one without counts (RFC 6665 section 4.2.1.2).
    pub(crate) fn lamp_is_due(&mut self, subscription: SubscriptionId, now: Now) {
        if self.lamps.get(&subscription).is_some_and(|lamp| lamp.owed) {
            self.light(subscription, now);
        }
    }

    /// Ends the subscriptions of people and phones that are gone.
    pub(crate) fn drop_unknown_lamps(&mut self, now: Now) {
        let holds = |lamp: &Lamp| {
            self.directory.person(lamp.mailbox).is_some() && lamp.identity.is_none_or(|identity| self.still_knows(identity))
        };
        let gone: Vec<_> = self.lamps.iter().filter(|(_, lamp)| !holds(lamp)).map(|(id, _)| *id).collect();
        for subscription in gone {
            self.lamps.remove(&subscription);
            self.ua.terminate_subscription(subscription, "noresource", now.mono);
        }
        self.counts.retain(|mailbox, _| self.directory.person(*mailbox).is_some());
    }

    fn light(&mut self, subscription: SubscriptionId, now: Now) {
        let Some(lamp) = self.lamps.get_mut(&subscription) else { return };
        lamp.owed = false;
        let body = self.counts.get(&lamp.mailbox).map(|counts| Body::new(mwi::CONTENT_TYPE, summary(*counts).to_body()));
        self.ua.notify(subscription, SubscriptionState::Active, body, now.mono);
    }
}

fn summary(counts: MessageCounts) -> MessageSummary {
    MessageSummary { waiting: counts.new > 0, new: counts.new, old: counts.old, ..MessageSummary::default() }
}

pub(crate) fn challenge(unproven: Unproven) -> ResponseParts {
    let mut response = ResponseParts::new(401);
    response.headers = unproven.0;
    response
}

/// Where we can be reached in a dialog over this flow.
pub(crate) fn contact_of(flow: Flow, user: &str) -> NameAddr {
    let uri = Uri::sip(user, &flow.local.ip().to_canonical().to_string()).with_port(flow.local.port());
    NameAddr::new(match flow.transport {
        Transport::Udp => uri,
        Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => {
            uri.with_param("transport", Some(flow.transport.uri_name()))
        }
    })
}

/// Requests go back over a connection, and over UDP to the address in the contact; but only if that is on the host that
/// registered: else there is a NAT in between, or somebody names a victim.
fn way_to(contact: &Uri, flow: Flow) -> Flow {
    let over_udp =
        flow.transport == Transport::Udp && contact.param("transport").is_none_or(|name| name.eq_ignore_ascii_case("udp"));
    match contact.socket_addr(Transport::Udp.default_port()) {
        Some(address) if over_udp && address.ip().to_canonical() == flow.remote.ip().to_canonical() => {
            let mut remote = flow.remote;
            remote.set_port(address.port());
            Flow { remote, ..flow }
        }
        Some(_) | None => flow,
    }
}

/// The headers of every message of a call to or from a device.
pub(crate) fn call_headers(call: aftertone_model::CallId) -> Headers {
    Headers::new().with(crate::CALL_HEADER, call)
}

impl Exchange {
    /// Whether the Request-URI or an address is of our domain.
    pub(crate) fn is_local(&self, uri: &Uri, flow: Flow) -> bool {
        is_ours(&self.config, uri, flow) || uri.host_ip().is_some_and(|ip| self.is_seen_as(ip.to_canonical()))
    }
}
