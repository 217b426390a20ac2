//! One way of a bridge: what comes from one leg, as packets for the other.

use std::time::Instant;

use aftertone_media::{Codec, adapt::Plan, codec::Encoder, rtp::RtpPacket};

use super::{
    describe::{Agreed, Meaning},
    stream::{Kind, Renumber, SendStream},
    transcode::Transcoder,
};

/// Passes payloads on as they are wherever the other end takes the codec; transcodes otherwise.
#[derive(Default)]
pub(super) struct Relay {
    numbers: Renumber,
    transcoder: Option<Box<Transcoder>>,
    /// What an encoder does for the end that hears this.
    plan: Plan,
}

impl Relay {
    /// A packet came; what the other leg is to be sent is appended to `out`.
    pub(super) fn pass(
        &mut self,
        packet: &RtpPacket,
        meaning: Option<Meaning>,
        stream: &mut SendStream,
        to: &Agreed,
        now: Instant,
        out: &mut Vec<RtpPacket>,
    ) {
        match meaning {
            Some(Meaning::Sound(codec)) => self.sound(packet, codec, stream, to, now, out),
            Some(Meaning::Event) => self.event(packet, stream, to, now, out),
            Some(Meaning::Comfort) => self.comfort(packet, stream, to, now, out),
            None => self.numbers.skip(packet),
        }
    }

    /// For an end whose network is known already.
    pub(super) fn planned(plan: Plan) -> Self {
        Self { plan, ..Self::default() }
    }

    /// The network of the end that hears this is another one.
    pub(super) fn adapt(&mut self, plan: Plan) {
        self.plan = plan;
        if let Some(transcoder) = &mut self.transcoder {
            transcoder.adapt(plan);
        }
    }

    fn sound(
        &mut self,
        packet: &RtpPacket,
        codec: Codec,
        stream: &mut SendStream,
        to: &Agreed,
        now: Instant,
        out: &mut Vec<RtpPacket>,
    ) {
        if let Some(payload_type) = to.number_of(codec) {
            if self.transcoder.take().is_some() {
                self.numbers = Renumber::default();
            }
            out.push(self.numbers.renumber(stream, packet, Kind::Sound { payload_type }, codec.clock_rate(), now));
            return;
        }
        if self.transcoder.as_ref().is_none_or(|transcoder| !transcoder.is(codec, to.codec)) {
            match Transcoder::new(codec, to.codec) {
                Ok(mut transcoder) => {
                    transcoder.adapt(self.plan);
                    self.transcoder = Some(Box::new(transcoder));
                }
                Err(error) => return tracing::warn!(%error, "no transcoder"),
            }
        }
        if let Some(transcoder) = &mut self.transcoder {
            out.extend(transcoder.sound(stream, packet, to.payload_type, now));
        }
    }

    /// Comfort noise where the other end takes it, and else silence in its own codec: not every phone knows comfort noise, and who hears nothing at all takes the line
    /// for dead.
    fn comfort(&mut self, packet: &RtpPacket, stream: &mut SendStream, to: &Agreed, now: Instant, out: &mut Vec<RtpPacket>) {
        self.numbers.skip(packet);
        if let Some(payload_type) = to.comfort {
            let timestamp = stream.timestamp_at(now, to.codec.clock_rate());
            return out.push(stream.packet(false, payload_type, timestamp, packet.payload.clone(), now));
        }
        let silence = Encoder::new(to.codec).and_then(|mut encoder| encoder.encode(&vec![0; to.codec.frame()]));
        match silence {
            Ok(silence) => {
                let timestamp = stream.timestamp_at(now, to.codec.clock_rate());
                out.push(stream.packet(true, to.payload_type, timestamp, silence.into(), now));
            }
            Err(error) => tracing::debug!(%error, "no silence"),
        }
    }

    fn event(&mut self, packet: &RtpPacket, stream: &mut SendStream, to: &Agreed, now: Instant, out: &mut Vec<RtpPacket>) {
        match (to.event, &mut self.transcoder) {
            (None, _) => self.numbers.skip(packet),
            (Some(payload_type), Some(transcoder)) => out.extend(transcoder.event(stream, packet, payload_type)),
            (Some(payload_type), None) => {
                out.push(self.numbers.renumber(stream, packet, Kind::Event { payload_type }, to.codec.clock_rate(), now));
            }
        }
    }
}
