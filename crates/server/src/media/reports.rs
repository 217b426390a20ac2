//! Reports of a plain RTP leg, and the end of legs that fell silent.

use std::{
    net::SocketAddr,
    time::{Duration, Instant, SystemTime},
};

use aftertone_exchange::LegId;
use aftertone_media::{
    Codec,
    rtcp::{self, Reception, Sent},
    rtp::RtpPacket,
};

use super::{
    MediaEvent,
    leg::{Leg, Transport, Usage},
    state::{State, Timer},
};

/// Between two reports (RFC 3550 section 6.2: five seconds at least).
const INTERVAL: Duration = Duration::from_secs(5);
/// A bridged leg that should speak and of which neither sound nor a report came for so long is gone: its phone lost its
/// network or its power, and nobody will hang up.
const SILENT_FOR: Duration = Duration::from_secs(60);

/// What the reports tell.
pub(super) struct Reports {
    codec: Option<Codec>,
    reception: Reception,
    last_heard: Instant,
    given_up: bool,
}

impl Reports {
    pub(super) fn new(now: Instant) -> Self {
        Self { codec: None, reception: Reception::new(8_000), last_heard: now, given_up: false }
    }

    /// Something came of the other end.
    pub(super) fn is_alive(&mut self, now: Instant) {
        self.last_heard = now;
    }

    /// A packet of the other end.
    pub(super) fn heard(&mut self, packet: &RtpPacket, codec: Codec, now: Instant) {
        if self.codec != Some(codec) {
            (self.codec, self.reception) = (Some(codec), Reception::new(codec.clock_rate()));
        }
        self.last_heard = now;
        self.reception.handle_packet(packet, now);
    }
}

impl State {
    /// Reports, and looks whether the other end is still there; then again.
    pub(super) fn report(&mut self, id: LegId, now: Instant) {
        self.begin_reports(id, now);
        let Some(Leg { transport: Transport::Rtp(rtp), agreed: Some(agreed), stream, usage, .. }) = self.legs.get_mut(&id) else {
            return;
        };
        let rate = agreed.codec.clock_rate();
        let sent =
            stream.sent_so_far().map(|(packets, octets)| Sent { timestamp: stream.timestamp_at(now, rate), packets, octets });
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let block = rtp.reports.reception.report();
        rtp.send_report(&rtcp::compound(stream.ssrc(), sent, block, &format!("{:08x}", stream.ssrc()), wall));
        let waits = matches!(usage, Usage::Bridged { .. } | Usage::Across { .. }) && agreed.direction.receives();
        if !waits {
            rtp.reports.last_heard = now;
        }
        if now >= rtp.reports.last_heard + SILENT_FOR && !std::mem::replace(&mut rtp.reports.given_up, true) {
            tracing::info!(leg = id.0, "nothing came of a leg for a minute");
            self.shared.report(MediaEvent::Failed { leg: id });
        }
    }

    /// A leg reports from now on.
    pub(super) fn begin_reports(&mut self, id: LegId, now: Instant) {
        self.set_timer(Timer::Report(id), Some(now + INTERVAL));
    }

    /// A datagram on a leg's port for reports.
    pub(super) fn handle_report(&mut self, id: LegId, from: SocketAddr, datagram: &[u8], now: Instant) {
        let Some(Leg { transport: Transport::Rtp(rtp), stream, .. }) = self.legs.get_mut(&id) else { return };
        let Some(report) = rtp.open_report(from, datagram) else { return };
        let blocks = rtcp::blocks(&report);
        rtp.reports.last_heard = now;
        let Some(block) = blocks.iter().find(|block| block.ssrc == stream.ssrc()) else { return };
        let block = *block;
        self.adapt(id, &block, now);
    }

    /// A leg's other end says how our stream arrives: who encodes for it follows.
    pub(super) fn adapt(&mut self, id: LegId, block: &rtcp::Block, now: Instant) {
        let Some(Leg { adapter, agreed: Some(agreed), figures, usage, .. }) = self.legs.get_mut(&id) else { return };
        figures.told(block);
        let Some(plan) = adapter.handle_report(block, agreed.codec.clock_rate(), now) else { return };
        tracing::debug!(leg = id.0, ?plan, "a leg's network is another one");
        match usage {
            Usage::Across { relay, .. } => relay.adapt(plan),
            Usage::Bridged { to, .. } => {
                let other = *to;
                if let Some(Leg { usage: Usage::Bridged { relay, .. }, .. }) = self.legs.get_mut(&other) {
                    relay.adapt(plan);
                }
            }
            Usage::Menu(run) => run.adapt(plan),
            // The greeting is encoded already, and a leg of nobody hears nothing.
            Usage::Idle | Usage::Deposit(_) => {}
        }
    }
}
