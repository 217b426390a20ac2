#![expect(clippy::disallowed_methods, reason = "an Instant can't be made otherwise; only differences count")]

use super::*;

/// A report each second: of so much loss in per cent, and so much jitter in milliseconds.
struct Reports {
    adapter: Adapter,
    now: Instant,
}

impl Reports {
    fn new() -> Self {
        Self { adapter: Adapter::default(), now: Instant::now() }
    }

    fn report(&mut self, loss: u32, jitter_ms: u32) -> Plan {
        self.now += Duration::from_secs(1);
        let fraction_lost = (loss * 256 / 100) as u8;
        let block = Block { ssrc: 1, fraction_lost, lost: 0, highest: 0, jitter: jitter_ms * 48, ..Block::default() };
        let changed = self.adapter.handle_report(&block, 48_000, self.now);
        assert!(changed.is_none_or(|plan| plan == self.adapter.plan()));
        self.adapter.plan()
    }

    fn seconds(&mut self, seconds: u32, loss: u32, jitter_ms: u32) -> Vec<Plan> {
        (0..seconds).map(|_| self.report(loss, jitter_ms)).collect()
    }
}

#[test]
fn protection_rises_at_once_and_falls_slowly() {
    let mut reports = Reports::new();
    assert_eq!(reports.report(0, 2), Plan::default());
    assert_eq!(reports.seconds(3, 18, 2).last().map(|plan| plan.expected_loss), Some(20));
    let falling: Vec<u8> = reports.seconds(40, 0, 2).iter().map(|plan| plan.expected_loss).collect();
    assert_eq!(falling[..10], [20; 10], "not because of a few good seconds");
    assert_eq!(falling.last(), Some(&ASSUMED_LOSS_PERCENT), "and never less: what is behind the next hop isn't known");
    assert!(falling.is_sorted_by(|before, after| before >= after), "no swinging: {falling:?}");
}

#[test]
fn a_network_that_loses_whatever_is_sent_costs_no_rate() {
    let mut reports = Reports::new();
    let rates: Vec<u32> = reports.seconds(120, 15, 3).iter().map(|plan| plan.bitrate).collect();
    let lower = rates.iter().filter(|rate| **rate < FULL_BITRATE).count();
    assert!((1..=12).contains(&lower), "it is tried, once a minute: {rates:?}");
    assert_eq!(rates[30..60], [FULL_BITRATE; 30]);
}

#[test]
fn a_full_line_is_given_room_and_taken_again() {
    let mut reports = Reports::new();
    reports.seconds(5, 0, 2);
    // The line takes 30 kbit/s.
    let on = |reports: &mut Reports, room: u32| {
        let sent = reports.adapter.plan().bitrate;
        if sent > room { reports.report((sent - room) * 100 / sent, 30) } else { reports.report(0, 3) }
    };
    let full: Vec<u32> = (0..60).map(|_| on(&mut reports, 30_000).bitrate).collect();
    // One packet of a second is no reason to give way.
    let over = full[10..].iter().filter(|rate| **rate > 31_000).count();
    assert!(over <= 3, "{full:?}");
    let free: Vec<u32> = (0..120).map(|_| on(&mut reports, 100_000).bitrate).collect();
    assert_eq!(free.last(), Some(&FULL_BITRATE), "{free:?}");
    assert!(free.is_sorted(), "{free:?}");
}

#[test]
fn who_is_not_heard_is_told_with_the_first_report_that_knows_it() {
    let block = |highest| Block { ssrc: 1, fraction_lost: 0, lost: 0, highest, ..Block::default() };
    let mut audience = Audience::default();
    let mut second = |report: Option<Option<Block>>| {
        (0..50).for_each(|_| audience.handle_sent());
        if let Some(report) = report {
            audience.handle_report(report.as_ref());
        }
        audience.is_unheard()
    };
    assert!(![10, 60, 110].map(|highest| second(Some(Some(block(highest))))).contains(&true));
    // Nothing arrives from here on; the first report tells of what did before.
    assert_eq!([125, 125, 125].map(|highest| second(Some(Some(block(highest))))), [false, false, true]);
    assert!(second(Some(None)), "a sender's report says nothing of it");
    assert!(!second(Some(Some(block(300)))), "it is heard again");
    assert!(!second(None) && !second(None) && !second(None), "without reports nothing is known");
}

#[test]
fn who_was_never_heard_is_told_by_reports_that_never_name_them() {
    let mut audience = Audience::default();
    audience.handle_report(None);
    (0..100).for_each(|_| audience.handle_sent());
    audience.handle_report(None);
    assert!(!audience.is_unheard(), "they may just not have come to it");
    (0..100).for_each(|_| audience.handle_sent());
    assert!(!audience.is_unheard(), "nobody says so");
    audience.handle_report(None);
    assert!(audience.is_unheard());
    audience.begin_anew();
    audience.handle_report(None);
    assert!(!audience.is_unheard());
}
