//! Requests of ours outside sessions, and texts in them (RFC 3428).

use std::collections::BTreeMap;
use std::time::Instant;

use super::UserAgent;
use super::core::{Owner, set_body};
use super::dialog::Dialog;
use crate::digest::{Authorizer, Challenged, Credentials};
use crate::event::{Body, Event, OutgoingRequest, RequestFailure, RequestId, SessionId};
use crate::flow::Flow;
use crate::message::{Headers, Request, Response};
use crate::method::Method;
use crate::transaction::TransactionFailure;

/// A request that waits for its final response.
#[derive(Debug)]
pub(crate) struct Pending {
    /// Without Via, to be sent again after a challenge.
    request: Request,
    flow: Flow,
    /// The session's, for a text in one.
    dialog: Option<Dialog>,
    authorizer: Option<(AuthorizerKey, Authorizer)>,
    challenged: Challenged,
}

/// User name and host of the Request-URI.
pub(crate) type AuthorizerKey = (String, String);

/// How many accounts' challenges are remembered, so that a registration needs no 401 each time.
const MOST_REMEMBERED: usize = 1000;

impl UserAgent {
    pub(super) fn start_request(
        &mut self,
        outgoing: OutgoingRequest,
        flow: Flow,
        credentials: Option<Credentials>,
        now: Instant,
    ) -> RequestId {
        let id = RequestId(self.core.next_id());
        let request = self.plain_request(outgoing);
        let authorizer = credentials.map(|credentials| {
            let key = (credentials.username.clone(), request.uri.host().to_owned());
            let known = self.authorizers.remove(&key).filter(|known| known.is_of(&credentials));
            (key, known.unwrap_or_else(|| Authorizer::new(credentials)))
        });
        self.requests.insert(id, Pending { request, flow, dialog: None, authorizer, challenged: Challenged::default() });
        self.send_request(id, now);
        id
    }

    pub(super) fn send_text(&mut self, id: SessionId, body: Body, headers: Headers, now: Instant) -> Option<RequestId> {
        let session = self.sessions.get(&id)?;
        let established = session.established().filter(|established| established.ending.is_none())?;
        let dialog = established.dialog.clone();
        let mut request = dialog.request(Method::Message);
        // RFC 3428 4: a text says nothing of where its sender is reached.
        request.headers.remove("Contact");
        for header in headers.iter() {
            request.headers.set(&header.name, &header.value);
        }
        set_body(&mut request.headers, &mut request.body, body);
        let authorizer = session.authorizer.clone().map(|authorizer| (AuthorizerKey::default(), authorizer));
        let (flow, id) = (dialog.next_hop(), RequestId(self.core.next_id()));
        let (dialog, challenged) = (Some(dialog), Challenged::default());
        self.requests.insert(id, Pending { request, flow, dialog, authorizer, challenged });
        self.send_request(id, now);
        Some(id)
    }

    fn plain_request(&mut self, outgoing: OutgoingRequest) -> Request {
        let mut request = Request::new(outgoing.method, outgoing.uri.without_headers());
        let mut from = outgoing.from;
        if from.tag().is_none() {
            from.params.set("tag", Some(&self.core.token()));
        }
        request.headers.push("From", from);
        request.headers.push("To", outgoing.to);
        request.headers.push("Call-ID", outgoing.call_id.unwrap_or_else(|| self.core.token()));
        request.headers.extend(outgoing.headers);
        if let Some(body) = outgoing.body {
            set_body(&mut request.headers, &mut request.body, body);
        }
        request
    }

    fn send_request(&mut self, id: RequestId, now: Instant) {
        let Some(pending) = self.requests.get_mut(&id) else { return };
        let number = pending.dialog.as_ref().map_or_else(|| self.core.next_cseq(), Dialog::next_number);
        let cseq = format!("{number} {}", pending.request.method);
        pending.request.headers.set("CSeq", cseq);
        self.core.authorize(pending.authorizer.as_mut().map(|(_, authorizer)| authorizer), &mut pending.request);
        let (request, flow) = (pending.request.clone(), pending.flow);
        self.core.send(request, flow, Owner::Request(id), now);
    }

    pub(super) fn request_outcome(&mut self, id: RequestId, result: Result<Response, TransactionFailure>, now: Instant) {
        let result = match result {
            Ok(response) if response.is_provisional() => return,
            Ok(response) if response.is_success() => Ok(response),
            Ok(response) if matches!(response.status, 401 | 407) && self.request_with_credentials(id, &response, now) => return,
            Ok(response) => Err(RequestFailure::Refused(Box::new(response))),
            Err(failure) => Err(failure.into()),
        };
        let Some(pending) = self.requests.remove(&id) else { return };
        if let Some((key, authorizer)) = pending.authorizer.filter(|_| result.is_ok() && pending.dialog.is_none()) {
            remember(&mut self.authorizers, key, authorizer);
        }
        self.core.emit(Event::Response { id, result });
    }

    fn request_with_credentials(&mut self, id: RequestId, response: &Response, now: Instant) -> bool {
        let Some(pending) = self.requests.get_mut(&id) else { return false };
        let Some((_, authorizer)) = &mut pending.authorizer else { return false };
        let worth_trying = authorizer.take_challenges(response, &mut pending.challenged);
        if worth_trying {
            self.send_request(id, now);
        }
        worth_trying
    }
}

fn remember(authorizers: &mut BTreeMap<AuthorizerKey, Authorizer>, key: AuthorizerKey, authorizer: Authorizer) {
    if authorizers.len() >= MOST_REMEMBERED {
        authorizers.pop_first();
    }
    authorizers.insert(key, authorizer);
}
