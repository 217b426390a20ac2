//! What both ends of a leg agreed on, read from their descriptions.

use std::net::SocketAddr;

use aftertone_exchange::MediaFailure;
use aftertone_media::{
    Codec,
    sdp::{self, Crypto, Direction, Negotiated, PacketTime},
    webrtc::{self, Payloads},
};

use super::webrtc::Format;

/// The codecs that we take when the exchange has no preference, best first.
const SUPPORTED: [Codec; 4] = Codec::ALL;
/// The payload types of telephone events in our RTP offers, at 48 and at 8 kHz.
const OFFERED_EVENTS: [u8; 2] = [110, 101];
/// The usual payload type of telephone events at 8 kHz.
const EVENT_8K: u8 = 101;

/// The static payload type of comfort noise (RFC 3551 section 6).
const COMFORT_NOISE: u8 = 13;

/// What a leg's packets are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Agreed {
    /// What we send, and expect.
    pub(super) codec: Codec,
    /// Under which number.
    pub(super) payload_type: u8,
    /// Everything that the other end takes, with its numbers; the codec is the first.
    send: Vec<(Codec, u8)>,
    /// Everything that the other end may send.
    receive: Vec<(Codec, u8)>,
    /// The number to send comfort noise under, if the other end takes it.
    pub(super) comfort: Option<u8>,
    /// How long it wants our packets.
    pub(super) packet_time: PacketTime,
    /// The number to send DTMF events under.
    pub(super) event: Option<u8>,
    /// The numbers under which DTMF events may come.
    events: Vec<u8>,
    /// What we do: hold makes it less than both.
    pub(super) direction: Direction,
    /// Where the other end said it listens.
    pub(super) remote: Option<SocketAddr>,
    /// Where it wants reports.
    pub(super) reports: Option<SocketAddr>,
}

/// What a payload type means on a leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Audio.
    Sound(Codec),
    /// RFC 4733.
    Event,
    /// RFC 3389: the other end is silent from now on.
    Comfort,
}

impl Agreed {
    /// An offer of plain RTP that was answered with `negotiated`.
    pub(super) fn answered(negotiated: &Negotiated) -> Self {
        let format = (negotiated.codec, negotiated.payload_type);
        Self {
            codec: negotiated.codec,
            payload_type: negotiated.payload_type,
            send: vec![format],
            receive: vec![format],
            comfort: negotiated.comfort_payload_type,
            packet_time: negotiated.packet_time,
            event: negotiated.dtmf_payload_type,
            events: negotiated.dtmf_payload_type.into_iter().collect(),
            direction: negotiated.direction,
            remote: Some(negotiated.remote).filter(|remote| !remote.ip().is_unspecified() && remote.port() != 0),
            reports: Some(negotiated.remote_rtcp).filter(|remote| !remote.ip().is_unspecified() && remote.port() != 0),
        }
    }

    /// Our offer of plain RTP, and its answer: the other end may send under our numbers too.
    pub(super) fn offered(offered: &[Codec], negotiated: &Negotiated) -> Self {
        let mut agreed = Self::answered(negotiated);
        let ours = offered.iter().map(|codec| (*codec, codec.payload_type()));
        agreed.receive.extend(ours);
        agreed.events.extend(OFFERED_EVENTS);
        agreed
    }

    /// A WebRTC connection, by the answer to its offer; `ours` says whether we wrote the answer.
    pub(super) fn webrtc(answer: &Payloads, ours: bool) -> Self {
        Self {
            codec: answer.codec,
            payload_type: answer.payload_type,
            send: answer.all.clone(),
            receive: answer.all.clone(),
            comfort: None,
            packet_time: PacketTime::default(),
            event: answer.dtmf_payload_type,
            events: answer.dtmf_payload_type.into_iter().collect(),
            direction: if ours { answer.direction } else { answer.direction.reversed() },
            remote: None,
            reports: None,
        }
    }

