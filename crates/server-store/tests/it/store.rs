//! The trait `Store`, against whatever implements it.

use std::sync::Arc;

use aftertone_model::{
    CallFigures, CallRecord, Language, MeasuredCall, MediaPath, MessageAction, MessageState, StreamFigures, SubscriberId,
};
use aftertone_server_store::{
    Acted, Changes, Commits, Committed, Disk, Fate, ForwardOrder, ForwardOutcome, HashedPassword, Lookup, MailboxCounts,
    MailboxKeeping, NewJob, OpenError, Retained, SqliteStore, Store, StoreError, SubscriberError, SubscriberSettings,
};
use aftertone_sync::{Change, ChangeBody, Cursor, DeviceKind};

use crate::common::{World, at, envelope, key, message_id, open, person, record, recording, world};

#[tokio::test]
async fn people_are_found_by_id_name_and_extension() {
    let World { dir: _dir, store, anna, .. } = world(Arc::new(Disk)).await;
    for name in ["anna", "ANNA", " 1001 "] {
        assert_eq!(store.find_subscriber(name).await.unwrap().as_ref(), Some(&anna), "{name}");
    }
    assert_eq!(store.subscriber(anna.id).await.unwrap().as_ref(), Some(&anna));
    assert_eq!(store.find_subscriber("100").await.unwrap(), None);
    let extensions: Vec<_> = store.subscribers().await.unwrap().into_iter().map(|s| s.extension.to_string()).collect();
    assert_eq!(extensions, ["1001", "1002"]);
    assert!(matches!(store.add_subscriber(person("anna", "77")).await, Err(SubscriberError::UserTaken)));
    assert!(matches!(store.add_subscriber(person("carla", "1001")).await, Err(SubscriberError::ExtensionTaken)));

    let settings = SubscriberSettings { display_name: "Anna B.".into(), language: Language::En, ring_s: 5 };
    let changed = store.change_subscriber(anna.id, settings.clone()).await.unwrap().unwrap();
    assert_eq!((changed.display_name.as_str(), changed.language, changed.ring_s), ("Anna B.", Language::En, 5));
    assert_eq!(store.change_subscriber(SubscriberId::from_random(9), settings).await.unwrap(), None);
}

#[tokio::test]
async fn a_password_opens_one_account() {
    let World { dir: _dir, store, anna, .. } = world(Arc::new(Disk)).await;
    assert_eq!(store.check_password("anna", "whatever it is").await.unwrap(), None, "no password yet");
    assert!(store.set_password(anna.id, Some(HashedPassword::new("open sesame").unwrap())).await.unwrap());
    assert_eq!(store.check_password("1001", "open sesame").await.unwrap().map(|s| s.id), Some(anna.id));
    assert_eq!(store.check_password("anna", "open sesamf").await.unwrap(), None);
    assert_eq!(store.check_password("ben", "open sesame").await.unwrap(), None);
    assert_eq!(store.check_password("nobody", "open sesame").await.unwrap(), None);
    assert!(store.set_password(anna.id, None).await.unwrap());
    assert_eq!(store.check_password("anna", "").await.unwrap(), None);
}

#[tokio::test]
async fn an_app_is_known_by_its_token_until_it_is_revoked() {
    let World { dir, store, anna, ben } = world(Arc::new(Disk)).await;
    let app = store.add_app(anna.id, "Laptop", at(0)).await.unwrap();
    let token = app.token.expose().to_owned();
    assert_eq!(store.authenticate(&token).await.unwrap(), Some(app.device.clone()));
    assert_eq!(store.authenticate("").await.unwrap(), None, "a phone has no token");

    store.seen(app.device.id, at(30)).await.unwrap();
    assert_eq!(store.devices(anna.id).await.unwrap()[0].last_seen_at, at(0), "not written each time");
    store.seen(app.device.id, at(90)).await.unwrap();
    assert_eq!(store.devices(anna.id).await.unwrap()[0].last_seen_at, at(90));

    assert!(!store.revoke(ben.id, app.device.id).await.unwrap(), "not Ben's");
    assert!(store.revoke(anna.id, app.device.id).await.unwrap());
    assert_eq!(store.authenticate(&token).await.unwrap(), None);
    store.close().await;
    let database = std::fs::read(dir.path().join("aftertone.db")).unwrap();
    assert!(!database.windows(token.len()).any(|part| part == token.as_bytes()), "never in clear");
}

