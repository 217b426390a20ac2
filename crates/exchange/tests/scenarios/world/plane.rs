//! A media plane that makes descriptions of a few lines and remembers what it was told.

use std::collections::BTreeSet;

use aftertone_exchange::{
    DepositOrder, Described, LegFigures, LegId, LegMedia, MediaCommand, MediaFailure, MediaRequestId, MenuOrder,
};
use aftertone_media::{Codec, sdp};
use aftertone_model::StreamFigures;

pub(crate) enum Reply {
    Described(MediaRequestId, Result<Described, MediaFailure>),
    Applied(MediaRequestId, Result<Codec, MediaFailure>),
    Measured(LegId, LegFigures),
}

type Refusal = Box<dyn Fn(&MediaCommand) -> Option<MediaFailure>>;

#[derive(Default)]
pub(crate) struct Plane {
    pub(crate) commands: Vec<MediaCommand>,
    /// Legs that were not closed yet.
    pub(crate) open: BTreeSet<LegId>,
    pub(crate) bridges: Vec<(LegId, LegId)>,
    pub(crate) deposits: Vec<(LegId, DepositOrder)>,
    pub(crate) menus: Vec<(LegId, MenuOrder)>,
    pub(crate) refuses: Option<Refusal>,
    /// Commands are not answered.
    pub(crate) stuck: bool,
}

impl Plane {
    pub(crate) fn take(&mut self, command: MediaCommand) -> Option<Reply> {
        self.commands.push(command.clone());
        let failure = self.refuses.as_ref().and_then(|refuses| refuses(&command));
        let reply = match command {
            MediaCommand::Offer { request, leg, media, prefer, .. } => {
                self.open.insert(leg);
                let codecs = if prefer.is_empty() { Codec::ALL.to_vec() } else { prefer };
                Reply::Described(request, failure.map_or_else(|| Ok(description(leg, media, codecs)), Err))
            }
            MediaCommand::Answer { request, leg, media, offer, prefer, .. } => {
                self.open.insert(leg);
                Reply::Described(request, failure.map_or_else(|| Ok(answer(leg, media, &offer, &prefer)), Err))
            }
            MediaCommand::Apply { request, answer, .. } => {
                Reply::Applied(request, failure.map_or_else(|| Ok(codecs_of(&answer)[0]), Err))
            }
            MediaCommand::Bridge { a, b } => {
                self.bridges.push((a, b));
                return None;
            }
            MediaCommand::Deposit { leg, deposit } => {
                self.deposits.push((leg, *deposit));
                return None;
            }
            MediaCommand::Menu { leg, menu } => {
                self.menus.push((leg, menu));
                return None;
            }
            MediaCommand::Play { .. }
            | MediaCommand::StopPlaying { .. }
            | MediaCommand::Press { .. }
            | MediaCommand::Dialled { .. } => return None,
            MediaCommand::Close { leg } => {
                assert!(self.open.remove(&leg), "{leg:?} was not open");
                Reply::Measured(leg, measured(leg))
            }
        };
        (!self.stuck).then_some(reply)
    }

    /// The keys that were passed on, with the legs.
    pub(crate) fn presses(&self) -> Vec<(LegId, char)> {
        let press = |command: &MediaCommand| match command {
            MediaCommand::Press { leg, digit } => Some((*leg, digit.as_char())),
            _ => None,
        };
        self.commands.iter().filter_map(press).collect()
    }

    /// The legs that were offered, in order.
    pub(crate) fn offers(&self) -> Vec<(LegMedia, Vec<Codec>)> {
        let offer = |command: &MediaCommand| match command {
            MediaCommand::Offer { media, prefer, .. } => Some((*media, prefer.clone())),
            _ => None,
        };
        self.commands.iter().filter_map(offer).collect()
    }

    pub(crate) fn answers(&self) -> Vec<(LegId, Vec<Codec>)> {
        let answer = |command: &MediaCommand| match command {
            MediaCommand::Answer { leg, prefer, .. } => Some((*leg, prefer.clone())),
            _ => None,
        };
        self.commands.iter().filter_map(answer).collect()
    }
}

/// Of each leg something else: as many packets as its number says.
fn measured(leg: LegId) -> LegFigures {
    let inbound = StreamFigures { packets: leg.0, lost: 1, jitter_ms: 2, mos_centi: 400 };
    LegFigures { codec: Codec::Pcmu, encrypted: false, inbound, outbound: None, round_trip_ms: Some(3) }
}

fn answer(leg: LegId, media: LegMedia, offer: &str, prefer: &[Codec]) -> Described {
    let offered = codecs_of(offer);
    let chosen = prefer.iter().chain(&offered).find(|codec| offered.contains(codec)).copied();
    description(leg, media, chosen.into_iter().collect())
}

fn description(leg: LegId, media: LegMedia, codecs: Vec<Codec>) -> Described {
    Described { sdp: text(&format!("leg-{}", leg.0), media == LegMedia::WebRtc, &codecs), codecs }
}

/// A description that `sdp::parse` understands.
pub(crate) fn text(name: &str, webrtc: bool, codecs: &[Codec]) -> String {
    let protocol = if webrtc { "UDP/TLS/RTP/SAVPF" } else { "RTP/AVP" };
    let types: Vec<_> = codecs.iter().map(|codec| codec.payload_type().to_string()).collect();
    let maps: String = codecs.iter().map(|codec| format!("a=rtpmap:{} {}\r\n", codec.payload_type(), codec.rtpmap())).collect();
    format!(
        "v=0\r\no=- 1 1 IN IP4 10.0.0.9\r\ns={name}\r\nc=IN IP4 10.0.0.9\r\nt=0 0\r\nm=audio 4000 {protocol} {}\r\n{maps}",
        types.join(" ")
    )
}

pub(crate) fn codecs_of(text: &str) -> Vec<Codec> {
    let session = sdp::parse(text).unwrap();
    let (_, audio) = session.audio().unwrap();
    audio.formats().iter().filter_map(sdp::Format::codec).collect()
}
