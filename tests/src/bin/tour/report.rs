//! What the tour found: a picture of each step, and `report.json`.

use std::{path::PathBuf, time::Instant};

use anyhow::{Context, Result};
use serde::Serialize;

/// The steps, in order.
const STEPS: [&str; 8] = ["signed-in", "ringing", "missed", "message-listed", "notified", "played", "forwarded", "received"];

/// The whole report.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Every step and every bound held.
    pub(crate) ok: bool,
    /// On what it ran.
    pub(crate) machine: String,
    /// In order; the first that failed is the last.
    pub(crate) steps: Vec<Step>,
    /// What was measured of the sound.
    pub(crate) sound: Measured,
    #[serde(skip)]
    folder: PathBuf,
    #[serde(skip)]
    began: Instant,
}

/// One step.
#[derive(Debug, Serialize)]
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) ok: bool,
    /// Since the tour began.
    pub(crate) at_ms: u64,
    /// The picture's file name beside the report; empty where there was no window to take it of.
    pub(crate) screenshot: String,
    pub(crate) error: Option<String>,
}

/// PESQ is narrow-band (MOS-LQO), lengths are in seconds; 0 is not measured.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Measured {
    /// What the server holds, against what was said.
    pub(crate) stored_pesq: f64,
    /// What the loudspeaker played, against what was said.
    pub(crate) played_pesq: f64,
    /// From the end of the beep to the hang-up.
    pub(crate) sent_s: f64,
    /// Length of the message as listed.
    pub(crate) stored_s: f64,
    /// Length of the message as it came out of the loudspeaker.
    pub(crate) played_s: f64,
}

impl Report {
    pub(crate) fn new(folder: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&folder)?;
        for old in std::fs::read_dir(&folder)?.filter_map(Result::ok) {
            if old.path().extension().is_some_and(|kind| kind == "png" || kind == "json") {
                std::fs::remove_file(old.path())?;
            }
        }
        let sound = Measured::default();
        Ok(Self { ok: true, machine: machine(), steps: Vec::new(), sound, folder, began: Instant::now() })
    }

    /// Notes how a step went, with a picture of the window if there is one.
    pub(crate) fn step(&mut self, name: &str, picture: Option<&[u8]>, error: Option<String>) -> Result<()> {
        let screenshot = match picture {
            None => String::new(),
            Some(png) => {
                let file = format!("{:02}-{name}.png", self.steps.len() + 1);
                std::fs::write(self.folder.join(&file), png)?;
                file
            }
        };
        let at_ms = u64::try_from(self.began.elapsed().as_millis())?;
        self.ok &= error.is_none();
        say(&format!("{:>6} ms  {name}{}", at_ms, error.as_ref().map(|e| format!(": FAILED: {e}")).unwrap_or_default()));
        self.steps.push(Step { name: name.into(), ok: error.is_none(), at_ms, screenshot, error });
        Ok(())
    }

    /// The tour can't go on. What no step has told yet is told as the failure of the step that would have come next.
    pub(crate) fn broke_off(&mut self, error: &anyhow::Error) -> Result<()> {
        if self.steps.iter().any(|step| !step.ok) {
            return Ok(());
        }
        let next = STEPS.get(self.steps.len()).copied().unwrap_or("end");
        self.step(next, None, Some(format!("{error:#}")))
    }

    /// Holds a measured value against a bound.
    pub(crate) fn at_least(&mut self, what: &str, value: f64, bound: f64) {
        let held = value >= bound;
        say(&format!("{what}: {value:.2} (at least {bound:.1}{})", if held { "" } else { ": MISSED" }));
        self.ok &= held;
    }

    /// Holds two lengths against each other.
    pub(crate) fn about(&mut self, what: &str, a: f64, b: f64, tolerance: f64) {
        let held = (a - b).abs() <= tolerance;
        say(&format!("{what}: {a:.2} s and {b:.2} s{}", if held { "" } else { ": TOO FAR APART" }));
        self.ok &= held;
    }

    /// Writes `report.json`.
    pub(crate) fn write(&self) -> Result<()> {
        let path = self.folder.join("report.json");
        std::fs::write(&path, serde_json::to_vec_pretty(self)?).with_context(|| format!("writing {}", path.display()))
    }
}

/// A line for the person who waits.
#[expect(clippy::print_stdout, reason = "this is a command for a terminal")]
pub(crate) fn say(line: &str) {
    println!("tour: {line}");
}

fn machine() -> String {
    let system = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name =
        system.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).unwrap_or("unknown").trim_matches('"').to_owned();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{name}, {} cores, {}", cores, std::env::consts::ARCH)
}