#[tokio::test]
async fn a_phones_digest_hashes_are_readable_with_the_key_alone() {
    let World { dir, store, anna, .. } = world(Arc::new(Disk)).await;
    let phone = store.add_phone(anna.id, "Desk", "example.org", at(0)).await.unwrap();
    assert_eq!(phone.device.kind, DeviceKind::Phone);
    let known = store.phone_credentials().await.unwrap();
    assert_eq!((known.len(), known[0].subscriber, known[0].device), (1, anna.id, phone.device.id));
    assert_eq!((known[0].username.as_str(), known[0].realm.as_str()), (phone.username.as_str(), "example.org"));
    assert_eq!((known[0].ha1_md5.len(), known[0].ha1_sha256.len(), known[0].ha1_sha512_256.len()), (32, 64, 64));
    assert_eq!(store.authenticate("").await.unwrap(), None);
    let ha1 = known[0].ha1_sha256.clone();
    store.close().await;
    let database = std::fs::read(dir.path().join("aftertone.db")).unwrap();
    assert!(!database.windows(ha1.len()).any(|part| part == ha1.as_bytes()), "encrypted");

    let store = open(dir.path(), Arc::new(Disk)).await;
    assert_eq!(store.phone_credentials().await.unwrap()[0].ha1_sha256, ha1);
    store.close().await;
    std::fs::write(dir.path().join("key"), [7; 32]).unwrap();
    let store = open(dir.path(), Arc::new(Disk)).await;
    assert!(matches!(store.phone_credentials().await, Err(StoreError::Corrupt("sealed"))));
}

#[tokio::test]
async fn an_invitation_signs_one_device_in_while_it_is_young() {
    let World { dir: _dir, store, anna, .. } = world(Arc::new(Disk)).await;
    let token = store.invite(anna.id, at(60)).await.unwrap();
    let late = store.invite(anna.id, at(60)).await.unwrap();
    assert!(store.accept_invitation("nonsense", "PC", at(1)).await.unwrap().is_none());
    let (who, app) = store.accept_invitation(token.expose(), "PC", at(1)).await.unwrap().unwrap();
    assert_eq!(who, anna);
    assert_eq!(store.authenticate(app.token.expose()).await.unwrap(), Some(app.device));
    assert!(store.accept_invitation(token.expose(), "PC", at(2)).await.unwrap().is_none(), "once");
    assert!(store.accept_invitation(late.expose(), "PC", at(60)).await.unwrap().is_none(), "expired");
}

#[tokio::test]
async fn a_commit_is_message_record_changes_and_jobs_at_once() {
    let World { dir: _dir, store, anna, .. } = world(Arc::new(Disk)).await;
    let mut first = recording(&anna, 1);
    first.jobs = vec![NewJob { kind: "mail".into(), payload: "{}".into(), due_at: at(1) }];
    let Committed::Added(message) = store.commit_recording(first.clone()).await.unwrap() else { panic!("not added") };
    assert_eq!(message.envelope, first.envelope);
    assert_eq!((message.state, message.duration_ms), (MessageState::New, 1_000));
    assert_eq!(store.message(anna.id, message.envelope.id).await.unwrap(), Lookup::Found(message.clone()));
    let records = store.call_records(anna.id, None, 10).await.unwrap();
    assert_eq!((records.len(), records[0].message), (1, Some(message.envelope.id)));
    let page = page(&*store, &anna.id, None).await;
    assert_eq!((page.0.len(), page.1.n), (2, 2));

    assert_eq!(store.commit_recording(first).await.unwrap(), Committed::Already(message));
    assert_eq!(changes(&*store, anna.id, Some(page.1)).await, [], "the second commit changed nothing");
    let jobs = store.take_jobs("mail", at(5), at(65), 10).await.unwrap();
    assert_eq!((jobs.len(), jobs[0].attempts), (1, 1));
    assert_eq!(store.take_jobs("mail", at(6), at(66), 10).await.unwrap(), [], "held");
    assert_eq!(store.take_jobs("mail", at(65), at(99), 10).await.unwrap()[0].attempts, 2);
    store.finish_job(jobs[0].id).await.unwrap();
    assert_eq!(store.take_jobs("mail", at(999), at(9999), 10).await.unwrap(), []);
}

