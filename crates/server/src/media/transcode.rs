//! From one codec to another, packet by packet.

use std::time::{Duration, Instant};

use aftertone_media::{
    Codec,
    adapt::Plan,
    codec::{Decoder, Encoder},
    resample::Resampler,
    rtp::RtpPacket,
};
use bytes::Bytes;

use super::stream::{SendStream, signed, signed32};

/// A longer hole is passed on as one; a shorter one is filled with concealment.
const LONGEST_CONCEALED: Duration = Duration::from_millis(120);

/// Decodes, changes the rate, encodes in frames of 20 ms. Late packets are dropped: the other end has heard their
/// replacement.
pub(super) struct Transcoder {
    from: Codec,
    decoder: Decoder,
    resampler: Resampler,
    encoder: Encoder,
    /// Sound that is no whole frame yet.
    rest: Vec<i16>,
    source: Option<Source>,
    /// The timestamp of the next frame.
    timestamp: u32,
}

#[derive(Debug)]
struct Source {
    ssrc: u32,
    sequence: u16,
    /// The timestamp that follows on the last packet.
    expected: u32,
}

/// How a packet stands to the ones before it.
enum Step {
    /// The next one, after so many ticks that were lost.
    Next { lost: u32 },
    /// After a pause of so many ticks, or from a new source (`None`).
    Spurt { pause: Option<u32> },
    /// Its time is over.
    Late,
}

impl Transcoder {
    pub(super) fn new(from: Codec, to: Codec) -> anyhow::Result<Self> {
        let (decoder, encoder) = (Decoder::new(from)?, Encoder::new(to)?);
        let resampler = Resampler::new(decoder.sample_rate(), encoder.sample_rate())?;
        Ok(Self { from, decoder, resampler, encoder, rest: Vec::new(), source: None, timestamp: 0 })
    }

    /// Follows the network of the end that hears this.
    pub(super) fn adapt(&mut self, plan: Plan) {
        if let Err(error) = self.encoder.adapt(plan) {
            tracing::debug!(%error, "an encoder does not adapt");
        }
    }

    /// Whether it is for these codecs.
    pub(super) fn is(&self, from: Codec, to: Codec) -> bool {
        self.from == from && self.encoder.codec() == to
    }

    /// A packet of sound: what is to be sent for it.
    pub(super) fn sound(
        &mut self,
        stream: &mut SendStream,
        packet: &RtpPacket,
        payload_type: u8,
        now: Instant,
    ) -> Vec<RtpPacket> {
        let length = self.from.duration_of(&packet.payload);
        if length == 0 {
            return Vec::new();
        }
        let mut marker = false;
        match self.step(packet) {
            Step::Late => return Vec::new(),
            Step::Next { lost: 0 } => {}
            Step::Next { lost } => {
                let samples = self.samples(lost);
                let pcm = self.decoder.conceal(samples, Some(&packet.payload));
                self.append(&pcm);
            }
            Step::Spurt { pause } => {
                marker = true;
                self.rest.clear();
                self.timestamp = match pause {
                    Some(pause) => self.timestamp.wrapping_add(self.scaled(pause)),
                    None => stream.timestamp_at(now, self.encoder.codec().clock_rate()),
                };
            }
        }
        let (ssrc, sequence, expected) = (packet.ssrc, packet.sequence, packet.timestamp.wrapping_add(length));
        self.source = Some(Source { ssrc, sequence, expected });
        let samples = self.samples(length);
        let pcm = self.decoder.decode(&packet.payload).unwrap_or_else(|_| self.decoder.conceal(samples, None));
        self.append(&pcm);
        self.frames(stream, payload_type, marker, now)
    }

