//! When the sound of a call is moved.

use std::time::Duration;

use tokio::time::Instant;

/// What is moved at a time.
const STEP: Duration = Duration::from_millis(10);
/// Who is behind catches up, but not at once: whoever takes the packets at the other end would take them for the network's
/// jitter, and a microphone has nothing to give yet.
const APART: Duration = Duration::from_millis(2);
/// Further behind, the machine slept: what was to be said and heard meanwhile is left out.
const LOST: Duration = Duration::from_secs(1);

/// Every ten milliseconds, and as often as time passes.
#[derive(Debug)]
pub(crate) struct Pace {
    due: Instant,
    not_before: Instant,
}

impl Pace {
    /// The first step is now.
    pub(crate) fn new(now: Instant) -> Self {
        Self { due: now, not_before: now }
    }

    /// When to make the next step.
    pub(crate) fn next(&self) -> Instant {
        self.due.max(self.not_before)
    }

    /// Makes a step and says when it was due.
    pub(crate) fn step(&mut self, now: Instant) -> Instant {
        if now > self.due + LOST {
            self.due = now;
        }
        let due = self.due;
        self.due += STEP;
        self.not_before = now + APART;
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps until `until_ms`, of which the one due at 100 ms is `held_up_ms` late; when each was due and when it was made.
    fn steps(held_up_ms: u64, until_ms: u64) -> Vec<(u64, u64)> {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let ms = |at: Instant| u64::try_from((at - start).as_millis()).expect("a time");
        let (mut pace, mut steps) = (Pace::new(start), Vec::new());
        while pace.next() <= at(until_ms) {
            let now = pace.next().max(if pace.next() >= at(100) { at(100 + held_up_ms) } else { start });
            steps.push((ms(pace.step(now)), ms(now)));
        }
        steps
    }

    #[test]
    fn who_is_on_time_steps_every_ten_milliseconds() {
        assert!(steps(0, 2_000).iter().enumerate().all(|(n, &step)| step == (n as u64 * 10, n as u64 * 10)));
    }

    #[test]
    fn who_was_held_up_catches_up_without_a_burst() {
        let steps = steps(60, 1_000);
        assert!(steps.iter().enumerate().all(|(n, &(due, _))| due == n as u64 * 10), "nothing is left out: {steps:?}");
        assert_eq!(steps[9..14], [(90, 90), (100, 160), (110, 162), (120, 164), (130, 166)]);
        assert_eq!(steps[20], (200, 200), "it is on time again");
    }

    #[test]
    fn what_a_sleeping_machine_missed_is_left_out() {
        let steps = steps(5_000, 6_000);
        assert_eq!(steps[10..13], [(5_100, 5_100), (5_110, 5_110), (5_120, 5_120)]);
    }
}
