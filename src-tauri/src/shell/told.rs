//! What the phone tells: messages, calls, playing.

use std::time::Instant;

use aftertone_client::{CallPhase, Connection, Event as Told, News, PlaybackState, Played, TestMessage};
use aftertone_model::{CallRecord, MessageId, MessageState};
use aftertone_view::{Code, ConnectionView, Event, MessageRow, PlaybackView, TestMessageView, ToastAbout};

use super::{Input, Shell, calls};
use crate::{
    notifications::Subject,
    own,
    sound::Cue,
    window::{self, Focus},
};

impl Shell {
    pub(super) async fn told(&mut self, told: Told) {
        match told {
            Told::Connection(connection) => {
                log_connection(&connection);
                self.tell_app();
                self.update_tray();
                // What can't be fetched can't be played.
                self.read_mailbox().await;
                self.read_greetings().await;
                if self.connection() == Some(ConnectionView::Connected) {
                    self.ask_ring_time();
                }
            }
            Told::Call(call) => self.call(call).await,
            Told::Quality(quality) => {
                if self.calls.heard(&quality) {
                    self.tell_app();
                }
            }
            Told::Recording(recording) => self.recording(recording),
            Told::MessageArrived { message, news } => {
                self.stale = true;
                self.arrived(&message, news);
            }
            Told::MessageChanged(message) => {
                if message.state != MessageState::New {
                    self.heard(message.envelope.id);
                }
                self.stale = true;
            }
            Told::MessageExpunged(message) => {
                self.test_removed(message);
                self.heard(message);
                self.stale = true;
            }
            Told::CallRecord { record, news } => {
                self.stale = true;
                self.missed(&record, news);
            }
            Told::RoomChanged(room) => {
                tracing::info!(fullness = ?room.fullness, "the mailbox is fuller or less full");
                self.stale = true;
            }
            Told::GreetingsChanged => self.read_greetings().await,
            Told::CaughtUp => self.caught_up().await,
            Told::AudioCached(_) => {}
            Told::ActionRefused { code, .. } => {
                self.stale = true;
                self.toast(ToastAbout::Failed { code: code.into() });
            }
            Told::Playback(playback) => self.playback(playback),
            Told::TestMessage(test) => self.test_message(&test),
            Told::SignedOut { by_us } => {
                self.forget_phone();
                self.revoke_left();
                self.notifications.close_all().await;
                if let Some(own) = self.own.take() {
                    own.stop().await;
                    if by_us {
                        own::forget(&self.folder).await;
                    }
                }
                self.why = (!by_us).then_some(Code::NotSignedIn);
                self.tell_all();
            }
        }
    }

    /// A message is new no more.
    pub(super) fn heard(&mut self, message: MessageId) {
        self.while_away.messages.remove(&message);
        self.notifications.heard(message);
    }

    pub(super) fn arrived(&mut self, message: &aftertone_model::Message, news: News) {
        let (id, is_new) = (message.envelope.id, message.state == MessageState::New);
        tracing::info!(%id, ?news, "a new message");
        if is_new && self.tells(self.settings.notifications.messages) {
            match news {
                News::Fresh => self.notifications.message(&MessageRow::new(message, true), self.settings.language()),
                News::Away => _ = self.while_away.messages.insert(id),
                News::Known => {}
            }
        }
        self.test_arrived(message);
        if self.test_call.is_some_and(|call| call == message.envelope.call) {
            let after = self.hung_up_at.map_or(0, |at| at.elapsed().as_millis());
            self.test_call = None;
            self.test = TestMessageView::Arrived { message: id, after_ms: u32::try_from(after).unwrap_or(u32::MAX) };
            window::tell(&self.app, &Event::TestMessage(self.test));
        }
    }

    /// A call that was missed and left no message; one that did is told by its message.
    pub(super) fn missed(&mut self, record: &CallRecord, news: News) {
        let missed = record.is_missed() && record.message.is_none();
        if missed && self.tells(self.settings.notifications.missed_calls) {
            match news {
                News::Fresh => self.notifications.missed(record, self.settings.language()),
                News::Away => _ = self.while_away.calls.insert(record.call),
                News::Known => {}
            }
        }
    }

    /// Whether notifications of a kind that is `wanted` are shown at this moment.
    pub(super) fn tells(&self, wanted: bool) -> bool {
        wanted && !self.settings.quiet_now()
    }

    /// After time offline, whatever came is one notification.
    pub(super) async fn caught_up(&mut self) {
        self.stale = true;
        let while_away = std::mem::take(&mut self.while_away);
        let Some(session) = self.session() else { return };
        let language = self.settings.language();
        let (message, call) = (while_away.messages.first(), while_away.calls.first());
        match (while_away.messages.len(), while_away.calls.len(), message, call) {
            (0, 0, ..) => {}
            (1, 0, Some(id), _) => {
                if let Ok(Some(message)) = session.message(*id).await {
                    self.notifications.message(&MessageRow::new(&message, true), language);
                }
            }
            (0, 1, _, Some(call)) => {
                if let Ok(Some(record)) = session.incoming_call(*call).await {
                    self.notifications.missed(&record, language);
                }
            }
            _ => self.notifications.several(while_away, language),
        }
    }

