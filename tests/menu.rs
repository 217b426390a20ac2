//! People listen to their mailbox by phone. What they hear is told from the sound alone.

use std::path::PathBuf;

use aftertone_media::container;
use aftertone_model::{Language, Timestamp};
use aftertone_tests::{
    baresip::{Baresip, Setup},
    ears::{Ears, Heard},
    hosted::{self, ALICE, Api, BOB, DOMAIN, Hosted, Person, Phone},
    process::{self, PATIENCE},
    sipp,
    sound::{self, Sound},
};
use aftertone_voicemail::{prompt::Prompt, spoken};
use anyhow::{Context, Result};
use jiff::tz::TimeZone;
use reqwest::Method;
use serde_json::{Value, json};

const PIN: &str = "482159";
/// What a listener waits for is looked for whenever so much more was heard, in seconds.
const LOOK_S: f64 = 0.25;
/// Longer than any of these calls: a baresip whose sound ends hangs up.
const CALL_S: f64 = 240.0;

/// An account with Alice, in whose language it speaks, and Bob.
struct World {
    hosted: Hosted,
    alice: Api,
    alices: Phone,
    bobs: Phone,
    person: Person<'static>,
    folder: tempfile::TempDir,
}

impl World {
    /// Nobody is believed, so that a phone's own calls are its own by its credentials alone.
    async fn new(language: &'static str) -> Result<Self> {
        Self::with(language, &["--open"]).await
    }

    async fn with(language: &'static str, how: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("account");
        let person = Person { language, ..ALICE };
        for person in [&person, &BOB] {
            hosted::add_person(&data, person).await?;
        }
        let (alices, bobs) = (hosted::add_phone(&data, ALICE.name).await?, hosted::add_phone(&data, BOB.name).await?);
        let hosted = Hosted::start_wary(&data, how).await?;
        let alice = hosted.sign_in(ALICE.name).await?;
        // As people think of it, wherever this runs.
        alice.change_plan(json!({"zone": "Europe/Berlin"})).await?;
        Ok(Self { hosted, alice, alices, bobs, person, folder })
    }

    fn language(&self) -> Language {
        if self.person.language == "de" { Language::De } else { Language::En }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn set_pin(&self) -> Result<()> {
        self.alice.send(Method::PUT, "me/pin", Some(&json!({"pin": PIN}))).await?.error_for_status()?;
        Ok(())
    }

    /// The server dies and is started again.
    async fn restarted(self, how: &[&str]) -> Result<Self> {
        let Self { hosted, folder, .. } = self;
        hosted.kill().await?;
        let hosted = Hosted::start_wary(&folder.path().join("account"), how).await?;
        let alice = hosted.sign_in(ALICE.name).await?;
        Ok(Self { hosted, alice, folder, ..self })
    }

    async fn set_layout(&self, layout: &str) -> Result<()> {
        let body = json!({"layout": layout});
        self.alice.send(Method::PUT, "me/phone-menu", Some(&body)).await?.error_for_status()?;
        Ok(())
    }

    /// A phone that says this in its calls.
    async fn phone(&self, account: String, name: &str, says: &Sound) -> Result<Baresip> {
        let speech = self.file(&format!("{name}.wav"));
        says.save(&speech)?;
        Baresip::start(&Setup { account, speech, rate: sound::RATE }).await
    }

    async fn alices_phone(&self, says: &Sound) -> Result<Baresip> {
        let account = self.alices.account(&ALICE, self.hosted.sip_udp, ";audio_codecs=PCMU;answermode=manual");
        let mut phone = self.phone(account, "alices", says).await?;
        phone.registered().await?;
        Ok(phone)
    }

    async fn bobs_phone(&self, says: &Sound) -> Result<Baresip> {
        let account = self.bobs.account(&BOB, self.hosted.sip_udp, ";audio_codecs=PCMU;answermode=manual");
        let mut phone = self.phone(account, "bobs", says).await?;
        phone.registered().await?;
        Ok(phone)
    }

    /// Somebody elsewhere.
    async fn foreign_phone(&self, number: &str) -> Result<Baresip> {
        let account = format!("<sip:{number}@elsewhere.example>;regint=0;audio_codecs=PCMU");
        self.phone(account, "foreign", &Sound::silence(CALL_S)).await
    }

    /// Bob leaves Alice a message of a sentence.
    async fn message(&self) -> Result<Value> {
        let before = self.alice.messages().await?.len();
        let mut bob = self.bobs_phone(&Sound::silence(2.0).then(&sound::reply()?).then(&Sound::silence(0.6))).await?;
        bob.command(&format!("dial sip:*981001@{DOMAIN}")).await?;
        bob.happening("CALL_ESTABLISHED", PATIENCE).await?;
        bob.hears(0.4, PATIENCE).await?;
        bob.command("sndcode #").await?;
        bob.happening("CALL_CLOSED", PATIENCE).await?;
        let messages = self.alice.wait_for_messages(before + 1, PATIENCE).await?;
        messages.into_iter().next().context("no message")
    }

    async fn listen(&self, mut phone: Baresip, target: &str) -> Result<Listener> {
        phone.command(&format!("dial {target}")).await?;
        phone.happening("CALL_ESTABLISHED", PATIENCE).await?;
        Ok(Listener { phone, ears: Ears::of(self.language())?, at_s: 0.0 })
    }

    /// Alice in her menu, on her desk phone.
    async fn own_menu(&self, says: &Sound) -> Result<Listener> {
        self.listen(self.alices_phone(says).await?, &format!("sip:*97@{DOMAIN}")).await
    }

    async fn state(&self, message: &Value, expected: &str) -> Result<()> {
        let id = message["id"].as_str().context("no id")?;
        process::eventually(&format!("the message is {expected}"), PATIENCE, || async {
            Ok((self.alice.get(&format!("messages/{id}")).await?["state"] == expected).then_some(()))
        })
        .await
    }

    /// Somebody elsewhere who has dialled the number of mailboxes.
    async fn foreign_menu(&self) -> Result<Listener> {
        let target = format!("sip:*98@{};transport=udp", self.hosted.sip_udp);
        self.listen(self.foreign_phone("+4930901821").await?, &target).await
    }

    /// How the envelope of a message is said.
    fn envelope(&self, message: &Value) -> Result<String> {
        let zone = TimeZone::get("Europe/Berlin")?;
        let received: Timestamp = message["received_at"].as_str().context("no time")?.parse()?;
        let today = zone.to_datetime(Timestamp::now()).date();
        let words = spoken::moment(zone.to_datetime(received), today, self.language());
        let names: Vec<_> = words.into_iter().map(Prompt::name).collect();
        Ok(format!("received {} from number-1 number-0 number-0 number-2", names.join(" ")))
    }
}

/// Somebody with a phone at their ear.
struct Listener {
    phone: Baresip,
    ears: Ears,
    /// Up to here everything was heard.
    at_s: f64,
}

impl Listener {
    async fn press(&mut self, keys: &str) -> Result<()> {
        self.phone.command(&format!("sndcode {keys}")).await
    }

