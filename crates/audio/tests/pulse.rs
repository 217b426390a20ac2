//! Real devices through a sound server and through ALSA: a private PulseAudio with null sinks, started and ended here.
//! Skipped with a word where PulseAudio isn't installed.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    env,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread::sleep,
    time::{Duration, Instant},
};

use aftertone_audio::{Clip, CpalHost, FRAME_SAMPLES, SAMPLE_RATE, Sound, SoundEvent, Use};
use aftertone_media::level::dbfs;

/// The tests' own server; it ends with this.
struct Pulse {
    home: PathBuf,
    server: Option<Child>,
}

impl Pulse {
    /// Starts the server with two loudspeakers, each heard by a microphone of its own.
    fn start(home: &Path) -> Self {
        let mut pulse = Self { home: home.to_owned(), server: None };
        pulse.restart();
        pulse
    }

    fn restart(&mut self) {
        let null = |name: &str| format!("module-null-sink sink_name={name} rate=48000 channels=2 norewinds=1");
        let mut server = Command::new("pulseaudio");
        server.args(["-n", "--daemonize=no", "--exit-idle-time=-1", "--log-target=null", "-L", "module-native-protocol-unix"]);
        server.args(["-L", &null("desk"), "-L", &null("head")]);
        self.environment(&mut server);
        self.server = Some(server.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let ready = Instant::now() + Duration::from_secs(10);
        while !self.control(&["set-default-sink", "desk"]) {
            assert!(Instant::now() < ready, "PulseAudio doesn't start");
            sleep(Duration::from_millis(50));
        }
        assert!(self.control(&["set-default-source", "desk.monitor"]));
    }

    fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }

    fn environment(&self, command: &mut Command) {
        command.env("XDG_RUNTIME_DIR", &self.home).env("HOME", &self.home).env_remove("PULSE_SERVER");
    }

    fn pactl(&self, arguments: &[&str]) -> Command {
        let mut pactl = Command::new("pactl");
        self.environment(&mut pactl);
        pactl.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        pactl
    }

    fn control(&self, arguments: &[&str]) -> bool {
        self.pactl(arguments).status().unwrap().success()
    }

