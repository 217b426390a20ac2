//! Notifications of the operating system: one for a new message, one for a ringing call, closed when it is dealt with.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use aftertone_model::{CallId, CallRecord, GreetingId, MessageId, Reason};
use aftertone_view::{Language, MessageRow, PartyView};
use futures_util::TryStreamExt;
use notify_rust::{Hint, Notification, Timeout, Urgency};
use tauri::async_runtime::JoinHandle;
use tokio::{
    sync::{OnceCell, oneshot},
    time::timeout,
};
use zbus::{MatchRule, MessageStream};

use crate::shell::{Input, Inputs};

/// What a notification is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    /// A new message.
    Message(MessageId),
    /// A ringing call.
    Call(CallId),
    /// A call that was missed and left no message.
    Missed(CallId),
    /// Messages that came while the app was not connected.
    Several,
    /// Nothing: whether it is shown is to be seen.
    Test,
    /// A greeting that is out of date soon.
    Expiry(GreetingId),
}

/// What the person pressed on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pressed {
    /// The notification itself.
    Open,
    /// Play.
    Play,
    /// Call back.
    CallBack,
    /// Answer.
    Answer,
    /// Decline.
    Decline,
}

impl Pressed {
    fn parse(key: &str) -> Option<Self> {
        Some(match key {
            "default" => Self::Open,
            "play" => Self::Play,
            "call_back" => Self::CallBack,
            "answer" => Self::Answer,
            "decline" => Self::Decline,
            _ => return None,
        })
    }
}

/// The notifications that are on the screen.
#[derive(Debug)]
pub(crate) struct Notifications {
    inputs: Inputs,
    open: BTreeMap<Subject, Open>,
    last_round: u64,
    /// What the one notification for several tells of.
    several: Several,
    /// What the desktop calls them.
    numbers: BTreeMap<u32, Subject>,
    /// A button that was pressed before the desktop had told us the number.
    early: Option<(u32, Pressed)>,
}

#[derive(Debug)]
struct Open {
    /// Another one about the same is another round.
    round: u64,
    close: oneshot::Sender<()>,
    task: JoinHandle<()>,
    /// The person took it off the screen. A press of its button may still be on its way.
    dismissed: bool,
}

/// What came while the app was not connected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Several {
    pub(crate) messages: BTreeSet<MessageId>,
    pub(crate) calls: BTreeSet<CallId>,
}

/// What the desktop may take to close notifications at the app's end.
const CLOSING: Duration = Duration::from_secs(1);
/// The name of the app's desktop entry, without its ending.
const DESKTOP_ENTRY: &str = "Aftertone";

impl Notifications {
    pub(crate) fn new(inputs: Inputs) -> Self {
        let told = inputs.clone();
        tauri::async_runtime::spawn(async move {
            if let Err(error) = hear_presses(&told).await {
                tracing::info!(%error, "buttons of notifications are heard one by one only");
            }
        });
        Self { inputs, open: BTreeMap::new(), last_round: 0, several: Several::default(), numbers: BTreeMap::new(), early: None }
    }

    /// Tells of a new message.
    pub(crate) fn message(&mut self, row: &MessageRow, language: Language) {
        let words = Words::of(language);
        let who = shown(&row.party, words);
        let length = format!("{}:{:02}", row.duration_ms / 60_000, row.duration_ms / 1000 % 60);
        let summary = format!("{}: {who}", words.new_message);
        let mut body = format!("{length} · {}", words.reason(row.reason.into()));
        if let Some(forwarded) = row.forwarded.as_ref().filter(|forwarded| !forwarded.note.is_empty()) {
            body = format!("{body}\n{}: {}", shown(&forwarded.from, words), forwarded.note);
        }
        let mut actions = vec![("default", words.open), ("play", words.play)];
        // Nobody is to be called back who has called as a test.
        if !row.test {
            actions.push(("call_back", words.call_back));
        }
        self.show(Subject::Message(row.id), &summary, &body, &actions);
    }

    /// Tells that notifications are shown.
    pub(crate) fn test(&mut self, language: Language) {
        let words = Words::of(language);
        self.close(Subject::Test);
        self.show(Subject::Test, words.test, words.test_explained, &[("default", words.open)]);
    }

