//! Subscriptions that others hold with us: the notifier of RFC 6665 4.2.

use std::time::{Duration, Instant};

use super::core::{Owner, set_body};
use super::dialog::Dialog;
use super::{DialogOwner, UserAgent};
use crate::event::{Body, Event, IncomingId, ResponseParts, SubscriptionId, SubscriptionState, UnsubscribedBy};
use crate::flow::{ConnectionId, Flow};
use crate::message::{Request, Response};
use crate::method::Method;
use crate::timers::TimerKey;
use crate::transaction::{TransactionFailure, TxId};
use crate::uri::NameAddr;

/// A dialog with somebody who wants to know a state.
#[derive(Debug)]
pub(crate) struct Subscription {
    dialog: Dialog,
    /// Event as the subscriber wrote it, with its id (RFC 6665 4.1.2.1).
    event: String,
    /// The duration that was granted last, in seconds; 0: the state is told once.
    granted: u32,
    ends_at: Instant,
    /// What the subscriber is to know.
    last: Option<(SubscriptionState, Option<Body>)>,
    /// A NOTIFY waits for its response.
    in_flight: bool,
    /// `last` has changed since that NOTIFY.
    is_dirty: bool,
    /// `last` stands for the whole state, so it may be said again.
    repeats: bool,
}

impl UserAgent {
    pub(super) fn begin_subscription(
        &mut self,
        id: IncomingId,
        contact: NameAddr,
        expires: u32,
        now: Instant,
    ) -> Option<SubscriptionId> {
        let tx = TxId(id.0);
        let transaction = self.core.servers.get(tx).filter(|_| self.core.servers.is_open(tx))?;
        let event =
            transaction.request.headers.get("Event").filter(|_| transaction.request.method == Method::Subscribe)?.to_owned();
        let dialog = Dialog::as_callee(transaction, contact.clone())?;
        let local_tag = transaction.local_tag.clone();
        let subscription = SubscriptionId(self.core.next_id());
        let ends_at = now + Duration::from_secs(u64::from(expires));
        self.dialogs.insert((dialog.call_id.clone(), local_tag), DialogOwner::Subscription(subscription));
        self.core.respond(tx, ResponseParts::new(200).with("Expires", expires).with("Contact", contact), now);
        // For Expires: 0 it ends as soon as the state was told once (RFC 6665 4.4.3).
        let ends_at_latest = if expires == 0 { now + self.core.wire.patience() } else { ends_at };
        self.core.wire.timers.set(TimerKey::Subscription(subscription), ends_at_latest);
        let new = Subscription {
            dialog,
            event,
            granted: expires,
            ends_at,
            last: None,
            in_flight: false,
            is_dirty: false,
            repeats: true,
        };
        self.subscriptions.insert(subscription, new);
        Some(subscription)
    }

    pub(super) fn tell(
        &mut self,
        id: SubscriptionId,
        (state, body): (SubscriptionState, Option<Body>),
        repeats: bool,
        now: Instant,
    ) {
        let Some(subscription) = self.subscriptions.get_mut(&id) else { return };
        (subscription.last, subscription.repeats) = (Some((state, body)), repeats);
        if subscription.granted == 0 {
            self.close_subscription(id, "timeout", now);
            return;
        }
        subscription.is_dirty = true;
        self.notify_if_free(id, now);
    }

    /// One NOTIFY at a time, so that they can't overtake each other.
    fn notify_if_free(&mut self, id: SubscriptionId, now: Instant) {
        let Some(subscription) = self.subscriptions.get_mut(&id).filter(|s| s.is_dirty && !s.in_flight) else { return };
        let Some((state, _)) = subscription.last else { return };
        let rest = subscription.ends_at.saturating_duration_since(now).as_secs();
        let state = match state {
            SubscriptionState::Active => format!("active;expires={rest}"),
            SubscriptionState::Pending => format!("pending;expires={rest}"),
        };
        (subscription.is_dirty, subscription.in_flight) = (false, true);
        let (request, flow) = subscription.request(&state);
        self.core.send(request, flow, Owner::Notify(id), now);
    }

    pub(super) fn has_heard_all(&self, id: SubscriptionId) -> bool {
        self.subscriptions.get(&id).is_none_or(|subscription| !subscription.in_flight && !subscription.is_dirty)
    }

    /// The last NOTIFY. The subscription is gone afterwards.
    pub(super) fn close_subscription(&mut self, id: SubscriptionId, reason: &str, now: Instant) {
        let Some(mut subscription) = self.forget_subscription(id) else { return };
        if !subscription.repeats && subscription.granted > 0 {
            subscription.last = None;
        }
        let (request, flow) = subscription.request(&format!("terminated;reason={}", crate::grammar::one_line(reason)));
        self.core.send(request, flow, Owner::Nobody, now);
    }

