//! A desktop for one test: a display, a session bus with a keyring and notifications, and a sound card, none of
//! which anybody sees or hears.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result, ensure};
use tokio::{io::AsyncWriteExt, process::Command};

use crate::{
    notifications::Notifications,
    process::{self, PATIENCE, Running},
    sound::Sound,
};

/// The desktop; everything on it ends with it.
#[derive(Debug)]
pub struct Desktop {
    environment: Vec<(String, String)>,
    /// What a user's desktop would show.
    pub notifications: Notifications,
    framebuffer: PathBuf,
    folder: tempfile::TempDir,
    _processes: Vec<Running>,
}

impl Desktop {
    /// Starts one.
    ///
    /// # Errors
    /// Where a part doesn't come up.
    pub async fn start() -> Result<Self> {
        Self::with(true).await
    }

    /// Starts one that has no keyring.
    ///
    /// # Errors
    /// Where a part doesn't come up.
    pub async fn without_keyring() -> Result<Self> {
        Self::with(false).await
    }

    async fn with(keyring: bool) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut desktop = Parts::new(&folder)?;
        desktop.display().await?;
        let bus = desktop.bus().await?;
        let notifications = Notifications::own(&bus).await?;
        if keyring {
            desktop.keyring().await?;
        }
        desktop.sound_card().await?;
        let framebuffer = desktop.root.join("screen").join("Xvfb_screen0");
        Ok(Self { environment: desktop.environment, notifications, framebuffer, _processes: desktop.processes, folder })
    }

    /// A program that runs on this desktop.
    #[must_use]
    pub fn command(&self, program: &std::path::Path) -> Command {
        let mut command = process::clean_command(program);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// What a program needs to know to run on it.
    #[must_use]
    pub fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    /// The address of its session bus.
    ///
    /// # Errors
    /// Where it has none.
    pub fn bus(&self) -> Result<&str> {
        let bus = self.environment.iter().find(|(name, _)| name == "DBUS_SESSION_BUS_ADDRESS");
        bus.map(|(_, address)| address.as_str()).context("no bus")
    }

    /// Plugs in another loudspeaker, which is called `name`.
    ///
    /// # Errors
    /// Where it can't.
    pub async fn plug_in(&self, name: &str) -> Result<Plugged> {
        let (sink, described) = (format!("sink_name={name}"), format!("sink_properties=device.description={name}"));
        let mut load = self.command("pactl".as_ref());
        load.args(["load-module", "module-null-sink", &sink, &described, "rate=48000", "channels=2", "norewinds=1"]);
        let loaded = load.output().await?;
        ensure!(loaded.status.success(), "{name} can't be plugged in: {}", String::from_utf8_lossy(&loaded.stderr));
        Ok(Plugged { module: String::from_utf8(loaded.stdout)?.trim().to_owned() })
    }

    /// Pulls it out again.
    ///
    /// # Errors
    /// Where it can't.
    pub async fn pull_out(&self, plugged: Plugged) -> Result<()> {
        let status = self.command("pactl".as_ref()).args(["unload-module", &plugged.module]).status().await?;
        ensure!(status.success(), "it can't be pulled out");
        Ok(())
    }

    /// A folder for files, gone with the desktop.
    #[must_use]
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// The memory of the display, in the format of xwd.
    #[must_use]
    pub fn framebuffer(&self) -> &std::path::Path {
        &self.framebuffer
    }

    /// Speaks into the microphone.
    ///
    /// # Errors
    /// Where it can't.
    pub fn say(&self, sound: &Sound) -> Result<Speaking> {
        let path = self.folder().join("said.wav");
        sound.save(&path)?;
        let mut command = self.command("paplay".as_ref());
        command.arg("--device=test_mouth").arg(path).stdin(Stdio::null()).stderr(Stdio::null());
        Ok(Speaking { _child: command.kill_on_drop(true).spawn()? })
    }

    /// Begins to record what the sound card plays.
    ///
    /// # Errors
    /// Where it can't.
    pub async fn listen(&self) -> Result<Listening> {
        self.listen_at("test_speaker").await
    }

    /// The same at the loudspeaker of that name.
    ///
    /// # Errors
    /// Where it can't.
    pub async fn listen_at(&self, speaker: &str) -> Result<Listening> {
        let path = self.folder().join(format!("heard-{speaker}.raw"));
        let mut command = self.command("parec".as_ref());
        let file = std::fs::File::create(&path)?;
        command.arg(format!("--device={speaker}.monitor"));
        command.args(["--format=s16le", "--rate=8000", "--channels=1", "--latency-msec=20"]);
        let child = command.stdin(Stdio::null()).stdout(file).stderr(Stdio::null()).kill_on_drop(true).spawn()?;
        let listening = Listening { child, path };
        process::eventually("the monitor of the sound card is heard", PATIENCE, || async {
            Ok((std::fs::metadata(&listening.path)?.len() > 0).then_some(()))
        })
        .await?;
        Ok(listening)
    }
}