    pub(super) fn playback(&mut self, playback: aftertone_client::PlaybackSnapshot) {
        let at = |ms: u64| u32::try_from(ms).unwrap_or(u32::MAX);
        match playback.state {
            PlaybackState::Failed => self.toast(ToastAbout::Failed { code: Code::SoundMissing }),
            PlaybackState::NoDevice => self.toast(ToastAbout::Failed { code: Code::AudioDevice }),
            PlaybackState::Loading | PlaybackState::Playing | PlaybackState::Paused | PlaybackState::Ended => {}
        }
        // At its end nothing plays any more: a click on the waveform plays from there, as it does before the first time.
        let is_over = matches!(playback.state, PlaybackState::Failed | PlaybackState::Ended);
        self.playback = (!is_over).then(|| PlaybackView {
            message: match playback.played {
                Played::Message(message) => Some(message),
                Played::Greeting(_) | Played::AccountGreeting | Played::Recording => None,
            },
            greeting: match playback.played {
                Played::Greeting(greeting) => Some(greeting),
                Played::Message(_) | Played::AccountGreeting | Played::Recording => None,
            },
            account_greeting: playback.played == Played::AccountGreeting,
            position_ms: at(playback.position_ms),
            duration_ms: at(playback.duration_ms),
            playing: matches!(playback.state, PlaybackState::Playing | PlaybackState::Loading),
            loading: playback.state == PlaybackState::Loading,
            rate_percent: playback.rate,
            device: self.sound.speaker_name(&self.settings),
        });
        window::tell(&self.app, &Event::Playback(self.playback.clone()));
    }

    pub(super) fn test_message(&mut self, test: &TestMessage) {
        self.test = match test {
            TestMessage::Calling => TestMessageView::Calling,
            TestMessage::Greeting => TestMessageView::Greeting,
            TestMessage::Speaking => TestMessageView::Speaking,
            TestMessage::HungUp { call } => {
                self.test_call = *call;
                self.hung_up_at = Some(Instant::now());
                TestMessageView::Waiting
            }
            TestMessage::Failed { detail } => {
                tracing::warn!(detail, "the test message failed");
                TestMessageView::Failed { code: Code::Server }
            }
        };
        window::tell(&self.app, &Event::TestMessage(self.test));
    }

    /// A call began, changed or ended.
    pub(super) async fn call(&mut self, call: aftertone_client::CallSnapshot) {
        let id = call.id;
        let ringing = call.direction == aftertone_model::Direction::Incoming && matches!(call.phase, CallPhase::Ringing);
        let ended = matches!(call.phase, CallPhase::Ended(_));
        let is_busy = call.direction == aftertone_model::Direction::Outgoing
            && call.phase == CallPhase::Ended(aftertone_model::EndReason::Busy);
        if ringing && !self.calls.knows(id) {
            self.test_rings(&call);
            let party = aftertone_view::PartyView::from(&call.party);
            if self.settings.notifications.calls {
                self.notifications.call(id, &party, self.settings.language());
            }
            // Whoever types into another program goes on doing so.
            self.bring_window(Focus::Leave);
        }
        if !ringing {
            self.notifications.close(Subject::Call(id));
        }
        if let Some(refusal) = call.refusal {
            self.toast(ToastAbout::Failed { code: refusal.into() });
        }
        let waiting = self.waiting_from(&call).await;
        self.calls.update(call, waiting);
        let quiet = self.settings.quiet_now();
        self.sound.sound(self.calls.cue().filter(|cue| *cue != Cue::Ring || !quiet), &self.settings);
        self.sound.show_levels(self.calls.any_connected() || self.studio.is_recording());
        if is_busy {
            self.sound.busy(&self.settings);
        }
        if ended {
            let inputs = self.inputs.clone();
            tauri::async_runtime::spawn(async move {
                tokio::time::sleep(calls::SHOWN_AFTER_END).await;
                inputs.send(Input::Forget(id));
            });
        }
        self.tell_app();
    }

    /// How many messages of a caller wait to be heard.
    pub(super) async fn waiting_from(&self, call: &aftertone_client::CallSnapshot) -> u32 {
        let Some(session) = self.session().filter(|_| !call.party.number.is_empty()) else { return 0 };
        session.new_from(&call.party.number).await.map_or(0, |count| u32::try_from(count).unwrap_or(u32::MAX))
    }
}

fn log_connection(connection: &Connection) {
    match connection {
        Connection::Connecting => tracing::info!("connecting to the account"),
        Connection::Online => tracing::info!("the account is online"),
        Connection::Offline { reason, detail, .. } => tracing::info!(?reason, detail, "not connected to the account"),
    }
}
