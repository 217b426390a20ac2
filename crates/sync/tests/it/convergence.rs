//! Three devices, a network that loses and doubles, restarts, a server that comes back from a backup: when all is quiet,
//! everybody sees what the server has, and no key did its work twice.

use std::collections::BTreeMap;

use aftertone_model::{MessageAction, MessageId, MessageState};
use proptest::prelude::*;

use crate::world::{Device, Network, Server};

/// What the table of conflicts says of a message to which this was done, in the order in which it reached the server; `None`
/// once it is gone. Read off the whole history, not step by step as the product does it.
fn by_the_table(history: &[MessageAction]) -> Option<MessageState> {
    let last = |wanted: &[MessageAction]| history.iter().rev().find(|action| wanted.contains(action));
    if history.contains(&MessageAction::Expunge) {
        // Expunged and anything: gone.
        return None;
    }
    if last(&[MessageAction::Delete, MessageAction::Restore]) == Some(&MessageAction::Delete) {
        // Deleted and restored: the later one. Heard or saved and deleted: deleted, whatever lies below.
        return Some(MessageState::Deleted);
    }
    // Heard and new: the later one; and listening takes nothing out of the saved ones.
    let since_new = history.rsplit(|action| *action == MessageAction::New).next().unwrap_or_default();
    Some(match () {
        () if since_new.contains(&MessageAction::Save) => MessageState::Saved,
        () if since_new.contains(&MessageAction::Heard) => MessageState::Heard,
        () => MessageState::New,
    })
}

fn all_by_the_table(server: &Server) -> BTreeMap<MessageId, MessageState> {
    server.history.iter().filter_map(|(id, history)| Some((*id, by_the_table(history)?))).collect()
}

#[test]
fn the_table_is_read_as_it_is_written() {
    use MessageAction::{Delete, Expunge, Heard, New, Restore, Save};
    let check = |history: &[MessageAction], expected| assert_eq!(by_the_table(history), expected, "{history:?}");
    check(&[], Some(MessageState::New));
    check(&[Heard, New], Some(MessageState::New));
    check(&[New, Heard], Some(MessageState::Heard));
    check(&[Heard, Delete], Some(MessageState::Deleted));
    check(&[Delete, Heard], Some(MessageState::Deleted));
    check(&[Delete, Heard, Restore], Some(MessageState::Heard));
    check(&[Delete, Save, Restore], Some(MessageState::Saved));
    check(&[Save, Heard], Some(MessageState::Saved));
    check(&[Save, New, Heard], Some(MessageState::Heard));
    check(&[Restore, Delete], Some(MessageState::Deleted));
    check(&[Save, Expunge], None);
}

#[derive(Debug, Clone)]
enum Step {
    Deposit(u128),
    Act(usize, u128, MessageAction),
    Send(usize, Network),
    Ring(usize),
    Pull(usize, Network),
    Arrive(usize),
    /// Rings, pulls and stores what comes.
    Hear(usize),
    Wait(usize),
    Restart(usize),
    Backup,
    Restore,
}

fn step() -> impl Strategy<Value = Step> {
    let (device, message) = (0..3_usize, 1..4_u128);
    let action = prop_oneof![
        4 => Just(MessageAction::Heard),
        2 => Just(MessageAction::New),
        2 => Just(MessageAction::Save),
        3 => Just(MessageAction::Delete),
        3 => Just(MessageAction::Restore),
        1 => Just(MessageAction::Expunge),
    ];
    let network = || prop_oneof![4 => Just(Network::Works), 1 => Just(Network::LosesRequest), 2 => Just(Network::LosesAnswer)];
    prop_oneof![
        3 => message.clone().prop_map(Step::Deposit),
        8 => (device.clone(), message, action).prop_map(|(device, message, action)| Step::Act(device, message, action)),
        8 => (device.clone(), network()).prop_map(|(device, network)| Step::Send(device, network)),
        4 => device.clone().prop_map(Step::Ring),
        8 => (device.clone(), network()).prop_map(|(device, network)| Step::Pull(device, network)),
        8 => device.clone().prop_map(Step::Arrive),
        8 => device.clone().prop_map(Step::Hear),
        2 => device.clone().prop_map(Step::Wait),
        1 => device.prop_map(Step::Restart),
        1 => Just(Step::Backup),
        1 => Just(Step::Restore),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn devices_converge(steps in prop::collection::vec(step(), 1..200), page in 1..4_usize) {
        let mut server = Server::new();
        server.page = page;
        let (mut backup, mut restored) = (server.clone(), false);
        let mut devices: Vec<Device> = (1..=3).map(Device::new).collect();
        for step in steps {
            match step {
                Step::Deposit(message) => server.deposit(message),
                Step::Act(device, message, action) => devices[device].act(message, action),
                Step::Send(device, network) => devices[device].send(&mut server, network),
                Step::Ring(device) => devices[device].ring(),
                Step::Pull(device, network) => devices[device].pull(&server, network),
                Step::Arrive(device) => devices[device].arrive(),
                Step::Hear(device) => devices[device].hear(&server),
                Step::Wait(device) => devices[device].wait(),
                Step::Restart(device) => devices[device].restart(),
                Step::Backup => backup = server.clone(),
                Step::Restore => {
                    server.restore(backup.clone());
                    restored = true;
                }
            }
            prop_assert_eq!(server.view(), all_by_the_table(&server));
        }
        // First every outbox reaches the server, then everybody hears of it.
        for device in &mut devices {
            device.settle(&mut server);
        }
        for device in &mut devices {
            device.settle(&mut server);
            prop_assert_eq!(device.view(), server.view());
            prop_assert_eq!(device.waiting(), 0);
        }
        prop_assert_eq!(server.view(), all_by_the_table(&server));
        // Nothing that somebody did is forgotten; a backup alone may not know of it any more.
        for (key, message) in devices.iter().flat_map(|device| &device.acted).filter(|_| !restored) {
            prop_assert!(server.has_settled(key, *message), "{key:?} never reached the server");
        }
        prop_assert!(server.done.values().all(|times| *times == 1), "a key did its work twice");
    }
}
