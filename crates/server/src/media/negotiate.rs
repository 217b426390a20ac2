//! Descriptions of legs: offers and answers, new and anew.

use std::{net::SocketAddr, rc::Rc, time::Instant};

use aftertone_exchange::{Described, LegId, LegMedia, MediaFailure, Towards};
use aftertone_media::{
    Codec,
    adapt::Adapter,
    sdp::{Crypto, Direction, Negotiated, RtpAnswer, RtpOffer, Suite},
    webrtc::{drop_duplicate_payload_types, normalise, payloads, with_destination},
};

use super::{
    Encryption, address,
    describe::{
        Agreed, fingerprint, offer_order, read_rtp_answer, read_rtp_offer, unacceptable, webrtc_answer_formats,
        webrtc_offer_formats,
    },
    figures::Figures,
    leg::{Leg, Transport, Usage, WebRtcLeg},
    rtp::RtpLeg,
    state::{CONNECT_WITHIN, State},
    stream::SendStream,
    webrtc::{Format, Peer, PeerSetup},
    worker::spawn_rtp_reader,
};

/// What every phone has that encrypts at all.
const OFFERED_SUITE: Suite = Suite::AesCm128Sha1_80;

type Outcome = Result<Described, MediaFailure>;

impl State {
    pub(super) fn offer(&mut self, id: LegId, media: LegMedia, peer: Towards, prefer: &[Codec], now: Instant) -> Outcome {
        let codecs = offer_order(prefer);
        let sdp = match media {
            LegMedia::Rtp => {
                self.ensure_rtp(id, peer, now)?;
                self.rtp_offer(id, peer, &codecs)?
            }
            LegMedia::WebRtc => self.webrtc_offer(id, peer, &codecs, now)?,
        };
        if let Some(leg) = self.legs.get_mut(&id) {
            leg.offered.clone_from(&codecs);
        }
        Ok(Described { sdp, codecs })
    }

    pub(super) fn answer(
        &mut self,
        id: LegId,
        media: LegMedia,
        peer: Towards,
        offer: &str,
        prefer: &[Codec],
        now: Instant,
    ) -> Outcome {
        match media {
            LegMedia::Rtp => self.rtp_answer(id, peer, offer, prefer, now),
            LegMedia::WebRtc => self.webrtc_answer(id, peer, offer, prefer, now),
        }
    }

    pub(super) fn apply(&mut self, id: LegId, answer: &str, now: Instant) -> Result<Codec, MediaFailure> {
        let encryption = self.shared.encryption;
        let leg = self.legs.get_mut(&id).ok_or_else(Self::no_such_leg)?;
        let agreed = match &mut leg.transport {
            Transport::Rtp(rtp) => {
                let (agreed, theirs) = read_rtp_answer(answer, &leg.offered)?;
                if theirs.is_none() && encryption == Encryption::Require {
                    return Err(MediaFailure::Unacceptable("not encrypted".into()));
                }
                // A key is only of use where we offered one, under our tag and suite.
                let theirs = theirs.filter(|key| encryption != Encryption::Off && (key.tag, key.suite) == (1, OFFERED_SUITE));
                rtp.describe_key(theirs)?;
                rtp.latch.describe(agreed.remote);
                rtp.latch.reports = agreed.reports;
                agreed
            }
            Transport::WebRtc(webrtc) => {
                let read = payloads(answer).map_err(unacceptable)?;
                let known = webrtc.fingerprint.as_deref();
                if known.is_some() && known != fingerprint(answer) {
                    return Err(MediaFailure::Unacceptable("the answer is of another connection".into()));
                }
                webrtc.peer.apply(&normalise(answer), now).map_err(unacceptable)?;
                webrtc.described(answer, now);
                Agreed::webrtc(&read, false)
            }
        };
        let codec = agreed.codec;
        leg.agree(agreed);
        Ok(codec)
    }

