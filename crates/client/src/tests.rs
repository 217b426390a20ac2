//! Sessions against a scripted server: what goes wrong on the way, and what the phone makes of it.

#![expect(clippy::unwrap_used, reason = "tests")]

mod fake;

use std::{sync::Arc, time::Duration};

use aftertone_model::{
    Answer, AnsweringRule, Greeting, GreetingId, GreetingKind, Language, MessageAction, MessageState, Plan, Timestamp, When,
};
use aftertone_sync::{Credentials, GreetingBody, PlanView, ProblemCode, SignIn};
use tokio::time::timeout;

use crate::{
    Account, CommandError, Connection, Event, EventStream, Greetings, MemorySecrets, NewGreeting, News, OfflineReason,
    PlaybackState, Purpose, RemovedPart, SecretError, SecretStore, ServerAddress, Session, SessionConfig, SignInError, Silence,
    StartError, WaitingGreeting, load_account, revoke_left, sign_in,
};
use fake::{Fake, message};

struct Place {
    folder: tempfile::TempDir,
    secrets: Arc<MemorySecrets>,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), secrets: Arc::default() }
    }

    async fn sign_in(&self, fake: &Fake) -> Result<Account, SignInError> {
        self.sign_in_with(fake, Arc::clone(&self.secrets) as Arc<dyn SecretStore>, "right").await
    }

    async fn sign_in_with(&self, fake: &Fake, secrets: Arc<dyn SecretStore>, password: &str) -> Result<Account, SignInError> {
        let credentials = Credentials::Password { user: "bob".into(), password: password.into() };
        let server = ServerAddress::parse(&fake.url, None).unwrap();
        sign_in(server, SignIn { credentials, device_name: "test".into() }, self.folder.path(), secrets).await
    }

    async fn start(&self) -> Result<(Session, EventStream), StartError> {
        let config = SessionConfig {
            data: self.folder.path().to_owned(),
            secrets: Arc::clone(&self.secrets) as Arc<dyn SecretStore>,
            audio: Arc::new(Silence),
            user_agent: "test".into(),
        };
        Session::start(config).await
    }
}

async fn signed_in() -> (Fake, Place, Session, EventStream) {
    let (fake, place) = (Fake::start().await, Place::new());
    place.sign_in(&fake).await.unwrap();
    let (session, events) = place.start().await.unwrap();
    (fake, place, session, events)
}

/// The first event that `wanted` takes, within ten seconds.
async fn wait_for<T>(events: &mut EventStream, wanted: impl Fn(&Event) -> Option<T>) -> T {
    let found = async {
        loop {
            let event = events.next().await.expect("the session is not over");
            if let Some(found) = wanted(&event) {
                return found;
            }
        }
    };
    timeout(Duration::from_secs(10), found).await.expect("the event comes")
}

async fn caught_up(events: &mut EventStream) {
    wait_for(events, |event| (*event == Event::CaughtUp).then_some(())).await;
}

fn arrived(event: &Event) -> Option<(aftertone_model::Message, News)> {
    if let Event::MessageArrived { message, news } = event { Some((message.clone(), *news)) } else { None }
}

fn offline(event: &Event) -> Option<OfflineReason> {
    if let Event::Connection(Connection::Offline { reason, .. }) = event { Some(*reason) } else { None }
}

#[tokio::test]
async fn signing_in_keeps_the_token_and_the_account_apart() {
    let (fake, place) = (Fake::start().await, Place::new());
    let account = place.sign_in(&fake).await.unwrap();
    assert_eq!(load_account(place.folder.path()).unwrap(), Some(account.clone()));
    let token = place.secrets.get(&account.server.secret_name(account.device)).unwrap();
    assert_eq!(token.as_deref(), Some(fake::TOKEN));
    let stored = std::fs::read_to_string(place.folder.path().join("account.json")).unwrap();
    assert!(!stored.contains(fake::TOKEN));
}

#[tokio::test]
async fn a_wrong_password_leaves_nothing_behind() {
    let (fake, place) = (Fake::start().await, Place::new());
    let secrets = Arc::clone(&place.secrets) as Arc<dyn SecretStore>;
    let refused = place.sign_in_with(&fake, secrets, "wrong").await;
    assert!(matches!(refused, Err(SignInError::WrongCredentials)), "{refused:?}");
    assert_eq!(load_account(place.folder.path()).unwrap(), None);
    assert!(matches!(place.start().await, Err(StartError::SignedOut)));
}

