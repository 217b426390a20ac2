//! Commands about the mailbox, and what comes from the synchroniser and the player.

use std::{collections::BTreeMap, path::PathBuf};

use aftertone_model::{DeviceId, GreetingId, MessageAction, MessageId};
use aftertone_sync::{
    Device, DirectoryEntry, ForwardBody, IdempotencyKey, Pending, PendingWrite, PhoneMenuBody, PhoneMenuView, TestCall,
};
use rand::RngExt;

use super::{Input, Run, calls::answer};
use crate::{
    AskPhoneMenu, CommandError, Connection, Event, ForwardOutcome, PlaybackState, Played,
    account::mailbox_folder,
    greetings::{self, Ask},
    playback::{self, PlayerEvent, Wanted},
    session::Reply,
    synchronise::SyncEvent,
};

/// The keys of forwards, so that trying one again can't deliver it twice.
#[derive(Default)]
pub(super) struct Forwards(BTreeMap<(MessageId, Vec<String>, String), IdempotencyKey>);

impl Run {
    pub(super) fn sound_file(&self, message: MessageId, reply: Reply<PathBuf>) {
        let (api, mailbox, parts) = (self.api.clone(), self.mailbox.clone(), mailbox_folder(&self.config.data));
        tokio::spawn(async move {
            let file = async {
                let message = mailbox.message(message).await.map_err(storage)?.ok_or(CommandError::NoSuchMessage)?;
                playback::stored_sound(&api, &mailbox, &parts, &message).await
            };
            answer(reply, file.await);
        });
    }

    pub(super) async fn act(&mut self, id: MessageId, action: MessageAction) -> Result<(), CommandError> {
        let before = self.mailbox.message(id).await.map_err(storage)?.ok_or(CommandError::NoSuchMessage)?;
        self.mailbox.enqueue(id, action, fresh_key()).await.map_err(storage)?;
        self.count().await;
        match self.mailbox.message(id).await.map_err(storage)? {
            Some(message) if message != before => self.tell(Event::MessageChanged(message)),
            Some(_) => {}
            None => self.tell(Event::MessageExpunged(id)),
        }
        self.synchroniser.ring();
        Ok(())
    }

    /// Where the server can't be had now, the forward waits in the outbox, under the same key: it can't be done twice.
    pub(super) fn forward(&mut self, message: MessageId, to: Vec<String>, note: String, reply: Reply<ForwardOutcome>) {
        let key = self.forwards.0.entry((message, to.clone(), note.clone())).or_insert_with(fresh_key).clone();
        let (api, mailbox, sender) = (self.api.clone(), self.mailbox.clone(), self.sender.clone());
        let is_offline = matches!(self.snapshot.connection, Connection::Offline { .. });
        let forward = ForwardBody { to, note };
        tokio::spawn(async move {
            let sent = if is_offline { None } else { Some(api.forward(message, &forward, &key).await) };
            let outcome = match sent {
                Some(Ok(forwarded)) => Ok(ForwardOutcome::Delivered(forwarded)),
                Some(Err(e)) if !e.is_passing() => Err(e.into()),
                Some(Err(_)) | None => {
                    let pending = Pending { key, message, write: PendingWrite::Forward { forward } };
                    mailbox.enqueue_write(&pending).await.map(|()| ForwardOutcome::Waits).map_err(storage)
                }
            };
            let _over = sender.send(Input::Enqueued);
            answer(reply, outcome);
        });
    }

    /// Something waits in the outbox that the loop didn't put there.
    pub(super) async fn enqueued(&mut self) {
        self.count().await;
        self.synchroniser.ring();
    }

    pub(super) fn directory(&self, reply: Reply<Vec<DirectoryEntry>>) {
        let (api, mailbox) = (self.api.clone(), self.mailbox.clone());
        tokio::spawn(async move {
            let entries = match api.directory().await {
                Ok(entries) => {
                    if let Err(e) = mailbox.keep_directory(&entries).await {
                        tracing::warn!(error = %e, "the directory could not be stored");
                    }
                    Ok(entries)
                }
                Err(e) if e.is_passing() => match mailbox.directory().await {
                    Ok(Some(entries)) => Ok(entries),
                    Ok(None) | Err(_) => Err(e.into()),
                },
                Err(e) => Err(e.into()),
            };
            answer(reply, entries);
        });
    }

    pub(super) fn ring_time(&self, reply: Reply<u16>) {
        let api = self.api.clone();
        tokio::spawn(async move { answer(reply, api.me().await.map(|me| me.subscriber.ring_s).map_err(CommandError::from)) });
    }

    pub(super) fn test_call(&self, start: bool, reply: Reply<TestCall>) {
        let api = self.api.clone();
        tokio::spawn(async move { answer(reply, api.test_call(start).await.map_err(CommandError::from)) });
    }

    pub(super) fn test_call_greeting(&self, reply: Reply<Vec<u8>>) {
        let api = self.api.clone();
        tokio::spawn(async move { answer(reply, api.test_call_greeting().await.map_err(CommandError::from)) });
    }

