//! What a process and everything that it started have taken.

use std::{collections::BTreeSet, fs};

use anyhow::{Context, Result};

/// The family of one process, which is looked up anew each time.
pub(crate) struct Usage(u32);

impl Usage {
    pub(crate) fn of(process: u32) -> Self {
        Self(process)
    }

    /// Processor time of its living members, in seconds.
    pub(crate) fn cpu_s(&self) -> Result<f64> {
        let ticks: u64 = family(self.0)?.into_iter().filter_map(ticks).sum();
        // USER_HZ is 100 on every Linux of today.
        Ok(ticks as f64 / 100.0)
    }

    /// Memory in kB, what is shared counted once (PSS).
    pub(crate) fn memory_kb(&self) -> Result<f64> {
        let of = |process: u32| {
            let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).ok()?;
            rollup.lines().find_map(|line| line.strip_prefix("Pss:")?.split_whitespace().next()?.parse::<u64>().ok())
        };
        Ok(family(self.0)?.into_iter().filter_map(of).sum::<u64>() as f64)
    }
}

fn family(root: u32) -> Result<BTreeSet<u32>> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc").context("reading /proc")? {
        let Some(process) = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        parents.extend(fields(process).and_then(|fields| Some((process, fields.get(1)?.parse::<u32>().ok()?))));
    }
    let mut found = BTreeSet::from([root]);
    loop {
        let before = found.len();
        found
            .extend(parents.iter().filter(|(_, parent)| found.contains(parent)).map(|(process, _)| *process).collect::<Vec<_>>());
        if found.len() == before {
            return Ok(found);
        }
    }
}

fn ticks(process: u32) -> Option<u64> {
    let fields = fields(process)?;
    Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
}

/// The fields of `stat` after the name, which may hold anything.
fn fields(process: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    Some(stat.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}
