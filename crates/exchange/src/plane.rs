//! What the exchange asks of the media plane, and what it gets back.
//!
//! The exchange never sees a packet. It sends a [`MediaCommand`] as an event and gets the result as an input with the same
//! [`MediaRequestId`]: [`Exchange::handle_described`](crate::Exchange::handle_described) for `Offer` and `Answer`,
//! [`Exchange::handle_applied`](crate::Exchange::handle_applied) for `Apply`. A result for a request that is no longer open
//! is dropped, so the media plane may answer late; one that does not answer within ten seconds has failed.

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf, time::Duration};

use aftertone_media::{Codec, dtmf::Digit};
use aftertone_model::{CallId, CallRecord, Envelope, Extension, Language, StreamFigures, SubscriberId};

/// One side of a call: the caller's, or one device of the called person's. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LegId(pub u64);

/// Joins a command and its result. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MediaRequestId(pub u64);

/// Whom a leg must be reachable for: chooses the address in its description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Towards {
    /// The other end.
    pub ip: IpAddr,
    /// Our address as that end says it sees it, where a NAT stands in between.
    pub seen_as: Option<IpAddr>,
}

impl From<IpAddr> for Towards {
    fn from(ip: IpAddr) -> Self {
        Self { ip, seen_as: None }
    }
}

/// What a leg's packets are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LegMedia {
    /// Plain RTP/AVP.
    Rtp,
    /// ICE, DTLS-SRTP, RTP/SAVPF.
    WebRtc,
}

/// Something to be played to a leg.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sound {
    /// The music on hold that comes with the server.
    HoldMusic,
    /// What a caller hears while it rings.
    RingBack,
    /// Busy.
    Busy,
    /// A short beep: something begins, such as a recording.
    Beep,
    /// A sound file on the server, of any kind that can be imported. One that can't be read is silence, and logged.
    File(PathBuf),
}

/// An order to the media plane.
#[derive(Debug, Clone, PartialEq)]
pub enum MediaCommand {
    /// Make an offer for a leg, new or (for a re-INVITE without a description) known. Answered by `handle_described`.
    Offer {
        /// Comes back with the result.
        request: MediaRequestId,
        /// The call that the leg belongs to.
        call: CallId,
        /// The leg; unknown until now, unless it is offered anew.
        leg: LegId,
        /// What to offer.
        media: LegMedia,
        /// Whom the leg must be reachable for: chooses the address in the description.
        peer: Towards,
        /// Codecs in the order in which to offer them. Empty: the plane's own order.
        prefer: Vec<Codec>,
    },
    /// Answer the other end's offer, for a new leg or (a re-INVITE: hold, resume, moved) for a known one. Answered by
    /// `handle_described`. A failure on a known leg leaves it as it was.
    Answer {
        /// Comes back with the result.
        request: MediaRequestId,
        /// The call that the leg belongs to.
        call: CallId,
        /// The leg.
        leg: LegId,
        /// What the offer is.
        media: LegMedia,
        /// Whom the leg must be reachable for.
        peer: Towards,
        /// The offer, SDP.
        offer: String,
        /// Codecs to choose from first, best first; the others only if none of these is in the offer. Empty: the
        /// offer's own order.
        prefer: Vec<Codec>,
    },
    /// Apply the other end's answer to our offer. Answered by `handle_applied`.
    Apply {
        /// Comes back with the result.
        request: MediaRequestId,
        /// The leg.
        leg: LegId,
        /// The answer, SDP.
        answer: String,
    },
    /// Relay between two described legs, both ways; transcode only where the codecs differ.
    Bridge {
        /// The caller's leg.
        a: LegId,
        /// The called device's leg.
        b: LegId,
    },
    /// Play the greeting and record on a described leg. The plane says `handle_deposit_over` when it ended by itself;
    /// `Close` ends it when the caller hung up. From this command on the call record is the plane's to complete and to
    /// commit, with or without a message.
    Deposit {
        /// The caller's leg.
        leg: LegId,
        /// Whose mailbox, from whom, and the drafts. Boxed, for it is far larger than the other commands.
        deposit: Box<DepositOrder>,
    },
    /// Let the other end of a described leg use the phone menu. The plane says `handle_deposit_over` when that ended by itself, and
    /// `handle_dialled` when somebody is to be called.
    Menu {
        /// The listener's leg.
        leg: LegId,
        /// Whose, and in which language.
        menu: MenuOrder,
    },
    /// The answer to `handle_dialled`. Taken, the menu on the leg is over, and what comes next is for a leg without a use.
    Dialled {
        /// The listener's leg.
        leg: LegId,
        /// Whether the call is being made.
        taken: bool,
    },
    /// Play to a described leg, in place of what the other end of its bridge says: music on hold, ring back, an
    /// announcement. What the leg itself says goes on to where it went. Another `Play` takes the place of the first.
    Play {
        /// Who listens.
        leg: LegId,
        /// What.
        sound: Sound,
        /// From the beginning again at its end, until `StopPlaying`; otherwise the leg hears its bridge again at the end.
        repeat: bool,
    },
    /// The leg hears its bridge again, or nothing.
    StopPlaying {
        /// Who listened.
        leg: LegId,
    },
    /// The other end of the call pressed a key, as its signalling says (SIP INFO): a deposit on the leg takes it, otherwise
    /// the leg hears it as a telephone event.
    Press {
        /// Who takes or hears it.
        leg: LegId,
        /// The key.
        digit: Digit,
    },
    /// The leg is over: forget it and what is bridged to it. A deposit that runs on it is finished as a hang-up. The plane says
    /// `handle_measured`. It is the last command about a leg; it may come for a leg whose `Offer` or `Answer` failed or is still open.
    Close {
        /// The leg.
        leg: LegId,
    },
}

