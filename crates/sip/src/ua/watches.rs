//! Subscriptions that we hold with others: the subscriber of RFC 6665 4.1.

use std::time::{Duration, Instant};

use super::core::Owner;
use super::dialog::Dialog;
use super::session::request_key;
use super::{DialogOwner, UserAgent};
use crate::digest::{Authorizer, Challenged};
use crate::event::{Event, RequestFailure, ResponseParts, UnwatchedBy, Watch, WatchId};
use crate::flow::{ConnectionId, Flow};
use crate::message::{Request, Response};
use crate::method::Method;
use crate::params::Params;
use crate::timers::TimerKey;
use crate::transaction::{ClientOutcome, TransactionFailure, TxId};

/// One of our subscriptions.
#[derive(Debug)]
pub(crate) struct Watching {
    watch: Watch,
    flow: Flow,
    authorizer: Option<Authorizer>,
    challenged: Challenged,
    /// Call-ID and our tag.
    key: (String, String),
    /// Of the last SUBSCRIBE.
    number: u32,
    /// Since the first 2xx or NOTIFY.
    dialog: Option<Dialog>,
    /// Failures in a row.
    failures: u32,
    /// Nobody wants to hear of it any more; the last NOTIFY is awaited.
    is_closing: bool,
}

/// The first pause after a failure; it doubles up to half an hour.
const PAUSE: Duration = Duration::from_secs(30);

/// Doublings of the pause.
const MOST_DOUBLINGS: u32 = 6;

impl UserAgent {
    pub(super) fn begin_watch(&mut self, watch: Watch, flow: Flow, now: Instant) -> WatchId {
        let id = WatchId(self.core.next_id());
        let authorizer = watch.credentials.clone().map(Authorizer::new);
        let (key, challenged) = Default::default();
        let watching =
            Watching { watch, flow, authorizer, challenged, key, number: 0, dialog: None, failures: 0, is_closing: false };
        self.watches.insert(id, watching);
        self.subscribe_anew(id, now);
        id
    }

    pub(super) fn end_watch(&mut self, id: WatchId, now: Instant) {
        let Some(watching) = self.watches.get_mut(&id) else { return };
        let has_dialog = watching.dialog.is_some();
        watching.is_closing = true;
        let gone_at = now + self.core.wire.patience() * 2;
        self.core.wire.timers.stop(TimerKey::WatchRefresh(id));
        self.core.wire.timers.set(TimerKey::WatchGone(id), gone_at);
        if has_dialog {
            self.resubscribe(id, now);
        }
    }

    /// A subscription from the beginning.
    fn subscribe_anew(&mut self, id: WatchId, now: Instant) {
        let (call_id, tag) = (self.core.token(), self.core.token());
        let Some(watching) = self.watches.get_mut(&id) else { return };
        self.dialogs.remove(&watching.key);
        let watch = &watching.watch;
        let mut request = Request::new(Method::Subscribe, watch.uri.clone().without_headers());
        request.headers.push("From", watch.from.clone().with_param("tag", Some(&tag)));
        request.headers.push("To", &watch.to);
        request.headers.push("Call-ID", call_id);
        request.headers.push("CSeq", format!("{} SUBSCRIBE", self.core.next_cseq()));
        request.headers.push("Contact", &watch.contact);
        request.headers.extend(watch.headers.clone());
        (watching.key, watching.dialog) = (request_key(&request), None);
        self.dialogs.insert(watching.key.clone(), DialogOwner::Watch(id));
        self.send_subscribe(id, request, now);
    }

    /// A refresh, or the end.
    pub(super) fn resubscribe(&mut self, id: WatchId, now: Instant) {
        let Some(watching) = self.watches.get(&id) else { return };
        match &watching.dialog {
            Some(dialog) => {
                let request = dialog.request(Method::Subscribe);
                self.send_subscribe(id, request, now);
            }
            None => self.subscribe_anew(id, now),
        }
    }

    fn send_subscribe(&mut self, id: WatchId, mut request: Request, now: Instant) {
        let Some(watching) = self.watches.get_mut(&id) else { return };
        watching.number = request.headers.cseq().map_or(0, |cseq| cseq.number);
        let watch = &watching.watch;
        request.headers.set("Event", &watch.event);
        request.headers.set("Expires", if watching.is_closing { 0 } else { watch.expires });
        if !watch.accept.is_empty() {
            request.headers.set("Accept", watch.accept.join(", "));
        }
        let flow = watching.dialog.as_ref().map_or(watching.flow, Dialog::next_hop);
        self.core.authorize(watching.authorizer.as_mut(), &mut request);
        self.core.send(request, flow, Owner::Watch(id), now);
    }

