//! How good a call sounds, second by second.

use std::time::{Duration, Instant};

use aftertone_media::{
    Codec,
    adapt::{Adapter, Audience, Plan},
    quality::{Reception, Totals, mean_opinion},
    rtcp::Block,
    rtp::RtpPacket,
    webrtc::Told,
};
use aftertone_model::{CallId, StreamFigures};

/// How often it is looked whether both are heard.
pub(crate) const EVERY: Duration = Duration::from_millis(250);
/// After so many looks it is told how the call sounds, and at once when that is one way only, or not any more.
const LOOKS_TOLD: u32 = 4;
/// Nothing came for so long, though both should speak: the sound goes one way only. Somebody who is silent sends something
/// all the time, or with Opus every 400 ms.
const ONE_WAY: Duration = Duration::from_millis(2_500);
/// What a device adds on either side, about.
const DEVICES: Duration = Duration::from_millis(60);

/// How good a call sounded in the last second.
#[derive(Debug, Clone, PartialEq)]
pub struct CallQuality {
    /// Which call.
    pub call: CallId,
    /// What the other end speaks.
    pub codec: Codec,
    /// How it comes here.
    pub path: MediaPath,
    /// Packets of a thousand that did not come.
    pub loss_permille: u32,
    /// How unevenly they came.
    pub jitter: Duration,
    /// There and back, once it was measured.
    pub round_trip: Option<Duration>,
    /// From the other end's mouth to this one's ear, as far as it is known.
    pub delay: Duration,
    /// What a listener would say: 1 to 4.5 (ITU-T G.107).
    pub mos: f64,
    /// Nothing comes, though something should: the person here hears nobody.
    pub one_way: bool,
    /// What the other end last said of what it is sent.
    pub sent: Option<Sent>,
    /// Nothing of what is said here arrives, by the other end's own reports: nobody hears the person here.
    pub unheard: bool,
}

/// How what is sent arrives (RFC 3550 section 6.4.1). The other end may be a server, with somebody behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Packets of a thousand that did not arrive.
    pub loss_permille: u32,
    /// How unevenly they arrived.
    pub jitter: Duration,
    /// Bits per second that our encoder may spend for it.
    pub bitrate: u32,
}

/// How media come here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaPath {
    /// To the other end's own address, or the server's.
    Direct,
    /// Through a TURN server.
    Relayed,
}

/// How a call sounded, from its answer to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Measured {
    pub(crate) call: CallId,
    /// It went from device to device: the server saw nothing of it.
    pub(crate) direct: bool,
    /// What the other device has said to have had of what was sent here.
    pub(crate) inbound: Option<StreamFigures>,
    /// What came here.
    pub(crate) outbound: StreamFigures,
    pub(crate) round_trip_ms: Option<u32>,
}

/// Watches what comes in a call.
#[derive(Debug)]
pub(crate) struct Watch {
    reception: Reception,
    codec: Codec,
    since: Instant,
    looks: u32,
    /// What was told last.
    was_one_way: bool,
    audience: Audience,
    adapter: Adapter,
    sent: Option<Sent>,
    /// Packets that went out, and what the other end last said of all of them.
    sent_packets: u64,
    block: Option<Block>,
    /// There and back, when it was measured last.
    round_trip: Option<Duration>,
    was_unheard: bool,
    /// The other end should be heard: the call isn't held.
    pub(crate) expects_sound: bool,
}

impl Watch {
    pub(crate) fn new(codec: Codec, expects_sound: bool, now: Instant) -> Self {
        Self {
            reception: Reception::default(),
            codec,
            since: now,
            looks: 0,
            was_one_way: false,
            audience: Audience::default(),
            adapter: Adapter::default(),
            sent: None,
            sent_packets: 0,
            block: None,
            round_trip: None,
            was_unheard: false,
            expects_sound,
        }
    }

    pub(crate) fn receive(&mut self, packet: &RtpPacket, now: Instant) {
        self.reception.receive(packet, self.codec.clock_rate(), now);
    }

    /// A packet goes out.
    pub(crate) fn handle_sent(&mut self) {
        self.audience.handle_sent();
        self.sent_packets += 1;
    }

    /// The other end reports. What our encoder is to do from now on, where that is something else.
    pub(crate) fn handle_report(&mut self, told: Told, now: Instant) -> Option<Plan> {
        self.audience.handle_report(told.as_ref());
        let (block, clock) = (told?, self.codec.clock_rate());
        self.block = Some(block);
        let plan = self.adapter.handle_report(&block, clock, now);
        let jitter = Duration::from_micros(u64::from(block.jitter) * 1_000_000 / u64::from(clock));
        let loss_permille = u32::from(block.fraction_lost) * 1_000 / 256;
        self.sent = Some(Sent { loss_permille, jitter, bitrate: self.adapter.plan().bitrate });
        plan
    }

    fn is_unheard(&self) -> bool {
        self.expects_sound && self.audience.is_unheard()
    }

    /// Looks, every [`EVERY`]; whether it is time to tell.
    pub(crate) fn is_time(&mut self, now: Instant) -> bool {
        self.looks += 1;
        self.looks >= LOOKS_TOLD || self.is_one_way(now) != self.was_one_way || self.is_unheard() != self.was_unheard
    }

    fn is_one_way(&self, now: Instant) -> bool {
        let silent_since = self.reception.last().unwrap_or(self.since);
        self.expects_sound && now.saturating_duration_since(silent_since) >= ONE_WAY
    }

