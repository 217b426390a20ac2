//! Greetings, spoken names and plans.

use std::sync::Arc;

use aftertone_model::{Greeting, GreetingId, GreetingKind, Language, MessageAction, Plan};
use aftertone_server_store::{
    Changes, Commits, Disk, NewSound, PutGreeting, SqliteStore, Store, StoredPlan,
    testing::{ForgetfulFiles, Survival},
};
use aftertone_sync::{ChangeBody, GreetingBody};

use crate::common::{World, at, key, open, recording, world};

fn id(number: u128) -> GreetingId {
    GreetingId::from_random(number << 64)
}

fn body(title: &str) -> GreetingBody {
    GreetingBody {
        kind: GreetingKind::Greeting,
        title: title.into(),
        text: "Hello".into(),
        language: Language::En,
        expires_at: Some(at(1_000)),
    }
}

fn sound(bytes: &[u8]) -> NewSound {
    NewSound {
        bytes: bytes.to_vec(),
        codec: "opus".into(),
        media_type: "audio/ogg".into(),
        duration_ms: 20_000,
        peaks: vec![0, 9, 255],
    }
}

fn done(put: PutGreeting) -> Greeting {
    match put {
        PutGreeting::Done(greeting) => greeting,
        other @ (PutGreeting::TooMany | PutGreeting::NameTaken | PutGreeting::Foreign) => panic!("{other:?}"),
    }
}

async fn feed(store: &SqliteStore, owner: aftertone_model::SubscriberId) -> Vec<ChangeBody> {
    let Changes::Page(page) = store.changes(owner, None, 1_000).await.unwrap() else { panic!("a reset") };
    page.changes.into_iter().map(|change| change.body).collect()
}

/// Every file among the blobs.
fn files(dir: &std::path::Path) -> usize {
    let shards = std::fs::read_dir(dir.join("blobs")).unwrap().filter_map(|shard| std::fs::read_dir(shard.unwrap().path()).ok());
    shards.flatten().count()
}

#[tokio::test]
async fn a_greeting_is_made_changed_spoken_and_removed() {
    let World { dir, store, anna, ben } = world(Arc::new(Disk)).await;
    let made = done(store.put_greeting(anna.id, id(1), body("Office"), at(1)).await.unwrap());
    assert_eq!((made.title.as_str(), made.expires_at, made.changed_at, &made.sound), ("Office", Some(at(1_000)), at(1), &None));
    assert_eq!(store.greeting_sound(anna.id, id(1)).await.unwrap(), None);

    let spoken = store.put_greeting_sound(anna.id, id(1), sound(b"first"), at(2)).await.unwrap().unwrap();
    let first = spoken.sound.clone().unwrap();
    assert_eq!((first.duration_ms, first.peaks, first.media_type.as_str()), (20_000, vec![0, 9, 255], "audio/ogg"));
    let stored = store.greeting_sound(anna.id, id(1)).await.unwrap().unwrap();
    assert_eq!((std::fs::read(&stored.path).unwrap(), stored.bytes, &stored.content), (b"first".to_vec(), 5, &first.content));

    let renamed =
        done(store.put_greeting(anna.id, id(1), GreetingBody { expires_at: None, ..body("Open") }, at(3)).await.unwrap());
    assert_eq!((renamed.title.as_str(), renamed.expires_at, &renamed.sound), ("Open", None, &spoken.sound), "the sound stays");

    store.put_greeting_sound(anna.id, id(1), sound(b"second"), at(4)).await.unwrap().unwrap();
    assert!(!stored.path.exists(), "nobody holds the first any more");
    assert_eq!(files(dir.path()), 1);
    assert_eq!(store.greetings(ben.id).await.unwrap(), []);
    assert!(!store.remove_greeting(ben.id, id(1)).await.unwrap(), "not Ben's");
    assert_eq!(
        feed(&store, anna.id).await,
        [ChangeBody::Greeting { greeting: Box::new(store.greetings(anna.id).await.unwrap().remove(0)) }]
    );
    assert!(store.remove_greeting(anna.id, id(1)).await.unwrap());
    assert_eq!(feed(&store, anna.id).await, [ChangeBody::GreetingRemoved { greeting: id(1) }]);
    assert_eq!((files(dir.path()), store.greetings(anna.id).await.unwrap()), (0, Vec::new()));
}