    fn so_far(&self) -> Result<Sound> {
        self.phone.heard().map_or_else(|_| Ok(Sound::default()), |path| sound::so_far(&path))
    }

    /// Waits until this prompt was heard to its end.
    async fn hears(&mut self, name: &str) -> Result<Heard> {
        let (mut looked_s, mut last_s) = (0.0, 0.0);
        let found = process::eventually(&format!("{name} is heard"), PATIENCE, || {
            let so_far = self.so_far();
            let found = so_far.map(|so_far| {
                // At the end of a call nothing more comes.
                let is_still = so_far.seconds() <= last_s && last_s > looked_s;
                last_s = so_far.seconds();
                let is_more = is_still || last_s > looked_s + LOOK_S;
                if is_more {
                    looked_s = so_far.seconds();
                }
                is_more.then(|| self.ears.find(name, &so_far, self.at_s)).flatten()
            });
            std::future::ready(found)
        })
        .await;
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                let heard = self.so_far()?;
                let all = self.ears.names(&heard);
                let closest = self.ears.closest(name, &heard);
                let context = format!("of {:.1} s was heard: {all}; {closest:.2} like {name}", heard.seconds());
                return Err(error.context(context));
            }
        };
        self.at_s = found.end_s - 0.05;
        Ok(found)
    }

    /// Hears prompts one after the other.
    async fn hears_all(&mut self, names: &str) -> Result<()> {
        for name in names.split(' ') {
            self.hears(name).await?;
        }
        Ok(())
    }

    /// Every prompt that was heard to its end. It takes a while to tell them all: when the call is over.
    fn story(&self) -> Result<String> {
        Ok(self.ears.names(&self.so_far()?))
    }

    /// Waits until so much more was said into the phone, in seconds.
    async fn speaks(&self, seconds: f64) -> Result<()> {
        let before = sound::seconds_so_far(&self.phone.said()?)?;
        process::eventually(&format!("{seconds} s are said"), PATIENCE, || async {
            Ok((sound::seconds_so_far(&self.phone.said()?)? > before + seconds).then_some(()))
        })
        .await
    }

    /// Records so much, and keeps it.
    async fn records(&mut self, seconds: f64) -> Result<()> {
        self.hears("speak-now").await?;
        self.speaks(seconds).await?;
        self.press("#").await?;
        self.hears("review-menu").await?;
        self.press("2").await
    }

    async fn hung_up(&mut self) -> Result<()> {
        self.phone.happening("CALL_CLOSED", PATIENCE).await.map(drop)
    }
}