#[tokio::test]
async fn a_commit_that_fails_leaves_nothing() {
    let World { dir: _dir, store, anna, .. } = world(Arc::new(Disk)).await;
    let mut broken = recording(&anna, 1);
    // The record's owner doesn't exist: the last statement of the transaction fails.
    broken.record.owner = SubscriberId::from_random(99);
    assert!(store.commit_recording(broken).await.is_err());
    assert_eq!(store.fate(message_id(1)).await.unwrap(), Fate::Unknown);
    assert_eq!(page(&*store, &anna.id, None).await.0, []);
    store.commit_recording(recording(&anna, 1)).await.unwrap();
    assert_eq!(store.counts(anna.id).await.unwrap().new, 1);
}

#[tokio::test]
async fn what_lies_under_a_deletion_comes_back() {
    let World { dir: _dir, store, anna, .. } = world(Arc::new(Disk)).await;
    store.commit_recording(recording(&anna, 2)).await.unwrap();
    let steps = [
        (MessageAction::Save, MessageState::Saved),
        (MessageAction::Delete, MessageState::Deleted),
        (MessageAction::Heard, MessageState::Deleted),
        (MessageAction::Restore, MessageState::Saved),
        (MessageAction::New, MessageState::New),
        (MessageAction::Heard, MessageState::Heard),
    ];
    for (number, (action, state)) in steps.into_iter().enumerate() {
        let acted = store.act(anna.id, message_id(2), action, &key(&format!("k{number}")), at(9)).await.unwrap();
        let Acted::Message(message) = acted else { panic!("{acted:?}") };
        assert_eq!(message.state, state, "after {action:?}");
    }
    assert_eq!(store.counts(anna.id).await.unwrap(), MailboxCounts { old: 1, ..MailboxCounts::default() });
}

#[tokio::test]
async fn a_key_does_one_write_once() {
    let World { dir: _dir, store, anna, .. } = world(Arc::new(Disk)).await;
    store.commit_recording(recording(&anna, 2)).await.unwrap();
    let id = message_id(2);
    store.act(anna.id, id, MessageAction::Heard, &key("a"), at(1)).await.unwrap();
    store.act(anna.id, id, MessageAction::New, &key("b"), at(2)).await.unwrap();
    let again = store.act(anna.id, id, MessageAction::Heard, &key("a"), at(3)).await.unwrap();
    assert!(matches!(again, Acted::Message(message) if message.state == MessageState::New), "a late repetition undoes nothing");
    assert_eq!(store.act(anna.id, id, MessageAction::Delete, &key("a"), at(4)).await.unwrap(), Acted::KeyReused);
    store.tidy(at(1_000), at(1_000)).await.unwrap();
    let forgotten = store.act(anna.id, id, MessageAction::Delete, &key("a"), at(5)).await.unwrap();
    assert!(matches!(forgotten, Acted::Message(_)));
}

