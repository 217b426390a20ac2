//! A call as the exchange sees it: one leg to the caller, one to each device of the called person.
//!
//! ```text
//!                 a device answered                 described            ACK (and its answer applied)
//!  Ringing ------------------------> Deciding ------------> Accepted ------------> Running
//!     |                                 ^      200 to caller          bridge, or deposit
//!     +-- diverted to the mailbox ------+
//! ```
//!
//! A call that ends in whatever state leaves the map of calls; there is no state for it.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::IpAddr,
    time::Duration,
};

use aftertone_media::Codec;
use aftertone_model::{CallId, Caller, Reason, Subscriber, SubscriberId, Timestamp};
use aftertone_sip::{Flow, Headers, NameAddr, ReferralId, SessionId};

use crate::{LegId, LegMedia, dialplan::Number, direct::Way, menu::Visitor, trunks::LineId};

/// The media plane answers in this time, or has failed.
pub(crate) const MEDIA_WAIT: Duration = Duration::from_secs(10);

/// A device whose connection closed in a call may come back over a new one for so long.
pub(crate) const RETURN_WAIT: Duration = Duration::from_secs(5);
/// Nobody outside is rung for longer: as long as an INVITE without an answer holds in the network (RFC 3261 section 16.6,
/// timer C).
pub(crate) const RING_OUTSIDE: Duration = Duration::from_secs(180);

/// A trunk that lost its connection may come back over a new one for so long: as long as the peer repeats what it says
/// (RFC 3261 section 17.1.1.2, timer B).
pub(crate) const TRUNK_RETURN_WAIT: Duration = Duration::from_secs(32);

#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) id: CallId,
    /// Under which call the media plane knows its legs: a transferred call stays where its media is.
    pub(crate) media: CallId,
    pub(crate) caller: CallerLeg,
    pub(crate) called: Called,
    /// The caller as the called person sees them.
    pub(crate) party: Caller,
    /// The same as `From` to the devices.
    pub(crate) shown: NameAddr,
    /// The caller, if it is one of our people.
    pub(crate) origin: Option<SubscriberId>,
    /// `origin` has shown who they are, by credentials or by their device's connection.
    pub(crate) is_proven: bool,
    /// The server made it, because the called person wanted to try their mailbox.
    pub(crate) is_test: bool,
    /// It is made in the name of `origin` by whoever knows their PIN, on a phone that isn't theirs: it has none of their rights.
    pub(crate) by_pin: bool,
    /// Where it came from, if nobody vouches for it.
    pub(crate) stranger: Option<IpAddr>,
    /// How many more hops the call may take (RFC 3261 section 8.1.1.6): a ring of forwarding phones ends.
    pub(crate) hops: u8,
    pub(crate) started_at: Timestamp,
    /// The caller was told that it rings.
    pub(crate) rings: bool,
    pub(crate) legs: BTreeMap<LegId, DeviceLeg>,
    /// Others whom a device of the called person forwarded to.
    pub(crate) forwarded: BTreeSet<SubscriberId>,
    /// Where the called person's phone forwarded to outside.
    pub(crate) forward: Option<Forward>,
    pub(crate) tally: Tally,
    pub(crate) state: State,
    /// The leg whose sound the caller hears before the answer.
    pub(crate) early: Option<LegId>,
    /// How its media go.
    pub(crate) way: Way,
    /// The legs whose owners hold the call.
    pub(crate) held_by: BTreeSet<LegId>,
    /// People whose part in it is over, and logged.
    pub(crate) logged: BTreeSet<SubscriberId>,
    /// The call that one of its parties is lent to, while the target of a transfer rings.
    pub(crate) transfer: Option<CallId>,
    /// The call that has lent its caller to this one.
    pub(crate) lender: Option<CallId>,
    /// Who has transferred it here.
    pub(crate) referrer: Option<Referrer>,
    /// What a believed peer says of who has signed for the caller (RFC 8224), as it came.
    pub(crate) signatures: Vec<String>,
    /// The transfer whose transferor wants to hear how it goes.
    pub(crate) referral: Option<ReferralId>,
    /// Whom a believed peer says to be at the other end of its leg by now.
    pub(crate) connected: BTreeMap<LegId, Caller>,
    /// Why a party has hung up, in its own words (RFC 3326).
    pub(crate) farewell: Headers,
}

/// Who transfers a call.
#[derive(Debug, Clone)]
pub(crate) enum Referrer {
    /// One of ours.
    Person(SubscriberId),
    /// Somebody at a believed peer, by the name that it gives.
    Peer(NameAddr),
}

/// Whom the call is for.
#[derive(Debug)]
pub(crate) enum Called {
    /// The called person as they were when the call came in.
    Person(Box<Subscriber>),
    /// Somebody outside the account, over a trunk.
    Outside(Outside),
    /// The phone menu.
    Menu(Visitor),
}

/// A call over trunks.
#[derive(Debug)]
pub(crate) struct Outside {
    pub(crate) number: Number,
    /// Trunks that were not tried yet, the next one first.
    pub(crate) routes: VecDeque<LineId>,
    /// What the last trunk answered.
    pub(crate) status: u16,
}

/// A way outside that the called person's phone has chosen (3xx), at that person's cost.
#[derive(Debug)]
pub(crate) struct Forward {
    pub(crate) by: SubscriberId,
    pub(crate) outside: Outside,
    /// As in Diversion (RFC 5806 section 4).
    pub(crate) reason: String,
}

