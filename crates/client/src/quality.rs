//! How good a call sounds, second by second.

use std::time::{Duration, Instant};

use aftertone_media::{
    Codec,
    quality::{Reception, mean_opinion},
    rtp::RtpPacket,
};
use aftertone_model::CallId;

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
}

/// How media come here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaPath {
    /// To the other end's own address, or the server's.
    Direct,
    /// Through a TURN server.
    Relayed,
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
    /// The other end should be heard: the call isn't held.
    pub(crate) expects_sound: bool,
}

impl Watch {
    pub(crate) fn new(codec: Codec, expects_sound: bool, now: Instant) -> Self {
        Self { reception: Reception::default(), codec, since: now, looks: 0, was_one_way: false, expects_sound }
    }

    pub(crate) fn receive(&mut self, packet: &RtpPacket, now: Instant) {
        self.reception.receive(packet, self.codec.clock_rate(), now);
    }

    /// Looks, every [`EVERY`]; whether it is time to tell.
    pub(crate) fn is_time(&mut self, now: Instant) -> bool {
        self.looks += 1;
        self.looks >= LOOKS_TOLD || self.is_one_way(now) != self.was_one_way
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
        let arrived = self.reception.look();
        let one_way = self.is_one_way(now);
        (self.looks, self.was_one_way) = (0, one_way);
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
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

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