    /// Tells of a ringing call.
    pub(crate) fn call(&mut self, call: CallId, party: &PartyView, language: Language) {
        let words = Words::of(language);
        let actions = [("default", words.open), ("answer", words.answer), ("decline", words.decline)];
        self.show(Subject::Call(call), &shown(party, words), words.incoming_call, &actions);
    }

    /// Tells of a call that was missed and left no message.
    pub(crate) fn missed(&mut self, record: &CallRecord, language: Language) {
        let words = Words::of(language);
        let party = PartyView::from(&record.party);
        let mut actions = vec![("default", words.open)];
        if !party.number.is_empty() {
            actions.push(("call_back", words.call_back));
        }
        self.show(
            Subject::Missed(record.call),
            &format!("{}: {}", words.missed_call, shown(&party, words)),
            words.no_message,
            &actions,
        );
    }

    /// Tells of several things at once, and of those that the last such notification told of, if it is still there.
    pub(crate) fn several(&mut self, several: Several, language: Language) {
        let words = Words::of(language);
        let mut all = several;
        if self.open.get(&Subject::Several).is_some_and(|open| !open.dismissed) {
            all.messages.append(&mut self.several.messages);
            all.calls.append(&mut self.several.calls);
        }
        self.close(Subject::Several);
        let counted = |count: usize, one: &str, many: &str| match count {
            0 => None,
            1 => Some(format!("1 {one}")),
            count => Some(format!("{count} {many}")),
        };
        let parts = [
            counted(all.messages.len(), words.one_new_message, words.new_messages),
            counted(all.calls.len(), words.one_missed_call, words.missed_calls),
        ];
        let summary = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
        self.several = all;
        self.show(Subject::Several, &summary, words.while_away, &[("default", words.open)]);
    }

    /// Tells of a greeting in use that is out of date so many days from today, or is by now.
    pub(crate) fn expiry(&mut self, greeting: GreetingId, title: &str, days: i32, language: Language) {
        let words = Words::of(language);
        let when = match days {
            ..0 => words.is_over.to_owned(),
            0 => words.ends_today.to_owned(),
            1 => words.ends_tomorrow.to_owned(),
            days => words.ends_in_days.replace("{}", &days.to_string()),
        };
        self.show(
            Subject::Expiry(greeting),
            &format!("{}: {title}", words.greeting),
            &format!("{when} {}", words.renew),
            &[("default", words.open)],
        );
    }

    /// A message is new no more: what tells of it, and of nothing else that is new, goes.
    pub(crate) fn heard(&mut self, message: MessageId) {
        self.close(Subject::Message(message));
        if self.several.messages.remove(&message) && self.several.messages.is_empty() {
            self.close(Subject::Several);
        }
    }

    /// Takes a notification off the screen; whether it was there.
    pub(crate) fn close(&mut self, subject: Subject) -> bool {
        self.numbers.retain(|_, known| *known != subject);
        if subject == Subject::Several {
            self.several = Several::default();
        }
        let Some(open) = self.open.remove(&subject) else { return false };
        let _closed_already = open.close.send(());
        true
    }

    /// Takes all of them off the screen, and waits for it.
    pub(crate) async fn close_all(&mut self) {
        (self.numbers, self.several) = (BTreeMap::new(), Several::default());
        let open = std::mem::take(&mut self.open).into_values();
        let closing = open.map(|Open { close, task, .. }| {
            let _closed_already = close.send(());
            task
        });
        if timeout(CLOSING, futures_util::future::join_all(closing)).await.is_err() {
            tracing::info!("the desktop doesn't close notifications");
        }
    }

    /// The person took it off the screen.
    pub(crate) fn dismissed(&mut self, subject: Subject, round: u64) {
        if let Some(open) = self.open.get_mut(&subject).filter(|open| open.round == round) {
            open.dismissed = true;
        }
    }

    /// The desktop shows it under this number. Whether one of its buttons has been pressed already.
    pub(crate) fn shown(&mut self, subject: Subject, number: u32) -> Option<Pressed> {
        self.numbers.insert(number, subject);
        self.early.take_if(|(early, _)| *early == number).map(|(_, pressed)| pressed)
    }