#[tokio::test]
async fn an_expunged_message_is_gone_for_every_later_write() {
    let World { dir, store, anna, .. } = world(Arc::new(Disk)).await;
    let file = blob(&dir, &anna, 3);
    store.commit_recording(recording(&anna, 3)).await.unwrap();
    let id = message_id(3);
    assert_eq!(store.act(anna.id, id, MessageAction::Expunge, &key("x"), at(1)).await.unwrap(), Acted::Expunged);
    assert!(!file.exists());
    assert_eq!(store.act(anna.id, id, MessageAction::Expunge, &key("x"), at(2)).await.unwrap(), Acted::Expunged);
    assert_eq!(store.act(anna.id, id, MessageAction::Heard, &key("y"), at(2)).await.unwrap(), Acted::Gone);
    assert_eq!(store.message(anna.id, id).await.unwrap(), Lookup::Gone);
    assert_eq!(store.sound(anna.id, id).await.unwrap(), Lookup::Gone);
    assert_eq!(store.fate(id).await.unwrap(), Fate::Expunged);
    assert_eq!(store.commit_recording(recording(&anna, 3)).await.unwrap(), Committed::Expunged, "no crash brings it back");
    let (changes, _) = page(&*store, &anna.id, None).await;
    assert!(changes.iter().any(|change| change.body == ChangeBody::Expunged { message: id }));
}

#[tokio::test]
async fn a_forward_shares_the_sound_until_nobody_holds_it() {
    let World { dir, store, anna, ben } = world(Arc::new(Disk)).await;
    let file = blob(&dir, &anna, 4);
    store.commit_recording(recording(&anna, 4)).await.unwrap();
    let order = ForwardOrder {
        mailbox: anna.id,
        message: message_id(4),
        to: vec![ben.id, anna.id, ben.id],
        note: "please".into(),
        sound: None,
        key: key("f"),
    };
    let ForwardOutcome::Done(done) = store.forward(order.clone(), at(50)).await.unwrap() else { panic!("not done") };
    assert_eq!(done.delivered.len(), 2, "doubles are dropped");
    assert_eq!(store.forward(order.clone(), at(51)).await.unwrap(), ForwardOutcome::Done(done.clone()), "once per key");
    assert_eq!(store.counts(ben.id).await.unwrap().new, 1);

    let copy = store.messages(ben.id, None, 10).await.unwrap().remove(0);
    let note = copy.forwarded.unwrap();
    assert_eq!((note.note.as_str(), note.at, note.from.number.as_str()), ("please", at(50), "1001"));
    assert_eq!(copy.envelope.received_at, at(4));
    let sound = store.sound(ben.id, copy.envelope.id).await.unwrap().found().unwrap();
    assert_eq!(sound.path, file);

    let mine: Vec<_> = store.messages(anna.id, None, 10).await.unwrap().into_iter().map(|m| m.envelope.id).collect();
    for (number, id) in mine.into_iter().enumerate() {
        store.act(anna.id, id, MessageAction::Expunge, &key(&format!("e{number}")), at(60)).await.unwrap();
        assert!(file.exists(), "Ben still holds it");
    }
    store.act(ben.id, copy.envelope.id, MessageAction::Expunge, &key("e"), at(60)).await.unwrap();
    assert!(!file.exists());

    let late = ForwardOrder { key: key("g"), ..order.clone() };
    assert_eq!(store.forward(late, at(70)).await.unwrap(), ForwardOutcome::Gone);
    assert_eq!(store.forward(order, at(70)).await.unwrap(), ForwardOutcome::Done(done), "its answer is still known");
}

#[tokio::test]
async fn a_forward_to_somebody_unknown_delivers_nothing() {
    let World { dir: _dir, store, anna, ben, .. } = world(Arc::new(Disk)).await;
    store.commit_recording(recording(&anna, 4)).await.unwrap();
    let to = vec![ben.id, SubscriberId::from_random(404)];
    let order = ForwardOrder { mailbox: anna.id, message: message_id(4), to, note: String::new(), sound: None, key: key("f") };
    assert_eq!(store.forward(order, at(5)).await.unwrap(), ForwardOutcome::UnknownRecipient);
    assert_eq!(store.counts(ben.id).await.unwrap(), MailboxCounts::default());
}

