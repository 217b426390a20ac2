//! What the exchange keeps.

use std::sync::Arc;

use aftertone_model::{CallingRights, Trunk};
use aftertone_server_store::{Calling, Disk, Store, StoredBinding};

use crate::common::{World, at, world};

#[tokio::test]
async fn a_trunk_is_kept_with_its_password_which_the_database_does_not_show() {
    let World { dir, store, .. } = world(Arc::new(Disk)).await;
    let mut trunk = Trunk { user: "4930123".into(), register: true, ..Trunk::new("provider", "sip.provider.example") };
    trunk.numbers.insert("+49301234".into(), "anna".into());
    store.put_trunk(&trunk, "a secret of theirs").await.unwrap();
    let kept = store.trunks().await.unwrap();
    assert_eq!((&kept[0].0, kept[0].1.expose()), (&trunk, "a secret of theirs"));
    assert!(!format!("{kept:?}").contains("secret of"), "it shows in no log");

    trunk.order = 3;
    store.put_trunk(&trunk, "another").await.unwrap();
    let kept = store.trunks().await.unwrap();
    assert_eq!((kept.len(), kept[0].0.order, kept[0].1.expose()), (1, 3, "another"));
    store.close().await;
    for file in ["aftertone.db", "aftertone.db-wal"] {
        let bytes = std::fs::read(dir.path().join(file)).unwrap_or_default();
        for secret in ["a secret of theirs", "another"] {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{file}");
        }
    }
}

#[tokio::test]
async fn a_removed_trunk_is_gone() {
    let World { dir: _dir, store, .. } = world(Arc::new(Disk)).await;
    store.put_trunk(&Trunk::new("pbx", "192.0.2.1"), "").await.unwrap();
    assert!(store.remove_trunk("pbx").await.unwrap());
    assert!(!store.remove_trunk("pbx").await.unwrap());
    assert!(store.trunks().await.unwrap().is_empty());
}

#[tokio::test]
async fn rights_and_do_not_disturb_are_kept_per_person() {
    let World { dir: _dir, store, anna, ben } = world(Arc::new(Disk)).await;
    assert!(store.calling().await.unwrap().is_empty());
    let calling = Calling { rights: CallingRights::International, do_not_disturb: true };
    store.put_calling(anna.id, calling).await.unwrap();
    store.put_calling(ben.id, Calling::default()).await.unwrap();
    store.put_calling(ben.id, Calling { rights: CallingRights::Internal, do_not_disturb: false }).await.unwrap();
    let kept = store.calling().await.unwrap();
    assert_eq!(kept[&anna.id], calling);
    assert_eq!(kept[&ben.id].rights, CallingRights::Internal);
}

#[tokio::test]
async fn bindings_hold_until_they_are_over_or_their_phone_is_revoked() {
    let World { dir: _dir, store, anna, .. } = world(Arc::new(Disk)).await;
    let phone = store.add_phone(anna.id, "Desk", "example.org", at(0)).await.unwrap().device.id;
    let binding =
        |contact: &str, until| StoredBinding { device: phone, contact: contact.into(), way: "{}".into(), expires_at: at(until) };
    store.put_bindings(&[(anna.id, vec![binding("sip:a@192.0.2.1", 60), binding("sip:b@192.0.2.1", 300)])]).await.unwrap();
    let contacts = |kept: Vec<(_, StoredBinding)>| kept.into_iter().map(|(_, binding)| binding.contact).collect::<Vec<_>>();
    assert_eq!(contacts(store.bindings(at(10)).await.unwrap()).len(), 2);
    assert_eq!(contacts(store.bindings(at(100)).await.unwrap()), ["sip:b@192.0.2.1"]);
    store.put_bindings(&[(anna.id, vec![binding("sip:c@192.0.2.1", 300)])]).await.unwrap();
    assert_eq!(contacts(store.bindings(at(10)).await.unwrap()), ["sip:c@192.0.2.1"]);
    store.revoke(anna.id, phone).await.unwrap();
    assert!(store.bindings(at(10)).await.unwrap().is_empty());
    store.put_bindings(&[(anna.id, vec![binding("sip:d@192.0.2.1", 300)])]).await.unwrap();
    assert!(store.bindings(at(10)).await.unwrap().is_empty(), "a phone that is gone");
}

#[tokio::test]
async fn a_change_of_people_phones_and_trunks_is_counted_and_phones_that_register_are_not() {
    let World { dir: _dir, store, anna, .. } = world(Arc::new(Disk)).await;
    let anna = anna.id;
    let mut known = store.directory_version().await.unwrap();
    let mut changed = async |what: &str, expect: bool| {
        let found = store.directory_version().await.unwrap();
        assert_eq!(found > known, expect, "{what}");
        known = found;
    };
    let phone = store.add_phone(anna, "desk", "example.org", at(0)).await.unwrap();
    changed("a phone", true).await;
    store.seen_all(&[phone.device.id], at(3600)).await.unwrap();
    let binding = StoredBinding { device: phone.device.id, contact: "sip:a@b".into(), way: "{}".into(), expires_at: at(7200) };
    store.put_bindings(&[(anna, vec![binding])]).await.unwrap();
    changed("a phone that registers", false).await;
    assert_eq!(store.devices(anna).await.unwrap()[0].last_seen_at, at(3600));
    store.seen_all(&[phone.device.id], at(3630)).await.unwrap();
    assert_eq!(store.devices(anna).await.unwrap()[0].last_seen_at, at(3600), "not written each time");
    let calling = Calling { rights: CallingRights::International, ..Calling::default() };
    store.put_calling(anna, calling).await.unwrap();
    changed("rights", true).await;
    store.put_trunk(&Trunk::new("pbx", "192.0.2.1"), "").await.unwrap();
    changed("a trunk", true).await;
    store.remove_trunk("pbx").await.unwrap();
    changed("a trunk that is gone", true).await;
    store.revoke(anna, phone.device.id).await.unwrap();
    changed("a phone that is gone", true).await;
    changed("nothing", false).await;
}