    /// A button of some program's notification was pressed; which of ours it is.
    pub(crate) fn pressed(&mut self, number: u32, pressed: Pressed) -> Option<Subject> {
        let subject = self.numbers.get(&number).copied();
        if subject.is_none() {
            self.early = Some((number, pressed));
        }
        subject
    }

    fn show(&mut self, subject: Subject, summary: &str, body: &str, actions: &[(&str, &str)]) {
        if self.open.get(&subject).is_some_and(|open| !open.dismissed) {
            return;
        }
        let mut notification = Notification::new();
        notification.appname("Aftertone").icon("aftertone").summary(summary).body(body);
        notification.hint(Hint::DesktopEntry(DESKTOP_ENTRY.into()));
        if matches!(subject, Subject::Call(_)) {
            notification.timeout(Timeout::Never).urgency(Urgency::Critical);
            notification.hint(Hint::Category("call.incoming".into()));
        }
        for (key, label) in actions {
            notification.action(key, label);
        }
        self.last_round += 1;
        let round = self.last_round;
        let (close, closed) = oneshot::channel();
        let task = tauri::async_runtime::spawn(watch(notification, (subject, round), closed, self.inputs.clone()));
        self.open.insert(subject, Open { round, close, task, dismissed: false });
    }
}

/// Tells which buttons are pressed. What shows a notification listens for its own buttons only once it is shown: whoever is
/// quicker is heard here. Desktops that tell nobody but whoever showed it are heard there.
async fn hear_presses(inputs: &Inputs) -> zbus::Result<()> {
    let bus = zbus::Connection::session().await?;
    let rule = MatchRule::builder().msg_type(zbus::message::Type::Signal).interface("org.freedesktop.Notifications")?;
    let mut presses = MessageStream::for_match_rule(rule.member("ActionInvoked")?.build(), &bus, None).await?;
    while let Some(press) = presses.try_next().await? {
        let (number, key): (u32, String) = press.body().deserialize()?;
        if let Some(pressed) = Pressed::parse(&key) {
            inputs.send(Input::PressedNumber(number, pressed));
        }
    }
    Ok(())
}

/// Shows a notification and waits until it is pressed, closed by the person, or dealt with elsewhere.
async fn watch(mut notification: Notification, (subject, round): (Subject, u64), closed: oneshot::Receiver<()>, inputs: Inputs) {
    if takes_markup().await {
        let body = escaped(&notification.body);
        notification.body(&body);
    }
    let handle = match notification.show_async().await {
        Ok(handle) => handle,
        Err(error) => {
            tracing::warn!(%error, "the desktop shows no notification");
            return;
        }
    };
    inputs.send(Input::Notified(subject, handle.id()));
    let (press, mut pressed) = tokio::sync::mpsc::unbounded_channel();
    let wait = handle.wait_for_action_async(|response| {
        if let notify_rust::NotificationResponse::Default = response {
            let _gone = press.send("default".to_owned());
        } else if let notify_rust::NotificationResponse::Action(key) = response {
            let _gone = press.send(key.clone());
        }
    });
    tokio::select! {
        () = wait => {
            if let Some(pressed) = pressed.try_recv().ok().as_deref().and_then(Pressed::parse) {
                inputs.send(Input::Pressed(subject, pressed));
                // Some desktops leave it there after a button was pressed.
                handle.close_async().await;
            }
            inputs.send(Input::Dismissed(subject, round));
        }
        _ = closed => handle.close_async().await,
    }
}

/// Whether the desktop takes a body for a text with markup; what callers are called is none.
async fn takes_markup() -> bool {
    static KNOWN: OnceCell<bool> = OnceCell::const_new();
    let ask = async || -> zbus::Result<bool> {
        let (name, path) = ("org.freedesktop.Notifications", "/org/freedesktop/Notifications");
        let bus = zbus::Connection::session().await?;
        let answer = bus.call_method(Some(name), path, Some(name), "GetCapabilities", &()).await?;
        let capabilities: Vec<String> = answer.body().deserialize()?;
        Ok(capabilities.iter().any(|capability| capability == "body-markup"))
    };
    *KNOWN.get_or_init(|| async move { ask().await.unwrap_or(false) }).await
}