async fn listens_on_the_own_phone(language: &'static str, other: Language) -> Result<()> {
    let world = World::new(language).await?;
    let message = world.message().await?;
    world.state(&message, "new").await?;
    let mut alice = world.own_menu(&Sound::silence(CALL_S)).await?;
    let menu = alice.hears("main-menu").await?;
    alice.press("1").await?;
    let help = alice.hears("message-menu").await?;
    world.state(&message, "heard").await?;
    alice.press("3").await?;
    alice.hears_all("deleted no-more").await?;
    world.state(&message, "deleted").await?;
    alice.press("3").await?;
    alice.hears("restored").await?;
    world.state(&message, "heard").await?;
    alice.press("3").await?;
    alice.hears_all("deleted no-more").await?;
    alice.press("#").await?;
    alice.hears("main-menu").await?;
    alice.press("#").await?;
    alice.hears("goodbye").await?;
    alice.hung_up().await?;

    let one = if language == "de" { "one-feminine" } else { "number-1" };
    let envelope = world.envelope(&message)?;
    let expected = format!(
        "you-have {one} new-message main-menu message number-1 {envelope} message-menu deleted no-more restored deleted no-more main-menu goodbye"
    );
    assert_eq!(alice.story()?, expected);
    let played = alice.so_far()?.part(menu.end_s, help.at_s - menu.end_s);
    let likeness = sound::likeness(&sound::reply()?.part(0.5, 4.0), &played);
    assert!(likeness > 0.85, "the message itself is {likeness:.2} like what Bob said");
    assert_eq!(Ears::of(other)?.names(&alice.so_far()?), "", "nothing is said in the other language");
    assert!(world.alice.call_records().await?.iter().all(|record| record["direction"] == "incoming"), "listening is no call");
    world.hosted.stop().await
}

#[tokio::test]
async fn alice_listens_on_her_own_phone_in_english() -> Result<()> {
    listens_on_the_own_phone("en", Language::De).await
}

#[tokio::test]
async fn alice_listens_on_her_own_phone_in_german() -> Result<()> {
    listens_on_the_own_phone("de", Language::En).await
}

#[tokio::test]
async fn a_foreign_phone_opens_the_mailbox_by_its_pin_and_by_nothing_else() -> Result<()> {
    let world = World::new("en").await?;
    let message = world.message().await?;
    let mut denied = world.foreign_menu().await?;
    denied.hears("enter-mailbox").await?;
    denied.press("1001#").await?;
    denied.hears("enter-pin").await?;
    denied.press("#").await?;
    denied.hears_all("wrong enter-mailbox").await?;
    denied.phone.command("hangup").await?;
    world.set_pin().await?;
    world.set_layout("asterisk").await?;

    let mut caller = world.foreign_menu().await?;
    for (mailbox, pin) in [("1001", "482158"), ("7777", PIN)] {
        caller.hears("enter-mailbox").await?;
        caller.press(&format!("{mailbox}#")).await?;
        caller.hears("enter-pin").await?;
        caller.press(&format!("{pin}#")).await?;
        caller.hears("wrong").await?;
    }
    caller.hears("enter-mailbox").await?;
    caller.press("1001#").await?;
    caller.hears("enter-pin").await?;
    caller.press(&format!("{PIN}#")).await?;
    caller.hears("main-menu-asterisk").await?;
    caller.press("1").await?;
    caller.hears("message-menu-asterisk").await?;
    for (key, said, state) in [("7", "deleted", "deleted"), ("7", "restored", "heard"), ("9", "saved", "saved")] {
        caller.press(key).await?;
        caller.hears(said).await?;
        world.state(&message, state).await?;
    }
    caller.hears("message-menu-asterisk").await?;
    caller.press("#").await?;
    caller.hears("goodbye").await?;
    caller.hung_up().await?;
    let tries = "enter-mailbox enter-pin wrong enter-mailbox enter-pin wrong enter-mailbox enter-pin";
    let envelope = world.envelope(&message)?;
    let listened =
        format!("message number-1 {envelope} message-menu-asterisk deleted restored saved message-menu-asterisk goodbye");
    assert_eq!(caller.story()?, format!("{tries} you-have number-1 new-message main-menu-asterisk {listened}"));
    world.hosted.stop().await
}