#[tokio::test]
async fn a_sound_stays_as_long_as_somebody_holds_it() {
    let World { dir, store, anna, ben } = world(Arc::new(Disk)).await;
    for (owner, number) in [(anna.id, 1), (ben.id, 2)] {
        done(store.put_greeting(owner, id(number), body("One"), at(1)).await.unwrap());
        store.put_greeting_sound(owner, id(number), sound(b"the same"), at(2)).await.unwrap().unwrap();
    }
    assert_eq!(files(dir.path()), 1, "equal contents are stored once");
    // A message with this sound, too.
    let content = store.greetings(anna.id).await.unwrap().remove(0).sound.unwrap().content;
    let mut left = recording(&anna, 1);
    left.sound.content = content;
    let message = left.envelope.id;
    store.commit_recording(left).await.unwrap();
    assert!(store.remove_greeting(anna.id, id(1)).await.unwrap());
    assert!(store.remove_greeting(ben.id, id(2)).await.unwrap());
    assert!(store.sound(anna.id, message).await.unwrap().found().unwrap().path.exists(), "the message holds it");
    store.act(anna.id, message, MessageAction::Expunge, &key("k1"), at(3)).await.unwrap();
    assert_eq!(files(dir.path()), 0);

    // The other way round: an expunged message takes nothing from a greeting.
    done(store.put_greeting(ben.id, id(3), body("One"), at(4)).await.unwrap());
    let spoken = store.put_greeting_sound(ben.id, id(3), sound(b"again"), at(5)).await.unwrap().unwrap();
    let mut left = recording(&anna, 2);
    left.sound.content = spoken.sound.unwrap().content;
    let message = left.envelope.id;
    store.commit_recording(left).await.unwrap();
    store.act(anna.id, message, MessageAction::Expunge, &key("k2"), at(6)).await.unwrap();
    assert!(store.greeting_sound(ben.id, id(3)).await.unwrap().unwrap().path.exists());
}

#[tokio::test]
async fn what_can_not_be_is_refused() {
    let World { dir: _dir, store, anna, ben } = world(Arc::new(Disk)).await;
    let name = || GreetingBody { kind: GreetingKind::Name, ..body("Anna") };
    done(store.put_greeting(anna.id, id(1), name(), at(1)).await.unwrap());
    assert_eq!(store.put_greeting(anna.id, id(2), name(), at(1)).await.unwrap(), PutGreeting::NameTaken);
    done(store.put_greeting(anna.id, id(1), name(), at(2)).await.unwrap());
    done(store.put_greeting(ben.id, id(3), name(), at(1)).await.unwrap());
    assert_eq!(store.put_greeting(ben.id, id(1), body("Mine"), at(1)).await.unwrap(), PutGreeting::Foreign);
    assert_eq!(store.put_greeting_sound(ben.id, id(1), sound(b"x"), at(1)).await.unwrap(), None);
    for number in 100..299 {
        done(store.put_greeting(anna.id, id(number), body("One of many"), at(3)).await.unwrap());
    }
    assert_eq!(store.put_greeting(anna.id, id(999), body("One more"), at(3)).await.unwrap(), PutGreeting::TooMany);
    done(store.put_greeting(anna.id, id(100), body("Changed"), at(4)).await.unwrap());
}

#[tokio::test]
async fn a_plan_is_replaced_by_who_knows_its_version() {
    let World { dir, store, anna, ben } = world(Arc::new(Disk)).await;
    assert_eq!(store.plan(anna.id).await.unwrap(), StoredPlan::default());
    let plan = Plan { zone: "Europe/Berlin".into(), longest_s: Some(90), ..Plan::default() };
    assert_eq!(store.put_plan(anna.id, plan.clone(), Some(0)).await.unwrap(), Ok(1));
    assert_eq!(store.put_plan(anna.id, Plan::default(), Some(0)).await.unwrap(), Err(1));
    assert_eq!(store.put_plan(anna.id, plan.clone(), None).await.unwrap(), Ok(2));
    assert_eq!(feed(&store, anna.id).await, [ChangeBody::Plan { version: 2, plan: Box::new(plan.clone()) }]);
    assert_eq!(feed(&store, ben.id).await, []);
    drop(store);
    let store = open(dir.path(), Arc::new(Disk)).await;
    assert_eq!(store.plan(anna.id).await.unwrap(), StoredPlan { version: 2, plan: plan.clone() });
    done(store.put_greeting(anna.id, id(1), body("Silent"), at(1)).await.unwrap());
    let all = store.answering().await.unwrap();
    assert_eq!((all.len(), &all[&anna.id].plan, &all[&anna.id].greetings[0].1), (1, &plan, &None));
    store.put_greeting_sound(anna.id, id(1), sound(b"x"), at(2)).await.unwrap().unwrap();
    let file = store.answering().await.unwrap().remove(&anna.id).unwrap().greetings.remove(0).1.unwrap();
    assert_eq!(std::fs::read(file).unwrap(), b"x");
}