    /// Makes an RTP leg, unless there is one.
    fn ensure_rtp(&mut self, id: LegId, peer: Towards, now: Instant) -> Result<(), MediaFailure> {
        if let Some(leg) = self.legs.get(&id) {
            return match leg.transport {
                Transport::Rtp(_) => Ok(()),
                Transport::WebRtc(_) => Err(MediaFailure::Unacceptable("the leg is of WebRTC".into())),
            };
        }
        let bind = address::bind_for(self.shared.bind, peer.ip);
        let sockets = Rc::new(self.shared.ports.take(bind).ok_or(MediaFailure::Exhausted)?);
        let reader = spawn_rtp_reader(self.this.clone(), id, Rc::clone(&sockets));
        self.legs.insert(id, new_leg(Transport::Rtp(Box::new(RtpLeg::new(sockets, reader, peer.ip, now)))));
        self.begin_reports(id, now);
        Ok(())
    }

    fn rtp_local(&self, port: u16, peer: Towards) -> SocketAddr {
        SocketAddr::new(address::reachable(self.shared.bind, self.shared.public.get(), peer), port)
    }

    fn rtp_offer(&mut self, id: LegId, peer: Towards, codecs: &[Codec]) -> Result<String, MediaFailure> {
        let (port, (session_id, version)) = self.rtp_session(id)?;
        let local = self.rtp_local(port, peer);
        let (secure, keys) = match self.shared.encryption {
            Encryption::Off => (false, None),
            Encryption::Offer => (false, self.rtp_leg(id).and_then(|rtp| rtp.key(1, OFFERED_SUITE))),
            Encryption::Require => (true, self.rtp_leg(id).and_then(|rtp| rtp.key(1, OFFERED_SUITE))),
        };
        let crypto = keys.as_slice();
        Ok(RtpOffer { local, session_id, version, codecs, direction: Direction::Sendrecv, secure, crypto }.to_sdp())
    }

    fn rtp_answer(&mut self, id: LegId, peer: Towards, offer: &str, prefer: &[Codec], now: Instant) -> Outcome {
        let in_use = self.codec_of_deposit(id);
        let (session, negotiated) = read_rtp_offer(offer, in_use.as_ref().map_or(prefer, std::slice::from_ref))?;
        if in_use.is_some_and(|codec| codec != negotiated.codec) {
            return Err(MediaFailure::Unacceptable("a recording keeps its codec".into()));
        }
        let theirs = self.accepted_key(&negotiated)?;
        self.ensure_rtp(id, peer, now)?;
        let (port, (session_id, version)) = self.rtp_session(id)?;
        let (local, direction) = (self.rtp_local(port, peer), negotiated.direction);
        let ours = theirs.as_ref().and_then(|key| self.rtp_leg(id)?.key(key.tag, key.suite));
        let crypto = ours.as_ref();
        let answer = RtpAnswer { local, session_id, version, offer: &session, negotiated: &negotiated, direction, crypto };
        let sdp = answer.to_sdp();
        let agreed = Agreed::answered(&negotiated);
        if let Some(leg) = self.legs.get_mut(&id)
            && let Transport::Rtp(rtp) = &mut leg.transport
        {
            rtp.describe_key(theirs)?;
            rtp.latch.describe(agreed.remote);
            rtp.latch.reports = agreed.reports;
            leg.agree(agreed);
        }
        Ok(Described { sdp, codecs: vec![negotiated.codec] })
    }

    /// The key that an offer or answer brings, if the server's configuration wants it.
    fn accepted_key(&self, negotiated: &Negotiated) -> Result<Option<Crypto>, MediaFailure> {
        match self.shared.encryption {
            Encryption::Require if negotiated.crypto.is_none() => Err(MediaFailure::Unacceptable("not encrypted".into())),
            Encryption::Off if !negotiated.secure => Ok(None),
            Encryption::Off | Encryption::Offer | Encryption::Require => Ok(negotiated.crypto.clone()),
        }
    }

    fn rtp_leg(&self, id: LegId) -> Option<&RtpLeg> {
        match &self.legs.get(&id)?.transport {
            Transport::Rtp(rtp) => Some(rtp),
            Transport::WebRtc(_) => None,
        }
    }

    /// The leg's port, and the number and next version of its description.
    fn rtp_session(&mut self, id: LegId) -> Result<(u16, (u64, u64)), MediaFailure> {
        match self.legs.get_mut(&id) {
            Some(Leg { transport: Transport::Rtp(rtp), session, .. }) => {
                session.1 += 1;
                Ok((rtp.sockets.port(), *session))
            }
            Some(_) | None => Err(Self::no_such_leg()),
        }
    }

