//! Looks for input that breaks the parsers and the media path, by coverage (libFuzzer).

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use crate::{peers, say};

/// Builds and runs fuzz targets (MIT OR Apache-2.0).
const CARGO_FUZZ: &str = "0.13.2";
const CRATES: [&str; 2] = ["crates/sip", "crates/media"];

/// Runs every target, or those with this name, so many seconds each, from the committed seeds; new finds are kept in the cache.
pub(crate) fn run(seconds: u32, only: Option<&str>) -> Result<()> {
    let cache = peers::cache()?.join("fuzz");
    let tool = install(&cache)?;
    for krate in CRATES {
        for target in targets(krate)?.into_iter().filter(|target| only.is_none_or(|only| only == target)) {
            say(&format!("{krate}: {target}, {seconds} s"));
            let corpus = cache.join(krate).join(&target);
            std::fs::create_dir_all(&corpus)?;
            let status = Command::new(&tool)
                .current_dir(krate)
                // The sanitizer and the counters of coverage are options of the compiler that stable releases keep closed.
                .env("RUSTC_BOOTSTRAP", "1")
                .env("CARGO_TARGET_DIR", cache.join("target").join(krate))
                .args(["fuzz", "run", &target])
                .arg(&corpus)
                .arg(Path::new("fuzz/seeds").join(&target))
                .args(["--", &format!("-max_total_time={seconds}"), "-rss_limit_mb=2048", "-timeout=10"])
                .status()?;
            ensure!(status.success(), "{target} found something: its input stands above");
        }
    }
    say("nothing was found");
    Ok(())
}

fn install(cache: &Path) -> Result<PathBuf> {
    let tool = cache.join("bin/cargo-fuzz");
    if !tool.exists() {
        say(&format!("installing cargo-fuzz {CARGO_FUZZ} into {} (once)", cache.display()));
        let arguments = ["install", "--locked", "--quiet", "cargo-fuzz", "--version", CARGO_FUZZ, "--root"];
        let status = Command::new("cargo").args(arguments).arg(cache).status()?;
        ensure!(status.success(), "cargo-fuzz can't be installed ({status})");
    }
    Ok(tool)
}

fn targets(krate: &str) -> Result<Vec<String>> {
    let folder = Path::new(krate).join("fuzz/fuzz_targets");
    let entries = std::fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?;
    let names = entries.map(|entry| Ok(entry?.path().file_stem().context("no name")?.to_string_lossy().into_owned()));
    let mut names = names.collect::<Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}