    pub(super) fn watch_outcome(&mut self, id: WatchId, outcome: ClientOutcome<Owner>, now: Instant) {
        let ClientOutcome { tx, result, .. } = outcome;
        match result {
            Ok(response) if response.is_provisional() => {}
            Ok(response) if response.is_success() => self.subscribed(id, tx, &response, now),
            Ok(response) => self.subscribe_refused(id, tx, response, now),
            Err(TransactionFailure::Timeout) => self.subscribe_later(id, None, now),
            Err(TransactionFailure::Transport) => {
                self.watch_over(id, UnwatchedBy::Failure(RequestFailure::Transport));
            }
        }
    }

    fn subscribed(&mut self, id: WatchId, tx: TxId, response: &Response, now: Instant) {
        let Some(watching) = self.watches.get_mut(&id) else { return };
        (watching.failures, watching.challenged) = (0, Challenged::default());
        if watching.dialog.is_none() {
            watching.dialog =
                self.core.clients.request(tx).and_then(|(request, flow)| Dialog::as_caller(request, response, flow));
            if watching.is_closing {
                self.resubscribe(id, now);
                return;
            }
        }
        let expires = response.headers.expires().unwrap_or(watching.watch.expires).min(watching.watch.expires);
        if !watching.is_closing {
            self.refresh_before(id, expires, now);
        }
    }

    /// Refreshes are early enough for a few lost messages.
    fn refresh_before(&mut self, id: WatchId, expires: u32, now: Instant) {
        let early = (expires / 10).clamp(1, 60).max(expires.min(10) / 2);
        let pause = Duration::from_secs(u64::from(expires.saturating_sub(early).max(1)));
        self.core.wire.timers.set(TimerKey::WatchRefresh(id), now + pause);
    }

    fn subscribe_refused(&mut self, id: WatchId, tx: TxId, response: Response, now: Instant) {
        let Some(watching) = self.watches.get_mut(&id) else { return };
        if watching.is_closing {
            self.forget_watch(id);
            return;
        }
        match response.status {
            401 | 407 if self.subscribe_with_credentials(id, tx, &response, now) => {}
            423 if self.subscribe_longer(id, &response, now) => {}
            // The other side has forgotten us.
            481 if watching_has_dialog(self.watches.get(&id)) => self.subscribe_anew(id, now),
            408 | 480 | 481 | 486 | 500..600 => {
                let after = response.headers.get("Retry-After").and_then(|text| text.split([';', ' ', '(']).next()?.parse().ok());
                self.subscribe_later(id, after.map(Duration::from_secs), now);
            }
            _ => self.watch_over(id, UnwatchedBy::Failure(RequestFailure::Refused(Box::new(response)))),
        }
    }

    fn subscribe_with_credentials(&mut self, id: WatchId, tx: TxId, response: &Response, now: Instant) -> bool {
        let Some(watching) = self.watches.get_mut(&id) else { return false };
        let Some(authorizer) = &mut watching.authorizer else { return false };
        let Some((request, _)) = self.core.clients.request(tx) else { return false };
        if !authorizer.take_challenges(response, &mut watching.challenged) {
            return false;
        }
        let mut request = request.clone();
        request.headers.remove("Via");
        let number = watching.dialog.as_ref().map_or_else(|| self.core.next_cseq(), Dialog::next_number);
        request.headers.set("CSeq", format!("{number} SUBSCRIBE"));
        self.send_subscribe(id, request, now);
        true
    }

    fn subscribe_longer(&mut self, id: WatchId, response: &Response, now: Instant) -> bool {
        let Some(watching) = self.watches.get_mut(&id) else { return false };
        let least = response.headers.get("Min-Expires").and_then(|text| text.trim().parse().ok());
        let Some(least) = least.filter(|least: &u32| *least > watching.watch.expires) else { return false };
        watching.watch.expires = least;
        self.resubscribe(id, now);
        true
    }

    /// Tries again from the beginning, each time later, and not with everybody else at once.
    fn subscribe_later(&mut self, id: WatchId, after: Option<Duration>, now: Instant) {
        let Some(watching) = self.watches.get_mut(&id) else { return };
        if watching.is_closing {
            self.forget_watch(id);
            return;
        }
        watching.dialog = None;
        watching.failures += 1;
        let pause = PAUSE * 2_u32.pow((watching.failures - 1).min(MOST_DOUBLINGS));
        let pause = after.map_or(pause, |after| after.clamp(Duration::from_secs(1), Duration::from_secs(3600)));
        let spread = u64::try_from(pause.as_millis() / 2).unwrap_or_default().max(100);
        let spread = Duration::from_millis(self.core.random_millis(0..spread));
        self.core.wire.timers.set(TimerKey::WatchRefresh(id), now + pause + spread);
    }

