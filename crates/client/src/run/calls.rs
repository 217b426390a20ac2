//! Commands about calls, and the dispatch of all commands.

use aftertone_call::{Refused, Target};
use aftertone_model::CallId;
use rand::RngExt;

use super::{Ending, Next, Run};
use crate::{
    CommandError, Connection, OfflineReason,
    playback::Wanted,
    session::{CallAction, Command},
};

impl Run {
    pub(super) async fn command(&mut self, command: Command) -> Next {
        match command {
            Command::Dial { target, is_back, reply } => answer(reply, self.dial(&target, is_back)),
            Command::Call { call, action, reply } => answer(reply, self.call(call, action)),
            Command::SoundFile { message, reply } => self.sound_file(message, reply),
            Command::Act { message, action, reply } => answer(reply, self.act(message, action).await),
            Command::Acted { events } => {
                events.into_iter().for_each(|event| self.tell(event));
                self.enqueued().await;
            }
            Command::Forward { message, to, note, reply } => self.forward(message, to, note, reply),
            Command::Directory { reply } => self.directory(reply),
            Command::Devices { reply } => self.devices(reply),
            Command::PhoneMenu { ask, reply } => self.phone_menu(ask, reply),
            Command::TestCall { start, reply } => self.test_call(start, reply),
            Command::TestCallGreeting { reply } => self.test_call_greeting(reply),
            Command::RingTime { reply } => self.ring_time(reply),
            Command::RevokeDevice { device, reply } => self.revoke_device(device, reply),
            Command::Play { message, from_ms, reply } => answer(reply, self.play(message, from_ms).await),
            Command::PlayGreeting { greeting, from_ms, reply } => answer(reply, self.play_greeting(greeting, from_ms).await),
            Command::PlayAccountGreeting => self.player.play(Wanted::AccountGreeting, 0),
            Command::PlayRecording { pcm, from_ms } => self.player.play(Wanted::Recording(pcm), from_ms),
            Command::Greeting { ask, reply } => self.greeting(ask, reply),
            Command::GreetingAdded => self.greetings_changed().await,
            Command::Playback(action) => self.player.act(action),
            Command::PlaceTestMessage => self.place_test_message(),
            Command::Reconnect => {
                self.sip.hurry();
                self.doorbell.hurry();
                self.synchroniser.ring();
                self.drafts.ring();
            }
            Command::SignOut { reply } => return Next::End(Ending::SignOut(reply)),
            Command::ShutDown { reply } => return Next::End(Ending::ShutDown(Some(reply))),
        }
        Next::Go
    }

    fn dial(&mut self, target: &str, is_back: bool) -> Result<CallId, CommandError> {
        let target: Target = target.parse().map_err(|_| CommandError::InvalidTarget)?;
        let call = CallId::from_random(rand::rng().random());
        let begun = if is_back { self.station.call_back(call, &target) } else { self.station.dial(call, &target) };
        match begun {
            Ok(()) => Ok(call),
            Err(refused) => Err(self.refused(refused)),
        }
    }

    fn call(&mut self, call: CallId, action: CallAction) -> Result<(), CommandError> {
        let done = match action {
            CallAction::Answer => self.station.answer(call),
            CallAction::Decline => self.station.decline(call),
            CallAction::HangUp => self.station.hang_up(call),
            CallAction::Mute(muted) => self.station.mute(call, muted),
            CallAction::Hold(held) => self.station.hold(call, held),
            CallAction::Press(key) => self.station.press(call, key),
            CallAction::Record(Some(_)) if !self.snapshot.me.records_calls => return Err(CommandError::NotAllowed),
            CallAction::Record(file) => self.station.record(call, file),
        };
        done.map_err(|refused| self.refused(refused))
    }

    fn refused(&self, refused: Refused) -> CommandError {
        match (refused, &self.snapshot.connection) {
            (Refused::NoSuchCall, _) => CommandError::NoSuchCall,
            (Refused::Offline, Connection::Offline { reason, detail, .. }) => {
                CommandError::Offline { reason: *reason, detail: detail.clone() }
            }
            (Refused::Offline, Connection::Connecting | Connection::Online) => {
                CommandError::Offline { reason: OfflineReason::Connect, detail: "connecting".into() }
            }
        }
    }
}

/// Whoever asked may have gone.
pub(super) fn answer<T>(reply: tokio::sync::oneshot::Sender<T>, result: T) {
    let _gone = reply.send(result);
}