    /// A packet of a DTMF event (RFC 4733): with the times of the other clock, or `None` if it came too early.
    pub(super) fn event(&mut self, stream: &mut SendStream, packet: &RtpPacket, payload_type: u8) -> Option<RtpPacket> {
        let source = self.source.as_ref().filter(|source| source.ssrc == packet.ssrc)?;
        let ahead = i64::from(signed32(packet.timestamp.wrapping_sub(source.expected)));
        let scaled = ahead * i64::from(self.encoder.codec().clock_rate()) / i64::from(self.from.clock_rate());
        let offset = u32::try_from(scaled & 0xffff_ffff).unwrap_or(0);
        let timestamp = self.timestamp.wrapping_add(offset);
        let mut payload = packet.payload.to_vec();
        // RFC 4733 section 2.3.5: the last two bytes are the duration.
        if let [_, _, high, low, ..] = payload.as_mut_slice() {
            let duration = self.scaled(u32::from(u16::from_be_bytes([*high, *low])));
            [*high, *low] = u16::try_from(duration).unwrap_or(u16::MAX).to_be_bytes();
        }
        Some(stream.event(packet.marker, payload_type, timestamp, Bytes::from(payload)))
    }

    fn step(&self, packet: &RtpPacket) -> Step {
        let Some(source) = self.source.as_ref().filter(|source| source.ssrc == packet.ssrc) else {
            return Step::Spurt { pause: None };
        };
        let missing = signed32(packet.timestamp.wrapping_sub(source.expected));
        let ordered = signed(packet.sequence.wrapping_sub(source.sequence)) > 0;
        let rate = i64::from(self.from.clock_rate());
        let concealed = i64::try_from(LONGEST_CONCEALED.as_millis()).unwrap_or(0) * rate / 1000;
        match u32::try_from(missing) {
            Ok(0) => Step::Next { lost: 0 },
            Ok(_) if !ordered => Step::Late,
            Ok(missing) if i64::from(missing) <= concealed => Step::Next { lost: missing },
            // Longer than a minute is no pause, but another clock.
            Ok(missing) if i64::from(missing) <= 60 * rate => Step::Spurt { pause: Some(missing) },
            Err(_) if i64::from(missing) > -rate || !ordered => Step::Late,
            Ok(_) | Err(_) => Step::Spurt { pause: None },
        }
    }

    fn append(&mut self, pcm: &[i16]) {
        self.rest.extend(self.resampler.process(pcm));
    }

    fn frames(&mut self, stream: &mut SendStream, payload_type: u8, mut marker: bool, now: Instant) -> Vec<RtpPacket> {
        let frame = self.encoder.codec().frame();
        let mut packets = Vec::new();
        let whole = self.rest.len() / frame * frame;
        for pcm in self.rest[..whole].chunks_exact(frame) {
            let begun = Instant::now();
            let encoded = self.encoder.encode(pcm);
            // On a machine with too many calls each takes less effort.
            if let Err(error) = self.encoder.encoding_took(begun.elapsed()) {
                tracing::debug!(%error, "an encoder does not adapt");
            }
            match encoded {
                Ok(payload) => {
                    packets.push(stream.packet(std::mem::take(&mut marker), payload_type, self.timestamp, payload.into(), now))
                }
                Err(error) => tracing::debug!(%error, "a frame is not encoded"),
            }
            self.timestamp = self.timestamp.wrapping_add(self.encoder.codec().frame_ticks());
        }
        self.rest.drain(..whole);
        packets
    }

    /// Ticks of the source's clock in samples of its sound.
    fn samples(&self, ticks: u32) -> usize {
        ticks as usize * self.decoder.sample_rate() as usize / self.from.clock_rate() as usize
    }

