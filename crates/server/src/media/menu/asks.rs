//! What the menu asks of the store. Whatever changes a mailbox goes the same way as the API's changes, and every device is told.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use aftertone_exchange::MenuAccess;
use aftertone_media::{
    Codec,
    container::{self, Pcm},
    level::Peaks,
    resample::resample,
};
use aftertone_model::{
    CallId, CallRecord, Caller, Direction, EndReason, Envelope, Message, MessageAction, MessageId, MessageState, Reason,
    Subscriber, SubscriberId, Timestamp,
};
use aftertone_server_store::{
    Acted, FinishError, Finished, ForwardOrder, ForwardOutcome, Lookup, NewRecording, NewSound, SoundFormat,
};
use aftertone_sync::IdempotencyKey;
use aftertone_voicemail::{Answer, Ask, Guesser, Item, Profile};
use anyhow::{Context, bail};
use jiff::tz::TimeZone;

use super::{
    super::{MediaEvent, Shared, recording::Recording},
    tape::{Place, Sending, Taped},
};
use crate::{jobs::compact_later, pins::Checked};

/// More messages are not listed.
const MOST_LISTED: u32 = 1000;
/// Between an introduction and what it introduces.
const BREATH: Duration = Duration::from_millis(400);
/// What an introduction is joined with a message at.
const JOINED_RATE: u32 = 48_000;

/// An answer, with whose mailbox is open from now on.
pub(super) struct Replied {
    pub(super) answer: Answer,
    pub(super) owner: Option<Subscriber>,
    /// Where a reply is recorded to.
    pub(super) place: Option<Place>,
}

impl From<Answer> for Replied {
    fn from(answer: Answer) -> Self {
        Self { answer, owner: None, place: None }
    }
}

/// Everything that a question needs, as it was when it was asked.
pub(super) struct Asker {
    pub(super) shared: Arc<Shared>,
    pub(super) access: MenuAccess,
    pub(super) caller: Guesser,
    pub(super) owner: Option<Subscriber>,
    pub(super) codec: Codec,
    pub(super) taped: Option<Arc<Taped>>,
    /// Of a forward: the same again is the same.
    pub(super) key: IdempotencyKey,
}

impl Asker {
    pub(super) async fn answer(&self, ask: Ask) -> Replied {
        self.try_answer(ask).await.unwrap_or_else(|error| {
            tracing::error!("the phone menu can't do what is asked of it: {error:#}");
            Answer::Failed.into()
        })
    }

    /// Sound of a message was heard.
    pub(super) async fn heard(&self, message: MessageId) {
        if let Err(error) = self.act(message, MessageAction::Heard).await {
            tracing::error!(%message, "a message is not noted as heard: {error:#}");
        }
    }

    async fn try_answer(&self, ask: Ask) -> anyhow::Result<Replied> {
        Ok(match ask {
            Ask::Open => self.open().await?,
            Ask::LogIn { mailbox, pin } => {
                match self.shared.pins.check(self.shared.store.as_ref(), &mailbox, &self.caller, &pin).await? {
                    Checked::Right(subscriber) => self.opened(subscriber).await?,
                    Checked::Wrong => Answer::Refused.into(),
                    Checked::TooMany => Answer::Locked.into(),
                }
            }
            Ask::List => self.list().await?.into(),
            Ask::Act(message, action) => self.act(message, action).await?.into(),
            Ask::Find(extension) => match self.find(&extension).await? {
                Some(_) => Answer::Done.into(),
                None => Answer::Refused.into(),
            },
            Ask::Forward { message, to, introduced } => self.forward(message, &to, introduced).await?.into(),
            Ask::BeginReply(to) => self.begin_reply(&to).await?,
            Ask::Reply(to) => self.reply(&to).await?.into(),
            Ask::Greet(greeting) => self.greet(greeting).await?.into(),
            Ask::EndTemporary => self.end_temporary().await?.into(),
            Ask::Name => self.name().await?.into(),
            Ask::SetPin(pin) => {
                self.shared.pins.set(self.shared.store.as_ref(), self.owner()?, Some(pin)).await?;
                Answer::Done.into()
            }
            // The exchange's.
            Ask::Dial(_) => Answer::Refused.into(),
        })
    }

    pub(super) fn owner(&self) -> anyhow::Result<&Subscriber> {
        self.owner.as_ref().context("no mailbox is open")
    }

    pub(super) fn taped(&self) -> anyhow::Result<&Arc<Taped>> {
        self.taped.as_ref().context("nothing was recorded")
    }

    /// Devices are told, and lamps.
    pub(super) async fn changed(&self, mailbox: SubscriberId) {
        // Nobody listens any more at the end of a shutdown.
        let _ = self.shared.events.send(MediaEvent::MailboxChanged { mailbox }).await;
    }

