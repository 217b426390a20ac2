//! Greetings and the spoken name, recorded by phone.

use std::sync::Arc;

use aftertone_model::{Greeting, GreetingId, GreetingKind, GreetingRule, Language, Plan, Reason, Temporary, Timestamp, When};
use aftertone_server_store::{NewSound, PutGreeting};
use aftertone_sync::GreetingBody;
use aftertone_voicemail::{Answer, GreetingUse};
use anyhow::bail;

use super::asks::Asker;
use crate::greeting_sound;

/// Somebody else may change the plan at the same time.
const TRIES: u32 = 5;

impl Asker {
    /// What was recorded greets callers from now on. What was recorded by phone before for the same use is replaced.
    pub(super) async fn greet(&self, greeting: GreetingUse) -> anyhow::Result<Answer> {
        let language = self.owner()?.language;
        let title = title(greeting, language);
        let id = self.put(GreetingKind::Greeting, title, |known| known.title == title).await?;
        self.change_plan(|plan| match greeting {
            GreetingUse::Usual => plan.standard = Some(id),
            GreetingUse::Busy => greet_when_busy(plan, id, title),
            GreetingUse::Temporary => plan.temporary = Some(Temporary { greeting: id, until: None }),
        })
        .await
    }

    pub(super) async fn end_temporary(&self) -> anyhow::Result<Answer> {
        self.change_plan(|plan| plan.temporary = None).await
    }

    /// What was recorded is the owner's spoken name from now on.
    pub(super) async fn name(&self) -> anyhow::Result<Answer> {
        // The same in both languages.
        self.put(GreetingKind::Name, "Name", |_| true).await?;
        self.changed(self.owner()?.id).await;
        Ok(Answer::Done)
    }

    /// Gives the first recording of that kind which is meant the new sound, or makes one.
    async fn put(&self, kind: GreetingKind, title: &str, is_meant: impl Fn(&Greeting) -> bool) -> anyhow::Result<GreetingId> {
        let (owner, taped) = (self.owner()?, Arc::clone(self.taped()?));
        let sound: NewSound = tokio::task::spawn_blocking(move || greeting_sound::make(&taped.bytes)).await??;
        let (store, now) = (&self.shared.store, Timestamp::now());
        let known = store.greetings(owner.id).await?.into_iter().find(|known| known.kind == kind && is_meant(known));
        let new = || (GreetingId::from_random(rand::random()), title.to_owned(), owner.language);
        let (id, title, language) = known.map_or_else(new, |known| (known.id, known.title, known.language));
        // What is recorded now says what nobody has written down, and counts from now on, whenever the last one was over.
        let body = GreetingBody { kind, title, text: String::new(), language, expires_at: None };
        match store.put_greeting(owner.id, id, body, now).await? {
            PutGreeting::Done(_) => {}
            PutGreeting::TooMany | PutGreeting::NameTaken | PutGreeting::Foreign => bail!("there is no place for it"),
        }
        if store.put_greeting_sound(owner.id, id, sound, now).await?.is_none() {
            bail!("the greeting was removed meanwhile");
        }
        Ok(id)
    }

    async fn change_plan(&self, change: impl Fn(&mut Plan)) -> anyhow::Result<Answer> {
        let owner = self.owner()?.id;
        for _ in 0..TRIES {
            let mut stored = self.shared.store.plan(owner).await?;
            change(&mut stored.plan);
            if self.shared.store.put_plan(owner, stored.plan, Some(stored.version)).await?.is_ok() {
                self.changed(owner).await;
                return Ok(Answer::Done);
            }
        }
        bail!("the plan changes again and again")
    }
}

/// Above all other rules: whoever records one by phone wants to hear it.
fn greet_when_busy(plan: &mut Plan, id: GreetingId, title: &str) {
    plan.greetings.retain(|rule| rule.greeting != Some(id));
    let when = When { reasons: vec![Reason::Busy], ..When::default() };
    plan.greetings.insert(0, GreetingRule { title: title.to_owned(), on: true, when, greeting: Some(id) });
}

/// As it is listed in the app.
fn title(greeting: GreetingUse, language: Language) -> &'static str {
    match (greeting, language) {
        (GreetingUse::Usual, Language::De) => "Am Telefon aufgenommen",
        (GreetingUse::Usual, Language::En) => "Recorded by phone",
        (GreetingUse::Busy, Language::De) => "Am Telefon aufgenommen: besetzt",
        (GreetingUse::Busy, Language::En) => "Recorded by phone: busy",
        (GreetingUse::Temporary, Language::De) => "Am Telefon aufgenommen: vorübergehend",
        (GreetingUse::Temporary, Language::En) => "Recorded by phone: temporary",
    }
}
