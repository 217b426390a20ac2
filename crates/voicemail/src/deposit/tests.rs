use super::*;

/// A media worker in virtual time: it notes what it was told and when, in milliseconds.
struct Worker {
    deposit: Deposit,
    start: Instant,
    now: Instant,
    told: Vec<(u64, Event)>,
}

const FRAME: Duration = Duration::from_millis(20);

impl Worker {
    #[expect(clippy::disallowed_methods, reason = "virtual time has to begin somewhere")]
    fn new() -> Self {
        let start = Instant::now();
        Self { deposit: Deposit::new(DepositLimits::default()), start, now: start, told: Vec::new() }
    }

    /// A worker that has played greeting (6 s) and beep (400 ms) and records since 6.4 s.
    fn recording() -> Self {
        let mut worker = Self::new();
        worker.start().wait(6_000).prompt_finished().wait(400).prompt_finished();
        assert_eq!(worker.told, [(0, Event::PlayGreeting), (6_000, Event::Beep), (6_400, Event::StartRecording)]);
        worker.told.clear();
        worker
    }

    fn start(&mut self) -> &mut Self {
        self.deposit.handle_start(self.now);
        self.drain()
    }

    fn prompt_finished(&mut self) -> &mut Self {
        self.deposit.handle_prompt_finished(self.now);
        self.drain()
    }

    fn press(&mut self, digit: char) -> &mut Self {
        self.deposit.handle_digit(digit, self.now);
        self.drain()
    }

    fn hang_up(&mut self) -> &mut Self {
        self.deposit.handle_hang_up();
        self.drain()
    }

    /// Packets come and are heard.
    fn hear(&mut self, speech: bool, ms: u64) -> &mut Self {
        for _ in 0..ms / 20 {
            self.wait(20);
            self.deposit.handle_sound(speech, FRAME, self.now);
            self.drain();
        }
        self
    }

    /// Time passes without packets.
    fn wait(&mut self, ms: u64) -> &mut Self {
        let until = self.now + Duration::from_millis(ms);
        while let Output::Timeout(Some(at)) = self.deposit.poll_output() {
            if at > until {
                break;
            }
            self.now = self.now.max(at);
            self.deposit.handle_timeout(self.now);
            self.drain();
        }
        self.now = until;
        self
    }

    fn drain(&mut self) -> &mut Self {
        while let Output::Event(event) = self.deposit.poll_output() {
            let at = (self.now - self.start).as_millis().try_into().unwrap_or(u64::MAX);
            self.told.push((at, event));
        }
        self
    }

    fn check(&mut self, expect: &[(u64, Event)]) {
        assert_eq!(self.told, expect);
        let over = expect.last().is_some_and(|(_, event)| matches!(event, Event::Stop { .. }));
        let silent = self.deposit.poll_output() == Output::Timeout(None);
        assert_eq!(over, silent, "only a deposit that is over waits for nothing");
    }
}

fn stop(ending: Ending, keep: bool) -> Event {
    Event::Stop { ending, keep }
}

#[test]
fn the_star_key_leaves_the_greeting_for_the_menu_and_nothing_else() {
    let mut worker = Worker::new();
    worker.press('*').start().wait(2_000).press('*').wait(60_000).hang_up();
    worker.check(&[(0, Event::PlayGreeting), (2_000, stop(Ending::Menu, false))]);
    let mut recording = Worker::recording();
    recording.hear(true, 2_000).press('*');
    assert!(recording.told.is_empty(), "a recording goes on: {:?}", recording.told);
}