#[tokio::test]
async fn what_the_caller_said_of_a_message_is_kept_and_a_private_one_stays_where_it_is() {
    let World { dir: _dir, store, anna, ben, .. } = world(Arc::new(Disk)).await;
    for number in [99, 5] {
        store.commit_recording(recording(&anna, number)).await.unwrap();
    }
    let kept = store.message(anna.id, message_id(5)).await.unwrap().found().unwrap().envelope;
    assert_eq!((kept.private, kept.call_back.as_deref(), kept.urgent), (false, Some("+49305"), true));
    let private = store.message(anna.id, message_id(99)).await.unwrap().found().unwrap().envelope;
    assert_eq!((private.private, private.call_back), (true, None));
    let forward = |message, key| {
        let order = ForwardOrder { mailbox: anna.id, message, to: vec![ben.id], note: String::new(), sound: None, key };
        store.forward(order, at(5))
    };
    assert_eq!(forward(message_id(99), key("f")).await.unwrap(), ForwardOutcome::Private);
    assert_eq!(store.counts(ben.id).await.unwrap(), MailboxCounts::default());
    assert!(matches!(forward(message_id(5), key("g")).await.unwrap(), ForwardOutcome::Done(_)));
    let forwarded = store.messages(ben.id, None, 9).await.unwrap().remove(0);
    assert_eq!(forwarded.envelope.call_back.as_deref(), Some("+49305"), "with the number to call");
}

#[tokio::test]
async fn nobody_reaches_a_message_of_another_mailbox() {
    let World { dir: _dir, store, anna, ben, .. } = world(Arc::new(Disk)).await;
    store.commit_recording(recording(&anna, 5)).await.unwrap();
    let id = message_id(5);
    assert_eq!(store.message(ben.id, id).await.unwrap(), Lookup::NotFound);
    assert_eq!(store.sound(ben.id, id).await.unwrap(), Lookup::NotFound);
    assert_eq!(store.messages(ben.id, None, 9).await.unwrap(), []);
    assert_eq!(store.call_records(ben.id, None, 9).await.unwrap(), []);
    assert_eq!(page(&*store, &ben.id, None).await.0, []);
    for action in [MessageAction::Heard, MessageAction::Expunge] {
        assert_eq!(store.act(ben.id, id, action, &key(&format!("{action:?}")), at(9)).await.unwrap(), Acted::NotFound);
    }
    let order = ForwardOrder { mailbox: ben.id, message: id, to: vec![ben.id], note: String::new(), sound: None, key: key("f") };
    assert_eq!(store.forward(order, at(9)).await.unwrap(), ForwardOutcome::NotFound);
    store.act(anna.id, id, MessageAction::Expunge, &key("e"), at(9)).await.unwrap();
    assert_eq!(store.message(ben.id, id).await.unwrap(), Lookup::NotFound, "not even that it was there");
}

#[tokio::test]
async fn lists_are_paged_from_the_newest() {
    let World { dir: _dir, store, anna, .. } = world(Arc::new(Disk)).await;
    for number in 1..=7 {
        store.commit_recording(recording(&anna, number)).await.unwrap();
    }
    let mut seen = Vec::new();
    let mut before = None;
    loop {
        let page = store.messages(anna.id, before, 3).await.unwrap();
        let Some(last) = page.last() else { break };
        before = Some((last.envelope.received_at, last.envelope.id));
        seen.extend(page.into_iter().map(|message| message.envelope.id));
    }
    assert_eq!(seen, (1..=7).rev().map(message_id).collect::<Vec<_>>());
    let records = store.call_records(anna.id, Some(at(4)), 2).await.unwrap();
    assert_eq!(records.iter().map(|record| record.message).collect::<Vec<_>>(), [Some(message_id(3)), Some(message_id(2))]);
    let counts = store.counts(anna.id).await.unwrap();
    assert_eq!(counts, MailboxCounts { new: 7, new_urgent: 4, ..MailboxCounts::default() });
}

