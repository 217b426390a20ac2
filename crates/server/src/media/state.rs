//! Everything on one worker: its legs, their deadlines, and what becomes of a packet.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    mem,
    net::SocketAddr,
    rc::{Rc, Weak},
    sync::Arc,
    time::{Duration, Instant},
};

use aftertone_exchange::{DepositOrder, LegId, MediaCommand, MediaFailure, MenuOrder, Towards};
use aftertone_media::rtp::{RtpPacket, is_rtcp};
use tokio::sync::Notify;

use super::{
    MediaEvent, Shared, address,
    deposit::{self, DepositRun, Effects},
    describe::Meaning,
    leg::{Leg, Transport, Usage},
    menu::{Keys, MenuEffects, MenuRun},
    relay::Relay,
    timers::Timers,
    webrtc::{Demultiplexer, PeerEvent, Sockets, Source},
    worker::Crossing,
};

/// A WebRTC connection that is described on both ends and not up after this time has failed.
pub(super) const CONNECT_WITHIN: Duration = Duration::from_secs(15);

/// Somebody who is silent on purpose is heard to be silent so often.
const REST: Duration = Duration::from_secs(1);

/// Who closes the connection usually hangs up too; that may take a moment longer and says more than a failure.
const GOODBYE_WITHIN: Duration = Duration::from_secs(2);

/// A leg's deadlines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    Deposit(LegId),
    Menu(LegId),
    Play(LegId),
    Press(LegId),
    Report(LegId),
    Rest(LegId),
    WebRtc(LegId),
}

/// What one worker owns.
pub(super) struct State {
    pub(super) shared: Arc<Shared>,
    pub(super) sockets: Sockets,
    pub(super) legs: BTreeMap<LegId, Leg>,
    pub(super) demultiplexer: Demultiplexer,
    /// Itself, for the tasks that it starts.
    pub(super) this: Weak<RefCell<State>>,
    timers: Timers<Timer>,
    wake: Rc<Notify>,
}

impl State {
    pub(super) fn new(shared: Arc<Shared>, sockets: Sockets, wake: Rc<Notify>, this: Weak<RefCell<State>>) -> Self {
        let (legs, demultiplexer, timers) = (BTreeMap::new(), Demultiplexer::default(), Timers::new());
        Self { shared, sockets, legs, demultiplexer, this, timers, wake }
    }

    pub(super) fn handle_command(&mut self, command: MediaCommand, now: Instant) {
        match command {
            MediaCommand::Offer { request, leg, media, peer, prefer, call: _ } => {
                let result = self.offer(leg, media, peer, &prefer, now);
                self.described(leg, now);
                self.shared.report(MediaEvent::Described { request, result });
            }
            MediaCommand::Answer { request, leg, media, peer, offer, prefer, call: _ } => {
                let result = self.answer(leg, media, peer, &offer, &prefer, now);
                self.described(leg, now);
                self.shared.report(MediaEvent::Described { request, result });
            }
            MediaCommand::Apply { request, leg, answer } => {
                let result = self.apply(leg, &answer, now);
                self.described(leg, now);
                self.shared.report(MediaEvent::Applied { request, result });
            }
            MediaCommand::Bridge { a, b } => self.bridge(a, b),
            MediaCommand::Deposit { leg, deposit } => self.deposit(leg, *deposit, now),
            MediaCommand::Menu { leg, menu } => self.menu(leg, menu, None, now),
            MediaCommand::Dialled { leg, taken } => self.dialled(leg, taken, now),
            MediaCommand::Play { leg, sound, repeat } => self.play(leg, sound, repeat, now),
            MediaCommand::StopPlaying { leg } => self.stop_playing(leg),
            MediaCommand::Press { leg, digit } => self.press(leg, digit, now),
            MediaCommand::Close { leg } => self.close(leg, false, now),
        }
    }