    fn webrtc_offer(&mut self, id: LegId, peer: Towards, codecs: &[Codec], now: Instant) -> Result<String, MediaFailure> {
        if let Some(leg) = self.legs.get_mut(&id) {
            let Transport::WebRtc(webrtc) = &mut leg.transport else {
                return Err(MediaFailure::Unacceptable("the leg is of plain RTP".into()));
            };
            let sdp = webrtc.peer.offer_again(now).map_err(failed)?;
            return Ok(with_destination(&drop_duplicate_payload_types(&sdp)));
        }
        if !codecs.iter().any(|codec| codec.is_coded()) {
            return Err(MediaFailure::Unacceptable("the caller's codec is for phones alone".into()));
        }
        let formats = webrtc_offer_formats(codecs);
        let stream = SendStream::new(rand::random());
        let (peer, sdp) = Peer::offer(self.setup(&stream, peer, &formats), now).map_err(failed)?;
        self.demultiplexer.add(id, peer.ufrag());
        let webrtc = WebRtcLeg { peer: Box::new(peer), fingerprint: None, fails_at: None };
        self.legs.insert(id, Leg { stream, ..new_leg(Transport::WebRtc(webrtc)) });
        Ok(with_destination(&drop_duplicate_payload_types(&sdp)))
    }

    fn webrtc_answer(&mut self, id: LegId, peer: Towards, offer: &str, prefer: &[Codec], now: Instant) -> Outcome {
        let normal = bundled(&normalise(offer));
        let sdp = match self.legs.get_mut(&id) {
            None => self.webrtc_answer_new(id, peer, &normal, prefer, now)?,
            Some(Leg { transport: Transport::WebRtc(webrtc), .. }) if webrtc.fingerprint.as_deref() == fingerprint(&normal) => {
                webrtc.peer.answer_again(&normal, now).map_err(unacceptable)?
            }
            Some(_) => self.webrtc_answer_moved(id, peer, &normal, prefer, now)?,
        };
        let sdp = with_protocol_of(offer, &with_destination(&drop_duplicate_payload_types(&sdp)));
        let sdp = if offer.contains(BUNDLE) { sdp } else { without_bundle(&sdp) };
        let read = payloads(&sdp).map_err(unacceptable)?;
        let codec = read.codec;
        if let Some(leg) = self.legs.get_mut(&id) {
            if let Transport::WebRtc(webrtc) = &mut leg.transport {
                webrtc.described(&normal, now);
            }
            leg.agree(Agreed::webrtc(&read, true));
        }
        Ok(Described { sdp, codecs: vec![codec] })
    }

    fn webrtc_answer_new(
        &mut self,
        id: LegId,
        peer: Towards,
        offer: &str,
        prefer: &[Codec],
        now: Instant,
    ) -> Result<String, MediaFailure> {
        let formats = webrtc_answer_formats(offer, prefer)?;
        let stream = SendStream::new(rand::random());
        let (peer, sdp) = Peer::answer(self.setup(&stream, peer, &formats), offer, now).map_err(unacceptable)?;
        self.demultiplexer.add(id, peer.ufrag());
        let webrtc = WebRtcLeg { peer: Box::new(peer), fingerprint: None, fails_at: None };
        self.legs.insert(id, Leg { stream, ..new_leg(Transport::WebRtc(webrtc)) });
        Ok(sdp)
    }

    /// The other end begins anew with another connection: ours is replaced, the stream goes on.
    fn webrtc_answer_moved(
        &mut self,
        id: LegId,
        peer: Towards,
        offer: &str,
        prefer: &[Codec],
        now: Instant,
    ) -> Result<String, MediaFailure> {
        let Some(leg) = self.legs.get(&id) else { return Err(Self::no_such_leg()) };
        let in_use = self.codec_of_deposit(id);
        let prefer = in_use.as_ref().map_or(prefer, std::slice::from_ref);
        let formats = webrtc_answer_formats(offer, prefer)?;
        let (peer, sdp) = Peer::answer(self.setup(&leg.stream, peer, &formats), offer, now).map_err(unacceptable)?;
        self.demultiplexer.add(id, peer.ufrag());
        let webrtc = WebRtcLeg { peer: Box::new(peer), fingerprint: None, fails_at: None };
        if let Some(leg) = self.legs.get_mut(&id)
            && let Transport::WebRtc(mut old) = std::mem::replace(&mut leg.transport, Transport::WebRtc(webrtc))
        {
            self.demultiplexer.replace(id, old.peer.ufrag());
            old.peer.close(&self.sockets);
        }
        Ok(sdp)
    }

