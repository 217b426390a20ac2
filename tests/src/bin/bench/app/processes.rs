//! What a program and everything that it started take of the machine.

use std::{collections::BTreeMap, fs};

use anyhow::{Context, Result};

/// A program and all of its descendants, by id.
pub(crate) struct Processes(Vec<u32>);

impl Processes {
    /// Those that descend from `root` now, and `root`.
    pub(crate) fn of(root: u32) -> Result<Self> {
        let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for entry in fs::read_dir("/proc")? {
            let Ok(id) = entry?.file_name().to_string_lossy().parse::<u32>() else { continue };
            if let Some(parent) = fields(id).and_then(|fields| fields.get(1)?.parse().ok()) {
                children.entry(parent).or_default().push(id);
            }
        }
        let mut found = vec![root];
        let mut next = 0;
        while let Some(id) = found.get(next) {
            found.extend(children.get(id).into_iter().flatten().copied().collect::<Vec<_>>());
            next += 1;
        }
        Ok(Self(found))
    }

    /// Memory in megabytes; what several share counts in parts (PSS).
    pub(crate) fn pss_mb(&self) -> Result<f64> {
        let mut kilobytes = 0.0;
        for id in &self.0 {
            // One that ended meanwhile has none.
            let Ok(text) = fs::read_to_string(format!("/proc/{id}/smaps_rollup")) else { continue };
            let line = text.lines().find(|line| line.starts_with("Pss:")).context("no Pss")?;
            kilobytes += line.split_whitespace().nth(1).context("no number")?.parse::<f64>()?;
        }
        Ok(kilobytes / 1024.0)
    }

    /// Seconds of a core that they have used so far.
    pub(crate) fn cpu_s(&self) -> f64 {
        // In hundredths of a second on every Linux that programs see (USER_HZ).
        let ticks = |id: &u32| -> Option<f64> {
            let fields = fields(*id)?;
            Some(fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?)
        };
        self.0.iter().filter_map(ticks).sum::<f64>() / 100.0
    }
}

/// What `/proc/ID/stat` says after the name, which may hold anything.
fn fields(id: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    Some(text.rsplit_once(") ")?.1.split(' ').map(str::to_owned).collect())
}