    /// A request with the tags of a subscription of ours.
    pub(super) fn in_watch(&mut self, id: WatchId, tx: TxId, request: Request, source: Flow, now: Instant) {
        let Some(watching) = self.watches.get_mut(&id) else { return };
        let tag = request.headers.from().ok().and_then(|from| from.tag().map(str::to_owned)).unwrap_or_default();
        let refusal = match &mut watching.dialog {
            _ if request.method != Method::Notify => Some(405),
            _ if !is_same_package(&request, &watching.watch.event) => Some(489),
            // Of a SUBSCRIBE that was forked one branch is enough.
            Some(dialog) if dialog.remote_tag() != tag => Some(481),
            Some(dialog) => {
                let number = request.headers.cseq().map_or(0, |cseq| cseq.number);
                dialog.follow(&request, source);
                let last = dialog.remote_cseq.replace(number);
                (last >= Some(number)).then_some(500)
            }
            // It came before the 2xx.
            none @ None => {
                let transaction = self.core.servers.get(tx);
                let dialog = transaction.and_then(|transaction| Dialog::as_callee(transaction, watching.watch.contact.clone()));
                *none = dialog.map(|dialog| dialog.numbered_from(watching.number));
                None
            }
        };
        if let Some(status) = refusal {
            let parts = ResponseParts::new(status);
            self.core.respond(tx, if status == 500 { parts.with("Retry-After", 1) } else { parts }, now);
            return;
        }
        self.core.respond_status(tx, 200, now);
        self.notified(id, request, now);
    }

    fn notified(&mut self, id: WatchId, request: Request, now: Instant) {
        let Some(watching) = self.watches.get(&id) else { return };
        let state = request.headers.get("Subscription-State").unwrap_or("active").to_owned();
        let (state, params) = state.split_once(';').unwrap_or((&state, ""));
        let (is_over, params) = (state.trim().eq_ignore_ascii_case("terminated"), Params::parse(params));
        let seconds = |name: &str| params.get(name).and_then(|text| text.parse::<u32>().ok());
        if watching.is_closing {
            if is_over {
                self.forget_watch(id);
            }
            return;
        }
        self.core.emit(Event::Notified { watch: id, request });
        if !is_over {
            if let Some(expires) = seconds("expires") {
                self.refresh_before(id, expires, now);
            }
            return;
        }
        match params.get("reason").unwrap_or_default().to_ascii_lowercase().as_str() {
            reason @ ("rejected" | "noresource" | "invariant") => self.watch_over(id, UnwatchedBy::Notifier(reason.to_owned())),
            "probation" | "giveup" => {
                self.subscribe_later(id, seconds("retry-after").map(|seconds| Duration::from_secs(seconds.into())), now);
            }
            // RFC 6665 4.1.3: at once, but not in circles.
            _ => self.subscribe_later(id, Some(Duration::from_secs(1)), now),
        }
    }

    pub(super) fn watches_closed(&mut self, connection: ConnectionId) {
        let is_on_it = |watching: &Watching| {
            let flow = watching.dialog.as_ref().map_or(watching.flow, |dialog| dialog.flow);
            flow.connection == Some(connection)
        };
        let gone: Vec<_> = self.watches.iter().filter(|(_, watching)| is_on_it(watching)).map(|(id, _)| *id).collect();
        for id in gone {
            self.watch_over(id, UnwatchedBy::Failure(RequestFailure::Transport));
        }
    }

    fn watch_over(&mut self, id: WatchId, by: UnwatchedBy) {
        let Some(watching) = self.forget_watch(id) else { return };
        if !watching.is_closing {
            self.core.emit(Event::Unwatched { watch: id, by });
        }
    }

    pub(super) fn forget_watch(&mut self, id: WatchId) -> Option<Watching> {
        self.core.wire.timers.stop(TimerKey::WatchRefresh(id));
        self.core.wire.timers.stop(TimerKey::WatchGone(id));
        let watching = self.watches.remove(&id)?;
        self.dialogs.remove(&watching.key);
        Some(watching)
    }
}

fn watching_has_dialog(watching: Option<&Watching>) -> bool {
    watching.is_some_and(|watching| watching.dialog.is_some())
}

/// Whether a NOTIFY is about what we asked for; the id, if any, included.
fn is_same_package(notify: &Request, event: &str) -> bool {
    let package = event.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    notify.headers.event() == Some(package)
}