#[test]
fn a_caller_who_can_leave_no_message_is_told_so() {
    for after_ms in [0, 2_000, 6_200] {
        let mut worker = Worker::new();
        worker.start().wait(after_ms.min(6_000));
        if after_ms > 6_000 {
            worker.prompt_finished().wait(after_ms - 6_000);
        }
        worker.told.clear();
        worker.deposit.handle_unavailable(worker.now);
        worker.drain().press('#').wait(4_000).prompt_finished().prompt_finished().hang_up();
        let over = Event::Stop { ending: Ending::Unavailable, keep: false };
        assert_eq!(worker.told, [(after_ms, Event::PlayUnavailable), (after_ms + 4_000, over)]);
    }
    let mut hangs_up = Worker::new();
    hangs_up.deposit.handle_unavailable(hangs_up.now);
    hangs_up.drain().wait(1_000).hang_up();
    let over = Event::Stop { ending: Ending::HungUp, keep: false };
    assert_eq!(hangs_up.told, [(0, Event::PlayUnavailable), (1_000, over)]);
    let mut stuck = Worker::new();
    stuck.deposit.handle_unavailable(stuck.now);
    stuck.drain().wait(200_000);
    assert_eq!(stuck.told[1].1, Event::Stop { ending: Ending::Unavailable, keep: false }, "an announcement that never ends");
}

#[test]
fn a_recording_that_runs_goes_on_without_room_for_others() {
    let mut worker = Worker::recording();
    worker.deposit.handle_unavailable(worker.now);
    worker.hear(true, 2_000).hang_up();
    assert_eq!(worker.told, [(8_400, Event::Stop { ending: Ending::HungUp, keep: true })]);
}

#[test]
fn a_caller_speaks_and_hangs_up() {
    Worker::recording().hear(true, 4_000).hang_up().check(&[(10_400, stop(Ending::HungUp, true))]);
}

#[test]
fn hash_ends_a_message() {
    Worker::recording().hear(true, 2_000).press('5').press('#').check(&[(8_400, stop(Ending::Finished, true))]);
}

#[test]
fn hash_skips_the_greeting() {
    let mut worker = Worker::new();
    worker.start().wait(1_500).press('7').press('#').press('#').wait(400).prompt_finished();
    worker.check(&[(0, Event::PlayGreeting), (1_500, Event::Beep), (1_900, Event::StartRecording)]);
}

#[test]
fn a_caller_hangs_up_in_the_greeting() {
    let mut worker = Worker::new();
    worker.start().wait(2_000).hang_up();
    worker.check(&[(0, Event::PlayGreeting), (2_000, stop(Ending::HungUp, false))]);
}

#[test]
fn a_caller_hangs_up_before_the_greeting() {
    Worker::new().hang_up().start().check(&[(0, stop(Ending::HungUp, false))]);
}

#[test]
fn a_caller_hangs_up_in_the_beep() {
    let mut worker = Worker::new();
    worker.start().press('#').wait(100).hang_up();
    worker.check(&[(0, Event::PlayGreeting), (0, Event::Beep), (100, stop(Ending::HungUp, false))]);
}

#[test]
fn silence_ends_a_message_and_keeps_what_was_said() {
    Worker::recording().hear(true, 3_000).hear(false, 20_000).check(&[(19_400, stop(Ending::Silence, true))]);
}

#[test]
fn missing_packets_are_silence() {
    Worker::recording().hear(true, 3_000).wait(60_000).check(&[(19_400, stop(Ending::Silence, true))]);
}

#[test]
fn a_caller_who_says_nothing_leaves_no_message() {
    Worker::recording().hear(false, 20_000).check(&[(16_400, stop(Ending::Silence, false))]);
}

#[test]
fn nine_seconds_of_thinking_end_nothing() {
    let mut worker = Worker::recording();
    worker.hear(true, 1_000).hear(false, 9_900).hear(true, 1_000).hear(false, 9_900).hear(true, 20).hang_up();
    worker.check(&[(28_220, stop(Ending::HungUp, true))]);
}

#[test]
fn less_than_a_second_of_sound_is_no_message() {
    Worker::recording()
        .hear(false, 400)
        .hear(true, 980)
        .hear(false, 2_000)
        .hang_up()
        .check(&[(9_780, stop(Ending::HungUp, false))]);
    Worker::recording().hear(false, 400).hear(true, 1_000).hang_up().check(&[(7_800, stop(Ending::HungUp, true))]);
}

#[test]
fn short_pauses_between_words_are_sound() {
    let mut worker = Worker::recording();
    worker.hear(true, 400).hear(false, 300).hear(true, 300).hang_up();
    worker.check(&[(7_400, stop(Ending::HungUp, true))]);
}