    pub(super) fn subscription_over(&mut self, id: SubscriptionId, now: Instant) {
        if self.subscriptions.contains_key(&id) {
            self.close_subscription(id, "timeout", now);
            self.core.emit(Event::Unsubscribed { subscription: id, by: UnsubscribedBy::Expired });
        }
    }

    pub(super) fn notify_outcome(&mut self, id: SubscriptionId, result: &Result<Response, TransactionFailure>, now: Instant) {
        match result {
            Ok(response) if response.is_provisional() => {}
            Ok(response) if response.is_success() => {
                if let Some(subscription) = self.subscriptions.get_mut(&id) {
                    subscription.in_flight = false;
                }
                self.notify_if_free(id, now);
            }
            Ok(_) | Err(_) => self.subscription_failed(id),
        }
    }

    fn subscription_failed(&mut self, id: SubscriptionId) {
        if self.forget_subscription(id).is_some() {
            self.core.emit(Event::Unsubscribed { subscription: id, by: UnsubscribedBy::Failed });
        }
    }

    pub(super) fn subscriptions_closed(&mut self, connection: ConnectionId) {
        let gone: Vec<_> =
            self.subscriptions.iter().filter(|(_, s)| s.dialog.flow.connection == Some(connection)).map(|(id, _)| *id).collect();
        for id in gone {
            self.subscription_failed(id);
        }
    }

    /// A request with the tags of a subscription: a refresh or its end.
    pub(super) fn in_subscription(&mut self, id: SubscriptionId, tx: TxId, request: &Request, source: Flow, now: Instant) {
        let Some(subscription) = self.subscriptions.get_mut(&id) else { return };
        let number = request.headers.cseq().map_or(0, |cseq| cseq.number);
        let refusal = subscription.refusal(request);
        if let Some(status) = refusal {
            self.core.respond_status(tx, status, now);
            return;
        }
        subscription.dialog.remote_cseq = Some(number);
        subscription.dialog.follow(request, source);
        let longest = self.core.config.max_subscription_expires;
        let expires = request.headers.expires().map_or(subscription.granted, |asked| asked.min(longest));
        self.renew_subscription(id, tx, expires, now);
    }

    fn renew_subscription(&mut self, id: SubscriptionId, tx: TxId, expires: u32, now: Instant) {
        let Some(subscription) = self.subscriptions.get_mut(&id) else { return };
        let parts = ResponseParts::new(200).with("Expires", expires).with("Contact", &subscription.dialog.contact);
        subscription.ends_at = now + Duration::from_secs(u64::from(expires));
        subscription.granted = expires;
        subscription.is_dirty |= subscription.last.is_some() && subscription.repeats;
        let ends_at = subscription.ends_at;
        self.core.respond(tx, parts, now);
        if expires == 0 {
            self.close_subscription(id, "timeout", now);
            self.core.emit(Event::Unsubscribed { subscription: id, by: UnsubscribedBy::Remote });
            return;
        }
        self.core.wire.timers.set(TimerKey::Subscription(id), ends_at);
        self.core.emit(Event::Resubscribed { subscription: id, expires });
        self.notify_if_free(id, now);
    }

    fn forget_subscription(&mut self, id: SubscriptionId) -> Option<Subscription> {
        self.core.wire.timers.stop(TimerKey::Subscription(id));
        let subscription = self.subscriptions.remove(&id)?;
        let local_tag = subscription.dialog.local.tag().unwrap_or_default().to_owned();
        self.dialogs.remove(&(subscription.dialog.call_id.clone(), local_tag));
        Some(subscription)
    }
}

impl Subscription {
    /// What a request gets that is no refresh.
    fn refusal(&self, request: &Request) -> Option<u16> {
        if request.method != Method::Subscribe {
            return Some(if request.method == Method::Options { 200 } else { 405 });
        }
        let number = request.headers.cseq().map_or(0, |cseq| cseq.number);
        if request.headers.from().ok().as_ref().and_then(NameAddr::tag).unwrap_or_default() != self.dialog.remote_tag() {
            return Some(481);
        }
        if self.dialog.remote_cseq.is_some_and(|last| number <= last) {
            return Some(500);
        }
        request.headers.get("Event").filter(|event| *event != self.event).map(|_| 489)
    }

    fn request(&mut self, state: &str) -> (Request, Flow) {
        let mut request = self.dialog.request(Method::Notify);
        request.headers.push("Event", &self.event);
        request.headers.push("Subscription-State", state);
        if let Some((_, Some(body))) = &self.last {
            set_body(&mut request.headers, &mut request.body, body.clone());
        }
        (request, self.dialog.next_hop())
    }
}