/// What the answering machine needs to take a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DepositOrder {
    /// Of the message, if there will be one.
    pub envelope: Envelope,
    /// The draft of the mailbox owner's record: incoming, diverted, not answered. `ended_at` is that of the order and
    /// `message` is empty; both are filled in at the end.
    pub record: CallRecord,
    /// The language of the prompts.
    pub language: Language,
    /// What is played before the beep. Without it, or if it can't be had, the greeting that comes with the server.
    pub greeting: Option<Sound>,
    /// The owner's name in their own voice, said before the greeting that comes with the server; never before one of their own.
    pub spoken_name: Option<Sound>,
    /// The longest message.
    pub longest: Duration,
    /// Where the star key leads from the greeting.
    pub menu: Option<MenuOrder>,
    /// What the digits lead to while the greeting plays; the 0 also later.
    pub keys: BTreeMap<Digit, KeyOrder>,
    /// The hash key does not hang up after the message, but lets the caller choose what becomes of it.
    pub choices: bool,
}

/// Where a digit leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyOrder {
    /// Away from the mailbox: the plane says `handle_key`, and the leg has no use until then.
    Leave,
    /// To a sound, with the greeting once more behind it.
    Announce(Sound),
}

/// What the phone menu needs to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MenuOrder {
    /// How the listener came.
    pub access: MenuAccess,
    /// The language of what is said before a mailbox is open.
    pub language: Language,
    /// Who tries PINs, as far as that is known.
    pub caller: MenuCaller,
}

/// Who tries PINs. The names are for counting alone, and never the same for two ways that somebody may come: what a caller says
/// of themselves is worth as much as who passes it on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MenuCaller {
    /// Somebody who can be told from others: a person by their device, a number by where it is said, an address (of IPv6 the
    /// network, of which its owner has as many addresses as they like: RFC 6177).
    Known(String),
    /// Everybody who comes this way and shows no number.
    Nameless(String),
}

/// How somebody came to the phone menu.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MenuAccess {
    /// From an authenticated device of this person, without a PIN.
    Device(SubscriberId),
    /// From the greeting of this mailbox: by its PIN.
    Mailbox(Extension),
    /// By mailbox and PIN.
    Anybody,
}

/// A description that the media plane made: the result of `Offer` and `Answer`.
#[derive(Debug, Clone, PartialEq)]
pub struct Described {
    /// SDP, ready to be sent.
    pub sdp: String,
    /// The codecs in it, best first; for an answer, what was chosen first.
    pub codecs: Vec<Codec>,
}

/// What the media plane has measured of a leg, from its beginning to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LegFigures {
    /// What was agreed on last.
    pub codec: Codec,
    /// Whether the packets were encrypted.
    pub encrypted: bool,
    /// What came from the other end.
    pub inbound: StreamFigures,
    /// What the other end was sent, by its own reports; `None` without any.
    pub outbound: Option<StreamFigures>,
    /// There and back on average, in milliseconds, if reports told.
    pub round_trip_ms: Option<u32>,
}

/// Why a media request failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MediaFailure {
    /// The description can't be used: no common codec, no audio, malformed.
    #[error("the description is not acceptable: {0}")]
    Unacceptable(String),
    /// No ports, no memory, no worker.
    #[error("the media plane has no room")]
    Exhausted,
    /// Anything else.
    #[error("the media plane failed: {0}")]
    Failed(String),
}
