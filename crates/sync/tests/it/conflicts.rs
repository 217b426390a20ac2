//! The table of conflicts: two devices, in both orders.

use aftertone_model::{MessageAction as Action, MessageState as State};

use crate::world::{Device, Network, Server, id};

/// Two devices act on message 1 without knowing of each other; their writes reach the server in the order given. What
/// everybody sees then.
fn check(prepare: &[Action], first: &[Action], second: &[Action], expect: Option<State>) {
    let mut server = Server::new();
    server.deposit(1);
    let (mut one, mut two) = (Device::new(1), Device::new(2));
    one.settle(&mut server);
    prepare.iter().for_each(|action| one.act(1, *action));
    one.settle(&mut server);
    two.settle(&mut server);

    first.iter().for_each(|action| one.act(1, *action));
    second.iter().for_each(|action| two.act(1, *action));
    for device in [&mut one, &mut two] {
        for _ in 0..3 {
            device.send(&mut server, Network::Works);
        }
    }
    two.settle(&mut server);
    one.settle(&mut server);
    two.settle(&mut server);
    let case = format!("{prepare:?}, then {first:?} and {second:?}");
    assert_eq!(server.view().get(&id(1)).copied(), expect, "{case}: the server");
    for device in [&one, &two] {
        assert_eq!(device.view(), server.view(), "{case}: a device");
        assert_eq!(device.waiting(), 0, "{case}");
    }
}

#[test]
fn heard_and_new_the_later_one() {
    check(&[], &[Action::Heard], &[Action::New], Some(State::New));
    check(&[], &[Action::New], &[Action::Heard], Some(State::Heard));
}

#[test]
fn heard_or_saved_and_deleted_is_deleted_and_heard() {
    for (kept, below) in [(Action::Heard, State::Heard), (Action::Save, State::Saved)] {
        check(&[], &[kept], &[Action::Delete], Some(State::Deleted));
        check(&[], &[Action::Delete], &[kept], Some(State::Deleted));
        check(&[kept, Action::Delete], &[Action::Restore], &[], Some(below));
        check(&[], &[Action::Delete], &[kept, Action::Restore], Some(below));
    }
}

#[test]
fn deleted_and_restored_the_later_one() {
    check(&[Action::Delete], &[Action::Restore], &[Action::Delete], Some(State::Deleted));
    check(&[Action::Delete], &[Action::Delete], &[Action::Restore], Some(State::New));
}

#[test]
fn expunged_and_anything_is_gone() {
    for other in [Action::Heard, Action::New, Action::Save, Action::Delete, Action::Restore, Action::Expunge] {
        check(&[], &[Action::Expunge], &[other], None);
        check(&[], &[other], &[Action::Expunge], None);
    }
}

/// The answer to a write is lost; another device undoes it, which is heard of before the write is sent again.
#[test]
fn a_repeated_write_brings_no_old_state_back() {
    let mut server = Server::new();
    server.deposit(1);
    let (mut one, mut two) = (Device::new(1), Device::new(2));
    one.settle(&mut server);
    two.settle(&mut server);
    one.act(1, Action::Heard);
    one.send(&mut server, Network::LosesAnswer);
    two.hear(&server);
    two.act(1, Action::New);
    two.settle(&mut server);
    one.hear(&server);
    assert_eq!(one.view()[&id(1)], State::Heard, "it still waits for its answer");
    one.settle(&mut server);
    assert_eq!((one.view()[&id(1)], server.view()[&id(1)]), (State::New, State::New));
    assert!(server.done.values().all(|times| *times == 1));
}