/// Text that means itself where markup is taken.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn shown(party: &PartyView, words: &Words) -> String {
    match &party.name {
        Some(name) => name.clone(),
        None if party.number.is_empty() => words.withheld.to_owned(),
        None => party.number.clone(),
    }
}

/// The sentences of notifications; the interface has its own.
struct Words {
    new_message: &'static str,
    one_new_message: &'static str,
    new_messages: &'static str,
    one_missed_call: &'static str,
    missed_calls: &'static str,
    while_away: &'static str,
    incoming_call: &'static str,
    missed_call: &'static str,
    no_message: &'static str,
    greeting: &'static str,
    is_over: &'static str,
    ends_today: &'static str,
    ends_tomorrow: &'static str,
    ends_in_days: &'static str,
    renew: &'static str,
    open: &'static str,
    play: &'static str,
    call_back: &'static str,
    answer: &'static str,
    decline: &'static str,
    withheld: &'static str,
    test: &'static str,
    test_explained: &'static str,
    reasons: [&'static str; 6],
}

impl Words {
    fn of(language: Language) -> &'static Self {
        match language {
            Language::En => &ENGLISH,
            Language::De => &GERMAN,
        }
    }

    fn reason(&self, reason: Reason) -> &'static str {
        self.reasons[match reason {
            Reason::NoAnswer => 0,
            Reason::Busy => 1,
            Reason::Declined => 2,
            Reason::Offline => 3,
            Reason::Dnd => 4,
            Reason::Direct => 5,
        }]
    }
}

const ENGLISH: Words = Words {
    new_message: "New message",
    one_new_message: "new message",
    new_messages: "new messages",
    one_missed_call: "missed call",
    missed_calls: "missed calls",
    while_away: "They came while Aftertone was not connected.",
    incoming_call: "Incoming call",
    missed_call: "Missed call",
    no_message: "No message was left.",
    greeting: "Greeting",
    is_over: "Its time is over.",
    ends_today: "Its time ends today.",
    ends_tomorrow: "Its time ends tomorrow.",
    ends_in_days: "Its time ends in {} days.",
    renew: "Then callers hear another one. Give it more time, or record a new one.",
    open: "Open",
    play: "Play",
    call_back: "Call back",
    answer: "Answer",
    decline: "Decline",
    withheld: "Number withheld",
    test: "This is how Aftertone tells you",
    test_explained: "Of calls and of new messages, also while its window is closed.",
    reasons: ["not answered", "busy", "declined", "you were offline", "do not disturb", "left in the mailbox"],
};

const GERMAN: Words = Words {
    new_message: "Neue Nachricht",
    one_new_message: "neue Nachricht",
    new_messages: "neue Nachrichten",
    one_missed_call: "verpasster Anruf",
    missed_calls: "verpasste Anrufe",
    while_away: "Sie kamen, als Aftertone nicht verbunden war.",
    incoming_call: "Eingehender Anruf",
    missed_call: "Verpasster Anruf",
    no_message: "Ohne Nachricht.",
    greeting: "Ansage",
    is_over: "Ihre Zeit ist um.",
    ends_today: "Ihre Zeit endet heute.",
    ends_tomorrow: "Ihre Zeit endet morgen.",
    ends_in_days: "Ihre Zeit endet in {} Tagen.",
    renew: "Danach hören Anrufer eine andere. Verlängern Sie sie, oder nehmen Sie eine neue auf.",
    open: "Öffnen",
    play: "Abspielen",
    call_back: "Zurückrufen",
    answer: "Annehmen",
    decline: "Ablehnen",
    withheld: "Unterdrückte Nummer",
    test: "So gibt Aftertone Ihnen Bescheid",
    test_explained: "Über Anrufe und neue Nachrichten, auch wenn das Fenster geschlossen ist.",
    reasons: ["nicht angenommen", "besetzt", "abgelehnt", "Sie waren offline", "nicht stören", "in die Mailbox gesprochen"],
};