#[tokio::test]
async fn a_keyring_that_locks_meanwhile_gives_the_new_device_back() {
    /// Takes one secret, and no more.
    #[derive(Default)]
    struct LocksItself(std::sync::atomic::AtomicBool);

    impl SecretStore for LocksItself {
        fn get(&self, _name: &str) -> Result<Option<String>, SecretError> {
            Err(SecretError::Locked)
        }

        fn set(&self, _name: &str, _secret: &str) -> Result<(), SecretError> {
            if self.0.swap(true, std::sync::atomic::Ordering::Relaxed) { Err(SecretError::Locked) } else { Ok(()) }
        }

        fn delete(&self, _name: &str) -> Result<(), SecretError> {
            Ok(())
        }
    }

    let (fake, place) = (Fake::start().await, Place::new());
    let failed = place.sign_in_with(&fake, Arc::new(LocksItself::default()), "right").await;
    assert!(matches!(failed, Err(SignInError::Secret(SecretError::Locked))), "{failed:?}");
    assert!(fake.state().revoked, "the server doesn't keep a device that nobody can use");
    assert_eq!(load_account(place.folder.path()).unwrap(), None);
}

#[tokio::test]
async fn why_a_server_can_not_be_reached() {
    let check = async |url: &str, expected: OfflineReason| {
        let credentials = Credentials::Password { user: "bob".into(), password: "right".into() };
        let body = SignIn { credentials, device_name: "test".into() };
        let (place, server) = (Place::new(), ServerAddress::parse(url, None).unwrap());
        let failed = sign_in(server, body, place.folder.path(), place.secrets.clone()).await.unwrap_err();
        let SignInError::Unreachable { reason, .. } = failed else { panic!("{failed:?}") };
        assert_eq!(reason, expected, "{url}");
    };
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    check(&format!("http://{nobody}"), OfflineReason::Connect).await;
    check("https://nowhere.invalid", OfflineReason::Dns).await;
    let fake = Fake::start().await;
    // The other end answers the greeting of TLS with HTTP.
    check(&fake.url.replace("http://", "https://"), OfflineReason::Tls).await;
}

#[tokio::test]
async fn the_first_synchronisation_is_no_news_and_the_next_message_is() {
    let (fake, place) = (Fake::start().await, Place::new());
    fake.add(message(1, MessageState::New));
    place.sign_in(&fake).await.unwrap();
    let (session, mut events) = place.start().await.unwrap();
    assert_eq!(wait_for(&mut events, arrived).await.1, News::Known, "it was there before this device");
    caught_up(&mut events).await;
    fake.add(message(2, MessageState::New));
    fake.ring();
    let (second, news) = wait_for(&mut events, arrived).await;
    assert_eq!((second.envelope.id, news), (message(2, MessageState::New).envelope.id, News::Fresh));
    let shown: Vec<_> = session.messages().await.unwrap().into_iter().map(|m| m.envelope.id).collect();
    assert_eq!(shown.len(), 2);
    session.shut_down().await;
}

/// Whoever was away is told of all at once; so everything that comes until the feed's end says that it is old, each time.
#[tokio::test]
async fn what_came_while_the_program_did_not_run_or_the_network_was_away_is_no_fresh_news() {
    let (fake, place, session, mut events) = signed_in().await;
    caught_up(&mut events).await;
    session.shut_down().await;
    fake.add(message(1, MessageState::New));
    let (session, mut events) = place.start().await.unwrap();
    assert_eq!(wait_for(&mut events, arrived).await.1, News::Away, "the program did not run");
    caught_up(&mut events).await;

    for n in [2, 4] {
        fake.state().sockets_refused = true;
        fake.hang_up();
        wait_for(&mut events, offline).await;
        fake.add(message(n, MessageState::New));
        fake.add(message(n + 1, MessageState::New));
        fake.state().sockets_refused = false;
        session.reconnect();
        for _ in 0..2 {
            assert_eq!(wait_for(&mut events, arrived).await.1, News::Away, "the network was away");
        }
        caught_up(&mut events).await;
    }
    session.shut_down().await;
}

