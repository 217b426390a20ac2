//! Outside exchanges and phones that Debian's stable release doesn't have, in a folder of their own: Asterisk 22, Kamailio 6,
//! baresip 1.1 and sipp with TLS, from Debian's unstable suite. Tests run them from there.
//!
//! The folder is made once and kept. When it is old a new one is made beside it; where that fails on a day, the old one stays.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result, bail};

use crate::say;

/// What is installed in the folder.
const PACKAGES: &[&str] = &[
    "asterisk",
    "asterisk-core-sounds-en-wav",
    "baresip",
    "ca-certificates",
    "kamailio",
    "kamailio-sqlite-modules",
    "kamailio-tls-modules",
    "openssl",
    "sip-tester",
    "sqlite3",
];

const SUITE: &str = "sid";
/// After this long a newer one is tried.
const FRESH: Duration = Duration::from_secs(30 * 24 * 3600);
/// Written last, with the packages that the folder has: what has no such file is not whole.
const MARK: &str = "aftertone-peers";

/// Makes the folder if it is missing, incomplete or old.
pub(crate) fn install() -> Result<()> {
    let folder = folder()?;
    if folder.join("etc").join(MARK).exists() && age(&folder).is_none() {
        say("the outside exchanges lack packages: installing them");
        if let Err(error) = packages(&folder) {
            say(&format!("that failed ({error:#}); the others stay in use"));
        }
        return Ok(());
    }
    match age(&folder) {
        Some(age) if age < FRESH => Ok(()),
        Some(_) => {
            say("the outside exchanges are a month old: making them anew");
            if let Err(error) = make(&folder) {
                say(&format!("that failed ({error:#}); the old ones stay in use"));
            }
            Ok(())
        }
        None => make(&folder)
            .with_context(|| format!("the outside exchanges can't be installed, and {} has none from before", folder.display())),
    }
}

/// `AFTERTONE_PEERS`, or a folder of the user's cache.
fn folder() -> Result<PathBuf> {
    std::env::var_os("AFTERTONE_PEERS").map_or_else(|| Ok(cache()?.join("peers")), |folder| Ok(folder.into()))
}

/// What is kept between runs.
pub(crate) fn cache() -> Result<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    Ok(cache.context("neither XDG_CACHE_HOME nor HOME is set")?.join("aftertone"))
}

/// How old the folder is, if it is whole and has every package.
fn age(folder: &Path) -> Option<Duration> {
    let mark = folder.join("etc").join(MARK);
    let whole = std::fs::read_to_string(&mark).ok()? == PACKAGES.join("\n");
    let made = mark.metadata().and_then(|found| found.modified()).ok()?;
    whole.then(|| SystemTime::now().duration_since(made).unwrap_or_default())
}

fn make(folder: &Path) -> Result<()> {
    let parent = folder.parent().context("the folder has no parent")?;
    std::fs::create_dir_all(parent)?;
    let part = folder.with_extension("part");
    let old = folder.with_extension("old");
    remove(&part)?;
    say(&format!("installing outside exchanges from Debian {SUITE} into {} (once; about a minute, 700 MB)", folder.display()));
    let mirror = mirror();
    as_root("debootstrap", &["--variant=minbase", SUITE, &text(&part), &mirror])?;
    say("  the base system is there; now Asterisk, Kamailio, baresip and sipp");
    packages(&part)?;
    remove(&old)?;
    if folder.exists() {
        as_root("mv", &[&text(folder), &text(&old)])?;
    }
    as_root("mv", &[&text(&part), &text(folder)])?;
    remove(&old)?;
    say("  done");
    Ok(())
}

/// Installs the packages into a base system, and marks it as whole.
fn packages(root: &Path) -> Result<()> {
    // No daemon may start by itself, nothing is mounted that stays; a mirror that lags is still good enough.
    let script = format!(
        "mount --bind /proc {root}/proc && printf '#!/bin/sh\\nexit 101\\n' > {root}/usr/sbin/policy-rc.d \
         && chmod +x {root}/usr/sbin/policy-rc.d && cp /etc/resolv.conf /etc/hosts {root}/etc/ \
         && chroot {root} apt-get update --quiet=2 -o Acquire::Check-Valid-Until=false \
         && chroot {root} env DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends \
            -o Dpkg::Use-Pty=0 -o Acquire::Check-Valid-Until=false {packages} && chroot {root} apt-get clean \
         && printf '%s' '{mark}' > {root}/etc/{MARK}",
        root = text(root),
        packages = PACKAGES.join(" "),
        mark = PACKAGES.join("\n"),
    );
    as_root("unshare", &["--mount", "sh", "-c", &script])
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() { as_root("rm", &["-rf", "--one-file-system", &text(folder)]) } else { Ok(()) }
}

/// The mirror that this system uses.
fn mirror() -> String {
    let files = ["/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"];
    let lines = files.iter().filter_map(|file| std::fs::read_to_string(file).ok()).collect::<Vec<_>>().join("\n");
    let first = lines.lines().find_map(|line| {
        let line = line.trim();
        line.strip_prefix("URIs:").or_else(|| line.strip_prefix("deb ")).and_then(|rest| rest.split_whitespace().next())
    });
    first.filter(|uri| uri.contains("://") && uri.contains("debian")).unwrap_or("http://deb.debian.org/debian").to_owned()
}

/// Runs a command as root: as it is, or through sudo.
fn as_root(program: &str, arguments: &[&str]) -> Result<()> {
    let mut command = crate::packages::root_command(program)?;
    let status = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).status();
    let status = status.with_context(|| format!("{program} can't be started"))?;
    if !status.success() {
        bail!("{program} {} ended with {status}", arguments.first().unwrap_or(&""));
    }
    Ok(())
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
