//! The puller: doorbells, pages, resets, pauses.

use std::time::Duration;

use aftertone_sync::{ChangesPage, Cursor, FetchFailure, FetchId, PullOutput, Puller};

use crate::world::{Device, Network, Server, start};

fn fetch(puller: &mut Puller) -> (FetchId, Option<Cursor>) {
    let output = puller.poll_output();
    let PullOutput::Fetch { fetch, since } = output else { panic!("no fetch but {output:?}") };
    (fetch, since)
}

fn page(epoch: u32, n: u64, more: bool) -> ChangesPage {
    ChangesPage { cursor: Cursor { epoch, n }, changes: Vec::new(), more }
}

fn timeout(puller: &mut Puller) -> Option<Duration> {
    let output = puller.poll_output();
    let PullOutput::Timeout(until) = output else { panic!("no timeout but {output:?}") };
    until.map(|until| until - start())
}

#[test]
fn a_lost_doorbell_costs_a_minute_and_nothing_else() {
    let (mut server, mut device) = (Server::new(), Device::new(1));
    device.settle(&mut server);
    server.deposit(1);
    assert!(device.view().is_empty());
    device.wait();
    device.pull(&server, Network::Works);
    device.arrive();
    device.pull(&server, Network::Works);
    assert_eq!(device.view(), server.view());
}

#[test]
fn doorbells_on_the_way_make_one_more_fetch() {
    let (mut server, mut device) = (Server::new(), Device::new(1));
    device.settle(&mut server);
    let before = device.fetches;
    device.ring();
    device.pull(&server, Network::Works);
    server.deposit(1);
    (0..5).for_each(|_| device.ring());
    device.arrive();
    device.pull(&server, Network::Works);
    device.arrive();
    device.pull(&server, Network::Works);
    assert_eq!((device.fetches - before, device.view().len()), (2, 1));
}

#[test]
fn a_snapshot_is_stored_as_one() {
    let mut puller = Puller::new(None, 0);
    puller.handle_doorbell();
    let (first, since) = fetch(&mut puller);
    assert_eq!(since, None);
    puller.handle_fetched(first, Ok(page(7, 2, true)), start());
    let (second, since) = fetch(&mut puller);
    assert_eq!(since, Some(Cursor { epoch: 7, n: 2 }));
    puller.handle_fetched(first, Ok(page(7, 9, false)), start());
    assert_eq!(timeout(&mut puller), None, "an old answer is dropped");
    puller.handle_fetched(second, Ok(page(7, 3, false)), start());
    assert_eq!(puller.poll_output(), PullOutput::Replace(vec![page(7, 2, true), page(7, 3, false)]));
    puller.handle_stored(true, start());
    assert_eq!(puller.poll_output(), PullOutput::CaughtUp);
    assert_eq!(timeout(&mut puller), Some(Duration::from_secs(60)));
}

#[test]
fn a_reset_takes_a_snapshot_at_once_but_not_for_ever() {
    let mut puller = Puller::new(Some(Cursor { epoch: 1, n: 5 }), 0);
    puller.handle_doorbell();
    let (asked, _) = fetch(&mut puller);
    puller.handle_fetched(asked, Err(FetchFailure::Reset), start());
    let (snapshot, since) = fetch(&mut puller);
    assert_eq!(since, None);
    puller.handle_fetched(snapshot, Err(FetchFailure::Reset), start());
    let pause = timeout(&mut puller).unwrap();
    assert!((1.0..=2.0).contains(&pause.as_secs_f64()), "{pause:?}");
    puller.handle_timeout(start() + pause);
    assert_eq!(fetch(&mut puller).1, Some(Cursor { epoch: 1, n: 5 }), "nothing was stored yet");
}

#[test]
fn pauses_grow_and_a_success_ends_them() {
    let mut puller = Puller::new(Some(Cursor { epoch: 1, n: 0 }), 0);
    let mut longest = Duration::ZERO;
    for failure in 0..12 {
        puller.handle_doorbell();
        let (asked, _) = fetch(&mut puller);
        puller.handle_fetched(asked, Err(FetchFailure::Failed), start());
        let pause = timeout(&mut puller).unwrap();
        let full = Duration::from_secs(2 << failure.min(5)).min(Duration::from_secs(60));
        assert!(pause >= full / 2 && pause <= full, "{failure}: {pause:?}");
        longest = longest.max(pause);
    }
    assert!(longest > Duration::from_secs(30));
    puller.handle_doorbell();
    let (asked, _) = fetch(&mut puller);
    puller.handle_fetched(asked, Ok(page(1, 0, false)), start());
    assert!(matches!(puller.poll_output(), PullOutput::Apply(_)));
    puller.handle_stored(true, start());
    puller.handle_doorbell();
    assert_eq!(puller.poll_output(), PullOutput::CaughtUp);
    let (asked, _) = fetch(&mut puller);
    puller.handle_fetched(asked, Err(FetchFailure::Failed), start());
    assert!(timeout(&mut puller).unwrap() <= Duration::from_secs(2));
}

#[test]
fn a_page_that_leads_nowhere_is_a_failure() {
    let at = Cursor { epoch: 1, n: 5 };
    for bad in [page(1, 5, true), page(1, 4, false), page(2, 6, false)] {
        let mut puller = Puller::new(Some(at), 0);
        puller.handle_doorbell();
        let (asked, _) = fetch(&mut puller);
        puller.handle_fetched(asked, Ok(bad.clone()), start());
        assert!(timeout(&mut puller).is_some(), "{bad:?}");
    }
}

#[test]
fn what_could_not_be_stored_is_fetched_again() {
    let at = Cursor { epoch: 1, n: 5 };
    let mut puller = Puller::new(Some(at), 0);
    puller.handle_doorbell();
    let (asked, _) = fetch(&mut puller);
    puller.handle_fetched(asked, Ok(page(1, 7, false)), start());
    assert!(matches!(puller.poll_output(), PullOutput::Apply(_)));
    puller.handle_stored(false, start());
    let pause = timeout(&mut puller).unwrap();
    puller.handle_timeout(start() + pause);
    assert_eq!(fetch(&mut puller).1, Some(at));
}