#[tokio::test]
async fn what_was_stored_is_there_without_the_server() {
    let (fake, place, session, mut events) = signed_in().await;
    fake.add(message(1, MessageState::Saved));
    session.reconnect();
    wait_for(&mut events, |event| if let Event::AudioCached(id) = event { Some(*id) } else { None }).await;
    session.shut_down().await;
    drop(fake);

    let (session, mut events) = place.start().await.unwrap();
    assert_eq!(wait_for(&mut events, offline).await, OfflineReason::Connect);
    let stored = session.messages().await.unwrap();
    assert_eq!(stored, [message(1, MessageState::Saved)]);
    session.play(stored[0].envelope.id, 0).await.unwrap();
    let ended = |event: &Event| match event {
        Event::Playback(playback) if playback.state == PlaybackState::Ended => Some(playback.position_ms),
        Event::Playback(playback) if playback.state == PlaybackState::Failed => panic!("it fails"),
        Event::Connection(_)
        | Event::Call(_)
        | Event::MessageArrived { .. }
        | Event::MessageChanged(_)
        | Event::MessageExpunged(_)
        | Event::Quality(_)
        | Event::Recording(_)
        | Event::CallRecord { .. }
        | Event::CaughtUp
        | Event::AudioCached(_)
        | Event::ActionRefused { .. }
        | Event::Playback(_)
        | Event::TestMessage(_)
        | Event::GreetingsChanged
        | Event::RoomChanged(_)
        | Event::SignedOut { .. } => None,
    };
    assert_eq!(wait_for(&mut events, ended).await, 500);
    session.shut_down().await;
}

#[tokio::test]
async fn an_action_is_seen_at_once_and_sent_when_the_server_is_back() {
    let (fake, _place, session, mut events) = signed_in().await;
    fake.add(message(1, MessageState::New));
    session.reconnect();
    wait_for(&mut events, arrived).await;
    caught_up(&mut events).await;
    fake.state().failing = true;
    let id = message(1, MessageState::New).envelope.id;
    session.act(id, MessageAction::Delete).await.unwrap();
    assert_eq!(session.message(id).await.unwrap().unwrap().state, MessageState::Deleted);
    timeout(Duration::from_secs(10), fake.asked("actions", 1)).await.unwrap();
    assert_eq!(session.snapshot().waiting, 1);

    fake.state().failing = false;
    session.reconnect();
    timeout(Duration::from_secs(10), fake.asked("actions", 2)).await.unwrap();
    let keys = fake.state().keys.clone();
    assert!(keys.len() >= 2 && keys.iter().all(|key| *key == keys[0]), "the same write keeps its key: {keys:?}");
    let sent = async {
        while session.snapshot().waiting > 0 {
            caught_up(&mut events).await;
        }
    };
    timeout(Duration::from_secs(10), sent).await.unwrap();
    assert_eq!(session.message(id).await.unwrap().unwrap().state, MessageState::Deleted);
    assert_eq!(fake.state().keys.len(), 2, "once is enough");
    session.shut_down().await;
}

#[tokio::test]
async fn a_write_at_which_the_server_fails_holds_back_no_other() {
    let (fake, _place, session, mut events) = signed_in().await;
    let [first, second] = [1, 2].map(|n| message(n, MessageState::New));
    fake.add(first.clone());
    fake.add(second.clone());
    fake.state().failing_at = Some(first.envelope.id);
    session.reconnect();
    for _ in 0..2 {
        wait_for(&mut events, arrived).await;
    }
    session.act(first.envelope.id, MessageAction::Delete).await.unwrap();
    session.act(first.envelope.id, MessageAction::Restore).await.unwrap();
    session.act(second.envelope.id, MessageAction::Save).await.unwrap();
    let saved = async {
        while !fake.state().has(second.envelope.id, MessageState::Saved) {
            caught_up(&mut events).await;
        }
    };
    timeout(Duration::from_secs(10), saved).await.unwrap();
    while session.snapshot().waiting > 2 {
        caught_up(&mut events).await;
    }
    assert_eq!(session.snapshot().waiting, 2, "what comes after the failed one keeps its order");
    session.shut_down().await;
}