#[tokio::test]
async fn the_star_key_leads_from_the_greeting_into_the_menu() -> Result<()> {
    let world = World::new("de").await?;
    world.set_pin().await?;
    let phone = world.foreign_phone("+4930901821").await?;
    let mut caller = world.listen(phone, &format!("sip:1001@{};transport=udp", world.hosted.sip_udp)).await?;
    caller.phone.hears(1.0, PATIENCE).await?;
    caller.press("*").await?;
    caller.hears("enter-pin").await?;
    caller.press(&format!("{PIN}#")).await?;
    caller.hears_all("no-messages main-menu").await?;
    caller.press("#").await?;
    caller.hears("goodbye").await?;
    caller.hung_up().await?;
    assert_eq!(caller.story()?, "enter-pin no-messages main-menu goodbye");
    let record = world.alice.wait_for_records(1, PATIENCE).await?.remove(0);
    assert_eq!((&record["diverted"], &record["message"]), (&json!("offline"), &Value::Null), "{record}");
    assert!(world.alice.messages().await?.is_empty());
    world.hosted.stop().await
}

/// Whoever hangs up in their reply has sent it; whoever has pressed a key to throw it away has not.
#[tokio::test]
async fn a_reply_is_sent_though_the_line_breaks() -> Result<()> {
    let world = World::new("en").await?;
    world.message().await?;
    let bob = world.hosted.sign_in(BOB.name).await?;
    let mut alice = world.own_menu(&sound::sentence()?.repeated(CALL_S)).await?;
    alice.hears("main-menu").await?;
    alice.press("1").await?;
    alice.hears("message").await?;
    for discards in [true, false] {
        alice.press("*").await?;
        alice.hears("more-menu").await?;
        alice.press("1").await?;
        alice.hears("speak-now").await?;
        alice.speaks(4.0).await?;
        if discards {
            alice.press("#").await?;
            alice.hears("review-menu").await?;
            alice.press("*").await?;
            alice.hears("discarded").await?;
        }
    }
    alice.phone.command("hangup").await?;
    let replies = bob.wait_for_messages(1, PATIENCE).await?;
    let [reply] = replies.as_slice() else { anyhow::bail!("{} replies", replies.len()) };
    assert_eq!((&reply["caller"]["number"], &reply["interrupted"]), (&json!("1001"), &json!(false)), "{reply}");
    let likeness = likeness(&bob, reply, &sound::sentence()?.part(1.0, 2.0)).await?;
    assert!(likeness > 0.8, "{likeness:.2} like what Alice said");
    let incoming = bob.call_records().await?.into_iter().filter(|record| record["direction"] == "incoming").count();
    assert_eq!(incoming, 1, "what was thrown away is in no log");
    world.hosted.stop().await
}

/// A caller hears their message, records it once more, and says what is to be thought of it. Its owner sees that and hears it, and
/// is told why it goes to nobody else.
#[tokio::test]
async fn a_caller_chooses_what_becomes_of_the_message() -> Result<()> {
    let world = World::new("de").await?;
    let account = "<sip:+4930901821@elsewhere.example>;regint=0;audio_codecs=PCMU".to_owned();
    let phone = world.phone(account, "foreign", &sound::sentence()?.repeated(CALL_S)).await?;
    let mut caller = world.listen(phone, &format!("sip:*981001@{};transport=udp", world.hosted.sip_udp)).await?;
    // Past the greeting.
    caller.phone.hears(0.4, PATIENCE).await?;
    caller.press("#").await?;
    caller.speaks(9.0).await?;
    caller.press("#").await?;
    caller.hears("deposit-menu").await?;
    caller.press("3").await?;
    caller.speaks(6.0).await?;
    caller.press("#").await?;
    let menu = caller.hears("deposit-menu").await?;
    caller.press("1").await?;
    let again = caller.hears("deposit-menu").await?;
    let played = caller.so_far()?.part(menu.end_s, again.at_s - menu.end_s);
    // The sentence goes round and round, and where in it the recording begins is by chance: one of its parts is whole in it.
    let sentence = sound::sentence()?;
    let starts = (0..).map(f64::from).take_while(|start_s| start_s + 2.0 <= sentence.seconds());
    let likeness = starts.map(|start_s| sound::likeness(&sentence.part(start_s, 2.0), &played)).fold(0.0, f64::max);
    assert!(likeness > 0.8, "the caller hears {likeness:.2} like what they said");
    for (key, said) in [("4", "marked-urgent"), ("5", "marked-private"), ("4", "not-urgent"), ("4", "marked-urgent")] {
        caller.press(key).await?;
        caller.hears(said).await?;
    }
    caller.press("6").await?;
    caller.hears("enter-number").await?;
    caller.press("03017#").await?;
    caller.hears_all("number-noted number-0 number-3 number-0 number-1 number-7").await?;
    caller.phone.command("hangup").await?;

    let messages = world.alice.wait_for_messages(1, PATIENCE).await?;
    let [message] = messages.as_slice() else { anyhow::bail!("{} messages", messages.len()) };
    let marks = (&message["urgent"], &message["private"], &message["call_back"], &message["interrupted"]);
    assert_eq!(marks, (&json!(true), &json!(true), &json!("03017"), &json!(false)), "{message}");
    assert!((3_000..7_500).contains(&message["duration_ms"].as_u64().unwrap_or(0)), "the last one alone: {message}");
    let refused = world
        .alice
        .send(
            Method::POST,
            &format!("messages/{}/forward", message["id"].as_str().context("no id")?),
            Some(&json!({"to": ["1002"], "note": ""})),
        )
        .await?;
    assert_eq!(refused.status(), 422);
    assert_eq!(refused.json::<Value>().await?["code"], "private_message");
    assert_eq!(world.alice.call_records().await?.len(), 1, "one call, however often it was recorded");

    let mut alice = world.own_menu(&Sound::silence(CALL_S)).await?;
    alice.hears("main-menu").await?;
    alice.press("1").await?;
    alice.hears_all("message number-1 urgent private received").await?;
    alice.hears_all("call-back-at number-0 number-3 number-0 number-1 number-7").await?;
    alice.press("*").await?;
    alice.hears("more-menu").await?;
    alice.press("3").await?;
    alice.hears("cannot-forward").await?;
    alice.phone.command("hangup").await?;
    world.hosted.stop().await
}