#[test]
fn two_clicks_far_apart_are_no_message() {
    let mut worker = Worker::recording();
    worker.hear(true, 100).hear(false, 3_000).hear(true, 100).hang_up();
    worker.check(&[(9_600, stop(Ending::HungUp, false))]);
}

#[test]
fn the_longest_message_ends_after_a_warning() {
    let mut worker = Worker::recording();
    worker.hear(true, 400_000);
    worker.check(&[(296_400, Event::WarningBeep), (306_400, stop(Ending::TooLong, true))]);
}

#[test]
fn a_late_clock_warns_of_nothing_that_is_over() {
    let mut worker = Worker::recording();
    worker.now += Duration::from_secs(400);
    worker.deposit.handle_timeout(worker.now);
    worker.drain().check(&[(406_400, stop(Ending::TooLong, false))]);
}

#[test]
fn an_interruption_keeps_what_was_said() {
    let mut worker = Worker::recording();
    worker.hear(true, 5_000).deposit.handle_interruption();
    worker.drain().hang_up().check(&[(11_400, stop(Ending::Interrupted, true))]);
}

#[test]
fn a_stuck_prompt_is_left() {
    let mut worker = Worker::new();
    worker.start().wait(183_000);
    worker.check(&[(0, Event::PlayGreeting), (180_000, Event::Beep), (183_000, Event::StartRecording)]);
}

#[test]
fn the_first_ending_counts() {
    let mut worker = Worker::recording();
    worker.hear(true, 2_000).press('#').hang_up().prompt_finished().hear(true, 60_000).press('#');
    worker.check(&[(8_400, stop(Ending::Finished, true))]);
}

#[test]
fn a_key_pressed_before_the_greeting_skips_it() {
    let mut worker = Worker::new();
    worker.press('#').wait(300).start();
    assert_eq!(worker.told, [(300, Event::Beep)]);
}

fn with_keys() -> Worker {
    let mut worker = Worker::new();
    let keys = BTreeMap::from([('0', Key::Leave), ('1', Key::Announce), ('2', Key::Leave)]);
    worker.deposit = worker.deposit.with_keys(keys);
    worker
}

#[test]
fn a_key_leads_away_from_the_greeting_and_the_zero_also_from_the_recording() {
    with_keys()
        .start()
        .wait(2_000)
        .press('7')
        .press('2')
        .check(&[(0, Event::PlayGreeting), (2_000, stop(Ending::Key('2'), false))]);
    for (spoken, keep) in [(400, false), (2_000, true)] {
        let mut worker = with_keys();
        worker.start().press('#').prompt_finished();
        worker.told.clear();
        // A key that was meant for the greeting says nothing in a message.
        worker.hear(true, spoken).press('1').press('2').press('0');
        worker.check(&[(spoken, stop(Ending::Key('0'), keep))]);
    }
    let mut without = Worker::recording();
    without.hear(true, 2_000).press('0');
    without.check(&[]);
}

#[test]
fn an_announcement_leads_back_to_the_greeting_and_not_for_ever() {
    let mut worker = with_keys();
    worker.start().wait(1_000).press('1').wait(3_000).prompt_finished();
    worker.wait(500).press('1').press('2');
    worker.check(&[
        (0, Event::PlayGreeting),
        (1_000, Event::PlayAnnouncement('1')),
        (4_000, Event::PlayGreeting),
        (4_500, Event::PlayAnnouncement('1')),
        (4_500, stop(Ending::Key('2'), false)),
    ]);
    let mut worker = with_keys();
    worker.start();
    for _ in 0..100 {
        worker.press('1').prompt_finished();
    }
    let announced = worker.told.iter().filter(|(_, event)| *event == Event::PlayAnnouncement('1')).count();
    assert_eq!(announced, usize::from(MOST_ANNOUNCEMENTS));
    // One that never ends is left for the beep, as a greeting is.
    let mut worker = with_keys();
    worker.start().press('1').wait(180_000);
    worker.check(&[(0, Event::PlayGreeting), (0, Event::PlayAnnouncement('1')), (180_000, Event::Beep)]);
}
