//! What is measured of a leg while it lives, for the record of its call.

use std::time::{Duration, Instant, SystemTime};

use aftertone_exchange::LegFigures;
use aftertone_media::{
    Codec,
    quality::{Reception, Totals},
    rtcp::Block,
    rtp::RtpPacket,
};
use aftertone_model::StreamFigures;

use super::{
    describe::Meaning,
    leg::{Leg, Transport},
};

/// Of one leg, from its beginning on.
#[derive(Debug, Default)]
pub(super) struct Figures {
    reception: Reception,
    /// What the other end said last of what it is sent.
    told: Option<Block>,
    /// The sum of all round trips, and how many they are.
    round_trips: (Duration, u32),
}

impl Figures {
    /// A packet of the other end.
    pub(super) fn heard(&mut self, packet: &RtpPacket, meaning: Meaning, rate: u32, now: Instant) {
        match meaning {
            Meaning::Sound(_) => self.reception.receive(packet, rate, now),
            Meaning::Event | Meaning::Comfort => self.reception.count(packet, now),
        }
    }

    /// The other end says how our stream arrives.
    pub(super) fn told(&mut self, block: &Block) {
        self.told = Some(*block);
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        if let Some(round_trip) = block.round_trip(wall) {
            let (sum, count) = self.round_trips;
            self.round_trips = (sum.saturating_add(round_trip), count.saturating_add(1));
        }
    }

    fn round_trip(&self) -> Option<Duration> {
        self.round_trips.0.checked_div(self.round_trips.1)
    }

    fn stream(&self, codec: Codec, totals: Totals) -> StreamFigures {
        let mos_centi = (totals.opinion(codec, self.round_trip()) * 100.0).round() as u16;
        let jitter_ms = u32::try_from(totals.jitter.as_millis()).unwrap_or(u32::MAX);
        StreamFigures { packets: totals.received, lost: totals.lost, jitter_ms, mos_centi }
    }

    /// Of `sent` packets of ours, what the other end has said to have had.
    fn arrived_there(&self, codec: Codec, sent: u32) -> Option<StreamFigures> {
        let block = self.told?;
        Some(self.stream(codec, Totals::reported(&block, u64::from(sent), codec.clock_rate())))
    }
}

impl Leg {
    /// What was measured of it; `None` where nothing was agreed on.
    pub(super) fn measured(&self) -> Option<LegFigures> {
        let codec = self.agreed.as_ref()?.codec;
        let encrypted = match &self.transport {
            Transport::Rtp(rtp) => rtp.is_encrypted(),
            Transport::WebRtc(_) => true,
        };
        let sent = self.stream.sent_so_far().map_or(0, |(packets, _)| packets);
        let round_trip_ms = self.figures.round_trip().map(|time| u32::try_from(time.as_millis()).unwrap_or(u32::MAX));
        Some(LegFigures {
            codec,
            encrypted,
            inbound: self.figures.stream(codec, self.figures.reception.totals()),
            outbound: self.figures.arrived_there(codec, sent),
            round_trip_ms,
        })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// A packet of G.711 each 20 ms, of which every tenth is lost.
    fn lossy() -> Figures {
        let (start, mut figures) = (Instant::now(), Figures::default());
        for n in (0..500u16).filter(|n| n % 10 != 5) {
            let now = start + Duration::from_millis(u64::from(n) * 20);
            let packet = RtpPacket {
                marker: false,
                payload_type: 0,
                sequence: n,
                timestamp: u32::from(n) * 160,
                ssrc: 1,
                payload: Bytes::new(),
            };
            figures.heard(&packet, Meaning::Sound(Codec::Pcmu), 8_000, now);
        }
        figures
    }

    #[test]
    fn what_was_lost_costs_what_the_model_says() {
        let figures = lossy();
        let inbound = figures.stream(Codec::Pcmu, figures.reception.totals());
        assert_eq!((inbound.packets, inbound.lost, inbound.jitter_ms), (450, 50, 0));
        // G.107: 10 % of G.711 with concealment costs about 27 of R, which leaves 66.
        assert!((320..=350).contains(&inbound.mos_centi), "{inbound:?}");
        assert_eq!(figures.arrived_there(Codec::Pcmu, 500), None, "it sent no report");
    }

    #[test]
    fn who_was_never_heard_is_as_bad_as_it_gets() {
        let figures = Figures::default();
        let silent = figures.stream(Codec::Opus, figures.reception.totals());
        assert_eq!(silent, StreamFigures { packets: 0, lost: 0, jitter_ms: 0, mos_centi: 100 });
    }

    #[test]
    fn what_the_other_end_had_is_by_its_own_report() {
        let mut figures = Figures::default();
        figures.told(&Block { lost: -2, jitter: 80, ..Block::default() });
        let all = figures.arrived_there(Codec::Pcmu, 500);
        assert_eq!(all.map(|all| (all.packets, all.lost, all.jitter_ms)), Some((500, 0, 10)));
        figures.told(&Block { lost: 25, jitter: 0, ..Block::default() });
        let fewer = figures.arrived_there(Codec::Pcmu, 500);
        assert_eq!(fewer.map(|fewer| (fewer.packets, fewer.lost, fewer.loss_permille())), Some((475, 25, 50)));
        assert_eq!(figures.round_trip(), None, "none of ours had come there");
    }
}