/// Whoever presses nothing has sent it too, and hears that.
#[tokio::test]
async fn a_caller_who_chooses_nothing_has_sent_the_message() -> Result<()> {
    let world = World::new("en").await?;
    let account = "<sip:+4930901821@elsewhere.example>;regint=0;audio_codecs=PCMU".to_owned();
    let phone = world.phone(account, "foreign", &sound::sentence()?.repeated(CALL_S)).await?;
    let mut caller = world.listen(phone, &format!("sip:*981001@{};transport=udp", world.hosted.sip_udp)).await?;
    caller.phone.hears(0.4, PATIENCE).await?;
    caller.press("#").await?;
    caller.speaks(6.0).await?;
    caller.press("#").await?;
    caller.hears_all("deposit-menu message-sent").await?;
    caller.hung_up().await?;
    let message = world.alice.wait_for_messages(1, PATIENCE).await?.remove(0);
    assert_eq!((&message["urgent"], &message["private"], &message["call_back"]), (&json!(false), &json!(false), &Value::Null));
    world.hosted.stop().await
}

/// A menu in the greeting: an announcement and back, a colleague; and the zero, by which a message is sent first.
#[tokio::test]
async fn keys_lead_callers_from_the_greeting_to_an_announcement_and_to_people() -> Result<()> {
    let world = World::new("de").await?;
    let announcement = world.alice.announce(&sound::reply()?).await?;
    let keys = json!([
        {"key": "1", "title": "Hours", "target": {"kind": "announcement", "greeting": announcement}},
        {"key": "2", "title": "Bob", "target": {"kind": "person", "extension": "1002"}},
        {"key": "0", "title": "Bob", "target": {"kind": "person", "extension": "1002"}},
    ]);
    world.alice.change_plan(json!({"keys": keys})).await?;
    let mut bob = world.bobs_phone(&Sound::silence(CALL_S)).await?;
    let account = "<sip:+4930901821@elsewhere.example>;regint=0;audio_codecs=PCMU".to_owned();
    let says = sound::sentence()?.repeated(CALL_S);
    let target = format!("sip:*981001@{};transport=udp", world.hosted.sip_udp);

    let mut caller = world.listen(world.phone(account.clone(), "first", &says).await?, &target).await?;
    caller.phone.hears(0.4, PATIENCE).await?;
    caller.press("1").await?;
    let wanted = sound::reply()?.part(0.5, 1.5);
    process::eventually("the announcement is heard", PATIENCE, || async {
        Ok((sound::likeness(&wanted, &caller.so_far()?) > 0.8).then_some(()))
    })
    .await?;
    caller.press("2").await?;
    bob.happening("CALL_INCOMING", PATIENCE).await?;
    bob.command("accept").await?;
    let said = sound::sentence()?.part(1.0, 2.0);
    process::eventually("Bob hears the caller", PATIENCE, || async {
        let heard = bob.heard().ok().map(|path| sound::so_far(&path)).transpose()?;
        Ok(heard.filter(|heard| heard.seconds() > 3.0 && sound::likeness(&said, heard) > 0.8).map(drop))
    })
    .await?;
    bob.command("hangup").await?;
    caller.hung_up().await?;
    let missed = world.alice.wait_for_records(1, PATIENCE).await?.remove(0);
    assert_eq!((&missed["end"], &missed["message"]), (&json!("diverted"), &Value::Null), "{missed}");

    let mut caller = world.listen(world.phone(account, "second", &says).await?, &target).await?;
    caller.phone.hears(0.4, PATIENCE).await?;
    caller.press("#").await?;
    caller.speaks(6.0).await?;
    caller.press("#").await?;
    caller.hears_all("deposit-menu zero-for-person").await?;
    caller.press("0").await?;
    bob.happening("CALL_INCOMING", PATIENCE).await?;
    let message = world.alice.wait_for_messages(1, PATIENCE).await?.remove(0);
    assert!((3_000..7_500).contains(&message["duration_ms"].as_u64().unwrap_or(0)), "{message}");
    caller.phone.command("hangup").await?;
    bob.happening("CALL_CLOSED", PATIENCE).await?;
    world.hosted.stop().await
}

