//! The system packages that building, running and testing need, and their installation.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// To build the workspace and to run the desktop.
const BUILD: &[&str] = &[
    "build-essential",
    "ca-certificates",
    "cmake",
    "file",
    "libasound2-dev",
    "libasound2-plugins",
    "libayatana-appindicator3-dev",
    "libdbus-1-dev",
    "librsvg2-dev",
    "libwebkit2gtk-4.1-dev",
    "libxdo-dev",
    "patchelf",
    "pkg-config",
    "fonts-noto-core",
];

/// The outside phones, daemons and displays of the tests and of the tour.
const TEST: &[&str] = &[
    "at-spi2-core",
    "baresip",
    "chromium",
    "coturn",
    "dbus",
    "dbus-x11",
    "debootstrap",
    "dnsmasq-base",
    "gnome-keyring",
    "iproute2",
    "libsecret-tools",
    "nftables",
    "openbox",
    "openssl",
    "pocketsphinx-testdata",
    "pulseaudio",
    "pulseaudio-utils",
    "python3-venv",
    "sip-tester",
    "tcpdump",
    "webkit2gtk-driver",
    "x11-utils",
    "xauth",
    "xdotool",
    "xvfb",
];

/// Other people's programs that ours are measured beside.
const BENCH: &[&str] = &["linphone-desktop"];

/// Which packages a command needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Building and running.
    Build,
    /// The same, and testing.
    Test,
    /// The same, and measuring.
    Bench,
}

/// Installs what is missing, and says so.
pub(crate) fn install(need: Need) -> Result<()> {
    let more: &[&[&str]] = match need {
        Need::Build => &[],
        Need::Test => &[TEST],
        Need::Bench => &[TEST, BENCH],
    };
    let wanted = BUILD.iter().chain(more.iter().copied().flatten());
    let missing: Vec<&str> = wanted.copied().filter(|package| !is_installed(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    crate::say(&format!("installing {} system packages that are missing: {}", missing.len(), missing.join(" ")));
    apt(&["update"])?;
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(missing);
    apt(&arguments)
}

fn is_installed(package: &str) -> bool {
    let query = Command::new("dpkg-query").args(["--show", "--showformat=${Status}", package]).stderr(Stdio::null()).output();
    query.is_ok_and(|output| output.stdout.ends_with(b" installed"))
}

/// Runs apt-get as root.
fn apt(arguments: &[&str]) -> Result<()> {
    let mut command = root_command("apt-get")?;
    command.env("DEBIAN_FRONTEND", "noninteractive").args(["--quiet", "-o", "Dpkg::Use-Pty=0"]).args(arguments);
    let status = command.stdin(Stdio::null()).status().context(
        "starting apt-get: only Debian and Ubuntu can be set up by this command; elsewhere install the same packages by hand",
    )?;
    if !status.success() {
        bail!("apt-get {} failed ({status})", arguments.join(" "));
    }
    Ok(())
}

/// A command that root runs: as it is, or through sudo.
pub(crate) fn root_command(program: &str) -> Result<Command> {
    let user = Command::new("id").arg("--user").output().context("asking for the user's id")?;
    if user.stdout.trim_ascii() == b"0" {
        return Ok(Command::new(program));
    }
    let mut command = Command::new("sudo");
    command.args(["--preserve-env=DEBIAN_FRONTEND", program]);
    Ok(command)
}