fn recorded(number: u128) -> NewGreeting {
    let (kind, language) = (GreetingKind::Greeting, Language::En);
    let body = GreetingBody { kind, title: "Office".into(), text: String::new(), language, expires_at: None };
    let id = GreetingId::from_random(number);
    let waiting = WaitingGreeting { id, body, purpose: Purpose::Standard, duration_ms: 500, peaks: vec![9], refused: None };
    NewGreeting { waiting, sound: vec![1, 2, 3] }
}

/// Until no greeting waits, or the server refused it.
async fn settled(session: &Session, events: &mut EventStream) -> Greetings {
    loop {
        let greetings = session.greetings().await.unwrap();
        if greetings.waiting.iter().all(|waiting| waiting.refused.is_some()) {
            return greetings;
        }
        wait_for(events, |event| matches!(event, Event::GreetingsChanged).then_some(())).await;
    }
}

/// Recorded while the server fails, it is sent by the next start, and the plan keeps what another device wrote meanwhile.
#[tokio::test]
async fn a_greeting_that_was_recorded_without_the_server_is_sent_after_a_restart() {
    let (fake, place, session, mut events) = signed_in().await;
    caught_up(&mut events).await;
    fake.state().failing = true;
    let new = recorded(1);
    session.add_greeting(new.clone()).await.unwrap();
    let waiting = session.greetings().await.unwrap().waiting;
    assert_eq!(waiting, std::slice::from_ref(&new.waiting));
    wait_for(&mut events, |event| matches!(event, Event::GreetingsChanged).then_some(())).await;
    assert_eq!(session.snapshot().waiting, 1, "signing out would lose it");
    session.shut_down().await;

    fake.state().failing = false;
    let (session, mut events) = place.start().await.unwrap();
    let greetings = settled(&session, &mut events).await;
    assert_eq!(greetings.waiting, []);
    assert_eq!(greetings.stored[0].sound.as_ref().unwrap().content, "3 bytes");
    let plan = fake.state().plan.plan.clone();
    assert_eq!((plan.standard, plan.zone.as_str()), (Some(new.waiting.id), "Europe/Berlin"));
    session.shut_down().await;
}

/// Somebody records their name by phone, and then in the app: it is the same one.
#[tokio::test]
async fn a_name_that_is_recorded_takes_the_place_of_the_one_that_is_there() {
    let (fake, _place, session, mut events) = signed_in().await;
    caught_up(&mut events).await;
    let by_phone = GreetingId::from_random(9);
    let mut name = recorded(1);
    name.waiting.body = GreetingBody { kind: GreetingKind::Name, title: "Name".into(), ..name.waiting.body };
    name.waiting.purpose = Purpose::Keep;
    let GreetingBody { kind, title, text, language, expires_at } = name.waiting.body.clone();
    let known =
        Greeting { id: by_phone, kind, title, text, language, expires_at, changed_at: Timestamp::UNIX_EPOCH, sound: None };
    fake.state().greetings.push(known);
    session.add_greeting(name).await.unwrap();
    let greetings = settled(&session, &mut events).await;
    assert_eq!(greetings.waiting, []);
    let names: Vec<_> = fake.state().greetings.iter().map(|name| (name.id, name.sound.is_some())).collect();
    assert_eq!(names, [(by_phone, true)]);
    assert_eq!(greetings.stored.iter().map(|name| name.id).collect::<Vec<_>>(), [by_phone]);
    session.shut_down().await;
}

/// What was changed elsewhere meanwhile is never overwritten; a rule that was removed is put back into whatever there is then.
#[tokio::test]
async fn a_plan_that_was_changed_elsewhere_is_kept_and_the_change_is_refused() {
    let (fake, _place, session, mut events) = signed_in().await;
    caught_up(&mut events).await;
    let plan = Plan { region: "DE".into(), ..Plan::default() };
    let refused = session.set_plan(PlanView { version: 0, plan: plan.clone() }).await;
    assert!(matches!(refused, Err(CommandError::Refused { code: ProblemCode::Conflict, .. })), "{refused:?}");
    let found = session.greetings().await.unwrap().plan.unwrap();
    assert_eq!((found.version, found.plan.zone.as_str()), (1, "Europe/Berlin"), "the other's");

    session.set_plan(PlanView { version: 1, plan }).await.unwrap();
    let answer = Answer::Mailbox;
    let rule = AnsweringRule { title: "Nights".into(), on: true, when: When::default(), answer };
    session.put_back(RemovedPart::Answering(3, rule.clone())).await.unwrap();
    let plan = fake.state().plan.plan.clone();
    assert_eq!((plan.region.as_str(), plan.answering), ("DE", vec![rule]));
    session.shut_down().await;
}