#[tokio::test]
async fn a_call_record_is_written_once_per_call_and_direction() {
    let World { dir: _dir, store, anna, .. } = world(Arc::new(Disk)).await;
    let mut entry = record(&envelope(&anna, 1));
    store.commit_call_record(&entry).await.unwrap();
    entry.ended_at = at(40);
    store.commit_call_record(&entry).await.unwrap();
    assert!(!store.commit_call_record_if_absent(&record(&envelope(&anna, 1))).await.unwrap());
    assert_eq!(store.call_records(anna.id, None, 9).await.unwrap(), [entry.clone()]);
    let changes = page(&*store, &anna.id, None).await.0;
    assert_eq!(changes, [Change { n: 2, body: ChangeBody::CallRecord { record: Box::new(entry) } }]);
}

#[tokio::test]
async fn the_figures_of_a_call_find_its_record_whichever_is_there_first() {
    let World { dir: _dir, store, anna, .. } = world(Arc::new(Disk)).await;
    let figures = |lost| CallFigures {
        codec: "opus".into(),
        path: MediaPath::Relay,
        encrypted: true,
        inbound: Some(StreamFigures { packets: 900, lost, jitter_ms: 4, mos_centi: 401 }),
        outbound: None,
        round_trip_ms: Some(12),
    };
    let measured = |entry: &CallRecord, lost| MeasuredCall {
        call: entry.call,
        owner: entry.owner,
        direction: entry.direction,
        figures: figures(lost),
    };
    let (early, late) = (record(&envelope(&anna, 1)), record(&envelope(&anna, 2)));
    assert!(!store.note_figures(&measured(&early, 1)).await.unwrap(), "there is no record yet");
    assert_eq!(changes(&*store, anna.id, None).await, [], "nor a change");
    store.commit_call_record(&early).await.unwrap();
    store.commit_call_record(&late).await.unwrap();
    let cursor = page(&*store, &anna.id, None).await.1;
    assert!(store.note_figures(&measured(&late, 2)).await.unwrap());
    let told = changes(&*store, anna.id, Some(cursor)).await;
    let [Change { body: ChangeBody::CallRecord { record }, .. }] = &told[..] else { panic!("{told:?}") };
    assert_eq!((record.call, &record.figures), (late.call, &Some(figures(2))), "every device hears of it");
    // What is committed once more keeps them, and what knows them by itself brings them.
    store.commit_call_record(&late).await.unwrap();
    let mut direct = self::record(&envelope(&anna, 3));
    direct.figures = Some(figures(3));
    store.commit_call_record(&direct).await.unwrap();
    let stored = store.call_records(anna.id, None, 9).await.unwrap();
    let found: Vec<_> = [&early, &late, &direct]
        .iter()
        .map(|entry| stored.iter().find(|record| record.call == entry.call).and_then(|record| record.figures.clone()))
        .collect();
    assert_eq!(found, [1, 2, 3].map(|lost| Some(figures(lost))));
}

#[tokio::test]
async fn a_foreign_cursor_is_reset() {
    let World { dir: _dir, store, anna, .. } = world(Arc::new(Disk)).await;
    store.commit_recording(recording(&anna, 1)).await.unwrap();
    let epoch = store.epoch();
    assert_ne!(epoch, 0);
    for cursor in [Cursor { epoch: epoch ^ 1, n: 0 }, Cursor { epoch, n: 3 }] {
        assert_eq!(store.changes(anna.id, Some(cursor), 10).await.unwrap(), Changes::Reset, "{cursor}");
    }
    let Changes::Page(end) = store.changes(anna.id, Some(Cursor { epoch, n: 2 }), 10).await.unwrap() else { panic!("reset") };
    assert_eq!((end.changes.len(), end.more, end.cursor.n), (0, false, 2));
}