#[tokio::test]
async fn the_spoken_name_is_told_apart_from_the_greetings() {
    let World { dir: _dir, store, anna, ben } = world(Arc::new(Disk)).await;
    let name = GreetingBody { kind: GreetingKind::Name, ..body("Name") };
    done(store.put_greeting(anna.id, id(1), name, at(1)).await.unwrap());
    done(store.put_greeting(ben.id, id(2), body("Office"), at(1)).await.unwrap());
    assert_eq!(store.answering().await.unwrap()[&anna.id].name, None, "without a sound there is nothing to say");
    store.put_greeting_sound(anna.id, id(1), sound(b"Anna"), at(2)).await.unwrap().unwrap();
    let mut all = store.answering().await.unwrap();
    let annas = all.remove(&anna.id).unwrap();
    assert_eq!(annas.greetings, [], "no rule can choose it");
    assert_eq!(std::fs::read(annas.name.unwrap()).unwrap(), b"Anna");
    assert_eq!((all[&ben.id].name.as_ref(), all[&ben.id].greetings.len()), (None, 1));
}

/// Without it the exchange would not look.
#[tokio::test]
async fn every_change_raises_the_version_of_the_directory() {
    let World { dir: _dir, store, anna, .. } = world(Arc::new(Disk)).await;
    let mut known = store.directory_version().await.unwrap();
    let mut raised = async |what: &str| {
        let found = store.directory_version().await.unwrap();
        assert!(found > known, "{what}");
        known = found;
    };
    done(store.put_greeting(anna.id, id(1), body("One"), at(1)).await.unwrap());
    raised("a greeting").await;
    store.put_greeting_sound(anna.id, id(1), sound(b"x"), at(2)).await.unwrap().unwrap();
    raised("its sound").await;
    store.put_plan(anna.id, Plan::default(), None).await.unwrap().unwrap();
    raised("a plan").await;
    store.put_plan(anna.id, Plan::default(), None).await.unwrap().unwrap();
    raised("another plan").await;
    assert!(store.remove_greeting(anna.id, id(1)).await.unwrap());
    raised("a greeting that goes").await;
}

/// The power fails at each operation in turn while a sound is stored in the place of another.
#[tokio::test]
async fn a_crash_leaves_a_whole_sound_and_nothing_else() {
    let mut operation = 0;
    loop {
        let files = ForgetfulFiles::new();
        let World { dir, store, anna, .. } = world(Arc::new(files.clone())).await;
        done(store.put_greeting(anna.id, id(1), body("One"), at(1)).await.unwrap());
        store.put_greeting_sound(anna.id, id(1), sound(b"before"), at(2)).await.unwrap().unwrap();
        files.crash_at(files.operations() + operation);
        let put = store.put_greeting_sound(anna.id, id(1), sound(b"after"), at(3)).await;
        let crashed = files.has_crashed();
        store.close().await;
        files.restart(Survival::Some(operation));
        let store = open(dir.path(), Arc::new(files.clone())).await;
        let stored = store.greeting_sound(anna.id, id(1)).await.unwrap().unwrap();
        let there = files.snapshot();
        let found = there.get(&stored.path).map(Vec::as_slice);
        assert!(if put.is_ok() { found == Some(b"after") } else { found == Some(b"before") }, "{operation}: {found:?}");
        assert_eq!(there.len(), 1, "{operation}: {there:?}");
        if !crashed {
            assert!(operation > 4, "{operation}");
            return;
        }
        operation += 1;
    }
}
