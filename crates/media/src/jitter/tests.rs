use super::*;

const FRAME: Duration = Duration::from_millis(20);

/// A G.711 stream into a buffer, pulled every 20 ms of virtual time. Packet `n` holds the byte `n`.
struct World {
    start: Instant,
    buffer: JitterBuffer,
    arrivals: Vec<(Duration, RtpPacket)>,
    played: Vec<Pull>,
}

fn packet(n: u32, ssrc: u32) -> RtpPacket {
    let payload = vec![n as u8; 160].into();
    RtpPacket {
        marker: n == 0,
        payload_type: 0,
        sequence: 65_500u16.wrapping_add(n as u16),
        timestamp: 4_294_960_000u32.wrapping_add(n * 160),
        ssrc,
        payload,
    }
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "an Instant can't be made otherwise; only differences count")]
    fn new() -> Self {
        let buffer = JitterBuffer::new(Codec::Pcmu, JitterConfig::default());
        Self { start: Instant::now(), buffer, arrivals: Vec::new(), played: Vec::new() }
    }

    fn arrive(&mut self, at_ms: u64, packet: RtpPacket) -> &mut Self {
        self.arrivals.push((Duration::from_millis(at_ms), packet));
        self
    }

    fn run(&mut self, until_ms: u64) -> &mut Self {
        self.arrivals.sort_by_key(|(at, _)| *at);
        let mut arrivals = std::mem::take(&mut self.arrivals).into_iter().peekable();
        let mut now = Duration::ZERO;
        while now < Duration::from_millis(until_ms) {
            while let Some((at, packet)) = arrivals.next_if(|(at, _)| *at <= now) {
                self.buffer.insert(packet, self.start + at);
            }
            self.played.push(self.buffer.pull(self.start + now));
            now += FRAME;
        }
        self
    }

    /// What was played, a letter each: the packet's number, or what happened.
    fn story(&self) -> String {
        let tell = |pull: &Pull| match pull {
            Pull::Packet { payload, .. } => payload[0].to_string(),
            Pull::Lost { following: Some(_), .. } => "lost+".into(),
            Pull::Lost { following: None, .. } => "lost".into(),
            Pull::Late { .. } => "late".into(),
            Pull::Gap { .. } => "gap".into(),
            Pull::Idle => "-".into(),
        };
        self.played.iter().map(tell).collect::<Vec<_>>().join(" ")
    }
}

#[test]
fn a_steady_stream_comes_out_after_the_start_delay() {
    let mut world = World::new();
    (0..8).for_each(|n| {
        world.arrive(u64::from(n) * 20, packet(n, 1));
    });
    assert_eq!(world.run(200).story(), "- - 0 1 2 3 4 5 6 7");
    assert_eq!(world.buffer.statistics(), JitterStatistics { received: 8, ..JitterStatistics::default() });
}

#[test]
fn reordered_and_doubled_packets_come_out_once_and_in_order() {
    let mut world = World::new();
    for (at, n) in [(0, 0), (21, 2), (39, 1), (60, 3), (61, 3), (100, 5), (101, 4), (120, 6)] {
        world.arrive(at, packet(n, 1));
    }
    assert_eq!(world.run(180).story(), "- - 0 1 2 3 4 5 6");
    assert_eq!(world.buffer.statistics().duplicates, 1);
}

#[test]
fn the_first_packets_may_be_swapped() {
    let mut world = World::new();
    world.arrive(0, packet(1, 1)).arrive(5, packet(0, 1)).arrive(40, packet(2, 1));
    assert!(world.run(120).story().contains("0 1 2"), "{}", world.story());
}

#[test]
fn a_lost_packet_is_told_with_the_one_after_it() {
    let mut world = World::new();
    (0..8).filter(|n| *n != 3).for_each(|n| {
        world.arrive(u64::from(n) * 20, packet(n, 1));
    });
    assert_eq!(world.run(200).story(), "- - 0 1 2 lost+ 4 5 6 7");
    assert!(matches!(&world.played[5], Pull::Lost { ticks: 160, following: Some(next) } if next[0] == 4));
}