    async fn open(&self) -> anyhow::Result<Replied> {
        let MenuAccess::Device(person) = self.access else { bail!("the mailbox is opened by its PIN") };
        match self.shared.store.subscriber(person).await? {
            Some(subscriber) => self.opened(subscriber).await,
            None => Ok(Answer::Refused.into()),
        }
    }

    async fn opened(&self, subscriber: Subscriber) -> anyhow::Result<Replied> {
        let menu = self.shared.store.phone_menu(subscriber.id).await?;
        let temporary = self.shared.store.plan(subscriber.id).await?.plan.temporary;
        let has_temporary = temporary.is_some_and(|greeting| greeting.until.is_none_or(|until| until > Timestamp::now()));
        let (extension, language) = (subscriber.extension.as_str().to_owned(), subscriber.language);
        let profile = Profile { extension, language, layout: menu.layout, has_temporary };
        tracing::info!(mailbox = %subscriber.id, "a mailbox is opened by phone");
        Ok(Replied { answer: Answer::Opened(profile), owner: Some(subscriber), place: None })
    }

    async fn list(&self) -> anyhow::Result<Answer> {
        let owner = self.owner()?;
        let zone = self.zone().await?;
        let people = self.shared.store.subscribers().await?;
        let extensions: BTreeSet<_> = people.iter().map(|person| person.extension.as_str()).collect();
        let messages = self.shared.store.messages(owner.id, None, MOST_LISTED).await?;
        let kept = messages.iter().rev().filter(|message| message.state != aftertone_model::MessageState::Deleted);
        let items = kept.map(|message| item(message, &zone, &extensions)).collect();
        Ok(Answer::Messages { today: zone.to_datetime(Timestamp::now()).date(), items })
    }

    /// The owner's time zone; the machine's if they haven't named one.
    async fn zone(&self) -> anyhow::Result<TimeZone> {
        let named = self.shared.store.plan(self.owner()?.id).await?.plan.zone;
        Ok(if named.is_empty() { TimeZone::system() } else { TimeZone::get(&named).unwrap_or_else(|_| TimeZone::system()) })
    }

    async fn act(&self, message: MessageId, action: MessageAction) -> anyhow::Result<Answer> {
        let mailbox = self.owner()?.id;
        let act = |action| async move {
            let key = IdempotencyKey::from_random(rand::random());
            self.shared.store.act(mailbox, message, action, &key, Timestamp::now()).await
        };
        let mut acted = act(action).await?;
        // Who saves a message wants to keep it, and in the trash it isn't kept.
        if let (MessageAction::Save, Acted::Message(saved)) = (action, &acted)
            && saved.state == MessageState::Deleted
        {
            acted = act(MessageAction::Restore).await?;
        }
        self.changed(mailbox).await;
        Ok(match acted {
            Acted::Message(message) => Answer::Acted(message.state),
            Acted::Expunged | Acted::Gone | Acted::NotFound => Answer::Refused,
            Acted::KeyReused => Answer::Failed,
        })
    }

    async fn find(&self, extension: &str) -> anyhow::Result<Option<Subscriber>> {
        Ok(self.shared.store.find_subscriber(extension).await?)
    }

    async fn forward(&self, message: MessageId, to: &[String], introduced: bool) -> anyhow::Result<Answer> {
        let mailbox = self.owner()?.id;
        let mut recipients = Vec::new();
        for extension in to {
            let Some(recipient) = self.find(extension).await? else { return Ok(Answer::Refused) };
            recipients.push(recipient.id);
        }
        let sound = if introduced { Some(self.introduced(message).await?) } else { None };
        let key = self.key.clone();
        let order = ForwardOrder { mailbox, message, to: recipients.clone(), note: String::new(), sound, key };
        Ok(match self.shared.store.forward(order, Timestamp::now()).await? {
            ForwardOutcome::Done(_) => {
                for recipient in recipients {
                    self.changed(recipient).await;
                }
                Answer::Done
            }
            ForwardOutcome::UnknownRecipient | ForwardOutcome::Gone | ForwardOutcome::NotFound => Answer::Refused,
            // Nobody is asked whom to forward it to.
            ForwardOutcome::Private => Answer::Failed,
            ForwardOutcome::KeyReused => Answer::Failed,
        })
    }

    /// What was recorded, and the message behind it.
    async fn introduced(&self, message: MessageId) -> anyhow::Result<NewSound> {
        let taped = Arc::clone(self.taped()?);
        let Lookup::Found(sound) = self.shared.store.sound(self.owner()?.id, message).await? else { bail!("it is gone") };
        tokio::task::spawn_blocking(move || join(&taped.bytes, &std::fs::read(&sound.path)?)).await?
    }