/// What of `wanted` is in the sound of a message.
async fn likeness(api: &Api, message: &Value, wanted: &Sound) -> Result<f64> {
    let id = message["id"].as_str().context("no id")?;
    let pcm = container::decode(&api.bytes(&format!("messages/{id}/audio")).await?)?;
    Ok(sound::likeness(wanted, &Sound(sound::to_rate(&pcm.samples, pcm.rate)?)))
}

#[tokio::test]
async fn a_message_is_forwarded_with_words_before_it_and_answered() -> Result<()> {
    let world = World::new("en").await?;
    let message = world.message().await?;
    let bob = world.hosted.sign_in(BOB.name).await?;
    let mut alice = world.own_menu(&sound::sentence()?.repeated(CALL_S)).await?;
    alice.hears("main-menu").await?;
    alice.press("1").await?;
    alice.hears("message-menu").await?;
    alice.press("*").await?;
    alice.hears("more-menu").await?;
    alice.press("3").await?;
    alice.hears("forward-to").await?;
    alice.press("1002#").await?;
    alice.hears("introduction-menu").await?;
    alice.press("1").await?;
    alice.records(4.0).await?;
    alice.hears("forwarded").await?;
    let forwarded = bob.wait_for_messages(1, PATIENCE).await?.remove(0);
    assert_eq!(forwarded["forwarded"]["from"]["number"], "1001", "{forwarded}");
    let (was, is) = (message["duration_ms"].as_f64(), forwarded["duration_ms"].as_f64());
    let longer = was.zip(is).map(|(was, is)| is - was).context("no duration")?;
    assert!((3_500.0..9_000.0).contains(&longer), "{longer} ms of words before it");
    // Both were encoded once more.
    let spoken = likeness(&bob, &forwarded, &sound::reply()?.part(0.5, 3.0)).await?;
    assert!(spoken > 0.7, "the message is {spoken:.2} like what was said");

    alice.hears("message-menu").await?;
    alice.press("*").await?;
    alice.hears("more-menu").await?;
    alice.press("1").await?;
    alice.records(3.0).await?;
    alice.hears("sent").await?;
    let messages = bob.wait_for_messages(2, PATIENCE).await?;
    let reply = messages.iter().find(|message| message["forwarded"].is_null()).context("no reply")?;
    assert_eq!(
        (&reply["caller"]["number"], &reply["reason"], &reply["state"]),
        (&json!("1001"), &json!("direct"), &json!("new"))
    );
    assert!(reply["duration_ms"].as_f64().is_some_and(|ms| ms > 2_500.0), "{reply}");
    alice.phone.command("hangup").await?;
    alice.hung_up().await?;
    world.hosted.stop().await
}

#[tokio::test]
async fn a_message_is_forwarded_to_several_at_once() -> Result<()> {
    let world = World::new("en").await?;
    world.message().await?;
    world.hosted.add_user("carla", "1003", "Carla Conti", 20).await?;
    let (bob, carla) = (world.hosted.sign_in(BOB.name).await?, world.hosted.sign_in("carla").await?);
    let mut alice = world.own_menu(&Sound::silence(CALL_S)).await?;
    alice.hears("main-menu").await?;
    alice.press("1").await?;
    alice.hears("message-menu").await?;
    alice.press("*").await?;
    alice.hears("more-menu").await?;
    alice.press("3").await?;
    alice.hears("forward-to").await?;
    alice.press("1002#").await?;
    alice.hears("introduction-menu").await?;
    alice.press("3").await?;
    alice.hears("forward-to").await?;
    alice.press("1003#").await?;
    alice.hears_all("number-2 recipients introduction-menu").await?;
    alice.press("2").await?;
    alice.hears("forwarded").await?;
    for recipient in [bob, carla] {
        let forwarded = recipient.wait_for_messages(1, PATIENCE).await?.remove(0);
        assert_eq!(forwarded["forwarded"]["from"]["number"], "1001", "{forwarded}");
    }
    alice.phone.command("hangup").await?;
    world.hosted.stop().await
}

