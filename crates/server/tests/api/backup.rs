//! A backup of a running account, and the account that it becomes again.

use aftertone_server::admin;
use aftertone_sync::ProblemCode;
use serde_json::json;

use crate::world::{Phone, World, problem};

#[tokio::test]
async fn a_backup_of_a_running_account_opens_as_it_was_and_devices_go_on() {
    let world = World::start().await;
    let (phone, stolen) = (world.sign_in("ada").await, world.sign_in("ada").await);
    let kept = world.leave_message(&phone, b"a message of before").await;
    let before = phone.json("/v1/changes").await;
    let room = tempfile::tempdir().unwrap();
    let backup = room.path().join("backup");
    // While others leave messages and delete them for good.
    let busy = async {
        for number in 0..30 {
            let message = world.leave_message(&phone, format!("message {number}").as_bytes()).await;
            let path = format!("/v1/messages/{}/actions", message.envelope.id);
            assert!(phone.post(&path, &json!({"action": "expunge"}), &format!("key-{number}")).await.status().is_success());
        }
    };
    let (told, ()) = tokio::join!(admin::back_up(world.folder.path(), &backup), busy);
    assert!(told.unwrap().contains("sounds"));
    let again = admin::back_up(world.folder.path(), &backup).await.unwrap_err();
    assert!(format!("{again:#}").contains("not empty"), "{again:#}");
    let in_use = admin::restore(world.folder.path(), &backup, true).unwrap_err();
    assert!(format!("{in_use:#}").contains("another server"), "{in_use:#}");
    let gone = stolen.signed_in.device;
    assert_eq!(phone.request(reqwest::Method::DELETE, &format!("/v1/devices/{gone}")).send().await.unwrap().status(), 204);
    let World { server, folder, .. } = world;
    server.shutdown().await.unwrap();

    let taken = admin::restore(folder.path(), &backup, false).unwrap_err();
    assert!(format!("{taken:#}").contains("there is an account"), "{taken:#}");
    admin::restore(folder.path(), &backup, true).unwrap();
    let world = World::start_in(folder).await;
    let phone = Phone { base: world.base.clone(), ..phone };
    let stolen = Phone { base: world.base.clone(), ..stolen };
    problem(stolen.get("/v1/me").await, 401, ProblemCode::Unauthorized).await;
    let cursor = before["cursor"].as_str().unwrap();
    problem(phone.get(&format!("/v1/changes?since={cursor}")).await, 409, ProblemCode::CursorReset).await;
    let audio = phone.get(&format!("/v1/messages/{}/audio", kept.envelope.id)).await;
    assert_eq!(audio.bytes().await.unwrap(), "a message of before");
    for message in phone.json("/v1/messages").await["messages"].as_array().unwrap() {
        let audio = phone.get(&format!("/v1/messages/{}/audio", message["id"].as_str().unwrap())).await;
        assert_eq!(audio.status(), 200, "every message of the backup has its sound");
    }
}

#[tokio::test]
async fn half_a_backup_is_not_restored() {
    let world = World::start().await;
    let phone = world.sign_in("ada").await;
    world.leave_message(&phone, b"sound").await;
    let room = tempfile::tempdir().unwrap();
    let (backup, data) = (room.path().join("backup"), room.path().join("data"));
    admin::back_up(world.folder.path(), &backup).await.unwrap();
    std::fs::remove_file(backup.join("backup.json")).unwrap();
    let error = admin::restore(&data, &backup, false).unwrap_err();
    assert!(format!("{error:#}").contains("no complete backup"), "{error:#}");
    assert!(!data.join("aftertone.db").exists());
    // A sound that is missing is no backup either.
    let sounds = world.folder.path().join("blobs");
    let sound = std::fs::read_dir(&sounds).unwrap().map(|entry| entry.unwrap().path()).find(|path| path.is_file()).unwrap();
    std::fs::remove_file(sound).unwrap();
    let broken = room.path().join("broken");
    assert!(admin::back_up(world.folder.path(), &broken).await.is_err());
    assert!(admin::restore(&data, &broken, false).is_err());
}