    /// From here on a crash leaves what was said of the reply.
    async fn begin_reply(&self, to: &str) -> anyhow::Result<Replied> {
        let place = self.begin(to).await?;
        Ok(Replied { answer: Answer::Done, owner: None, place: Some(place) })
    }

    async fn begin(&self, to: &str) -> anyhow::Result<Place> {
        let recipient = self.find(to).await?.context("nobody has this extension any more")?;
        let (recording, record) = reply_of(self.owner()?, &recipient, self.codec);
        Ok(Place::new(self.shared.spool.begin(recording).await?, record))
    }

    /// What was recorded becomes a message, in the same way as a caller's, and once, however often that is asked for.
    async fn reply(&self, to: &str) -> anyhow::Result<Answer> {
        let taped = self.taped()?;
        let mut sending = taped.sending.lock().await;
        let place = match std::mem::replace(&mut *sending, Sending::InMemory) {
            Sending::Sent => {
                *sending = Sending::Sent;
                return Ok(Answer::Done);
            }
            Sending::Spooled(place) => *place,
            Sending::InMemory => {
                let mut place = self.begin(to).await?;
                place.append(taped.bytes.clone());
                place
            }
        };
        let recipient = place.recipient();
        match place.finish(taped).await {
            Ok(Finished::Message(_)) => {}
            Ok(Finished::TooShort | Finished::Expunged) => return Ok(Answer::Failed),
            // It stays in the spool, which tries again.
            Err(error @ (FinishError::File(_) | FinishError::Store(_))) => tracing::error!(%error, "a reply is no message yet"),
            Err(error) => return Err(error.into()),
        }
        *sending = Sending::Sent;
        self.changed(recipient).await;
        Ok(Answer::Done)
    }
}

/// As a call that went to the mailbox at once.
fn reply_of(owner: &Subscriber, recipient: &Subscriber, codec: Codec) -> (NewRecording, CallRecord) {
    let (call, now) = (CallId::from_random(rand::random()), Timestamp::now());
    let party = Caller { number: owner.extension.as_str().to_owned(), name: Some(owner.display_name.clone()) };
    let envelope = Envelope {
        id: MessageId::from_random(rand::random()),
        call,
        mailbox: recipient.id,
        caller: party.clone(),
        received_at: now,
        reason: Reason::Direct,
        urgent: false,
        private: false,
        call_back: None,
        test: false,
    };
    let record = CallRecord {
        call,
        owner: recipient.id,
        direction: Direction::Incoming,
        party,
        started_at: now,
        answered_at: None,
        ended_at: now,
        end: EndReason::Diverted,
        diverted: Some(Reason::Direct),
        message: None,
        figures: None,
    };
    let format = SoundFormat { media_type: Recording::media_type(codec).into(), codec: codec.name().into() };
    let jobs = vec![compact_later(envelope.id, now)];
    (NewRecording { envelope, record: record.clone(), format, language: recipient.language, jobs }, record)
}

fn item(message: &Message, zone: &TimeZone, extensions: &BTreeSet<&str>) -> Item {
    let caller = &message.envelope.caller;
    let forwarder = message.forwarded.as_ref().map(|note| note.from.number.clone());
    let reply_to = forwarder.iter().chain([&caller.number]).find(|number| extensions.contains(number.as_str())).cloned();
    Item {
        id: message.envelope.id,
        state: message.state,
        number: caller.number.clone(),
        received: zone.to_datetime(message.envelope.received_at),
        length: Duration::from_millis(message.duration_ms),
        urgent: message.envelope.urgent,
        private: message.envelope.private,
        call_back: message.envelope.call_back.clone(),
        forwarded_by: forwarder,
        reply_to,
    }
}

/// One sound behind another.
fn join(first: &[u8], second: &[u8]) -> anyhow::Result<NewSound> {
    let at_rate = |bytes: &[u8]| {
        let pcm = container::decode(bytes)?;
        anyhow::Ok(resample(&pcm.samples, pcm.rate, JOINED_RATE)?)
    };
    let mut samples = at_rate(first)?;
    samples.resize(samples.len() + BREATH.as_millis() as usize * JOINED_RATE as usize / 1000, 0);
    samples.extend(at_rate(second)?);
    let mut peaks = Peaks::new(JOINED_RATE);
    peaks.push(&samples);
    let pcm = Pcm { samples, rate: JOINED_RATE };
    let duration_ms = u64::try_from(pcm.duration().as_millis()).unwrap_or(u64::MAX);
    let bytes = container::encode_ogg_opus(&pcm)?;
    Ok(NewSound { bytes, codec: "opus".into(), media_type: "audio/ogg".into(), duration_ms, peaks: peaks.finish() })
}
