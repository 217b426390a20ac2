//! Busy lamps: colleagues' phones show who is on the phone (RFC 4235).
//!
//! With whom somebody talks is told to their own phones alone; the ids of a dialog also to colleagues while it rings, for they
//! may pick the call up (RFC 3891). A subscriber gets everything at first and at each refresh, and
//! else what has changed; everything, too, while an earlier NOTIFY is not answered, since then one may be left out.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use aftertone_model::{Now, SubscriberId};
use aftertone_sip::{
    Body, Flow, IncomingId, Request, ResponseParts, SubscriptionId, SubscriptionState, Uri,
    dialog_info::{self, DialogEntry, DialogInfo, DialogState, Participant},
};

use crate::{
    Exchange, LegId,
    call::{Call, Called, DeviceLeg, Partner, State},
    identity::Identity,
    requests::{challenge, contact_of},
};

/// Somebody who wants to know whether a person is on the phone.
#[derive(Debug)]
pub(crate) struct Watcher {
    pub(crate) watched: SubscriberId,
    /// Whose; `None`: a believed peer's.
    pub(crate) identity: Option<Identity>,
    /// The address that was asked for.
    entity: String,
    /// Of the next document.
    version: u32,
    told: Dialogs,
}

/// By the id within the document.
type Dialogs = BTreeMap<String, DialogEntry>;

impl Exchange {
    /// A subscription to a person's dialogs: for everybody of the account, and peers that are believed.
    pub(crate) fn watch(&mut self, id: IncomingId, request: &Request, flow: Flow, now: Now) -> Result<(), ResponseParts> {
        let identity = self.watching(request, flow, now)?;
        let watched = self.person_at(&request.uri, flow).ok_or(ResponseParts::new(404))?;
        if request.headers.contains("Accept") && !request.headers.list("Accept").into_iter().any(takes_dialog_info) {
            return Err(ResponseParts::new(406).with("Accept", dialog_info::CONTENT_TYPE));
        }
        let expires = self.subscribed_for(request);
        let contact = contact_of(flow, "dialog");
        let Some(subscription) = self.ua.accept_subscription(id, contact, expires, now.mono) else { return Ok(()) };
        let entity = request.uri.bare().to_string();
        self.watchers.insert(subscription, Watcher { watched, identity, entity, version: 0, told: Dialogs::new() });
        self.tell_all_dialogs(subscription, now);
        Ok(())
    }

    /// Who asks. Nobody learns from a refusal here whether the watched name exists.
    fn watching(&mut self, request: &Request, flow: Flow, now: Now) -> Result<Option<Identity>, ResponseParts> {
        let has_proof = request.headers.contains("Authorization") || request.headers.contains("Proxy-Authorization");
        if !has_proof && self.is_trusted(flow) {
            return Ok(None);
        }
        let identity = self.identify(request, flow, now.mono).map_err(challenge)?;
        let from = request.headers.from().map_err(|_| ResponseParts::new(400))?;
        let is_theirs = self.person_at(&from.uri, flow) == Some(identity.person);
        if is_theirs { Ok(Some(identity)) } else { Err(ResponseParts::new(403)) }
    }

    /// Everything, at the beginning and after a refresh (RFC 4235 section 3.9).
    pub(crate) fn tell_all_dialogs(&mut self, subscription: SubscriptionId, now: Now) {
        let Some(watcher) = self.watchers.get(&subscription) else { return };
        let dialogs = self.dialogs_of(watcher.watched);
        let dialogs = watcher.may_see(&dialogs);
        self.tell_dialogs(subscription, dialogs, true, now);
    }

    /// Tells everybody what has changed; whether there was something to tell.
    pub(crate) fn tell_watchers(&mut self, now: Now) -> bool {
        let news: Vec<_> = self.busy_news().into_iter().collect();
        for (subscription, dialogs) in news.iter().cloned() {
            self.tell_dialogs(subscription, dialogs, false, now);
        }
        !news.is_empty()
    }

    /// What watchers don't know yet: one look at the calls, however many watch.
    fn busy_news(&self) -> BTreeMap<SubscriptionId, Dialogs> {
        if self.watchers.is_empty() {
            return BTreeMap::new();
        }
        let involved: BTreeSet<_> = self.calls.values().flat_map(people_of).collect();
        let concerned = |watcher: &&Watcher| !watcher.told.is_empty() || involved.contains(&watcher.watched);
        let watched: BTreeSet<_> = self.watchers.values().filter(concerned).map(|watcher| watcher.watched).collect();
        let all: BTreeMap<_, _> = watched.into_iter().map(|person| (person, self.dialogs_of(person))).collect();
        let news = self.watchers.iter().filter_map(|(id, watcher)| {
            let dialogs = watcher.may_see(all.get(&watcher.watched)?);
            (dialogs != watcher.told).then_some((*id, dialogs))
        });
        news.collect()
    }

    fn tell_dialogs(&mut self, subscription: SubscriptionId, dialogs: Dialogs, everything: bool, now: Now) {
        let is_full = everything || !self.ua.is_told(subscription);
        let Some(watcher) = self.watchers.get_mut(&subscription) else { return };
        let listed = if is_full { dialogs.values().cloned().collect() } else { changes(&watcher.told, &dialogs) };
        let info = DialogInfo { version: watcher.version, entity: watcher.entity.clone(), is_full, dialogs: listed };
        (watcher.version, watcher.told) = (watcher.version + 1, dialogs);
        let body = Body::new(dialog_info::CONTENT_TYPE, info.to_body());
        self.ua.notify_once(subscription, SubscriptionState::Active, body, now.mono);
    }

