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
/// The payload types of telephone events in our RTP offers, with the clocks of the codecs beside which they stand.
const OFFERED_EVENTS: [(u8, u32); 2] = [(110, 48_000), (101, 8_000)];
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

    /// Our offer of plain RTP, and its answer: the other end sends under our numbers (RFC 3264 section 6.1). Some send under their
    /// own, which count where they mean nothing else in our offer.
    pub(super) fn offered(offered: &[Codec], negotiated: &Negotiated) -> Self {
        let mut agreed = Self::answered(negotiated);
        let sounds: Vec<_> = offered.iter().map(|codec| (*codec, codec.payload_type())).collect();
        let has_clock = |clock| offered.iter().any(|codec| codec.clock_rate() == clock);
        let events: Vec<_> =
            OFFERED_EVENTS.into_iter().filter(|(_, clock)| has_clock(*clock)).map(|(number, _)| number).collect();
        agreed.receive.retain(|(_, number)| !events.contains(number));
        agreed.events.retain(|number| !sounds.iter().any(|(_, ours)| ours == number));
        agreed.receive.splice(..0, sounds);
        agreed.events.extend(events);
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

/// The codecs of our offer, the preferred ones first. One that is only passed on is among them where it is preferred, and alone where
/// nothing else is: the other end of the call speaks nothing that could be transcoded.
pub(super) fn offer_order(prefer: &[Codec]) -> Vec<Codec> {
    let passed: Vec<_> = prefer.iter().copied().filter(|codec| !codec.is_coded()).collect();
    let coded = if is_passed_only(prefer) { Vec::new() } else { webrtc::order_codecs(&SUPPORTED, prefer) };
    coded.into_iter().chain(passed).collect()
}

/// The codecs to look for in an offer, best first: the preferred ones, then the offer's own order. One that is only passed on is
/// chosen where it is the first that is preferred, and nothing else then.
pub(super) fn answer_order(offer: &str, prefer: &[Codec]) -> Vec<Codec> {
    let mut offered = webrtc::codecs(offer);
    match prefer.first() {
        Some(first) if !first.is_coded() => offered.retain(|codec| codec == first),
        Some(_) | None => offered.retain(|codec| codec.is_coded()),
    }
    webrtc::order_codecs(&offered, prefer)
}

/// Whether the other end of the call speaks nothing that could be transcoded.
fn is_passed_only(prefer: &[Codec]) -> bool {
    !prefer.is_empty() && prefer.iter().all(|codec| !codec.is_coded())
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
    let coded = codecs.iter().filter(|codec| codec.is_coded());
    let mut formats: Vec<_> = coded.map(|codec| Format::Audio { codec: *codec, payload_type: codec.payload_type() }).collect();
    formats.push(match codecs.first() {
        Some(Codec::Pcmu | Codec::Pcma | Codec::G722) => Format::Event { payload_type: EVENT_8K, clock: 8000 },
        Some(Codec::Opus | Codec::G729) | None => {
            Format::Event { payload_type: webrtc::DTMF_PAYLOAD_TYPE, clock: webrtc::DTMF_CLOCK_RATE }
        }
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
    fn numbers_that_clash_mean_what_our_offer_says() {
        let swapped = "v=0\r\no=- 1 1 IN IP4 192.0.2.5\r\ns=-\r\nc=IN IP4 192.0.2.5\r\nt=0 0\r\n\
            m=audio 5004 RTP/AVP 101 111\r\na=rtpmap:101 opus/48000/2\r\na=rtpmap:111 telephone-event/48000\r\n";
        let (agreed, _) = read_rtp_answer(swapped, &SUPPORTED).expect("an answer");
        assert_eq!((agreed.payload_type, agreed.event), (101, Some(111)), "what we send is under the other end's numbers");
        let meanings = [111, 101, 110].map(|number| agreed.meaning(number));
        assert_eq!(meanings, [Some(Meaning::Sound(Codec::Opus)), Some(Meaning::Event), Some(Meaning::Event)]);
        // Where we offered no events at 8 kHz, 101 is free.
        let (agreed, _) = read_rtp_answer(swapped, &[Codec::Opus]).expect("an answer");
        assert_eq!(agreed.meaning(101), Some(Meaning::Sound(Codec::Opus)));
    }

    #[test]
    fn what_can_not_be_transcoded_is_offered_last_and_chosen_alone() {
        use Codec::{G729, Opus, Pcmu};
        assert_eq!(offer_order(&[Pcmu, G729]).last(), Some(&G729));
        assert_eq!(offer_order(&[G729]), [G729]);
        assert!(!offer_order(&[]).contains(&G729));
        let offer = PHONE.replace("8 0 96", "18 0 96");
        assert_eq!(answer_order(&offer, &[]), [Pcmu, Opus]);
        assert_eq!(answer_order(&offer, &[G729]), [G729]);
        assert!(read_rtp_offer(&PHONE.replace("8 0 96", "0 96"), &[G729]).is_err());
        assert!(read_rtp_offer(&PHONE.replace("8 0 96 97", "18"), &[]).is_err(), "the mailbox has no decoder");
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