#[tokio::test]
async fn who_left_a_message_is_called_back() -> Result<()> {
    let world = World::new("de").await?;
    world.message().await?;
    let mut bob = world.bobs_phone(&Sound::silence(CALL_S)).await?;
    let mut alice = world.own_menu(&sound::sentence()?.repeated(CALL_S)).await?;
    alice.hears("main-menu").await?;
    alice.press("1").await?;
    alice.hears("message-menu").await?;
    alice.press("*").await?;
    alice.hears("more-menu").await?;
    alice.press("2").await?;
    alice.hears("connecting").await?;
    bob.happening("CALL_INCOMING", PATIENCE).await?;
    bob.command("accept").await?;
    bob.happening("CALL_ESTABLISHED", PATIENCE).await?;
    let wanted = sound::sentence()?.part(1.0, 2.0);
    process::eventually("Bob hears Alice", PATIENCE, || async {
        let heard = bob.heard().ok().map(|path| sound::so_far(&path)).transpose()?;
        Ok(heard.filter(|heard| heard.seconds() > 3.0 && sound::likeness(&wanted, heard) > 0.8).map(drop))
    })
    .await?;
    alice.phone.command("hangup").await?;
    bob.happening("CALL_CLOSED", PATIENCE).await?;
    let records = world.alice.wait_for_records(2, PATIENCE).await?;
    let called = records.iter().find(|record| record["direction"] == "outgoing").context("no call back")?;
    assert_eq!(called["party"]["number"], "1002", "{called}");
    assert_ne!(called["answered_at"], Value::Null, "{called}");
    world.hosted.stop().await
}

#[tokio::test]
async fn greeting_and_pin_are_set_by_phone() -> Result<()> {
    let world = World::new("en").await?;
    let mut alice = world.own_menu(&sound::sentence()?.repeated(CALL_S)).await?;
    alice.hears("main-menu").await?;
    alice.press("3").await?;
    alice.hears("options-menu").await?;
    alice.press("1").await?;
    alice.records(8.0).await?;
    alice.hears_all("greeting-kept options-menu").await?;
    alice.press("#").await?;
    alice.hears("main-menu").await?;
    alice.press("4").await?;
    alice.hears("new-pin").await?;
    alice.press("123456#").await?;
    alice.hears_all("weak-pin new-pin").await?;
    alice.press("739164#").await?;
    alice.hears("repeat-pin").await?;
    alice.press("739164#").await?;
    alice.hears("pin-changed").await?;
    alice.phone.command("hangup").await?;
    assert_eq!(world.alice.get("me/phone-menu").await?["has_pin"], true);

    let phone = world.foreign_phone("+4930901821").await?;
    let mut caller = world.listen(phone, &format!("sip:1001@{};transport=udp", world.hosted.sip_udp)).await?;
    let wanted = sound::sentence()?.part(1.5, 2.5);
    process::eventually("a caller is greeted by Alice", PATIENCE, || async {
        let heard = caller.so_far()?;
        Ok((heard.seconds() > 3.0 && sound::likeness(&wanted, &heard) > 0.7).then_some(()))
    })
    .await?;
    caller.press("*").await?;
    caller.hears("enter-pin").await?;
    caller.press("739164#").await?;
    caller.hears_all("no-messages main-menu").await?;
    world.hosted.stop().await
}

/// In the phone menu.
async fn record_name(world: &World) -> Result<()> {
    let mut alice = world.own_menu(&sound::sentence()?.repeated(CALL_S)).await?;
    alice.hears("main-menu").await?;
    alice.press("3").await?;
    alice.hears("options-menu").await?;
    alice.press("4").await?;
    alice.records(2.0).await?;
    alice.hears("name-kept").await?;
    alice.phone.command("hangup").await?;
    alice.hung_up().await
}