/// The caller's side.
#[derive(Debug)]
pub(crate) struct CallerLeg {
    pub(crate) leg: LegId,
    pub(crate) session: SessionId,
    /// The trunk that it came over.
    pub(crate) line: Option<LineId>,
    pub(crate) flow: Flow,
    pub(crate) media: LegMedia,
    /// `None`: the caller waits for our offer.
    pub(crate) offer: Option<String>,
    /// The codecs of the offer, best first.
    pub(crate) codecs: Vec<Codec>,
    /// The answer that it got before the call was answered, with what the network says.
    pub(crate) early: Option<String>,
    /// The media plane knows the leg.
    pub(crate) has_media: bool,
    /// It was answered before this call began: a transferred party.
    pub(crate) is_answered: bool,
    /// It belongs to another call by now.
    pub(crate) is_released: bool,
    /// What was agreed on.
    pub(crate) codec: Option<Codec>,
}

/// A device's side.
#[derive(Debug)]
pub(crate) struct DeviceLeg {
    /// `None`: a leg over a trunk.
    pub(crate) owner: Option<SubscriberId>,
    /// The trunk that it goes over.
    pub(crate) line: Option<LineId>,
    pub(crate) flow: Flow,
    pub(crate) media: LegMedia,
    pub(crate) contact: aftertone_sip::Uri,
    /// The proxies on the way to it (RFC 3327).
    pub(crate) path: Vec<String>,
    /// It rings, as far as it says.
    pub(crate) rings: bool,
    /// `None` while its offer is being made.
    pub(crate) session: Option<SessionId>,
    pub(crate) codec: Option<Codec>,
    /// It was offered the caller's own description, and the media plane does not know it.
    pub(crate) is_direct: bool,
    /// What it has offered anew before its answer, which will say nothing more than that.
    pub(crate) offered: Option<String>,
    /// Where a trunk's peer forks the call: the branch whose media are used before the answer, by its tag.
    pub(crate) branch: Option<String>,
}

/// How devices that are done have answered.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) busy: bool,
    /// Some device was reached, but would or could not take the call.
    pub(crate) refused: bool,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum State {
    /// Devices ring, or their offers are being made.
    Ringing,
    /// It is clear who takes the call; descriptions are being made and applied.
    Deciding(Partner),
    /// The caller got 200.
    Accepted(Partner),
    /// The caller's ACK came.
    Running(Partner),
}

/// Who takes the call.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Partner {
    Device { leg: LegId, owner: Option<SubscriberId>, answered_at: Timestamp },
    Mailbox { reason: Reason },
}

impl Call {
    /// The called person, if it is one of ours.
    pub(crate) fn callee(&self) -> Option<&Subscriber> {
        match &self.called {
            Called::Person(subscriber) => Some(subscriber),
            Called::Outside(_) | Called::Menu(_) => None,
        }
    }

    /// The way outside that is being tried: the call's own, or that of who forwarded it.
    pub(crate) fn outside_mut(&mut self) -> Option<&mut Outside> {
        match &mut self.called {
            Called::Outside(outside) => Some(outside),
            Called::Person(_) => self.forward.as_mut().map(|forward| &mut forward.outside),
            Called::Menu(_) => None,
        }
    }

    pub(crate) fn partner(&self) -> Option<Partner> {
        match self.state {
            State::Ringing => None,
            State::Deciding(partner) | State::Accepted(partner) | State::Running(partner) => Some(partner),
        }
    }

    /// The session of a leg.
    pub(crate) fn session(&self, leg: LegId) -> Option<SessionId> {
        if leg == self.caller.leg { Some(self.caller.session) } else { self.legs.get(&leg)?.session }
    }

    /// The trunk that a leg goes over.
    pub(crate) fn line(&self, leg: LegId) -> Option<LineId> {
        if leg == self.caller.leg { self.caller.line } else { self.legs.get(&leg)?.line }
    }

    /// Every leg that has a session.
    pub(crate) fn sessions(&self) -> impl Iterator<Item = (LegId, SessionId)> {
        let devices = self.legs.iter().filter_map(|(leg, device)| Some((*leg, device.session?)));
        std::iter::once((self.caller.leg, self.caller.session)).chain(devices)
    }

    /// What a leg speaks.
    pub(crate) fn codec_of(&self, leg: LegId) -> Option<Codec> {
        if leg == self.caller.leg { self.caller.codec } else { self.legs.get(&leg)?.codec }
    }

    /// Whether it is the leg that talks to the caller.
    pub(crate) fn is_partner(&self, leg: LegId) -> bool {
        matches!(self.partner(), Some(Partner::Device { leg: partner, .. }) if partner == leg)
    }

    /// The caller's codecs, then the others: what the other side is offered. What can't be transcoded comes last, and is alone
    /// where the caller has nothing else.
    pub(crate) fn preference(&self) -> Vec<Codec> {
        let (coded, passed): (Vec<_>, Vec<_>) = self.caller.codecs.iter().partition(|codec| codec.is_coded());
        if coded.is_empty() && !passed.is_empty() {
            return passed;
        }
        let others = Codec::ALL.into_iter().filter(|codec| !coded.contains(codec)).collect();
        [coded, others, passed].concat()
    }
}