#[test]
fn of_two_lost_packets_only_the_second_has_a_successor() {
    let mut world = World::new();
    (0..9).filter(|n| *n != 3 && *n != 4).for_each(|n| {
        world.arrive(u64::from(n) * 20, packet(n, 1));
    });
    assert_eq!(world.run(220).story(), "- - 0 1 2 lost lost+ 5 6 7 8");
}

#[test]
fn a_packet_that_comes_too_late_is_dropped_and_counted() {
    let mut world = World::new();
    (0..8).filter(|n| *n != 3).for_each(|n| {
        world.arrive(u64::from(n) * 20, packet(n, 1));
    });
    world.arrive(130, packet(3, 1));
    assert_eq!(world.run(200).story(), "- - 0 1 2 lost+ 4 5 6 7");
    assert_eq!((world.buffer.statistics().late, world.buffer.statistics().lost), (1, 1));
}

#[test]
fn a_stall_is_bridged_and_nothing_is_thrown_away() {
    let mut world = World::new();
    (0..4).for_each(|n| {
        world.arrive(u64::from(n) * 20, packet(n, 1));
    });
    // The network stalls for 100 ms, then delivers all at once.
    (4..9).for_each(|n| {
        world.arrive(180, packet(n, 1));
    });
    (9..14).for_each(|n| {
        world.arrive(u64::from(n) * 20, packet(n, 1));
    });
    assert_eq!(world.run(380).story(), "- - 0 1 2 3 late late late 4 5 6 7 8 9 10 11 12 13");
    assert!(world.buffer.target() >= Duration::from_millis(80), "{:?}", world.buffer.target());
    assert_eq!(world.buffer.statistics().underruns, 1);
}

#[test]
fn the_target_follows_the_jitter_and_comes_back() {
    let mut world = World::new();
    // Every packet up to 80 ms late, for 10 s; then steady for 15 s.
    for n in 0..500u32 {
        world.arrive(u64::from(n) * 20 + u64::from(n * 7 % 5) * 20, packet(n, 1));
    }
    world.run(10_000);
    assert!((80..=120).contains(&world.buffer.target().as_millis()), "{:?}", world.buffer.target());
    let expanded = world.played.iter().filter(|p| matches!(p, Pull::Late { .. })).count();
    let lost = world.buffer.statistics().lost;
    assert!(expanded < 10 && lost < 10, "{expanded} late, {lost} lost");

    let mut steady = World::new();
    steady.buffer = world.buffer;
    steady.start = world.start + Duration::from_secs(10);
    (500..1_250u32).for_each(|n| {
        steady.arrive(u64::from(n - 500) * 20, packet(n, 1));
    });
    steady.run(15_000);
    assert!(steady.buffer.target() <= Duration::from_millis(30), "{:?}", steady.buffer.target());
    let hurried = steady.played.iter().filter(|p| matches!(p, Pull::Packet { surplus, .. } if *surplus > 160)).count();
    assert!(hurried > 100, "the player is told to hurry: {hurried}");
}

#[test]
fn discontinuous_transmission_is_a_gap_and_keeps_the_delay() {
    let mut world = World::new();
    // Sequence numbers go on, 200 ms of timestamps are left out.
    let mut after = |n: u32| {
        let mut late = packet(n, 1);
        late.timestamp = late.timestamp.wrapping_add(1_600);
        world.arrive(u64::from(n) * 20 + 200, late);
    };
    (4..8).for_each(&mut after);
    (0..4).for_each(|n| {
        world.arrive(u64::from(n) * 20, packet(n, 1));
    });
    let story = world.run(440).story();
    let (talk, rest) = story.split_at("- - 0 1 2 3 ".len());
    assert_eq!(talk, "- - 0 1 2 3 ");
    // 200 ms: at first it may be a stall, then the next packet tells that it was silence.
    assert_eq!(rest, "late late late late late late late late gap gap 4 5 6 7 late late", "{story}");
}

#[test]
fn dtmf_in_between_is_not_lost_sound() {
    let mut world = World::new();
    let event = |n| RtpPacket { timestamp: packet(4, 1).timestamp, ..packet(n, 1) };
    let mut played = Vec::new();
    for n in 0..12 {
        let now = world.start + FRAME * n;
        match n {
            4..8 => world.buffer.insert_other(event(n), now),
            _ => world.buffer.insert(packet(n, 1), now),
        }
        played.push(world.buffer.pull(now));
    }
    world.played = played;
    // 80 ms of silence instead of four packets, the delay unchanged.
    assert_eq!(world.story(), "- - 0 1 2 3 late late gap gap 8 9");
    assert_eq!(world.buffer.statistics().lost, 0);
}