#[tokio::test]
async fn the_ring_time_is_set_and_the_language_stays() {
    let (_fake, _place, session, mut events) = signed_in().await;
    caught_up(&mut events).await;
    assert_eq!(session.ring_time().await.unwrap(), 20);
    session.set_ring_time(35).await.unwrap();
    assert_eq!(session.ring_time().await.unwrap(), 35);
    session.shut_down().await;
}

#[tokio::test]
async fn a_greeting_that_the_server_refuses_stays_and_says_so() {
    let (fake, _place, session, mut events) = signed_in().await;
    caught_up(&mut events).await;
    fake.state().refusing = true;
    session.add_greeting(recorded(2)).await.unwrap();
    let greetings = settled(&session, &mut events).await;
    assert_eq!(greetings.waiting[0].refused, Some(ProblemCode::UnsupportedSound));
    session.shut_down().await;
}

/// What was done and not sent survives a lost token: the same person signs in again and goes on.
#[tokio::test]
async fn whoever_signs_in_again_keeps_what_waits_to_be_sent() {
    let (fake, place, session, mut events) = signed_in().await;
    fake.add(message(1, MessageState::New));
    session.reconnect();
    wait_for(&mut events, arrived).await;
    caught_up(&mut events).await;
    fake.state().failing = true;
    let id = message(1, MessageState::New).envelope.id;
    session.act(id, MessageAction::Save).await.unwrap();
    session.shut_down().await;
    let account = load_account(place.folder.path()).unwrap().unwrap();
    place.secrets.delete(&account.server.secret_name(account.device)).unwrap();
    assert!(matches!(place.start().await, Err(StartError::TokenMissing)), "signed in, but without a token");

    place.sign_in(&fake).await.unwrap();
    let (session, mut events) = place.start().await.unwrap();
    assert_eq!(session.snapshot().waiting, 1);
    assert_eq!(session.message(id).await.unwrap().unwrap().state, MessageState::Saved);
    fake.state().failing = false;
    session.reconnect();
    let sent = async {
        while session.snapshot().waiting > 0 {
            caught_up(&mut events).await;
        }
    };
    timeout(Duration::from_secs(10), sent).await.unwrap();
    session.shut_down().await;

    // Somebody else's mailbox is not shown to them.
    let other = Fake::start().await;
    place.sign_in(&other).await.unwrap();
    assert!(!place.folder.path().join("mailbox").exists());
}