    /// What came since it was told last; `buffer` is what the jitter buffer adds.
    pub(crate) fn look(
        &mut self,
        call: CallId,
        path: MediaPath,
        round_trip: Option<Duration>,
        buffer: Duration,
        now: Instant,
    ) -> CallQuality {
        self.round_trip = round_trip.or(self.round_trip);
        let arrived = self.reception.look();
        let one_way = self.is_one_way(now);
        let unheard = self.is_unheard();
        (self.looks, self.was_one_way, self.was_unheard) = (0, one_way, unheard);
        let delay = round_trip.unwrap_or_default() / 2 + buffer + DEVICES;
        let mos = if one_way { 1.0 } else { mean_opinion(self.codec, arrived.loss_permille, delay) };
        CallQuality {
            call,
            codec: self.codec,
            path,
            loss_permille: arrived.loss_permille,
            jitter: arrived.jitter,
            round_trip,
            delay,
            mos,
            one_way,
            sent: self.sent,
            unheard,
        }
    }

    /// How all of it sounded.
    pub(crate) fn sum_up(&self, call: CallId, direct: bool) -> Measured {
        let rate = self.codec.clock_rate();
        let inbound = self.block.map(|block| self.stream(Totals::reported(&block, self.sent_packets, rate)));
        let round_trip_ms = self.round_trip.map(|time| u32::try_from(time.as_millis()).unwrap_or(u32::MAX));
        Measured { call, direct, inbound, outbound: self.stream(self.reception.totals()), round_trip_ms }
    }

    fn stream(&self, totals: Totals) -> StreamFigures {
        let mos_centi = (totals.opinion(self.codec, self.round_trip) * 100.0).round() as u16;
        let jitter_ms = u32::try_from(totals.jitter.as_millis()).unwrap_or(u32::MAX);
        StreamFigures { packets: totals.received, lost: totals.lost, jitter_ms, mos_centi }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// The other end's report each second tells the highest packet that came: none of ours after the second second.
    #[test]
    fn who_is_not_heard_any_more_is_told_within_three_seconds_of_it() {
        let start = Instant::now();
        let mut watch = Watch::new(Codec::Pcmu, true, start);
        let mut told = Vec::new();
        for n in 0..500u32 {
            let now = start + Duration::from_millis(u64::from(n) * 20);
            let sequence = u16::try_from(n).expect("a number");
            let (marker, payload_type, timestamp, ssrc) = (false, 0, n * 160, 1);
            watch.receive(&RtpPacket { marker, payload_type, sequence, timestamp, ssrc, payload: Bytes::new() }, now);
            watch.handle_sent();
            if n % 50 == 49 {
                let arrived = if (100..350).contains(&n) { 100 } else { n };
                let block = Block { ssrc: 2, fraction_lost: 0, lost: 0, highest: arrived, jitter: 80, ..Block::default() };
                assert_eq!(watch.handle_report(Some(block), now), None, "G.711 has nothing to adapt, and nothing is wrong");
            }
            if (n % 25 == 12 || n % 25 == 24) && watch.is_time(now) {
                let quality = watch.look(CallId::from_random(1), MediaPath::Direct, None, Duration::ZERO, now);
                assert!(!quality.one_way, "they are heard all the time");
                told.push((quality.unheard, n * 20));
            }
        }
        let changes: Vec<_> = told.chunk_by(|a, b| a.0 == b.0).map(|same| (same[0].0, same[0].1)).collect();
        assert_eq!(changes.iter().map(|change| change.0).collect::<Vec<_>>(), [false, true, false]);
        assert!((3_000..=5_000).contains(&changes[1].1) && changes[2].1 <= 8_000, "{changes:?}");
        assert_eq!(
            watch.sent.map(|sent| (sent.loss_permille, sent.jitter)),
            Some((0, Duration::from_millis(10))),
            "80 ticks of 8 kHz"
        );
        let sum = watch.sum_up(CallId::from_random(1), true);
        assert_eq!((sum.outbound.packets, sum.outbound.lost), (500, 0));
        assert_eq!(sum.inbound.map(|there| (there.packets, there.lost, there.jitter_ms)), Some((500, 0, 10)));
    }

    #[test]
    fn sound_that_goes_one_way_is_told_within_three_seconds_and_no_longer_than_it_lasts() {
        let start = Instant::now();
        let mut watch = Watch::new(Codec::Pcmu, true, start);
        let mut told = Vec::new();
        for n in 0..500u16 {
            let now = start + Duration::from_millis(u64::from(n) * 20);
            // They are heard from the fifth to the seventh second.
            if (250..350).contains(&n) {
                let packet = RtpPacket {
                    marker: false,
                    payload_type: 0,
                    sequence: n,
                    timestamp: u32::from(n) * 160,
                    ssrc: 1,
                    payload: Bytes::new(),
                };
                watch.receive(&packet, now);
            }
            // Every quarter of a second, as nearly as it goes.
            if (n % 25 == 12 || n % 25 == 24) && watch.is_time(now) {
                let quality = watch.look(CallId::from_random(1), MediaPath::Direct, None, Duration::ZERO, now);
                told.push((quality.one_way, n * 20));
            }
        }
        let changes: Vec<_> = told.chunk_by(|a, b| a.0 == b.0).map(|same| (same[0].0, same[0].1)).collect();
        assert_eq!(changes, [(false, 980), (true, 2_740), (false, 5_240), (true, 9_480)], "at once, and less than 3 s after it");
        assert!(told.windows(2).all(|pair| pair[1].1 - pair[0].1 <= 1_000), "every second besides: {told:?}");
        watch.expects_sound = false;
        let later = start + Duration::from_secs(60);
        assert!(!watch.look(CallId::from_random(1), MediaPath::Direct, None, Duration::ZERO, later).one_way, "it is held");
    }
}
