//! One side of a call.

use std::time::Instant;

use aftertone_exchange::LegId;
use aftertone_media::{Codec, adapt::Adapter, repack::Repacker, rtp::RtpPacket, sdp::PacketTime};

use super::{
    deposit::DepositRun, describe::Agreed, figures::Figures, menu::MenuRun, play::Player, press::Presses, relay::Relay,
    rtp::RtpLeg, stream::SendStream, webrtc::Peer,
};

/// A leg with everything that it holds; dropping it frees its port.
pub(super) struct Leg {
    pub(super) transport: Transport,
    /// The codecs of our open or last offer.
    pub(super) offered: Vec<Codec>,
    /// `None` until there is an answer.
    pub(super) agreed: Option<Agreed>,
    /// What the other end is sent.
    pub(super) stream: SendStream,
    /// How its network is, by its own reports.
    pub(super) adapter: Adapter,
    /// What becomes of that in the record of its call.
    pub(super) figures: Figures,
    pub(super) usage: Usage,
    /// What it hears instead of its bridge.
    pub(super) player: Option<Player>,
    /// Keys that it is still to hear.
    pub(super) presses: Option<Presses>,
    /// The comfort noise after which it said nothing more.
    pub(super) resting: Option<RtpPacket>,
    /// Makes its packets as long as it wants them, once it wants anything else than they are.
    pub(super) repacker: Option<Repacker>,
    /// `o=` of our descriptions (RFC 8866 section 5.2): number and version.
    pub(super) session: (u64, u64),
}

/// How packets travel.
pub(super) enum Transport {
    Rtp(Box<RtpLeg>),
    WebRtc(WebRtcLeg),
}

/// A WebRTC connection with what is known of its other end.
pub(super) struct WebRtcLeg {
    pub(super) peer: Box<Peer>,
    /// The other end's certificate; `None` until it described itself.
    pub(super) fingerprint: Option<String>,
    /// The leg has failed then: because the connection didn't come up, or has ended.
    pub(super) fails_at: Option<Instant>,
}

/// What is done with the packets.
pub(super) enum Usage {
    /// Nothing yet.
    Idle,
    /// They go to another leg.
    Bridged { to: LegId, relay: Relay },
    /// The same, to a leg of another worker; what comes from there is numbered here.
    Across { to: LegId, worker: usize, relay: Relay },
    /// They are a message.
    Deposit(Box<DepositRun>),
    /// They are keys.
    Menu(Box<MenuRun>),
}

impl Usage {
    /// Whether the answering machine or the phone menu has the leg, which nothing else can be done with then.
    pub(super) fn is_mailbox(&self) -> bool {
        match self {
            Self::Deposit(_) | Self::Menu(_) => true,
            Self::Idle | Self::Bridged { .. } | Self::Across { .. } => false,
        }
    }
}

impl Leg {
    /// Whether it hears something else than its bridge.
    pub(super) fn is_busy(&self) -> bool {
        self.player.is_some() || self.presses.is_some()
    }

    /// Sends a packet of its stream, if the other end wants to hear us.
    pub(super) fn send(&mut self, packet: RtpPacket, now: Instant) {
        if !self.agreed.as_ref().is_some_and(|agreed| agreed.direction.sends()) {
            return;
        }
        let Some(repacker) = &mut self.repacker else { return self.transmit(packet, now) };
        let codec = self.agreed.as_ref().and_then(|agreed| agreed.sound_of(packet.payload_type));
        let mut packets = Vec::new();
        repacker.push(packet, codec, &mut packets);
        for packet in packets {
            self.transmit(packet, now);
        }
    }

    /// Both ends are described, or anew.
    pub(super) fn agree(&mut self, agreed: Agreed) {
        match &mut self.repacker {
            Some(repacker) => repacker.set(agreed.packet_time),
            None if agreed.packet_time != PacketTime::default() => {
                self.repacker = Some(Repacker::new(agreed.packet_time, self.stream.next()));
            }
            None => {}
        }
        self.agreed = Some(agreed);
    }

    fn transmit(&mut self, packet: RtpPacket, now: Instant) {
        self.stream.count(packet.payload.len());
        match &mut self.transport {
            Transport::Rtp(rtp) => rtp.send(&packet.to_bytes()),
            Transport::WebRtc(webrtc) => webrtc.peer.send(packet, now),
        }
    }

    /// Whether packets get through now.
    pub(super) fn flows(&self) -> bool {
        match &self.transport {
            Transport::Rtp(_) => self.agreed.is_some(),
            Transport::WebRtc(webrtc) => self.agreed.is_some() && webrtc.peer.is_connected(),
        }
    }
}