    /// What came under this number, or `None` for what was not agreed on (another codec). Comfort noise comes unasked.
    pub(super) fn meaning(&self, payload_type: u8) -> Option<Meaning> {
        let sound = self.receive.iter().find(|(_, number)| *number == payload_type);
        match sound {
            Some((codec, _)) => Some(Meaning::Sound(*codec)),
            None if self.events.contains(&payload_type) => Some(Meaning::Event),
            None if self.comfort == Some(payload_type) => Some(Meaning::Comfort),
            None => (payload_type == COMFORT_NOISE).then_some(Meaning::Comfort),
        }
    }

    /// What sound this number of ours carries.
    pub(super) fn sound_of(&self, payload_type: u8) -> Option<Codec> {
        self.send.iter().find(|(_, number)| *number == payload_type).map(|(codec, _)| *codec)
    }

    /// The number to send this codec under, if the other end takes it.
    pub(super) fn number_of(&self, codec: Codec) -> Option<u8> {
        self.send.iter().find(|(known, _)| *known == codec).map(|(_, number)| *number)
    }
}

/// The codecs of our offer: the preferred ones only, or all.
pub(super) fn offer_order(prefer: &[Codec]) -> Vec<Codec> {
    webrtc::order_codecs(&SUPPORTED, prefer)
}

/// The codecs to look for in an offer, best first: the preferred ones, then the offer's own order.
pub(super) fn answer_order(offer: &str, prefer: &[Codec]) -> Vec<Codec> {
    let offered = webrtc::codecs(offer);
    webrtc::order_codecs(&offered, prefer)
}

/// Reads an offer of plain RTP.
pub(super) fn read_rtp_offer(offer: &str, prefer: &[Codec]) -> Result<(sdp::Session, Negotiated), MediaFailure> {
    let session = sdp::parse(offer).map_err(unacceptable)?;
    let negotiated = sdp::negotiate(&session, &answer_order(offer, prefer)).map_err(unacceptable)?;
    Ok((session, negotiated))
}

/// Reads the answer to our offer of RTP, with its key.
pub(super) fn read_rtp_answer(answer: &str, offered: &[Codec]) -> Result<(Agreed, Option<Crypto>), MediaFailure> {
    let session = sdp::parse(answer).map_err(unacceptable)?;
    let negotiated = sdp::accept_answer(&session, offered).map_err(unacceptable)?;
    let agreed = Agreed::offered(offered, &negotiated);
    Ok((agreed, negotiated.crypto))
}

/// What to register for a WebRTC offer of ours: exactly one kind of telephone events, in the first codec's clock.
pub(super) fn webrtc_offer_formats(codecs: &[Codec]) -> Vec<Format> {
    let mut formats: Vec<_> =
        codecs.iter().map(|codec| Format::Audio { codec: *codec, payload_type: codec.payload_type() }).collect();
    formats.push(match codecs.first() {
        Some(Codec::Pcmu | Codec::Pcma | Codec::G722) => Format::Event { payload_type: EVENT_8K, clock: 8000 },
        Some(Codec::Opus) | None => Format::Event { payload_type: webrtc::DTMF_PAYLOAD_TYPE, clock: webrtc::DTMF_CLOCK_RATE },
    });
    formats
}

/// What to register for the answer to a WebRTC offer: one codec, so that nothing else is sent to us, and the telephone
/// events that go with it.
pub(super) fn webrtc_answer_formats(offer: &str, prefer: &[Codec]) -> Result<Vec<Format>, MediaFailure> {
    let payloads = webrtc::payloads(offer).map_err(unacceptable)?;
    let chosen = answer_order(offer, prefer).into_iter().find_map(|codec| payloads.all.iter().find(|(known, _)| *known == codec));
    let &(codec, payload_type) = chosen.ok_or_else(|| MediaFailure::Unacceptable("no common codec".into()))?;
    let mut formats = vec![Format::Audio { codec, payload_type }];
    formats.extend(offered_event(offer, codec));
    Ok(formats)
}