/// What a caller hears of the greeting, until so many seconds of sound have come.
async fn greeted(world: &World, name: &str, seconds: f64) -> Result<Sound> {
    let account = "<sip:+4930901821@elsewhere.example>;regint=0;audio_codecs=PCMU".to_owned();
    let phone = world.phone(account, name, &Sound::silence(CALL_S)).await?;
    let mut caller = world.listen(phone, &format!("sip:1001@{};transport=udp", world.hosted.sip_udp)).await?;
    process::eventually(&format!("{seconds} s are heard"), PATIENCE, || {
        std::future::ready(caller.so_far().map(|heard| (heard.seconds() > seconds).then_some(())))
    })
    .await?;
    caller.phone.command("hangup").await?;
    caller.hung_up().await?;
    caller.so_far()
}

/// The name as it is stored, and after it the greeting of the account.
fn is_said_before_the_greeting(name: &Sound, heard: &Sound) -> Result<()> {
    let greeting = sound::asset("greeting-en.wav")?;
    let (named, greeted) = (sound::likeness(name, heard), sound::likeness(&greeting, heard));
    assert!(named > 0.8 && greeted > 0.8, "{named:.2} like the name, {greeted:.2} like the greeting");
    let (name_s, greeting_s) = (sound::find(name, heard), sound::find(&greeting, heard));
    let pause_s = greeting_s - name_s - name.seconds();
    assert!(pause_s.abs() < 0.3, "the name at {name_s:.2} s, the greeting at {greeting_s:.2} s");
    Ok(())
}

/// Recorded by phone it is the app's, and the other way round; without it callers hear the greeting alone.
#[tokio::test]
async fn the_name_that_is_recorded_by_phone_is_said_to_callers_and_is_the_one_of_the_app() -> Result<()> {
    let world = World::new("en").await?;
    record_name(&world).await?;
    let listed = world.alice.get("greetings").await?;
    assert_eq!((listed.as_array().map(Vec::len), &listed[0]["kind"]), (Some(1), &json!("name")), "{listed}");
    let id = listed[0]["id"].as_str().context("no id")?;
    let by_phone = world.alice.greeting_sound(id).await?;
    let heard = greeted(&world, "first", by_phone.seconds() + 7.9).await?;
    is_said_before_the_greeting(&by_phone, &heard)?;

    world.alice.put_greeting_sound(id, &sound::reply()?.part(0.3, 3.0)).await?;
    let by_app = world.alice.greeting_sound(id).await?;
    let heard = greeted(&world, "second", by_app.seconds() + 7.9).await?;
    is_said_before_the_greeting(&by_app, &heard)?;

    record_name(&world).await?;
    let listed = world.alice.get("greetings").await?;
    assert_eq!((listed.as_array().map(Vec::len), &listed[0]["id"]), (Some(1), &json!(id)), "the same one: {listed}");
    assert_ne!(world.alice.greeting_sound(id).await?.0, by_app.0);

    world.alice.send(Method::DELETE, &format!("greetings/{id}"), None).await?.error_for_status()?;
    let heard = greeted(&world, "third", 7.0).await?;
    let greeting_s = sound::find(&sound::asset("greeting-en.wav")?.part(0.0, 4.0), &heard);
    assert!(greeting_s < 1.0, "the greeting at once, and not after {greeting_s:.2} s");
    world.hosted.stop().await
}

/// The right PIN isn't looked at.
async fn is_locked(world: &World) -> Result<()> {
    let mut late = world.foreign_menu().await?;
    late.hears("enter-mailbox").await?;
    late.press("1001#").await?;
    late.hears("enter-pin").await?;
    late.press(&format!("{PIN}#")).await?;
    late.hears_all("locked goodbye").await?;
    late.hung_up().await
}

/// Sixteen callers with numbers of their own try as many wrong PINs at once. A restart is no way around the wait.
#[tokio::test]
async fn guessing_gets_nowhere_and_locks_nobody_out_of_the_app_or_of_the_own_phone() -> Result<()> {
    let trusting = ["--trust", "127.0.0.1/32"];
    let world = World::with("en", &trusting).await?;
    world.set_pin().await?;
    let pace = sipp::Pace { at_once: 16, ..sipp::Pace::default() };
    sipp::press(world.hosted.sip_udp, "*98", 16, "1001#482158#", pace).await?;
    is_locked(&world).await?;
    let world = world.restarted(&trusting).await?;
    is_locked(&world).await?;

    let mut alice = world.own_menu(&Sound::silence(CALL_S)).await?;
    alice.hears_all("no-messages main-menu").await?;
    alice.phone.command("hangup").await?;
    world.hosted.sign_in(ALICE.name).await?;
    world.set_pin().await?;
    let mut again = world.foreign_menu().await?;
    again.hears("enter-mailbox").await?;
    again.press("1001#").await?;
    again.hears("enter-pin").await?;
    again.press(&format!("{PIN}#")).await?;
    again.hears_all("no-messages main-menu").await?;
    world.hosted.stop().await
}