#[tokio::test]
async fn a_backup_opens_as_a_new_life_and_a_restart_as_the_same() {
    let World { dir, store, anna, .. } = world(Arc::new(Disk)).await;
    store.commit_recording(recording(&anna, 1)).await.unwrap();
    let restored = tempfile::tempdir().unwrap();
    let copy = restored.path().join("aftertone.db");
    store.backup(&copy).await.unwrap();
    assert!(matches!(store.backup(&copy).await, Err(StoreError::File(_))), "never over another");
    let epoch = store.epoch();
    store.close().await;
    drop(store);

    assert_eq!(open(dir.path(), Arc::new(Disk)).await.epoch(), epoch);
    let second = open(restored.path(), Arc::new(Disk)).await;
    assert_ne!(second.epoch(), epoch);
    assert_eq!(second.counts(anna.id).await.unwrap().new, 1);
    assert_eq!(second.changes(anna.id, Some(Cursor { epoch, n: 2 }), 9).await.unwrap(), Changes::Reset);
    let epoch = second.epoch();
    second.close().await;
    assert_eq!(open(restored.path(), Arc::new(Disk)).await.epoch(), epoch, "once");
}

/// The backup is of before; the folder that it is restored into has seen what came after.
#[tokio::test]
async fn a_restored_backup_gives_nobody_their_access_back() {
    let World { dir, store, anna, .. } = world(Arc::new(Disk)).await;
    let app = store.add_app(anna.id, "stolen laptop", at(1)).await.unwrap();
    let other = store.add_app(anna.id, "desk", at(1)).await.unwrap();
    let phone = store.add_phone(anna.id, "old phone", "example.test", at(1)).await.unwrap();
    let invitation = store.invite(anna.id, at(9_000)).await.unwrap();
    let backup = dir.path().join("backup.db");
    store.backup(&backup).await.unwrap();
    assert!(store.revoke(anna.id, app.device.id).await.unwrap() && store.revoke(anna.id, phone.device.id).await.unwrap());
    assert!(!store.revoke(anna.id, app.device.id).await.unwrap(), "it is gone");
    assert!(store.accept_invitation(invitation.expose(), "phone", at(2)).await.unwrap().is_some());
    store.close().await;
    drop(store);
    for file in ["aftertone.db-wal", "aftertone.db-shm"] {
        let _ = std::fs::remove_file(dir.path().join(file));
    }
    std::fs::rename(&backup, dir.path().join("aftertone.db")).unwrap();

    let store = open(dir.path(), Arc::new(Disk)).await;
    assert_eq!(store.authenticate(app.token.expose()).await.unwrap(), None);
    assert_eq!(store.phone_credentials().await.unwrap(), []);
    assert!(store.accept_invitation(invitation.expose(), "again", at(3)).await.unwrap().is_none());
    assert_eq!(store.authenticate(other.token.expose()).await.unwrap().map(|device| device.id), Some(other.device.id));
}

#[tokio::test]
async fn a_newer_database_is_left_alone() {
    let World { dir, store, .. } = world(Arc::new(Disk)).await;
    store.close().await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(dir.path().join("aftertone.db"));
    let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
    sqlx::query("PRAGMA user_version = 900").execute(&mut connection).await.unwrap();
    let opened = SqliteStore::open(dir.path(), Arc::new(Disk)).await;
    assert!(matches!(opened, Err(OpenError::Store(StoreError::TooNew { found: 900, .. }))));
}

/// While two tasks write, two others follow the feed: each sees every change once, in order, without a hole that is
/// filled later.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_feed_is_dense_and_visible_in_order() {
    const EACH: u128 = 60;
    let World { dir: _dir, store, anna, .. } = world(Arc::new(Disk)).await;
    let write = |first: u128| {
        let (store, anna) = (store.clone(), anna.clone());
        tokio::spawn(async move {
            for number in first..first + EACH {
                store.commit_recording(recording(&anna, number)).await.unwrap();
            }
        })
    };
    let follow = || {
        let (store, anna) = (store.clone(), anna.id);
        tokio::spawn(async move {
            let (mut seen, mut since) = (Vec::new(), None);
            // Each recording is two changes, and nothing changes twice here.
            while seen.len() < 4 * EACH as usize {
                let Changes::Page(page) = store.changes(anna, since, 7).await.unwrap() else { panic!("reset") };
                since = Some(page.cursor);
                seen.extend(page.changes.iter().map(|change| change.n));
                tokio::task::yield_now().await;
            }
            seen
        })
    };
    let (readers, writers) = ([follow(), follow()], [write(1), write(1_000)]);
    for writer in writers {
        writer.await.unwrap();
    }
    for reader in readers {
        assert_eq!(reader.await.unwrap(), (1..=4 * EACH as u64).collect::<Vec<_>>());
    }
}

