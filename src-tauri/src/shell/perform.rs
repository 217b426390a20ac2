//! What each command of the window does.

use aftertone_client::{AskPhoneMenu, CommandError, Session};
use aftertone_model::{CallId, DeviceId};
use aftertone_server::own::Provider;
use aftertone_sync::PinBody;
use aftertone_view::{AudioUse, Code, Command, DevicesView, DirectoryView, Event, Language, ProviderView, Secret, SecretsView};
use tauri_plugin_autostart::ManagerExt;
use tokio::sync::oneshot;

use super::{Input, Shell, offline_code};
use crate::{arguments::Secrets, invitation_picture, own, sign_in, window};

pub(super) type Reply = oneshot::Sender<Result<(), Code>>;

impl Shell {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the others are matched below, in the end without a wildcard")]
    pub(super) async fn perform(&mut self, command: Command, reply: Reply) {
        match command {
            Command::SignIn { server, user, password } => {
                let password = password.reveal().to_owned();
                let (place, inputs) = (self.place(), self.inputs.clone());
                tauri::async_runtime::spawn(async move {
                    let started = sign_in::with_password(&place, &server, user, password).await;
                    inputs.send(Input::Started(started.map(|started| Some(Box::new(started))), Some(reply)));
                });
            }
            Command::SignInWithInvitation { link } => {
                let (place, inputs) = (self.place(), self.inputs.clone());
                tauri::async_runtime::spawn(async move {
                    let started = sign_in::with_invitation(&place, link.reveal()).await;
                    inputs.send(Input::Started(started.map(|started| Some(Box::new(started))), Some(reply)));
                });
            }
            Command::UseOnYourOwn { server, user, password } => {
                let provider = Provider { server, user, password: password.reveal().to_owned() };
                self.use_on_your_own(provider, reply);
            }
            Command::Forward { messages, to, note } => self.forward(messages, to, note, reply),
            Command::Act { messages, action } => self.act(messages, action, reply),
            Command::Unsave { messages } => self.unsave(messages, reply),
            Command::Undo { toast } => self.undo(toast, reply),
            Command::ExportMessages { messages } => self.export(messages, reply),
            Command::ListDirectory => self.list_directory(reply),
            Command::ListDevices => self.list_devices(None, reply),
            Command::RevokeDevice { device } => self.list_devices(Some(device), reply),
            Command::LookAtPhoneMenu => self.ask_phone_menu(AskPhoneMenu::Look, reply),
            Command::SetPin { pin } => self.ask_phone_menu(AskPhoneMenu::SetPin(PinBody { pin: pin.reveal().to_owned() }), reply),
            Command::RemovePin => self.ask_phone_menu(AskPhoneMenu::RemovePin, reply),
            Command::ChooseMenuLayout { layout } => self.ask_phone_menu(AskPhoneMenu::Layout(layout), reply),
            Command::ReadInvitation { picture } => self.read_invitation(picture, reply),
            command @ (Command::PlayGreeting { .. }
            | Command::PlayAccountGreeting
            | Command::DescribeGreeting { .. }
            | Command::SetStandardGreeting { .. }
            | Command::SetTemporaryGreeting { .. }
            | Command::RemoveGreeting { .. }
            | Command::StartRecording { .. }
            | Command::StopRecording
            | Command::LoadRecording { .. }
            | Command::DiscardRecording
            | Command::PlayRecording { .. }
            | Command::SaveGreeting { .. }
            | Command::SaveName { .. }
            | Command::Coach { .. }) => self.perform_greeting(command, reply).await,
            command @ (Command::StartTestCall | Command::PlayTestCall | Command::TestNotification) => {
                self.perform_test_call(command, reply);
            }
            command @ (Command::ChangePlan { .. }
            | Command::RemoveFromPlan { .. }
            | Command::SetRingTime { .. }
            | Command::Simulate { .. }) => self.perform_rules(command, reply),
            other => {
                let result = self.perform_at_once(other).await;
                let _window_gone = reply.send(result);
            }
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the others are matched below, in the end without a wildcard")]
    async fn perform_at_once(&mut self, command: Command) -> Result<(), Code> {
        match command {
            Command::Attach => {
                self.attached = true;
                self.tell_all();
                self.tell_audio_devices();
                match self.go_to.take() {
                    Some(place) => window::tell(&self.app, &Event::Show(place)),
                    None => self.offer_set_up(),
                }
                Ok(())
            }
            Command::RetrySecrets => {
                self.secrets_view = SecretsView::Ok;
                self.begin();
                Ok(())
            }
            Command::ChooseFileSecrets => {
                self.secrets = Secrets::File;
                self.settings.file_secrets = true;
                self.settings.save(&self.folder);
                self.secrets_view = SecretsView::Ok;
                self.begin();
                self.tell_app();
                Ok(())
            }
            Command::EndSetUp => {
                self.settings.set_up = true;
                self.settings.save(&self.folder);
                Ok(())
            }
            Command::SetLanguage { language } => {
                self.settings.language = Some(language);
                self.settings.save(&self.folder);
                self.tell_app();
                self.update_tray();
                Ok(())
            }
            Command::SetNotifications { notifications } => {
                self.settings.notifications = notifications;
                self.settings.save(&self.folder);
                self.tell_settings();
                Ok(())
            }
            Command::StartWithTheSession { on } => self.start_with_the_session(on),
            Command::OpenFolder { window } => {
                self.mailbox.open_window(window);
                self.read_mailbox().await;
                Ok(())
            }
            Command::OpenMessage { message } => {
                self.mailbox.open_message(message);
                self.read_mailbox().await;
                Ok(())
            }
            Command::OpenCallLog { offset, limit } => {
                self.mailbox.open_log(offset, limit);
                self.read_mailbox().await;
                Ok(())
            }
            Command::SetPlayer { player } => {
                self.set_player(player);
                Ok(())
            }
            Command::ListAudioDevices => {
                self.tell_audio_devices();
                Ok(())
            }
            Command::ChooseAudioDevice { usage, device } => {
                let named = device.clone().and_then(|id| Some((self.sound.name_of(usage, &id)?, id)));
                if let Some((name, id)) = named {
                    self.settings.device_names.insert(id, name);
                }
                match usage {
                    AudioUse::Microphone => self.settings.microphone = device,
                    AudioUse::Speaker => self.settings.speaker = device,
                    AudioUse::Ringer => self.settings.ringer = device,
                }
                self.sound_chosen();
                Ok(())
            }
            Command::SetVolume { usage, percent } => {
                match usage {
                    AudioUse::Microphone => {}
                    AudioUse::Speaker => self.settings.speaker_volume = percent.min(150),
                    AudioUse::Ringer => self.settings.ringer_volume = percent.min(150),
                }
                self.sound_chosen();
                Ok(())
            }
            Command::SetVoiceProcessing { processing } => {
                self.settings.voice = processing;
                self.sound_chosen();
                Ok(())
            }
            Command::SetToneRegion { region } => {
                self.settings.region = region;
                self.sound_chosen();
                Ok(())
            }
            Command::TestSpeaker { usage } => {
                self.sound.test_speaker(usage);
                Ok(())
            }
            Command::TestMicrophone { on } => {
                self.sound.test_microphone(on);
                self.sound.show_levels(self.calls.any_connected() || self.studio.is_recording());
                Ok(())
            }
            other => self.perform_with_phone(other).await,
        }
    }

    fn start_with_the_session(&self, on: bool) -> Result<(), Code> {
        let autostart = self.app.autolaunch();
        let done = if on { autostart.enable() } else { autostart.disable() };
        self.tell_settings();
        done.map_err(|error| {
            tracing::warn!(%error, "the session can't be told");
            Code::FileFailed
        })
    }

    /// Commands that need an account.
    async fn perform_with_phone(&mut self, command: Command) -> Result<(), Code> {
        let session = self.session().ok_or(Code::NotSignedIn)?;
        let result = match command {
            Command::SignOut => session.sign_out().await,
            Command::PlaceCall { number } => return self.dial(&number).await,
            Command::Answer { call } => return self.answer(call).await,
            Command::Decline { call } => session.decline(call).await,
            Command::HangUp { call } => session.hang_up(call).await,
            Command::SetMuted { call, muted } => session.mute(call, muted).await,
            Command::SetRecording { call, on } => return self.record(call, on).await,
            Command::SetHeld { call, held } => {
                if !held {
                    self.hold_others(&session, call).await;
                }
                session.hold(call, held).await
            }
            Command::SendDigit { call, digit } => {
                self.sound.key(digit);
                let pressed = session.press(call, digit).await;
                if pressed.is_ok() {
                    self.calls.pressed(call, digit);
                    self.tell_app();
                }
                pressed
            }
            Command::Reconnect => {
                session.reconnect();
                if let Some(own) = &self.own {
                    own.reconnect().await;
                }
                Ok(())
            }
            Command::Play { message, position_ms } => return self.play(message, position_ms).await,
            Command::Pause => {
                session.pause();
                Ok(())
            }
            Command::Seek { position_ms } => {
                session.seek(position_ms.into());
                Ok(())
            }
            Command::Select { offset, limit } => return self.select(offset, limit).await,
            Command::CallBack { message } => return self.call_back(message).await,
            Command::LeaveTestMessage => {
                session.place_test_message();
                Ok(())
            }
            // The rest needs no account and was performed before.
            Command::Attach
            | Command::SignIn { .. }
            | Command::SignInWithInvitation { .. }
            | Command::UseOnYourOwn { .. }
            | Command::RetrySecrets
            | Command::ReadInvitation { .. }
            | Command::SetNotifications { .. }
            | Command::StartWithTheSession { .. }
            | Command::ChooseFileSecrets
            | Command::SetLanguage { .. }
            | Command::OpenFolder { .. }
            | Command::OpenMessage { .. }
            | Command::OpenCallLog { .. }
            | Command::Forward { .. }
            | Command::Act { .. }
            | Command::Unsave { .. }
            | Command::Undo { .. }
            | Command::SetPlayer { .. }
            | Command::ExportMessages { .. }
            | Command::ListDirectory
            | Command::ListDevices
            | Command::RevokeDevice { .. }
            | Command::LookAtPhoneMenu
            | Command::SetPin { .. }
            | Command::RemovePin
            | Command::ChooseMenuLayout { .. }
            | Command::ListAudioDevices
            | Command::ChooseAudioDevice { .. }
            | Command::SetVolume { .. }
            | Command::SetVoiceProcessing { .. }
            | Command::SetToneRegion { .. }
            | Command::TestSpeaker { .. }
            | Command::PlayGreeting { .. }
            | Command::PlayAccountGreeting
            | Command::DescribeGreeting { .. }
            | Command::SetStandardGreeting { .. }
            | Command::SetTemporaryGreeting { .. }
            | Command::RemoveGreeting { .. }
            | Command::StartRecording { .. }
            | Command::StopRecording
            | Command::LoadRecording { .. }
            | Command::DiscardRecording
            | Command::PlayRecording { .. }
            | Command::SaveGreeting { .. }
            | Command::SaveName { .. }
            | Command::Coach { .. }
            | Command::ChangePlan { .. }
            | Command::RemoveFromPlan { .. }
            | Command::SetRingTime { .. }
            | Command::Simulate { .. }
            | Command::StartTestCall
            | Command::PlayTestCall
            | Command::TestNotification
            | Command::EndSetUp
            | Command::TestMicrophone { .. } => Ok(()),
        };
        result.map_err(|error| command_code(&error))
    }

    /// Signs in with an account at a provider, or gives the account that is signed in so another one.
    fn use_on_your_own(&self, provider: Provider, reply: Reply) {
        let (place, inputs, is_change) = (self.place(), self.inputs.clone(), self.own.is_some());
        let language = match self.settings.language() {
            Language::En => aftertone_model::Language::En,
            Language::De => aftertone_model::Language::De,
        };
        tauri::async_runtime::spawn(async move {
            if is_change {
                let changed = own::change(&place.folder, &provider, language).await;
                if changed.is_ok() {
                    inputs.send(Input::ProviderChanged(ProviderView { server: provider.server, user: provider.user }));
                }
                let _window_gone = reply.send(changed);
                return;
            }
            let told = inputs.clone();
            let started = own::begin(&place, &provider, language, |step| told.send(Input::ProviderStep(step))).await;
            inputs.send(Input::Started(started.map(|started| Some(Box::new(started))), Some(reply)));
        });
    }

    /// Calls somebody; whom one talks with waits meanwhile.
    pub(super) async fn dial(&self, number: &str) -> Result<(), Code> {
        let session = self.session().ok_or(Code::NotSignedIn)?;
        let call = session.dial(number).await.map_err(|error| command_code(&error))?;
        self.hold_others(&session, call).await;
        Ok(())
    }

    /// Calls a number that a caller has shown or left, and nobody has dialled.
    pub(super) async fn dial_back(&self, number: &str) -> Result<(), Code> {
        let session = self.session().ok_or(Code::NotSignedIn)?;
        let call = session.call_back(number).await.map_err(|error| command_code(&error))?;
        self.hold_others(&session, call).await;
        Ok(())
    }

    /// Takes a call; whom one talks with waits meanwhile.
    pub(super) async fn answer(&self, call: CallId) -> Result<(), Code> {
        let session = self.session().ok_or(Code::NotSignedIn)?;
        self.hold_others(&session, call).await;
        session.answer(call).await.map_err(|error| command_code(&error))
    }

    async fn hold_others(&self, session: &Session, call: CallId) {
        for other in self.calls.talked_in_besides(call) {
            // One that just ended needs no holding.
            let _over = session.hold(other, true).await;
        }
    }

    /// Calls who called then.
    pub(super) async fn call_again(&mut self, call: CallId) -> Result<(), Code> {
        let session = self.session().ok_or(Code::NotSignedIn)?;
        let record = session.incoming_call(call).await.map_err(|error| command_code(&error))?.ok_or(Code::Gone)?;
        self.dial_back(&record.party.number).await
    }

    /// Looks for an invitation in a picture; found, it waits to be accepted as one that was opened as a link does.
    fn read_invitation(&self, picture: Secret, reply: Reply) {
        let inputs = self.inputs.clone();
        tauri::async_runtime::spawn_blocking(move || {
            let found = invitation_picture::read(picture.reveal());
            let _window_gone = reply.send(found.map(|link| inputs.send(Input::Link(link))));
        });
    }

    fn list_directory(&self, reply: Reply) {
        let (session, inputs) = (self.session(), self.inputs.clone());
        tauri::async_runtime::spawn(async move {
            let result = match session {
                None => Err(Code::NotSignedIn),
                Some(session) => session.directory().await.map_err(|error| command_code(&error)),
            };
            let told = result.map(|entries| {
                inputs.send(Input::Tell(Box::new(Event::Directory(DirectoryView::new(&entries)))));
            });
            let _window_gone = reply.send(told);
        });
    }

    /// Lists the account's devices, after one was signed out if that is wanted.
    fn list_devices(&self, revoked: Option<DeviceId>, reply: Reply) {
        let (session, inputs) = (self.session(), self.inputs.clone());
        tauri::async_runtime::spawn(async move {
            let list = async {
                let session = session.ok_or(Code::NotSignedIn)?;
                if let Some(device) = revoked {
                    session.revoke_device(device).await.map_err(|error| command_code(&error))?;
                }
                session.devices().await.map_err(|error| command_code(&error))
            };
            let told = list.await.map(|devices| inputs.send(Input::Tell(Box::new(Event::Devices(DevicesView::new(&devices))))));
            let _window_gone = reply.send(told);
        });
    }

    fn ask_phone_menu(&self, ask: AskPhoneMenu, reply: Reply) {
        let (session, inputs) = (self.session(), self.inputs.clone());
        tauri::async_runtime::spawn(async move {
            let done = match session {
                Some(session) => session.phone_menu(ask).await.map_err(|error| command_code(&error)),
                None => Err(Code::NotSignedIn),
            };
            let told = done.map(|menu| inputs.send(Input::Tell(Box::new(Event::PhoneMenu(menu.into())))));
            let _window_gone = reply.send(told);
        });
    }

    /// Keeps what was chosen about sound, and lets it work.
    fn sound_chosen(&self) {
        self.settings.save(&self.folder);
        self.sound.choose(&self.settings);
        self.tell_audio_devices();
    }

    pub(super) fn tell_audio_devices(&self) {
        window::tell(&self.app, &Event::AudioDevices(self.sound.devices_view(&self.settings)));
    }
}

/// The code for a command that the phone refused.
pub(super) fn command_code(error: &CommandError) -> Code {
    match error {
        CommandError::Over => Code::NotSignedIn,
        CommandError::Offline { reason, .. } => offline_code(*reason),
        CommandError::NoSuchCall => Code::NoSuchCall,
        CommandError::NotAllowed => Code::NotAllowed,
        CommandError::InvalidTarget => Code::BadNumber,
        CommandError::NoSuchMessage => Code::Gone,
        CommandError::Refused { code, .. } => (*code).into(),
        CommandError::NoSound(detail) => {
            tracing::info!(detail, "a message has no sound here");
            Code::SoundMissing
        }
        CommandError::Storage(detail) => {
            tracing::error!(detail, "the stored mailbox failed");
            Code::Internal
        }
    }
}