    /// Ends the subscriptions of and to people and phones that are gone.
    pub(crate) fn drop_unknown_watchers(&mut self, now: Now) {
        let holds = |watcher: &Watcher| {
            self.directory.person(watcher.watched).is_some() && watcher.identity.is_none_or(|identity| self.still_knows(identity))
        };
        let gone: Vec<_> = self.watchers.iter().filter(|(_, watcher)| !holds(watcher)).map(|(id, _)| *id).collect();
        for subscription in gone {
            self.watchers.remove(&subscription);
            self.ua.terminate_subscription(subscription, "noresource", now.mono);
        }
    }

    fn dialogs_of(&self, person: SubscriberId) -> Dialogs {
        let Some(user) = self.directory.person(person).map(|person| &person.subscriber.user) else { return Dialogs::new() };
        let local = Participant { identity: Uri::sip(user.as_str(), &self.config.domain).to_string(), ..Participant::default() };
        let entry = |call: &Call, is_initiator, (state, leg)| {
            let id = format!("{}-{}", call.id, if is_initiator { "out" } else { "in" });
            let remote = Some(self.other_side(call, is_initiator));
            let dialog = call.session(leg).and_then(|session| self.ua.replaces(session));
            // As the phone sees it, whose tag the peer's is to us.
            let (call_id, tags) = dialog.map(|dialog| (dialog.call_id, (dialog.to_tag, dialog.from_tag))).unzip();
            let (local_tag, remote_tag) = tags.unzip();
            let (is_initiator, local) = (Some(is_initiator), Some(local.clone()));
            (id.clone(), DialogEntry { id, call_id, local_tag, remote_tag, is_initiator, state, local, remote })
        };
        let of_call = |call: &Call| {
            let (out, received) = (as_caller(call, person), as_called(call, person));
            let out = out.map(|state| (state, call.caller.leg));
            [out.map(|known| entry(call, true, known)), received.map(|known| entry(call, false, known))]
        };
        self.calls.values().flat_map(of_call).flatten().collect()
    }

    fn other_side(&self, call: &Call, is_initiator: bool) -> Participant {
        if !is_initiator {
            return Participant { display: call.shown.display.clone(), identity: call.shown.uri.to_string(), target: None };
        }
        let (user, display) = match &call.called {
            Called::Person(callee) => (callee.user.as_str(), Some(callee.display_name.clone())),
            Called::Outside(outside) => (outside.number.dialled.as_str(), None),
            Called::Menu(_) => (crate::MAILBOX_USER, None),
        };
        Participant { display, identity: Uri::sip(user, &self.config.domain).to_string(), target: None }
    }
}

impl Watcher {
    fn may_see(&self, dialogs: &Dialogs) -> Dialogs {
        let is_own = self.identity.is_some_and(|identity| identity.person == self.watched);
        let seen = |dialog: &DialogEntry| match (is_own, dialog.state, dialog.is_initiator) {
            (true, ..) => dialog.clone(),
            (false, DialogState::Early, Some(false)) => DialogEntry { remote: None, ..dialog.clone() },
            (false, ..) => DialogEntry { remote: None, call_id: None, local_tag: None, remote_tag: None, ..dialog.clone() },
        };
        dialogs.iter().map(|(id, dialog)| (id.clone(), seen(dialog))).collect()
    }
}

/// Who may be on the phone by a call.
fn people_of(call: &Call) -> impl Iterator<Item = SubscriberId> {
    call.origin.into_iter().chain(call.legs.values().filter_map(|device| device.owner))
}

/// How far a call is that this person made.
fn as_caller(call: &Call, person: SubscriberId) -> Option<DialogState> {
    if call.origin != Some(person) || call.caller.is_released {
        return None;
    }
    Some(match call.state {
        State::Accepted(_) | State::Running(_) => DialogState::Confirmed,
        State::Deciding(_) => DialogState::Early,
        State::Ringing if call.rings => DialogState::Early,
        State::Ringing => DialogState::Trying,
    })
}

/// How far a call is at this person's phones, and at which. Whose mailbox took it is not on the phone.
fn as_called(call: &Call, person: SubscriberId) -> Option<(DialogState, LegId)> {
    let state_of = |device: &DeviceLeg| if device.rings { DialogState::Early } else { DialogState::Trying };
    let (partner, state) = match call.state {
        State::Ringing => {
            let theirs = call.legs.iter().filter(|(_, device)| device.owner == Some(person));
            // Of those that have come as far, the first: it stays the same.
            return theirs.map(|(leg, device)| (state_of(device), *leg)).max_by_key(|(state, leg)| (*state, Reverse(*leg)));
        }
        State::Deciding(partner) => (partner, DialogState::Early),
        State::Accepted(partner) | State::Running(partner) => (partner, DialogState::Confirmed),
    };
    match partner {
        Partner::Device { leg, owner, .. } => (owner == Some(person)).then_some((state, leg)),
        Partner::Mailbox { .. } => None,
    }
}

/// What is new or other than before, and what is over.
fn changes(before: &Dialogs, now: &Dialogs) -> Vec<DialogEntry> {
    let ended = before.values().filter(|dialog| !now.contains_key(&dialog.id));
    let ended = ended.map(|dialog| DialogEntry { state: DialogState::Terminated, ..dialog.clone() });
    let changed = now.values().filter(|dialog| before.get(&dialog.id) != Some(dialog)).cloned();
    ended.chain(changed).collect()
}

fn takes_dialog_info(range: &str) -> bool {
    let media_type = range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    [dialog_info::CONTENT_TYPE, "application/*", "*/*"].contains(&media_type.as_str())
}