#[tokio::test]
async fn many_messages_are_acted_on_at_once_and_each_is_told() {
    let (fake, _place, session, mut events) = signed_in().await;
    (1..=3).for_each(|n| fake.add(message(n, MessageState::New)));
    session.reconnect();
    for _ in 0..3 {
        wait_for(&mut events, arrived).await;
    }
    caught_up(&mut events).await;
    fake.state().failing = true;
    let id = |n| message(n, MessageState::New).envelope.id;
    let save = |n| (id(n), MessageAction::Save);
    // The first goes by way of saved into the trash; one is not there.
    session
        .act_many(&[save(1), (id(1), MessageAction::Delete), save(2), save(9), (id(3), MessageAction::Expunge)])
        .await
        .unwrap();
    assert_eq!(session.message(id(1)).await.unwrap().unwrap().state, MessageState::Deleted);
    let changed = |event: &Event| if let Event::MessageChanged(m) = event { Some((m.envelope.id, m.state)) } else { None };
    let told = [wait_for(&mut events, changed).await, wait_for(&mut events, changed).await];
    assert_eq!(told, [(id(1), MessageState::Deleted), (id(2), MessageState::Saved)]);
    let expunged = |event: &Event| if let Event::MessageExpunged(id) = event { Some(*id) } else { None };
    assert_eq!(wait_for(&mut events, expunged).await, id(3));
    let waits = async {
        while session.snapshot().waiting != 4 {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(10), waits).await.unwrap();
    session.shut_down().await;
}

#[tokio::test]
async fn a_device_that_was_signed_out_without_the_server_is_revoked_later() {
    let (fake, place, session, mut events) = signed_in().await;
    caught_up(&mut events).await;
    let account = load_account(place.folder.path()).unwrap().unwrap();
    fake.state().revoke_fails = true;
    session.sign_out().await.unwrap();
    assert_eq!(load_account(place.folder.path()).unwrap(), None);
    assert!(!place.folder.path().join("mailbox").exists());
    let secrets = Arc::clone(&place.secrets) as Arc<dyn SecretStore>;
    assert_eq!(revoke_left(place.folder.path(), &secrets).await, 1, "the server can't be told yet");
    assert!(!fake.state().revoked);

    fake.state().revoke_fails = false;
    assert_eq!(revoke_left(place.folder.path(), &secrets).await, 0);
    assert!(fake.state().revoked);
    assert_eq!(place.secrets.get(&account.server.secret_name(account.device)).unwrap(), None, "the token is of no use any more");
    assert_eq!(revoke_left(place.folder.path(), &secrets).await, 0, "once is enough");
}

#[tokio::test]
async fn a_refused_action_is_undone_and_told() {
    let (fake, _place, session, mut events) = signed_in().await;
    fake.add(message(1, MessageState::New));
    fake.state().refusing = true;
    session.reconnect();
    wait_for(&mut events, arrived).await;
    let id = message(1, MessageState::New).envelope.id;
    session.act(id, MessageAction::Save).await.unwrap();
    let refused = |event: &Event| if let Event::ActionRefused { message, code } = event { Some((*message, *code)) } else { None };
    assert_eq!(wait_for(&mut events, refused).await, (id, ProblemCode::BadRequest));
    assert_eq!(session.message(id).await.unwrap().unwrap().state, MessageState::New);
    session.shut_down().await;
}

#[tokio::test]
async fn a_restored_server_replaces_what_is_stored() {
    let (fake, _place, session, mut events) = signed_in().await;
    fake.add(message(1, MessageState::New));
    fake.add(message(2, MessageState::New));
    session.reconnect();
    wait_for(&mut events, arrived).await;
    wait_for(&mut events, arrived).await;
    caught_up(&mut events).await;
    // A backup from before the second message.
    fake.restore(vec![message(1, MessageState::Heard)]);
    session.reconnect();
    let gone = |event: &Event| if let Event::MessageExpunged(id) = event { Some(*id) } else { None };
    assert_eq!(wait_for(&mut events, gone).await, message(2, MessageState::New).envelope.id);
    assert_eq!(session.messages().await.unwrap(), [message(1, MessageState::Heard)]);
    session.shut_down().await;
}

#[tokio::test]
async fn a_revoked_device_is_signed_out_and_keeps_nothing() {
    let (fake, place, session, mut events) = signed_in().await;
    caught_up(&mut events).await;
    fake.state().revoked = true;
    session.reconnect();
    let out = |event: &Event| if let Event::SignedOut { by_us } = event { Some(*by_us) } else { None };
    assert!(!wait_for(&mut events, out).await);
    assert!(events.next().await.is_none());
    assert_eq!(load_account(place.folder.path()).unwrap(), None);
    assert!(!place.folder.path().join("mailbox").exists());
}

#[tokio::test]
async fn a_refused_web_socket_alone_signs_nobody_out() {
    let (fake, _place, session, mut events) = signed_in().await;
    caught_up(&mut events).await;
    fake.state().sockets_refused = true;
    session.reconnect();
    wait_for(&mut events, |event| offline(event).filter(|reason| *reason == OfflineReason::Credentials)).await;
    fake.add(message(1, MessageState::New));
    session.reconnect();
    wait_for(&mut events, arrived).await;
    fake.state().sockets_refused = false;
    session.reconnect();
    wait_for(&mut events, |event| (*event == Event::Connection(Connection::Connecting)).then_some(())).await;
    session.shut_down().await;
}

#[tokio::test]
async fn signing_out_tells_the_server_and_removes_everything() {
    let (fake, place, session, mut events) = signed_in().await;
    caught_up(&mut events).await;
    session.sign_out().await.unwrap();
    assert!(fake.state().revoked);
    assert_eq!(load_account(place.folder.path()).unwrap(), None);
    assert!(!place.folder.path().join("mailbox").exists());
    assert!(matches!(place.start().await, Err(StartError::SignedOut)));
    assert_eq!(session.dial("1001").await, Err(crate::CommandError::Over));
}