#[test]
fn another_stream_begins_at_once() {
    let mut world = World::new();
    (0..4).for_each(|n| {
        world.arrive(u64::from(n) * 20, packet(n, 1));
    });
    (40..44).for_each(|n| {
        world.arrive(u64::from(n - 36) * 20, packet(n, 2));
    });
    let story = world.run(240).story();
    assert!(story.ends_with("40 41 42 43") || story.contains("40 41 42 43"), "{story}");
    assert_eq!(world.buffer.statistics().resyncs, 1);
}

#[test]
fn a_sender_that_starts_over_is_followed() {
    let mut world = World::new();
    (0..50).for_each(|n| {
        world.arrive(u64::from(n) * 20, packet(n, 1));
    });
    // The same stream id, sequence and timestamp far away.
    for n in 0..10u32 {
        let mut packet = packet(n, 1);
        packet.sequence = 20_000 + n as u16;
        packet.timestamp = 77 + n * 160;
        world.arrive(1_000 + u64::from(n) * 20, packet);
    }
    assert!(world.run(1_300).story().contains("0 1 2 3 4 5 6 7 8 9"), "{}", world.story());
}

#[test]
fn a_pause_ends_in_buffering_anew() {
    let mut world = World::new();
    (0..4).for_each(|n| {
        world.arrive(u64::from(n) * 20, packet(n, 1));
    });
    (4..8).for_each(|n| {
        world.arrive(3_000 + u64::from(n) * 20, packet(n, 1));
    });
    let story = world.run(3_300).story();
    assert!(story.contains("late - -") && story.contains("- 4 5 6 7"), "{story}");
}

#[test]
fn what_nobody_pulls_does_not_pile_up() {
    let mut world = World::new();
    (0..2_000).for_each(|n| world.buffer.insert(packet(n, 1), world.start + FRAME * n));
    assert_eq!(world.buffer.packets.len(), MAX_HELD);
    assert!(matches!(world.buffer.pull(world.start + FRAME * 2_000), Pull::Packet { .. }));
}

#[test]
fn a_player_that_slept_skips_to_the_present() {
    let mut world = World::new();
    (0..3).for_each(|n| {
        world.arrive(u64::from(n) * 20, packet(n, 1));
    });
    world.run(60);
    let awake = world.start + Duration::from_secs(2);
    (3..101).for_each(|n| world.buffer.insert(packet(n, 1), world.start + Duration::from_millis(u64::from(n) * 20)));
    assert!(
        matches!(world.buffer.pull(awake), Pull::Packet { payload, .. } if payload[0] >= 95),
        "within the target of the newest"
    );
}

proptest::proptest! {
    #[test]
    fn whatever_comes_the_order_holds_and_pulling_ends(events in proptest::collection::vec((0u64..2_000, 0u32..100, 0u32..20), 1..150)) {
        let mut world = World::new();
        for (at, n, oddity) in events {
            let mut packet = packet(n, 1 + u32::from(oddity == 0));
            if oddity == 1 {
                packet.timestamp ^= 0x4000_0000;
            }
            world.arrive(at, packet);
        }
        world.run(2_500);
        proptest::prop_assert_eq!(world.played.len(), 125);
    }

    #[test]
    fn without_loss_every_packet_is_played_once(delays in proptest::collection::vec(0u64..150, 100)) {
        let mut world = World::new();
        for (n, delay) in delays.iter().enumerate() {
            world.arrive(n as u64 * 20 + delay, packet(n as u32, 1));
        }
        world.run(3_000);
        let numbers: Vec<u8> = world.played.iter().filter_map(|p| if let Pull::Packet { payload, .. } = p { Some(payload[0]) } else { None }).collect();
        proptest::prop_assert!(numbers.windows(2).all(|w| w[0] < w[1]), "{:?}", numbers);
        let statistics = world.buffer.statistics();
        proptest::prop_assert_eq!(numbers.len() as u64 + statistics.late, 100);
    }
}