/// Says in the profile that the set-up was gone through, unless something is said of it: what is looked at comes after that.
///
/// # Errors
/// Where its settings can't be read or written.
pub fn mark_set_up(profile: &Path) -> Result<()> {
    std::fs::create_dir_all(profile)?;
    let file = profile.join("settings.json");
    let known = if file.exists() { std::fs::read(&file)? } else { b"{}".to_vec() };
    let mut settings: serde_json::Value = serde_json::from_slice(&known).context("the settings")?;
    if settings["set_up"].is_null() {
        settings["set_up"] = true.into();
        std::fs::write(file, settings.to_string())?;
    }
    Ok(())
}

/// A loudspeaker that was plugged in.
#[derive(Debug)]
pub struct Plugged {
    module: String,
}

/// Somebody speaks into the microphone; dropping it ends that.
#[derive(Debug)]
pub struct Speaking {
    _child: tokio::process::Child,
}

/// A recording of what the sound card plays.
#[derive(Debug)]
pub struct Listening {
    child: tokio::process::Child,
    path: PathBuf,
}

impl Listening {
    /// What was heard until now.
    ///
    /// # Errors
    /// Where it can't be read.
    pub fn so_far(&self) -> Result<Sound> {
        let bytes = std::fs::read(&self.path)?;
        Ok(Sound(bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()))
    }

    /// Waits until a tone of `frequency` Hz is heard.
    ///
    /// # Errors
    /// Where it isn't in time.
    pub async fn hears(&self, frequency: f64) -> Result<()> {
        process::eventually(&format!("{frequency} Hz are heard"), PATIENCE, || async {
            let heard = self.so_far()?;
            let last = heard.part(heard.seconds() - 0.4, 0.4);
            Ok((last.level() > -45.0 && (last.pitch() - frequency).abs() < 20.0).then_some(()))
        })
        .await
    }

    /// Ends it.
    ///
    /// # Errors
    /// Where it can't be read.
    pub async fn stop(mut self) -> Result<Sound> {
        self.child.kill().await?;
        self.so_far()
    }
}

struct Parts {
    environment: Vec<(String, String)>,
    processes: Vec<Running>,
    root: PathBuf,
}

impl Parts {
    fn new(folder: &tempfile::TempDir) -> Result<Self> {
        let root = folder.path().to_owned();
        let mut parts = Self { environment: Vec::new(), processes: Vec::new(), root: root.clone() };
        for (name, path) in [("HOME", "home"), ("XDG_RUNTIME_DIR", "run"), ("PULSE_STATE_PATH", "pulse")] {
            let path = root.join(path);
            std::fs::create_dir(&path)?;
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
            parts.set(name, &path.to_string_lossy());
        }
        parts.set("GTK_A11Y", "none");
        parts.set("LC_ALL", "C.UTF-8");
        Ok(parts)
    }

    fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.into(), value.into()));
    }

    fn start(&mut self, program: &str, arguments: &[&str]) -> Result<Running> {
        let mut command = process::clean_command(program);
        command.envs(self.environment.iter().map(|(name, value)| (name, value))).args(arguments);
        process::start(&mut command, &self.root.join(format!("{program}.log")))
    }

    async fn display(&mut self) -> Result<()> {
        let screen = self.root.join("screen");
        std::fs::create_dir(&screen)?;
        let arguments = ["-displayfd", "1", "-screen", "0", "1280x800x24", "-nolisten", "tcp", "-noreset", "-fbdir"];
        let mut xvfb = self.start("Xvfb", &[&arguments[..], &[&screen.to_string_lossy()]].concat())?;
        let number = xvfb.line(PATIENCE).await.context("Xvfb")?;
        self.set("DISPLAY", &format!(":{number}"));
        self.processes.push(xvfb);
        let openbox = self.start("openbox", &[])?;
        self.processes.push(openbox);
        Ok(())
    }

    async fn bus(&mut self) -> Result<String> {
        let mut bus = self.start("dbus-daemon", &["--session", "--nofork", "--print-address"])?;
        let address = bus.line(PATIENCE).await.context("dbus-daemon")?;
        self.set("DBUS_SESSION_BUS_ADDRESS", &address);
        self.processes.push(bus);
        Ok(address)
    }

    async fn keyring(&mut self) -> Result<()> {
        let mut command = process::clean_command("gnome-keyring-daemon");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.args(["--unlock", "--components=secrets", "--foreground"]).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.stderr(Stdio::null()).kill_on_drop(true).spawn().context("gnome-keyring-daemon")?;
        let mut stdin = child.stdin.take().context("no standard input")?;
        stdin.write_all(b"a password of the test").await?;
        drop(stdin);
        // It runs until the bus ends; the bus is ended by its id, and so it follows.
        tokio::spawn(async move { child.wait().await });
        self.wait_for("org.freedesktop.secrets").await
    }

    async fn wait_for(&self, name: &str) -> Result<()> {
        let arguments = ["--session", "--print-reply", "--dest=org.freedesktop.DBus", "/org/freedesktop/DBus"];
        let argument = format!("string:{name}");
        process::eventually(&format!("{name} is on the bus"), PATIENCE, || async {
            let mut ask = process::clean_command("dbus-send");
            ask.envs(self.environment.iter().map(|(name, value)| (name, value))).args(arguments);
            let answer = ask.args(["org.freedesktop.DBus.NameHasOwner", &argument]).output().await?;
            Ok(String::from_utf8_lossy(&answer.stdout).contains("boolean true").then_some(()))
        })
        .await
    }

    async fn sound_card(&mut self) -> Result<()> {
        // Without norewinds the first sound comes two seconds late.
        let speaker = "module-null-sink sink_name=test_speaker rate=48000 channels=2 norewinds=1";
        // What is played into the mouth is what the microphone hears, and nothing else is.
        let mouth = "module-null-sink sink_name=test_mouth rate=48000 channels=2 norewinds=1";
        let microphone = "module-remap-source master=test_mouth.monitor source_name=test_microphone";
        let modules = ["module-native-protocol-unix", speaker, mouth, microphone].map(|module| ["-L", module]).concat();
        let arguments = [&["-n", "--daemonize=no", "--exit-idle-time=-1"][..], &modules].concat();
        let pulse = self.start("pulseaudio", &arguments)?;
        self.processes.push(pulse);
        process::eventually("PulseAudio answers", PATIENCE, || async {
            let mut set = process::clean_command("pactl");
            set.envs(self.environment.iter().map(|(name, value)| (name, value))).args(["set-default-sink", "test_speaker"]);
            Ok(set.stderr(Stdio::null()).status().await?.success().then_some(()))
        })
        .await?;
        let mut set = process::clean_command("pactl");
        set.envs(self.environment.iter().map(|(name, value)| (name, value))).args(["set-default-source", "test_microphone"]);
        ensure!(set.status().await?.success(), "the microphone can't be chosen");
        let asoundrc = self.root.join("asoundrc");
        std::fs::write(&asoundrc, "pcm.!default { type pulse }\nctl.!default { type pulse }\n")?;
        self.set("ALSA_CONFIG_PATH", &format!("/usr/share/alsa/alsa.conf:{}", asoundrc.display()));
        Ok(())
    }
}