    /// Plugs a loudspeaker in; what pulls it out again.
    fn plug_in(&self, name: &str) -> String {
        let sink = format!("sink_name={name}");
        let description = format!("sink_properties=device.description=The-{name}");
        let loaded = self.pactl(&["load-module", "module-null-sink", &sink, &description, "rate=48000", "norewinds=1"]);
        let loaded = { loaded }.stdout(Stdio::piped()).output().unwrap();
        assert!(loaded.status.success());
        String::from_utf8(loaded.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.stop();
    }
}

fn tone(frequency: f64, ms: usize) -> Vec<i16> {
    let step = std::f64::consts::TAU * frequency / f64::from(SAMPLE_RATE);
    (0..ms * 48).map(|i| (8_000.0 * (step * i as f64).sin()) as i16).collect()
}

/// The part of the energy that one frequency has (Goertzel), in pieces of 20 ms: two clocks are being followed, so the
/// phase wanders over longer ones.
fn share(pcm: &[i16], frequency: f64) -> f64 {
    let w = std::f64::consts::TAU * frequency / f64::from(SAMPLE_RATE);
    let (mut found, mut all) = (0.0, 1.0);
    for piece in pcm.chunks_exact(960) {
        let (mut re, mut im) = (0.0, 0.0);
        for (i, &sample) in piece.iter().enumerate() {
            let sample = f64::from(sample);
            re += sample * (w * i as f64).cos();
            im += sample * (w * i as f64).sin();
            all += sample * sample;
        }
        found += 2.0 * (re * re + im * im) / piece.len() as f64;
    }
    found / all
}

/// What the microphone hears in the given time, read frame by frame at the caller's pace.
fn listen(sound: &Sound, ms: u64) -> Vec<i16> {
    let mut microphone = sound.microphone();
    let start = Instant::now();
    let mut heard = Vec::new();
    for n in 1..=ms / 10 {
        let mut frame = [0; FRAME_SAMPLES];
        if microphone.read(&mut frame) {
            heard.extend_from_slice(&frame);
        }
        sleep((start + Duration::from_millis(n * 10)).saturating_duration_since(Instant::now()));
    }
    heard
}

fn wait_for(events: &Receiver<SoundEvent>, what: impl Fn(&SoundEvent) -> bool) {
    let until = Instant::now() + Duration::from_secs(15);
    loop {
        let event = events.recv_timeout(until.saturating_duration_since(Instant::now())).unwrap();
        if what(&event) {
            return;
        }
    }
}

#[test]
fn sound_through_a_real_server() {
    if Command::new("pulseaudio").arg("--version").stdout(Stdio::null()).status().is_err() {
        eprintln!("skipped: PulseAudio isn't installed");
        return;
    }
    if let Some(home) = env::var_os("AFTERTONE_AUDIO_TEST_HOME") {
        return scenario(Path::new(&home));
    }
    // ALSA reads its configuration from the environment, so the scenario runs in a process of its own.
    let home = tempfile::tempdir().unwrap();
    let asoundrc = home.path().join("asoundrc");
    let device =
        |name: &str| format!("pcm.{name} {{ type pulse device {name} hint {{ show on description \"The {name} speaker\" }} }}\n");
    let text = format!("pcm.!default {{ type pulse }}\nctl.!default {{ type pulse }}\n{}{}", device("desk"), device("head"));
    std::fs::write(&asoundrc, text).unwrap();
    let mut child = Command::new(env::current_exe().unwrap());
    child.args(["--exact", "sound_through_a_real_server", "--nocapture"]).env("AFTERTONE_AUDIO_TEST_HOME", home.path());
    child.env("XDG_RUNTIME_DIR", home.path()).env("HOME", home.path()).env_remove("PULSE_SERVER");
    child.env("ALSA_CONFIG_PATH", format!("/usr/share/alsa/alsa.conf:{}", asoundrc.display()));
    assert!(child.status().unwrap().success());
}

fn scenario(home: &Path) {
    let mut pulse = Pulse::start(home);
    through_alsa();
    let (sender, events) = channel();
    let sound = Sound::start(move |event| drop(sender.send(event))).unwrap();
    devices_are_listed(&sound);
    a_tone_is_heard(&sound);
    frames_are_heard(&sound);
    a_chosen_device_is_used(&pulse, &sound);
    the_default_is_followed(&pulse, &sound, &events);
    a_headset_may_be_pulled_out_in_mid_call(&pulse, &sound, &events);
    the_server_may_go_and_come_back(&mut pulse, &sound, &events);
}

/// Where there is no sound server.
fn through_alsa() {
    let sound = Sound::with_host(|| Box::new(CpalHost::default()), |_| {}).unwrap();
    let devices = sound.devices();
    let names: Vec<&str> = devices.outputs.iter().map(|d| d.name.as_str()).collect();
    assert!(names.contains(&"The head speaker"), "{devices:?}");
    assert!(devices.outputs.iter().all(|d| d.id != "alsa:null"), "{devices:?}");
    a_tone_is_heard(&sound);
}

fn devices_are_listed(sound: &Sound) {
    let devices = sound.devices();
    let ids: Vec<(&str, bool)> = devices.outputs.iter().map(|d| (d.id.as_str(), d.is_default)).collect();
    assert_eq!(ids, [("desk", true), ("head", false)]);
    // What a loudspeaker plays is a microphone here, because it was made the default.
    let inputs: Vec<&str> = devices.inputs.iter().map(|d| d.id.as_str()).collect();
    assert_eq!(inputs, ["desk.monitor"]);
}

/// Listens until half a second of nothing but this tone was heard, as loud as it was played: a busy machine may need
/// more than one try.
fn expect(sound: &Sound, frequency: f64) {
    let loud = dbfs(&tone(frequency, 100));
    let mut tries = Vec::new();
    for _ in 0..10 {
        let heard = listen(sound, 1_000);
        let end = &heard[heard.len().saturating_sub(24_000)..];
        let (share, level) = (share(end, frequency), dbfs(end));
        if heard.len() >= 24_000 && share > 0.95 && (level - loud).abs() < 1.0 {
            return;
        }
        tries.push((heard.len(), share, level));
    }
    panic!("{frequency} Hz was never heard: {tries:?}");
}

fn a_tone_is_heard(sound: &Sound) {
    let start = Instant::now();
    let player = sound.play(Use::Speaker, Clip::repeating(tone(1_000.0, 1_000)));
    expect(sound, 1_000.0);
    let (played, passed) = (player.heard(), start.elapsed());
    assert!(played > passed / 2 && played < passed + Duration::from_secs(2), "{played:?} of {passed:?}");
}

fn frames_are_heard(sound: &Sound) {
    let mut speaker = sound.speaker(Use::Speaker);
    let (stop, stopped) = channel::<()>();
    let writer = std::thread::spawn(move || {
        let frames = tone(700.0, 1_000);
        let start = Instant::now();
        for (n, frame) in frames.chunks_exact(FRAME_SAMPLES).cycle().enumerate() {
            let _ = speaker.write(frame.try_into().unwrap());
            sleep((start + Duration::from_millis(10 * (n as u64 + 1))).saturating_duration_since(Instant::now()));
            if stopped.try_recv().is_ok() {
                return;
            }
        }
    });
    expect(sound, 700.0);
    stop.send(()).unwrap();
    writer.join().unwrap();
}

fn a_chosen_device_is_used(pulse: &Pulse, sound: &Sound) {
    sound.choose(Use::Speaker, Some("head".into()));
    let _player = sound.play(Use::Speaker, Clip::repeating(tone(500.0, 1_000)));
    sleep(Duration::from_millis(600));
    // The desk's loudspeaker is silent now, the headset isn't.
    assert!(dbfs(&listen(sound, 600)) < -60.0);
    assert!(pulse.control(&["set-default-source", "head.monitor"]));
    expect(sound, 500.0);
    sound.choose(Use::Speaker, None);
    assert!(pulse.control(&["set-default-source", "desk.monitor"]));
}

fn the_default_is_followed(pulse: &Pulse, sound: &Sound, events: &Receiver<SoundEvent>) {
    let _player = sound.play(Use::Speaker, Clip::repeating(tone(600.0, 1_000)));
    expect(sound, 600.0);
    while events.try_recv().is_ok() {}
    assert!(pulse.control(&["set-default-sink", "head"]));
    let head =
        |event: &SoundEvent| matches!(event, SoundEvent::Opened { usage: Use::Speaker, device: None, fallback: false, .. });
    wait_for(events, head);
    assert!(pulse.control(&["set-default-source", "head.monitor"]));
    expect(sound, 600.0);
    assert!(pulse.control(&["set-default-sink", "desk"]) && pulse.control(&["set-default-source", "desk.monitor"]));
}

/// It is said, the sound goes on where it can be heard, and comes back with the headset.
fn a_headset_may_be_pulled_out_in_mid_call(pulse: &Pulse, sound: &Sound, events: &Receiver<SoundEvent>) {
    let opened = |wanted: Option<&'static str>, fell_back: bool| {
        move |event: &SoundEvent| {
            let SoundEvent::Opened { usage: Use::Speaker, device, fallback, .. } = event else { return false };
            device.as_deref() == wanted && *fallback == fell_back
        }
    };
    let headset = pulse.plug_in("bluetooth");
    wait_for(events, |event| matches!(event, SoundEvent::Devices(devices) if devices.has(Use::Speaker, "bluetooth")));
    sound.choose(Use::Speaker, Some("bluetooth".into()));
    let _player = sound.play(Use::Speaker, Clip::repeating(tone(800.0, 1_000)));
    wait_for(events, opened(Some("bluetooth"), false));
    assert!(pulse.control(&["unload-module", &headset]));
    wait_for(events, |event| matches!(event, SoundEvent::Lost { usage: Use::Speaker }));
    wait_for(events, opened(None, true));
    expect(sound, 800.0);
    pulse.plug_in("bluetooth");
    wait_for(events, opened(Some("bluetooth"), false));
    assert!(pulse.control(&["set-default-source", "bluetooth.monitor"]));
    expect(sound, 800.0);
    sound.choose(Use::Speaker, None);
    assert!(pulse.control(&["set-default-source", "desk.monitor"]));
}

fn the_server_may_go_and_come_back(pulse: &mut Pulse, sound: &Sound, events: &Receiver<SoundEvent>) {
    let player = sound.play(Use::Speaker, Clip::repeating(tone(900.0, 1_000)));
    sleep(Duration::from_millis(500));
    while events.try_recv().is_ok() {}
    pulse.stop();
    wait_for(events, |event| matches!(event, SoundEvent::Lost { usage: Use::Speaker }));
    let before = player.heard();
    sleep(Duration::from_millis(500));
    pulse.restart();
    expect(sound, 900.0);
    assert!(player.heard() > before + Duration::from_millis(500), "{:?} after {before:?}", player.heard());
}