    /// Ends everything: running deposits were interrupted.
    pub(super) fn close_all(&mut self, now: Instant) {
        let legs: Vec<_> = self.legs.keys().copied().collect();
        for leg in legs {
            self.close(leg, true, now);
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.timers.next()
    }

    pub(super) fn handle_deadlines(&mut self, now: Instant) {
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                Timer::Deposit(leg) => self.serve_deposit(leg, now),
                Timer::Menu(leg) => self.serve_menu(leg, now),
                Timer::Play(leg) => self.serve_player(leg, now),
                Timer::Press(leg) => self.serve_presses(leg, now),
                Timer::Report(leg) => self.report(leg, now),
                Timer::Rest(leg) => self.rest(leg, now),
                Timer::WebRtc(leg) => self.serve_webrtc(leg, now),
            }
        }
    }

    pub(super) fn handle_rtp_datagram(&mut self, id: LegId, from: SocketAddr, datagram: &[u8], now: Instant) {
        if is_rtcp(datagram) {
            return;
        }
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let (Transport::Rtp(rtp), Some(agreed)) = (&mut leg.transport, &leg.agreed) else { return };
        let Some(packet) = rtp.open(datagram).and_then(|packet| RtpPacket::parse(&packet).ok()) else { return };
        if agreed.meaning(packet.payload_type).is_none() {
            // A codec of before: nothing to hear, but somebody is there.
            if rtp.latch.is_source(from) {
                rtp.reports.is_alive(now);
            }
        } else if rtp.accept(from, packet.ssrc, now) {
            rtp.reports.heard(&packet, agreed.codec, now);
            self.handle_packet(id, &packet, now);
        }
    }

    /// Whether it is of a call.
    pub(super) fn handle_webrtc_datagram(&mut self, from: Source, datagram: &[u8], now: Instant) -> bool {
        let Some(id) = self.demultiplexer.find(from, datagram) else { return false };
        if let Some(Leg { transport: Transport::WebRtc(webrtc), .. }) = self.legs.get_mut(&id) {
            webrtc.peer.handle_datagram(from, datagram, now);
            self.settle(id, now);
        }
        true
    }

    /// What a leg's other end said: to the other leg, or into the message.
    fn handle_packet(&mut self, id: LegId, packet: &RtpPacket, now: Instant) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let agreed = leg.agreed.as_ref().map(|agreed| (agreed.meaning(packet.payload_type), agreed.codec.clock_rate()));
        let (meaning, rate) = agreed.unwrap_or_default();
        if let Some(meaning) = meaning {
            leg.figures.heard(packet, meaning, rate, now);
        }
        if meaning == Some(Meaning::Comfort) {
            leg.resting = Some(packet.clone());
            self.set_timer(Timer::Rest(id), Some(now + REST));
        } else if leg.resting.take().is_some() {
            self.set_timer(Timer::Rest(id), None);
        }
        self.pass(id, packet, now);
    }

    /// A leg's other end is still silent on purpose, and the one who listens still hears that.
    fn rest(&mut self, id: LegId, now: Instant) {
        if let Some(packet) = self.legs.get(&id).and_then(|leg| leg.resting.clone()) {
            self.set_timer(Timer::Rest(id), Some(now + REST));
            self.pass(id, &packet, now);
        }
    }

    fn pass(&mut self, id: LegId, packet: &RtpPacket, now: Instant) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let Some(agreed) = leg.agreed.as_ref().filter(|agreed| agreed.direction.receives()) else { return };
        match &mut leg.usage {
            Usage::Idle => {}
            Usage::Deposit(run) => {
                let effects = run.handle_packet(packet, agreed, &mut leg.stream, now);
                self.effect(id, effects, now);
            }
            Usage::Menu(run) => {
                let effects = run.handle_packet(packet, agreed, now);
                self.menu_effect(id, effects, now);
            }
            Usage::Bridged { to, relay } => {
                let (to, mut relay, meaning) = (*to, mem::take(relay), agreed.meaning(packet.payload_type));
                let mut out = Vec::new();
                if let Some(other) = self.legs.get_mut(&to)
                    && !other.is_busy()
                    && let Some(agreed) = &other.agreed
                {
                    relay.pass(packet, meaning, &mut other.stream, agreed, now, &mut out);
                }
                if let Some(Leg { usage, .. }) = self.legs.get_mut(&id) {
                    *usage = Usage::Bridged { to, relay };
                }
                self.send(to, out, now);
            }
            Usage::Across { to, worker, .. } => {
                let (packet, meaning) = (packet.clone(), agreed.meaning(packet.payload_type));
                let way = self.shared.crossings.get().and_then(|ways| ways.get(*worker));
                // A full queue means that the other worker is behind: the packet would be late.
                let _ = way.map(|way| way.try_send(Crossing { from: id, to: *to, packet, meaning }));
            }
        }
    }

    pub(super) fn bridge_across(&mut self, id: LegId, to: LegId, worker: usize) {
        match self.legs.get_mut(&id) {
            Some(leg) if leg.usage.is_mailbox() => tracing::warn!(leg = id.0, "a mailbox is not bridged"),
            Some(leg) => leg.usage = Usage::Across { to, worker, relay: Relay::planned(leg.adapter.plan()) },
            None => tracing::debug!(leg = id.0, "a leg to be bridged is gone"),
        }
    }

    /// A packet from the other worker's leg of a bridge.
    pub(super) fn handle_crossing(&mut self, crossing: &Crossing, now: Instant) {
        let Some(leg) = self.legs.get_mut(&crossing.to) else { return };
        let is_busy = leg.is_busy();
        let (Usage::Across { to, relay, .. }, Some(agreed)) = (&mut leg.usage, &leg.agreed) else { return };
        if is_busy || *to != crossing.from {
            return;
        }
        let mut out = Vec::new();
        relay.pass(&crossing.packet, crossing.meaning, &mut leg.stream, agreed, now, &mut out);
        self.send(crossing.to, out, now);
    }

    pub(super) fn send(&mut self, id: LegId, packets: Vec<RtpPacket>, now: Instant) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        if packets.is_empty() {
            return;
        }
        for packet in packets {
            leg.send(packet, now);
        }
        self.settle(id, now);
    }

    pub(super) fn effect(&mut self, id: LegId, effects: Effects, now: Instant) {
        self.send(id, effects.packets, now);
        if effects.over {
            self.shared.report(MediaEvent::DepositOver { leg: id });
        }
        if effects.menu.is_none() && effects.left.is_none() {
            return self.time_deposit(id, now);
        }
        self.set_timer(Timer::Deposit(id), None);
        if let Some(leg) = self.legs.get_mut(&id) {
            leg.usage = Usage::Idle;
        }
        if let Some((menu, keys)) = effects.menu {
            self.menu(id, menu, Some(keys), now);
        }
        if let Some(digit) = effects.left {
            self.shared.report(MediaEvent::Key { leg: id, digit });
        }
    }

    fn serve_deposit(&mut self, id: LegId, now: Instant) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let flows = leg.flows();
        if let (Usage::Deposit(run), Some(agreed)) = (&mut leg.usage, &leg.agreed) {
            let effects = run.handle_timeout(flows, agreed, &mut leg.stream, now);
            self.effect(id, effects, now);
        }
    }

    fn time_deposit(&mut self, id: LegId, now: Instant) {
        if let Some(Leg { usage: Usage::Deposit(run), .. }) = self.legs.get_mut(&id) {
            let at = run.timeout(now);
            self.set_timer(Timer::Deposit(id), at);
        }
    }

    fn serve_webrtc(&mut self, id: LegId, now: Instant) {
        let Some(Leg { transport: Transport::WebRtc(webrtc), .. }) = self.legs.get_mut(&id) else { return };
        if webrtc.fails_at.is_some_and(|at| at <= now) {
            tracing::info!(leg = id.0, "a WebRTC connection did not come up, or has ended");
            webrtc.fails_at = None;
            self.shared.report(MediaEvent::Failed { leg: id });
        }
        if let Some(Leg { transport: Transport::WebRtc(webrtc), .. }) = self.legs.get_mut(&id) {
            webrtc.peer.handle_timeout(now);
        }
        self.settle(id, now);
    }

    /// Drains a WebRTC connection after every input; nothing to do for plain RTP.
    pub(super) fn settle(&mut self, id: LegId, now: Instant) {
        let Some(Leg { transport: Transport::WebRtc(webrtc), .. }) = self.legs.get_mut(&id) else { return };
        let mut events = Vec::new();
        let next = webrtc.peer.drain(now, &self.sockets, &mut events);
        let at = [next, webrtc.fails_at].into_iter().flatten().min();
        self.set_timer(Timer::WebRtc(id), at);
        for event in events {
            match event {
                PeerEvent::Packet(packet) => self.handle_packet(id, &packet, now),
                PeerEvent::Reported(block) => self.adapt(id, &block, now),
                PeerEvent::Connected => {
                    if let Some(Leg { transport: Transport::WebRtc(webrtc), .. }) = self.legs.get_mut(&id) {
                        webrtc.fails_at = None;
                    }
                    self.serve_deposit(id, now);
                    self.serve_menu(id, now);
                }
                PeerEvent::Failed => {
                    if let Some(Leg { transport: Transport::WebRtc(webrtc), .. }) = self.legs.get_mut(&id) {
                        webrtc.fails_at = Some(now + GOODBYE_WITHIN);
                        self.set_timer(Timer::WebRtc(id), Some(now + GOODBYE_WITHIN));
                    }
                }
            }
        }
    }

    /// After a description: the connection may have something to send.
    fn described(&mut self, id: LegId, now: Instant) {
        self.settle(id, now);
    }

    fn bridge(&mut self, a: LegId, b: LegId) {
        for (id, to) in [(a, b), (b, a)] {
            let plan = self.legs.get(&to).map(|other| other.adapter.plan()).unwrap_or_default();
            match self.legs.get_mut(&id) {
                Some(leg) if leg.usage.is_mailbox() => tracing::warn!(leg = id.0, "a mailbox is not bridged"),
                Some(leg) => leg.usage = Usage::Bridged { to, relay: Relay::planned(plan) },
                None => tracing::debug!(leg = id.0, "a leg to be bridged is gone"),
            }
        }
    }

    fn deposit(&mut self, id: LegId, order: DepositOrder, now: Instant) {
        let Some(leg) = self.legs.get_mut(&id) else { return deposit::give_up(&self.shared, order) };
        let codec = leg.agreed.as_ref().map(|agreed| agreed.codec);
        let run = codec.filter(|_| !leg.usage.is_mailbox());
        let run = run.and_then(|codec| DepositRun::new(order.clone(), codec, Arc::clone(&self.shared)));
        match run {
            Some(run) => {
                leg.usage = Usage::Deposit(Box::new(run));
                self.serve_deposit(id, now);
            }
            None => {
                deposit::give_up(&self.shared, order);
                self.shared.report(MediaEvent::Failed { leg: id });
            }
        }
    }

    fn menu(&mut self, id: LegId, order: MenuOrder, keys: Option<Keys>, now: Instant) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let codec = leg.agreed.as_ref().map(|agreed| agreed.codec).filter(|_| !leg.usage.is_mailbox());
        let run = codec.and_then(|codec| {
            let keys = keys.unwrap_or_else(|| Keys::new(codec));
            MenuRun::new(order, keys, codec, Arc::clone(&self.shared), now)
        });
        match run {
            Some(run) => {
                leg.usage = Usage::Menu(Box::new(run));
                self.serve_menu(id, now);
            }
            None => self.shared.report(MediaEvent::Failed { leg: id }),
        }
    }

    fn serve_menu(&mut self, id: LegId, now: Instant) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let flows = leg.flows();
        if let (Usage::Menu(run), Some(agreed)) = (&mut leg.usage, &leg.agreed) {
            let effects = run.handle_timeout(flows, agreed, &mut leg.stream, now);
            self.menu_effect(id, effects, now);
        }
    }

    pub(super) fn menu_effect(&mut self, id: LegId, effects: MenuEffects, now: Instant) {
        self.send(id, effects.packets, now);
        if effects.over {
            self.shared.report(MediaEvent::DepositOver { leg: id });
        }
        if let Some((owner, number)) = effects.dial {
            self.shared.report(MediaEvent::Dial { leg: id, owner, number });
        }
        if let Some(Leg { usage: Usage::Menu(run), .. }) = self.legs.get_mut(&id) {
            let at = run.timeout(now);
            self.set_timer(Timer::Menu(id), at);
        }
    }

    /// The exchange calls whom the listener wants to talk to, or doesn't.
    fn dialled(&mut self, id: LegId, taken: bool, now: Instant) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let Usage::Menu(run) = &mut leg.usage else { return };
        if taken {
            leg.usage = Usage::Idle;
            self.set_timer(Timer::Menu(id), None);
        } else {
            let effects = run.handle_refused(now);
            self.menu_effect(id, effects, now);
        }
    }

    fn close(&mut self, id: LegId, interrupted: bool, now: Instant) {
        self.read_rest(id, now);
        self.set_timer(Timer::Deposit(id), None);
        self.set_timer(Timer::Menu(id), None);
        self.set_timer(Timer::Play(id), None);
        self.set_timer(Timer::Press(id), None);
        self.set_timer(Timer::Report(id), None);
        self.set_timer(Timer::Rest(id), None);
        self.set_timer(Timer::WebRtc(id), None);
        let Some(mut leg) = self.legs.remove(&id) else {
            return self.shared.report(MediaEvent::Measured { leg: id, figures: None });
        };
        let figures = leg.measured();
        if let Transport::WebRtc(webrtc) = &mut leg.transport {
            self.demultiplexer.remove(id, webrtc.peer.ufrag());
            webrtc.peer.close(&self.sockets);
        }
        match leg.usage {
            Usage::Idle | Usage::Across { .. } => {}
            // What was asked of the store by phone is done all the same.
            Usage::Menu(run) => run.end(now),
            Usage::Deposit(run) => run.end(interrupted, now),
            Usage::Bridged { to, .. } => {
                if let Some(other) = self.legs.get_mut(&to) {
                    other.usage = Usage::Idle;
                }
            }
        }
        self.shared.report(MediaEvent::Measured { leg: id, figures });
    }

    /// A BYE overtakes the last packets of its call, which come by another socket: they belong to the message.
    fn read_rest(&mut self, id: LegId, now: Instant) {
        let unread = match self.legs.get(&id) {
            Some(Leg { transport: Transport::Rtp(rtp), usage, .. }) if usage.is_mailbox() => rtp.unread(),
            Some(_) | None => return,
        };
        for (from, datagram) in unread {
            self.handle_rtp_datagram(id, from, &datagram, now);
        }
    }

    /// A deadline was met so late.
    pub(super) fn note_lateness(&self, late: std::time::Duration) {
        self.shared.lateness.note(late);
    }

    pub(super) fn set_timer(&mut self, timer: Timer, at: Option<Instant>) {
        let before = self.timers.next();
        self.timers.set(timer, at);
        if self.timers.next() < before || before.is_none() {
            self.wake.notify_one();
        }
    }

    /// Our addresses for WebRTC that this peer may reach.
    pub(super) fn webrtc_addresses(&self, peer: Towards) -> Vec<SocketAddr> {
        let mut addresses = vec![address::reachable(self.shared.bind, self.shared.public.get(), peer)];
        if peer.ip.to_canonical().is_loopback() && self.shared.bind.is_unspecified() {
            // A program on this machine may have left loopback out of its own sockets.
            addresses.extend(address::outward());
        }
        addresses.into_iter().map(|address| SocketAddr::new(address, self.sockets.port())).collect()
    }

    pub(super) fn no_such_leg() -> MediaFailure {
        MediaFailure::Failed("the leg is not known".into())
    }
}