    /// A recording's codec, which can't be changed.
    fn codec_of_deposit(&self, id: LegId) -> Option<Codec> {
        let leg = self.legs.get(&id).filter(|leg| matches!(leg.usage, Usage::Deposit(_)))?;
        leg.agreed.as_ref().map(|agreed| agreed.codec)
    }

    fn setup<'a>(&self, stream: &SendStream, peer: Towards, formats: &'a [Format]) -> PeerSetup<'a> {
        // RFC 8445 section 5.3: at least 24 bits of randomness in the ufrag, 128 in the password.
        let ufrag = format!("{:016x}", rand::random::<u64>());
        let password = format!("{:032x}", rand::random::<u128>());
        PeerSetup {
            ssrc: stream.ssrc(),
            addresses: self.webrtc_addresses(peer),
            over_tcp: self.sockets.take_tcp(),
            formats,
            ufrag,
            password,
        }
    }
}

impl WebRtcLeg {
    /// Both ends are described: the connection has to come up.
    fn described(&mut self, remote: &str, now: Instant) {
        self.fingerprint = fingerprint(remote).map(str::to_owned);
        if !self.peer.is_connected() {
            self.fails_at = Some(now + CONNECT_WITHIN);
        }
    }
}

fn new_leg(transport: Transport) -> Leg {
    let session = (u64::from(rand::random::<u32>()), 0);
    let stream = SendStream::new(rand::random());
    Leg {
        transport,
        offered: Vec::new(),
        agreed: None,
        stream,
        adapter: Adapter::default(),
        figures: Figures::default(),
        usage: Usage::Idle,
        player: None,
        presses: None,
        resting: None,
        repacker: None,
        session,
    }
}

/// RFC 9143 section 7.2.
const BUNDLE: &str = "a=group:BUNDLE";

/// The offer with its only section in a group: `rtc` refuses a section that is in none, which a phone without BUNDLE has.
fn bundled(offer: &str) -> String {
    let mids: Vec<&str> = offer.lines().filter_map(|line| line.strip_prefix("a=mid:")).collect();
    match offer.find("m=") {
        Some(at) if !offer.contains(BUNDLE) => format!("{}{BUNDLE} {}\r\n{}", &offer[..at], mids.join(" "), &offer[at..]),
        Some(_) | None => offer.to_owned(),
    }
}

/// An answer groups nothing that its offer didn't (RFC 9143 section 7.3).
fn without_bundle(answer: &str) -> String {
    answer.split_inclusive('\n').filter(|line| !line.starts_with(BUNDLE)).collect()
}

/// The answer in the offer's transport protocol (RFC 3264 section 6): not everybody offers the one with feedback, `SAVPF`.
fn with_protocol_of(offer: &str, answer: &str) -> String {
    let protocol = |description: &str| {
        let line = description.lines().find(|line| line.starts_with("m=audio "))?;
        line.split(' ').nth(2).map(str::to_owned)
    };
    match (protocol(offer), protocol(answer)) {
        (Some(offered), Some(answered)) if offered != answered => answer.replacen(&answered, &offered, 1),
        (Some(_) | None, Some(_) | None) => answer.to_owned(),
    }
}

fn failed(error: impl std::fmt::Display) -> MediaFailure {
    MediaFailure::Failed(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nt=0 0\r\na=setup:actpass\r\n\
                         m=audio 4000 UDP/TLS/RTP/SAVP 0\r\na=mid:0\r\na=sendrecv\r\n";
    const ANSWER: &str = "v=0\r\no=- 2 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
                          m=audio 5000 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n";

    #[test]
    fn a_phone_without_bundle_and_feedback_is_answered_in_its_words() {
        assert!(bundled(OFFER).contains("a=setup:actpass\r\na=group:BUNDLE 0\r\nm=audio 4000"));
        assert_eq!(bundled(&bundled(OFFER)), bundled(OFFER));
        let answer = without_bundle(&with_protocol_of(OFFER, ANSWER));
        assert_eq!(answer, ANSWER.replace("a=group:BUNDLE 0\r\n", "").replace("SAVPF", "SAVP"));
    }
}
