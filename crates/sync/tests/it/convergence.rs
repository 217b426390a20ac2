//! Three devices, a network that loses and doubles, restarts, a server that comes back from a backup: when all is quiet,
//! everybody sees what the server has, and no key did its work twice.

use aftertone_model::MessageAction;
use proptest::prelude::*;

use crate::world::{Device, Network, Server};

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
        let mut backup = server.clone();
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
                Step::Restore => server.restore(backup.clone()),
            }
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
        prop_assert!(server.done.values().all(|times| *times == 1), "a key did its work twice");
    }
}