    pub(super) fn devices(&self, reply: Reply<Vec<Device>>) {
        let api = self.api.clone();
        tokio::spawn(async move { answer(reply, api.devices().await.map_err(CommandError::from)) });
    }

    pub(super) fn phone_menu(&self, ask: AskPhoneMenu, reply: Reply<PhoneMenuView>) {
        let api = self.api.clone();
        tokio::spawn(async move {
            let done = async {
                match &ask {
                    AskPhoneMenu::Look => {}
                    AskPhoneMenu::SetPin(pin) => api.put_pin(Some(pin)).await?,
                    AskPhoneMenu::RemovePin => api.put_pin(None).await?,
                    AskPhoneMenu::Layout(layout) => return api.put_phone_menu(&PhoneMenuBody { layout: *layout }).await,
                }
                api.phone_menu().await
            };
            answer(reply, done.await.map_err(CommandError::from));
        });
    }

    pub(super) fn revoke_device(&self, device: DeviceId, reply: Reply<()>) {
        let api = self.api.clone();
        tokio::spawn(async move { answer(reply, api.revoke(device).await.map_err(CommandError::from)) });
    }

    pub(super) async fn play(&mut self, id: MessageId, from_ms: u64) -> Result<(), CommandError> {
        let message = self.mailbox.message(id).await.map_err(storage)?.ok_or(CommandError::NoSuchMessage)?;
        self.player.play(Wanted::Message(Box::new(message)), from_ms);
        Ok(())
    }

    pub(super) async fn play_greeting(&mut self, id: GreetingId, from_ms: u64) -> Result<(), CommandError> {
        let waiting = self.drafts.sounding(id).await;
        let stored = match waiting {
            Some(waiting) => Some(waiting),
            None => {
                let stored = self.mailbox.greetings().await.map_err(storage)?;
                stored.iter().find(|greeting| greeting.id == id).and_then(|greeting| self.drafts.stored_sounding(greeting))
            }
        };
        self.player.play(Wanted::Greeting(stored.ok_or(CommandError::NoSuchMessage)?), from_ms);
        Ok(())
    }

    /// Asks the server beside the loop, and tells what changed.
    pub(super) fn greeting(&mut self, ask: Ask, reply: Reply<()>) {
        if let Ask::Remove(id) = ask {
            self.player.forget(Played::Greeting(id));
        }
        let (api, mailbox, drafts) = (self.api.clone(), self.mailbox.clone(), self.drafts.clone());
        let (parts, sender) = (mailbox_folder(&self.config.data), self.sender.clone());
        tokio::spawn(async move {
            let done = greetings::perform(&api, &mailbox, &drafts, &parts, ask).await;
            let _over = sender.send(Input::Greetings);
            answer(reply, done);
        });
    }

    pub(super) async fn greetings_changed(&mut self) {
        self.drafts.ring();
        self.count().await;
        self.tell(Event::GreetingsChanged);
    }

    pub(super) async fn synced(&mut self, event: SyncEvent) {
        self.count().await;
        match event {
            SyncEvent::Told(event) => {
                if let Event::MessageExpunged(id) = &*event {
                    self.player.forget(Played::Message(*id));
                }
                self.tell(*event);
            }
            SyncEvent::Unauthorized => self.check_token(),
        }
    }

    pub(super) async fn played(&mut self, event: PlayerEvent) {
        match event {
            PlayerEvent::Changed(playback) => {
                let over = matches!(playback.state, PlaybackState::Ended | PlaybackState::Failed | PlaybackState::NoDevice);
                let other = self.snapshot.playback.is_some_and(|current| current.played != playback.played);
                // The end of one that was replaced says nothing of the one that plays now.
                if !(over && other) {
                    self.snapshot.playback = (!over).then_some(playback);
                }
                self.tell(Event::Playback(playback));
            }
            PlayerEvent::Heard(id) => {
                if let Err(e) = self.heard(id).await {
                    tracing::warn!(error = %e, "a message could not be marked as heard");
                }
            }
        }
    }

    async fn heard(&mut self, id: MessageId) -> Result<(), CommandError> {
        let message = self.mailbox.message(id).await.map_err(storage)?;
        match message.map(|message| message.state) {
            Some(aftertone_model::MessageState::New) => self.act(id, MessageAction::Heard).await,
            Some(_) | None => Ok(()),
        }
    }

    pub(super) async fn count(&mut self) {
        if let (Ok(new), Ok(waiting)) = (self.mailbox.new_messages().await, self.mailbox.waiting().await) {
            self.snapshot.new_messages = new;
            // What the server refused isn't sent either, and would be lost as well.
            let recordings = self.drafts.all().await.map_or(0, |all| all.len() as u64);
            self.snapshot.waiting = waiting + recordings;
        }
    }
}

fn storage(error: impl std::fmt::Display) -> CommandError {
    CommandError::Storage(error.to_string())
}

pub(crate) fn fresh_key() -> IdempotencyKey {
    IdempotencyKey::from_random(rand::rng().random())
}