/// The offer's telephone events: in the codec's clock, or whichever there are.
fn offered_event(offer: &str, codec: Codec) -> Option<Format> {
    let session = sdp::parse(offer).ok()?;
    let (_, media) = session.audio()?;
    let events: Vec<_> = media.formats().into_iter().filter(sdp::Format::is_telephone_event).collect();
    let event = events.iter().find(|event| event.clock_rate == codec.clock_rate()).or(events.first())?;
    Some(Format::Event { payload_type: event.payload_type, clock: event.clock_rate })
}

/// The DTLS fingerprint of a description: another one is another connection.
pub(super) fn fingerprint(description: &str) -> Option<&str> {
    description.lines().find_map(|line| line.trim().strip_prefix("a=fingerprint:"))
}

/// As the exchange hears of it.
pub(super) fn unacceptable(error: impl std::fmt::Display) -> MediaFailure {
    MediaFailure::Unacceptable(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHONE: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.5\r\ns=-\r\nc=IN IP4 192.0.2.5\r\nt=0 0\r\n\
        m=audio 5004 RTP/AVP 8 0 96 97\r\na=rtpmap:96 opus/48000/2\r\na=rtpmap:97 telephone-event/8000\r\n";

    fn chosen(prefer: &[Codec]) -> Codec {
        read_rtp_offer(PHONE, prefer).expect("an offer").1.codec
    }

    #[test]
    fn the_preference_comes_before_the_offers_own_order() {
        assert_eq!(chosen(&[]), Codec::Pcma);
        assert_eq!(chosen(&[Codec::Opus, Codec::Pcmu]), Codec::Opus);
        assert_eq!(chosen(&[Codec::Pcmu]), Codec::Pcmu);
    }

    #[test]
    fn numbers_have_a_meaning_only_where_they_were_agreed_on() {
        let agreed = Agreed::answered(&read_rtp_offer(PHONE, &[]).expect("an offer").1);
        assert_eq!(agreed.meaning(8), Some(Meaning::Sound(Codec::Pcma)));
        assert_eq!(agreed.meaning(97), Some(Meaning::Event));
        assert_eq!([agreed.meaning(0), agreed.meaning(13)], [None, Some(Meaning::Comfort)]);
        assert_eq!(agreed.remote, Some(([192, 0, 2, 5], 5004).into()));
    }

    #[test]
    fn an_answerer_may_use_our_numbers_or_its_own() {
        let answer = PHONE.replace("RTP/AVP 8 0 96 97", "RTP/AVP 96 97");
        let (agreed, _) = read_rtp_answer(&answer, &SUPPORTED).expect("an answer");
        assert_eq!((agreed.codec, agreed.payload_type, agreed.event), (Codec::Opus, 96, Some(97)));
        let meanings = [96, 111, 97, 101].map(|number| agreed.meaning(number));
        let (sound, event) = (Some(Meaning::Sound(Codec::Opus)), Some(Meaning::Event));
        assert_eq!(meanings, [sound, sound, event, event]);
    }

    #[test]
    fn a_webrtc_answer_is_of_one_codec_and_its_events() {
        let offer = PHONE.replace("RTP/AVP 8", "UDP/TLS/RTP/SAVPF 8");
        let formats = webrtc_answer_formats(&offer, &[Codec::Opus]).expect("formats");
        let expect = [Format::Audio { codec: Codec::Opus, payload_type: 96 }, Format::Event { payload_type: 97, clock: 8000 }];
        assert_eq!(formats, expect);
    }

    #[test]
    fn an_old_style_hold_sends_nowhere() {
        let held = PHONE.replace("c=IN IP4 192.0.2.5", "c=IN IP4 0.0.0.0");
        let agreed = Agreed::answered(&read_rtp_offer(&held, &[]).expect("an offer").1);
        assert_eq!(agreed.remote, None);
        assert!(!agreed.direction.sends());
    }
}