/// A file where the recording's sound would be.
fn blob(dir: &tempfile::TempDir, to: &aftertone_model::Subscriber, number: u128) -> std::path::PathBuf {
    let file = dir.path().join("blobs").join(recording(to, number).sound.file);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, b"sound").unwrap();
    file
}

async fn page(store: &dyn Store, mailbox: &SubscriberId, since: Option<Cursor>) -> (Vec<Change>, Cursor) {
    match store.changes(*mailbox, since, 100).await.unwrap() {
        Changes::Page(page) => (page.changes, page.cursor),
        Changes::Reset => panic!("reset"),
    }
}

async fn changes(store: &dyn Store, mailbox: SubscriberId, since: Option<Cursor>) -> Vec<Change> {
    page(store, &mailbox, since).await.0
}

/// A database of every version that the program ever wrote opens, and has what it had.
#[tokio::test]
async fn databases_of_every_earlier_version_open() {
    let schemas = [
        (1, include_str!("../schemas/1.sql")),
        (2, include_str!("../schemas/2.sql")),
        (5, include_str!("../schemas/5.sql")),
        (6, include_str!("../schemas/6.sql")),
        (7, include_str!("../schemas/7.sql")),
        (9, include_str!("../schemas/9.sql")),
    ];
    for (number, sql) in schemas {
        let dir = tempfile::tempdir().unwrap();
        let options = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(dir.path().join("aftertone.db"))
            .create_if_missing(true)
            .foreign_keys(false);
        let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
        sqlx::Connection::close(connection).await.unwrap();

        let store = open(dir.path(), Arc::new(Disk)).await;
        assert_eq!(store.epoch(), 77, "version {number}: the same life");
        let anna = store.find_subscriber("anna").await.unwrap().unwrap();
        assert_eq!((anna.display_name.as_str(), anna.extension.as_str()), ("Anna Ä.", "1001"));
        assert!(store.check_password("1001", "a long sentence").await.unwrap().is_some(), "version {number}");
        let message = store.messages(anna.id, None, 9).await.unwrap().remove(0);
        assert_eq!((message.state, message.envelope.caller.name.as_deref()), (MessageState::Saved, Some("Zoë")));
        assert_eq!((message.envelope.private, message.envelope.call_back), (false, None));
        assert_eq!(store.sound(anna.id, message.envelope.id).await.unwrap().found().unwrap().bytes, 8_058);
        let record = store.call_records(anna.id, None, 9).await.unwrap().remove(0);
        assert_eq!((record.message, record.figures), (Some(message.envelope.id), None), "version {number}");
        let Changes::Page(page) = store.changes(anna.id, None, 9).await.unwrap() else { panic!("a reset") };
        assert_eq!((page.changes.len(), page.cursor.n), (3, 3), "version {number}");
        assert_eq!(store.take_jobs("mail", at(9), at(10), 9).await.unwrap()[0].payload, "hello");
        store.set_menu_layout(anna.id, aftertone_model::MenuLayout::Asterisk).await.unwrap();
        assert!(!store.phone_menu(anna.id).await.unwrap().has_pin, "version {number}");
        assert_eq!(store.wrong_pins().await.unwrap(), [], "version {number}");
        // Nothing that was done before anybody noted when is taken for old.
        assert_eq!(store.retain(aftertone_model::Timestamp::now()).await.unwrap(), Retained::default(), "version {number}");
        assert_eq!(store.keeping(anna.id).await.unwrap(), aftertone_model::Keeping::default(), "version {number}");
        // And it goes on.
        store.commit_recording(recording(&anna, 7)).await.unwrap();
        assert_eq!(store.counts(anna.id).await.unwrap().new, 1);
    }
}