    /// Ticks of the one clock in ticks of the other.
    fn scaled(&self, ticks: u32) -> u32 {
        let scaled = u64::from(ticks) * u64::from(self.encoder.codec().clock_rate()) / u64::from(self.from.clock_rate());
        u32::try_from(scaled & 0xffff_ffff).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(from: usize, samples: usize, rate: f64) -> Vec<i16> {
        (from..from + samples).map(|n| ((n as f64 * 440.0 * std::f64::consts::TAU / rate).sin() * 8000.0) as i16).collect()
    }

    fn packets(count: u16) -> Vec<RtpPacket> {
        let mut encoder = Encoder::new(Codec::Pcmu).expect("an encoder");
        let packet = |n: u16| RtpPacket {
            marker: n == 0,
            payload_type: 0,
            sequence: 65_530_u16.wrapping_add(n),
            timestamp: (u32::MAX - 500).wrapping_add(u32::from(n) * 160),
            ssrc: 4,
            payload: encoder.encode(&tone(usize::from(n) * 160, 160, 8000.0)).expect("a payload").into(),
        };
        (0..count).map(packet).collect()
    }

    fn at(start: Instant, n: usize) -> Instant {
        start + Duration::from_millis(20) * u32::try_from(n).unwrap_or(0)
    }

    #[test]
    fn packets_become_packets_of_the_other_codec_with_its_clock() {
        let start = Instant::now();
        let mut stream = SendStream::new(5);
        let mut transcoder = Transcoder::new(Codec::Pcmu, Codec::Opus).expect("a transcoder");
        let mut sent = Vec::new();
        for (n, packet) in packets(50).iter().enumerate() {
            sent.extend(transcoder.sound(&mut stream, packet, 111, at(start, n)));
        }
        assert!((48..=50).contains(&sent.len()), "{}", sent.len());
        for pair in sent.windows(2) {
            assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1));
            assert_eq!(pair[1].timestamp, pair[0].timestamp.wrapping_add(960));
        }
        let mut decoder = Decoder::new(Codec::Opus).expect("a decoder");
        let pcm: Vec<i16> = sent.iter().flat_map(|packet| decoder.decode(&packet.payload).expect("sound")).collect();
        let power = pcm[9600..].iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / (pcm.len() - 9600) as f64;
        assert!((4500.0..6500.0).contains(&power.sqrt()), "a sine of 8000 has 5657: {}", power.sqrt());
    }

    #[test]
    fn short_losses_are_concealed_and_pauses_are_passed_on() {
        let start = Instant::now();
        let mut stream = SendStream::new(5);
        let mut transcoder = Transcoder::new(Codec::Pcmu, Codec::Pcma).expect("a transcoder");
        let all = packets(60);
        let mut sent = Vec::new();
        for (n, packet) in all.iter().enumerate().filter(|(n, _)| !(10..12).contains(n) && !(20..50).contains(n)) {
            sent.extend(transcoder.sound(&mut stream, packet, 8, at(start, n)));
        }
        assert_eq!(sent.len(), 30, "20 before the pause, of which 2 made up, and 10 after it");
        let jump = sent[20].timestamp.wrapping_sub(sent[19].timestamp);
        assert_eq!((jump, sent[20].marker), (31 * 160, true));
        // Late: dropped.
        assert!(transcoder.sound(&mut stream, &all[11], 8, at(start, 61)).is_empty());
    }

    #[test]
    fn events_get_the_other_clock() {
        let start = Instant::now();
        let mut stream = SendStream::new(5);
        let mut transcoder = Transcoder::new(Codec::Pcmu, Codec::Opus).expect("a transcoder");
        let all = packets(20);
        let mut event = all[11].clone();
        event.payload = Bytes::from_static(&[5, 10, 0, 160]);
        assert_eq!(transcoder.event(&mut stream, &event, 101), None, "nothing is known of its clock yet");
        let mut sent = Vec::new();
        for (n, packet) in all[..11].iter().enumerate() {
            sent.extend(transcoder.sound(&mut stream, packet, 111, at(start, n)));
        }
        let event = transcoder.event(&mut stream, &event, 110).expect("a packet");
        let last = sent.last().expect("sound");
        assert_eq!(event.sequence, last.sequence.wrapping_add(1));
        assert!(event.timestamp.wrapping_sub(last.timestamp) <= 2 * 960);
        assert_eq!(event.payload[..], [5, 10, 3, 192]);
    }
}
